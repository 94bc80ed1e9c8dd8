"""Readouts of features: exact where each variable has a subspace of its own, judged where it has none."""

import numpy as np
import pytest

from pyro_lcm.identify.subspace_readouts import subspace_readouts

DIM, PLACES = 3, 8


def _worlds(n, seed=0):
    """Variables and noise encodings of z1 -> z2 -> z3 before and after perfect interventions."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, DIM + 1, n)
    noise, redrawn = rng.normal(size=(2, n, DIM))

    def solve(hit):
        z, e = np.zeros_like(noise), noise.copy()
        for j in range(DIM):
            shift = 1.5 * np.sin(2 * z[:, j - 1]) if j else 0.0
            z[:, j] = np.where(hit == j + 1, redrawn[:, j], noise[:, j] + shift)
            e[:, j] = z[:, j] - shift
        return z, e

    before, after = solve(np.zeros(n)), solve(target)
    return before[0], after[0], before[1], after[1], target


def _seen(z, spaces):
    """Bumps along each variable, each variable's in directions of its own, as objects at places of their own."""
    curves = np.exp(-((z[:, :, None] - np.linspace(-3, 3, PLACES)) ** 2))
    return np.einsum("njp,jpk->nk", curves, spaces)


def _explained_by(z, read):
    """Share of a readout's variance that a function of one variable explains."""
    design = np.exp(-((z[:, None] - np.linspace(-4, 4, 30)) ** 2))
    left = read - design @ np.linalg.lstsq(design, read, rcond=None)[0]
    return 1 - left.var() / read.var()


def _spaces(seed, overlap):
    """Subspaces (DIM, PLACES, k) of the variables: orthogonal, or with so much of those of the others."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(40, 40)))[0][: DIM * PLACES].reshape(DIM, PLACES, 40)
    return basis + overlap * np.roll(basis, 1, axis=0)


@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_each_readout_is_a_function_of_its_variable_alone(overlap):
    z, z_after, noise, noise_after, target = _worlds(12_000)
    spaces = _spaces(1, overlap)
    found = subspace_readouts(_seen(z, spaces), _seen(z_after, spaces), noise, noise_after, target, [0, 1, 2])
    read = _seen(z, spaces) @ found.weight
    for j in range(DIM):
        # Where subspaces are not orthogonal, coefficients of causes are known up to 3,000 rows.
        assert _explained_by(z[:, j], read[:, j]) > (1 - 1e-9 if overlap == 0 else 0.998)
        scores = np.interp(read[:, j], found.quantiles[j], found.scores)
        assert np.corrcoef(scores, z[:, j])[0, 1] > 0.97  # what was drawn is normal, so scores are z, but for the bumps
    assert found.explained.max() < 0.02
    assert found.moved.max() < 1e-3


def test_what_is_no_sum_over_variables_is_found_out():
    z, z_after, noise, noise_after, target = _worlds(6000)
    turn = np.random.default_rng(2).normal(size=(DIM, 30))
    # z2 shows in products with z1 alone, so that no weighted sum is a function of z2.
    product, product_after = (np.stack([v[:, 0], v[:, 0] + v[:, 0] * v[:, 1], v[:, 2]], 1) for v in (z, z_after))
    found = subspace_readouts(product @ turn, product_after @ turn, noise, noise_after, target, [0, 1, 2])
    read = product @ turn @ found.weight
    assert _explained_by(z[:, 1], read[:, 1]) < 0.5
    assert _explained_by(z[:, 2], read[:, 2]) > 0.999
    assert found.explained[1] > 0.05  # by the noise of z1, the square if not the number
    assert found.explained[[0, 2]].max() < 0.02


def test_too_few_pairs_of_a_target_give_nothing():
    z, z_after, noise, noise_after, target = _worlds(400)
    spaces = _spaces(1, 0.0)
    rows = np.flatnonzero((target != 2) | (np.arange(400) < 60))
    sides = (part[rows] for part in (_seen(z, spaces), _seen(z_after, spaces), noise, noise_after))
    assert subspace_readouts(*sides, target[rows], [0, 1, 2]) is None


def test_what_does_not_fit_is_refused():
    x, e = np.zeros((10, 5)), np.zeros((10, 3))
    with pytest.raises(ValueError, match=r"got shapes \(10, 5\), \(9, 5\)"):
        subspace_readouts(x, x[:9], e, e, np.zeros(10, int), [0, 1, 2])
    with pytest.raises(ValueError, match=r"order: got \[0, 1\], expected an order of 0..2"):
        subspace_readouts(x, x, e, e, np.zeros(10, int), [0, 1])
