"""A model by name takes a model, a guide and one specification: names, options, commands and studies follow from it."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from pyro_lcm import Budget, LatentCausalModel, simulate_scaling
from pyro_lcm.build import coder, solution
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.recipes.implicit import identify
from pyro_lcm.registry import SPECS, ModelSpec

FEW = Budget(refine=10)


class Toy(ILCM):
    """In a file of its own, in ``models/``."""


class ToyGuide(ILCMGuide):
    """In a file of its own, in ``guides/``."""


def build_toy(architecture):
    encoder, decoder = coder(architecture)
    model = Toy(architecture.dim_z, decoder, solution(architecture))
    return model, ToyGuide(architecture.dim_z, encoder, redrawn_dist=model.redrawn_dist)


TOY = ModelSpec(
    "toy",
    build_toy,
    lambda a, budget, linear: identify(budget, dim=a.dim_z, wide=a.wide, linear=linear, invertible=a.invertible),
    most=3,
    methods={"toy": {}, "toy_wide_scale": {"min_scale": 0.2}},
)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(SPECS, "toy", TOY)


def test_it_is_fitted_saved_and_loaded_by_name(toy, tmp_path):
    pairs = simulate_scaling(dim=2, n=2000, seed=0)
    model = LatentCausalModel("toy").fit(pairs, budget=FEW, seed=0, progress=False)
    assert type(model.model) is Toy
    assert model.evaluate(pairs, dci_rows=300)["mcc"] > 0.99
    model.save(tmp_path)
    np.testing.assert_array_equal(LatentCausalModel.load(tmp_path).encode(pairs.x).causal, model.encode(pairs.x).causal)


def test_its_limits_are_kept(toy):
    with pytest.raises(ValueError, match=r"^dim_z: got 4, expected at most 3 for toy"):
        LatentCausalModel("toy").fit(simulate_scaling(dim=4, n=500, seed=0), budget=FEW, progress=False)


def test_without_a_specification_there_is_no_such_model():
    with pytest.raises(ValueError, match=r"^model: got 'toy', expected one of ilcm"):
        LatentCausalModel("toy")


def test_commands_and_studies_know_it(tmp_path):
    study = ["benchmark", "models", "--methods", "toy", "toy_wide_scale", "--data", "scaling", "--dims", "2"]
    study += ["--data-seeds", "0", "--model-seeds", "0", "--processes", "1", "--out", "study", "--n", "600"]
    calls = [
        ["train", "--help"],
        ["simulate", "scaling", "--dim", "2", "--seed", "0", "--n", "600", "--out", "data"],
        ["train", "data/train.npz", "--model", "toy", "--budget.refine", "5", "--out", "run"],
        [*study, "--n-test", "300", "--dci-rows", "200", "--budget.refine", "5"],
    ]
    # In a process of its own: options take the names of models when they are imported.
    script = f"""
        import sys
        sys.path.insert(0, {str(__file__).rpartition("/")[0]!r})
        from test_new_model import SPECS, TOY
        SPECS["toy"] = TOY
        from pyro_lcm.cli import main
        from pyro_lcm.studies.study import METHODS
        assert "toy_wide_scale" in METHODS
        for call in {calls!r}:
            try:
                code = main(call)
            except SystemExit as end:  # of --help
                code = end.code
            assert not code, call
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ",toy}" in done.stdout.replace("\n", "").replace(" ", "")
