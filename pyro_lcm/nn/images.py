"""Encoder and decoder for images: residual convolutional networks, with coordinate channels as an option.

Coordinate channels (CoordConv, Liu et al., NeurIPS 2018, arXiv 1807.03247) tell a convolution where it is, without
which a position in the image is hard to read off and hard to paint. Each block halves (or doubles) the resolution, down
to 4 by 4 pixels; there is no batch normalisation, whose batch statistics would tie the pairs of a batch together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _widths(size: int, channels: int, most: int) -> list[int]:
    """Channels after each halving, from the finest to the coarsest.

    >>> _widths(64, 16, 64)
    [16, 32, 64, 64]
    """
    halvings = size.bit_length() - 3
    if size < 8 or size != 4 * 2**halvings:
        raise ValueError(f"size: got {size}, expected a power of two of at least 8 pixels")
    if channels < 1:
        raise ValueError(f"channels: got {channels}, expected at least 1")
    return [min(channels * 2**level, most) for level in range(halvings)]


class _Conv(nn.Module):
    """A 3 by 3 convolution, with two channels of coordinates in [-1, 1] if wanted."""

    def __init__(self, inputs: int, outputs: int, coordinates: bool) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.conv = nn.Conv2d(inputs + 2 * coordinates, outputs, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        if self.coordinates:
            rows, columns = (torch.linspace(-1, 1, n, device=image.device, dtype=image.dtype) for n in image.shape[-2:])
            grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
            image = torch.cat([image, grid.expand(len(image), *grid.shape)], dim=1)
        out: Tensor = self.conv(image)
        return out


class _Residual(nn.Module):
    """Two convolutions beside a 1 by 1 path; ``scale`` 0.5 halves the resolution, 2 doubles it."""

    def __init__(self, inputs: int, outputs: int, scale: float, coordinates: bool) -> None:
        super().__init__()
        self.scale = scale
        self.first, self.second = _Conv(inputs, outputs, coordinates), _Conv(outputs, outputs, coordinates)
        self.path = nn.Conv2d(inputs, outputs, 1)
        nn.init.zeros_(self.second.conv.weight)  # starts as the 1 by 1 path alone

    def forward(self, image: Tensor) -> Tensor:
        if self.scale < 1:
            image = functional.avg_pool2d(image, 2)
        elif self.scale > 1:
            image = functional.interpolate(image, scale_factor=self.scale)
        inner = self.second(functional.silu(self.first(functional.silu(image))))
        out: Tensor = self.path(image) + inner
        return out


class ImageEncoder(nn.Module):
    """Mean and standard deviation of q(e | x) for images.

    Args:
        size: width and height of the images in pixels, a power of two from 8 on; 64, 128 and 512 are usual.
        dim_z: number of latents d.
        channels: of the finest resolution; they double with each halving, up to 128.
        coordinates: whether convolutions see where they are.
        initial_sd: standard deviation at the start, in units of the prior's.
        min_sd: lower bound of the standard deviation.

    Raises:
        ValueError: if a number is out of range.

    >>> mean, sd = ImageEncoder(64, 4, channels=4)(torch.zeros(2, 3, 64, 64))
    >>> mean.shape, sd.shape
    (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        size: int,
        dim_z: int,
        *,
        channels: int = 16,
        coordinates: bool = True,
        initial_sd: float = 0.1,
        min_sd: float = 1e-3,
    ) -> None:
        super().__init__()
        widths = _widths(size, channels, 128)
        self.size = size
        blocks: list[nn.Module] = [_Conv(3, widths[0], coordinates)]
        blocks += [_Residual(a, b, 0.5, coordinates) for a, b in zip([widths[0], *widths], widths, strict=False)]
        self.body = nn.Sequential(*blocks, nn.SiLU(), nn.Flatten())
        self.mean = nn.Linear(16 * widths[-1], dim_z)
        self.spread = nn.Linear(16 * widths[-1], dim_z)
        nn.init.zeros_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)
        self.log_sd = nn.Parameter(torch.full((dim_z,), initial_sd).log())
        self.min_sd = min_sd

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (..., dim_z), for (..., 3, size, size) images."""
        if x.shape[-3:] != (3, self.size, self.size):
            raise ValueError(f"x: got shape {tuple(x.shape)}, expected (..., 3, {self.size}, {self.size})")
        features = self.body(x.reshape(-1, *x.shape[-3:]))
        sd = (self.log_sd + self.spread(features)).clamp(max=2.0).exp() + self.min_sd
        shape = (*x.shape[:-3], -1)
        return self.mean(features).reshape(shape), sd.reshape(shape)


class ImageDecoder(nn.Module):
    """Mean and standard deviation of p(x | e) for images; the interface of VectorDecoder.

    Args:
        dim_z: number of latents d.
        size: width and height of the images in pixels, a power of two from 8 on.
        channels: of the finest resolution.
        coordinates: whether convolutions see where they are.
        initial_sd: standard deviation of a pixel given e at the start.
        min_sd: lower bound of the standard deviation.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        dim_z: int,
        size: int,
        *,
        channels: int = 16,
        coordinates: bool = True,
        initial_sd: float = 0.1,
        min_sd: float = 0.01,
    ) -> None:
        super().__init__()
        widths = _widths(size, channels, 128)[::-1]
        self.start = nn.Sequential(nn.Linear(dim_z, 128), nn.SiLU(), nn.Linear(128, 16 * widths[0]))
        following = [*widths[1:], widths[-1]]
        blocks = [_Residual(a, b, 2.0, coordinates) for a, b in zip(widths, following, strict=True)]
        self.body = nn.Sequential(nn.Unflatten(1, (widths[0], 4, 4)), *blocks, nn.SiLU(), nn.Conv2d(widths[-1], 3, 1))
        self.log_sd = nn.Parameter(torch.full((3, 1, 1), initial_sd).log())
        self.min_sd = min_sd

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., 3, size, size) and standard deviation (3, 1, 1) for (..., dim_z) noise encodings."""
        image = self.body(self.start(noise.reshape(-1, noise.shape[-1])))
        return image.reshape(*noise.shape[:-1], *image.shape[1:]), self.log_sd.exp() + self.min_sd
