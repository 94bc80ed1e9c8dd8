"""R2 and rank correlations of groups of latents, and edges in time, against what is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor

from pyro_lcm.evaluation.groups import group_scores, temporal_shd

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(1200, 3))


def test_right_groups_score_one_and_nothing():
    scores = group_scores(np.column_stack([np.sinh(Z[:, 0]), -Z[:, 1], Z[:, 2]]), [1, 2, 3], Z, [1, 2, 3])
    assert scores.r2.shape == scores.spearman.shape == (4, 3)
    assert scores.r2_diag > 0.97
    assert scores.r2_sep < 0.02
    assert scores.spearman_diag > 0.98
    assert not scores.r2[0].any()


def test_a_mixed_latent_is_seen():
    mixed = np.column_stack([Z[:, 0] + Z[:, 1], Z[:, 1], Z[:, 2]])
    scores = group_scores(mixed, [1, 2, 3], Z, [1, 2, 3])
    # Half of either variable's variance is in the sum.
    assert scores.r2[1, :2] == pytest.approx([0.5, 0.5], abs=0.12)
    assert scores.r2_sep == pytest.approx(scores.r2[1, 1] / 3, abs=0.02)
    assert scores.r2_diag == pytest.approx((scores.r2[1, 0] + scores.r2[2, 1] + scores.r2[3, 2]) / 3)


def test_entries_are_those_of_a_regression_by_hand():
    codes = np.column_stack([Z[:, 0] + 0.5 * RNG.normal(size=1200), Z[:, 1] * Z[:, 2]])
    scores = group_scores(codes, [1, 2], Z[:, :2], [1, 2], seed=3)
    fit, test = np.array_split(np.random.default_rng(3).permutation(1200), 2)
    for i in range(2):
        for j in range(2):
            model = HistGradientBoostingRegressor(random_state=0).fit(codes[fit, i : i + 1], Z[fit, j])
            predicted = model.predict(codes[test, i : i + 1])
            expected = 1 - ((Z[test, j] - predicted) ** 2).sum() / ((Z[test, j] - Z[test, j].mean()) ** 2).sum()
            assert scores.r2[i + 1, j] == pytest.approx(max(0, expected))
            assert scores.spearman[i + 1, j] == pytest.approx(max(0, spearmanr(predicted, Z[test, j])[0]))


def test_a_variable_of_several_columns_is_their_mean():
    scores = group_scores(Z[:, [0, 1, 2]], [1, 1, 2], Z, [1, 1, 2])
    assert scores.r2.shape == (3, 2)
    assert scores.r2_diag > 0.95
    half = group_scores(Z[:, [0, 2]], [1, 2], Z, [1, 1, 2])
    assert half.r2[1, 0] == pytest.approx(0.5, abs=0.05)


def test_a_group_without_latents_tells_nothing():
    scores = group_scores(Z[:, :1], [1], Z[:, :2], [1, 2])
    assert not scores.r2[2].any()
    assert scores.r2_diag == pytest.approx(scores.r2[1, 0] / 2)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"^latents, z: got shapes"):
        group_scores(Z[:50], [1, 2, 3], Z[:50], [1, 2, 3])
    with pytest.raises(ValueError, match=r"^assignment, variables: got shapes \(2,\)"):
        group_scores(Z, [1, 2], Z, [1, 2, 3])


def test_edges_in_time_by_hand():
    assert temporal_shd(np.eye(3), np.eye(3)) == 0
    assert temporal_shd([[0, 1], [0, 0]], [[0, 0], [1, 0]]) == 2
    with pytest.raises(ValueError, match=r"^found: got shape \(2, 2\)"):
        temporal_shd(np.eye(2), np.eye(3))
