"""End to end from pixels: the reduction and the latent causal model of its codes as one model and guide of images.

    encoder   e = m(standardised code(x))                      decoder   x = paint(code(e)) + noise of each channel

The two parts are the pretraining, phases of the same driver; their composition keeps the contract of models and guides,
so that the evidence lower bound of whole images trains all networks together from where the parts have left them.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.fitted import FittedModel
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.images.reduction import ImagePairs, ImageReduction, shrink
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn.vectors import observation
from pyro_lcm.training.driver import fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.objective import PairObjective
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine

__all__ = ["PixelDecoder", "PixelEncoder", "fit_end_to_end", "on_pixels"]


class PixelEncoder(nn.Module):
    """Mean and standard deviation of q(e | x) for images: reduce, standardise, encode.

    Args:
        reduction: from images to codes.
        standardizer: of codes.
        encoder: from standardised codes to mean and standard deviation.
    """

    def __init__(self, reduction: ImageReduction, standardizer: Standardizer, encoder: nn.Module) -> None:
        super().__init__()
        self.reduction, self.standardizer, self.encoder = reduction, standardizer, encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (B, d), for (B, 3, size, size) images."""
        mean, sd = self.encoder(self.standardizer(self.reduction.encode(images)))
        return mean, sd


class PixelDecoder(nn.Module):
    """Mean and standard deviation of p(x | e) for images of 64 pixels: decode to codes, paint.

    Args:
        decoder: from noise encodings to standardised codes.
        standardizer: of codes.
        reduction: paints codes.
        min_sd: lower bound of the standard deviation of a pixel, whose range is 1.
    """

    def __init__(
        self, decoder: nn.Module, standardizer: Standardizer, reduction: ImageReduction, *, min_sd: float = 0.01
    ) -> None:
        super().__init__()
        self.decoder, self.standardizer, self.reduction = decoder, standardizer, reduction
        self.log_sd = nn.Parameter(torch.full((3, 1, 1), 0.05).log())
        self.min_sd = min_sd

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (..., 3, 64, 64), for (..., d) noise encodings."""
        rows = noise.reshape(-1, noise.shape[-1])
        codes = observation(self.decoder(rows), rows).mean
        painted = self.reduction.decode(self.standardizer.inverse(codes))
        mean = painted.reshape(*noise.shape[:-1], *painted.shape[1:])
        return mean, (self.log_sd.exp() + self.min_sd).expand_as(mean)


def on_pixels(fitted: FittedModel, reduction: ImageReduction) -> tuple[ILCM, ILCMGuide]:
    """A model and a guide of images from the parts; all parameters are copies.

    Args:
        fitted: an implicit model fitted to codes, ``LatentCausalModel.fitted``.
        reduction: that made the codes.

    Returns:
        The programs, on the CPU and in single precision, with the contract of :class:`pyro_lcm.models.ilcm.ILCM`.

    Raises:
        ValueError: if the model is another one, or was fitted to something else than these codes.
    """
    if type(fitted.model) is not ILCM:  # the dVAE is one, with other densities
        raise ValueError(f"fitted: got a model of the kind {type(fitted.model).__name__}, expected ILCM")
    if not isinstance(fitted.standardizer, Standardizer) or fitted.standardizer.shape != (reduction.dim,):
        raise ValueError(f"fitted: got a model of {fitted.standardizer.shape} numbers, expected ({reduction.dim},)")
    reduction, standardizer, model, guide = copy.deepcopy(
        (reduction, fitted.standardizer, fitted.model, fitted.guide)
    )  # together, so that encoder and decoder go on sharing the reduction
    for part in (reduction, standardizer, model, guide):  # a fit may have left some of them on a GPU
        part.cpu().float()
    encoder = PixelEncoder(reduction, standardizer, guide.encoder)
    decoder = PixelDecoder(model.decoder, standardizer, reduction)
    joined = ILCM(model.dim_z, decoder, model.solution, model.target_prior)
    return joined, ILCMGuide(model.dim_z, encoder, guide.target_encoder, redrawn_dist=joined.redrawn_dist)


def fit_end_to_end(
    fitted: FittedModel,
    reduction: ImageReduction,
    images: ImagePairs,
    *,
    steps: int = 500,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: bool | None = None,
) -> tuple[ILCM, ILCMGuide, FitResult]:
    """Train all networks on images, by the ELBO with hard targets.

    Args:
        fitted: an implicit model fitted to codes, ``LatentCausalModel.fitted``.
        reduction: that made the codes.
        images: training pairs; larger ones are averaged to 64 pixels.
        steps: of the optimizer.
        batch_size: pairs in a step.
        learning_rate: at the start.
        seed: of everything random.
        out: folder for checkpoints; None writes nothing.
        resume: whether to go on from the checkpoint in ``out``.
        device: as for :meth:`pyro_lcm.LatentCausalModel.fit`.
        progress: whether to show a progress bar; by default on a terminal.

    Returns:
        The model and the guide, on the CPU, and how the training went.

    Raises:
        ValueError: as :func:`on_pixels`, or if a number is out of range.
    """
    model, guide = on_pixels(fitted, reduction)
    source = _Averaged(images)
    with torch.no_grad():  # the standard deviation of a pixel is what the parts leave unexplained
        x = source.batch(np.arange(min(len(images), 256)))["x"]
        left = (model.x_dist(guide.encode(x).mean).mean - x).square().mean((0, 2, 3)).sqrt()
        decoder: Any = model.decoder
        decoder.log_sd.copy_((left - decoder.min_sd).clamp(min=0.1 * decoder.min_sd).log()[:, None, None])
    rate = Cosine(learning_rate, learning_rate / 100)
    phase = Phase("end to end", steps, rate, batch_size, {"hypotheses": 1}, gradient_clip=1000.0)
    result = fit(
        PairObjective(model, guide),
        source,
        [phase],
        seed=seed,
        out=out,
        resume=resume,
        device=device,
        progress=progress,
        facts={"parts": _digest(model, guide)},
    )
    return model.cpu().eval(), guide.cpu().eval(), result


def _digest(*modules: nn.Module) -> str:
    """A hash of all parameters and buffers: a run that is gone on with has to have begun at the same parts."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


class _Averaged:
    """Pairs of images at the size that a reduction paints."""

    def __init__(self, images: ImagePairs) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: NDArray[np.int64] | Tensor) -> Mapping[str, Tensor]:
        return {name: shrink(side) for name, side in self.images.batch(np.asarray(index)).items()}
