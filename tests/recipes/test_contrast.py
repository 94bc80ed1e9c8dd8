"""Contrastive losses: their parts are the terms of the ELBO that they are said to be."""

import math

import pytest
import torch
from torch.distributions import Normal

from pyro_lcm.models.content_style import ContentStyle
from pyro_lcm.nn import VectorDecoder
from pyro_lcm.recipes.contrast import contrast, info_nce, maximum_entropy, nearest_neighbour_entropy


def _codes(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_entropy_of_a_gaussian_and_of_what_it_is_stretched_to(dim):
    codes = _codes(3000, dim).double()
    exact = dim / 2 * math.log(2 * math.pi * math.e)
    assert abs(float(nearest_neighbour_entropy(codes)) - exact) < 0.1
    stretched = nearest_neighbour_entropy(3 * codes)
    torch.testing.assert_close(
        stretched - nearest_neighbour_entropy(codes), torch.tensor(dim * math.log(3.0)).double(), atol=1e-4, rtol=0
    )


def test_divergence_from_the_prior():
    moved = 0.5 * _codes(3000, 2) + 1
    exact = 2 * torch.distributions.kl_divergence(Normal(1.0, 0.5), Normal(0.0, 1.0))
    assert abs(float(maximum_entropy(moved, moved, 0.1)[1]["divergence"]) - float(exact)) < 0.1


def test_alignment_is_the_density_of_the_after_side_given_the_before():
    before, after, tolerance = _codes(6, 3), _codes(6, 3, seed=1), 0.5
    density = Normal(before, tolerance).log_prob(after).sum(-1).mean()
    constant = -3 * math.log(tolerance * math.sqrt(2 * math.pi))
    for loss in (maximum_entropy, info_nce):
        torch.testing.assert_close(loss(before, after, tolerance)[1]["alignment"], constant - density)


def test_the_site_redrawn_of_the_program_is_the_alignment():
    """With agreement near 1 the program's transition is N(e, 1 - a^2)."""
    model = ContentStyle(2, VectorDecoder(2, 2, ()))
    tolerance = 0.05
    model.agreement.fill_(math.sqrt(1 - tolerance**2))
    before = _codes(200, 2)
    after = before + tolerance * _codes(200, 2, seed=1)
    program = -model.after_dist(before).log_prob(after).sum(-1).mean() - 2 * math.log(
        tolerance * math.sqrt(2 * math.pi)
    )
    assert abs(float(program - maximum_entropy(before, after, tolerance)[1]["alignment"])) < 0.01


def test_information_is_at_most_the_logarithm_of_the_batch_and_nothing_without_relation():
    codes = 50 * _codes(16, 2)
    torch.testing.assert_close(info_nce(codes, codes, 1.0)[1]["information"], torch.tensor(math.log(16.0)))
    same = torch.zeros(16, 2)
    assert float(info_nce(same, same, 1.0)[0]) == 0


@pytest.mark.parametrize("way", ["max_entropy", "info_nce"])
def test_gradients_are_finite_where_codes_coincide(way):
    codes = torch.zeros(4, 2, requires_grad=True)
    contrast(way, codes, codes + 0, 0.1)[0].backward()
    assert bool(codes.grad.isfinite().all())


def test_an_unknown_way_is_named():
    with pytest.raises(ValueError, match=r"^contrast: got 'none', expected one of max_entropy, info_nce"):
        contrast("none", _codes(4, 2), _codes(4, 2), 0.1)
