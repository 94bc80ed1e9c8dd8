"""Explicit models and the one of sets are proper joints: any of Pyro's inference methods may be used on them."""

from contextlib import nullcontext
from functools import partial

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Predictive, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoNormal
from pyro.infer.inspect import get_model_relations

from pyro_lcm.causal.graph_sites import PermutationLogits, PermutationPrior, TableLogits, TablePrior
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.scoring import Scoring
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.soft_ilcm_subsets import SubsetILCMGuide
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.soft_elcm import SoftELCM
from pyro_lcm.models.soft_ilcm_subsets import SubsetILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.testing import check_pair_program
from pyro_lcm.training.handlers import DeterministicDtype

DIM, ROWS = 2, 3


def _mechanisms(slopes, constants, scales):
    """z_2 from z_1 and z_1 from z_2, whichever the graph has."""
    mechanisms = Mechanisms(DIM, hidden=())
    for i, (slope, constant, scale) in enumerate(zip(slopes, constants, scales, strict=True)):
        mechanisms.set_affine(i, torch.tensor([0.0, slope][:: 1 - 2 * (i == 1)]), *torch.tensor([constant, scale]))
    return mechanisms


def _elcm(decoder):
    return ELCM(DIM, decoder, TablePrior(DIM, penalty=0.3), _mechanisms((0.7, 0.9), (0.4, -0.2), (1.3, 0.6)))


def _soft_elcm(decoder):
    changed = _mechanisms((-0.4, -0.8), (0.1, 0.5), (0.5, 0.8))
    return SoftELCM(DIM, decoder, TablePrior(DIM), _mechanisms((0.7, 0.9), (0.4, -0.2), (1.3, 0.6)), changed)


def _subsets(decoder):
    solution, changed = (SolutionFunctions(DIM, hidden=()) for _ in range(2))
    model = SubsetILCM(DIM, decoder, solution=solution, changed=changed)
    with torch.no_grad():
        for part, slope in ((solution, 0.8), (changed, -0.5)):
            part.networks.affine[1, 0, 0] = slope
            part.networks.bias[0, 0, :] = torch.tensor([0.3, -0.2])
    return model


MODELS = {"elcm": _elcm, "soft_elcm": _soft_elcm, "soft_ilcm_subsets": _subsets}
EXPLICIT = ("elcm", "soft_elcm")


@pytest.fixture
def make():
    """Linear, with noise on x: given graph and target everything is Gaussian."""

    def build(name):
        decoder = VectorDecoder(DIM, DIM, (), initial_sd=0.5)
        with torch.no_grad():
            decoder.body.affine.weight.copy_(torch.tensor([[1.0, 0.4], [-0.3, 0.9]]))
        return MODELS[name](decoder).requires_grad_(False).eval()

    return build


@pytest.fixture
def pairs(make):
    pyro.set_rng_seed(1)
    return make("elcm")(size=ROWS)


def _guide(name, model):
    encoder = VectorEncoder(DIM, DIM, ())
    if name == "soft_ilcm_subsets":
        return SubsetILCMGuide(DIM, encoder, redrawn_dist=model.redrawn_dist)
    return ELCMGuide(DIM, encoder, TableLogits(DIM), redrawn_dist=model.redrawn_dist)


def _discrete(name):
    return ["target", "graph"] if name in EXPLICIT else ["target"]


def _mean_by_nuts(program, pairs):
    pyro.set_rng_seed(0)
    kernel = NUTS(config_enumerate(program), max_plate_nesting=1, max_tree_depth=3)
    chain = MCMC(kernel, num_samples=250, warmup_steps=80, disable_progbar=True)
    chain.run(*pairs, size=ROWS)
    draws = chain.get_samples()["noise"]
    assert draws.std(0).max() < 1.0
    # At 100 effective draws or more, five standard errors are half a posterior standard deviation.
    return draws.mean(0), float(0.5 * draws.std(0).max())


@pytest.mark.parametrize("name", EXPLICIT)
def test_the_density_that_mcmc_climbs_is_the_sum_over_graphs_and_targets(
    name, make, pairs, mcmc_density, summed_density
):
    """One graph for all pairs, a target for each."""
    model = make(name)
    noise, redrawn = torch.randn(2, ROWS, DIM)
    prior = (-model.graphs.penalty * model.graphs.table.sum((1, 2))).log_softmax(0)
    terms = []
    for graph, log_prior in zip(model.graphs.table, prior, strict=True):
        given = (partial(part, adjacency=graph) for part in (model.redrawn_dist, model.x_dist))
        terms.append(summed_density(*given, *pairs, noise, redrawn).sum() + log_prior)
    found = mcmc_density(model, pairs, {"noise": noise, "redrawn": redrawn})
    torch.testing.assert_close(found, torch.stack(terms).logsumexp(0))


@pytest.mark.slow
def test_nuts_agrees_with_enumeration(make, pairs, linear_posterior):
    """The sum over graphs and targets: one graph for all pairs, a target for each."""
    model = make("elcm")
    found, bound = _mean_by_nuts(model, pairs)
    means, log_evidence = [], []
    for graph in model.graphs.table:
        mean, evidence = linear_posterior(partial(model.redrawn_dist, adjacency=graph), model.x_dist, *pairs)
        means.append(mean)
        log_evidence.append(evidence.sum() - model.graphs.penalty * graph.sum())
    expected = (torch.stack(log_evidence).softmax(0)[:, None, None] * torch.stack(means)).sum(0)
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


