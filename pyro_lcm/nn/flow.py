"""An invertible map of the latents: coupling layers whose elementwise maps have a kink.

The map between the codes of an autoencoder (or whitened observations) and noise encodings is a diffeomorphism that
has to be found. A normalising flow finds it by exact likelihood, with no decoder in the loop, and has an exact
inverse that the decoder can use. Layers alternate a full linear map with an affine coupling (Dinh, Sohl-Dickstein,
Bengio, ICLR 2017) that is extended by one soft kink, so that a piecewise linear mixing needs few layers:

    y = exp(s) (v + a sqrt((v - c)^2 + w^2)) + t,      |a| < 1,  w > 0

with s, t, a, c, w given by a network of the other half of the coordinates. It increases in v, bends at c by the
ratio (1 + a) / (1 - a) of its slopes, and its inverse is the root of a quadratic.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyro_lcm.nn.activations import Activation, activation_layer

_MAX_LOG_SCALE = 2.0
_MAX_BEND = 0.95
_MIN_WIDTH = 0.01


class Coupling(nn.Module):
    """One coupling layer: half of the coordinates pass, the others go through a kinked affine map.

    Args:
        dim: number of coordinates, at least 2.
        hidden: width of the two hidden layers of its network.
        swap: whether the first or the second half passes.
        activation: of the network's hidden layers.
    """

    def __init__(self, dim: int, hidden: int, *, swap: bool, activation: Activation = "silu") -> None:
        super().__init__()
        self.swap = swap
        self.split = dim // 2
        passed, moved = (dim - self.split, self.split) if swap else (self.split, dim - self.split)
        last = nn.Linear(hidden, 5 * moved)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            # Kinks start spread out: where all sit at one point their gradients are alike.
            last.bias[3 * moved : 4 * moved].normal_(0.0, 0.5)
        self.network = nn.Sequential(
            nn.Linear(passed, hidden),
            activation_layer(activation),
            nn.Linear(hidden, hidden),
            activation_layer(activation),
            last,
        )

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Image (..., dim) and log absolute determinant (...) of (..., dim) values."""
        passed, moved = self._halves(value)
        log_scale, shift, bend, centre, width = self._coefficients(passed)
        offset = moved - centre
        root = (offset.square() + width.square()).sqrt()
        moved = (moved + bend * root) * log_scale.exp() + shift
        log_det = (log_scale + torch.log1p(bend * offset / root)).sum(-1)
        return self._join(passed, moved), log_det

    def inverse(self, value: Tensor) -> Tensor:
        """The (..., dim) values whose image is given."""
        passed, moved = self._halves(value)
        log_scale, shift, bend, centre, width = self._coefficients(passed)
        target = (moved - shift) * (-log_scale).exp() - centre
        rest = 1 - bend.square()
        offset = (target - bend * (target.square() + width.square() * rest).sqrt()) / rest
        return self._join(passed, offset + centre)

    def _coefficients(self, passed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        log_scale, shift, bend, centre, width = self.network(passed).chunk(5, -1)
        log_scale = _MAX_LOG_SCALE * torch.tanh(log_scale / _MAX_LOG_SCALE)
        width = nn.functional.softplus(width - 1) + _MIN_WIDTH
        return log_scale, shift, _MAX_BEND * torch.tanh(bend), centre, width

    def _halves(self, value: Tensor) -> tuple[Tensor, Tensor]:
        first, second = value[..., : self.split], value[..., self.split :]
        return (second, first) if self.swap else (first, second)

    def _join(self, passed: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, passed] if self.swap else [passed, moved], -1)


class Flow(nn.Module):
    """Invertible map of ``dim`` latents: linear maps and couplings in turn, a linear map and a shift at the end.

    It starts as a rotation followed by its inverse, up to the couplings' kinks, which start flat: the identity.

    Args:
        dim: number of latents.
        layers: number of couplings; none for ``dim`` 1, where the flow is affine.
        hidden: width of the hidden layers of each coupling.
        activation: of these layers.
    """

    def __init__(self, dim: int, *, layers: int = 12, hidden: int = 64, activation: Activation = "silu") -> None:
        super().__init__()
        layers = 0 if dim == 1 else layers
        rotations = [torch.linalg.qr(torch.randn(dim, dim))[0] for _ in range(layers)]
        undone = torch.eye(dim)
        for rotation in rotations:
            undone = rotation.T @ undone
        self.rotations = nn.ParameterList([nn.Parameter(rotation) for rotation in rotations])
        self.couplings = nn.ModuleList(
            [Coupling(dim, hidden, swap=bool(layer % 2), activation=activation) for layer in range(layers)]
        )
        self.weight = nn.Parameter(undone)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Image (..., dim) and log absolute determinant (...) of (..., dim) values."""
        log_det = value.new_zeros(value.shape[:-1])
        for rotation, coupling in zip(self.rotations, self.couplings, strict=True):
            value, change = coupling(value @ rotation)
            log_det = log_det + change
        linear = torch.linalg.slogdet(torch.stack([*self.rotations, self.weight]))[1].sum()
        return value @ self.weight + self.bias, log_det + linear

    def image(self, value: Tensor) -> Tensor:
        """Image (..., dim) of (..., dim) values."""
        for rotation, coupling in zip(self.rotations, self.couplings, strict=True):
            value, _ = coupling(value @ rotation)
        return value @ self.weight + self.bias

    def inverse(self, value: Tensor) -> Tensor:
        """The (..., dim) values whose image is given."""
        value = _solve(value - self.bias, self.weight)
        for rotation, coupling in zip(reversed(self.rotations), reversed(self.couplings), strict=True):
            value = _solve(coupling.inverse(value), rotation)  # type: ignore[operator]
        return value

    @torch.no_grad()
    def compose(self, weight: Tensor, bias: Tensor) -> None:
        """Follow the map by ``e -> e W + b``."""
        self.bias.copy_(self.bias @ weight + bias)
        self.weight.copy_(self.weight @ weight)


def _solve(value: Tensor, weight: Tensor) -> Tensor:
    """Solve v W = value for v."""
    return value @ torch.linalg.inv(weight)
