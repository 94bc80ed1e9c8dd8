"""Targets from functions that few pairs change: exact where the sides differ exactly, and refusals."""

import numpy as np
import pytest

from pyro_lcm.identify.single_targets import find_single_targets
from tables import each_row


def _chain(n, seed, bend=lambda z: z):
    """A chain z1 -> z2 -> z3 seen through bumps along each variable, as an object on a track is seen by pixels."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 4, n)

    def solve(noise, hit):
        z = np.zeros_like(noise)
        for j in range(3):
            natural = noise[:, j] + (1.2 * np.tanh(z[:, j - 1]) if j else 0.0)
            z[:, j] = np.where(hit == j + 1, redrawn[:, j], natural)
        return z

    noise, redrawn = rng.normal(size=(2, n, 3))
    places = np.linspace(-3, 3, 7)
    sides = []
    for hit in (np.zeros(n), target):
        z = solve(noise, hit)
        sides.append(np.exp(-((z[:, :, None] - places) ** 2)).reshape(n, -1))
    return sides[0], sides[1], target


def _purity(found, target):
    return sum(np.bincount(target[found == label], minlength=4).max() for label in np.unique(found)) / len(target)


def test_pairs_of_one_target_are_found_though_no_feature_is_a_variable():
    before, after, target = _chain(2500, 0)
    mixing = np.random.default_rng(1).normal(size=(before.shape[1], 15))
    single = find_single_targets(before @ mixing, after @ mixing, 3, steps=100)
    found = single.target
    assert set(np.unique(found)) == {0, 1, 2, 3}
    for number in (1, 2, 3):  # the function of a variable is what its pairs change, and nobody else's
        change = np.abs(single.after - single.before)[:, number - 1]
        assert np.median(change[found == number]) > 10 * np.median(change[(found > 0) & (found != number)])
    assert (found[target == 0] == 0).all()
    assert _purity(found, target) > 0.9


def test_known_targets_are_kept_and_the_others_found_by_the_functions_of_theirs():
    before, after, target = _chain(3000, 3)
    known = np.where(np.arange(3000) % 2, target, -1)
    single = find_single_targets(before, after, 3, known=known, steps=150)
    np.testing.assert_array_equal(single.target[1::2], target[1::2])
    assert (single.target == target).mean() > 0.95  # numbers are those that are known


def test_the_same_seed_finds_the_same():
    before, after, _ = _chain(400, 2)
    first, second = (find_single_targets(before, after, 3, seed=4, steps=10).target for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_one_variable_is_the_target_of_all_pairs_that_differ():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    moved = x.copy()
    moved[::2] += 1 + rng.random((250, 3))
    np.testing.assert_array_equal(find_single_targets(x, moved, 1, steps=50).target, np.tile([1, 0], 250))


@each_row(
    ("before", "after", "dim", "message"),
    [
        (np.zeros((4, 2)), np.ones((4, 3)), 2, r"^after: got shape \(4, 3\)"),
        (np.zeros((4, 2)), np.ones((4, 2)), 0, r"^dim: got 0, expected at least 1"),
        (np.ones((4, 2)), np.ones((4, 2)), 2, r"^after: got the same as before"),
    ],
)
def test_what_does_not_fit_is_named(before, after, dim, message):
    with pytest.raises(ValueError, match=message):
        find_single_targets(before, after, dim)


@pytest.mark.parametrize("known", [np.zeros(3), np.array([0, 1, 3, -1]), np.array([0, 1, 2, -2])])
def test_known_targets_that_do_not_fit_are_named(known):
    message = r"^known: got shape \(\d,\) and targets -?\d to \d, expected \(4,\) and -1 to 2"
    with pytest.raises(ValueError, match=message):
        find_single_targets(np.zeros((4, 2)), np.eye(4, 2), 2, known=known)
