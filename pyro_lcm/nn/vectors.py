"""Encoder and decoder for vectors: an autoencoder's code, then a flow from the code to noise encodings.

        encoder   u = A x + MLP(x),   m = flow(u),          q(e | x) = N(m, sd(x)^2)
        decoder   u = flow'^-1(e),    x = A' u + MLP'(u),   p(x | e) = N(., sd^2)

The code u is any invertible summary of x (x itself where it is as wide as there are variables), so the hard part,
finding the coordinates that interventions move one at a time, is a map from d numbers to d numbers. Encoder and
decoder have a flow each; a warm start gives both the same one, and then they are exact inverses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_lcm.nn.activations import Activation, activation_layer
from pyro_lcm.nn.flow import Flow
from pyro_lcm.nn.recall import exact_posterior, flow_columns, once, sides_of, tolerance_of_decoder


def observation(decoded: TorchDistribution | tuple[Tensor, Tensor], noise: Tensor) -> TorchDistribution:
    """p(x | e) from what a decoder gives: a distribution, or mean and standard deviation of a Gaussian.

    Args:
        decoded: the distribution, of batch shape (...), or two tensors (..., *shape of x).
        noise: (..., d) noise encodings it was made from.
    """
    if isinstance(decoded, Distribution):
        return decoded
    mean, sd = decoded
    gaussian: TorchDistribution = Normal(mean, sd).to_event(mean.dim() - noise.dim() + 1)
    return gaussian


def perceptron(
    in_features: int, out_features: int, hidden: Sequence[int], activation: Activation = "silu"
) -> nn.Sequential:
    """A multilayer perceptron.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        hidden: widths of the hidden layers.
        activation: of these layers.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(in_features, width), activation_layer(activation)]
        in_features = width
    return nn.Sequential(*layers, nn.Linear(in_features, out_features))


def mlp(in_features: int, out_features: int, hidden: Sequence[int], activation: Activation = "silu") -> nn.Sequential:
    """A :func:`perceptron` whose last layer starts at zero."""
    layers = perceptron(in_features, out_features, hidden, activation)
    for parameter in layers[-1].parameters():
        nn.init.zeros_(parameter)
    return layers


class AffinePlusMLP(nn.Module):
    """A u + b + MLP(u): the first coordinates at first; no MLP where ``hidden`` is empty."""

    def __init__(
        self, in_features: int, out_features: int, hidden: Sequence[int], activation: Activation = "silu"
    ) -> None:
        super().__init__()
        self.affine = nn.Linear(in_features, out_features)
        with torch.no_grad():
            self.affine.weight.copy_(torch.eye(out_features, in_features))
            self.affine.bias.zero_()
        self.rest = mlp(in_features, out_features, hidden, activation) if hidden else None

    def forward(self, value: Tensor) -> Tensor:
        """Values (..., out_features) of inputs (..., in_features)."""
        out: Tensor = self.affine(value)
        return out if self.rest is None else out + self.rest(value)


class VectorEncoder(nn.Module):
    """Mean and standard deviation of q(e | x) for vectors.

    Args:
        dim_x: width of the observation (after standardisation), at least ``dim_z``.
        dim_z: number of latents d.
        hidden: widths of the hidden layers from x to the code; empty for an affine code.
        flow: from the code to noise encodings; an affine one if None.
        hidden_sd: widths of the hidden layers of the standard deviation.
        initial_sd: standard deviation at the start, in units of the prior's.
        min_sd: lower bound of the standard deviation.
        activation: of the hidden layers from x to the code.
    """

    def __init__(
        self,
        dim_x: int,
        dim_z: int,
        hidden: Sequence[int] = (128, 128),
        *,
        flow: Flow | None = None,
        hidden_sd: Sequence[int] = (32,),
        initial_sd: float = 0.1,
        min_sd: float = 1e-3,
        activation: Activation = "silu",
    ) -> None:
        super().__init__()
        self.body = AffinePlusMLP(dim_x, dim_z, hidden, activation)
        self.flow = Flow(dim_z, layers=0) if flow is None else flow
        self.spread = mlp(dim_x, dim_z, hidden_sd)
        self.log_sd = nn.Parameter(torch.full((dim_z,), initial_sd).log())
        self.min_sd = min_sd

    @torch.no_grad()
    def set_tolerance(self, value: float) -> None:
        """Begin with posteriors of this standard deviation, in units of the noise encodings."""
        self.log_sd.fill_(value).log_()

    def code(self, x: Tensor) -> Tensor:
        """The code u, (..., dim_z), of (..., dim_x) observations."""
        return once(self.body, x)

    def columns(self, x: Tensor) -> dict[str, Tensor]:
        """What body and flow compute of (N, dim_x) observations, to be kept while they are frozen."""
        code = self.code(x)
        return {"code": code, **flow_columns(self.flow, code)}

    def passes(self, columns: Mapping[str, Tensor]) -> list[tuple[nn.Module, Any]]:
        """Body and flow, and what each gave for both sides of pairs, of columns of a batch."""
        code, image, log_det = sides_of(columns, "code", "image", "log_det")
        return [(self.body, code), (self.flow, (image, log_det))]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (..., dim_z), for (..., dim_x) observations."""
        code, tolerance = self.code(x), tolerance_of_decoder()
        if tolerance is not None:
            return exact_posterior(once(self.flow, code)[0], tolerance)
        return self.flow.image(code), (self.log_sd + self.spread(x)).clamp(max=2.0).exp() + self.min_sd


class VectorDecoder(nn.Module):
    """Mean and standard deviation of p(x | e) for vectors.

    Args:
        dim_z: number of latents d.
        dim_x: width of the observation (after standardisation), at least ``dim_z``.
        hidden: widths of the hidden layers from the code to x; empty for an affine map.
        flow: from the code to noise encodings (the decoder uses its inverse); an affine one if None.
        initial_sd: standard deviation of x given e at the start, in units of x after standardisation.
        min_sd: lower bound of the standard deviation.
    """

    def __init__(
        self,
        dim_z: int,
        dim_x: int,
        hidden: Sequence[int] = (128, 128),
        *,
        flow: Flow | None = None,
        initial_sd: float = 0.1,
        min_sd: float = 0.01,
    ) -> None:
        super().__init__()
        self.flow = Flow(dim_z, layers=0) if flow is None else flow
        self.body = AffinePlusMLP(dim_z, dim_x, hidden)
        self.log_sd = nn.Parameter(torch.full((dim_x,), initial_sd).log())
        self.min_sd = min_sd

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., dim_x) and standard deviation (dim_x,) for (..., dim_z) noise encodings."""
        return self.body(self.flow.inverse(noise)), self.log_sd.exp() + self.min_sd
