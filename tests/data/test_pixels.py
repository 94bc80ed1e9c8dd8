"""Layouts of images, and their units."""

import numpy as np
import pytest

from pyro_lcm.data.pixels import channels_first, is_image_shape, like_images, unit_range
from tables import each_row

RNG = np.random.default_rng(0)


def bytes_of(*shape):
    return RNG.integers(0, 256, size=shape).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_channels_at_the_end_come_first(channels, layout):
    images = bytes_of(5, 16, 24, channels)
    view = channels_first(images, "x", layout)
    np.testing.assert_array_equal(view, images.transpose(0, 3, 1, 2))
    assert np.shares_memory(view, images)


@pytest.mark.parametrize("shape", [(5, 3, 16, 24), (5, 1, 8, 8), (5, 4), (5, 16, 24), (5, 2, 16, 24), (5, 6, 8, 8)])
def test_the_rest_stays_as_it_is(shape):
    array = bytes_of(*shape)
    assert channels_first(array, "x") is array
    assert is_image_shape(shape[1:]) == (shape[1] in (1, 3) and len(shape) == 4)


def test_a_said_layout_decides_what_could_be_both():
    images = bytes_of(5, 3, 8, 3)
    assert channels_first(images, "x", "NCHW").shape == (5, 3, 8, 3)
    assert channels_first(images, "x", "NHWC").shape == (5, 3, 3, 8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_opacity_is_dropped(dtype, layout):
    images = RNG.random((70, 4, 8, 16)) if dtype == np.float32 else bytes_of(70, 4, 8, 16)
    images = images.astype(dtype)
    images[:, 3] = 1 if dtype == np.float32 else 255
    given = images if layout == "NCHW" else images.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(channels_first(given, "x"), images[:, :3])


REFUSED = {
    "both axes": ((5, 3, 8, 3), np.uint8, None, r"both the second and the last axis.*layout=\"NHWC\""),
    "no channels there": ((5, 3, 16, 24), np.uint8, "NHWC", r"layout: got 'NHWC'.*which makes 24 channels"),
    "no images": ((5, 16), np.uint8, "NHWC", r"layout: got 'NHWC' for x of shape \(5, 16\)"),
    "unknown layout": ((5, 3, 16, 24), np.uint8, "HWC", r"layout: got 'HWC', expected NCHW or NHWC"),
    "long integers": ((5, 3, 16, 24), np.int64, None, r"x: got images of int64, expected uint8"),
    "not opaque": ((5, 16, 24, 4), np.uint8, None, r"x: got 4 channels, the fourth from 0 to 0.*opaque \(255\)"),
}


@each_row(("shape", "dtype", "layout", "message"), REFUSED.values())
def test_what_is_refused(shape, dtype, layout, message):
    with pytest.raises(ValueError, match=message):
        channels_first(np.zeros(shape, dtype), "x", layout)


def test_bytes_of_images_are_units_and_nothing_else_is():
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(unit_range(images), (np.arange(256, dtype=np.float32) / 255).reshape(1, 1, 16, 16))
    assert unit_range(images, np.float64).dtype == np.float64
    for other in (bytes_of(4, 3), bytes_of(4, 2, 8, 8), RNG.random((4, 3, 8, 8))):
        assert unit_range(other) is other
        np.testing.assert_array_equal(unit_range(other, np.float64), other)


def test_images_are_brought_to_the_layout_that_is_known():
    first = bytes_of(4, 3, 16, 24)
    last = np.moveaxis(first, 1, -1)
    np.testing.assert_array_equal(like_images(last, (3, 16, 24), "x"), first)
    opaque = np.concatenate([last, np.full((4, 16, 24, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(like_images(opaque, (3, 16, 24), "x"), first)
    for same, shape in ((first, (3, 16, 24)), (bytes_of(4, 5), (5,)), (bytes_of(4, 3, 3, 3), (3, 3, 3))):
        assert like_images(same, shape, "x") is same  # also where both axes could be the channels
    with pytest.raises(ValueError, match="seen: got images of floats from 0 to 200, expected 0 to 1; divide by 255"):
        like_images(np.linspace(0, 200, 12).reshape(1, 2, 2, 3), (3, 2, 2), "seen")
