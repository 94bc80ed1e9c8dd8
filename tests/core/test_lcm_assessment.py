"""What a fitted model says about itself: checks without truth, scores with it, graphs with their uncertainty."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pyro.distributions import Normal

from pyro_lcm import InterventionPairs, LatentCausalModel
from pyro_lcm.architecture import Architecture
from pyro_lcm.assessment.pair_assessment import _claims
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.discovery import latents
from pyro_lcm.discovery.arviz_compat import group
from pyro_lcm.evaluation import METRICS
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.fitting.fitted import Encoding
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.recipes.published import annealed
from pyro_lcm.registry import build
from tables import each_row


@pytest.fixture(scope="module")
def relabelled(train, small):
    """A fit of the same data whose variables are named in another order: the true 1, 2, 3 as z3, z1, z2."""
    targets = np.array([0, 3, 1, 2])[train.targets]
    pairs = InterventionPairs(train.x, train.x_after, targets=targets).with_known_targets()
    return LatentCausalModel().fit(pairs, budget=small, seed=1, progress=False)


@pytest.fixture(scope="module")
def narrow(train, small):
    """A fit with a variable too few."""
    options = {"flow_layers": 0, "hidden": (16,), "solution_hidden": (4,)}
    return LatentCausalModel(dim_z=2, options=options).fit(train[:300], budget=small, progress=False)


def test_a_good_fit_has_no_problem(lcm, held_out):
    report = lcm.check(held_out)
    assert report.ok
    assert report.names == lcm.names
    np.testing.assert_allclose(report.usage, 0.25, atol=0.05)
    assert report.explained > 0.999
    assert report.leakage.max() < 0.05
    assert report.agreement is None
    assert "No problem found." in report.to_text()


def test_fits_that_agree_are_said_to(lcm, relabelled, held_out):
    report = lcm.check(held_out, fits=[relabelled])
    assert report.ok
    assert report.agreement.shape == (2, 2)
    assert report.agreement.min() > 0.999


def test_fits_that_disagree_are_a_problem(lcm, held_out, train, small):
    rng = np.random.default_rng(0)
    moved = InterventionPairs(train.x[:1000], train.x[:1000] + rng.normal(size=(1000, 3)))
    options = {"flow_layers": 0, "solution_hidden": ()}
    wrong = LatentCausalModel(options=options).fit(moved, budget=small, progress=False)
    report = lcm.check(held_out, fits=[wrong])
    assert any("fits disagree" in problem for problem in report.problems)


def test_a_variable_that_is_never_a_target_is_named(small):
    system = ScalingSystem(3, seed=3, target_weights=(1, 1, 1, 0))
    lcm = LatentCausalModel().fit(system.sample(3000), budget=small, progress=False)
    test = system.sample(1500, seed=1)
    noise = lcm.encode(test.x).noise
    dead = align(noise, test.noise).permutation[2]
    problems = lcm.check(test).problems
    assert any(line.startswith(f"z{dead + 1} is hardly ever a target") for line in problems)


def test_too_few_variables_are_a_problem(narrow, held_out):
    problems = narrow.check(held_out).problems
    assert any("differences are not one-sparse" in line or "reconstruction" in line for line in problems)


def test_a_model_that_was_not_trained_is_a_problem(held_out, train):
    model, guide = build(Architecture("ilcm", dim_x=3, dim_z=3, flow_layers=2))
    lcm = LatentCausalModel(model, guide).fit(train[:500], phases=annealed(4, batch_size=64), progress=False)
    assert not lcm.check(held_out).ok


def test_scores_have_the_promised_keys(lcm, held_out):
    scores = lcm.evaluate(held_out, dci_rows=500)
    assert set(scores) == {*METRICS, "elbo"}
    assert all(isinstance(value, (float, int)) for value in scores.values())
    assert scores["disentanglement"] > 0.95
    assert min(scores["mcc"], scores["mcc_noise"], scores["mcc_spearman"]) > 0.995
    assert scores["intervention_accuracy"] > 0.99
    assert scores["shd"] == 0


def test_without_truth_only_the_elbo_is_known(lcm, held_out):
    scores = lcm.evaluate(InterventionPairs(held_out.x, held_out.x_after))
    assert scores["elbo"] == pytest.approx(lcm.elbo(held_out))
    assert {name for name, value in scores.items() if value is None} == set(METRICS)


def test_the_elbo_is_a_function_of_the_seed_and_close_for_another(lcm, held_out):
    value = lcm.elbo(held_out, seed=1)
    assert lcm.elbo(held_out, seed=1) == value
    other = lcm.elbo(held_out, seed=2)
    assert other != value
    assert other == pytest.approx(value, abs=0.5)


def test_the_elbo_falls_on_data_of_another_system(lcm, held_out):
    other = ScalingSystem(3, seed=8).sample(500)
    assert lcm.elbo(other) < lcm.elbo(held_out) - 1


def test_the_elbo_does_not_depend_on_how_many_rows_are_read_at_a_time(lcm, held_out, monkeypatch):
    value = lcm.elbo(held_out)
    monkeypatch.setattr("pyro_lcm.fitting.fitted._ROWS", 400)
    assert lcm.elbo(held_out) == pytest.approx(value, abs=0.5)  # other draws of the guide


def test_hypotheses_of_the_elbo_are_checked(lcm, held_out):
    with pytest.raises(ValueError, match="hypotheses: got 0"):
        lcm.elbo(held_out, hypotheses=0)


def test_the_graph_is_found(lcm, held_out, system):
    alignment = align(lcm.encode(held_out.x).noise, held_out.noise)
    assert np.array_equal(alignment.relabel_adjacency(lcm.adjacency()), system.adjacency)


def _most_probable(container):
    draws = group(container, "posterior")["adjacency"].values.reshape(-1, 3, 3)
    graphs, counts = np.unique(draws, axis=0, return_counts=True)
    return graphs[counts.argmax()], counts.max() / counts.sum()


@pytest.mark.parametrize("score", ["auto", "linear"])
def test_the_true_graph_has_the_largest_mass(lcm, held_out, system, score):
    container = lcm.graph_posterior(held_out, score=score, draws=200, chains=2)
    adjacency = group(container, "posterior")["adjacency"]
    assert adjacency.sizes == {"chain": 2, "draw": 200, "parent": 3, "child": 3}
    assert adjacency["parent"].values.tolist() == list(lcm.names)
    graph, mass = _most_probable(container)
    alignment = align(lcm.encode(held_out.x).noise, held_out.noise)
    assert np.array_equal(alignment.relabel_adjacency(graph), system.adjacency)
    assert mass > 0.5


@pytest.mark.parametrize(("model", "by_pairs"), [("ilcm", True), ("elcm", True), ("dvae", False)])
def test_nonlinear_fits_of_perfect_interventions_are_scored_by_pairs(lcm, held_out, monkeypatch, model, by_pairs):
    seen = {}
    monkeypatch.setattr(latents, "latent_graph_posterior", lambda fits, **options: seen.update(options, fits=fits))
    architecture = replace(lcm.fitted.architecture, model=model, flow_layers=2)
    monkeypatch.setattr(lcm, "_fitted", replace(lcm.fitted, architecture=architecture))
    lcm.graph_posterior(held_out)
    assert seen["score"] == "nonlinear"
    assert (seen["fits"][0].noise_after is not None) == by_pairs


def test_other_fits_become_chains_in_the_order_of_the_first(lcm, relabelled, held_out):
    container = lcm.graph_posterior(held_out, fits=[relabelled], draws=200, chains=2)
    edges = group(container, "posterior")["adjacency"].mean("draw").values
    np.testing.assert_allclose(edges[0], edges[1], atol=0.2)
    first, _ = _most_probable(lcm.graph_posterior(held_out, draws=200, chains=1))
    assert np.array_equal(edges[1] > 0.5, first)
    effects = group(container, "posterior")["effect"].mean("draw").values
    np.testing.assert_allclose(effects[0], effects[1], atol=0.3)


def test_there_are_at_least_as_many_chains_as_fits(lcm, relabelled, held_out):
    container = lcm.graph_posterior(held_out, fits=[relabelled, relabelled], draws=10, chains=1)
    assert group(container, "posterior").sizes["chain"] == 3


def test_fits_of_too_few_variables_are_named(lcm, narrow, held_out):
    with pytest.raises(ValueError, match="fits: got one of 2 variables, expected at least 3"):
        lcm.graph_posterior(held_out, fits=[narrow])


@each_row(
    ("arguments", "message"),
    [
        ({"rows": 0}, "rows: got 0"),
        ({"chains": 0}, "chains: got 0"),
        ({"draws": 0}, "draws: got 0"),
        ({"score": "cosine"}, "score: got 'cosine'"),
        ({"method": "magic"}, "method: got 'magic'"),
    ],
)
def test_arguments_of_the_posterior_are_named(lcm, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        lcm.graph_posterior(held_out, **arguments)


class Bare(ILCM):
    """A model of one's own without solution functions: its causal variables are its noise encodings."""

    def __init__(self):
        super().__init__(3, VectorDecoder(3, 3, ()))
        del self.solution

    def causal(self, noise):
        return noise

    def redrawn_dist(self, noise, target):
        shape = torch.broadcast_shapes(noise.shape[:-1], target.shape)
        return Normal(self.zero, 1.0).expand([*shape, self.dim_z])


