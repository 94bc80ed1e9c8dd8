"""Monotone rational quadratic splines with an exact inverse (Durkan, Bekasov, Murray, Papamakarios, NeurIPS 2019).

Between two knots, with theta in [0, 1] the place in the bin, h its height, delta its mean slope, and s, s' the slopes
at its ends,

    y = y_k + h (delta theta^2 + s theta (1 - theta)) / (delta + (s + s' - 2 delta) theta (1 - theta)),

a ratio of quadratics that a quadratic equation inverts. Outside the outermost knots it is the identity. Nothing here
depends on values, masks or indices that have to be known on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Transform, constraints

_SMALLEST_DISCRIMINANT = 1e-30
"""It is positive but for round-off; the square root needs a finite derivative there."""


class _Bin(NamedTuple):
    """Of each value, (...): the lower corner of its bin, width, mean slope, and the slopes at both ends."""

    left: Tensor
    bottom: Tensor
    width: Tensor
    mean: Tensor
    lower: Tensor
    upper: Tensor


class MonotoneSpline(Transform):
    """An increasing map of the real line: a rational quadratic spline in [-bound, bound], the identity beyond.

    Args:
        widths: (..., bins) of the bins, positive, with the sum 1; the leading axes broadcast with the values'.
        heights: (..., bins) likewise.
        slopes: (..., bins - 1) at the inner knots, positive.
        bound: half the width of the interval, positive.

    Example:
        >>> spline = MonotoneSpline(torch.tensor([0.3, 0.7]), torch.tensor([0.5, 0.5]), torch.tensor([2.0]))
        >>> spline(torch.tensor([-4.0, -1.6, 9.0])).round(decimals=4).tolist()
        [-4.0, 0.0, 9.0]
    """

    domain = codomain = constraints.real
    bijective = True
    sign = 1

    def __init__(self, widths: Tensor, heights: Tensor, slopes: Tensor, *, bound: float = 4.0) -> None:
        super().__init__()
        self.bound = bound
        self._x, self._y = _knots(widths, bound), _knots(heights, bound)
        end = torch.ones_like(slopes[..., :1]) if slopes.shape[-1] else torch.ones_like(widths)
        self._slopes = torch.cat([end, slopes, end], -1)

    def forward_shape(self, shape: Sequence[int]) -> torch.Size:
        """The shape of values, broadcast with the leading axes of the parameters."""
        return torch.broadcast_shapes(tuple(shape), self._x.shape[:-1])

    inverse_shape = forward_shape

    def _call(self, x: Tensor) -> Tensor:
        at, theta = self._place(x)
        both = theta * (1 - theta)
        ratio = (at.mean * theta.square() + at.lower * both) / _denominator(at, both)
        return torch.where(x.abs() < self.bound, at.bottom + at.mean * at.width * ratio, x)

    def _inverse(self, y: Tensor) -> Tensor:
        value = y.clamp(-self.bound, self.bound)
        at = self._bin(value, self._y)
        risen, height = value - at.bottom, at.mean * at.width
        bend = risen * (at.lower + at.upper - 2 * at.mean)
        a, b, c = height * (at.mean - at.lower) + bend, height * at.lower - bend, -at.mean * risen
        root = (b.square() - 4 * a * c).clamp(min=_SMALLEST_DISCRIMINANT).sqrt()
        theta = -2 * c / (b + root)
        return torch.where(y.abs() < self.bound, at.left + at.width * theta, y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Log of dy/dx at x (...)."""
        at, theta = self._place(x)
        both, rest = theta * (1 - theta), 1 - theta
        numerator = at.upper * theta.square() + 2 * at.mean * both + at.lower * rest.square()
        slope = 2 * (at.mean.log() - _denominator(at, both).log()) + numerator.log()
        return torch.where(x.abs() < self.bound, slope, 0.0)

    def _place(self, x: Tensor) -> tuple[_Bin, Tensor]:
        """The bin of each x and the place theta in it."""
        value = x.clamp(-self.bound, self.bound)
        at = self._bin(value, self._x)
        return at, (value - at.left) / at.width

    def _bin(self, value: Tensor, knots: Tensor) -> _Bin:
        index = (value.unsqueeze(-1) >= knots[..., 1:-1]).sum(-1, keepdim=True)

        def select(of_knots: Tensor, at: Tensor) -> Tensor:
            return of_knots.expand(*at.shape[:-1], -1).gather(-1, at).squeeze(-1)

        left, bottom = select(self._x, index), select(self._y, index)
        width, height = select(self._x, index + 1) - left, select(self._y, index + 1) - bottom
        return _Bin(left, bottom, width, height / width, select(self._slopes, index), select(self._slopes, index + 1))


def _knots(lengths: Tensor, bound: float) -> Tensor:
    """(..., bins + 1) places of the knots; the outermost are exactly at the bounds."""
    inner = bound * (2 * lengths[..., :-1].cumsum(-1) - 1)
    end = torch.full_like(lengths[..., :1], bound)
    return torch.cat([-end, inner, end], -1)


def _denominator(at: _Bin, both: Tensor) -> Tensor:
    return at.mean + (at.lower + at.upper - 2 * at.mean) * both
