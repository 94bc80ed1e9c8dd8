"""Figures of images in rows and columns: what is drawn is what was given, under the right labels."""

import numpy as np
import pytest

from pyro_lcm.viz.images import (
    counterfactuals_figure,
    image_grid,
    interventions_figure,
    pairs_figure,
    reconstructions_figure,
    traversals_figure,
)
from tables import each_row

RNG = np.random.default_rng(0)
SEEN = RNG.random((4, 3, 6, 8))
OTHER = RNG.random((4, 3, 6, 8))
GREY = RNG.integers(0, 256, size=(4, 1, 6, 8)).astype(np.uint8)
NAMES = ("a", "b")


def drawn(figure):
    """The images of a figure, (axes, H, W, 3), row by row."""
    return np.stack([np.asarray(axes.images[0].get_array()) for axes in figure.axes])


def last(images):
    return np.moveaxis(np.asarray(images), -3, -1)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def row_labels(figure):
    return [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]


def test_a_grid_draws_bytes_of_one_channel_as_grey_from_0_to_1():
    figure = image_grid(GREY.reshape(2, 2, 1, 6, 8), rows=["before", "after"], columns=["a", "b"])
    np.testing.assert_allclose(drawn(figure), np.repeat(last(GREY / 255), 3, axis=-1))
    assert titles(figure) == ["a", "b"]
    assert row_labels(figure) == ["before", "after"]


def test_pairs_have_their_inferred_target_above_them():
    chances = [[0.9, 0.1, 0.0], [0.0, 0.25, 0.75], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]]
    figure = pairs_figure(SEEN, OTHER, chances, ["a (true z2)", "b"])
    np.testing.assert_allclose(drawn(figure), np.concatenate([last(SEEN), last(OTHER)]))
    assert titles(figure) == ["none\n90 %", "b\n75 %", "a\n(true z2)\n80 %", "b\n100 %"]
    assert row_labels(figure) == ["before", "after"]
    assert titles(pairs_figure(SEEN, OTHER, None, NAMES)) == []


def test_reconstructions_are_below_their_images_and_clipped():
    figure = reconstructions_figure(SEEN, 2 * OTHER - 0.5)
    np.testing.assert_allclose(drawn(figure), np.concatenate([last(SEEN), last(2 * OTHER - 0.5).clip(0, 1)]))


def test_a_traversal_changes_one_variable_of_a_row_at_a_time():
    def decode(latents):
        return np.broadcast_to((latents @ [0.1, 0.01])[:, None, None, None], (len(latents), 1, 2, 2))

    levels = [[1, 2], [3, 4], [5, 6]]
    figure = traversals_figure(decode, [7, 8], levels, NAMES, columns=["lo", "mid", "hi"], order=[1, 0])
    found = drawn(figure)[:, 0, 0, 0].reshape(2, 3)
    np.testing.assert_allclose(found, [[0.72, 0.74, 0.76], [0.18, 0.38, 0.58]])
    assert row_labels(figure) == ["b", "a"]
    assert titles(figure) == ["lo", "mid", "hi"]


def test_interventions_stand_beside_the_image_as_it_is():
    figure = interventions_figure(SEEN[0], OTHER[:2], SEEN[2:], NAMES)
    expected = [SEEN[0], OTHER[0], SEEN[2], SEEN[0], OTHER[1], SEEN[3]]
    np.testing.assert_allclose(drawn(figure), last(expected))
    assert row_labels(figure) == ["a set high", "b set high"]
    assert titles(figure) == ["as it is", "without effects", "with effects"]


def test_counterfactuals_stand_beside_their_images():
    figure = counterfactuals_figure(SEEN[:2], np.stack([OTHER[:2], OTHER[2:]], axis=1), NAMES)
    np.testing.assert_allclose(drawn(figure), last([SEEN[0], OTHER[0], OTHER[2], SEEN[1], OTHER[1], OTHER[3]]))
    assert titles(figure) == ["this image", "had a\nbeen high", "had b\nbeen high"]


@each_row(
    ("draw", "message"),
    [
        (lambda: image_grid(SEEN), r"images: got shape \(4, 3, 6, 8\), expected \(rows, columns, C, H, W\)"),
        (lambda: image_grid(np.zeros((1, 2, 5, 4, 4))), "images: got shape .* 1 or 3 channels"),
        (lambda: image_grid(SEEN[None], rows=["a", "b"]), "rows: got 2 labels, expected 1"),
        (lambda: image_grid(SEEN[None], columns=["a"]), "columns: got 1 labels, expected 4"),
        (lambda: pairs_figure(SEEN, OTHER[:3], None, NAMES), "x_after: got images of shape"),
        (lambda: pairs_figure(SEEN, OTHER, np.ones((4, 2)), NAMES), r"targets_probabilities: got shape \(4, 2\)"),
        (lambda: reconstructions_figure(SEEN, GREY[..., :4]), "reconstructed: got images of shape"),
        (lambda: traversals_figure(lambda z: SEEN[: len(z)], [0, 0], [[1]], NAMES), r"levels: got shape \(1, 1\)"),
        (lambda: traversals_figure(lambda z: SEEN[: len(z)], [0], [[1]], NAMES), "names: got 2, expected 1"),
        (lambda: interventions_figure(SEEN[0], SEEN, OTHER, NAMES), "names: got 2, expected 4"),
        (lambda: interventions_figure(SEEN, SEEN, OTHER, "abcd"), r"image: got shape .* expected \(C, H, W\)"),
        (lambda: counterfactuals_figure(SEEN, OTHER[None], "abcd"), "counterfactuals: got images of shape"),
    ],
)
def test_shapes_and_labels_that_do_not_fit_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
