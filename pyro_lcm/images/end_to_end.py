"""All networks of a model of images at once, by the evidence lower bound of the images themselves.

    encoder   e = m(standardised code(x))          decoder   x = paint(code(e)) + sigma eta,   eta ~ N(0, 1) a pixel

A fit finds them one after the other: the code, then flow, guide and solution functions of codes. Joined they keep the
contract of models and guides (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, arXiv 2203.16437, section 4), so that the
same objective trains them together from where the fit has left them.

An image enters as its components v and the length r of what these leave of it. Painted is mean + s P' g, within the
components, so that the density of all D pixels,

    log p(x | e) = -(s^2 |v - g|^2 + r^2) / (2 sigma^2) - D / 2 log(2 pi sigma^2),

takes no pixel: a step costs what one of vectors does.

As encodings move, causal variables have to stay what they were found to be: the solution functions are held to those of
the fit, as they were to readouts while they were found (:mod:`pyro_lcm.recipes.objective`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyro_lcm.causal.abilities import solution_of
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.sides import image_sides
from pyro_lcm.images.units import ImageUnits
from pyro_lcm.nn.invertible import MIN_TOLERANCE, FlowEncoder
from pyro_lcm.nn.recall import both
from pyro_lcm.nn.vectors import observation
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.encodings import encode_sides
from pyro_lcm.recipes.objective import HARD, RecipeObjective
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import TensorSource

__all__ = [
    "EndToEndObjective",
    "PixelDecoder",
    "PixelEncoder",
    "Pixels",
    "end_to_end",
    "image_source",
    "joined",
    "with_causal",
]

NAME = "end to end"
"""What the log calls the phase."""
RATE = 3e-5
"""Learning rate of all networks at the start."""
_MIN_SD = 1e-3
"""Lower bound of the standard deviation of a pixel, whose range is 1."""
_ROWS = 1000
"""Images that the standard deviation of a pixel begins with."""
_HELD = 100.0
"""Nats that a squared distance of one standard deviation to the causal variables of the fit costs."""


class Pixels(TorchDistribution):
    """The density of all pixels of images, of their components and of what these leave, (..., k + 1).

    Args:
        painted: (..., k) components of the mean.
        sd: standard deviation of a pixel, a scalar.
        code: whose components they are.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, painted: Tensor, sd: Tensor, code: ImageCode) -> None:
        self.painted, self.sd = painted, sd
        self.unit, self.pixels = code.scale, math.prod(code.shape)
        event_shape = torch.Size([painted.shape[-1] + 1])
        super().__init__(painted.shape[:-1], event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Components (..., k + 1) of the mean, of which these leave nothing."""
        return nn.functional.pad(self.painted, (0, 1))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density (...) of images, (..., k + 1)."""
        error = (value - self.mean).square().sum(-1) * self.unit.square()
        return -error / (2 * self.sd.square()) - self.pixels * (self.sd.log() + 0.5 * math.log(2 * math.pi))


class PixelEncoder(nn.Module):
    """Mean and standard deviation of q(e | x), from components: code, standardise, encode.

    Args:
        code: from components to codes.
        codes: standardises codes.
        encoder: from standardised codes to mean and standard deviation.
    """

    def __init__(self, code: ImageCode, codes: Standardizer, encoder: nn.Module) -> None:
        super().__init__()
        self.image_code, self.codes, self.encoder = code, codes, encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (..., d), of (..., k + 1) images."""
        mean, sd = self.encoder(self.codes(self.image_code.code_of(x[..., :-1])))
        return mean, sd


class PixelDecoder(nn.Module):
    """p(x | e) of all pixels: decode to codes, paint.

    Args:
        code: paints codes.
        codes: standardises codes.
        decoder: from noise encodings to standardised codes.
    """

    def __init__(self, code: ImageCode, codes: Standardizer, decoder: nn.Module) -> None:
        super().__init__()
        self.image_code, self.codes, self.decoder = code, codes, decoder
        self.log_sd = nn.Parameter(torch.tensor(0.05).log())

    @property
    def sd(self) -> Tensor:
        """Standard deviation of a pixel."""
        return self.log_sd.exp() + _MIN_SD

    @torch.no_grad()
    def set_sd(self, noise: Tensor, x: Tensor) -> None:
        """Begin with what painting leaves unexplained of images, (N, k + 1), with noise encodings (N, d)."""
        error = (self(noise).mean - x).square().sum(-1).mean() * self.image_code.scale.square()
        left = (error / math.prod(self.image_code.shape)).sqrt()
        self.log_sd.copy_((left - _MIN_SD).clamp(min=0.1 * _MIN_SD).log())

    def forward(self, noise: Tensor) -> Pixels:
        """p(x | e), event shape (k + 1,), for (..., d) noise encodings."""
        rows = noise.reshape(-1, noise.shape[-1])
        painted = self.image_code.painted(self.codes.inverse(observation(self.decoder(rows), rows).mean))
        return Pixels(painted.reshape(*noise.shape[:-1], -1), self.sd, self.image_code)


class EndToEndObjective(RecipeObjective):
    """Negative ELBO per pair of images, and how far causal variables are from those that the fit has found."""

    def forward(
        self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor, **settings: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; beside ``x`` and ``x_after`` it may have ``causal`` and ``causal_after``, (pairs, d)."""
        loss, metrics = super().forward(tensors, size=size, index=index, **settings)
        if "causal" not in tensors:
            return loss, metrics
        found = both(tensors["causal"], tensors["causal_after"])
        with torch.no_grad():
            noise = self.guide.encoder(both(tensors["x"], tensors["x_after"]))[0]
        error = (self.model.solution(noise) - found).square().sum(-1).mean()
        return loss + _HELD * error, metrics | {"causal_moved": error.detach()}


@torch.no_grad()
def with_causal(model: Any, guide: Any, source: TensorSource) -> TensorSource:
    """Images with the causal variables of a model with solution functions beside them; within :func:`joined`."""
    if solution_of(model) is None:
        return source
    tensors = source.batch(torch.arange(len(source)))
    before, after = encode_sides(guide.encoder, tensors)
    causal = {"causal": model.causal(before), "causal_after": model.causal(after)}
    return TensorSource({**tensors, **causal})


@torch.no_grad()
def image_source(code: ImageCode, pairs: InterventionPairs) -> TensorSource:
    """Pairs of images as components and the length of what these leave, ``x`` and ``x_after``, (N, k + 1) each.

    With ``targets`` where they are known. Images are read some at a time.
    """
    sides = [code.project_all(side.to(code.basis)).cpu() for side in image_sides(pairs)]
    tensors = {"x": torch.cat(sides[::2]), "x_after": torch.cat(sides[1::2])}
    if pairs.known_targets is not None:
        tensors["targets"] = torch.as_tensor(pairs.known_targets)
    return TensorSource(tensors)


@contextmanager
def joined(units: ImageUnits, model: Any, guide: Any, source: TensorSource) -> Iterator[None]:
    """Make, in place, programs of codes into programs of images for a while; all parts stay shared.

    The spread of posteriors given all pixels is another number than the tolerance of programs of codes, which returns.

    Args:
        units: between images and codes; its networks are trained too meanwhile.
        model: of standardised codes, with a ``decoder``.
        guide: its guide, with an ``encoder``.
        source: the images, for the standard deviation of a pixel to begin with.
    """
    code, codes = units.code, units.codes
    encoder, decoder = guide.encoder, model.decoder
    tolerance = encoder.tolerance.detach() if isinstance(encoder, FlowEncoder) else None
    code.requires_grad_(True)
    guide.encoder, model.decoder = PixelEncoder(code, codes, encoder), PixelDecoder(code, codes, decoder)
    try:
        with torch.no_grad():
            x = source.batch(torch.arange(min(_ROWS, len(source))))["x"]
            model.decoder.set_sd(guide.encoder(x)[0], x)
        yield
    finally:
        guide.encoder, model.decoder = encoder, decoder
        code.requires_grad_(False).eval()
        if isinstance(encoder, FlowEncoder) and tolerance is not None:
            encoder.set_tolerance(float(tolerance) - MIN_TOLERANCE)


def end_to_end(budget: Budget | None = None, *, solution: bool = True) -> tuple[Phase, ...]:
    """The phases that train all networks of a model of images.

    The first trains all of them at once. Encodings move faster than solution functions, which are steep, can follow, so
    that these go on by themselves to the end.

    Args:
        budget: ``refine``, of each phase, and ``batch_size`` of it count.
        solution: whether the model has solution functions.
    """
    b = Budget() if budget is None else budget
    shared: dict[str, Any] = {"gradient_clip": 1000.0, "keep": "best"}
    phases = [Phase(NAME, b.refine, Cosine(RATE, RATE / 100), b.batch_size, HARD, **shared)]
    if solution:
        rate = Cosine(1e-3, 1e-5)
        frozen = ("model.decoder", "guide")
        phases.append(Phase("solutions follow", b.refine, rate, b.batch_size, HARD, freeze=frozen, **shared))
    return tuple(phases)
