"""The same on a GPU, where there is one: no step waits, fits are as good, runs resume, a CPU reads what is saved."""

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, LatentCausalModel
from pyro_lcm.data import ScalingSystem
from pyro_lcm.data.scenes import simulate_shapes
from pyro_lcm.registry import SPECS
from pyro_lcm.training.recorded import recorded
from recipe_steps import MODELS, gradients_of, steps

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize(("name", "invertible"), MODELS)
def test_no_step_waits_for_the_gpu(name, invertible):
    for _, step in steps(name, invertible, "cuda"):
        step()  # an objective may look at its programs once
        torch.cuda.set_sync_debug_mode("error")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("name", "invertible"), MODELS)
def test_a_recorded_step_is_the_step(name, invertible, caplog):
    for phase, parameters, gradients, index in gradients_of(name, invertible, "cuda"):
        torch.cuda.manual_seed(1)
        plain = {key: value.item() for key, value in gradients(index, 0.0).items()}
        grads = [None if parameter.grad is None else parameter.grad.clone() for parameter in parameters]
        torch.cuda.manual_seed(1)
        replay = recorded(gradients, index.flip(0), parameters)
        assert not caplog.records, phase
        for _ in range(2):
            torch.cuda.manual_seed(1)
            again = {key: value.item() for key, value in replay(index, 0.0).items()}
            assert again == pytest.approx(plain, rel=1e-3, abs=1e-4), phase
        for parameter, grad in zip(parameters, grads, strict=True):
            assert (parameter.grad is None) == (grad is None)
            assert grad is None or torch.allclose(parameter.grad, grad, rtol=1e-2, atol=1e-3), phase


@pytest.fixture(scope="module")
def pairs():
    return ScalingSystem(3, seed=0).sample(4000, seed=0)


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if not spec.temporal])
def test_every_model_fits_on_a_gpu_and_is_used_on_a_cpu(name, pairs, tmp_path):
    given = pairs.with_known_targets(np.ones(len(pairs), dtype=bool)) if SPECS[name].known_targets else pairs
    budget = Budget(fit=30, reconstruct=10, refine=10, solutions=10, batch_size=64)
    model = LatentCausalModel(name, dim_z=3).fit(given, budget=budget, device="cuda", out=tmp_path, progress=False)
    again = LatentCausalModel.load(tmp_path)
    x = pairs.x[:100]
    assert np.allclose(model.encode(x).noise, again.encode(x).noise, atol=1e-4)


def test_a_linear_system_is_found_on_a_gpu(pairs):
    model = LatentCausalModel("ilcm").fit(pairs, device="cuda", progress=False)
    scores = model.evaluate(ScalingSystem(3, seed=0).sample(2000, seed=1))
    assert scores["disentanglement"] > 0.98
    assert scores["shd"] == 0


def test_a_run_is_gone_on_with_on_a_gpu(pairs, tmp_path):
    whole = LatentCausalModel("ilcm").fit(pairs, device="cuda", out=tmp_path / "whole", progress=False)
    cut = LatentCausalModel("ilcm")
    cut.fit(pairs, device="cuda", out=tmp_path / "cut", progress=False)
    for name in ("config.yaml", "model.safetensors"):
        (tmp_path / "cut" / name).unlink()
    again = LatentCausalModel("ilcm").fit(pairs, device="cuda", out=tmp_path / "cut", resume=True, progress=False)
    assert np.allclose(whole.encode(pairs.x).noise, again.encode(pairs.x).noise, atol=1e-3)


def test_images_are_fitted_on_a_gpu(tmp_path):
    pairs = simulate_shapes("discs", 600, seed=0, size=16)
    budget = Budget(fit=10, reconstruct=10, refine=10, solutions=10, code=40)
    model = LatentCausalModel("ilcm", dim_z=4).fit(pairs, budget=budget, device="cuda", out=tmp_path, progress=False)
    assert np.isfinite(model.encode(pairs.x[:20]).noise).all()
