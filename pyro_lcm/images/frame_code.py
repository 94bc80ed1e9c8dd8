"""Fit a code to single frames of sequences: an autoencoder, for a model of sequences to be one of its numbers.

The pairs of :mod:`pyro_lcm.images.fit_code` share what an intervention did not change, and their codes are made to
agree in it. Frames of a sequence do not, so nothing is asked of codes but that frames can be painted from them: which
number means what, and which are mixed, is left to the flow of the model behind (CITRIS-NF, on an autoencoder that was
fitted before: Lippe et al., ICML 2022, arXiv 2202.03169).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.fit_code import RATE, STEPS, CodeObjective
from pyro_lcm.images.sides import image_sides
from pyro_lcm.process import random_state
from pyro_lcm.training.driver import fit
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import TensorSource

__all__ = ["fit_frame_code"]

_COMPONENTS = 192
_FRAMES = 20_000
"""Frames that components are computed from at most."""


def fit_frame_code(
    sequences: InterventionSequences,
    dim: int,
    *,
    seed: int,
    steps: int = STEPS,
    spread: float = 0.03,
    out: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: bool | None = None,
) -> ImageCode:
    """Fit a code to the frames of sequences.

    Args:
        sequences: of images.
        dim: numbers in a code.
        seed: of everything random.
        steps: of the optimizer.
        spread: noise on codes, in their standard deviations: frames whose codes are closer are painted alike.
        out: folder for checkpoints, or None.
        resume: whether to go on from the checkpoint in ``out``.
        device: as the driver takes it.
        progress: whether to show a progress bar.

    Returns:
        The code, whose numbers have mean 0 and variance 1.

    Raises:
        ValueError: if frames are no images, or too few.
    """
    pairs = sequences.transitions()
    if not pairs.is_images:
        raise ValueError(f"sequences: got frames of shape {sequences.observation_shape}, expected images")
    components = min(_COMPONENTS, math.prod(pairs.image_shape), len(pairs))
    if dim < 1 or components < dim:
        raise ValueError(f"dim: got {dim}, expected 1 to {components}, as there are frames and numbers in one")
    with random_state.isolated(random_state.derive_seed(seed, "code"), torch.device("cpu")), torch.no_grad():
        code = ImageCode(pairs.image_shape, dim, components)
        rows = torch.randperm(len(pairs))[:_FRAMES].sort().values
        code.set_components(pairs.batch(np.asarray(rows))["x"])
        parts = [code.project(side) for side in image_sides(pairs)]
        source = TensorSource({"v": torch.cat(parts[::2]), "v_after": torch.cat(parts[1::2])})
    objective = CodeObjective(code, len(pairs))  # of unknown targets, so that codes of a pair need not agree
    phase = Phase("code", steps, Cosine(RATE, 1e-5), 256, {"spread": spread}, weight_decay=1e-4, gradient_clip=1.0)
    fit(objective, source, [phase], seed=seed, out=out, device=device, progress=progress, resume=resume)
    with torch.no_grad():
        codes = torch.cat([_codes(code, source.tensors[name]) for name in ("v", "v_after")])
        code.shift.copy_(codes.mean(0))
        code.spread.copy_(codes.std(0))
    return code.eval()


def _codes(code: ImageCode, components: Tensor) -> Tensor:
    device = code.shift.device
    return torch.cat([code.raw_code(part.to(device)) for part in components.split(4096)])