@pytest.mark.slow
def test_nuts_agrees_with_enumeration_of_targets_given_the_graph(make, pairs, linear_posterior):
    """Where x sees causal variables each graph has noise encodings of its own, between which no chain goes."""
    model = make("soft_elcm")
    model.adjacency.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    found, bound = _mean_by_nuts(model.given_graph, pairs)
    expected, _ = linear_posterior(model.redrawn_dist, model.x_dist, *pairs)
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("name", MODELS)
def test_the_scales_of_an_automatic_guide_stay_bounded(name, make, pairs):
    """Outcomes without a density would raise its entropy for ever."""
    pyro.set_rng_seed(0)
    enumerated = config_enumerate(make(name))
    guide = AutoNormal(poutine.block(enumerated, hide=_discrete(name)))
    svi = SVI(enumerated, guide, pyro.optim.Adam({"lr": 0.05}), TraceEnum_ELBO(max_plate_nesting=1))
    losses = [svi.step(*pairs, size=ROWS) for _ in range(150)]
    scales = torch.stack([guide.scales.noise.detach(), guide.scales.redrawn.detach()])
    early, late = (sum(losses[part]) / 50 for part in (slice(50, 100), slice(100, 150)))
    assert abs(early - late) < 0.05 * abs(late)
    assert scales.min() > 0.05
    assert scales.max() < 2.5


@pytest.mark.parametrize("name", MODELS)
def test_predictive_draws_every_outcome(name, make):
    """Mean and spread of every r_i given e, and the graph where there is one, whatever the target."""
    model = make(name)
    pyro.set_rng_seed(0)
    drawn = Predictive(model, num_samples=600, parallel=True)(size=3)
    noise, redrawn = (drawn[site].reshape(-1, DIM) for site in ("noise", "redrawn"))
    assert drawn["redrawn"].shape == (600, 3, DIM)
    if name in EXPLICIT:
        graphs = model.graphs.table[drawn["graph"]].expand(600, 3, DIM, DIM).reshape(-1, DIM, DIM)
        expected = model.redrawn_dist(noise, adjacency=graphs)
    else:
        # z_2 follows what z_1 was redrawn to only where both are targets.
        both = model.subsets[drawn["target"]].all(-1).reshape(-1, 1)
        expected = model.redrawn_dist(torch.where(both, redrawn, noise))
    standard = (redrawn - expected.mean) / expected.stddev
    # 1,800 draws: five standard errors
    assert standard.mean(0).abs().max() < 5 / 1800**0.5
    assert (standard.var(0) - 1).abs().max() < 5 * (2 / 1800) ** 0.5


@pytest.mark.parametrize("name", MODELS)
def test_its_structure_can_be_drawn(name, make, pairs):
    relations = get_model_relations(make(name), model_args=pairs, model_kwargs={"size": ROWS})
    assert {"before/x", "after/x"} <= set(relations["observed"])
    assert {"target", "noise", "redrawn"} <= set(relations["sample_sample"]["after/x"])
    assert set(relations["plate_sample"]["pairs"]) >= {"target", "noise", "redrawn", "before/x", "after/x"}
    if name in EXPLICIT:
        assert "graph" in relations["sample_sample"]["redrawn"]


@pytest.mark.parametrize("name", MODELS)
def test_the_elbo_of_pyro_is_that_of_a_run_for_the_density_alone(name, make, pairs, float64, shaken, monkeypatch):
    """Outcomes that nobody saw cancel for every graph and target, in value and gradients of model and guide.

    Draws are the means, for a run of the proper joint makes more of them.
    """
    monkeypatch.setattr(torch.distributions.normal, "_standard_normal", lambda shape, *args, **kw: torch.zeros(shape))
    model = shaken(make(name).double()).requires_grad_(True)
    guide = shaken(_guide(name, model))
    batch = dict(zip(("x", "x_after"), (side.double() for side in pairs), strict=True))
    values = []
    for context in (nullcontext(), Scoring()):
        with context, DeterministicDtype():
            loss = TraceEnum_ELBO(max_plate_nesting=1).differentiable_loss(model, guide, **batch, size=ROWS)
        parameters = [*model.parameters(), *guide.parameters()]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        values.append([loss, *(torch.zeros(()) if part is None else part for part in gradients)])
    assert sum(part.any() for part in values[0]) > 10
    for found, expected in zip(*values, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_several_permutations_are_a_proper_joint_too(make, pairs, shaken):
    """Of a guide of permutations several graphs are drawn; outcomes are drawn for each."""
    graphs = PermutationPrior(DIM), PermutationLogits(DIM, draws=4)
    model = ELCM(DIM, make("elcm").decoder, graphs[0], Mechanisms(DIM, (3,)))
    guide = ELCMGuide(DIM, VectorEncoder(DIM, DIM, ()), graphs[1], redrawn_dist=model.redrawn_dist)
    shaken(model), shaken(guide)
    check_pair_program(model, guide, dict(zip(("x", "x_after"), pairs, strict=True)))
    with poutine.enum(first_available_dim=-2):
        q = poutine.trace(guide).get_trace(*pairs, size=ROWS)
        p = poutine.trace(poutine.replay(model, q)).get_trace(*pairs, size=ROWS)
    redrawn = q.nodes["redrawn"]["value"]
    assert redrawn.shape == (DIM + 1, 4, ROWS, DIM)
    unseen = [trace.nodes["redrawn"]["fn"].base_dist.log_prob(redrawn)[0] for trace in (p, q)]
    torch.testing.assert_close(*unseen)
