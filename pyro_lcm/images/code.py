"""A code of a few numbers for each image, and the image again.

    encoder   c = (h(W (P x - m)) - shift) / spread         decoder   x = m + P' g(c)

with principal components P of the images, and two small networks h and g. Components make images small, which a network
then reads in a fraction of the time that convolutions take, and leave most of the noise of single pixels behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.nn.vectors import perceptron

__all__ = ["ImageCode"]

_SOFTENING = 0.05
"""Components are brought to one scale before the encoder; those far below this share of the largest stay small."""


class ImageCode(nn.Module):
    """Images as codes, and back.

    Args:
        shape: (C, H, W) of an image.
        dim: width of the code.
        components: principal components between image and code, at most as many as there are numbers in an image.
        hidden: width of the three hidden layers of each network.

    Raises:
        ValueError: if a number is out of range.

    >>> code = ImageCode((3, 16, 16), 4, components=32)
    >>> code.decode(code.encode(torch.rand(5, 3, 16, 16))).shape
    torch.Size([5, 3, 16, 16])
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    whitening: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, shape: Sequence[int], dim: int, components: int = 192, hidden: int = 256) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape = (int(channels), int(height), int(width))
        pixels = math.prod(self.shape)
        if dim < 1:
            raise ValueError(f"dim: got {dim}, expected at least 1")
        if not dim <= components <= pixels:
            raise ValueError(f"components: got {components}, expected {dim} to {pixels}, the numbers in an image")
        self.dim, self.components, self.hidden = dim, components, hidden
        self.register_buffer("mean", torch.full((pixels,), 0.5))
        self.register_buffer("basis", torch.eye(pixels, components))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("whitening", torch.ones(components))
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))
        self.encoder = perceptron(components, dim, [hidden] * 3)
        self.decoder = perceptron(dim, components, [hidden] * 3)

    @torch.no_grad()
    def set_components(self, images: Tensor) -> None:
        """Take the principal components of (N, C, H, W) images, N at least the number of components.

        Raises:
            ValueError: if the images are all alike.
        """
        flat = images.flatten(1)
        self.mean.copy_(flat.mean(0))
        _, spread, basis = torch.svd_lowrank(flat - self.mean, q=self.components, niter=3)
        if not spread[0] > 0:
            raise ValueError("images: got images that are all alike, expected some that vary")
        self.basis.copy_(basis)
        sd = spread / len(flat) ** 0.5
        self.scale.copy_(sd.square().sum().sqrt())
        self.whitening.copy_(self.scale / (sd + _SOFTENING * sd[0]))

    def project(self, images: Tensor) -> Tensor:
        """Components (B, k) of (B, C, H, W) images, of total variance 1."""
        return (images.flatten(1) - self.mean) @ self.basis / self.scale

    def project_all(self, images: Tensor) -> Tensor:
        """Components of (B, C, H, W) images, and the length of what these leave of each, (B, k + 1), in one unit."""
        components = self.project(images)
        length = ((images.flatten(1) - self.mean) / self.scale).square().sum(-1)
        left = (length - components.square().sum(-1)).clamp(min=0).sqrt()
        return torch.cat([components, left.unsqueeze(-1)], -1)

    def raw_code(self, components: Tensor) -> Tensor:
        """What the encoder makes of (B, k) components, in its own units, (B, dim)."""
        code: Tensor = self.encoder(components * self.whitening)
        return code

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, dim) of (B, C, H, W) images from 0 to 1."""
        return self.code_of(self.project(images))

    def code_of(self, components: Tensor) -> Tensor:
        """Codes (B, dim) of (B, k) components."""
        return (self.raw_code(components) - self.shift) / self.spread

    def painted(self, code: Tensor) -> Tensor:
        """Components (B, k) that (B, dim) codes are painted with."""
        components: Tensor = self.decoder(code * self.spread + self.shift)
        return components

    def decode(self, code: Tensor) -> Tensor:
        """Images (B, C, H, W) from 0 to 1 of (B, dim) codes."""
        flat = self.painted(code) * self.scale @ self.basis.T + self.mean
        return flat.clamp(0, 1).reshape(-1, *self.shape)

    def to_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        widths = {name: getattr(self, name) for name in ("dim", "components", "hidden")}
        return {"shape": list(self.shape), **widths}
