"""End to end from pixels: the density is that of all pixels, the programs are the parts, and all parts are trained."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from pyro_lcm import Budget, LatentCausalModel, ScalingSystem
from pyro_lcm.data.scenes import SceneSystem, find_scene
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.end_to_end import EndToEndObjective, Pixels, image_source, joined, with_causal
from pyro_lcm.process import random_state
from pyro_lcm.recipes.objective import RecipeObjective

FEW = Budget(refine=40, batch_size=32)


@pytest.fixture(scope="module")
def pairs():
    return SceneSystem(find_scene("discs"), seed=0, size=16).sample(300, seed=0)


@pytest.fixture(scope="module")
def fitted(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "fitted"
    few = Budget(code=20, fit=2, refine=2, solutions=2, reconstruct=2)
    LatentCausalModel(dim_z=4).fit(pairs, budget=few, progress=False, device="cpu", out=folder)
    return folder


@pytest.fixture
def lcm(fitted):
    return LatentCausalModel.load(fitted)


def test_the_density_is_that_of_all_pixels():
    images = torch.rand(60, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    code = ImageCode((3, 6, 6), 2, components=5)
    code.set_components(images)
    painted, sd = torch.randn(60, 5), torch.tensor(0.3)
    mean = (painted * code.scale @ code.basis.T + code.mean).reshape(images.shape)
    expected = Normal(mean, sd).log_prob(images).sum((1, 2, 3))
    found = Pixels(painted, sd, code).log_prob(code.project_all(images))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2)
    hypotheses = Pixels(painted.expand(3, 60, 5), sd, code)
    torch.testing.assert_close(hypotheses.log_prob(code.project_all(images)), found.expand(3, 60))


def test_the_programs_of_images_are_the_parts_one_after_the_other(pairs, lcm):
    units, model, guide = lcm.fitted.standardizer, lcm.fitted.model, lcm.fitted.guide
    before = guide.encoder, model.decoder
    source = image_source(units.code, pairs)
    x = source.batch(torch.arange(6))["x_after"]
    encoding = lcm.encode(pairs.x_after[:6])
    with joined(units, model, guide, source), torch.no_grad():
        noise = guide.encode(x).mean
        np.testing.assert_allclose(noise, encoding.noise, atol=1e-4)
        flat = model.x_dist(noise).mean[:, :-1] * units.code.scale @ units.code.basis.T + units.code.mean
        assert all(parameter.requires_grad for parameter in units.code.parameters())
        assert model.x_dist(torch.zeros(2, 5, 4)).batch_shape == (2, 5)
    painted = flat.clamp(0, 1).reshape(6, 3, 16, 16)
    np.testing.assert_allclose(painted, lcm.decode(encoding.noise), atol=1e-4)
    assert (guide.encoder, model.decoder) == before
    assert not any(parameter.requires_grad for parameter in units.code.parameters())


def test_a_pixel_begins_with_what_the_parts_leave_unexplained(pairs, lcm):
    units, model, guide = lcm.fitted.standardizer, lcm.fitted.model, lcm.fitted.guide
    with joined(units, model, guide, image_source(units.code, pairs)), torch.no_grad():
        sd = float(model.decoder.sd)
    painted = lcm.decode(lcm.encode(pairs.x).noise)
    assert sd == pytest.approx(np.sqrt(np.square(painted - pairs.x / 255).mean()), rel=0.02)


def test_causal_variables_are_held_to_those_of_the_fit(pairs, lcm):
    units, model, guide = lcm.fitted.standardizer, lcm.fitted.model, lcm.fitted.guide
    plain = image_source(units.code, pairs)
    rows, causal = torch.arange(50), lcm.encode(pairs.x_after).causal

    def loss(kind):
        with torch.no_grad(), random_state.isolated(0, torch.device("cpu")):
            return kind(model, guide)(source.batch(rows), size=50, index=rows, hypotheses=1)

    with joined(units, model, guide, plain):
        source = with_causal(model, guide, plain)
        np.testing.assert_allclose(source.tensors["causal_after"], causal, atol=1e-3)
        held, metrics = loss(EndToEndObjective)
        assert float(metrics["causal_moved"]) < 1e-9
        assert float(held) == pytest.approx(float(loss(RecipeObjective)[0]), rel=1e-6)
        with torch.no_grad():
            source.tensors["causal"].add_(0.5)  # of half of the observations, in each of four variables
        moved = float(loss(EndToEndObjective)[0]) - float(loss(RecipeObjective)[0])
        assert moved == pytest.approx(100 * 4 * 0.25 / 2, rel=1e-2)


def test_all_networks_are_trained_and_the_bound_of_images_rises(pairs, lcm, fitted, tmp_path):
    lcm.fine_tune(pairs, budget=FEW, end_to_end=True, progress=False, device="cpu", out=tmp_path / "run")
    assert [phase.name for phase in lcm.result.phases] == ["end to end", "solutions follow"]
    elbos = [row["validation_elbo"] for row in lcm.result.history if row.get("validation_elbo") is not None]
    assert elbos[-1] > elbos[0] + 1
    start = LatentCausalModel.load(fitted).fitted
    for before, after in (
        (start.standardizer.code.encoder, lcm.fitted.standardizer.code.encoder),
        (start.standardizer.code.decoder, lcm.fitted.standardizer.code.decoder),
        (start.guide.encoder.flow, lcm.fitted.guide.encoder.flow),
        (start.model.solution, lcm.fitted.model.solution),
    ):
        old, new = before.state_dict(), after.state_dict()
        assert old.keys() == new.keys()
        assert not all(torch.equal(old[name], new[name]) for name in old)
    assert torch.equal(start.standardizer.code.basis, lcm.fitted.standardizer.code.basis)
    again = LatentCausalModel.load(tmp_path / "run")
    np.testing.assert_array_equal(again.encode(pairs.x[:20]).causal, lcm.encode(pairs.x[:20]).causal)
    assert again.intervene({"z2": 1.0}, x=pairs.x[:2]).x.shape == (2, 3, 16, 16)


def test_the_tolerance_of_programs_of_codes_comes_back(pairs, lcm):
    fitted = lcm.fitted
    with torch.no_grad():
        before = float(fitted.guide.encoder.tolerance)
        with joined(fitted.standardizer, fitted.model, fitted.guide, image_source(fitted.standardizer.code, pairs)):
            fitted.guide.encoder.encoder.set_tolerance(0.5)
            assert float(fitted.guide.encoder.encoder.tolerance) > 0.4
        assert float(fitted.guide.encoder.tolerance) == pytest.approx(before, rel=1e-4)


def test_models_without_targets_are_trained_too(pairs, fitted):
    code = LatentCausalModel.load(fitted).fitted.standardizer.code
    few = Budget(fit=2, refine=40, batch_size=32)
    model = LatentCausalModel("beta_vae", dim_z=4).fit(pairs, budget=few, code=code, progress=False, device="cpu")
    model.fine_tune(pairs, budget=few, end_to_end=True, progress=False, device="cpu")
    assert [phase.name for phase in model.result.phases] == ["end to end"]


def test_vectors_are_refused():
    vectors = ScalingSystem(2, seed=0).sample(200)
    model = LatentCausalModel().fit(vectors, budget=Budget(refine=2), progress=False)
    with pytest.raises(ValueError, match="end_to_end: got True for observations of shape"):
        model.fine_tune(vectors, end_to_end=True, progress=False)
