"""Figures show what they are given: what is drawn is read back from the artists, and every figure renders."""

import matplotlib as mpl
import networkx as nx
import numpy as np
import pytest
from matplotlib.patches import Ellipse, FancyArrowPatch

from pyro_lcm.causal.dag import random_dag
from pyro_lcm.discovery.calibration import edge_calibration
from pyro_lcm.viz.graphs import graph_figure
from pyro_lcm.viz.interventions import before_after
from pyro_lcm.viz.latents import learned_against_true
from pyro_lcm.viz.layout import RADIUS, arc, bend, graph_layout, layered_layout
from pyro_lcm.viz.posterior import calibration_curve, edge_probability_matrix, effect_forest, top_graphs
from pyro_lcm.viz.report import Section, report_html
from pyro_lcm.viz.scaling import score_against_dim
from pyro_lcm.viz.style import save_figure
from pyro_lcm.viz.training import training_curves

NAMES = ("a", "b", "c", "d")
CHAIN = np.diag(np.ones(3, int), 1)


def patches(figure, kind):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def rendered(figure, path):
    before = dict(mpl.rcParams)
    assert save_figure(figure, path).read_bytes().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("dim", [1, 2, 5, 9, 30])
@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_layers_put_every_variable_right_of_its_ancestors(dim, chance):
    graph = random_dag(dim, chance, np.random.default_rng(dim), random_order=True)
    place = layered_layout(graph)
    parents, children = np.nonzero(graph)
    assert (place[parents, 0] < place[children, 0]).all()
    assert len(np.unique(place.round(6), axis=0)) == dim


def test_every_layout_keeps_nodes_apart():
    for seed in range(20):
        place = graph_layout(random_dag(10, 0.6, np.random.default_rng(seed)))
        gaps = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) + 9 * np.eye(10)
        assert gaps.min() > 2 * RADIUS


def test_a_read_out_graph_with_a_cycle_is_drawn(tmp_path):
    cycle = np.roll(np.eye(4, dtype=int), 1, axis=1)
    figure = graph_figure(cycle, NAMES, truth=CHAIN)
    assert len(patches(figure, FancyArrowPatch)) == 4
    rendered(figure, tmp_path / "a.png")


def test_an_edge_bends_around_what_is_in_its_way():
    place = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    widths = np.full(3, 2 * RADIUS)
    assert bend(0, 1, place, widths, both_ways=False) == 0
    curve = bend(0, 2, place, widths, both_ways=False)
    assert np.hypot(*(arc(place[0], place[2], curve) - place[1]).T).min() > RADIUS


def test_two_edges_between_the_same_variables_do_not_coincide():
    place, widths = np.array([[0.0, 0.0], [2.0, 0.0]]), np.full(2, 2 * RADIUS)
    there = arc(place[0], place[1], bend(0, 1, place, widths, both_ways=True))
    back = arc(place[1], place[0], bend(1, 0, place, widths, both_ways=True))
    assert there[16, 1] * back[16, 1] < 0


def test_a_graph_has_its_nodes_and_edges(tmp_path):
    figure = graph_figure(CHAIN, NAMES)
    assert len(patches(figure, Ellipse)) == 4
    assert len(patches(figure, FancyArrowPatch)) == 3
    assert texts(figure) == list(NAMES)
    rendered(figure, tmp_path / "a.png")


def test_probability_gives_width_opacity_and_label(tmp_path):
    chance = np.zeros((4, 4))
    chance[0, 1], chance[1, 2], chance[3, 0] = 0.9, 0.3, 0.01
    figure = graph_figure(CHAIN, NAMES, probabilities=chance)
    strong, weak = patches(figure, FancyArrowPatch)
    assert strong.get_linewidth() > weak.get_linewidth()
    assert strong.get_alpha() > weak.get_alpha()
    assert texts(figure)[4:] == ["0.90", "0.30"]
    rendered(figure, tmp_path / "a.png")


def test_truth_marks_extra_and_missing_edges():
    truth = CHAIN.copy()
    truth[0, 1], truth[0, 3] = 0, 1
    drawn = patches(graph_figure(CHAIN, NAMES, truth=truth), FancyArrowPatch)
    colours = [mpl.colors.to_hex(arrow.get_edgecolor()) for arrow in drawn]
    assert len(set(colours)) == 3
    assert [arrow.get_linestyle() != "-" for arrow in drawn].count(True) == 1


def test_learned_against_true_puts_matched_variables_on_the_diagonal(tmp_path):
    true = np.random.default_rng(0).normal(size=(500, 3))
    figure = learned_against_true(np.exp(true[:, [2, 0, 1]]), true, names=("p", "q", "r"))
    grid = np.array(texts(figure), float).reshape(3, 3)
    np.testing.assert_allclose(np.diag(grid), 1)
    assert (grid[~np.eye(3, dtype=bool)] < 0.2).all()
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["learned q", "learned r", "learned p"]
    rendered(figure, tmp_path / "a.png")


