"""Painted shapes against geometry: areas, middles, directions, colours, what lies in front."""

import numpy as np
import pytest

from pyro_lcm.data.scenes import Arc, Background, Shape, ShapesScene
from pyro_lcm.data.scenes.outlines import OUTLINES
from pyro_lcm.data.scenes.paint import colours
from tables import each_row

BLACK = Background(level=0.0)
AREAS = {
    "disc": np.pi,
    "ring": np.pi * (1 - 0.48**2),
    "square": 1.7**2,
    "rectangle": 1.6,
    "triangle": 0.5 * 1.4 * 1.75,
}


def opacity(scene, z, size=64):
    """How much of each pixel a single white shape on black covers."""
    return scene.renderer(size).paint(z)[..., 0] / 255


def white(**attributes):
    return ShapesScene(name="s", shapes=(Shape(**attributes, saturation=0.0, brightness=1.0),), background=BLACK)


@pytest.mark.parametrize("outline", AREAS)
def test_the_area_is_that_of_the_outline_wherever_it_is(outline):
    scene = white(outline=outline, x=Arc("x", 0.25, 0.75), y=Arc("y", 0.25, 0.75), size=0.2)
    z = np.random.default_rng(0).uniform(0, 1, (50, 2))
    area = opacity(scene, z).sum(axis=(1, 2)) / (0.2 * 64) ** 2
    np.testing.assert_allclose(area, AREAS[outline], rtol=0.02)


@pytest.mark.parametrize("outline", ["disc", "ring", "square", "rectangle"])
def test_the_middle_is_where_the_variables_say_to_a_tenth_of_a_pixel(outline):
    scene = white(outline=outline, x=Arc("x", 0.2, 0.8), y=Arc("y", 0.8, 0.2), size=0.15)
    z = np.random.default_rng(0).uniform(0, 1, (50, 2))
    covered = opacity(scene, z)
    at = np.arange(64) + 0.5
    total = covered.sum(axis=(1, 2))
    x, y = (covered * at).sum(axis=(1, 2)) / total, (covered * at[:, None]).sum(axis=(1, 2)) / total
    np.testing.assert_allclose(x / 64, 0.2 + 0.6 * z[:, 0], atol=0.1 / 64)
    np.testing.assert_allclose(y / 64, 0.8 - 0.6 * z[:, 1], atol=0.1 / 64)


@pytest.mark.parametrize("outline", ["pin", "rectangle"])
def test_long_shapes_point_where_the_angle_says(outline):
    scene = white(outline=outline, size=0.35, angle=Arc("a", -40, 40))
    z = np.linspace(0, 1, 21)[:, None]
    covered = opacity(scene, z)
    at = np.arange(64) + 0.5
    total = covered.sum(axis=(1, 2))
    x, y = (covered * at).sum(axis=(1, 2)) / total, (covered * at[:, None]).sum(axis=(1, 2)) / total
    right, down = at - x[:, None], at - y[:, None]
    xx, yy = (covered * right[:, None, :] ** 2).sum(axis=(1, 2)), (covered * down[:, :, None] ** 2).sum(axis=(1, 2))
    xy = (covered * right[:, None, :] * down[:, :, None]).sum(axis=(1, 2))
    np.testing.assert_allclose(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)), -40 + 80 * z[:, 0], atol=0.5)
    if outline == "pin":  # its heavy end is ahead
        assert (x > 32).all()


def test_every_outline_keeps_to_its_reach_and_its_period():
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-1.5, 1.5, (2, 20_000)).astype(np.float32)
    for name, outline in OUTLINES.items():
        inside = outline.distance(u, v) < 0
        assert np.hypot(u, v)[inside].max() <= outline.reach, name
        assert np.hypot(u, v)[inside].max() > 0.9 * outline.reach, name
        for turn in (90.0, 180.0, 360.0):
            c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            turned = outline.distance((c * u + s * v).astype(np.float32), (c * v - s * u).astype(np.float32))
            same = np.allclose(turned, outline.distance(u, v), atol=1e-5)
            assert same == (outline.period == 0 or turn % outline.period == 0), (name, turn)


