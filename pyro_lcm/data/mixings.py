"""Mixings of the scaling simulator: bijections that turn causal variables into observations.

The linear one is that of the scaling data of Brehmer et al. (NeurIPS 2022, arXiv 2203.16437): a rotation
``R = exp(A - A^T)`` with standard normal entries. Every mixing knows its inverse, for tests and for oracles.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

MIXINGS = ("linear", "leaky_relu", "tanh_residual", "coupling")
"""Names that :func:`draw_mixing` knows."""

_BLOCKS = 3
_LEAK = 0.2
_CONTRACTION = 0.8
_COUPLING_HIDDEN = 16
_FIXED_POINT_STEPS = 200  # 0.8 ** 200 = 4e-20 is below the precision of float64


class Mixing(nn.Module):
    """A bijection of R^D."""

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Map causal variables to observations, both of shape (..., D)."""

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """Map observations back, both of shape (..., D)."""


class Rotation(Mixing):
    """``x = R z`` with R in SO(D), the exponential of a skew-symmetric matrix with N(0, 1) entries.

    Args:
        dim: Number of features D.
        rng: Source of randomness.
    """

    matrix: Tensor

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        super().__init__()
        upper = np.triu(rng.standard_normal((dim, dim)), k=1)
        self.register_buffer("matrix", torch.from_numpy(scipy.linalg.expm(upper - upper.T)))

    def forward(self, z: Tensor) -> Tensor:
        """Rotate."""
        return z @ self.matrix.T

    def inverse(self, x: Tensor) -> Tensor:
        """Rotate back."""
        return x @ self.matrix


class LeakyReLU(Mixing):
    """Elementwise leaky ReLU with slope 0.2 below zero."""

    def forward(self, z: Tensor) -> Tensor:
        """Shrink what is negative."""
        return torch.where(z < 0, _LEAK * z, z)

    def inverse(self, x: Tensor) -> Tensor:
        """Stretch what is negative."""
        return torch.where(x < 0, x / _LEAK, x)


class TanhResidual(Mixing):
    """``x = z + 0.8 V tanh(W z + b)`` with rotations V and W; a contracting residual makes it a bijection.

    A residual flow in the sense of Behrmann et al. (ICML 2019, arXiv 1811.00995); the inverse is the fixed
    point of ``z = x - 0.8 V tanh(W z + b)``.

    Args:
        dim: Number of features D.
        rng: Source of randomness.
    """

    bias: Tensor

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.inner = Rotation(dim, rng)
        self.outer = Rotation(dim, rng)
        self.register_buffer("bias", torch.from_numpy(rng.standard_normal(dim)))

    def _residual(self, z: Tensor) -> Tensor:
        residual: Tensor = self.outer(torch.tanh(self.inner(z) + self.bias))
        return _CONTRACTION * residual

    def forward(self, z: Tensor) -> Tensor:
        """Add the residual."""
        return z + self._residual(z)

    def inverse(self, x: Tensor) -> Tensor:
        """Iterate to the fixed point."""
        z = x
        for _ in range(_FIXED_POINT_STEPS):
            z = x - self._residual(z)
        return z


class AffineCoupling(Mixing):
    """One half of the features sets scale and shift of the other half (Dinh et al., arXiv 1605.08803).

    ``x_2 = z_2 exp(tanh(a(z_1))) + b(z_1)`` with a random network (a, b) of one hidden tanh layer.

    Args:
        dim: Number of features D, at least 2.
        rng: Source of randomness.
    """

    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight: Tensor

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.kept = dim // 2
        shapes = {
            "hidden_weight": (self.kept, _COUPLING_HIDDEN),
            "hidden_bias": (_COUPLING_HIDDEN,),
            "output_weight": (_COUPLING_HIDDEN, 2 * (dim - self.kept)),
        }
        for name, shape in shapes.items():
            fan_in = shape[0] if len(shape) == 2 else 1
            self.register_buffer(name, torch.from_numpy(rng.standard_normal(shape) / np.sqrt(fan_in)))

    def _log_scale_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.tanh(kept @ self.hidden_weight + self.hidden_bias)
        log_scale, shift = (hidden @ self.output_weight).chunk(2, dim=-1)
        return torch.tanh(log_scale), shift

    def forward(self, z: Tensor) -> Tensor:
        """Scale and shift the second half."""
        kept, moved = z[..., : self.kept], z[..., self.kept :]
        log_scale, shift = self._log_scale_shift(kept)
        return torch.cat([kept, moved * log_scale.exp() + shift], dim=-1)

    def inverse(self, x: Tensor) -> Tensor:
        """Undo shift and scale of the second half."""
        kept, moved = x[..., : self.kept], x[..., self.kept :]
        log_scale, shift = self._log_scale_shift(kept)
        return torch.cat([kept, (moved - shift) * (-log_scale).exp()], dim=-1)


