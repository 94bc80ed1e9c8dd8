"""Which rows a score reads, and how its values are kept."""

import numpy as np
import pytest

from pyro_lcm.discovery.scores import GraphData, LocalScore
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore
from tables import each_row

RNG = np.random.default_rng(0)


def test_targets_as_integers_or_booleans():
    rows = RNG.normal(size=(4, 3))
    data = GraphData(rows, targets=np.array([0, 2, 3, 0]))
    expected = np.zeros((4, 3), dtype=bool)
    expected[1, 1] = expected[2, 2] = True
    np.testing.assert_array_equal(data.targets, expected)
    np.testing.assert_array_equal(GraphData(rows, targets=expected).targets, expected)


def test_data_are_a_frozen_copy():
    rows = RNG.normal(size=(4, 3))
    data = GraphData(rows)
    rows[0, 0] = 99.0
    assert data.values[0, 0] != 99.0
    with pytest.raises(ValueError, match="read-only"):
        data.values[0, 0] = 1.0


def test_row_groups_drop_hard_targets_and_part_imperfect_ones_by_regime():
    targets = np.array([0, 1, 1, 1, 2, 0])
    data = GraphData(
        RNG.normal(size=(6, 2)),
        targets=targets,
        imperfect=(np.arange(6) >= 2)[:, None],
        regimes=np.array([0, 1, 2, 3, 4, 0]),
    )
    groups = [rows.tolist() for rows, _ in data.row_groups(0)]
    assert groups == [[0, 4, 5], [2], [3]]  # row 1 was hit hard
    assert [rows.tolist() for rows, _ in data.row_groups(1)] == [[0, 1, 2, 3, 5], [4]]


def test_imperfect_targets_are_scored_by_a_mechanism_of_their_own():
    rows, targets = RNG.normal(size=(30, 2)), np.repeat([0, 1, 1], 10)
    regimes = np.repeat([0, 1, 2], 10)
    score = BGeScore(GraphData(rows, targets=targets, imperfect=True, regimes=regimes))
    parts = [BGeScore(GraphData(rows[regimes == r])) for r in range(3)]
    sets = [[0, 0], [0, 1]]
    np.testing.assert_allclose(score.local(0, sets), sum(part.local(0, sets) for part in parts), rtol=1e-12)


def test_weights_of_a_row_and_of_a_cell():
    rows = RNG.normal(size=(5, 2))
    cell = np.ones((5, 2))
    cell[3, 1] = 0.0
    score = BGeScore(GraphData(rows, weights=cell))
    hard = BGeScore(GraphData(rows, targets=np.array([0, 0, 0, 2, 0])))
    for child in range(2):
        sets = [[False, False], np.arange(2) != child]
        np.testing.assert_allclose(score.local(child, sets), hard.local(child, sets))
    np.testing.assert_allclose(
        BGeScore(GraphData(rows, weights=[1, 1, 0, 1, 1])).local(0, [[0, 1]]),
        BGeScore(GraphData(np.delete(rows, 2, 0))).local(0, [[0, 1]]),
    )


def test_standardizing_by_chosen_rows():
    rows = RNG.normal(3.0, 2.0, size=(20, 2))
    kept = np.arange(20) < 10
    data = GraphData(rows).standardized(kept)
    np.testing.assert_allclose(data.values[kept].mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(data.values[kept].std(axis=0), 1.0)
    with pytest.raises(ValueError, match="x2"):
        GraphData(np.column_stack([rows[:, 0], np.ones(20)])).standardized()


class CountingScore(BGeScore):
    """Remembers how many parent sets were computed."""

    computed = 0

    def _evidence(self, statistics, child, parent_sets):
        self.computed += len(parent_sets)
        return super()._evidence(statistics, child, parent_sets)


def test_each_parent_set_is_computed_once():
    score = CountingScore(GraphData(RNG.normal(size=(9, 3))))
    sets = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 1]])
    first = score.local(0, sets)
    assert score.computed == 3
    np.testing.assert_array_equal(score.local(0, sets[::-1]), first[::-1])
    assert score.computed == 3
    assert first[0] == first[2]


def test_a_full_cache_forgets_but_stays_right():
    data = GraphData(RNG.normal(size=(9, 4)))
    small, large = CountingScore(data, cache_size=2), BGeScore(data)
    sets = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1]])
    for _ in range(2):
        np.testing.assert_array_equal(small.local(0, sets), large.local(0, sets))
    assert small.computed > 4


class TestKeptStatistics:
    """Under hard interventions each variable has rows of its own."""

    DATA = GraphData(RNG.normal(size=(30, 4)), targets=np.arange(30) % 5)

    def test_few_are_kept_and_the_values_stay(self):
        few, all_kept = BGeScore(self.DATA), BGeScore(self.DATA)
        few.kept_groups = 2
        graphs = np.triu(np.ones((4, 4)), 1)[None] * np.array([0, 1])[:, None, None]
        np.testing.assert_array_equal(few.total(graphs), all_kept.total(graphs))
        assert len(few._prepared) <= 2
        assert len(all_kept._prepared) == 4

    def test_gram_matrices_of_many_features_are_bounded(self):
        small, large = (NonlinearScore(GraphData(np.zeros((2, size)))).kept_groups for size in (4, 50))
        assert small > 4
        assert large == 13


def test_total_is_the_sum_of_local_scores():
    score = BGeScore(GraphData(RNG.normal(size=(9, 3))))
    graph = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    expected = sum(score.local(j, graph[None, :, j])[0] for j in range(3))
    assert score.total(graph) == pytest.approx(expected)
    assert score.total(np.zeros((2, 4, 3, 3))).shape == (2, 4)
    assert isinstance(score, LocalScore)


def test_many_variables():
    score = BGeScore(GraphData(RNG.normal(size=(20, 70))))
    sets = np.zeros((3, 70), dtype=bool)
    sets[1, 69] = sets[2, 1] = True
    values = score.local(0, sets)
    assert len(set(values.tolist())) == 3


@each_row(
    ("settings", "message"),
    [
        ({"values": np.zeros(3)}, "values"),
        ({"values": np.array([[0.0, np.nan]])}, "row 0, column 1"),
        ({"names": ("a", "a")}, "names"),
        ({"targets": np.array([0, 3, 0])}, "targets"),
        ({"targets": np.zeros((3, 5), dtype=bool)}, "targets"),
        ({"weights": np.array([1.0, -1.0, 1.0])}, "weights"),
        ({"weights": np.ones(2)}, "weights"),
        ({"regimes": np.zeros(2, dtype=int)}, "regimes"),
        ({"imperfect": np.zeros(2, dtype=bool)[:, None]}, "imperfect"),
    ],
)
def test_data_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        GraphData(**{"values": np.zeros((3, 2)), **settings})


@each_row(
    ("child", "sets", "message"),
    [(3, [[0, 0, 0]], "child"), (0, [[0, 0]], "parent_sets"), (0, [[1, 0, 0]], "own parents")],
)
def test_requests_that_do_not_fit(child, sets, message):
    with pytest.raises(ValueError, match=message):
        BGeScore(GraphData(np.zeros((3, 3)))).local(child, sets)


def test_shape_of_total():
    with pytest.raises(ValueError, match="adjacency"):
        BGeScore(GraphData(np.zeros((3, 3)))).total(np.zeros((2, 2)))


def test_cache_size():
    with pytest.raises(ValueError, match="cache_size"):
        BGeScore(GraphData(np.zeros((3, 3))), cache_size=0)