def test_many_variables_become_a_matrix(tmp_path):
    true = np.random.default_rng(0).normal(size=(300, 8))
    figure = learned_against_true(true[:, ::-1], true)
    np.testing.assert_allclose(np.diag(figure.axes[0].images[0].get_array()), 1)
    rendered(figure, tmp_path / "a.png")


def test_fewer_learned_than_true_variables():
    true = np.random.default_rng(0).normal(size=(300, 3))
    assert len(texts(learned_against_true(true[:, :2], true))) == 6


def test_edge_probabilities_and_the_true_edges(tmp_path):
    chance = np.where(CHAIN, 0.8, 0.1) * (1 - np.eye(4))
    figure = edge_probability_matrix(chance, NAMES, truth=CHAIN)
    assert texts(figure).count("0.80") == 3
    assert len(texts(figure)) == 12
    assert len(figure.axes[0].patches) == 3
    rendered(figure, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"probabilities: got shape \(3, 3\), expected \(4, 4\)"):
        edge_probability_matrix(np.zeros((3, 3)), NAMES)


def test_top_graphs_show_masses(tmp_path):
    figure = top_graphs([(CHAIN, 0.6), (CHAIN.T, 0.3), (0 * CHAIN, 0.0001)], NAMES, columns=2)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["0.600", "0.300", "1.0e-04"]
    rendered(figure, tmp_path / "a.png")
    with pytest.raises(ValueError, match="graphs: got none"):
        top_graphs([], NAMES)


def test_effects_are_ranked_by_size(tmp_path):
    draws = np.zeros((400, 4, 4))
    draws[:, 0, 1] = np.random.default_rng(0).normal(2, 0.1, 400)
    draws[:100, 2, 3] = -1
    figure = effect_forest(draws, NAMES)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a → b", "c → d"]
    assert texts(figure) == ["1.00", "0.25", "P(path)"]
    rendered(figure, tmp_path / "a.png")
    assert effect_forest(np.zeros((10, 4, 4)), NAMES) is None


def test_calibration_curve_draws_its_bins(tmp_path):
    rng = np.random.default_rng(0)
    stated = rng.uniform(size=1000)
    found = edge_calibration(stated, rng.uniform(size=1000) < stated)
    figure = calibration_curve(found)
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(line.get_ydata(), found.observed)
    rendered(figure, tmp_path / "a.png")
    rendered(calibration_curve([("exact", found), ("vi", found)]), tmp_path / "a.png")


def test_before_after_marks_what_was_set(tmp_path):
    before = np.random.default_rng(0).normal(size=(200, 4))
    after = before.copy()
    after[:, 1] = 1.0
    figure = before_after(before, after, NAMES, changed=("b",))
    assert [axes.get_title() for axes in figure.axes[:4]] == ["a", "b (set)", "c", "d"]
    rendered(figure, tmp_path / "a.png")
    few = before_after(before, after + np.array([0, 0, 5, 0]), NAMES, most=2)
    assert [axes.get_title() for axes in few.axes] == ["b", "c"]


def test_training_curves_have_a_panel_for_each_phase_with_steps(tmp_path):
    rows = [{"step": k, "phase": "one", "loss": 1.0 / (k + 1)} for k in range(5)]
    rows += [{"step": 5, "phase": "hook", "validation_loss": 3.0}]
    rows += [{"step": 6 + k, "phase": "two", "loss": 2.0 - k, "validation_loss": 2.5 - k} for k in range(3)]
    figure = training_curves(rows)
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    rendered(figure, tmp_path / "a.png")
    assert training_curves(rows[5:6]) is None


def test_scores_against_dim_draw_medians_of_each_method(tmp_path):
    rows = [
        {"dim": d, "method": m, "score": s}
        for m, shift in (("ilcm", 0.0), ("dvae", -0.5))
        for d in (2, 8)
        for s in (0.9 + shift, 0.8 + shift, 0.1 + shift, None)
    ]
    figure = score_against_dim(rows, "score", label="score", good=0.98)
    medians = [line.get_ydata() for line in figure.axes[0].lines if line.get_label() in ("ilcm", "dvae")]
    np.testing.assert_allclose(medians, [[0.8, 0.8], [0.3, 0.3]])
    rendered(figure, tmp_path / "a.png")
    assert score_against_dim(rows, "other", label="other") is None


def test_report_escapes_text_and_holds_its_figures(tmp_path):
    rendered(graph_figure(CHAIN, NAMES), tmp_path / "a.png")
    page = report_html("<run>", [Section("A & B", [("x",), ("<1>",)], "a < b", [(tmp_path / "a.png", "a")])])
    assert "<run>" not in page
    assert "&lt;1&gt;" in page
    assert "a &lt; b" in page
    assert page.count("data:image/png;base64,") == 1


def test_random_graphs_render(tmp_path):
    for seed, dim in enumerate((1, 2, 18)):
        graph = random_dag(dim, 0.5, np.random.default_rng(seed))
        assert nx.is_directed_acyclic_graph(nx.from_numpy_array(graph, create_using=nx.DiGraph))
        rendered(graph_figure(graph, [f"z{i}" for i in range(dim)]), tmp_path / "a.png")
