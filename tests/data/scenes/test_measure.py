"""Measures of sight find what scenes of one's own may get wrong."""

import numpy as np
import pytest

from pyro_lcm.data.scenes import Arc, Shape, ShapesScene, measure_sight
from tables import each_row


def test_a_variable_behind_another_shape_is_found():
    hidden = Shape(outline="disc", y=0.5, x=Arc("behind", 0.45, 0.55), size=0.1)
    cover = Shape(outline="square", size=0.4, hue=Arc("front", 0.3, 0.8))
    sight = measure_sight(ShapesScene(name="s", shapes=(hidden, cover)), 20)
    assert sight.change[0] == sight.far[0] == sight.rank == 0
    assert sight.change[1] > 100


def test_two_variables_that_do_the_same_are_found():
    one = Shape(outline="disc", x=Arc("a", 0.2, 0.8), y=0.2)

    class Twice:
        name, variables, noise_sd = "twice", ("a", "b"), 0.0

        def renderer(self, size):
            renderer = ShapesScene(name="s", shapes=(one,)).renderer(size)
            render = renderer.render
            renderer.render = lambda z: render(np.asarray(z).mean(axis=1, keepdims=True))
            return renderer

    assert measure_sight(Twice(), 20).rank < 0.05


@each_row(("arguments", "message"), [({"n": 0}, "n: got 0"), ({"step": 0.0}, "step: got 0.0")])
def test_arguments_out_of_range_are_refused(arguments, message):
    scene = ShapesScene(name="s", shapes=(Shape(outline="disc", x=Arc("a", 0.2, 0.8)),))
    with pytest.raises(ValueError, match=message):
        measure_sight(scene, **arguments)
