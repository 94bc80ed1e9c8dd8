"""Lines and arrows of what is adjacent, and layouts of many variables."""

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from pyro_lcm.studies.simulated_tables import random_graph
from pyro_lcm.viz.equivalence import adjacency_figure
from pyro_lcm.viz.graphs import graph_figure
from pyro_lcm.viz.layout import graph_layout


def arrows(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]


def test_arrows_where_a_direction_is_told_and_lines_elsewhere():
    adjacent = np.array([[0, 0.9, 0.6], [0.9, 0, 0.2], [0.6, 0.2, 0]])
    direction = np.array([[np.nan, 0.95, 0.5], [0.05, np.nan, 0.9], [0.5, 0.1, np.nan]])
    figure = adjacency_figure(adjacent, direction, np.triu(np.ones((3, 3), int), 1), ("a", "b", "c"))
    styles = [type(patch.get_arrowstyle()).__name__ for patch in arrows(figure)]
    assert styles == ["CurveFilledB", "Curve"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "0.90, 0.95" in texts
    with pytest.raises(ValueError, match="direction"):
        adjacency_figure(adjacent, direction[:2], np.zeros((3, 3)), ("a", "b", "c"))


@pytest.mark.parametrize("size", [14, 50, 100])
def test_many_variables_stay_readable(size):
    rng = np.random.default_rng(0)
    graph = random_graph(size, 1.5, "er", rng)
    place = graph_layout(graph)
    gaps = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) + 9 * np.eye(size)
    assert gaps.min() > 0.5  # no two nodes over each other
    width, height = np.ptp(place, axis=0)
    assert max(width, height) < 4 * min(width, height)
    figure = graph_figure(graph, [f"v{j}" for j in range(size)], probabilities=0.9 * graph)
    inches = figure.get_size_inches()
    assert inches.max() / (max(width, height) + 1.4) > 0.3  # inches of a unit: names of 2 points and more
