"""Architectures as plain data, and the programs built from them."""

import json

import pytest
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.registry import build
from tables import each_row


def test_a_built_model_has_the_widths_asked_for():
    model, guide = build(
        Architecture("ilcm", dim_x=5, dim_z=3, hidden=(7,), flow_layers=2, solution_hidden=(4, 4), spline_bins=3)
    )
    x, noise = torch.randn(6, 5), torch.randn(6, 3)
    assert guide.encode(x).mean.shape == (6, 3)
    assert model.x_dist(noise).mean.shape == (6, 5)
    assert len(guide.encoder.flow.couplings) == len(model.decoder.flow.couplings) == 2
    assert [tuple(weight.shape) for weight in model.solution.networks.weights] == [(3, 3, 4), (3, 4, 4), (3, 4, 2)]
    assert model.solution.bins == 3


@pytest.mark.parametrize(("dim_z", "couplings"), [(2, 12), (6, 12), (8, 16), (16, 32), (40, 32)])
def test_the_flow_grows_with_the_variables(dim_z, couplings):
    assert Architecture("ilcm", dim_x=dim_z, dim_z=dim_z).couplings == couplings


def test_a_seed_decides_the_parameters_and_nothing_else():
    architecture = Architecture("ilcm", dim_x=3, dim_z=3, flow_layers=2)
    before = torch.get_rng_state()
    first, again, other = (build(architecture, seed=seed)[1].state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_architectures_survive_as_json():
    architecture = Architecture("ilcm", dim_x=5, dim_z=3, hidden=(7, 8), flow_layers=0, min_sd=0.02)
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


@each_row(
    ("field", "value"),
    [
        ("dim_z", 0),
        ("dim_z", 6),
        ("hidden", (0,)),
        ("solution_hidden", (4, -1)),
        ("flow_layers", -1),
        ("flow_hidden", 0),
        ("spline_bins", 1),
        ("spline_bins", -2),
        ("min_scale", -0.1),
        ("min_scale", 1.0),
        ("min_sd", -0.1),
    ],
)
def test_a_field_out_of_range_is_named(field, value):
    arguments = {"model": "ilcm", "dim_x": 5, "dim_z": 3} | {field: value}
    with pytest.raises(ValueError, match=field):
        Architecture(**arguments)


def test_unknown_fields_of_a_run_folder_are_named():
    with pytest.raises(ValueError, match="unknown field 'depth'"):
        Architecture.from_dict({"model": "ilcm", "dim_x": 3, "dim_z": 3, "depth": 2})


def test_a_model_without_a_specification_is_named():
    with pytest.raises(ValueError, match=r"^model: got 'icm', expected one of ilcm, elcm, partial_ilcm, dvae"):
        build(Architecture("icm", dim_x=3, dim_z=3))
