"""Going on with a fitted model on other pairs: its parameters, standardiser, names and graph are where training begins.

The model that is given stays as it is; a copy is trained.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from pyro_lcm.causal.abilities import solution_of
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import some_pairs
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.fitting.design import check_known_targets, check_target_numbers
from pyro_lcm.fitting.fit_options import FitOptions
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.fitting.image_fitting import code_pairs
from pyro_lcm.fitting.pair_fitting import train_fitted
from pyro_lcm.images.end_to_end import EndToEndObjective, image_source, joined, with_causal
from pyro_lcm.images.end_to_end import end_to_end as all_at_once
from pyro_lcm.images.units import ImageUnits
from pyro_lcm.process.process_state import ready_to_train
from pyro_lcm.recipes.fine_tune import fine_tune
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.recipes.own import identify_own
from pyro_lcm.registry import spec_of
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.sources import DataSource

__all__ = ["fine_tune_pairs"]

logger = logging.getLogger(__name__)

_GAIN = 1.0
"""Nats of a pair that another offset has to be worth; of the same system it is worth a hundredth."""
_LOOKED_AT = 2_000


@ready_to_train()
def fine_tune_pairs(
    start: FittedModel,
    pairs: InterventionPairs,
    how: FitOptions,
    *,
    validation: InterventionPairs | float,
    end_to_end: bool = False,
) -> tuple[FittedModel, FitResult, dict[str, Any]]:
    """Train a copy of a fitted model further.

    Args:
        start: the model to begin with.
        pairs: training pairs, of observations of its shape.
        how: the options of the fit: of its budget ``refine`` steps of ``batch_size`` pairs; hooks of its phases may set
            parameters anew.
        validation: held-out pairs, or the fraction of the pairs to hold out.
        end_to_end: whether to train a model of images with its code, by the ELBO of the images
            (:mod:`pyro_lcm.images.end_to_end`).

    Returns:
        The model, how the training went, and the configuration that its run folder records.

    Raises:
        ValueError: if data or options do not fit.
        TrainingDiverged: if the loss is not finite.
    """
    if pairs.observation_shape != tuple(start.standardizer.shape):
        raise ValueError(
            f"pairs: got observations of shape {pairs.observation_shape}, expected {tuple(start.standardizer.shape)},"
            " as the model was fitted to"
        )
    training, held_out = hold_out(pairs, validation, seed=how.seed)
    architecture = start.architecture
    if architecture is not None:
        check_known_targets(spec_of(architecture.model), training)
    check_target_numbers(training, start.dim_z)
    units = copy.deepcopy(start.standardizer).to("cpu")
    if end_to_end and not isinstance(units, ImageUnits):
        raise ValueError(f"end_to_end: got True for observations of shape {tuple(units.shape)}, expected it for images")
    # Together: a decoder may be the inverse of the guide's encoder.
    model, guide = copy.deepcopy((start.model, start.guide))
    within: Any = units
    sources: tuple[DataSource, DataSource] | None = None
    phases = how.phases
    with ExitStack() as held:
        if isinstance(units, ImageUnits):
            within = units.codes
            if end_to_end:
                images = image_source(units.code, training), image_source(units.code, held_out)
                model, guide = model.cpu(), guide.cpu()
                held.enter_context(joined(units, model, guide, images[0]))
                sources = with_causal(model, guide, images[0]), with_causal(model, guide, images[1])
            else:
                coded = code_pairs(units.code, training, held_out, mode=units.codes.mode, device=how.device)
                training, held_out = coded.training, coded.held_out
        if phases is None and end_to_end:
            phases = all_at_once(how.budget, solution=solution_of(model) is not None)
        elif phases is None:
            phases = fine_tune(_recipe(start), how.budget, own=architecture is None)
        objective = EndToEndObjective(model, guide) if end_to_end else RecipeObjective(model, guide)
        fitted = FittedModel(objective, within, start.names, architecture)
        if isinstance(units, Standardizer):
            _take_up_offset(fitted, some_pairs(training, seed=how.seed, most=_LOOKED_AT))
        result, config = train_fitted(
            fitted,
            training,
            held_out,
            tuple(phases),
            how,
            units=units,
            sources=sources,
            facts={"started_from": _hash(start)},
        )
    if isinstance(units, ImageUnits):
        fitted = replace(fitted, standardizer=units.to(fitted.device))
    return fitted, result, config


def _take_up_offset(fitted: FittedModel, pairs: InterventionPairs) -> None:
    """Centre the standardiser anew if the ELBO is clearly better for it, as where a sensor has drifted.

    Steps of a rate that keeps what was learned move an offset by a unit of the model at most, which for a drift of half
    a standard deviation in a sensor with 2 % noise is twenty times too little. The means of other pairs also differ
    where the system does, which is for the mechanisms to learn: the ELBO tells.
    """
    units = fitted.standardizer
    assert isinstance(units, Standardizer)
    kept = {name: tensor.clone() for name, tensor in units.state_dict().items()}
    before = fitted.elbo(pairs, hypotheses=fitted.dim_z + 1)
    moved = units.centred_on(pairs)
    if fitted.elbo(pairs, hypotheses=fitted.dim_z + 1) < before + _GAIN:
        units.load_state_dict(kept)
        return
    worst = int(np.argmax(np.abs(moved)))
    logger.info(
        "x is off by up to %.2g standard deviations (%s) from where it was: its offset is taken up by the standardiser",
        abs(moved[worst]),
        pairs.features[worst] if pairs.features else f"feature {worst + 1}",
    )


def _recipe(start: FittedModel) -> tuple[Phase, ...]:
    """The recipe by which such a model is fitted."""
    architecture = start.architecture
    if architecture is None:
        return identify_own(start.model, start.guide)
    return spec_of(architecture.model).phases(architecture, None, architecture.flow_layers == 0)


def _hash(start: FittedModel) -> str:
    """What tells one set of parameters from another, for a run that is gone on with."""
    digest = hashlib.sha256()
    for part in (start.model, start.guide, start.standardizer):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
