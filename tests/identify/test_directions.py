"""Lines of differences: a known mixing of one-sparse differences is recovered."""

import numpy as np
import pytest

from pyro_lcm.identify.directions import complete_directions, find_directions


def _one_sparse(dim, rows=2500, *, seed=0, share_none=0.0, used=None):
    """Differences of noise encodings: one entry each, heteroscedastic and not symmetric."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(dim if used is None else used, size=rows)
    sparse = np.zeros((rows, dim))
    sparse[np.arange(rows), targets] = rng.normal(0.2, 1.0, rows) * (1 + targets / dim)
    sparse[rng.random(rows) < share_none] = 0.0
    return sparse, rng


def _mixing(dim, rng):
    """Far from orthogonal, but of a condition number below 30."""
    left, right = (np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(2))
    return left @ np.diag(np.geomspace(1.0, 25.0, dim)) @ right


def _match(found, mixing):
    """|cosine| of each true line with the line found that is matched with it, a permutation."""
    truth = mixing / np.linalg.norm(mixing, axis=1, keepdims=True)
    cosines = np.abs(truth @ found.T)
    best = cosines.argmax(1)
    assert sorted(best) == list(range(len(truth))), "two true lines are matched with one that was found"
    return cosines.max(1)


@pytest.mark.parametrize("dim", [2, 3, 8, 20])
def test_a_mixing_is_recovered_exactly(dim):
    sparse, rng = _one_sparse(dim)
    mixing = _mixing(dim, rng)
    lines = find_directions(sparse @ mixing, seed=1)
    assert _match(lines.directions, mixing).min() > 1 - 1e-9
    assert lines.residual < 1e-9
    np.testing.assert_allclose(np.linalg.norm(lines.directions, axis=1), 1.0)
    np.testing.assert_allclose(lines.usage, 1 / dim, atol=5 * np.sqrt(1 / dim / 2500))


@pytest.mark.parametrize("dim", [2, 3, 8, 20])
def test_a_mixing_is_recovered_among_pairs_without_intervention_and_noise(dim):
    sparse, rng = _one_sparse(dim, share_none=0.3)
    mixing = _mixing(dim, rng)
    clean = sparse @ mixing
    noisy = clean + 0.01 * np.sqrt((clean**2).mean(0)) * rng.normal(size=clean.shape)
    directions = find_directions(noisy, seed=1).directions
    assert _match(directions, mixing).min() > 0.999
    recovered = clean @ np.linalg.inv(directions)
    correlation = np.abs(np.corrcoef(sparse.T, recovered.T)[:dim, dim:])
    assert correlation.max(1).min() > 0.99
    assert correlation.max(1).mean() > 0.999


def test_the_result_is_a_function_of_the_seed():
    sparse, rng = _one_sparse(4, share_none=0.2)
    differences = sparse @ _mixing(4, rng)
    first, second = find_directions(differences, seed=3), find_directions(differences, seed=3)
    assert np.array_equal(first.directions, second.directions)
    assert first.residual == second.residual


def test_one_variable_has_one_line():
    lines = find_directions(np.array([[1.0], [-2.0], [0.5]]))
    assert np.abs(lines.directions).tolist() == [[1.0]]
    assert lines.usage.tolist() == [1.0]
    assert lines.residual == pytest.approx(0.0, abs=1e-12)


def test_differences_off_any_lines_leave_a_residual():
    rng = np.random.default_rng(0)
    assert find_directions(rng.normal(size=(2000, 4))).residual > 0.1


@pytest.mark.parametrize("dim", [2, 4, 8])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_variable_that_is_never_a_target_leaves_the_other_lines_alone(dim, noise):
    sparse, rng = _one_sparse(dim, used=dim - 1, share_none=0.2)
    mixing = _mixing(dim, rng)
    clean = sparse @ mixing
    noisy = clean + noise * np.sqrt((clean**2).mean(0)) * rng.normal(size=clean.shape)
    lines = find_directions(noisy, seed=1)
    truth = mixing[:-1] / np.linalg.norm(mixing[:-1], axis=1, keepdims=True)
    assert np.abs(truth @ lines.directions.T).max(1).min() > 0.999
    assert np.isfinite(lines.directions).all()


@pytest.mark.parametrize("dim", [2, 4])
def test_the_missing_line_is_completed_by_uncorrelatedness(dim):
    sparse, rng = _one_sparse(dim, used=dim - 1, share_none=0.2)
    mixing = _mixing(dim, rng)
    lines = find_directions(sparse @ mixing, seed=1)
    before = rng.normal(size=(50_000, dim)) @ mixing
    completed = complete_directions(lines, np.cov(before.T))
    # The correlation of independent variables is off by 1/sqrt(N): 0.0045, times the mixing's condition number.
    assert _match(completed, mixing).min() > 0.99
    dead = lines.usage < 0.2 / dim
    assert dead.sum() == 1
    np.testing.assert_allclose(completed[~dead], lines.directions[~dead])


def test_lines_that_are_all_used_need_no_completion():
    sparse, rng = _one_sparse(3)
    lines = find_directions(sparse @ _mixing(3, rng))
    assert complete_directions(lines, np.eye(3)) is lines.directions


def test_no_difference_at_all_is_an_error():
    with pytest.raises(ValueError, match="differences"):
        find_directions(np.zeros((10, 3)))


def test_lines_are_found_among_differences_of_several_variables():
    """Each variable is a target with probability one half, so that 3 of 7 differences are on a line."""
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(3, 3))
    differences = (rng.integers(0, 2, (6000, 3)) * rng.normal(size=(6000, 3))) @ axes
    found = find_directions(differences, share=3 / 7)
    unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(found.directions @ unit.T).max(0), 1.0, atol=1e-9)
    assert found.residual < 1e-9
    assert find_directions(differences).residual > 1e-3
