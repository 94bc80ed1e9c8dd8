"""A fitted model in its run folder: ``config.yaml`` and ``model.safetensors``, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyro_lcm.architecture import Architecture
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.fitting.model_choice import ModelChoice
from pyro_lcm.images.units import units_from_config
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.registry import build, spec_of
from pyro_lcm.storage.run_folder import CONFIG, dtype_of, load_run, load_state, save_run, with_prefix
from pyro_lcm.storage.text_files import reading

__all__ = ["load_fitted", "save_fitted"]


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
        features = config.setdefault("features", [])
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            raise ValueError(f"features: got {features!r}, expected a list of texts")
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
    kind = RecipeObjective if architecture is None else spec_of(architecture.model).scoring
    fitted = FittedModel(kind(model, guide), standardizer, choice.names_of(len(names)), architecture)
    fitted.objective.to(dtype_of(tensors))
    load_state(fitted.objective, with_prefix(tensors, "objective."), folder)
    load_state(fitted.standardizer, with_prefix(tensors, "standardizer."), folder)
    fitted.objective.eval()
    return choice, fitted, config
