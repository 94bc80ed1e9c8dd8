"""From pairs to a fitted model, to a run folder, and back: what the user's class does, as functions.

A model by name is built as the pairs demand (:mod:`pyro_lcm.design`) and trained with the recipe of its specification;
a model of one's own is taken as it is and trained with :func:`~pyro_lcm.recipes.own.identify_own`, or with phases
that are given. For images, a model by name is one of their codes (:mod:`pyro_lcm.images.fitting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyro
import torch

from pyro_lcm import random_state
from pyro_lcm.architecture import Architecture
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.units import Units
from pyro_lcm.design import check_known_targets, choose_design, fit_standardizer, is_flat
from pyro_lcm.fitted import FittedModel
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.fitting import CodedPairs, code_pairs, find_code
from pyro_lcm.images.units import units_from_config
from pyro_lcm.process_state import ready_to_train
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.recipes.own import OwnObjective, identify_own
from pyro_lcm.registry import ModelSpec, build, spec_of
from pyro_lcm.run_folder import CONFIG, dtype_of, load_run, load_state, save_run, with_prefix
from pyro_lcm.screening import without_unrelated, without_wrong_readings
from pyro_lcm.text_files import reading
from pyro_lcm.training.driver import Precision, check_seed, fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase, describe_phases
from pyro_lcm.training.sources import DataSource, fingerprint

__all__ = [
    "ModelChoice",
    "check_out",
    "check_target_numbers",
    "fit_pairs",
    "load_fitted",
    "save_fitted",
    "train_fitted",
]


@dataclass(frozen=True)
class ModelChoice:
    """Which model is to be fitted, before any pair has been seen; the fields are the arguments of the user's class.

    Attributes:
        model: a name in :data:`pyro_lcm.registry.SPECS`, or a Pyro model of one's own.
        guide: the guide of one's own model.
        dim_z: number of causal variables; None for as many as x has directions in which it varies.
        names: of the causal variables; None for z1, z2, ...
        options: fields of :class:`pyro_lcm.architecture.Architecture` to set.

    Raises:
        ValueError: if they do not fit each other.

    >>> ModelChoice("ilcm", names=("a", "a"))
    Traceback (most recent call last):
    ValueError: names: got ['a', 'a'], expected different Python identifiers
    """

    model: str | Any = "ilcm"
    guide: Any = None
    dim_z: int | None = None
    names: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            spec_of(self.model)
            if self.guide is not None:
                raise ValueError("guide: got one beside the name of a model, expected none")
        elif self.guide is None:
            raise ValueError("guide: got none, expected the guide of the given model")
        elif self.dim_z is None:
            object.__setattr__(self, "dim_z", int(self.model.dim_z))
        if self.dim_z is not None and self.dim_z < 1:
            raise ValueError(f"dim_z: got {self.dim_z}, expected at least 1")
        known = {entry.name for entry in fields(Architecture)} - {"model", "dim_x", "dim_z"}
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise ValueError(f"options: got {unknown[0]!r}, expected some of {', '.join(sorted(known))}")
        object.__setattr__(self, "options", dict(self.options))
        if self.names is not None:
            object.__setattr__(self, "names", _checked_names(self.names, self.dim_z))

    def names_of(self, dim_z: int) -> tuple[str, ...]:
        """Names of so many variables: those that were given, or z1, z2, ..."""
        return _checked_names(self.names or [f"z{i}" for i in range(1, dim_z + 1)], dim_z)


@ready_to_train()
def fit_pairs(
    choice: ModelChoice,
    pairs: InterventionPairs,
    *,
    validation: InterventionPairs | float,
    seed: int,
    out: str | Path | None,
    budget: Budget | None,
    phases: Sequence[Phase] | None,
    device: str,
    precision: Precision,
    progress: bool | None,
    resume: bool,
    loggers: Sequence[Any],
    code: ImageCode | None = None,
) -> tuple[FittedModel, FitResult, dict[str, Any]]:
    """Build what was chosen, as the pairs demand, and train it.

    Args:
        choice: the model.
        pairs: training pairs; this and what follows are the arguments of :meth:`pyro_lcm.LatentCausalModel.fit`.
        validation: held-out pairs, or the fraction of the pairs to hold out.
        seed: of everything random.
        out: run folder for logs and checkpoints, or None.
        budget: steps of the default recipe.
        phases: a recipe of one's own instead.
        device: where to train.
        precision: as Lightning Fabric names it.
        progress: whether to show a progress bar.
        resume: whether to go on with the run in ``out``.
        loggers: Lightning Fabric loggers.
        code: of images; None for one that is fitted to the pairs first.

    Returns:
        The fitted model, how the training went, and the configuration that its run folder records.

    Raises:
        ValueError: if data or options do not fit.
        TrainingDiverged: if the loss is not finite.
    """
    seed = check_seed(seed)
    if budget is not None and phases is not None:
        raise ValueError("budget: got one beside phases, expected it for the default recipe")
    check_out(out, resume=resume)
    training, held_out = hold_out(pairs, validation, seed=seed)
    spec = spec_of(choice.model) if isinstance(choice.model, str) else None
    coded: CodedPairs | None = None
    if spec is not None and training.is_images:
        dim = _dim_of_images(choice, spec, training)
        if code is None:
            code = find_code(
                training,
                dim,
                seed=seed,
                out=out,
                resume=resume,
                device=device,
                progress=progress,
                steps=None if budget is None else budget.code,
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
            budget=budget,
            coded=coded is not None,
            seed=seed,
        )
        architecture, recipe = design.architecture, design.phases
        if design.lines is not None:
            training, held_out, left_out["unrelated"] = without_unrelated(
                training, held_out, standardizer, design.lines
            )
        model, guide = build(architecture, seed=seed)
    else:
        model, guide = choice.model, choice.guide
        recipe = identify_own(model, guide, budget, flat=is_flat(training, standardizer, int(model.dim_z)))
    names = choice.names_of(int(model.dim_z))
    check_target_numbers(training, len(names))
    with random_state.isolated(seed, torch.device("cpu")):  # an objective may have networks of its own
        width = 0 if coded is None else coded.units.code.components
        objective = OwnObjective(model, guide) if spec is None else spec.objective(model, guide, width)
    fitted = FittedModel(objective, standardizer, names, architecture)
    recipe = recipe if phases is None else tuple(phases)
    result, config = train_fitted(
        fitted,
        training,
        held_out,
        recipe,
        units=standardizer if coded is None else coded.units,
        seed=seed,
        out=out,
        device=device,
        precision=precision,
        progress=progress,
        resume=resume,
        loggers=loggers,
        sources=None if coded is None else coded.sources(double=precision == "64-true"),
        facts={"left_out": left_out} if any(left_out.values()) else None,
    )
    fitted = fitted if coded is None else replace(fitted, standardizer=coded.units.to(fitted.device))
    return fitted, result, config


def train_fitted(
    fitted: FittedModel,
    training: InterventionPairs,
    held_out: InterventionPairs,
    recipe: Sequence[Phase],
    *,
    units: Units,
    seed: int,
    out: str | Path | None,
    device: str,
    precision: Precision,
    progress: bool | None,
    resume: bool,
    loggers: Sequence[Any],
    sources: tuple[DataSource, DataSource] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[FitResult, dict[str, Any]]:
    """Train the parameters of a model in place.

    Args:
        fitted: the model, with the standardiser of what is trained on.
        training: training pairs; of images, their codes.
        held_out: held-out pairs, likewise.
        recipe: the phases.
        units: between the data and the model; of images, code and standardiser together.
        seed: of everything random, and what follows, as :func:`fit_pairs` takes it.
        out: run folder, or None.
        device: where to train.
        precision: as Lightning Fabric names it.
        progress: whether to show a progress bar.
        resume: whether to go on with the run in ``out``.
        loggers: Lightning Fabric loggers.
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
            seed=seed,
            out=out,
            validation=validation_source,
            device=device,
            precision=precision,
            progress=progress,
            resume=resume,
            loggers=loggers,
            facts=shared,
        )
    fitted.objective.eval()
    config = shared | {
        "phases": describe_phases(recipe),
        "seed": seed,
        "device": fitted.device.type,
        "precision": precision,
        "data": fingerprint(source),
        "validation": fingerprint(validation_source),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return result, config


def save_fitted(folder: str | Path, fitted: FittedModel, config: Mapping[str, Any]) -> None:
    """Write ``config.yaml`` and ``model.safetensors``.

    Args:
        folder: the run folder; made if it is not there.
        fitted: the fitted model.
        config: what :func:`fit_pairs` gave with it.
    """
    # Not what belongs to the training alone, beside the two in the objective.
    parts = {"objective.model": fitted.model, "objective.guide": fitted.guide, "standardizer": fitted.standardizer}
    tensors = {f"{part}.{name}": value for part, held in parts.items() for name, value in held.state_dict().items()}
    save_run(folder, config, tensors)


def load_fitted(
    folder: str | Path, *, model: Any = None, guide: Any = None
) -> tuple[ModelChoice, FittedModel, dict[str, Any]]:
    """Read a run folder.

    Args:
        folder: the run folder.
        model: of one's own, built as it was for the fit; needed if the fit was of such a one.
        guide: its guide.

    Returns:
        Which model was chosen, the fitted one, and its configuration.

    Raises:
        FileNotFoundError: if the folder or a file of it is missing.
        ValueError: if a file is damaged, or the run is of a model of one's own and none is given.
    """
    config, tensors = load_run(folder)
    with reading(Path(folder) / CONFIG, "the configuration of a run"):
        for key in ("model", "names", "architecture", "standardizer"):
            if key not in config:
                raise ValueError(f"the key {key!r} is missing")
        names = config["names"]
        if not isinstance(names, list):
            raise ValueError(f"names: got {names!r}, expected a list of texts")
        architecture: Architecture | None = None
        if config["architecture"] is not None:
            architecture = Architecture.from_dict(config["architecture"])
            choice = ModelChoice(config["model"], dim_z=architecture.dim_z, names=names)
            if choice.model != architecture.model:
                raise ValueError(
                    f"model: got {choice.model!r}, expected that of the architecture, {architecture.model!r}"
                )
            model, guide = build(architecture)
        elif model is None or guide is None:
            raise ValueError(f"model, guide: got none, expected those of the run's own model {config['model']}")
        else:
            choice = ModelChoice(model, guide, names=names)
        standardizer = units_from_config(config["standardizer"])
    fitted = FittedModel(RecipeObjective(model, guide), standardizer, choice.names_of(len(names)), architecture)
    fitted.objective.to(dtype_of(tensors))
    load_state(fitted.objective, with_prefix(tensors, "objective."), folder)
    load_state(fitted.standardizer, with_prefix(tensors, "standardizer."), folder)
    fitted.objective.eval()
    return choice, fitted, config


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
    return replace(fitted, names=_checked_names([names.get(name, name) for name in fitted.names], fitted.dim_z))


def check_out(out: str | Path | None, *, resume: bool) -> None:
    """Refuse a folder that holds a run, unless it is to be gone on with.

    Raises:
        ValueError: if it does.
    """
    if out is not None and (Path(out) / CONFIG).exists() and not resume:
        raise ValueError(f"out: {out} holds a run; resume it, or give another folder")


def check_target_numbers(pairs: InterventionPairs, dim_z: int) -> None:
    """Check that there is a variable for each target that is known.

    Raises:
        ValueError: if there is not.
    """
    if pairs.known_targets is not None and pairs.known_targets.max() > dim_z:
        raise ValueError(f"targets: got {pairs.known_targets.max()}, expected at most {dim_z}, the number of variables")


def _dim_of_images(choice: ModelChoice, spec: ModelSpec, pairs: InterventionPairs) -> int:
    """Number of variables of images, with all checked that can be before a code is fitted, which takes long."""
    if choice.dim_z is None:
        raise ValueError("dim_z: got none for images, expected their number of causal variables (--dim-z)")
    spec.check(Architecture(spec.name, choice.dim_z, choice.dim_z, **choice.options))
    check_known_targets(spec, pairs)
    return choice.dim_z


def _checked_names(names: Sequence[str], dim_z: int | None) -> tuple[str, ...]:
    if len(set(names)) != len(names) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ValueError(f"names: got {list(names)}, expected different Python identifiers")
    if dim_z is not None and len(names) != dim_z:
        raise ValueError(f"names: got {len(names)}, expected {dim_z}, one for each causal variable")
    return tuple(names)
