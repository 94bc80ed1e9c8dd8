"""The linear system of a graph fitted to pairs: gradient, maximum, and the truth it finds."""

import numpy as np
import pytest

from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.discovery.scores.redrawn_system import fit_system


@pytest.fixture(scope="module")
def pairs():
    return ScalingSystem(4, seed=1).sample(20_000)


def true_system(pairs):
    return np.linalg.lstsq(pairs.noise - pairs.noise.mean(0), pairs.z - pairs.z.mean(0), rcond=None)[0].T


def test_the_true_system_is_found_given_the_true_graph(pairs):
    found = fit_system(pairs.adjacency, pairs.noise, pairs.noise_after, pairs.targets)
    # 4,000 pairs for each mechanism: standard errors of 0.016 a coefficient, a few add up along paths
    np.testing.assert_allclose(found, true_system(pairs), atol=0.12)
    assert (found[np.abs(true_system(pairs)) < 1e-9] == 0).mean() > 0.9


def test_the_result_is_a_maximum_of_the_likelihood(pairs):
    """Any change of a coefficient that the graph allows makes the redrawn causal variables less likely."""
    graph, rng = pairs.adjacency, np.random.default_rng(0)
    best = fit_system(graph, pairs.noise, pairs.noise_after, pairs.targets)

    def log_likelihood(system):
        slope = np.diagonal(system)
        direct = np.eye(4) - slope[:, None] * np.linalg.inv(system)  # B^T
        total = 0.0
        for i in range(4):
            hit = pairs.targets == i + 1
            redrawn = slope[i] * pairs.noise_after[hit, i] + pairs.noise[hit] @ system.T @ direct[i]
            total += hit.sum() * np.log(slope[i]) - 0.5 * ((redrawn - redrawn.mean()) ** 2).sum()
        return total

    inverse_slope = np.diagonal(best)
    direct = (np.eye(4) - inverse_slope[:, None] * np.linalg.inv(best)).T
    for _ in range(20):
        moved = direct + 0.05 * graph * rng.normal(size=(4, 4))
        slope = inverse_slope * np.exp(0.05 * rng.normal(size=4))
        assert log_likelihood(np.linalg.inv(np.eye(4) - moved.T) * slope) < log_likelihood(best)


def test_without_pairs_the_encodings_stay():
    empty = np.zeros((0, 3))
    graph = np.triu(np.ones((3, 3), dtype=np.int8), 1)
    np.testing.assert_allclose(fit_system(graph, empty, empty, np.zeros(0, dtype=int)), np.eye(3), atol=1e-6)
