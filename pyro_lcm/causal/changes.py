"""Which component of an encoding moved: intervention targets for guides that do not infer any.

Encoders without a notion of a target still say, by how far each component of their posterior moved between
the two sides of a pair, which one was probably intervened on. A component that kept its value moves by the
noise of the two posteriors alone; a redrawn one by the difference of two draws from the prior on top of it:

    log q(I = i) - log q(I = none) = log N(m~_i - m_i; 0, v_i + v~_i + 2) - log N(m~_i - m_i; 0, v_i + v~_i)

This is the target posterior of :class:`pyro_lcm.guides.target_encoder.TargetEncoder` with nothing to learn.
"""

from __future__ import annotations

from torch import Tensor, nn


def target_probabilities(mean: Tensor, sd: Tensor, mean_after: Tensor, sd_after: Tensor) -> Tensor:
    """q(I | x, x~) from the two sides' diagonal Gaussian posteriors.

    Args:
        mean: (..., d) of the side before, in units of the prior's standard deviation.
        sd: (..., d), positive.
        mean_after: (..., d) of the side after.
        sd_after: (..., d), positive.

    Returns:
        (..., d + 1) probabilities of none, 1, ..., d.

    Example:
        >>> import torch
        >>> narrow = torch.full((3,), 0.1)
        >>> after = torch.tensor([0.0, 1.0, 0.0])
        >>> target_probabilities(torch.zeros(3), narrow, after, narrow).round(decimals=2)
        tensor([0., 0., 1., 0.])
    """
    untouched = sd.square() + sd_after.square()
    redrawn = untouched + 2.0
    move = mean_after - mean
    factor = 0.5 * (move.square() * (1 / untouched - 1 / redrawn) + (untouched / redrawn).log())
    return nn.functional.pad(factor, (1, 0)).softmax(-1)
