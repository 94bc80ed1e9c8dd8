"""End to end from pixels: the composition is the parts, and training it on whole images raises its ELBO."""

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, LatentCausalModel, random_state
from pyro_lcm.data.causal_circuit import tiny_set
from pyro_lcm.images.end_to_end import fit_end_to_end, on_pixels
from pyro_lcm.images.reduction import fit_reduction, reduce_images
from pyro_lcm.training.objective import PairObjective


@pytest.fixture(scope="module")
def images():
    return tiny_set()


@pytest.fixture(scope="module")
def parts(images):
    reduction, _ = fit_reduction(images, steps=200, progress=False)
    pairs = images.with_vectors(*reduce_images(reduction, images))
    few = Budget(unmix=20, refine=20, solutions=5)
    return reduction, pairs, LatentCausalModel("ilcm").fit(pairs, budget=few, progress=False)


def test_the_programs_of_images_are_the_parts_one_after_the_other(images, parts):
    reduction, pairs, lcm = parts
    model, guide = on_pixels(lcm.fitted, reduction)
    x = images.batch(np.arange(6))["x"]
    encoding = lcm.encode(pairs.x[:6])
    torch.testing.assert_close(guide.encode(x).mean.detach(), torch.from_numpy(encoding.noise), rtol=1e-4, atol=1e-4)
    painted = reduction.decode(torch.from_numpy(lcm.decode(encoding.noise)))
    torch.testing.assert_close(model.x_dist(guide.encode(x).mean).mean, painted, rtol=1e-3, atol=1e-3)
    assert model.x_dist(torch.zeros(2, 5, 4)).batch_shape == (2, 5)


def test_training_raises_the_elbo_of_images_and_leaves_the_parts_alone(images, parts):
    reduction, _, lcm = parts
    before = {key: value.clone() for key, value in reduction.state_dict().items()}
    model, guide = on_pixels(lcm.fitted, reduction)
    batch = images.batch(np.arange(100))
    index = torch.arange(100)

    def error(model, guide):
        x = batch["x"]
        return (model.x_dist(guide.encode(x).mean).mean - x).square().mean().item()

    trained, trained_guide, result = fit_end_to_end(
        lcm.fitted, reduction, images, steps=60, batch_size=16, learning_rate=1e-3, progress=False
    )
    assert result.steps == 60
    assert error(trained, trained_guide) < 0.95 * error(model, guide)
    with torch.no_grad(), random_state.isolated(0, torch.device("cpu")):
        loss = PairObjective(trained, trained_guide)(batch, size=100, index=index, hypotheses=1)[0]
        decoder = model.decoder
        decoder.log_sd.copy_(trained.decoder.log_sd)
        first = PairObjective(model, guide)(batch, size=100, index=index, hypotheses=1)[0]
    assert loss < first
    assert all(torch.equal(before[key], value) for key, value in reduction.state_dict().items())


def test_a_run_of_other_parts_is_not_gone_on_with(images, parts, tmp_path):
    reduction, pairs, lcm = parts
    some = {"steps": 2, "batch_size": 8, "progress": False, "out": tmp_path / "run"}
    fit_end_to_end(lcm.fitted, reduction, images, **some)
    other = LatentCausalModel("ilcm").fit(pairs, seed=1, budget=Budget(unmix=2, refine=2, solutions=2), progress=False)
    with pytest.raises(ValueError, match="parts"):
        fit_end_to_end(other.fitted, reduction, images, **some, resume=True)


def test_parts_that_do_not_belong_together_are_refused(images, parts):
    reduction, pairs, _ = parts
    other = LatentCausalModel("dvae").fit(pairs, budget=Budget(unmix=2, refine=2), progress=False)
    with pytest.raises(ValueError, match="fitted: got a model of the kind DVAE, expected ILCM"):
        on_pixels(other.fitted, reduction)
