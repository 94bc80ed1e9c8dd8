"""Linear mechanisms of all variables together: exact without noise of interventions, sparse, and as good as can be."""

import numpy as np
import pytest

from pyro_lcm import ScalingSystem
from pyro_lcm.identify.linear_mechanisms import edge_strengths, linear_mechanisms, linear_order


def _found(dim, n, *, seed=0, order=None):
    pairs = ScalingSystem(dim, seed=seed).sample(n)
    order = list(range(dim)) if order is None else order
    return pairs, linear_mechanisms(pairs.noise, pairs.noise_after, pairs.targets, order)


def test_direct_and_total_effects_are_of_one_system():
    pairs, found = _found(5, 3000)
    unit = np.eye(5)
    np.testing.assert_allclose((unit - found.total) @ (unit + found.direct), unit, atol=1e-10)
    assert ((found.direct.T != 0) == pairs.adjacency).all()
    causal = pairs.noise @ (unit - found.total).T
    of_truth = np.corrcoef(causal.T, pairs.z.T)[:5, 5:].diagonal()
    assert of_truth.min() > 0.999


def test_many_variables_have_the_graph_that_one_after_another_had_not():
    # One row after another had 25 edges too many here, of 100,000 pairs, since total effects are up to 765.
    pairs, found = _found(32, 100_000)
    assert np.abs(found.total).max() > 100
    assert ((found.direct.T != 0) != pairs.adjacency).sum() <= 3


def test_what_is_a_function_of_the_causes_leaves_the_least_spread():
    pairs = ScalingSystem(3, seed=0, edge_probability=1.0).sample(600)
    after = pairs.noise_after.copy()
    rows = pairs.targets == 3
    after[rows, 2] = 2 * pairs.noise[rows, 0]
    found = linear_mechanisms(pairs.noise, after, pairs.targets, [0, 1, 2], least_sd=0.05)
    assert found.sds[2] == pytest.approx(0.05)
    np.testing.assert_allclose(found.total[2], [2, 0, 0], atol=1e-6)


def test_without_effects_there_is_no_edge():
    rng = np.random.default_rng(0)
    noise, after = rng.normal(size=(2, 900, 3))
    target = np.arange(900) % 3 + 1
    found = linear_mechanisms(noise, after, target, [2, 0, 1])
    assert not found.direct.any()
    np.testing.assert_allclose(found.intercepts, [after[target == i + 1, i].mean() for i in range(3)])


def test_too_few_pairs_of_a_variable_are_named():
    noise = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(ValueError, match="got 0 pairs of variable 3, expected at least 4"):
        linear_mechanisms(noise, noise + 1, np.arange(50) % 2 + 1, [0, 1, 2])


def test_pairs_show_the_edges_that_are_there_and_no_others():
    system = ScalingSystem(6, seed=1)
    pairs = system.sample(2500)
    direct = np.where(np.tri(6, k=-1, dtype=bool), 0.3, 0.0)
    found = edge_strengths(pairs.noise, pairs.noise_after, pairs.targets, list(range(6)), direct)
    strengths = found.shown
    present = system.adjacency != 0
    absent = np.triu(np.ones((6, 6), dtype=bool), 1) & ~present
    assert strengths[present].min() > 20
    assert strengths[absent].max() < 12
    # The claim is off by the distance of the two, of the same sign or of the other.
    shown, claimed, off = (np.sqrt(part[present | absent]) for part in (found.shown, found.claimed, found.off))
    assert (np.isclose(off, np.abs(shown - claimed)) | np.isclose(off, shown + claimed)).all()


def test_of_too_few_pairs_nothing_is_said_of_edges():
    pairs = ScalingSystem(3, seed=0).sample(40)
    direct = np.tri(3, k=-1)
    assert edge_strengths(pairs.noise, pairs.noise_after, pairs.targets, [0, 1, 2], direct) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_no_edge_goes_backwards_in_the_order(seed):
    pairs = ScalingSystem(16, seed=seed, random_order=True).sample(10_000)
    place = np.argsort(linear_order(pairs.noise, pairs.noise_after, pairs.targets))
    parent, child = np.nonzero(pairs.adjacency)
    assert (place[parent] < place[child]).all()