def test_a_model_without_solution_functions_has_no_graph_and_no_interventions(train):
    lcm = LatentCausalModel(Bare(), ILCMGuide(3, VectorEncoder(3, 3, ())))
    lcm.fit(train[:300], phases=annealed(4, batch_size=64), progress=False)
    with pytest.raises(ValueError, match="no solution functions"):
        lcm.adjacency()
    with pytest.raises(ValueError, match="solution functions"):
        lcm.intervene({"z1": 0.0}, x=train.x[:3])


def test_where_no_order_was_found_the_graph_is_read_off_the_jacobian(train):
    model, guide = build(Architecture("ilcm", dim_x=3, dim_z=3, flow_layers=0))
    lcm = LatentCausalModel(model, guide).fit(train[:300], phases=annealed(4, batch_size=64), progress=False)
    with torch.no_grad():
        model.solution.networks.affine.zero_()
        model.solution.networks.affine[2, 0, 0] = -0.7
    assert lcm.adjacency().tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_a_claim_is_what_a_shift_owes_to_one_parent_alone():
    solution = SolutionFunctions(3, (4,))
    solution.set_order([0, 1, 2])
    with torch.no_grad():
        solution.networks.weights[-1].zero_()
        solution.networks.biases[-1].zero_()
        solution.networks.affine.zero_()
        solution.networks.affine[2, :2, 0] = torch.tensor([2.0, -1.0])
    fitted = SimpleNamespace(model=SimpleNamespace(solution=solution), device=torch.device("cpu"), dtype=torch.float32)
    causal = np.random.default_rng(0).normal(size=(400, 3))
    causal[:, 1] += causal[:, 0]
    claim = _claims(fitted, Encoding(causal, causal, causal, causal))
    rows = np.arange(300)
    design = np.column_stack([causal[rows, 1], np.ones(300)])
    alone = causal[rows, 0] - design @ np.linalg.lstsq(design, causal[rows, 0], rcond=None)[0]
    np.testing.assert_allclose(claim(0, 2, rows), 2 * alone, atol=0.02)  # but for the middle of 16 quantiles
    np.testing.assert_allclose(claim(0, 1, rows), 0, atol=1e-6)
    assert claim(2, 1, rows) is None
