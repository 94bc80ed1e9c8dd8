"""Averages over areas, against means of blocks and integrals of a ramp."""

import numpy as np
import pytest

from pyro_lcm.data.averaging import AveragedImages, averaged, smaller_size
from pyro_lcm.data.pixels import unit_range
from tables import each_row

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, size=(4, 3, 24, 36)).astype(np.uint8)


@pytest.mark.parametrize("size", [(8, 12), (12, 36), (24, 9), (1, 1)])
def test_whole_factors_are_means_of_blocks(size):
    height, width = size
    blocks = (BYTES / 255).reshape(4, 3, height, 24 // height, width, 36 // width)
    np.testing.assert_array_equal(averaged(BYTES, size), blocks.mean(axis=(3, 5)).astype(np.float32))
    np.testing.assert_allclose(averaged(unit_range(BYTES), size), blocks.mean(axis=(3, 5)), atol=1e-6)


@pytest.mark.parametrize("size", [(10, 12), (16, 20), (23, 35)])
def test_other_factors_are_shares_of_pixels(size):
    found = averaged(BYTES, size)
    np.testing.assert_allclose(found.mean(axis=(2, 3)), unit_range(BYTES).mean(axis=(2, 3)), atol=1e-6)
    ramp = np.broadcast_to(np.arange(36, dtype=np.float32) / 36, (1, 1, 24, 36)).copy()
    edges = np.arange(size[1] + 1) * 36 / size[1]
    whole = np.concatenate([[0.0], np.cumsum(np.arange(36) / 36)])
    means = np.diff(np.interp(edges, np.arange(37), whole)) * size[1] / 36
    np.testing.assert_allclose(averaged(ramp, size)[0, 0, 0], means, atol=1e-6)


def test_layout_and_batch_make_no_difference():
    for size in ((8, 12), (10, 13)):
        strided = np.ascontiguousarray(BYTES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(averaged(strided, size), averaged(BYTES, size))
        lazy = AveragedImages(BYTES, size)
        np.testing.assert_array_equal(lazy[[3, 1]], averaged(BYTES, size)[[3, 1]])


@pytest.mark.parametrize(
    ("size", "full", "expected"),
    [(12, (24, 36), (12, 18)), (12, (36, 24), (18, 12)), (24, (24, 36), (24, 36)), ((5, 7), (24, 36), (5, 7))],
)
def test_one_number_is_the_shorter_side(size, full, expected):
    assert smaller_size(size, full) == expected


@each_row(
    ("size", "message"),
    [
        (64, r"size: got 64 by 96 for images of 24 by 36 pixels, expected at least 1 and at most"),
        (0, "size: got 0 by 0"),
        ((24, 37), "size: got 24 by 37"),
        (13, r"size: got 13 for images of 24 by 36 pixels, whose longer side would become 19\.50.*\(16, 16\)"),
        ((1, 2, 3), r"size: got \(1, 2, 3\), expected one number or height and width"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        AveragedImages(BYTES, size)


def test_only_images_are_averaged():
    with pytest.raises(ValueError, match=r"size: got one for observations of shape \(5,\)"):
        AveragedImages(np.zeros((3, 5)), 2)
