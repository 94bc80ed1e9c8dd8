"""Walkers are chains of their own for R-hat; chance alone is no disagreement."""

import numpy as np

from pyro_lcm.discovery.diagnostics import binary_diagnostics, is_settled, smallest_ess


def test_walkers_that_stay_in_different_modes_are_seen():
    """Two chains of four walkers, half of them stuck at 1: alike as chains, not as walkers."""
    walker = np.broadcast_to(np.repeat(np.arange(4), 25), (2, 100))
    draws = (walker % 2)[..., None]
    interleaved = draws.reshape(2, 4, 25, 1).swapaxes(1, 2).reshape(2, 100, 1)
    assert binary_diagnostics(interleaved).r_hat.max() < 1.01
    found = binary_diagnostics(draws, walker)
    assert found.r_hat.max() > 2
    assert found.ess.min() <= 8
    assert not is_settled(draws, walker, 10)


def test_independent_draws_of_short_walkers_are_within_chance():
    walker = np.broadcast_to(np.repeat(np.arange(16), 12), (4, 192))
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, 30)
    for _ in range(20):
        found = binary_diagnostics(rng.random((4, 192, 30)) < chance, walker)
        assert found.limit > 1.01
        assert (found.r_hat <= found.limit).all()


def test_long_chains_are_held_to_one_hundredth():
    assert binary_diagnostics(np.arange(8000).reshape(2, 4000, 1) % 2).limit == 1.01


def test_rare_edges_need_no_effective_draws():
    draws = np.zeros((2, 1000, 2), dtype=int)
    draws[..., 0] = np.arange(1000) % 2
    draws[0, :5, 1] = 1
    size, place = smallest_ess(binary_diagnostics(draws))
    assert place == (0,)
    assert size > 1000