class Chain(Mixing):
    """Bijections one after another.

    Args:
        layers: The bijections, first to last.
    """

    def __init__(self, *layers: Mixing) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, z: Tensor) -> Tensor:
        """Apply the layers in order."""
        for layer in self.layers:
            z = layer(z)
        return z

    def inverse(self, x: Tensor) -> Tensor:
        """Undo the layers in reverse order."""
        for layer in reversed(self.layers):
            x = layer.inverse(x)  # type: ignore[operator]
        return x


class Embedding(nn.Module):
    """An injection of R^d into R^D: an orthonormal frame, then a mixing of R^D.

    Args:
        dim: Number of causal variables d.
        dim_x: Number of features D, at least d. If it is d the frame is the identity.
        mixing: Bijection of R^D.
        rng: Source of randomness for the frame.
    """

    frame: Tensor

    def __init__(self, dim: int, dim_x: int, mixing: Mixing, rng: np.random.Generator) -> None:
        super().__init__()
        frame = np.eye(dim) if dim == dim_x else np.linalg.qr(rng.standard_normal((dim_x, dim)))[0]
        self.register_buffer("frame", torch.from_numpy(frame))
        self.mixing = mixing

    def forward(self, z: Tensor) -> Tensor:
        """Map causal variables, shape (..., d), to observations, shape (..., D)."""
        x: Tensor = self.mixing(z @ self.frame.T)
        return x

    def inverse(self, x: Tensor) -> Tensor:
        """Map observations in the image, shape (..., D), back to causal variables, shape (..., d)."""
        return self.mixing.inverse(x) @ self.frame


def draw_mixing(name: str, dim: int, rng: np.random.Generator) -> Mixing:
    """Draw a random bijection.

    Args:
        name: ``linear``: one rotation. ``leaky_relu``: three rotations with leaky ReLUs between them.
            ``tanh_residual``: three rotations, each followed by a tanh residual block.
            ``coupling``: three times a rotation and an affine coupling, then a last rotation.
        dim: Number of features; ``coupling`` needs two.
        rng: Source of randomness.

    Returns:
        The bijection, in float64.

    Raises:
        ValueError: If the name is not one of :data:`MIXINGS` or ``dim`` is too small for it.

    >>> mixing = draw_mixing("leaky_relu", 3, np.random.default_rng(0))
    >>> z = torch.randn(5, 3, dtype=torch.float64)
    >>> torch.allclose(mixing.inverse(mixing(z)), z)
    True
    """
    if name not in MIXINGS:
        raise ValueError(f"mixing: got {name!r}, expected one of {', '.join(MIXINGS)}")
    if name == "coupling" and dim < 2:
        raise ValueError(f"mixing: got 'coupling' of {dim} feature, expected at least 2 features for it")
    layers: list[Mixing] = [Rotation(dim, rng)]
    if name == "leaky_relu":
        for _ in range(_BLOCKS - 1):
            layers += [LeakyReLU(), Rotation(dim, rng)]
    elif name == "tanh_residual":
        layers.append(TanhResidual(dim, rng))
        for _ in range(_BLOCKS - 1):
            layers += [Rotation(dim, rng), TanhResidual(dim, rng)]
    elif name == "coupling":
        for _ in range(_BLOCKS):
            layers += [AffineCoupling(dim, rng), Rotation(dim, rng)]
    return Chain(*layers)
