"""One run of a study, and what it leaves behind: a folder that is not run again.

Protocol of Brehmer, de Haan, Lippe, Cohen (NeurIPS 2022, arXiv 2203.16437), figure 8: data seeds times model
seeds for each number of variables and method. Truth scores a run; it never trains, stops or chooses one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.data.soft import SoftSystem
from pyro_lcm.evaluation.report import METRICS, evaluate_latents
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS
from pyro_lcm.storage.text_files import write_json
from pyro_lcm.studies.time_to_d import Snapshots, seconds_to_d
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.monitor import TrainingDiverged

RESULT = "result.json"
COLUMNS = (
    "data",
    "method",
    "dim",
    "data_seed",
    "model_seed",
    *METRICS,
    "elbo",
    "seconds",
    "seconds_to_d",
    "steps",
    "pairs_per_second",
    "problems",
    "error",
)
"""Columns of the study's table, a row a run. ``seconds`` is the wall time of the fit alone, and
``seconds_to_d`` that until its disentanglement was 0.98 (:mod:`pyro_lcm.studies.time_to_d`); ``pairs_per_second`` is
that of the last phase with steps; ``problems`` is what a check without truth named; ``error`` is why a run
has no scores."""

TRUE_NOISE = "true_noise"
"""The true noise encodings, what an ideal dVAE finds: a method without a model."""
_OPTIONS = {name: (spec, options) for spec in SPECS.values() for name, options in spec.methods.items()}
"""The specification of each method, and the options that it sets."""
METHODS = (*_OPTIONS, TRUE_NOISE)
"""Models by name, ``elcm`` with its ways to draw a graph, and the true noise encodings."""
if TYPE_CHECKING:
    Method = str
else:  # the choices that a command shows
    Method = Literal[METHODS]
DataSet = Literal["scaling", "independent", "soft", "soft_unknown", "soft_sets"]
DATA_SETS: tuple[DataSet, ...] = get_args(DataSet)
"""The scaling data, these without any edge, and soft interventions: known targets, unknown ones, unknown sets."""

TargetFrequencies = Literal["even", "uneven", "one_missing"]


@dataclass(frozen=True)
class Setting:
    """What all runs of a study share.

    Args:
        n: Number of pairs to train on.
        n_test: Number of pairs to score on.
        edge_probability: Probability of each edge.
        mechanisms: linear or nonlinear.
        mixing: linear, leaky_relu, tanh_residual or coupling.
        noise: Distribution of the SCM's noise: gaussian, laplace or uniform.
        intervention: Distribution of a variable after an intervention on it: normal or uniform.
        observation_noise: Noise on x, as a fraction of the standard deviation of x.
        target_frequencies: even; uneven, where the last variable is a target three times as often as the first;
            or one_missing, where the last variable is never a target.
        extra_features: Features of x beyond the number of variables.
        extra_variables: Variables that are learned beyond the true number; negative for fewer.
        dci_rows: Most pairs for disentanglement and completeness.
        budget: Optimizer steps.
    """

    n: int = 100_000
    n_test: int = 10_000
    edge_probability: float = 0.5
    mechanisms: str = "linear"
    mixing: str = "linear"
    noise: str = "gaussian"
    intervention: str = "normal"
    observation_noise: float = 0.0
    target_frequencies: TargetFrequencies = "even"
    extra_features: int = 0
    extra_variables: int = 0
    dci_rows: int = 10_000
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        check_least(n=(self.n, MIN_PAIRS), n_test=(self.n_test, MIN_PAIRS))
        check_least(dci_rows=(self.dci_rows, 10), extra_features=(self.extra_features, 0))
        if self.extra_variables > self.extra_features:
            raise ValueError(
                f"extra_variables: got {self.extra_variables}, expected at most extra_features, {self.extra_features}"
            )

    def system(self, dim: int, seed: int) -> ScalingSystem:
        """The system of one data seed."""
        weights: tuple[float, ...] | None = None
        if self.target_frequencies == "uneven":
            weights = (1.0, *(1.0 + 2.0 * i / max(1, dim - 1) for i in range(dim)))
        elif self.target_frequencies == "one_missing":
            weights = (*([1.0] * dim), 0.0)
        return ScalingSystem(
            dim,
            seed=seed,
            edge_probability=self.edge_probability,
            mechanisms=self.mechanisms,
            mixing=self.mixing,
            noise=self.noise,
            intervention=self.intervention,
            observation_noise=self.observation_noise,
            target_weights=weights,
            dim_x=dim + self.extra_features,
        )


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Attributes:
        folder: Its run folder.
        method: Name of the model.
        dim: True number of variables.
        data_seed: Seed of the system.
        model_seed: Seed of the fit.
        setting: What it shares with the others.
        data: Data set.
    """

    folder: Path
    method: Method
    dim: int
    data_seed: int
    model_seed: int
    setting: Setting
    data: DataSet = "scaling"

    def system(self) -> ScalingSystem | SoftSystem:
        """What the pairs come from."""
        if self.data.startswith("soft"):
            return SoftSystem(self.data_seed, self.dim, sets=self.data == "soft_sets")
        setting = self.setting if self.data == "scaling" else replace(self.setting, edge_probability=0.0)
        return setting.system(self.dim, self.data_seed)

    def model(self) -> LatentCausalModel:
        """A new model of the method."""
        wide = self.setting.extra_features > 0
        return new_model(self.method, self.dim + self.setting.extra_variables if wide else None)

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()


