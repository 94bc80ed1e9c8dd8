"""Posterior over graphs of learned variables: drawn targets, chains and fits."""

import numpy as np
import pytest

from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.discovery.arviz_compat import group
from pyro_lcm.discovery.latents import LatentRows, draw_targets, latent_graph_posterior

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def rows():
    """Of the chain a -> b -> c, targets known."""
    pairs = ScalingSystem(3, seed=3).sample(2000)
    return LatentRows(pairs.z_after, np.eye(4)[pairs.targets])


def _edges(container):
    return group(container, "posterior")["adjacency"].mean(("chain", "draw")).values


def test_drawn_targets_have_the_probabilities_given():
    probabilities = np.array([0.5, 0.0, 0.3, 0.2])
    drawn = draw_targets(np.tile(probabilities, (20_000, 1)), np.random.default_rng(0))
    shares = np.bincount(drawn, minlength=4) / 20_000
    np.testing.assert_allclose(shares, probabilities, atol=5 * np.sqrt(0.25 / 20_000))
    assert shares[1] == 0


def test_drawn_targets_bear_rows_that_hardly_sum_to_one():
    probabilities = np.full((1000, 3), 1 / 3, dtype=np.float32) * np.float32(0.999)
    drawn = draw_targets(probabilities, np.random.default_rng(0))
    assert drawn.max() == 2
    assert drawn.min() == 0


def test_the_chain_is_found(rows):
    container = latent_graph_posterior([rows], names=NAMES, draws=300, chains=2)
    np.testing.assert_allclose(_edges(container), [[0, 1, 0], [0, 0, 1], [0, 0, 0]], atol=0.1)


def test_without_targets_the_direction_is_open(rows):
    """The chain, its reverse and the fork are one equivalence class; interventions that are not masked blur it."""
    blind = LatentRows(rows.causal_after, np.eye(4)[np.zeros(2000, dtype=int)])
    informed = _edges(latent_graph_posterior([rows], names=NAMES, draws=300, chains=1))
    uninformed = _edges(latent_graph_posterior([blind], names=NAMES, draws=300, chains=1))
    assert informed[0, 1] - informed[1, 0] > 0.9
    assert uninformed[1, 0] > 0.1


def test_each_chain_draws_its_own_targets(rows):
    unsure = LatentRows(rows.causal_after, np.full((2000, 4), 0.25))
    container = latent_graph_posterior([unsure], names=NAMES, draws=50, chains=3)
    scores = group(container, "posterior")["log_score"].values
    assert len(np.unique(scores.max(1))) == 3


def test_the_posterior_is_a_function_of_the_seed(rows):
    found = [latent_graph_posterior([rows], names=NAMES, draws=30, chains=2, seed=seed) for seed in (1, 1, 2)]
    drawn = [group(each, "posterior")["effect"].values for each in found]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_effects_of_the_true_graph_are_those_of_the_system(rows):
    container = latent_graph_posterior([rows], names=NAMES, draws=200, chains=1)
    effect = group(container, "posterior")["effect"].mean(("chain", "draw"))
    pairs = ScalingSystem(3, seed=3).sample(50_000, seed=9)
    hit = pairs.targets == 1
    slope = np.polyfit(pairs.z_after[hit, 0], pairs.z_after[hit, 2], 1)[0]
    # 500 rows in which b or c were not the target, and 12,500 for the reference.
    assert float(effect.sel(cause="a", outcome="c")) == pytest.approx(slope, abs=0.4)
    assert float(effect.sel(cause="c", outcome="a")) == pytest.approx(0.0, abs=0.05)


def test_every_fit_is_a_chain(rows):
    container = latent_graph_posterior([rows, rows, rows], names=NAMES, draws=10, chains=1)
    assert group(container, "posterior").sizes["chain"] == 3


@pytest.mark.parametrize(("arguments", "message"), [({"fits": []}, "fits: got none"), ({"chains": 0}, "chains: got 0")])
def test_arguments_out_of_range_are_named(rows, arguments, message):
    with pytest.raises(ValueError, match=message):
        latent_graph_posterior(**({"fits": [rows], "names": NAMES, "draws": 5} | arguments))
