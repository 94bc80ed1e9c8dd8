"""From pairs to a fitted model of content and style: what the user's class does to fit it, as functions.

The driver, the run folder and the fitted model are those of the other models of pairs; what is not asked is which
single variable an intervention has changed, nor on which lines differences lie. Images are encoded as they are, without
a code of them first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import some_pairs
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.fitting.design import fit_standardizer
from pyro_lcm.fitting.fit_options import FitOptions
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.fitting.model_choice import ModelChoice
from pyro_lcm.fitting.pair_fitting import train_fitted
from pyro_lcm.identify.blocks import shared_blocks
from pyro_lcm.process import random_state
from pyro_lcm.process.process_state import ready_to_train
from pyro_lcm.registry import ModelSpec, build, spec_of
from pyro_lcm.training.logs import FitResult

__all__ = ["fit_blocks", "holds_blocks"]

_EXACT = 1e-4
"""Disagreement of a direction of x, in variances, that is content as it is: what a linear mixture leaves."""


def holds_blocks(choice: ModelChoice) -> bool:
    """Whether the model that is chosen is one of blocks of latents."""
    return isinstance(choice.model, str) and spec_of(choice.model).blocks


@ready_to_train()
def fit_blocks(
    choice: ModelChoice, pairs: InterventionPairs, how: FitOptions, *, validation: InterventionPairs | float
) -> tuple[FittedModel, FitResult, dict[str, Any]]:
    """Build what was chosen and train it.

    Args:
        choice: the model, by a name of one of blocks.
        pairs: training pairs.
        how: the options of the fit.
        validation: held-out pairs, or the fraction of the pairs to hold out.

    Returns:
        The fitted model, how the training went, and the configuration that its run folder records.

    Raises:
        ValueError: if data or options do not fit.
        TrainingDiverged: if the loss is not finite.
    """
    assert isinstance(choice.model, str)
    spec = spec_of(choice.model)
    training, held_out = hold_out(pairs, validation, seed=how.seed)
    standardizer = fit_standardizer(training, units=None if training.is_images else spec.units)
    linear = not (training.is_images or choice.options.get("hidden")) and _shares_directions(
        training, standardizer, seed=how.seed
    )
    architecture = _architecture(spec, choice, standardizer.output_shape, linear=linear)
    model, guide = build(architecture, seed=how.seed)
    with random_state.isolated(how.seed, torch.device("cpu")):  # an objective may have networks of its own
        objective = spec.objective(model, guide, 0)
    fitted = FittedModel(objective, standardizer, choice.names_of(architecture.dim_z), architecture)
    recipe = spec.phases(architecture, how.budget, linear) if how.phases is None else tuple(how.phases)
    result, config = train_fitted(fitted, training, held_out, recipe, how, units=standardizer)
    return fitted, result, config


def _shares_directions(pairs: InterventionPairs, standardizer: Standardizer, *, seed: int) -> bool:
    """Whether directions of x, as it is, are the same on both sides of every pair."""
    some = some_pairs(pairs, seed=seed)
    before, after = (standardizer.transform(side).astype(np.float64) for side in (some.x, some.x_after))
    return bool(shared_blocks(before, after).disagreement[0] < _EXACT)


def _architecture(spec: ModelSpec, choice: ModelChoice, shape: tuple[int, ...], *, linear: bool) -> Architecture:
    """Widths of the networks: by default a latent for each direction of x.

    Raises:
        ValueError: if an option is out of range, or x are images that are not square or have no three channels.
    """
    images = len(shape) > 1
    if images and (len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2]):
        raise ValueError(f"x: got observations of shape {shape}, expected vectors, or square images of three channels")
    if images and choice.dim_z is None:
        raise ValueError("dim_z: got none for images, expected a number of latents, at least that of content (--dim-z)")
    dim_x = math.prod(shape)
    defaults: dict[str, Any] = {"hidden": () if linear or images else (128, 128, 128), "flow_layers": 0}
    defaults["activation"] = "leaky_relu"
    dim_z = dim_x if choice.dim_z is None else choice.dim_z
    size = shape[1] if images else None
    architecture = Architecture(spec.name, dim_x, dim_z, image_size=size, **(defaults | dict(choice.options)))
    spec.check(architecture)
    return architecture
