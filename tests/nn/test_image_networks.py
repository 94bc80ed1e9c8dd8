"""Convolutional encoder and decoder: shapes for every size, gradients, and a position that can be learned."""

import pytest
import torch

from pyro_lcm.nn import ImageDecoder, ImageEncoder
from pyro_lcm.process import random_state


@pytest.mark.parametrize("coordinates", [True, False])
@pytest.mark.parametrize("size", [8, 64, 128, 512])
def test_shapes(size, coordinates):
    images = torch.zeros(2, 1, 3, size, size)
    mean, sd = ImageEncoder(size, 4, channels=2, coordinates=coordinates)(images)
    assert mean.shape == sd.shape == (2, 1, 4)
    assert (sd > 0).all()
    painted, spread = ImageDecoder(4, size, channels=2, coordinates=coordinates)(mean)
    assert painted.shape == images.shape
    assert torch.broadcast_shapes(spread.shape, painted.shape) == painted.shape


def test_bad_sizes_are_named():
    for size in (4, 60, 100):
        with pytest.raises(ValueError, match=f"size: got {size}"):
            ImageEncoder(size, 4)
    with pytest.raises(ValueError, match="channels: got 0"):
        ImageDecoder(4, 64, channels=0)
    with pytest.raises(ValueError, match=r"x: got shape \(1, 3, 32, 32\)"):
        ImageEncoder(64, 4)(torch.zeros(1, 3, 32, 32))


def test_a_position_is_learned():
    with random_state.isolated(0, torch.device("cpu")):
        encoder = ImageEncoder(16, 1, channels=8)
        optimizer = torch.optim.Adam(encoder.parameters(), 3e-3)
        columns = torch.arange(16.0)
        for _ in range(150):
            place = torch.rand(64, 1)
            stripe = (-0.5 * (columns - 15 * place).square()).exp()
            images = stripe[:, None, None, :].expand(-1, 3, 16, -1)
            loss = (encoder(images)[0] - place).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss < 0.005  # the variance of the place is 0.083
