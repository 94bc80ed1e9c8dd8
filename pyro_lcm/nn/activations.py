"""The activations of small networks by name, so that a saved model says which it has."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Activation = Literal["silu", "leaky_relu"]
"""A smooth one, and one that costs half as much and bends where a piecewise linear mixing does."""


def activate(activation: Activation, value: Tensor) -> Tensor:
    """The activation of each element.

    Example:
        >>> import torch
        >>> activate("leaky_relu", torch.tensor([-1.0, 1.0]))
        tensor([-0.0100,  1.0000])
    """
    return nn.functional.leaky_relu(value) if activation == "leaky_relu" else nn.functional.silu(value)


def activation_layer(activation: Activation) -> nn.Module:
    """The same as a module without parameters."""
    return nn.LeakyReLU(inplace=True) if activation == "leaky_relu" else nn.SiLU()
