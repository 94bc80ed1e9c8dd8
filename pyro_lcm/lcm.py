"""The user's class: fit, encode, intervene, check, evaluate, save and load a latent causal model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pyro_lcm.causal.readout import DEFAULT_THRESHOLD, read_graph
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import StandardizedPairs, fits_in_memory, standardized_tensors
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.evaluation.check import CheckReport, agreement_of_fits, check_latents
from pyro_lcm.networks import MODELS, Architecture, build
from pyro_lcm.run_folder import load_run, save_run, write_config
from pyro_lcm.training.driver import Precision, fit
from pyro_lcm.training.lines import find_lines
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recipe import Budget, annealed, identify
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.result import FitResult
from pyro_lcm.training.sources import DataSource, TensorSource
from pyro_lcm.training.warmstart import sample_pairs

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

LINEAR_RESIDUAL = 1e-4
"""Mean sin^2 of the angle between differences and lines below which a linear map explains the pairs."""
_ROWS = 4096
"""Rows that are encoded at a time, which bounds memory."""
MIN_PAIRS = 50
"""Fewest pairs that are worth a fit."""


@dataclass(frozen=True)
class Encoding:
    """Latents of N observations.

    Attributes:
        noise: (N, d) noise encodings, posterior means.
        noise_sd: (N, d) their posterior standard deviations.
        causal: (N, d) causal variables, the solution function of the noise encodings' means.
        causal_sd: (N, d) their posterior standard deviations, to first order in the variable's own noise.
    """

    noise: Array
    noise_sd: Array
    causal: Array
    causal_sd: Array


@dataclass(frozen=True)
class Intervened:
    """What observations become under an intervention.

    Attributes:
        x: (N, ...) observations, in the units of the data.
        causal: (N, d) causal variables under the intervention.
        before: (N, d) causal variables without it.
    """

    x: Array
    causal: Array
    before: Array


class LatentCausalModel:
    """A latent causal model of pairs before and after unknown interventions.

    Args:
        model: ``"ilcm"``, or a Pyro model of one's own (see ``examples/custom_model.py``).
        guide: the guide of one's own model, of the same signature.
        dim_z: number of causal variables; by default as many as x has directions in which it varies.
        names: of the causal variables; z1, z2, ... by default.
        options: fields of :class:`pyro_lcm.networks.Architecture` to set, such as ``solution_hidden``.

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
        model: str | nn.Module = "ilcm",
        guide: nn.Module | None = None,
        *,
        dim_z: int | None = None,
        names: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(model, str):
            if model not in MODELS:
                raise ValueError(f"model: got {model!r}, expected one of {', '.join(MODELS)} or a Pyro model")
            if guide is not None:
                raise ValueError("guide: got one beside the name of a model, expected none")
        elif guide is None:
            raise ValueError("guide: got none, expected the guide of the given model")
        else:
            dim_z = int(model.dim_z) if dim_z is None else dim_z
        if dim_z is not None and dim_z < 1:
            raise ValueError(f"dim_z: got {dim_z}, expected at least 1")
        self._given = None if isinstance(model, str) else (model, guide)
        self._name = model if isinstance(model, str) else type(model).__name__
        self._dim_z = dim_z
        self._names = None if names is None else _checked_names(names, dim_z)
        self._options = dict(options or {})
        self._objective: RecipeObjective | None = None
        self._standardizer: Standardizer | None = None
        self._architecture: Architecture | None = None
        self._config: dict[str, Any] = {}

    # ---------------------------------------------------------------- training

    def fit(
        self,
        pairs: InterventionPairs,
        *,
        validation: InterventionPairs | float = 0.1,
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
            phases: a recipe of one's own instead.
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
        training, held_out = _hold_out(pairs, validation, seed)
        self._standardizer = _fit_standardizer(training, self._given is not None)
        source, held_out_source = (self._source(part) for part in (training, held_out))
        if self._given is None:
            self._architecture, chosen = self._design(source, seed, budget)
            model, guide = build(self._architecture, seed=seed)
        else:
            model, guide = self._given
            chosen = annealed()
        self._objective = RecipeObjective(model, guide)
        phases = chosen if phases is None else tuple(phases)
        self._config = self._describe(training, seed, phases)
        if out is not None:
            write_config(Path(out), self._config)
        self.result: FitResult = fit(
            self._objective,
            source,
            phases,
            seed=seed,
            out=out,
            validation=held_out_source,
            device=device,
            precision=precision,
            progress=progress,
            resume=resume,
            loggers=loggers,
        )
        self._objective.eval()
        if out is not None:
            self.save(out)
        return self

    def _design(
        self, source: DataSource, seed: int, budget: Budget | None
    ) -> tuple[Architecture, tuple[Phase, ...]]:
        """Choose widths and phases by what the pairs look like."""
        assert self._standardizer is not None
        dim_x = int(self._standardizer.output_shape[0])
        dim_z = dim_x if self._dim_z is None else self._dim_z
        wide = dim_z < dim_x
        linear = not wide and self._options.get("flow_layers") is None and _is_linear(source, seed)
        defaults: dict[str, Any] = {"hidden": (128, 128) if wide else ()}
        if linear:
            defaults["flow_layers"] = 0
        architecture = Architecture(self._name, dim_x, dim_z, **(defaults | self._options))  # type: ignore[arg-type]
        return architecture, identify(budget, wide=wide, linear=architecture.flow_layers == 0 and linear)

    def _describe(self, training: InterventionPairs, seed: int, phases: Sequence[Phase]) -> dict[str, Any]:
        assert self._standardizer is not None
        return {
            "model": self._name,
            "names": list(self.names),
            "seed": seed,
            "pairs": len(training),
            "architecture": None if self._architecture is None else self._architecture.to_dict(),
            "standardizer": self._standardizer.to_config(),
            "phases": [phase.to_dict() for phase in phases],
        }

    # ------------------------------------------------------------------ latents

    @property
    def model(self) -> nn.Module:
        """The Pyro model, in standardised units of x."""
        return self._fitted().model

    @property
    def guide(self) -> nn.Module:
        """The guide."""
        return self._fitted().guide

    @property
    def dim_z(self) -> int:
        """Number of causal variables."""
        if self._objective is not None:
            return int(self._objective.model.dim_z)
        if self._dim_z is None:
            raise RuntimeError("the number of causal variables is known after fit")
        return self._dim_z

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the causal variables."""
        if self._names is None:
            return tuple(f"z{i}" for i in range(1, self.dim_z + 1))
        return _checked_names(self._names, self.dim_z)

    def encode(self, x: ArrayLike) -> Encoding:
        """Noise encodings and causal variables of observations, with bounded memory.

        Args:
            x: (N, ...) observations in the units of the data.
        """
        parts: list[tuple[Tensor, ...]] = []
        objective = self._fitted()
        with torch.no_grad():
            for chunk in self._chunks(x, "x"):
                posterior = objective.guide.encode(chunk)
                mean, sd = posterior.mean, posterior.stddev
                causal = objective.model.causal(mean)
                parts.append((mean, sd, causal, self._causal_sd(mean, sd, causal)))
        return Encoding(*(torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)))

    def _causal_sd(self, mean: Tensor, sd: Tensor, causal: Tensor) -> Tensor:
        """Finite differences in each noise encoding: sqrt(sum_j (dz_i / de_j)^2 sd_j^2)."""
        total = torch.zeros_like(causal)
        for j in range(mean.shape[-1]):
            shift = torch.zeros_like(mean)
            shift[:, j] = sd[:, j]
            total = total + (self._fitted().model.causal(mean + shift) - causal).square()
        return total.sqrt()

    def infer_targets(self, x: ArrayLike, x_after: ArrayLike) -> Array:
        """Probabilities of the intervention targets, (N, d + 1), column 0 is none.

        Args:
            x: (N, ...) observations before.
            x_after: (N, ...) observations after.
        """
        objective = self._fitted()
        before, after = np.asarray(x), np.asarray(x_after)
        if before.shape != after.shape:
            raise ValueError(f"x_after: got shape {after.shape}, expected that of x, {before.shape}")
        with torch.no_grad():
            parts = [
                objective.guide.targets(a, b)
                for a, b in zip(self._chunks(before, "x"), self._chunks(after, "x_after"), strict=True)
            ]
        return torch.cat(parts).cpu().numpy()

    def decode(self, noise: ArrayLike) -> Array:
        """Observations, in the units of the data, of (N, d) noise encodings."""
        objective = self._fitted()
        values = torch.as_tensor(np.asarray(noise, dtype=np.float32), device=self._device)
        with torch.no_grad():
            parts = [
                self._standardizer.inverse(objective.model.x_dist(part).mean) for part in values.split(_ROWS)
            ]  # type: ignore[union-attr]
        return torch.cat(parts).cpu().numpy()

    def adjacency(
        self, threshold: float = DEFAULT_THRESHOLD, *, rows: int = 2000, seed: int = 0
    ) -> NDArray[np.int8]:
        """The graph read off the solution functions, ``[parent, child]``, (d, d).

        Args:
            threshold: smallest direct effect that is an edge, in units of the child's own noise.
            rows: draws of the noise encodings over which effects are averaged.
            seed: of the draws.
        """
        objective = self._fitted()
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(rows, self.dim_z, generator=generator).to(self._device)
        return read_graph(objective.model.solution, noise, threshold)

    # ------------------------------------------------------------------- worlds

    def sample(self, n: int, *, seed: int = 0, targets: ArrayLike | None = None) -> InterventionPairs:
        """Pairs from the fitted generative program, with the latents that made them.

        Args:
            n: number of pairs.
            seed: of the draws.
            targets: (n,) intervention targets, -1 for a random one; all random if None.
        """
        if n < 1:
            raise ValueError(f"n: got {n}, expected at least 1")
        objective = self._fitted()
        known = None if targets is None else torch.as_tensor(np.asarray(targets), device=self._device)
        if known is not None and known.shape != (n,):
            raise ValueError(f"targets: got shape {tuple(known.shape)}, expected ({n},)")
        with torch.no_grad(), torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
            torch.manual_seed(seed)
            trace = pyro.poutine.trace(objective.model).get_trace(None, None, targets=known, size=n)
        values = {name: site["value"] for name, site in trace.nodes.items() if site["type"] == "sample"}
        inverse = self._standardizer.inverse  # type: ignore[union-attr]
        hit = values["target"].unsqueeze(-1) == torch.arange(1, self.dim_z + 1, device=self._device)
        return InterventionPairs(
            inverse(values["before/x"]).cpu().numpy(),
            inverse(values["after/x"]).cpu().numpy(),
            targets=values["target"].cpu().numpy(),
            z=values["before/causal"].cpu().numpy(),
            z_after=values["after/causal"].cpu().numpy(),
            noise=values["noise"].cpu().numpy(),
            noise_after=torch.where(hit, values["redrawn"], values["noise"]).cpu().numpy(),
        )

    def intervene(self, values: Mapping[str, ArrayLike], *, x: ArrayLike) -> Intervened:
        """What these observations become when causal variables are set, everyone else's noise being kept.

        The noise encodings of x are inferred (abduction), those of the variables set are replaced by what makes
        z_i equal the value given (action), causes before effects, and decoded (prediction).

        Args:
            values: for each variable's name a number, or (N,) numbers, in units of the causal variables as encoded.
            x: (N, ...) observations.

        Raises:
            ValueError: if a name is not a variable's or a value is of the wrong shape or not finite.
        """
        before = self.encode(x)
        noise = torch.as_tensor(before.noise, device=self._device)
        goals = {}
        for name, value in values.items():
            if name not in self.names:
                raise ValueError(
                    f"values: got the variable {name!r}, expected some of {', '.join(self.names)}"
                )
            number = np.asarray(value, dtype=np.float32)
            if number.shape not in ((), (len(noise),)) or not np.isfinite(number).all():
                raise ValueError(
                    f"values[{name!r}]: got shape {number.shape}, expected a finite number or ({len(noise)},) of them"
                )
            goals[self.names.index(name)] = torch.as_tensor(number, device=self._device).expand(len(noise))
        with torch.no_grad():
            noise = self._fitted().model.solution.set_causal(noise, goals)
            causal = self._fitted().model.causal(noise).cpu().numpy()
        return Intervened(self.decode(noise.cpu().numpy()), causal, before.causal)

    # ------------------------------------------------------------------ verdicts

    def elbo(self, pairs: InterventionPairs, *, hypotheses: int | None = None, seed: int = 0) -> float:
        """Evidence lower bound per pair, in nats, of standardised x.

        Args:
            pairs: the pairs.
            hypotheses: targets summed over for each pair, the most probable ones; min(d + 1, 4) if None.
            seed: of the draws of the guide.
        """
        objective, source = self._fitted(), self._source(pairs)
        number = min(self.dim_z + 1, 4) if hypotheses is None else hypotheses
        total = 0.0
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for index in torch.arange(len(pairs)).split(_ROWS):
                batch = {name: tensor.to(self._device) for name, tensor in source.batch(index).items()}
                loss, _ = objective(batch, size=len(index), index=torch.arange(len(index)), hypotheses=number)
                total -= float(loss) * len(index)
        return total / len(pairs)

    def check(self, pairs: InterventionPairs, *, fits: Sequence[LatentCausalModel] = ()) -> CheckReport:
        """Whether it worked, without any truth: use of targets, one-sparse differences, reconstruction, agreement.

        Args:
            pairs: held-out pairs.
            fits: other fits of the same data, to be compared with this one.

        Returns:
            The report; ``print(report.to_text())`` shows it, ``report.problems`` names what is off.
        """
        before, after = self.encode(pairs.x), self.encode(pairs.x_after)
        agreement = None
        if fits:
            encodings = [before.noise, *(other.encode(pairs.x).noise for other in fits)]
            agreement = agreement_of_fits(encodings)
        return check_latents(
            before.noise.astype(np.float64),
            after.noise.astype(np.float64),
            self.infer_targets(pairs.x, pairs.x_after).astype(np.float64),
            explained=self._explained(pairs.x, before.noise),
            elbo=self.elbo(pairs),
            names=self.names,
            agreement=agreement,
        )

    def _explained(self, x: ArrayLike, noise: Array) -> float:
        """Share of the variance of standardised x that the decoded noise encodings explain."""
        objective = self._fitted()
        error = variance = 0.0
        codes = torch.as_tensor(noise, device=self._device).split(_ROWS)
        with torch.no_grad():
            for chunk, code in zip(self._chunks(x, "x"), codes, strict=True):
                error += float((chunk - objective.model.x_dist(code).mean).square().sum())
                variance += float(chunk.square().sum())
        return 1 - error / variance

    def evaluate(
        self, pairs: InterventionPairs, *, dci_rows: int = 10_000, n_jobs: int = 1, seed: int = 0
    ) -> dict[str, float | None]:
        """Metrics of :func:`pyro_lcm.evaluation.evaluate_latents`, and ``elbo``; None where truth is missing.

        Args:
            pairs: test pairs, with what is known of the truth.
            dci_rows: rows used for DCI at most.
            n_jobs: processes for DCI.
            seed: of DCI.
        """
        from pyro_lcm.evaluation import evaluate_latents

        encoding = self.encode(pairs.x)
        scores = evaluate_latents(
            pairs,
            causal=encoding.causal,
            noise=encoding.noise,
            targets=self.infer_targets(pairs.x, pairs.x_after),
            adjacency=self.adjacency() if hasattr(self.model, "solution") else None,
            dci_rows=dci_rows,
            n_jobs=n_jobs,
            seed=seed,
        )
        return scores | {"elbo": self.elbo(pairs)}

    # ------------------------------------------------------------------- folders

    def save(self, folder: str | Path) -> None:
        """Write ``config.yaml`` and ``model.safetensors`` into a run folder."""
        tensors = {f"objective.{name}": value for name, value in self._fitted().state_dict().items()}
        assert self._standardizer is not None
        tensors |= {f"standardizer.{name}": value for name, value in self._standardizer.state_dict().items()}
        save_run(folder, self._config, tensors)

    @classmethod
    def load(
        cls, folder: str | Path, *, model: nn.Module | None = None, guide: nn.Module | None = None
    ) -> LatentCausalModel:
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
        plain = config["architecture"]
        if plain is None and (model is None or guide is None):
            raise ValueError(
                f"model, guide: got none, expected those of the run's own model {config['model']}"
            )
        if plain is not None:
            loaded = cls(config["model"], dim_z=plain["dim_z"], names=config["names"])
            loaded._architecture = Architecture.from_dict(plain)
            model, guide = build(loaded._architecture)
        else:
            loaded = cls(model, guide, names=config["names"])  # type: ignore[arg-type]
        assert model is not None and guide is not None
        loaded._objective = RecipeObjective(model, guide)
        loaded._standardizer = Standardizer(**config["standardizer"])
        loaded._config = config
        try:
            loaded._objective.load_state_dict(_with_prefix(tensors, "objective."))
            loaded._standardizer.load_state_dict(_with_prefix(tensors, "standardizer."))
        except RuntimeError as error:
            raise ValueError(f"{folder}: the tensors do not fit the configuration: {error}") from error
        loaded._objective.eval()
        return loaded

    # ------------------------------------------------------------------ internals

    @property
    def _device(self) -> torch.device:
        return next(self._fitted().parameters()).device

    def _fitted(self) -> RecipeObjective:
        if self._objective is None:
            raise RuntimeError("the model is not fitted: call fit, or LatentCausalModel.load")
        return self._objective

    def _chunks(self, x: ArrayLike, name: str) -> Iterator[Tensor]:
        """Standardised observations on the model's device, some rows at a time."""
        assert self._standardizer is not None
        array = np.asarray(x)
        if array.shape[1:] != self._standardizer.shape or len(array) == 0:
            raise ValueError(
                f"{name}: got shape {array.shape}, expected (N, {', '.join(map(str, self._standardizer.shape))})"
            )
        for start in range(0, len(array), _ROWS):
            values = self._standardizer.transform(array[start : start + _ROWS])
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: got values that are not finite in rows {start} to {start + _ROWS}")
            yield torch.as_tensor(values, device=self._device)

    def _source(self, pairs: InterventionPairs) -> DataSource:
        assert self._standardizer is not None
        if fits_in_memory(pairs):
            return TensorSource(standardized_tensors(pairs, self._standardizer))
        return StandardizedPairs(pairs, self._standardizer)


def _hold_out(
    pairs: InterventionPairs, validation: InterventionPairs | float, seed: int
) -> tuple[InterventionPairs, InterventionPairs]:
    if isinstance(validation, InterventionPairs):
        if validation.observation_shape != pairs.observation_shape:
            raise ValueError(
                f"validation: got observations of shape {validation.observation_shape},"
                f" expected {pairs.observation_shape}"
            )
        return pairs, validation
    if not 0 < validation < 1:
        raise ValueError(f"validation: got {validation}, expected pairs or a fraction in (0, 1)")
    if len(pairs) < MIN_PAIRS:
        raise ValueError(
            f"pairs: got {len(pairs)}, expected at least {MIN_PAIRS} to train on and to hold out"
        )
    held_out = min(validation, 10_000 / len(pairs))
    training, rest = pairs.split((1 - held_out, held_out), seed)
    return training, rest


def _fit_standardizer(pairs: InterventionPairs, own_model: bool) -> Standardizer:
    if own_model:
        return Standardizer.fit(pairs, "image" if len(pairs.observation_shape) > 1 else "standardize")
    if len(pairs.observation_shape) > 1:
        raise ValueError(
            f"x: got observations of shape {pairs.observation_shape}, expected vectors; for images give a model and guide"
        )
    return Standardizer.fit(pairs, "whiten")


def _is_linear(source: DataSource, seed: int) -> bool:
    """Whether the differences of the standardised observations lie on lines as they are."""
    batch = sample_pairs(source, 20_000, seed)
    differences = (batch["x_after"] - batch["x"]).double().numpy()
    return find_lines(differences, seed=seed).residual < LINEAR_RESIDUAL


def _checked_names(names: Sequence[str], dim_z: int | None) -> tuple[str, ...]:
    if len(set(names)) != len(names) or not all(
        isinstance(name, str) and name.isidentifier() for name in names
    ):
        raise ValueError(f"names: got {list(names)}, expected different Python identifiers")
    if dim_z is not None and len(names) != dim_z:
        raise ValueError(f"names: got {len(names)}, expected {dim_z}, one for each causal variable")
    return tuple(names)


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
