"""A graph over thumbnails: its nodes are the pictures that were given, its arrows the edges."""

import numpy as np
import pytest

from pyro_lcm.viz.style import save_figure
from pyro_lcm.viz.thumbnails import thumbnails_graph_figure
from tables import each_row

NAMES = ["a", "b", "c"]
ADJACENCY = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
PICTURES = np.random.default_rng(0).random((3, 2, 3, 4, 6))


def arrows(axes):
    return sum(type(patch).__name__ == "FancyArrowPatch" for patch in axes.patches)


def test_a_graph_has_two_pictures_side_by_side_for_each_variable_and_an_arrow_for_each_edge(tmp_path):
    figure = thumbnails_graph_figure(ADJACENCY, PICTURES, NAMES)
    (axes,) = figure.axes
    shown = np.stack([image.get_array() for image in axes.images])
    np.testing.assert_allclose(shown, np.moveaxis(PICTURES, 2, -1).reshape(6, 4, 6, 3))
    extents = np.array([image.get_extent() for image in axes.images]).reshape(3, 2, 4)
    assert (extents[:, 0, 1] < extents[:, 1, 0]).all()  # the first ends where the second has not begun
    np.testing.assert_allclose(extents[:, 0, 2:], extents[:, 1, 2:])
    assert (extents[:-1, 1, 1] < extents[1:, 0, 0]).all()  # causes to the left of effects
    assert [text.get_text() for text in axes.texts] == NAMES
    assert arrows(axes) == 3
    assert save_figure(figure, tmp_path / "a.png").stat().st_size > 1000


def test_a_graph_with_a_cycle_is_drawn():
    cycle = np.roll(np.eye(3, dtype=int), 1, axis=1)
    assert arrows(thumbnails_graph_figure(cycle, PICTURES, NAMES).axes[0]) == 3


@each_row(
    ("pictures", "names", "message"),
    [
        (PICTURES, ["a", "b"], "names, thumbnails: got 2 and 3, expected 3"),
        (PICTURES[:2], NAMES, "names, thumbnails: got 3 and 2, expected 3"),
        (PICTURES[:, 0], NAMES, "thumbnails: got shape"),
    ],
)
def test_what_does_not_fit_is_named(pictures, names, message):
    with pytest.raises(ValueError, match=message):
        thumbnails_graph_figure(ADJACENCY, pictures, names)
