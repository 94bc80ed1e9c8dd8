"""Content and style by name: fitted, read, scored, saved, loaded; blocks without labels."""

from dataclasses import replace

import numpy as np
import pytest

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel, simulate_scaling
from pyro_lcm.data.content_style import ContentStyleSystem
from tables import each_row

FEW = Budget(fit=200, refine=30, batch_size=128)


@pytest.fixture(scope="module")
def linear():
    """A system, a model and test pairs."""
    system = ContentStyleSystem(2, 3, seed=0, statistical=True, causal=True, mixing="linear")
    model = LatentCausalModel("content_style").fit(system.sample(3000), budget=FEW, seed=0, progress=False)
    return model, system.sample(1000, seed=1)


def test_of_a_linear_mixture_content_is_found_exactly_and_its_size_too(linear):
    model, test = linear
    scores = model.evaluate(test)
    assert model.blocks().content == ("z1", "z2")
    assert scores["content"] == 2
    assert scores["r2_content_linear"] > 0.9999
    assert abs(scores["r2_style_linear"] - scores["r2_style_by_content_linear"]) < 1e-3
    assert model.blocks(test).content == ("z1", "z2")
    np.testing.assert_allclose(model.blocks(test).agreement, model.blocks().agreement, atol=0.05)


def test_the_most_agreeing_latents_are_taken_where_fewer_are_asked_for(linear):
    _, test = linear
    model = LatentCausalModel("content_style", dim_z=1).fit(test, budget=FEW, seed=0, progress=False)
    assert model.blocks().content == ("z1",)
    assert model.blocks(test).agreement[0] > 0.9999


@pytest.mark.parametrize("contrast", ["max_entropy", "info_nce"])
def test_through_a_bend_content_is_found_by_either_objective(contrast):
    system = ContentStyleSystem(1, 1, seed=0, mixing="tanh_residual")
    model = LatentCausalModel("content_style", dim_z=1, options={"contrast": contrast, "hidden": (32, 32)})
    model.fit(system.sample(3000), budget=replace(FEW, fit=250), seed=0, progress=False)
    scores = model.evaluate(system.sample(600, seed=1))
    assert scores["r2_content"] > 0.95
    assert scores["r2_style"] < 0.15


def test_a_loaded_model_is_the_saved_one(linear, tmp_path):
    model, test = linear
    model.save(tmp_path)
    loaded = LatentCausalModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.encode(test.x).causal, model.encode(test.x).causal)
    np.testing.assert_array_equal(loaded.blocks().is_content, model.blocks().is_content)
    assert loaded.elbo(test) == model.elbo(test)


def test_pairs_are_sampled_and_agree_as_much_as_they_should(linear):
    model, _ = linear
    pairs = model.sample(3000, seed=0)
    agreement = [np.corrcoef(a, b)[0, 1] for a, b in zip(pairs.noise.T, pairs.noise_after.T, strict=True)]
    np.testing.assert_allclose(agreement, model.blocks().agreement, atol=0.05)
    assert pairs.targets is None


def test_truth_that_is_missing_is_none(linear):
    model, test = linear
    scores = model.evaluate(InterventionPairs(test.x, test.x_after))
    assert scores["r2_content"] is None
    assert scores["elbo"] == pytest.approx(model.elbo(test), abs=1e-3)


def test_it_goes_on_with_other_pairs(linear):
    model, test = linear
    before = model.elbo(test)
    model.fine_tune(test, budget=Budget(refine=30, batch_size=128), progress=False)
    assert model.elbo(test) > before
    assert model.blocks().content == ("z1", "z2")


def test_what_is_of_single_variables_is_refused(linear):
    model, test = linear
    with pytest.raises(ValueError, match=r"^model: got content_style, whose blocks"):
        model.check(test)
    with pytest.raises(ValueError, match="no graph"):
        model.adjacency()
    with pytest.raises(ValueError, match="no intervention targets"):
        model.infer_targets(test.x, test.x_after)
    pairs = simulate_scaling(dim=2, n=500, seed=0)
    other = LatentCausalModel("beta_vae").fit(pairs, budget=Budget(fit=2, refine=2), progress=False)
    with pytest.raises(ValueError, match=r"^model: got beta_vae, which has no blocks"):
        other.blocks()


@each_row(
    ("options", "shape", "message"),
    [
        ({"options": {"contrast": "none"}}, (3,), "^contrast: got 'none'"),
        ({"dim_z": 4}, (3,), "^dim_z: got 4, expected 1 to 3"),
        ({}, (3, 16, 16), "^dim_z: got none for images"),
        ({"dim_z": 2}, (3, 16, 24), r"^x: got observations of shape \(3, 16, 24\)"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(options, shape, message):
    x = np.random.default_rng(0).random((2, 100, *shape), dtype=np.float32)
    with pytest.raises(ValueError, match=message):
        LatentCausalModel("content_style", **options).fit(InterventionPairs(*x), budget=FEW, progress=False)


def test_images_are_encoded_as_they_are():
    x = np.random.default_rng(0).random((2, 60, 3, 8, 8), dtype=np.float32)
    few = Budget(fit=2, refine=2, batch_size=16)
    model = LatentCausalModel("content_style", dim_z=2).fit(InterventionPairs(*x), budget=few, progress=False)
    assert model.encode(x[0]).causal.shape == (60, 2)
