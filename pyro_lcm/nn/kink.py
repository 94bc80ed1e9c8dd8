"""An increasing map of the line that bends once, as a coupling applies it to many coordinates.

    y = exp(s) (v + a sqrt((v - c)^2 + w^2)) + t,      |a| < 1,  w > 0

bends at c by the ratio (1 + a) / (1 - a) of its slopes, and its inverse is the root of a quadratic. With o = v - c,
r = sqrt(o^2 + w^2) and k = o / r the slope is exp(s) (1 + a k).

Coordinates are rows and observations columns: so each coefficient of all of them is one piece of memory. A flow
has dozens of these maps in a row, of a few coordinates each; their gradients are written out, since the many small
operations of autograd took a fifth of a flow's time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

COEFFICIENTS = 5
"""Numbers of each coordinate: for s, t, a, c and w, in this order."""
_MAX_LOG_SCALE = 2.0
_MAX_BEND = 0.95
_MIN_WIDTH = 0.01


def kink(coefficients: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Image of some coordinates, and the logarithm of their slopes' product.

    Args:
        coefficients: (5 m, rows) any numbers.
        value: (m, rows) coordinates v.

    Returns:
        y (m, rows) and the sums of log dy / dv, (rows,).
    """
    image, log_det = _Kink.apply(coefficients, value)
    return image, log_det


def unkink(coefficients: Tensor, image: Tensor) -> Tensor:
    """The coordinates, (m, rows), whose image is given; arguments as those of :func:`kink`."""
    log_scale, shift, bend, centre, width = coefficients.split(len(image))
    bend, width = _MAX_BEND * torch.tanh(bend), nn.functional.softplus(width - 1) + _MIN_WIDTH
    target = (image - shift) * (-_MAX_LOG_SCALE * torch.tanh(log_scale / _MAX_LOG_SCALE)).exp() - centre
    rest = 1 - bend.square()
    return centre + (target - bend * (target.square() + width.square() * rest).sqrt()) / rest


class _Kink(Function):
    """:func:`kink`, with its gradient."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift, bend, centre, width = coefficients.split(len(value))
        log_scale = torch.tanh(log_scale / _MAX_LOG_SCALE)
        scale = torch.exp(_MAX_LOG_SCALE * log_scale)
        bend = torch.tanh(bend)
        excess = nn.functional.softplus(width - 1)
        offset, width = value - centre, excess + _MIN_WIDTH
        root = torch.addcmul(width.square(), offset, offset).sqrt_()
        ratio = offset / root
        slope = 1 + _MAX_BEND * bend * ratio
        bent = torch.addcmul(value, bend, root, value=_MAX_BEND)
        ctx.save_for_backward(log_scale, scale, bend, excess, root, ratio, slope, bent)
        return torch.addcmul(shift, bent, scale), torch.add(slope.log(), log_scale, alpha=_MAX_LOG_SCALE).sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_image: Tensor, of_log_det: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, scale, bend, excess, root, ratio, slope, bent = ctx.saved_tensors
        scaled = of_image * scale
        of_log_slope = of_log_det / slope
        of_root = _MAX_BEND * bend * scaled
        of_ratio = _MAX_BEND * bend * of_log_slope / root
        of_offset = torch.addcmul(of_root * ratio, of_ratio, 1 - ratio.square())
        of_width = (of_root - of_ratio * ratio) * ((excess + _MIN_WIDTH) / root)
        of_coefficients = torch.cat(
            [
                torch.addcmul(of_log_det, scaled, bent) * (1 - log_scale.square()),
                of_image,
                torch.addcmul(of_log_slope * ratio, scaled, root) * (1 - bend.square()) * _MAX_BEND,
                -of_offset,
                of_width * -torch.expm1(-excess),
            ]
        )
        return of_coefficients, scaled + of_offset
