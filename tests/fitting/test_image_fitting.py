"""Codes of images in folders: read when they are finished, gone on with when they were cut off, not mixed up."""

import numpy as np
import pytest
import torch

from pyro_lcm.data.scenes import SceneSystem, find_scene
from pyro_lcm.fitting import image_fitting
from pyro_lcm.fitting.image_fitting import code_pairs, find_code
from pyro_lcm.images.code import ImageCode
from pyro_lcm.storage.run_folder import CONFIG, TENSORS

OPTIONS = {"seed": 0, "device": "cpu", "progress": False, "steps": 12}


@pytest.fixture(scope="module")
def pairs():
    return SceneSystem(find_scene("discs"), seed=0, size=16).sample(120, seed=0)


@pytest.fixture
def made(pairs, tmp_path):
    return find_code(pairs[:100], 4, out=tmp_path, **OPTIONS)


def _same(first, second):
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_a_finished_code_is_read(pairs, made, tmp_path, monkeypatch):
    monkeypatch.setattr(image_fitting, "fit_code", None)
    _same(find_code(pairs[:100], 4, out=tmp_path, resume=True, **OPTIONS), made)


def test_one_that_was_cut_off_is_gone_on_with(pairs, made, tmp_path):
    for name in (CONFIG, TENSORS):
        (tmp_path / "code" / name).unlink()
    _same(find_code(pairs[:100], 4, out=tmp_path, resume=True, **OPTIONS), made)
    assert (tmp_path / "code" / TENSORS).is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "holds a run; resume it"),
        ({"resume": True, "seed": 1}, "holds a code that was fitted with another seed"),
        ({"resume": True, "steps": 13}, "another steps"),
        ({"resume": True, "dim": 3}, "another dim"),
        ({"resume": True, "first": 1}, "another data"),
    ],
)
def test_another_code_is_not_taken_for_it(pairs, made, tmp_path, change, message):
    options = OPTIONS | change
    dim, first = options.pop("dim", 4), options.pop("first", 0)
    with pytest.raises(ValueError, match=message):
        find_code(pairs[first : first + 100], dim, out=tmp_path, **options)


def test_pairs_of_codes(pairs, made):
    coded = code_pairs(made, pairs[:100].with_known_targets(), pairs[100:], mode="whiten", device="cpu")
    with torch.no_grad():
        expected = made.encode(pairs[:100].batch(slice(None))["x_after"])
    np.testing.assert_allclose(coded.training.x_after, expected, atol=1e-6)
    np.testing.assert_array_equal(coded.training.known_targets, pairs.targets[:100])
    assert coded.held_out.observation_shape == (4,)
    training, held_out = coded.sources(double=True)
    assert (len(training), len(held_out)) == (100, 20)
    assert training.tensors["features"].dtype == torch.float64
    with torch.no_grad():
        expected = made.project(pairs[100:].batch(slice(None))["x_after"]).double()
    torch.testing.assert_close(held_out.tensors["features_after"], expected, atol=1e-5, rtol=0)
    standardized = np.concatenate([coded.units.transform(side) for side in (pairs.x[:100], pairs.x_after[:100])])
    np.testing.assert_allclose(np.cov(standardized.T, bias=True), np.eye(4), atol=1e-3)
    with pytest.raises(ValueError, match=r"code: got one of images of shape \(3, 8, 8\)"):
        code_pairs(ImageCode((3, 8, 8), 4), pairs[:100], pairs[100:], mode="whiten")
