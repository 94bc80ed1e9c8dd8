"""The implicit latent causal model and its guide keep the contract of pair programs."""

from contextlib import nullcontext

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO

from pyro_lcm.causal.scoring import Scoring
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.nn.invertible import FlowDecoder, FlowEncoder
from pyro_lcm.testing import PairProgramTests, brute_force_elbo
from pyro_lcm.testing.brute_force import assignments, trace_guide
from pyro_lcm.training.handlers import DeterministicDtype, TopHypotheses
from pyro_lcm.training.objective import PairObjective

DIM, DIM_X, ROWS = 3, 4, 5


class _Programs(PairProgramTests):
    layers, averaging, prior = 0, "random", None

    def make(self):
        def flow():
            return Flow(DIM, layers=self.layers, hidden=6)

        encoder = VectorEncoder(DIM_X, DIM, (6,), flow=flow(), initial_sd=0.4)
        decoder = VectorDecoder(DIM, DIM_X, (6,), flow=flow(), initial_sd=0.5)
        model = ILCM(DIM, decoder, SolutionFunctions(DIM, (5,)), self.prior)
        return model, ILCMGuide(DIM, encoder, averaging=self.averaging, redrawn_dist=model.redrawn_dist)

    def batch(self):
        generator = torch.Generator().manual_seed(3)
        return {key: torch.randn(ROWS, DIM_X, generator=generator) for key in ("x", "x_after")}


class TestAffineCode(_Programs):
    # Its flow is one linear map, of which the log determinant does not enter the ELBO.
    pass


class TestFlow(_Programs):
    layers = 2
    settings = ({}, {"hypotheses": 1})


class TestFixedAveraging(_Programs):
    averaging = "mean"
    prior = torch.tensor([0.4, 0.3, 0.2, 0.1])
    settings = ({}, {"hypotheses": 3, "kl_weight": 2.0})


def _ready():
    return TestAffineCode()._ready()


@pytest.mark.parametrize("hypotheses", [1, 2, 3])
def test_the_hypotheses_are_the_most_probable_targets(hypotheses):
    model, guide, batch = _ready()
    index = torch.arange(ROWS)
    pyro.set_rng_seed(0)
    torch.set_default_dtype(torch.float64)
    found = -PairObjective(model, guide)(batch, size=ROWS, index=index, hypotheses=hypotheses)[0] * ROWS
    probabilities = guide.targets(batch["x"], batch["x_after"])
    kept = probabilities.argsort(-1, descending=True)[:, :hypotheses].sort(-1).values
    with pyro.get_param_store().scope():
        expected = brute_force_elbo(model, guide, batch, hypotheses=hypotheses)
        drawn = assignments(trace_guide(TopHypotheses(hypotheses)(guide), batch), ROWS)
        chosen = torch.stack([assignment.values["target"] for assignment in drawn], -1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(chosen.sort(-1).values, kept)


def test_all_hypotheses_are_the_full_sum():
    model, guide, batch = _ready()
    with pyro.get_param_store().scope():
        values = [brute_force_elbo(model, guide, batch, hypotheses=k) for k in (None, DIM + 1)]
    torch.testing.assert_close(values[0], values[1])


def test_an_intervention_reaches_the_descendants_alone():
    """Solution functions of the chain 1 -> 2 -> 3: variable i is seen by i and what follows."""
    model, _, _ = _ready()
    model.solution.context.copy_(torch.ones(DIM, DIM).triu(1))
    for variable in range(DIM + 1):
        target = torch.full((50,), variable)
        with torch.no_grad(), pyro.get_param_store().scope():
            traced = poutine.trace(pyro.do(model, {"target": target})).get_trace(None, None, size=50)
        before, after = (traced.nodes[f"{side}/causal"]["value"] for side in ("before", "after"))
        changed = (before != after).all(0).tolist()
        same = (before == after).all(0).tolist()
        assert changed == [variable > 0 and i + 1 >= variable for i in range(DIM)]
        assert same == [not value for value in changed]


class TestInvertible(_Programs):
    """Decoder and encoder share a flow, whose only pass in a step serves both."""

    averaging = "product"
    settings = ({}, {"hypotheses": 1}, {"hypotheses": 2}, {"kl_weight": 0.3})

    def make(self):
        encoder = FlowEncoder(Flow(DIM, layers=2, hidden=6), initial_tolerance=0.4)
        model = ILCM(DIM, FlowDecoder(encoder), SolutionFunctions(DIM, (5,)))
        return model, ILCMGuide(DIM, encoder, averaging=self.averaging, redrawn_dist=model.redrawn_dist)

    def batch(self):
        return {name: value[:, :DIM] for name, value in super().batch().items()}


class TestInvertibleInOrder(TestInvertible):
    """Solution functions see the causal variables of their predecessors."""

    settings = ({}, {"hypotheses": 2})

    def make(self):
        model, guide = super().make()
        model.solution.set_order([2, 0, 1])
        return model, guide


def test_the_elbo_of_a_run_for_the_density_alone_is_that_of_the_proper_joint():
    """Outcomes that nobody saw cancel, sample by sample, and so do their gradients."""
    model, guide, batch = TestInvertibleInOrder()._ready()
    values = []
    for context in (nullcontext(), Scoring()):
        pyro.set_rng_seed(0)
        with pyro.get_param_store().scope(), context, DeterministicDtype():
            loss = TraceEnum_ELBO(max_plate_nesting=1).differentiable_loss(model, guide, **batch, size=ROWS)
        values.append([loss, *torch.autograd.grad(loss, list(guide.parameters()))])
    # The draws of noise come first, so they are the same in both.
    torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=1e-9)
