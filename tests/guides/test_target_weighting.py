"""The weighting of the target encoder: the exact posterior of targets under noise that moves all components."""

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from pyro_lcm.guides.target_encoder import TargetEncoder

DIM, ROWS = 3, 20_000


def _moves(noise, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(DIM + 1, (ROWS,), generator=generator)
    own = 1.4 * torch.randn(ROWS, generator=generator)
    move = torch.zeros(ROWS, DIM + 1).scatter(1, target.unsqueeze(1), own.unsqueeze(1))[:, 1:]
    return move + torch.randn(ROWS, DIM, generator=generator) @ torch.linalg.cholesky(noise).T, target


def _posterior(move, noise):
    covariances = [noise] + [noise + 1.4**2 * torch.diag(torch.eye(DIM)[i]) for i in range(DIM)]
    return torch.stack([MultivariateNormal(torch.zeros(DIM), c).log_prob(move) for c in covariances], 1).softmax(1)


def test_the_fitted_weighting_gives_the_exact_posterior_under_correlated_noise():
    noise = 0.2**2 * torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.5], [0.0, 0.5, 1.0]])
    noise = noise + 0.02**2 * torch.eye(DIM)
    noise = noise @ noise.T / noise.diagonal().mean()  # positive definite, strongly correlated
    move, target = _moves(noise)
    encoder = TargetEncoder(DIM)
    encoder.fit(move)
    alone = (encoder(move).argmax(1) == target).float().mean()
    encoder.fit_weighting(move)
    exact = _posterior(move, noise)
    found = encoder(move).softmax(1)
    assert (found - exact).abs().mean() < 0.02
    best = (exact.argmax(1) == target).float().mean()
    together = (found.argmax(1) == target).float().mean()
    assert together > best - 0.005
    assert together > alone + 0.02


def test_without_noise_the_weighting_stays_the_identity():
    encoder = TargetEncoder(DIM)
    move, target = _moves(1e-12 * torch.eye(DIM))
    encoder.fit(move)
    encoder.fit_weighting(move)
    np.testing.assert_allclose(encoder.weighting, np.eye(DIM), atol=1e-3)
    assert (encoder(move).argmax(1) == target).float().mean() > 0.99


def test_moves_of_any_length_leave_the_weighting_finite():
    encoder = TargetEncoder(3)
    generator = torch.Generator().manual_seed(0)
    move = 1e-7 * torch.randn(300, 3, generator=generator)
    move[torch.arange(300), torch.arange(300) % 3] = torch.randn(300, generator=generator)
    move[0, 0] = 1e6
    encoder.fit(move)
    before = encoder(move).argmax(-1)
    encoder.fit_weighting(move)
    assert all(value.isfinite().all() for value in encoder.state_dict().values())
    assert (encoder(move).argmax(-1) == before).float().mean() > 0.95
