"""Posterior over graphs of learned variables: drawn targets, chains and fits."""

import numpy as np
import pytest

from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.discovery.arviz_compat import group
from pyro_lcm.discovery.latents import LatentRows, draw_targets, latent_graph_posterior
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.redrawn import RedrawnScore
from tables import each_row

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


@each_row(("arguments", "message"), [({"fits": []}, "fits: got none"), ({"chains": 0}, "chains: got 0")])
def test_arguments_out_of_range_are_named(rows, arguments, message):
    with pytest.raises(ValueError, match=message):
        latent_graph_posterior(**({"fits": [rows], "names": NAMES, "draws": 5} | arguments))


class TestRedrawn:
    """Pairs scored by the redrawn encoding of their target."""

    @pytest.fixture(scope="class")
    @classmethod
    def pairs(cls):
        return ScalingSystem(3, seed=3).sample(2000)

    @pytest.fixture(scope="class")
    @classmethod
    def redrawn(cls, pairs):
        return LatentRows(pairs.z_after, np.eye(4)[pairs.targets], pairs.z, pairs.noise_after)

    def test_the_chain_is_found(self, redrawn):
        container = latent_graph_posterior([redrawn], names=NAMES, draws=300, chains=2)
        np.testing.assert_allclose(_edges(container), [[0, 1, 0], [0, 0, 1], [0, 0, 0]], atol=0.15)

    def test_effects_are_those_of_the_system(self, pairs, redrawn):
        container = latent_graph_posterior([redrawn], names=NAMES, draws=300, chains=1)
        effect = group(container, "posterior")["effect"].mean(("chain", "draw"))
        b = float(np.polyfit(pairs.z[:, 0], pairs.z[:, 1], 1)[0])
        # 500 pairs with target b: a standard error of 0.05
        assert float(effect.sel(cause="a", outcome="b")) == pytest.approx(b, abs=0.2)
        spread = group(container, "posterior")["effect"].std(("chain", "draw")).sel(cause="a", outcome="b")
        assert 0.02 < float(spread) < 0.1

    def test_other_pairs_say_nothing_about_a_variable(self, pairs):
        targets = np.where(pairs.targets == 2, 0, pairs.targets)
        score = RedrawnScore(BGeScore, pairs.z, pairs.noise_after, targets, NAMES)
        np.testing.assert_allclose(score.local(1, [[0, 0, 0], [1, 0, 0], [1, 0, 1]]), 0.0, atol=1e-9)
        assert score.total(np.zeros((3, 3))) == pytest.approx(sum(score.local(i, [[0, 0, 0]])[0] for i in (0, 2)))

    def test_an_error_of_the_solution_function_is_no_evidence(self, pairs, redrawn):
        """c's learned function leans on a by mistake: rows after are sure of an edge a -> c, pairs are not."""
        wrong = pairs.z_after.copy()
        wrong[:, 2] += 0.3 * pairs.noise_after[:, 0]
        before = pairs.z.copy()
        before[:, 2] += 0.3 * pairs.noise[:, 0]
        by_rows = LatentRows(wrong, redrawn.targets)
        by_pairs = LatentRows(wrong, redrawn.targets, before, pairs.noise_after)
        sure, unsure = (
            _edges(latent_graph_posterior([rows], names=NAMES, draws=300, chains=2)) for rows in (by_rows, by_pairs)
        )
        assert sure[0, 2] > 0.95
        assert unsure[0, 2] < 0.2

    def test_nonlinear_mechanisms(self):
        """The true graph is nearly certain after 4,000 pairs, and far from it after 100; rows do not see that."""
        system = ScalingSystem(3, seed=3, mechanisms="nonlinear")
        pairs = system.sample(4000)
        fit = LatentRows(pairs.z_after, np.eye(4)[pairs.targets], pairs.z, pairs.noise_after)
        few = LatentRows(*(part[:100] for part in (fit.causal_after, fit.targets, fit.causal, fit.noise_after)))
        sure, unsure = (
            _edges(latent_graph_posterior([part], names=NAMES, score="nonlinear", draws=300, chains=1))
            for part in (fit, few)
        )
        assert np.abs(sure - system.adjacency).sum() < 0.1
        assert np.abs(unsure - system.adjacency).sum() > 0.3

    def test_reordered_fits_agree(self, redrawn):
        order, signs = np.array([2, 0, 1]), np.array([1, -1, 1])
        back = np.array([1, 2, 0])
        moved = redrawn.reordered(order, signs)
        again = moved.reordered(back, signs[back])
        for name in ("causal_after", "targets", "causal", "noise_after"):
            np.testing.assert_array_equal(getattr(again, name), getattr(redrawn, name))
        np.testing.assert_array_equal(moved.causal_after[:, 1], -redrawn.causal_after[:, 0])
        assert LatentRows(redrawn.causal_after, redrawn.targets).reordered(order, signs).causal is None

    @each_row(("name", "rows"), [("noise_after", 1999), ("targets", 1999)])
    def test_shapes_are_checked(self, pairs, name, rows):
        arguments = {"causal": pairs.z, "noise_after": pairs.noise_after, "targets": pairs.targets}
        with pytest.raises(ValueError, match=name):
            RedrawnScore(BGeScore, names=NAMES, **(arguments | {name: arguments[name][:rows]}))
