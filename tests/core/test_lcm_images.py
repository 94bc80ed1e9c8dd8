"""The user's class on images: by the same words as on vectors, in units of images."""

import shutil

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel
from pyro_lcm.data.scenes import SceneSystem, find_scene
from pyro_lcm.images.units import ImageUnits
from pyro_lcm.storage.run_folder import CONFIG, TENSORS

BUDGET = Budget(fit=15, refine=5, solutions=5, code=150, batch_size=64)


@pytest.fixture(scope="module")
def pairs():
    return SceneSystem(find_scene("discs"), seed=0, size=16).sample(400, seed=0)


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "run"
    lcm = LatentCausalModel(dim_z=4, names=("a", "b", "c", "d"))
    return lcm.fit(pairs, out=folder, budget=BUDGET, device="cpu", progress=False), folder


def _last(pairs):
    return np.ascontiguousarray(np.moveaxis(pairs.x, 1, -1))


def test_images_are_encoded_as_pairs_take_them(run, pairs):
    lcm, _ = run
    found = lcm.encode(pairs.x)
    assert found.causal.shape == (400, 4)
    for same in (_last(pairs), pairs.x.astype(np.float32) / 255, torch.from_numpy(pairs.x)):
        np.testing.assert_allclose(lcm.encode(same).noise, found.noise, atol=1e-4)
    targets = lcm.infer_targets(pairs.x, pairs.x_after)
    assert targets.shape == (400, 5)
    np.testing.assert_allclose(lcm.infer_targets(pairs.x, pairs.x_after / 255), targets, atol=1e-3)


def test_images_come_out_in_their_units(run, pairs):
    lcm, _ = run
    assert isinstance(lcm.fitted.standardizer, ImageUnits)
    noise = lcm.encode(pairs.x).noise
    painted = lcm.decode(noise)
    assert painted.shape == pairs.x.shape
    assert painted.dtype == np.float32
    assert (painted.min() >= 0) & (painted.max() <= 1)
    true = pairs.x / 255.0
    share = 1 - np.square(true - painted).sum() / np.square(true - true.mean(0)).sum()
    assert lcm.fitted.explained(_last(pairs), noise) == pytest.approx(share, abs=1e-4)
    drawn = lcm.sample(7, seed=1)
    assert drawn.image_shape == (3, 16, 16)


def test_worlds_are_of_images(run, pairs):
    lcm, _ = run
    x = _last(pairs)[:3]
    nothing = lcm.counterfactual(x, {})
    np.testing.assert_allclose(nothing.x, pairs.x[:3] / 255, atol=1e-5)
    set_to = lcm.intervene({"b": 0.5}, x=x)
    np.testing.assert_allclose(set_to.causal[:, 1], 0.5, atol=1e-4)
    np.testing.assert_allclose(set_to.x_before, pairs.x[:3] / 255, atol=1e-6)
    np.testing.assert_allclose(set_to.x, lcm.decode(set_to.noise), atol=1e-4)
    plans = [lcm.plan(x, goal, {"a": [0.0, 1.0]}).loss for goal in (x[0], pairs.x[0] / 255, x[:1].repeat(3, axis=0))]
    np.testing.assert_allclose(plans[0], plans[1], atol=1e-6)
    np.testing.assert_allclose(plans[0], plans[2], atol=1e-6)


def test_a_run_is_read_without_its_images(run, pairs, tmp_path):
    lcm, folder = run
    for name in (CONFIG, TENSORS):
        shutil.copy(folder / name, tmp_path)
    again = LatentCausalModel.load(tmp_path)
    np.testing.assert_array_equal(again.encode(pairs.x).causal, lcm.encode(pairs.x).causal)
    assert again.elbo(pairs) == pytest.approx(lcm.elbo(pairs), abs=1e-4)


def test_a_run_is_gone_on_with_from_its_code(run, pairs, tmp_path):
    lcm, folder = run
    shutil.copytree(folder / "code", tmp_path / "code")
    again = LatentCausalModel(dim_z=4, names=lcm.names).fit(
        pairs, out=tmp_path, budget=BUDGET, device="cpu", progress=False, resume=True
    )
    np.testing.assert_array_equal(again.encode(pairs.x).causal, lcm.encode(pairs.x).causal)


def test_a_memory_map_gives_the_same(run, pairs, tmp_path):
    lcm, _ = run
    pairs.save(tmp_path / "pairs.npz")
    mapped = InterventionPairs.load(tmp_path / "pairs.npz", mmap=True)
    code = lcm.fitted.standardizer.code
    fits = [
        LatentCausalModel(dim_z=4).fit(source, budget=BUDGET, device="cpu", progress=False, code=code)
        for source in (pairs, mapped)
    ]
    reports = [fit.check(source[np.arange(60)]) for fit, source in zip(fits, (pairs, mapped), strict=True)]
    assert reports[0].to_text() == reports[1].to_text()
    assert fits[0].evaluate(pairs)["mcc"] == fits[1].evaluate(mapped)["mcc"]


@pytest.mark.parametrize(
    ("build", "fit", "message"),
    [
        ({}, {}, "dim_z: got none for images, expected their number"),
        ({"model": "soft_ilcm_known", "dim_z": 4}, {}, "soft_ilcm_known|targets"),
        ({"dim_z": 4, "options": {"hidden": (-1,)}}, {}, "hidden"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_code_is_fitted(pairs, tmp_path, build, fit, message):
    with pytest.raises(ValueError, match=message):
        LatentCausalModel(**build).fit(pairs, out=tmp_path / "run", **fit)
    assert not (tmp_path / "run").exists()


def test_a_code_is_for_images(run):
    lcm, _ = run
    vectors = np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(ValueError, match="code: got one, expected none"):
        LatentCausalModel().fit(InterventionPairs(vectors, vectors[::-1]), code=lcm.fitted.standardizer.code)
    with pytest.raises(ValueError, match=r"x: got shape \(5, 3, 8, 8\), expected \(N, 3, 16, 16\)"):
        lcm.encode(np.zeros((5, 3, 8, 8)))
    with pytest.raises(ValueError, match="x: got images of floats from 0 to 255"):
        lcm.encode(np.linspace(0, 255, 3 * 256).reshape(1, 3, 16, 16))
