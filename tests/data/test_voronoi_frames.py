"""Frames as Voronoi diagrams: each variable is the colour of its cell, and of no other."""

import numpy as np
import pytest

from pyro_lcm import VoronoiSystem
from pyro_lcm.data.voronoi_frames import render_voronoi, voronoi_cells


def test_every_number_has_a_cell_and_colours_it_alone():
    cells = voronoi_cells(4, 32, seed=3)
    assert set(np.unique(cells)) == {-1, 0, 1, 2, 3}
    base = render_voronoi(np.zeros((1, 4)), seed=3)[0]
    assert not base[:, cells == -1].any()
    for number in range(4):
        values = np.zeros((1, 4))
        values[0, number] = 1.0
        changed = (render_voronoi(values, seed=3)[0] != base).any(0)
        np.testing.assert_array_equal(changed, cells == number)


def test_different_values_look_different():
    values = np.linspace(-3, 3, 41)[:, None].repeat(2, 1)
    row, column = np.argwhere(voronoi_cells(2, 16, seed=0) == 0)[0]
    colours = render_voronoi(values, size=16)[:, :, row, column].astype(int)
    apart = np.abs(colours[:, None] - colours).max(-1) + 1000 * np.eye(41)
    assert apart.min() > 0


def test_systems_are_seen_as_images():
    vectors, images = (VoronoiSystem(2, seed=0, size=size).sample(40, episodes=2) for size in (None, 16))
    assert images.x.shape == (40, 3, 16, 16)
    assert images.x.dtype == np.uint8
    np.testing.assert_array_equal(images.z, vectors.z)
    np.testing.assert_array_equal(images.x, render_voronoi(vectors.x, size=16, seed=0))
    with pytest.raises(ValueError, match=r"^size: got 4, expected at least 8 pixels"):
        VoronoiSystem(2, seed=0, size=4)
