"""Soft interventions, on one variable or on sets: the contract, exact densities, and the closed forms of the recipe."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal

from pyro_lcm.causal.redrawn import RedrawnInOrder
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.subsets import all_subsets
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.guides.set_encoder import SetEncoder
from pyro_lcm.guides.soft_ilcm_subsets import SubsetILCMGuide
from pyro_lcm.identify.causal_order import causal_order_of_redrawn
from pyro_lcm.identify.isometric_mixing import isometry_from_sinks
from pyro_lcm.models.soft_ilcm import SoftILCM
from pyro_lcm.models.soft_ilcm_subsets import SubsetILCM
from pyro_lcm.nn import VectorEncoder
from pyro_lcm.nn.isometry import IsometricDecoder
from pyro_lcm.testing import PairProgramTests, brute_force_elbo, check_pair_program

DIM, DIM_X, ROWS = 2, 3, 6


class TestSoftILCM(PairProgramTests):
    settings = ({}, {"hypotheses": 1}, {"kl_weight": 0.3})

    def make(self):
        solution, changed = SolutionFunctions(DIM, (4,)), SolutionFunctions(DIM, (4,))
        model = SoftILCM(DIM, IsometricDecoder(DIM, DIM_X), solution, changed)
        return model, ILCMGuide(DIM, VectorEncoder(DIM_X, DIM, (4,)), redrawn_dist=model.redrawn_dist)

    def batch(self):
        return {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}


def test_splines_are_refused():
    with pytest.raises(ValueError, match="solution: got splines"):
        SoftILCM(DIM, IsometricDecoder(DIM, DIM_X), SolutionFunctions(DIM, bins=4))


@pytest.fixture
def subset_programs(networks, shaken, float64):
    encoder, decoder = networks(DIM_X, DIM)
    model = SubsetILCM(DIM, decoder, order=[1, 0])
    guide = SubsetILCMGuide(DIM, encoder, redrawn_dist=model.redrawn_dist)
    for part in (model.solution, model.changed, guide.target_encoder):
        shaken(part)
    return model, guide


@pytest.mark.parametrize("targets", [None, torch.tensor([[0, 0], [1, 1], [-1, -1], [0, 1], [1, 0], [1, 1]])])
@pytest.mark.parametrize("size", [ROWS, 60])
def test_elbo_of_sets_is_the_sum_over_sets(subset_programs, elbo_and_gradients, assert_same, targets, size):
    model, guide = subset_programs
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    found = elbo_and_gradients(model, guide, **batch, size=size, index=torch.arange(ROWS), targets=targets)
    if targets is not None:
        batch["targets"] = targets
    assert_same(found, brute_force_elbo(model, guide, batch, size=size, seed=1), model, guide)


def test_guards_know_sets(subset_programs):
    """Outcomes outside of the set have no say; without the model's density in the guide they have, and are named."""
    model, guide = subset_programs
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    check_pair_program(model, guide, batch)
    guide.redrawn_dist = None
    with pytest.raises(ValueError, match="in components that are not the target"):
        check_pair_program(model, guide, batch)


def test_redrawn_components_follow_each_other(subset_programs, float64):
    """The density of both variables is the product of two conditionals, the second given the first's new value."""
    model, _ = subset_programs
    noise, value = torch.randn(5, DIM), torch.randn(5, DIM)
    found = RedrawnInOrder(model.redrawn_dist, noise, torch.ones(5, DIM, dtype=torch.bool)).log_prob(value)
    first, second = model.redrawn_dist(noise), model.redrawn_dist(value)
    expected = Normal(first.loc[:, 1], first.scale[:, 1]).log_prob(value[:, 1])
    expected = expected + Normal(second.loc[:, 0], second.scale[:, 0]).log_prob(value[:, 0])
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(first.loc[:, 0], second.loc[:, 0])


def test_samples_have_the_moments_of_the_density(subset_programs):
    """20,000 draws against one-dimensional quadrature-free moments; each bound fails once in 10^6 runs."""
    model, _ = subset_programs
    noise = torch.randn(DIM).expand(20_000, DIM)
    value = RedrawnInOrder(model.redrawn_dist, noise, torch.ones(20_000, DIM, dtype=torch.bool)).sample()
    first = model.redrawn_dist(noise[:1])
    z = (value[:, 1].mean() - first.loc[0, 1]) / (first.scale[0, 1] / 20_000**0.5)
    assert abs(z) < 4.9
    second = model.redrawn_dist(value)
    standard = (value[:, 0] - second.loc[:, 0]) / second.scale[:, 0]
    assert abs(standard.mean()) * 20_000**0.5 < 4.9
    assert abs(standard.var() - 1) / (2 / 20_000) ** 0.5 < 4.9


