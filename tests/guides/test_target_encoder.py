"""Tolerances of the target encoder where a fit begins."""

import pytest
import torch

from pyro_lcm.guides.target_encoder import TargetEncoder
from pyro_lcm.recipes.calibrate import fit_prior


def test_level_tolerances_are_the_root_mean_square_or_more():
    encoder = TargetEncoder(3)
    with torch.no_grad():
        encoder.log_tolerance.copy_(torch.tensor([0.6, 1e-4, 0.2]).log())
    encoder.level_tolerances()
    rms = ((0.6**2 + 1e-4**2 + 0.2**2) / 3) ** 0.5
    torch.testing.assert_close(encoder.log_tolerance.exp(), torch.tensor([0.6, rms, rms]))


def test_a_component_that_was_exact_is_not_the_target_of_every_pair():
    """Once the encoder moves, its untouched moves are no longer within what it tolerated."""
    encoder = TargetEncoder(2)
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (2000,), generator=generator)
    own = 2 * torch.randn(2000, 2, generator=generator) * (target.unsqueeze(1) == torch.tensor([1, 2]))
    error = 0.3 * torch.randn(2000, generator=generator)
    encoder.fit(own + torch.stack([torch.zeros(2000), error], 1))
    later = own + torch.stack([0.05 * torch.randn(2000, generator=generator), error], 1)

    def accuracy():
        return (encoder(later).argmax(-1) == target).float().mean()

    assert accuracy() < 0.6
    encoder.level_tolerances()
    assert accuracy() > 0.8


def _moves(none, dim=3, rows=6000, noise=0.05):
    generator = torch.Generator().manual_seed(0)
    moves = noise * torch.randn(rows, dim, generator=generator)
    target = torch.where(torch.rand(rows, generator=generator) < none, 0, 1 + torch.arange(rows) % dim)
    hit = torch.nn.functional.one_hot(target, dim + 1)[:, 1:]
    return moves + hit * torch.randn(rows, dim, generator=generator), target


def test_the_share_of_pairs_without_intervention_is_learned_where_it_is_large():
    moves, target = _moves(0.95)
    encoder = TargetEncoder(3)
    encoder.fit(moves)
    assert (encoder(moves).argmax(-1) == target).float().mean() < 0.97
    assert fit_prior(encoder, moves)
    encoder.fit(moves)
    fit_prior(encoder, moves)
    assert float(encoder.prior()[0]) == pytest.approx(0.95, abs=0.01)
    assert (encoder(moves).argmax(-1) == target).float().mean() > 0.99


def test_targets_are_as_probable_as_none_where_that_is_about_right():
    for none in (0.0, 0.25, 0.4):
        moves, _ = _moves(none)
        encoder = TargetEncoder(3)
        encoder.fit(moves)
        assert not fit_prior(encoder, moves)
        torch.testing.assert_close(encoder.prior(), torch.full((4,), 0.25))


def test_a_target_encoder_of_before_there_was_a_prior_loads():
    state = TargetEncoder(2).state_dict()
    del state["none"]
    TargetEncoder(2).load_state_dict(state)