def test_hue_and_brightness_are_the_colour_of_the_middle():
    shape = Shape(outline="disc", size=0.2, hue=Arc("hue", 0.0, 0.6), brightness=Arc("light", 0.3, 1.0))
    scene = ShapesScene(name="s", shapes=(shape,))
    z = np.random.default_rng(0).uniform(0, 1, (30, 2))
    expected = colours(0.6 * z[:, 0], 0.3 + 0.7 * z[:, 1], 0.85)
    assert np.abs(scene.renderer(64).render(z)[:, 32, 32] - expected).max() <= 0.5
    for channel in range(3):
        cosine = np.cos(2 * np.pi * (0.6 * z[:, 0] - channel / 3))
        formula = 255 * (0.3 + 0.7 * z[:, 1]) * (1 - 0.85 * (0.5 - 0.5 * cosine))
        np.testing.assert_allclose(expected[:, channel], formula, rtol=1e-5)


def test_the_last_shape_is_in_front_and_hidden_shares_are_those_of_geometry():
    back = Shape(outline="square", size=0.3, hue=0.0, saturation=1.0, brightness=1.0)
    front = Shape(outline="rectangle", x=Arc("x", 0.2, 0.8), size=0.1, hue=0.5, saturation=1.0, brightness=1.0)
    scene = ShapesScene(name="s", shapes=(back, front), background=BLACK)
    with scene.renderer(64) as renderer:
        image, hidden = renderer.render([[0.5]])[0], renderer.hidden([[0.5], [0.0]])
    np.testing.assert_array_equal(image[32, 32], [0, 191, 191])
    np.testing.assert_array_equal(image[20, 32], [255, 64, 64])
    np.testing.assert_allclose(hidden[0], [1.6 * 0.1**2 / (1.7 * 0.3) ** 2, 0.0], atol=0.003)
    assert hidden[1, 0] < hidden[0, 0]


def test_texture_is_smooth_within_its_amplitude_and_the_same_in_all_images():
    scene = ShapesScene(
        name="s",
        shapes=(Shape(outline="disc", x=0.9, y=Arc("y", 0.2, 0.8)),),
        background=Background(level=0.3, texture=0.2, seed=1),
    )
    images = scene.renderer(64).paint([[0.0], [1.0]])
    left = images[:, :, :48]
    np.testing.assert_array_equal(left[0], left[1])
    assert 0.1 * 255 <= left.min() < left.max() <= 0.5 * 255
    assert left[0].std() > 5
    assert np.abs(np.diff(left[0], axis=0)).max() < 10


def test_blocks_and_sizes_do_not_matter():
    scene = white(outline="pin", size=0.3, angle=Arc("a", -40, 40))
    z = np.linspace(0, 1, 150)[:, None]
    images = scene.renderer(32).render(z)
    np.testing.assert_array_equal(images[100:101], scene.renderer(32).render(z[100:101]))
    large = scene.renderer(128).paint(z[:5]).reshape(5, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(large - scene.renderer(32).paint(z[:5])).mean() < 1.0


@each_row(
    ("z", "message"),
    [
        ([[0.1, 0.2]], r"z: got shape \(1, 2\), expected \(N, 1\)"),
        ([[1.1]], "z: got 1.1 to 1.1"),
        ([[np.nan]], "z: got"),
    ],
)
def test_variables_that_are_no_places_are_refused(z, message):
    with pytest.raises(ValueError, match=message):
        white(outline="disc", x=Arc("x", 0.2, 0.8)).renderer(32).render(z)


def test_sizes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="size: got 8, expected 16 to 512"):
        white(outline="disc", x=Arc("x", 0.2, 0.8)).renderer(8)