@pytest.mark.parametrize("row", range(4))
def test_an_intervention_on_a_set_redraws_that_set(subset_programs, row):
    model, _ = subset_programs
    nodes = poutine.trace(pyro.do(model, {"target": torch.full((7,), row)})).get_trace(size=7).nodes
    encoding = torch.where(all_subsets(DIM)[row], nodes["redrawn"]["value"], nodes["noise"]["value"])
    torch.testing.assert_close(nodes["after/causal"]["value"], model.causal(encoding))
    assert ((encoding != nodes["noise"]["value"]) == all_subsets(DIM)[row]).all()


def test_guide_of_sets_sums_bayes_factors(subset_programs):
    _, guide = subset_programs
    x, x_after = torch.randn(ROWS, DIM_X), torch.randn(ROWS, DIM_X)
    untouched, redrawn = guide.target_encoder.variances()
    move = guide.differences(x, x_after)
    odds = Normal(0.0, redrawn.sqrt()).log_prob(move) - Normal(0.0, untouched.sqrt()).log_prob(move)
    found = guide.targets(x, x_after)
    torch.testing.assert_close(found[:, 1:], odds.sigmoid())
    torch.testing.assert_close(found[:, 0], (-odds).sigmoid().prod(-1))


def test_perfect_interventions_have_no_changed_mechanism(networks):
    model = SubsetILCM(DIM, networks(DIM_X, DIM)[1], soft=False)
    noise = torch.randn(3, DIM)
    shift, scale = model.solution.all_coefficients(noise)
    torch.testing.assert_close(model.redrawn_dist(noise).loc, shift)
    torch.testing.assert_close(model.redrawn_dist(noise).scale, scale)


def test_sets_run_on_the_meta_device(subset_programs, on_meta):
    on_meta(*subset_programs, DIM_X)


# ---------------------------------------------------------------------- closed forms of the recipe


def _soft_pairs(rows=4000):
    """z1 -> z2 -> z3 with tanh mechanisms that change sign under intervention, and a rotation."""
    generator = torch.Generator().manual_seed(0)
    noise, new = torch.randn(2, rows, 3, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 4, (rows,), generator=generator)
    hit = target.unsqueeze(1) == torch.arange(1, 4)

    def causal(e, slope):
        z = [e[:, 0]]
        for i in (1, 2):
            z.append(e[:, i] + slope[:, i] * torch.tanh(z[-1]))
        return torch.stack(z, 1)

    ones = torch.ones(rows, 3, dtype=torch.float64)
    z = causal(noise, 2 * ones)
    z_after = causal(torch.where(hit, new, noise), torch.where(hit, -2 * ones, 2 * ones))
    encoding = noise.clone()
    for i in range(3):
        parent = 2 * torch.tanh(z_after[:, i - 1]) if i else torch.zeros(rows, dtype=torch.float64)
        encoding[:, i] = torch.where(hit[:, i], z_after[:, i] - parent, noise[:, i])
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    return noise, encoding, target, (z_after - z) @ rotation.T, rotation


def test_order_and_columns_are_found_from_the_moves():
    noise, encoding, target, moves, rotation = _soft_pairs()
    order = causal_order_of_redrawn(noise, encoding, target)
    assert order == [0, 1, 2]
    columns, straightness = isometry_from_sinks(moves, target, order)
    assert straightness > 1 - 1e-9
    torch.testing.assert_close((columns * rotation).sum(0).abs(), torch.ones(3, dtype=torch.float64))


def test_a_wrong_order_is_not_straight():
    *_, target, moves, _ = _soft_pairs()
    assert isometry_from_sinks(moves, target, [2, 1, 0])[1] < 0.99


def test_isometric_decoder_keeps_distances_and_has_an_inverse():
    decoder = IsometricDecoder(2, 4)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    z = torch.randn(6, 2)
    x, sd = decoder(z)
    assert sd.shape == (4,)
    torch.testing.assert_close(torch.pdist(x), decoder.log_scale.exp() * torch.pdist(z))
    torch.testing.assert_close(decoder.inverse(x), z, atol=1e-5, rtol=1e-5)


def test_each_component_is_redrawn_or_not_by_itself(float64):
    """A set is known as a row of 0 and 1, or not at all; every component is redrawn or not by itself."""
    encoder = SetEncoder(all_subsets(2))
    with torch.no_grad():
        encoder.log_width.copy_(torch.tensor([0.3, -0.2]))
    untouched, redrawn = (Normal(0.0, variance.sqrt()) for variance in encoder.variances())
    move = torch.tensor([[0.3, 2.0], [1.0, -0.1], [0.1, 0.2]])
    kept, new = untouched.log_prob(move), redrawn.log_prob(move)
    known = torch.tensor([[-1, -1], [1, 0], [1, 1]])
    torch.testing.assert_close(encoder.hits(move, known)[0], (new - kept)[0].sigmoid())
    assert encoder.hits(move, known)[1:].tolist() == [[1, 0], [1, 1]]
