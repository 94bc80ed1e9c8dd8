import itertools

import numpy as np
import pytest

from pyro_lcm.evaluation import align, intervention_accuracy, match, most_likely_targets, set_accuracy
from tables import each_row


def test_right_matching_reaches_the_best_over_all_permutations():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 3))
    true = rng.integers(0, 4, size=500)
    permutation = np.array([2, 0, 1])  # the learned index of each true variable
    learned_z = np.empty_like(z)
    learned_z[:, permutation] = z
    inferred = np.concatenate([[0], permutation + 1])[true]
    wrong = rng.random(500) < 0.2
    inferred[wrong] = rng.integers(0, 4, size=wrong.sum())
    best = max(
        (np.concatenate([[0], np.array(names) + 1])[inferred] == true).mean()
        for names in itertools.permutations(range(3))
    )
    assert intervention_accuracy(inferred, true, align(learned_z, z)) == pytest.approx(best)


def test_none_is_matched_to_none_only():
    swap = match([[0.0, 1.0], [1.0, 0.0]])
    assert intervention_accuracy([0, 1, 2, 1], [0, 2, 1, 0], swap) == 0.75


def test_learned_variables_without_a_partner_are_wrong():
    extra = match([[0.1, 0.2], [1.0, 0.0], [0.0, 1.0]])
    assert intervention_accuracy([1, 1, 2, 3], [0, 1, 1, 2], extra) == 0.5
    few = match([[0.0, 1.0]])
    assert intervention_accuracy([1, 1, 0], [2, 1, 0], few) == pytest.approx(2 / 3)


def test_probabilities_are_read_as_their_largest():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(most_likely_targets(probabilities, 2), [0, 2])
    assert intervention_accuracy(probabilities, [0, 2], match(np.eye(2))) == 1.0


@each_row(
    ("inferred", "true", "message"),
    [
        ([3], [0], "targets: got 3 to 3, expected 0"),
        ([-1], [0], "targets: got -1 to -1"),
        ([0], [3], "targets: got 3 to 3"),
        ([0, 1], [0], "inferred: got 2 targets, expected 1"),
        ([[0.5, 0.5]], [0], r"targets: got shape \(1, 2\)"),
        ([[np.nan, 0.5, 0.5]], [0], "targets: got NaN"),
        ([0.5], [0], "targets: got shape .* dtype float64"),
        (np.zeros(0, int), np.zeros(0, int), "at least one"),
    ],
)
def test_wrong_targets_are_named(inferred, true, message):
    with pytest.raises(ValueError, match=message):
        intervention_accuracy(inferred, true, match(np.eye(2)))


def test_a_set_of_targets_is_right_as_a_whole():
    swap = match([[0.0, 1.0], [1.0, 0.0]])
    inferred = [[0.9, 0.1, 0.0], [0.0, 0.9, 0.2], [0.0, 0.9, 0.8], [0.1, 0.6, 0.2]]
    assert set_accuracy(inferred, [[0, 0], [0, 1], [1, 1], [1, 1]], swap) == 0.75
    extra = match([[1.0, 0.0], [0.1, 0.2], [0.0, 1.0]])
    assert set_accuracy([[0, 1, 0, 0], [0, 1, 1, 0]], [[1, 0], [1, 0]], extra) == 0.5
    few = match([[0.0, 1.0]])
    assert set_accuracy([[0, 1], [0, 1]], [[0, 1], [1, 1]], few) == 0.5
    with pytest.raises(ValueError, match=r"inferred: got shape \(1, 2\), expected \(1, 3\)"):
        set_accuracy([[0.5, 0.5]], [[1, 0]], swap)