def takes(method: Method, data: DataSet) -> bool:
    """Whether a method is made for a data set: several targets at a time are not for models of one."""
    return data != "soft_sets" or method == TRUE_NOISE or _OPTIONS[method][0].sets


def needs_known_targets(method: Method) -> bool:
    """Whether a method needs to be told of targets, or of more."""
    return method == TRUE_NOISE or _OPTIONS[method][0].known_targets


def new_model(method: Method, dim_z: int | None) -> LatentCausalModel:
    """A model by the name of a method."""
    spec, options = _OPTIONS[method]
    return LatentCausalModel(spec.name, dim_z=dim_z, options=options)


def study_jobs(
    folder: Path,
    setting: Setting,
    *,
    dims: Sequence[int],
    data: Sequence[DataSet],
    methods: Sequence[Method],
    data_seeds: Sequence[int],
    model_seeds: Sequence[int],
    name_data: bool,
) -> list[Job]:
    """All runs of a study, the largest first, so that the last ones to run are short.

    Args:
        folder: Of the study.
        setting: What all share.
        dims: True numbers of variables.
        data: Data sets; a method is left out where it is not made for one.
        methods: Names of models.
        data_seeds: Seeds of the systems.
        model_seeds: Seeds of the fits; the true noise encodings take the first alone.
        name_data: Whether the name of a run folder begins with its data set.

    Returns:
        The runs.
    """
    return [
        Job(
            folder / "runs" / f"{f'{source}-' if name_data else ''}{method}-d{dim}-data{data_seed}-model{model_seed}",
            method,
            dim,
            data_seed,
            model_seed,
            setting,
            source,
        )
        for dim in sorted(dims, reverse=True)
        for source in data
        for method in methods
        if takes(method, source)
        for data_seed in data_seeds
        for model_seed in (model_seeds[:1] if method == TRUE_NOISE else model_seeds)
    ]


def run_job(job: Job) -> None:
    """Simulate, fit, score, and write the result; a fit that was cut off goes on."""
    setting = job.setting
    system = job.system()
    pairs, test = system.sample(setting.n, seed=0), system.sample(setting.n_test, seed=1)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "data": job.data,
        "method": job.method,
        "dim": job.dim,
        "data_seed": job.data_seed,
        "model_seed": job.model_seed,
    }
    if job.method == TRUE_NOISE:
        scores = evaluate_latents(test, causal=test.noise, noise=test.noise, dci_rows=setting.dci_rows)
        write_json(job.folder / RESULT, row | scores)
        return
    if job.data == "soft" or _OPTIONS[job.method][0].known_targets:
        pairs = pairs.with_known_targets()
    row |= fit_and_score(
        job.model(),
        pairs,
        test,
        out=job.folder,
        seed=job.model_seed,
        budget=setting.budget,
        dci_rows=setting.dci_rows,
    )
    write_json(job.folder / RESULT, row)


def fit_and_score(
    model: LatentCausalModel,
    pairs: InterventionPairs,
    test: InterventionPairs,
    *,
    out: Path,
    seed: int,
    budget: Budget,
    dci_rows: int,
) -> dict[str, Any]:
    """Fit a model, going on where a fit was cut off, and score it against the truth.

    Args:
        model: A new model.
        pairs: To train on.
        test: To score on.
        out: The run folder.
        seed: Of the fit.
        budget: Optimizer steps.
        dci_rows: Most pairs for disentanglement and completeness.

    Returns:
        Scores and times by the names of :data:`COLUMNS`, or only ``error``, why the fit failed.
    """
    clock = _StepClock()
    with tempfile.TemporaryDirectory() as kept:
        snapshots = Snapshots(out, Path(kept))
        started, start = time.time(), time.perf_counter()
        loggers = (clock, snapshots)
        try:
            model.fit(
                pairs, seed=seed, out=out, budget=budget, device="cpu", progress=False, resume=True, loggers=loggers
            )
        except (TrainingDiverged, ValueError) as error:
            return {"error": " ".join(str(error).split())}
        row: dict[str, Any] = {}
        if model.result.resumed_at is None:  # otherwise what was spent before is not known
            seconds = row["seconds"] = time.perf_counter() - start
            row["seconds_to_d"] = seconds_to_d(model, snapshots, test, started=started, seconds=seconds)
    row["pairs_per_second"] = clock.pairs_per_second(model.result, budget.batch_size)
    row["steps"] = model.result.steps
    row |= model.evaluate(test, dci_rows=dci_rows)
    row["problems"] = "; ".join(model.check(test).problems)
    return row


class _StepClock:
    """A logger that notes when each step was logged; the driver's own logs never depend on the clock."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self._times[step] = time.perf_counter()

    def finalize(self, status: str) -> None:
        pass

    def pairs_per_second(self, result: FitResult, batch_size: int) -> float | None:
        """Speed in the last phase that has steps, validation included."""
        trained = [phase for phase in result.phases if phase.steps]
        if not trained:
            return None
        steps = [int(row["step"]) for row in result.history if row["phase"] == trained[-1].name]
        known = sorted(step for step in set(steps) if step in self._times)
        if len(known) < 2:
            return None
        seconds = self._times[known[-1]] - self._times[known[0]]
        return batch_size * (known[-1] - known[0]) / seconds if seconds > 0 else None
