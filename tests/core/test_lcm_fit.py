"""Fitting: what comes in, what is refused, and that nothing else in the process changes."""

import random

import numpy as np
import pyro
import pytest
import torch

import pyro_lcm.fitting.fitted
from pyro_lcm import InterventionPairs, LatentCausalModel
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.evaluation.mcc import mean_correlation
from tables import each_row

IMAGES = InterventionPairs(np.random.default_rng(0).normal(size=(60, 2, 8, 8)), np.zeros((60, 2, 8, 8)))


def _mcc(lcm, pairs):
    noise = lcm.encode(pairs.x).noise
    return mean_correlation(noise, pairs.noise, align(noise, pairs.noise))


def _state(lcm):
    return lcm.fitted.objective.state_dict() | lcm.fitted.standardizer.state_dict()


def _same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _global_state():
    numpy = np.random.get_state()  # noqa: NPY002 - the legacy generator is what must not change
    return (
        torch.get_rng_state().tolist(),
        (numpy[0], numpy[1].tolist(), *numpy[2:]),
        random.getstate(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        pyro.settings.get("validate_poutine"),
        list(pyro.get_param_store().keys()),
    )


def test_linear_data_are_identified(lcm, held_out):
    assert lcm.names == ("z1", "z2", "z3")
    assert lcm.dim_z == 3
    assert _mcc(lcm, held_out) > 0.999
    assert [phase.name for phase in lcm.result.phases] == ["lines", "calibrate", "refine", "graph"]


def test_the_same_seed_gives_the_same_model(lcm, train, small):
    again = LatentCausalModel().fit(train, budget=small, seed=0, progress=False)
    assert _same(_state(lcm), _state(again))


def test_fitting_and_reading_leave_the_process_as_it_was(train, held_out, small):
    before = _global_state()
    lcm = LatentCausalModel().fit(train[:500], budget=small, seed=4, progress=False)
    assert _global_state() == before
    lcm.sample(10, seed=1)
    lcm.check(held_out)
    lcm.evaluate(held_out, dci_rows=200)
    lcm.intervene({"z1": 0.0}, x=held_out.x[:5])
    lcm.graph_posterior(held_out, draws=10, chains=1)
    assert _global_state() == before


def test_truth_is_not_used(lcm, train, small):
    blind = LatentCausalModel().fit(InterventionPairs(train.x, train.x_after), budget=small, seed=0, progress=False)
    assert _same(_state(lcm), _state(blind))


def test_memory_mapped_pairs_give_the_same_model(lcm, train, small, tmp_path, monkeypatch):
    train.save(tmp_path / "pairs.npz")
    mapped = InterventionPairs.load(tmp_path / "pairs.npz", mmap=True)
    monkeypatch.setattr(pyro_lcm.fitting.fitted, "fits_in_memory", lambda pairs, shape: False)
    other = LatentCausalModel().fit(mapped, budget=small, seed=0, progress=False)
    assert _same(_state(lcm), _state(other))


@pytest.mark.parametrize(("scale", "offset", "dtype"), [(1e6, 1e9, np.float64), (1e-5, 0.0, np.float32)])
def test_units_of_x_do_not_matter(train, held_out, small, scale, offset, dtype):
    def in_units(pairs):
        sides = [(side * scale + offset).astype(dtype) for side in (pairs.x, pairs.x_after)]
        return pairs.with_observations(*sides)

    lcm = LatentCausalModel().fit(in_units(train), budget=small, seed=0, progress=False)
    test = in_units(held_out)
    assert _mcc(lcm, test) > 0.999
    error = lcm.decode(lcm.encode(test.x).noise) - test.x
    assert np.sqrt(np.square(error).mean()) < 0.02 * test.x.std()
    assert lcm.check(test).ok


def test_features_that_depend_on_others_are_no_variables(small):
    system = ScalingSystem(2, seed=1, dim_x=5)
    lcm = LatentCausalModel().fit(system.sample(2000), budget=small, progress=False)
    test = system.sample(500, seed=1)
    assert lcm.dim_z == 2
    assert _mcc(lcm, test) > 0.999
    assert lcm.decode(lcm.encode(test.x).noise).shape == (500, 5)


def test_wider_x_with_noise_needs_the_number_of_variables(small):
    pairs = ScalingSystem(2, seed=1, dim_x=4, observation_noise=0.05).sample(600)
    lcm = LatentCausalModel(dim_z=2).fit(pairs, budget=small, progress=False)
    assert lcm.dim_z == 2
    assert lcm.encode(pairs.x).causal.shape == (600, 2)
    assert lcm.decode(np.zeros((3, 2))).shape == (3, 4)


def test_one_variable_is_a_model_too(small):
    system = ScalingSystem(1, seed=0)
    lcm = LatentCausalModel().fit(system.sample(1000), budget=small, progress=False)
    test = system.sample(500, seed=1)
    assert _mcc(lcm, test) > 0.999
    assert lcm.adjacency().tolist() == [[0]]
    assert lcm.check(test).ok
    np.testing.assert_allclose(lcm.intervene({"z1": 0.7}, x=test.x[:4]).causal, 0.7, rtol=1e-4)
    assert lcm.evaluate(test, dci_rows=200)["shd"] == 0


def test_known_targets_name_the_variables(system, train, held_out, small):
    relabelled = np.array([0, 3, 1, 2])[train.targets]
    pairs = InterventionPairs(train.x, train.x_after, targets=relabelled)
    known = np.arange(len(pairs)) % 10 == 0
    lcm = LatentCausalModel().fit(pairs.with_known_targets(known), budget=small, progress=False)
    inferred = lcm.infer_targets(held_out.x, held_out.x_after).argmax(1)
    assert (inferred == np.array([0, 3, 1, 2])[held_out.targets]).mean() > 0.99
    noise = lcm.encode(held_out.x).noise
    correlation = np.corrcoef(noise.T, held_out.noise.T)[:3, 3:]
    assert np.abs(correlation[[2, 0, 1], [0, 1, 2]]).min() > 0.999
    expected = system.adjacency[np.ix_([1, 2, 0], [1, 2, 0])]
    assert np.array_equal(lcm.adjacency(), expected)


def test_held_out_pairs_can_be_given(train, held_out, small):
    lcm = LatentCausalModel(names=["a", "b", "c"])
    assert lcm.fit(train[:400], validation=held_out, budget=small, progress=False) is lcm
    assert lcm.names == ("a", "b", "c")
    assert lcm.result.validation_loss is not None


@each_row(
    ("arguments", "message"),
    [
        ({"model": "icm"}, "^model: got 'icm'"),
        ({"model": "ilcm", "guide": torch.nn.Identity()}, "^guide: got one"),
        ({"model": torch.nn.Identity()}, "^guide: got none"),
        ({"dim_z": 0}, "^dim_z: got 0"),
        ({"names": ["a", "a"]}, "^names: got"),
        ({"names": ["a b"]}, "^names: got"),
        ({"names": ["a"], "dim_z": 2}, "^names: got 1, expected 2"),
        ({"options": {"width": 3}}, "^options: got 'width'"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentCausalModel(**arguments)


@each_row(
    ("make", "options", "message"),
    [
        ({}, {"validation": 1.5}, "^validation: got 1.5"),
        ({}, {"validation": 0.0}, "^validation: got 0.0"),
        ({"dim_z": 4}, {}, "^dim_z: got 4, expected 1 to 3"),
        ({"names": ["a", "b"]}, {}, "^names: got 2, expected 3"),
        ({}, {"phases": (), "budget": None}, "^phases: "),
        ({}, {"phases": ()}, "^budget: "),
        ({}, {"device": "quantum"}, "^device 'quantum'"),
        ({}, {"seed": -1}, "^seed: "),
        ({"options": {"min_scale": 2.0}}, {}, "^min_scale: "),
    ],
)
def test_options_that_do_not_fit_are_named(train, small, make, options, message):
    with pytest.raises(ValueError, match=message):
        LatentCausalModel(**make).fit(train, **({"budget": small, "progress": False} | options))


@each_row(
    ("change", "message"),
    [
        (lambda train: {"pairs": train[:20]}, r"^pairs: got 20"),
        (lambda train: {"pairs": IMAGES}, r"^x: got observations of shape \(2, 8, 8\)"),
        (
            lambda train: {"pairs": train, "validation": ScalingSystem(2, seed=0).sample(100)},
            r"^validation: got observations of shape",
        ),
        (lambda train: {"pairs": InterventionPairs(train.x, train.x)}, r"^x_after: got the same as x"),
        (
            lambda train: {
                "pairs": InterventionPairs(train.x, train.x_after, targets=np.full(len(train), 4)).with_known_targets()
            },
            "^targets: got 4, expected at most 3",
        ),
    ],
)
def test_pairs_that_do_not_fit_are_named(train, small, change, message):
    with pytest.raises(ValueError, match=message):
        LatentCausalModel().fit(**change(train), budget=small, progress=False)


@each_row("name", ["model", "guide", "dim_z", "names"])
def test_nothing_can_be_read_before_a_fit(name):
    with pytest.raises(RuntimeError, match="not fitted"):
        getattr(LatentCausalModel(dim_z=2, names=["a", "b"]), name)
