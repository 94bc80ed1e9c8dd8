"""From pairs to a fitted model: what the user's class does to fit, as functions.

A model by name is built as the pairs demand (:mod:`pyro_lcm.fitting.design`) and trained with the recipe of its
specification; a model of one's own is taken as it is and trained with
:func:`~pyro_lcm.recipes.own.identify_own`, or with phases that are given. For images, a model by name is one of their
codes (:mod:`pyro_lcm.fitting.image_fitting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyro
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.units import Units
from pyro_lcm.fitting.design import (
    check_dim_of_images,
    check_known_targets,
    check_target_numbers,
    choose_design,
    fit_standardizer,
    is_flat,
)
from pyro_lcm.fitting.fit_options import FitOptions
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.fitting.image_fitting import CodedPairs, code_pairs, find_code
from pyro_lcm.fitting.model_choice import ModelChoice, checked_names
from pyro_lcm.fitting.screening import without_unrelated, without_wrong_readings
from pyro_lcm.images.code import ImageCode
from pyro_lcm.process import random_state
from pyro_lcm.process.process_state import ready_to_train
from pyro_lcm.recipes.own import OwnObjective, identify_own
from pyro_lcm.registry import ModelSpec, build, spec_of
from pyro_lcm.training.driver import fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase, describe_phases
from pyro_lcm.training.sources import DataSource, fingerprint

__all__ = ["fit_pairs", "renamed", "train_fitted"]


@ready_to_train()
def fit_pairs(
    choice: ModelChoice,
    pairs: InterventionPairs,
    how: FitOptions,
    *,
    validation: InterventionPairs | float,
    code: ImageCode | None = None,
) -> tuple[FittedModel, FitResult, dict[str, Any]]:
    """Build what was chosen, as the pairs demand, and train it.

    Args:
        choice: the model.
        pairs: training pairs.
        how: the options of the fit.
        validation: held-out pairs, or the fraction of the pairs to hold out.
        code: of images; None for one that is fitted to the pairs first.

    Returns:
        The fitted model, how the training went, and the configuration that its run folder records.

    Raises:
        ValueError: if data or options do not fit.
        TrainingDiverged: if the loss is not finite.
    """
    seed, device = how.seed, how.device
    spec = spec_of(choice.model) if isinstance(choice.model, str) else None
    if spec is not None and spec.temporal:
        raise ValueError(f"pairs: got pairs for {spec.name}, expected InterventionSequences, with known targets")
    training, held_out = hold_out(pairs, validation, seed=seed)
    coded: CodedPairs | None = None
    if spec is not None and training.is_images:
        dim = _dim_of_images(choice, spec, training)
        if code is None:
            code = find_code(
                training,
                dim,
                seed=seed,
                out=how.out,
                resume=how.resume,
                device=device,
                progress=how.progress,
                steps=None if how.budget is None else how.budget.code,
            )
        coded = code_pairs(code, training, held_out, mode=spec.units, device=device)
        training, held_out = coded.training, coded.held_out
    elif code is not None:
        raise ValueError("code: got one, expected none but for a model by name of images")
    left_out: dict[str, int] = {}
    if spec is not None and coded is None and len(training.observation_shape) == 1:
        training, held_out, left_out["wrong_readings"] = without_wrong_readings(training, held_out, seed=seed)
    if coded is None:
        standardizer = fit_standardizer(training, units=None if spec is None else spec.units)
    else:
        standardizer = coded.units.codes
    architecture: Architecture | None = None
    model: Any
    guide: Any
    if spec is not None:
        design = choose_design(
            spec,
            training,
            standardizer,
            dim_z=choice.dim_z,
            options=choice.options,
            budget=how.budget,
            coded=coded is not None,
            seed=seed,
        )
        architecture, recipe = design.architecture, design.phases
        training, held_out, left_out["unrelated"] = without_unrelated(
            training, held_out, standardizer, design.off_lines
        )
        model, guide = build(architecture, seed=seed)
    else:
        model, guide = choice.model, choice.guide
        recipe = identify_own(model, guide, how.budget, flat=is_flat(training, standardizer, int(model.dim_z)))
    names = choice.names_of(int(model.dim_z))
    check_target_numbers(training, len(names))
    with random_state.isolated(seed, torch.device("cpu")):  # an objective may have networks of its own
        width = 0 if coded is None else coded.units.code.components
        objective = OwnObjective(model, guide) if spec is None else spec.objective(model, guide, width)
    fitted = FittedModel(objective, standardizer, names, architecture)
    result, config = train_fitted(
        fitted,
        training,
        held_out,
        recipe if how.phases is None else tuple(how.phases),
        how,
        units=standardizer if coded is None else coded.units,
        sources=None if coded is None else coded.sources(double=how.precision == "64-true"),
        facts={"left_out": left_out} if any(left_out.values()) else None,
    )
    fitted = fitted if coded is None else replace(fitted, standardizer=coded.units.to(fitted.device))
    return fitted, result, config


def train_fitted(
    fitted: FittedModel,
    training: InterventionPairs,
    held_out: InterventionPairs,
    recipe: Sequence[Phase],
    how: FitOptions,
    *,
    units: Units,
    sources: tuple[DataSource, DataSource] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[FitResult, dict[str, Any]]:
    """Train the parameters of a model in place.

    Args:
        fitted: the model, with the standardiser of what is trained on.
        training: training pairs; of images, their codes.
        held_out: held-out pairs, likewise.
        recipe: the phases.
        how: the options of the fit; its budget and phases are not looked at.
        units: between the data and the model; of images, code and standardiser together.
        sources: what is trained on and what validates, where it is more, or another view, than the pairs in the units
            of the fitted model.
        facts: plain values that a run has to share too if it is to be gone on with.

    Returns:
        How the training went, and the configuration that its run folder records.
    """
    # What a run has to share to be gone on with, beside what the driver compares.
    shared = {
        "model": fitted.name,
        "names": list(fitted.names),
        "pairs": len(training),
        "held_out": len(held_out),
        "known_targets": training.known_targets is not None,
        "architecture": None if fitted.architecture is None else fitted.architecture.to_dict(),
        "standardizer": units.to_config(),
        **(facts or {}),
    }
    precision = how.precision or ("64-true" if fitted.dtype == torch.float64 else "32-true")
    double = precision == "64-true"
    if sources is None:
        sources = fitted.source(training, double=double), fitted.source(held_out, double=double)
    source, validation_source = sources
    # Pyro and torch check every value of every distribution otherwise, which takes a third of a step; the
    # driver notices what is not finite.
    with pyro.validation_enabled(False):
        result = fit(
            fitted.objective,
            source,
            recipe,
            seed=how.seed,
            out=how.out,
            validation=validation_source,
            device=how.device,
            precision=precision,
            progress=how.progress,
            resume=how.resume,
            loggers=how.loggers,
            facts=shared,
            record=fitted.architecture is not None,  # of one's own programs nobody knows whether steps are alike
        )
    fitted.objective.eval()
    config = shared | {
        "phases": describe_phases(recipe),
        "seed": how.seed,
        "device": fitted.device.type,
        "precision": precision,
        "data": fingerprint(source),
        "validation": fingerprint(validation_source),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return result, config


def renamed(fitted: FittedModel, names: Mapping[str, str]) -> FittedModel:
    """A fitted model with other names of its variables.

    Args:
        fitted: the model.
        names: new names by the present ones; those left out stay.

    Raises:
        ValueError: if a present name is not a variable's, or the new ones are not different Python identifiers.
    """
    if unknown := [name for name in names if name not in fitted.names]:
        raise ValueError(f"names: got {unknown[0]!r}, expected some of {', '.join(fitted.names)}")
    return replace(fitted, names=checked_names([names.get(name, name) for name in fitted.names], fitted.dim_z))


def _dim_of_images(choice: ModelChoice, spec: ModelSpec, pairs: InterventionPairs) -> int:
    """Number of variables of images, with all checked that can be before a code is fitted, which takes long."""
    check_dim_of_images(pairs, choice.dim_z)
    assert choice.dim_z is not None
    spec.check(Architecture(spec.name, choice.dim_z, choice.dim_z, **choice.options))
    check_known_targets(spec, pairs)
    return choice.dim_z
