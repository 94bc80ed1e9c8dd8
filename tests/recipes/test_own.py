"""Solution functions stand in for a mechanism of one's own, which then learns from them."""

import pyro
import pytest
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from pyro_lcm.causal.targets import hit_mask, target_distribution
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.own import MECHANISM, STAND_IN, OwnObjective, identify_own
from pyro_lcm.recipes.published import annealed
from pyro_lcm.training.objective import PairObjective

PAIRS, DIM = 40, 3


class Own(PyroModule):
    """A linear mechanism; its outcomes are masked off target, or drawn for all variables."""

    def __init__(self, decoder, masked=True):
        super().__init__()
        self.dim_z, self.decoder, self.masked = DIM, decoder, masked
        self.influence = nn.Parameter(0.5 * torch.randn(DIM, DIM))
        self.register_buffer("prior", torch.ones(DIM + 1) / (DIM + 1))

    def redrawn_dist(self, noise, target=None):
        return Normal(noise @ (self.influence * (1 - torch.eye(DIM))), 0.7)

    def causal(self, noise):
        return (noise - self.redrawn_dist(noise).mean) / 0.7

    def x_dist(self, noise):
        return Normal(*self.decoder(noise)).to_event(1)

    def world(self, noise, x):
        encoding = pyro.deterministic("encoding", noise, event_dim=1)
        pyro.deterministic("causal", self.causal(encoding), event_dim=1)
        return pyro.sample("x", self.x_dist(encoding), obs=x)

    def forward(self, x=None, x_after=None, *, targets=None, size, index=None):
        with pyro.plate("pairs", size, subsample=index):
            target = pyro.sample("target", target_distribution(self.prior, targets))
            noise = pyro.sample("noise", Normal(torch.zeros(DIM), 1.0).to_event(1))
            hit = hit_mask(target, DIM)
            outcomes = self.redrawn_dist(noise)
            redrawn = pyro.sample("redrawn", (outcomes.mask(hit) if self.masked else outcomes).to_event(1))
            with scope(prefix="before"):
                before = self.world(noise, x)
            with scope(prefix="after"):
                after = pyro.do(self.world, {"encoding": torch.where(hit, redrawn, noise)})(noise, x_after)
        return before, after


@pytest.fixture
def objective():
    torch.manual_seed(0)
    objective = OwnObjective(
        Own(VectorDecoder(DIM, 4, ())), ILCMGuide(DIM, VectorEncoder(4, DIM, (), flow=Flow(DIM, layers=2, hidden=6)))
    )
    with torch.no_grad():
        for parameter in objective.stand_in.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return objective


@pytest.fixture
def batch():
    return {name: torch.randn(PAIRS, 4) for name in ("x", "x_after")}


def _loss(objective, batch, **settings):
    pyro.set_rng_seed(0)
    return objective(batch, size=PAIRS, index=torch.arange(PAIRS), **settings)[0]


def test_the_program_with_the_stand_in_is_the_implicit_model(objective, batch):
    implicit = ILCM(DIM, objective.model.decoder, objective.stand_in)
    expected = _loss(PairObjective(implicit, objective.guide), batch)
    torch.testing.assert_close(_loss(objective, batch, program=STAND_IN), expected)
    assert (_loss(objective, batch) - expected).abs() > 1e-3


def test_outcomes_are_masked_where_the_program_masks_them(objective):
    """What is drawn off target has a density in one program and none in the other."""
    noise, drawn, target = torch.randn(PAIRS, DIM), torch.randn(PAIRS, DIM), torch.arange(PAIRS) % (DIM + 1)
    given = {"noise": noise, "redrawn": drawn, "target": target}
    density = objective.stand_in.redraws(noise).log_prob(drawn)
    for masked, expected in ((True, density * hit_mask(target, DIM)), (False, density)):
        objective.model.masked = masked
        model, _ = objective.programs(STAND_IN)
        trace = pyro.poutine.trace(pyro.poutine.condition(model, given)).get_trace(size=PAIRS)
        trace.compute_log_prob()
        torch.testing.assert_close(trace.nodes["redrawn"]["log_prob"], expected.sum(-1))


def test_the_mechanism_alone_learns_from_what_the_stand_in_redraws(objective, batch):
    loss = _loss(objective, batch, program=MECHANISM)
    loss.backward()
    moved = {name for name, parameter in objective.named_parameters() if parameter.grad is not None}
    assert moved == {"model.influence"}


def test_the_mechanism_becomes_that_of_the_stand_in(objective, batch):
    true = torch.tensor([[0.0, 1.0, -0.5], [0.0, 0.0, 0.8], [0.0, 0.0, 0.0]])
    networks = objective.stand_in.networks
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.zero_()
        networks.affine[:, :, 0] = true.T
    adam = torch.optim.Adam([objective.model.influence], 0.05)
    for step in range(300):
        adam.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
        adam.zero_grad()
        objective(batch, size=PAIRS, index=torch.arange(PAIRS), program=MECHANISM)[0].backward()
        adam.step()
    found = objective.model.influence * (1 - torch.eye(DIM))
    torch.testing.assert_close(found, true, rtol=0, atol=0.15)


def test_the_recipe_goes_by_what_a_program_has(objective):
    own = [phase.name for phase in identify_own(objective.model, objective.guide)]
    assert own == ["fit", "order", "parents", "decoder", "mechanism", "own"]
    implicit = ILCM(DIM, objective.model.decoder)
    assert [phase.name for phase in identify_own(implicit, objective.guide)] == [
        "fit",
        "order",
        "parents",
        "decoder",
        "graph",
    ]
    short = identify_own(objective.model, objective.guide, Budget(refine=0, solutions=0))
    assert [phase.name for phase in short] == ["fit", "order", "parents"]
    plain = ILCMGuide(DIM, nn.Identity())
    assert identify_own(objective.model, plain) == annealed()


def test_nothing_stands_in_for_sets_of_targets_or_a_graph(objective):
    objective.model.subsets = torch.eye(DIM, dtype=torch.bool)
    phases = identify_own(objective.model, objective.guide)
    assert [phase.name for phase in phases] == ["fit", "decoder"]
    assert not any("program" in phase.settings for phase in phases)
