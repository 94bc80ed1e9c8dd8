"""Images reduced to a code: repeatable, invertible as far as the code goes, and as informative as it says."""

import numpy as np
import pytest
import torch

from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.causal_circuit import tiny_set
from pyro_lcm.images.reduction import ImageReduction, fit_reduction, reduce_images


class _First:
    """The first pairs of a set."""

    def __init__(self, images, number):
        self.images, self.number = images, number

    def __len__(self):
        return self.number

    def batch(self, index):
        return self.images.batch(index)


@pytest.fixture(scope="module")
def images():
    return tiny_set()


@pytest.fixture(scope="module")
def reduction(images):
    return fit_reduction(images, steps=1000, progress=False)[0]


def test_codes_tell_the_images(images, reduction):
    x, x_after = reduce_images(reduction, images)
    assert x.shape == x_after.shape == (400, 4)
    batch = images.batch(np.arange(200))["x"]
    with torch.no_grad():
        painted = reduction.decode(reduction.encode(batch))
    assert painted.shape == batch.shape
    explained = 1 - (painted - batch).square().mean() / (batch - batch.mean(0)).square().mean()
    assert explained > 0.8


def test_lamps_are_read_off_linearly_and_the_arm_is_unrolled(images, reduction):
    assert reduction.lines == 3
    x, _ = reduce_images(reduction, images)
    truth = images.truth()
    correlation = np.abs(np.corrcoef(x.T, truth["z"].T)[:4, 4:])
    assert correlation[3].argmax() == 3
    assert sorted(correlation[:3, :3].argmax(1)) == [0, 1, 2]
    assert correlation[:3].max(1).min() > 0.98
    order = np.argsort(truth["z"][:, 3])
    rising = np.diff(x[order][::20, 3])
    assert (rising > 0).all() or (rising < 0).all()


def test_a_saved_reduction_is_the_same(reduction, images, tmp_path):
    reduction.save(tmp_path / "reduction")
    again = ImageReduction.load(tmp_path / "reduction")
    batch = images.batch(np.arange(8))["x"]
    torch.testing.assert_close(again.encode(batch), reduction.encode(batch), rtol=0, atol=0)
    with pytest.raises(FileNotFoundError, match="no such run folder"):
        ImageReduction.load(tmp_path / "nowhere")


def test_pairs_take_their_truth_along(images, reduction):
    pairs = InterventionPairs(*reduce_images(reduction, images), **images.truth())
    same = pairs.targets == 0
    np.testing.assert_array_equal(pairs.x[same], pairs.x_after[same])


def test_the_same_seed_gives_the_same_reduction(images):
    few = _First(images, 64)
    first, second = (fit_reduction(few, steps=3, seed=5, progress=False)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_larger_images_are_averaged(reduction):
    small = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(reduction.encode(large), reduction.encode(small))


def test_what_is_out_of_range_is_named(images):
    with pytest.raises(ValueError, match="dim: got 40, expected 1 to 32"):
        ImageReduction(40)
    with pytest.raises(ValueError, match="lines: got 5, expected 0 to 4"):
        ImageReduction(4, lines=5)
    with pytest.raises(ValueError, match="images: got 32 by 32 pixels, expected at least 64"):
        ImageReduction().encode(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="pca_images: got 40, expected at least 64"):
        fit_reduction(images, pca_images=40)
    with pytest.raises(ValueError, match="images: got 10 pairs"):
        fit_reduction(_First(images, 10))
