"""Tolerances of the target encoder where a fit begins."""

import torch

from pyro_lcm.guides.target_encoder import TargetEncoder


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
