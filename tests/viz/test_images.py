"""Pictures of images: what is drawn has the labels and the number of pictures that were asked for."""

import numpy as np
import pytest

from pyro_lcm.viz.images import graph_over_thumbnails, image_grid


def test_a_grid_has_a_panel_for_each_image_and_its_labels():
    figure = image_grid(np.zeros((2, 3, 4, 4, 3)), rows=["before", "after"], columns=["a", "b", "c"])
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert [figure.axes[k].get_ylabel() for k in (0, 3)] == ["before", "after"]
    assert all(len(axes.images) == 1 for axes in figure.axes)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 4, 4)), {}, "images: got shape"),
        (np.zeros((2, 3, 4, 4, 3)), {"rows": ["one"]}, "rows: got 1 labels, expected 2"),
        (np.zeros((2, 3, 4, 4, 3)), {"columns": ["one"]}, "columns: got 1 labels, expected 3"),
    ],
)
def test_shapes_and_labels_that_do_not_fit_are_named(images, labels, message):
    with pytest.raises(ValueError, match=message):
        image_grid(images, **labels)


def test_a_graph_has_a_picture_for_each_variable_and_an_arrow_for_each_edge():
    adjacency = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    figure = graph_over_thumbnails(adjacency, np.ones((3, 4, 4, 3)), ["a", "b", "c"])
    axes = figure.axes[0]
    assert len(axes.images) == 3
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    assert sum(type(patch).__name__ == "FancyArrowPatch" for patch in axes.patches) == 3
    with pytest.raises(ValueError, match="names, thumbnails: got 2 and 3, expected 3"):
        graph_over_thumbnails(adjacency, np.ones((3, 4, 4, 3)), ["a", "b"])
