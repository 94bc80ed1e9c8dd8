"""Soft interventions: who changes, and by which mechanism."""

import numpy as np
import pytest

from pyro_lcm.data.soft import SoftSystem


@pytest.mark.parametrize("hidden", [0, 5])
def test_only_the_target_and_its_descendants_change(hidden):
    system = SoftSystem(3, hidden=hidden)
    pairs = system.sample(500, 0)
    np.testing.assert_allclose(pairs.x @ system.rotation, pairs.z, atol=1e-9)
    moved = ~np.isclose(pairs.z, pairs.z_after)
    reach = np.linalg.matrix_power(np.eye(4) + system.adjacency, 4) > 0
    for target in range(5):
        rows = moved[pairs.targets == target]
        allowed = np.zeros(4, bool) if target == 0 else reach[target - 1]
        assert not rows[:, ~allowed].any()
        assert target == 0 or rows[:, target - 1].all()


def test_a_linear_variable_without_intervention_is_its_noise_and_its_parents():
    system = SoftSystem(3)
    pairs = system.sample(200, 1)
    for i in range(4):
        weights = system.loc[i][0] * system.adjacency[:, i]
        np.testing.assert_allclose(pairs.z[:, i], pairs.noise[:, i] + pairs.z @ weights)


def test_sets_of_targets_change_their_members_and_descendants():
    system = SoftSystem(3, sets=True)
    pairs = system.sample(400, 0)
    moved = ~np.isclose(pairs.z, pairs.z_after)
    reach = np.linalg.matrix_power(np.eye(4) + system.adjacency, 4) > 0
    hit = pairs.targets == 1
    assert {0, 1, 2, 3, 4} == set(hit.sum(1))
    assert not (moved & ~(hit @ reach)).any()
    assert moved[hit].all()
    known = pairs[:5].with_known_targets(np.array([True, False, True, True, True])).batch([0, 1])["targets"]
    assert known.tolist() == [pairs.targets[0].tolist(), [-1] * 4]
