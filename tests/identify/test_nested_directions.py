"""Nested lines: a linear mixing of variables with nonlinear mechanisms is taken apart, effects before causes."""

import numpy as np
import pytest

from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.identify.linear_readouts import directions_in_order, linear_readouts, match_targets
from pyro_lcm.identify.nested_directions import find_nested_directions

DIM = 4
PARENTS = {0: [], 1: [0], 2: [0, 1], 3: [1, 2]}


def _world(noise, cut=None, value=None):
    """A nonlinear model with the order 0, 1, 2, 3."""
    z = np.zeros_like(noise)
    for i in range(DIM):
        z[:, i] = noise[:, i] + sum(1.5 * np.sin(2 * z[:, j]) for j in PARENTS[i])
        if cut is not None:
            z[:, i] = np.where(cut == i, value, z[:, i])
    return z


def _pairs(rows=6000, seed=0):
    rng = np.random.default_rng(seed)
    noise, target = rng.normal(size=(rows, DIM)), rng.integers(-1, DIM, rows)
    before, after = _world(noise), _world(noise, target, rng.normal(size=rows))
    mixing = rng.normal(size=(DIM, DIM))
    mixing @= np.linalg.cholesky(np.linalg.inv(np.cov(mixing.T @ before.T)))  # whitened, as the recipe's code is
    return before, after, target, mixing


def test_lines_are_divided_out_effects_before_causes():
    before, after, target, mixing = _pairs()
    lines = find_nested_directions((after - before) @ mixing, DIM, tolerance=0.01)
    np.testing.assert_allclose(lines.directions @ lines.directions.T, np.eye(DIM), atol=1e-12)
    of_line = [int(np.bincount(target[lines.assigned == j] + 1).argmax()) - 1 for j in range(DIM)]
    assert of_line == [3, 2, 1, 0]
    assert (target[lines.assigned == -1] == -1).mean() > 0.98
    right = np.asarray(of_line)[lines.assigned[target >= 0]] == target[target >= 0]
    assert right.mean() > 0.97  # a small effect on the children looks like a move of theirs


def test_readouts_are_the_causal_variables_exactly_as_far_as_least_squares_goes():
    before, after, target, mixing = _pairs(20_000, seed=1)
    moves = (after - before) @ mixing
    lines = find_nested_directions(moves, DIM, tolerance=0.01)
    of_line = match_targets(lines, target + 1, np.linalg.norm(moves, axis=1))
    assert of_line is not None
    weight, bias = linear_readouts(lines.directions, of_line, after @ mixing, target + 1)
    read = after @ mixing @ weight + bias
    correlation = np.abs(np.corrcoef(read.T, after.T)[:DIM, DIM:])
    assert correlation.diagonal().min() > 0.999  # a coefficient from 4,000 rows has an sd of .016: r = .9999
    for variable in range(DIM):
        drawn = read[target == variable][:, variable]
        assert drawn.mean() == pytest.approx(0, abs=1e-9)
        assert drawn.std() == pytest.approx(1, abs=1e-9)


def test_lines_and_targets_that_do_not_belong_together_are_not_believed():
    before, after, target, mixing = _pairs()
    moves = (after - before) @ mixing
    lines = find_nested_directions(moves, DIM)
    shuffled = np.random.default_rng(0).permutation(target) + 1
    assert match_targets(lines, shuffled, np.linalg.norm(moves, axis=1)) is None


@pytest.mark.parametrize("dim", [3, 8])
def test_a_nonlinear_mixing_has_no_lines(dim):
    pairs = ScalingSystem(dim, seed=1, mechanisms="nonlinear", mixing="leaky_relu").sample(4000)
    moves = pairs.x_after - pairs.x
    lines = find_nested_directions(moves, dim, tolerance=0.02)
    assert match_targets(lines, pairs.targets, np.linalg.norm(moves, axis=1)) is None


def test_zero_differences_belong_to_no_line():
    lines = find_nested_directions(np.zeros((10, 3)), 3)
    assert lines.directions.shape == (0, 3)
    assert (lines.assigned == -1).all()


def test_more_lines_than_columns_are_refused():
    with pytest.raises(ValueError, match="most: got 4, expected 1 to 3"):
        find_nested_directions(np.ones((10, 3)), 4)


def test_readouts_are_causal_variables_where_mechanisms_are_linear_too():
    rng = np.random.default_rng(0)
    noise, drawn, target = rng.normal(size=(3000, 3)), rng.normal(size=(3000, 3)), rng.integers(4, size=3000)

    def solve(hit):
        first = np.where(hit == 1, drawn[:, 0], noise[:, 0])
        second = np.where(hit == 2, drawn[:, 1], 1.5 * first + noise[:, 1])
        return np.stack([first, second, np.where(hit == 3, drawn[:, 2], np.tanh(2 * second) + noise[:, 2])], 1)

    mixing = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    before, after = solve(0 * target), solve(target)
    effects_first = np.array([2, 1, 0])
    directions = directions_in_order((after - before) @ mixing, target, effects_first)
    weight, bias = linear_readouts(directions, effects_first, after @ mixing, target)
    correlation = np.corrcoef((after @ mixing @ weight + bias).T, after.T)[:3, 3:]
    np.testing.assert_allclose(np.abs(correlation.diagonal()), 1.0, atol=1e-4)
    assert directions_in_order((after - before) @ mixing, target, effects_first[::-1]) is None
