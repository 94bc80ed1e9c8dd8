"""Fit the network between images and codes, by the driver that trains everything else."""

from __future__ import annotations

from pathlib import Path

import torch

from pyro_lcm import random_state
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.images.code import ImageCode
from pyro_lcm.training.driver import fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine

__all__ = ["fit_code"]

STEPS = 2000


def fit_code(
    pairs: InterventionPairs,
    dim: int | None,
    *,
    seed: int,
    out: Path | None,
    resume: bool,
    device: str,
    progress: bool | None,
    validation: InterventionPairs | None = None,
    steps: int | None = None,
) -> tuple[ImageCode, FitResult]:
    """Fit a code to both sides of pairs of images.

    Args:
        pairs: training pairs of images.
        dim: width of the code.
        seed: of everything random.
        out: folder for checkpoints, or None.
        resume: whether to go on from the checkpoint in ``out``.
        device: as the driver takes it.
        progress: whether to show a progress bar.
        validation: held-out pairs.
        steps: of the optimizer; 2,000 if None.

    Raises:
        ValueError: if the width is not given.
    """
    if dim is None:
        raise ValueError("dim: got none, expected the width of the code")
    with random_state.isolated(seed, torch.device("cpu")):
        code = ImageCode(pairs.image_shape, dim)
    phase = Phase("code", STEPS if steps is None else steps, Cosine(1e-3, 1e-5), 64)
    result = fit(
        code,
        pairs,
        [phase],
        seed=seed,
        out=out,
        validation=validation,
        device=device,
        progress=progress,
        resume=resume,
    )
    return code.eval(), result
