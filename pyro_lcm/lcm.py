"""The user's class: fit, encode, intervene, check, evaluate, save and load a latent causal model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm import random_state
from pyro_lcm.architecture import Architecture
from pyro_lcm.assessment import AssessmentMethods
from pyro_lcm.causal.abilities import graph_of, infers_targets, solution_of
from pyro_lcm.causal.readout import read_graph
from pyro_lcm.data.holdout import HELD_OUT, hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.design import choose_design, fit_standardizer, is_flat
from pyro_lcm.fitted import Array, Encoding, FittedModel
from pyro_lcm.reasoning.interventions import Outcome
from pyro_lcm.reasoning.methods import ReasoningMethods
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.implicit import identify_own
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.registry import build, spec_of
from pyro_lcm.run_folder import CONFIG, dtype_of, load_run, save_run, with_prefix
from pyro_lcm.training.driver import Precision, check_seed, fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase, describe_phases
from pyro_lcm.training.processes import barrier, is_first_process
from pyro_lcm.training.sources import fingerprint

__all__ = ["Encoding", "LatentCausalModel", "Outcome"]


class LatentCausalModel(AssessmentMethods, ReasoningMethods):
    """A latent causal model of pairs before and after unknown interventions.

    How to reason with it, once fitted, is in :class:`~pyro_lcm.reasoning.methods.ReasoningMethods`.

    Args:
        model: a name in :data:`pyro_lcm.registry.SPECS` such as ``"ilcm"``, or a Pyro model of one's own (see
            ``examples/custom_model.py``).
        guide: the guide of one's own model, of the same signature.
        dim_z: number of causal variables; by default as many as x has directions in which it varies.
        names: of the causal variables; z1, z2, ... by default.
        options: fields of :class:`pyro_lcm.architecture.Architecture` to set, such as ``solution_hidden``.

    Raises:
        ValueError: if the arguments do not fit each other.

    Example:
        >>> from pyro_lcm import LatentCausalModel, simulate_scaling
        >>> pairs = simulate_scaling(dim=3, n=5000, seed=1)
        >>> lcm = LatentCausalModel("ilcm").fit(pairs, seed=0, budget=Budget(refine=100, solutions=0))
        >>> lcm.encode(pairs.x[:2]).causal.shape, lcm.names
        ((2, 3), ('z1', 'z2', 'z3'))
    """

    def __init__(
        self,
        model: str | Any = "ilcm",
        guide: Any = None,
        *,
        dim_z: int | None = None,
        names: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(model, str):
            spec_of(model)
            if guide is not None:
                raise ValueError("guide: got one beside the name of a model, expected none")
        elif guide is None:
            raise ValueError("guide: got none, expected the guide of the given model")
        else:
            dim_z = int(model.dim_z) if dim_z is None else dim_z
        if dim_z is not None and dim_z < 1:
            raise ValueError(f"dim_z: got {dim_z}, expected at least 1")
        known = {field.name for field in fields(Architecture)} - {"model", "dim_x", "dim_z"}
        unknown = sorted(set(options or {}) - known)
        if unknown:
            raise ValueError(f"options: got {unknown[0]!r}, expected some of {', '.join(sorted(known))}")
        self._given = None if isinstance(model, str) else (model, guide)
        self._name = model if isinstance(model, str) else type(model).__name__
        self._dim_z = dim_z
        self._names = None if names is None else _checked_names(names, dim_z)
        self._options = dict(options or {})
        self._architecture: Architecture | None = None
        self._config: dict[str, Any] = {}
        self._fitted: FittedModel | None = None
        self._result: FitResult | None = None

    # ---------------------------------------------------------------- training

    def fit(
        self,
        pairs: InterventionPairs,
        *,
        validation: InterventionPairs | float = HELD_OUT,
        seed: int = 0,
        out: str | Path | None = None,
        budget: Budget | None = None,
        phases: Sequence[Phase] | None = None,
        device: str = "auto",
        precision: Precision = "32-true",
        progress: bool | None = None,
        resume: bool = False,
        loggers: Sequence[Any] = (),
    ) -> LatentCausalModel:
        """Train by stochastic variational inference, with the recipe that suits the data.

        Args:
            pairs: training pairs. Truth in them is not used, unless targets were declared known by
                :meth:`~pyro_lcm.data.InterventionPairs.with_known_targets`.
            validation: held-out pairs, or the fraction of the pairs to hold out (at most 10,000).
            seed: of everything that is random; the same seed gives the same model on the same kind of machine.
            out: run folder for logs, checkpoints and the model; None writes nothing.
            budget: steps of the default recipe's phases.
            phases: a recipe of one's own instead; for a model of one's own it is
                :func:`~pyro_lcm.recipes.implicit.identify_own` by default.
            device: ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
            precision: as Lightning Fabric names it.
            progress: whether to show a progress bar; by default on a terminal.
            resume: whether to go on with the run in ``out`` that was cut off.
            loggers: Lightning Fabric loggers, or ``"tensorboard"``.

        Returns:
            The fitted model itself; :attr:`result` tells how the training went.

        Raises:
            ValueError: if data or options do not fit.
            TrainingDiverged: if the loss is not finite; the message says what to try.
        """
        seed = check_seed(seed)
        if budget is not None and phases is not None:
            raise ValueError("budget: got one beside phases, expected it for the default recipe")
        if out is not None and (Path(out) / CONFIG).exists() and not resume:
            raise ValueError(f"out: {out} holds a run; resume it, or give another folder")
        training, held_out = hold_out(pairs, validation, seed=seed)
        spec = spec_of(self._name) if self._given is None else None
        standardizer = fit_standardizer(training, units=None if spec is None else spec.units)
        model: Any
        guide: Any
        if spec is not None:
            design = choose_design(
                spec,
                training,
                standardizer,
                dim_z=self._dim_z,
                options=self._options,
                budget=budget,
                seed=seed,
            )
            self._architecture, chosen = design.architecture, design.phases
            model, guide = build(self._architecture, seed=seed)
        else:
            assert self._given is not None
            self._architecture, (model, guide) = None, self._given
            flat = is_flat(training, standardizer, int(model.dim_z))
            chosen = identify_own(model, guide, budget, flat=flat)
        names = _names(self._names, int(model.dim_z))
        if training.known_targets is not None and training.known_targets.max() > len(names):
            raise ValueError(
                f"targets: got {training.known_targets.max()}, expected at most {len(names)}, the number of variables"
            )
        with random_state.isolated(seed, torch.device("cpu")):  # an objective may have networks of its own
            objective = (RecipeObjective if spec is None else spec.objective)(model, guide)
        fitted = FittedModel(objective, standardizer, names)
        phases = chosen if phases is None else tuple(phases)
        facts = self._facts(fitted, training, held_out)
        double = precision == "64-true"
        source, validation_source = (fitted.source(part, double=double) for part in (training, held_out))
        # Pyro and torch check every value of every distribution otherwise, which takes a third of a step; the
        # driver notices what is not finite.
        with pyro.validation_enabled(False):
            result = fit(
                fitted.objective,
                source,
                phases,
                seed=seed,
                out=out,
                validation=validation_source,
                device=device,
                precision=precision,
                progress=progress,
                resume=resume,
                loggers=loggers,
                facts=facts,
            )
        fitted.objective.eval()
        self._fitted, self._result = fitted, result
        self._config = facts | {
            "phases": describe_phases(phases),
            "seed": seed,
            "device": fitted.device.type,
            "precision": precision,
            "data": fingerprint(source),
            "validation": fingerprint(validation_source),
        }
        if out is not None:
            if is_first_process():
                self.save(out)
            barrier()
        return self

    def _facts(self, fitted: FittedModel, training: InterventionPairs, held_out: InterventionPairs) -> dict[str, Any]:
        """What a run has to share to be gone on with, beside what the driver compares."""
        return {
            "model": self._name,
            "names": list(fitted.names),
            "pairs": len(training),
            "held_out": len(held_out),
            "known_targets": training.known_targets is not None,
            "architecture": None if self._architecture is None else self._architecture.to_dict(),
            "standardizer": fitted.standardizer.to_config(),
        }

    # ------------------------------------------------------------------ latents

    @property
    def fitted(self) -> FittedModel:
        """Model, guide and standardiser.

        Raises:
            RuntimeError: before :meth:`fit` or :meth:`load`.
        """
        if self._fitted is None:
            raise RuntimeError("the model is not fitted: call fit, or LatentCausalModel.load")
        return self._fitted

    @property
    def result(self) -> FitResult:
        """How the training went, with its history.

        Raises:
            RuntimeError: before :meth:`fit`; a model that was loaded has none.
        """
        if self._result is None:
            raise RuntimeError("no training to tell of: the model is not fitted, or was loaded from a folder")
        return self._result

    @property
    def model(self) -> Any:
        """The Pyro model, in standardised units of x."""
        return self.fitted.model

    @property
    def guide(self) -> Any:
        """The guide."""
        return self.fitted.guide

    @property
    def dim_z(self) -> int:
        """Number of causal variables."""
        return self.fitted.dim_z

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the causal variables."""
        return self.fitted.names

    def encode(self, x: ArrayLike) -> Encoding:
        """Noise encodings and causal variables, with posterior standard deviations, in bounded memory.

        Args:
            x: (N, ...) observations, in the units of the data.

        Raises:
            ValueError: if the shape is another one or values are not finite.
        """
        return self.fitted.encode(x)

    def infer_targets(self, x: ArrayLike, x_after: ArrayLike) -> Array:
        """Probabilities of the intervention targets, (N, d + 1), column 0 is none.

        Args:
            x: (N, ...) observations before.
            x_after: (N, ...) observations after.

        Raises:
            ValueError: if the shapes do not fit, values are not finite, or the model has no targets.
        """
        self._require_targets()
        return self.fitted.infer_targets(x, x_after)

    def _require_targets(self) -> None:
        if not self.has_targets:
            raise ValueError(f"model: got {self._name}, which has no intervention targets")

    @property
    def has_targets(self) -> bool:
        """Whether the model has intervention targets; the beta-VAE has none."""
        return infers_targets(self.guide)

    @property
    def has_graph(self) -> bool:
        """Whether the model has a graph, a learned one or, for the dVAE, the empty one."""
        return graph_of(self.model) is not None or solution_of(self.model) is not None

    def decode(self, noise: ArrayLike) -> Array:
        """Observations, in the units of the data, of (N, d) noise encodings."""
        return self.fitted.decode(noise)

    def adjacency(self) -> NDArray[np.int8]:
        """The graph found with the fit, ``[parent, child]``, (d, d): one graph, without its uncertainty.

        For a model of one's own with solution functions but another recipe it is read off their Jacobian.

        Raises:
            ValueError: if the model has neither a graph nor solution functions.
        """
        explicit, solution = graph_of(self.model), solution_of(self.model)
        if explicit is not None:
            return np.asarray(explicit.cpu(), dtype=np.int8)
        if solution is None:
            raise ValueError(f"model: got {self._name}, which has no graph and no solution functions")
        if bool(((solution.context + solution.context.T) == 2).any()):
            noise = torch.randn(2000, self.dim_z, generator=torch.Generator().manual_seed(0))
            return read_graph(solution, noise.to(self.fitted.device, self.fitted.dtype))
        adjacency: NDArray[np.int8] = solution.adjacency.cpu().numpy().astype(np.int8)
        return adjacency

    # ------------------------------------------------------------------- worlds

    def sample(self, n: int, *, seed: int = 0, targets: ArrayLike | None = None) -> InterventionPairs:
        """Pairs from the fitted generative program, with the latents that made them.

        Args:
            n: number of pairs.
            seed: of the draws.
            targets: (n,) intervention targets, -1 for a random one; all random if None.
        """
        return self.fitted.sample(n, seed=seed, targets=targets)

    # ------------------------------------------------------------------- folders

    def save(self, folder: str | Path) -> None:
        """Write ``config.yaml`` and ``model.safetensors`` into a run folder."""
        # Not what belongs to the training alone, beside the two in the objective.
        parts = {
            "objective.model": self.fitted.model,
            "objective.guide": self.fitted.guide,
            "standardizer": self.fitted.standardizer,
        }
        tensors = {f"{part}.{name}": value for part, held in parts.items() for name, value in held.state_dict().items()}
        save_run(folder, self._config, tensors)

    @classmethod
    def load(cls, folder: str | Path, *, model: Any = None, guide: Any = None) -> LatentCausalModel:
        """Read a fitted model from a run folder.

        Args:
            folder: the run folder.
            model: of one's own, built as it was for the fit; needed if the fit was of such a one.
            guide: its guide.

        Raises:
            FileNotFoundError: if the folder or a file of it is missing.
            ValueError: if a file is damaged, or the run is of a model of one's own and none is given.
        """
        config, tensors = load_run(folder)
        for key in ("model", "names", "architecture", "standardizer"):
            if key not in config:
                raise ValueError(f"{Path(folder) / CONFIG}: the key {key!r} is missing")
        plain = config["architecture"]
        if plain is None and (model is None or guide is None):
            raise ValueError(f"model, guide: got none, expected those of the run's own model {config['model']}")
        if plain is not None:
            loaded = cls(config["model"], dim_z=plain["dim_z"], names=config["names"])
            loaded._architecture = Architecture.from_dict(plain)
            model, guide = build(loaded._architecture)
        else:
            loaded = cls(model, guide, names=config["names"])  # type: ignore[arg-type]
        fitted = FittedModel(
            RecipeObjective(model, guide),
            Standardizer(**config["standardizer"]),
            tuple(config["names"]),
        )
        fitted.objective.to(dtype_of(tensors))
        try:
            fitted.objective.load_state_dict(with_prefix(tensors, "objective."))
            fitted.standardizer.load_state_dict(with_prefix(tensors, "standardizer."))
        except RuntimeError as error:
            raise ValueError(f"{folder}: the tensors do not fit the configuration: {error}") from error
        fitted.objective.eval()
        loaded._fitted, loaded._config = fitted, config
        return loaded


def _names(names: tuple[str, ...] | None, dim_z: int) -> tuple[str, ...]:
    return _checked_names(names or [f"z{i}" for i in range(1, dim_z + 1)], dim_z)


def _checked_names(names: Sequence[str], dim_z: int | None) -> tuple[str, ...]:
    if len(set(names)) != len(names) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ValueError(f"names: got {list(names)}, expected different Python identifiers")
    if dim_z is not None and len(names) != dim_z:
        raise ValueError(f"names: got {len(names)}, expected {dim_z}, one for each causal variable")
    return tuple(names)
