"""A code of a few numbers for each image, and the image again: a plain autoencoder of all pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ImageCode"]


class ImageCode(nn.Module):
    """Images as codes, and back.

    Args:
        shape: (C, H, W) of an image.
        dim: width of the code.
        hidden: width of the hidden layers.

    Raises:
        ValueError: if the width of the code is out of range.

    >>> code = ImageCode((3, 16, 16), 4)
    >>> code.decode(code.encode(torch.rand(5, 3, 16, 16))).shape
    torch.Size([5, 3, 16, 16])
    """

    def __init__(self, shape: Sequence[int], dim: int, hidden: int = 64) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape = (int(channels), int(height), int(width))
        if dim < 1:
            raise ValueError(f"dim: got {dim}, expected at least 1")
        self.dim, self.hidden = dim, hidden
        pixels = math.prod(self.shape)
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.SiLU(), nn.Linear(hidden, dim))
        self.decoder = nn.Sequential(nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, pixels))

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, dim) of (B, C, H, W) images from 0 to 1."""
        codes: Tensor = self.encoder(images.flatten(1) - 0.5)
        return codes

    def decode(self, code: Tensor) -> Tensor:
        """Images (B, C, H, W) from 0 to 1 of (B, dim) codes."""
        flat: Tensor = self.decoder(code)
        return (flat + 0.5).clamp(0, 1).reshape(-1, *self.shape)

    def to_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"shape": list(self.shape), "dim": self.dim, "hidden": self.hidden}

    def forward(self, tensors: dict[str, Tensor], *, size: int, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective: mean squared error of the pixels of both sides, and how far codes are from unit moments."""
        images = torch.cat([tensors["x"], tensors["x_after"]])
        codes = self.encode(images)
        painted = self.decoder(codes).reshape(images.shape) + 0.5
        error = (painted - images).square().mean()
        off = codes.mean(0).square().mean() + (codes.var(0) - 1).square().mean()
        return error + 0.01 * off, {"squared_error": error.detach()}
