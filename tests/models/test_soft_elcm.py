"""The explicit model of soft interventions: contract, ELBO over graphs and targets, exact densities, nodes."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal

from pyro_lcm.causal.graph_sites import EdgeOrderLogits, FixedOrder, TableLogits, TablePrior
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.soft_elcm import SoftELCM
from pyro_lcm.nn import VectorEncoder
from pyro_lcm.nn.isometry import IsometricDecoder
from pyro_lcm.testing import PairProgramTests, brute_force_elbo

DIM_X, ROWS = 3, 4
WAYS = {
    "fixed order": (FixedOrder, FixedOrder),
    "all DAGs": (TablePrior, TableLogits),
    "edges and orders": (TablePrior, EdgeOrderLogits),
}


def _programs(way, dim):
    prior, posterior = WAYS[way]
    mechanisms, changed = Mechanisms(dim, (3,)), Mechanisms(dim, (3,))
    model = SoftELCM(dim, IsometricDecoder(dim, DIM_X), prior(dim), mechanisms, changed)
    encoder = VectorEncoder(DIM_X, dim, (), hidden_sd=(3,))
    return model, ELCMGuide(dim, encoder, posterior(dim), redrawn_dist=model.redrawn_dist)


class TestSoftELCM(PairProgramTests):
    settings = ({}, {"hypotheses": 1}, {"kl_weight": 0.3})

    def make(self):
        return _programs("fixed order", 2)

    def batch(self):
        return {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}

    def test_worlds_differ_in_the_target_alone(self):
        """`causal` takes the graph of the program; see below."""


@pytest.fixture
def programs(shaken):
    def make(way, dim):
        model, guide = _programs(way, dim)
        model.adjacency.copy_(FixedOrder(dim).adjacency)
        return shaken(model), shaken(guide)

    return make


@pytest.mark.parametrize("targets", [None, [-1, 0, 2, 1]], ids=["unknown targets", "known targets"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("dim", "size"), [(2, 40), (3, ROWS)])
def test_elbo_is_the_sum_over_graphs_and_targets(
    way, dim, size, targets, programs, float64, elbo_and_gradients, assert_same
):
    model, guide = programs(way, dim)
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    if targets is not None:
        batch["targets"] = torch.tensor(targets)
    found = elbo_and_gradients(model, guide, **batch, size=size, index=torch.arange(ROWS))
    assert_same(found, brute_force_elbo(model, guide, batch, size=size, seed=1), model, guide)


def test_redrawn_density_is_that_of_the_changed_mechanism(programs, float64):
    """p(e~_i) = N(z~_i; loc_i, sd_i) dz~_i / de~_i at the parents' values, by automatic differentiation."""
    model, _ = programs("fixed order", 3)
    adjacency, noise = model.graphs(), torch.randn(5, 3)
    parents = model.causal(noise, adjacency)
    loc, sd = model.changed.coefficients(parents, adjacency)
    for i in range(3):
        value = torch.randn(5, requires_grad=True)
        z = model.causal(torch.where(torch.arange(3) == i, value.unsqueeze(1), noise), adjacency)[:, i]
        (slope,) = torch.autograd.grad(z.sum(), value)
        expected = Normal(loc[:, i], sd[:, i]).log_prob(z) + slope.abs().log()
        found = model.redrawn_dist(noise, adjacency=adjacency).log_prob(value.unsqueeze(1))[:, i]
        torch.testing.assert_close(found, expected)
    assert (loc[:, 2] != loc[0, 2]).any()  # parents still matter


def test_perfect_interventions_are_the_case_of_a_standard_normal_mechanism(programs, float64):
    model, _ = programs("fixed order", 3)
    for i in range(3):
        model.changed.set_affine(i, torch.zeros(3), torch.tensor(0.0), torch.tensor(1.0))
    noise = torch.randn(4, 3)
    soft, perfect = (kind.redrawn_dist(model, noise) for kind in (SoftELCM, ELCM))
    torch.testing.assert_close(soft.loc, perfect.loc)
    torch.testing.assert_close(soft.scale, perfect.scale)


def test_a_soft_intervention_keeps_what_does_not_descend_from_the_target(programs, float64):
    model, _ = programs("fixed order", 3)
    nodes = poutine.trace(pyro.do(model, {"target": torch.full((8,), 2)})).get_trace(size=8).nodes
    before, after = nodes["before/causal"]["value"], nodes["after/causal"]["value"]
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert (before[:, 1:] != after[:, 1:]).all()
    encoding = model.mechanisms.inverse(after, model.graphs())
    torch.testing.assert_close(encoding[:, 2], nodes["noise"]["value"][:, 2])


def test_an_intervention_on_a_node_changes_it_and_its_descendants(programs, float64):
    model, _ = programs("fixed order", 3)
    noise = torch.randn(6, 3)
    natural = poutine.trace(model.program).get_trace(noise).nodes
    nodes = poutine.trace(pyro.do(model.program, {"z2": torch.full((6,), 2.0)})).get_trace(noise).nodes
    causal = torch.stack([natural["z1"]["value"], torch.full((6,), 2.0), torch.zeros(6)], 1)
    loc, scale = model.mechanisms.coefficients(causal, model.adjacency)
    torch.testing.assert_close(nodes["z1"]["value"], natural["z1"]["value"])
    causal[:, 2] = loc[:, 2] + scale[:, 2] * noise[:, 2]
    torch.testing.assert_close(nodes["z3"]["value"], causal[:, 2])
    torch.testing.assert_close(nodes["x"]["fn"].mean, model.decoder(causal)[0])  # x sees causal variables


@pytest.mark.parametrize("way", WAYS)
def test_every_tensor_is_made_where_the_parameters_are(way, programs, on_meta):
    on_meta(*programs(way, 3), DIM_X)
