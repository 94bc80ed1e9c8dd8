"""The implicit model of interventions that keep a part of the old value."""

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, LatentCausalModel
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data.violations import KINDS
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.partial_ilcm import NEAREST, PartialILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.testing import PairProgramTests

DIM = 3


def make(kept=(0.5, -1.0, 2.0)):
    encoder, decoder = VectorEncoder(4, DIM, (6,), initial_sd=0.4), VectorDecoder(DIM, 4, (6,), initial_sd=0.5)
    model = PartialILCM(DIM, decoder, SolutionFunctions(DIM, (5,)))
    with torch.no_grad():
        model.kept.copy_(torch.tensor(kept))
    return model, ILCMGuide(DIM, encoder, redrawn_dist=model.redrawn_dist)


class TestPartialILCM(PairProgramTests):
    settings = ({}, {"hypotheses": 1})

    def make(self):
        return make()

    def batch(self):
        generator = torch.Generator().manual_seed(3)
        return {key: torch.randn(5, 4, generator=generator) for key in ("x", "x_after")}


def test_a_new_value_keeps_its_part_of_the_old_one():
    """z~ = k z + (1 - k) u of the target, u standard normal."""
    model, _ = make()
    model.solution.context.copy_(torch.ones(DIM, DIM).triu(1))
    noise = torch.randn(1, DIM).expand(20_000, DIM)
    z = model.causal(noise)
    for i, kept in enumerate((0.5, -1.0, 2.0)):
        target = torch.full((len(noise),), i + 1)
        drawn = model.redrawn_dist(noise, target).sample()
        after = noise.clone()
        after[:, i] = drawn[:, i]
        u = (model.causal(after)[:, i] - kept * z[:, i]) / (1 - kept)
        assert float(u.mean().detach()) == pytest.approx(0.0, abs=0.04)
        assert float(u.std().detach()) == pytest.approx(1.0, abs=0.04)


def test_each_and_all_targets_have_the_same_density():
    model, _ = make()
    noise = torch.randn(7, DIM)
    every = model.redrawn_dist(noise)
    for i in range(DIM):
        one = model.redrawn_dist(noise, torch.full((7,), i + 1))
        torch.testing.assert_close(one.mean[:, 0], every.mean[:, i])
        torch.testing.assert_close(one.stddev[:, 0], every.stddev[:, i])


def test_a_part_next_to_one_stays_finite():
    model, _ = make((1.0, 1 - NEAREST / 2, 1 + NEAREST / 2))
    before, after = torch.randn(2, 5, DIM)
    away = (model.as_perfect(before, after) - before) / (after - before)
    torch.testing.assert_close(away.abs().detach(), torch.full((5, DIM), 1 / NEAREST), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["half way", "mirrored"])
def test_variables_and_graph_of_values_that_keep_a_part_are_found(kind):
    train, test = (KINDS[kind].sample(size, seed=0, sample=sample) for sample, size in enumerate((6000, 1000)))
    model = LatentCausalModel("partial_ilcm").fit(train, budget=Budget(refine=50), progress=False)
    scores = model.evaluate(test, dci_rows=500)
    assert scores["shd"] == 0
    assert scores["mcc"] > 0.99
    np.testing.assert_allclose(
        model.model.kept.detach(), {"half way": 0.5, "mirrored": -1, "scaled up": 2}[kind], atol=0.06
    )
