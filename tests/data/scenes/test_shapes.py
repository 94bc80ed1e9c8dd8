"""Descriptions of scenes: what is bound to what, and what they refuse because images would not tell variables."""

import pytest

from pyro_lcm.data.scenes import Arc, Background, Shape, ShapesScene
from tables import each_row

DISC = Shape(outline="disc", x=Arc("place", 0.2, 0.8))

REFUSED = {
    "outline": (lambda: Shape(outline="star"), "outline: got 'star', expected one of disc"),
    "constant arc": (lambda: Arc("a", 0.5, 0.5), "stop: got 0.5"),
    "a disc turns": (lambda: Shape(outline="disc", angle=Arc("a", 0, 30)), "angle: .* looks the same"),
    "a full turn": (lambda: Shape(outline="pin", angle=Arc("a", -180, 180)), "angle: .* expected at most 80"),
    "a square's symmetry": (lambda: Shape(outline="square", angle=Arc("a", 0, 60)), "angle: .* at most 45"),
    "all hues": (lambda: Shape(outline="disc", hue=Arc("a", 0, 1)), "hue: got an arc of 1 .* at most 0.6"),
    "hues of grey": (lambda: Shape(outline="disc", hue=Arc("a", 0, 0.5), saturation=0.1), "saturation: got 0.1"),
    "vanishing": (lambda: Shape(outline="disc", size=Arc("a", 0, 0.2)), "size: got 0 to 0.2, expected 0.05 to 0.5"),
    "dark": (lambda: Shape(outline="disc", brightness=Arc("a", 1.0, 0.0)), "brightness: got 0.0 to 1.0"),
    "out of the frame": (lambda: Shape(outline="disc", x=Arc("a", 0.0, 0.5)), "x: got 0.0 with size 0.1"),
    "no variable": (lambda: ShapesScene(name="s", shapes=(Shape(outline="disc"),)), "shapes: got none with an Arc"),
    "noise": (lambda: ShapesScene(name="s", shapes=(DISC,), noise_sd=-1.0), "noise_sd: got -1.0"),
    "texture": (lambda: Background(level=0.1, texture=0.2), "texture: got 0.2 about a level of 0.1"),
}


@each_row(("make", "message"), REFUSED.values())
def test_what_images_would_not_show_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_variables_come_in_the_order_of_shapes_and_attributes_each_once():
    pin = Shape(outline="pin", x=Arc("b", 0.3, 0.7), y=Arc("b", 0.4, 0.6), angle=Arc("a", -30, 30))
    assert ShapesScene(name="s", shapes=(pin, DISC)).variables == ("b", "a", "place")


def test_a_shape_that_grows_as_it_leaves_an_edge_is_within_the_frame_together_but_not_apart():
    Shape(outline="disc", x=Arc("a", 0.1, 0.5), size=Arc("a", 0.1, 0.4))
    with pytest.raises(ValueError, match=r"x: got 0\.1 with size 0.4"):
        Shape(outline="disc", x=Arc("a", 0.1, 0.5), size=Arc("b", 0.1, 0.4))


def test_crowding_pulls_to_the_middle_and_grows():
    (shape,) = ShapesScene(name="s", shapes=(DISC,)).crowded(0.5, 1.0, 2.0).shapes
    assert shape.x == Arc("place", 0.35, 0.65)
    assert shape.size == pytest.approx(0.2)
