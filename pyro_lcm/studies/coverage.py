"""The study of coverage: do 90 % intervals of what a model says hold the truth in 90 % of the cases?

A run is a system and a number of rows. Of *linear* and *nonlinear* systems, and *noisy* ones, which are linear with
noise on x, a model is fitted to pairs, and its effects on causal variables and on x, and the losses of its plans, are
compared with what the system does (:mod:`pyro_lcm.studies.true_effects`); of a *table* the causal variables themselves
are seen, some rows under an intervention, and effects are those of a posterior over graphs. What the truth and the
model agree on to a thousandth without any width, such as the effect on a variable upstream, counts for nothing;
without width and wrong it is a miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.mechanisms import LinearMechanisms
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.discovery import GraphData, graph_posterior
from pyro_lcm.discovery.arviz_compat import group
from pyro_lcm.discovery.effects import total_effects
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.reasoning.chains import Uncertainty
from pyro_lcm.reasoning.planning import Range
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.text_files import write_csv, write_json
from pyro_lcm.studies.study import RESULT
from pyro_lcm.studies.true_effects import TrueAnswers
from pyro_lcm.training.monitor import TrainingDiverged

Array = NDArray[np.float64]

KINDS = ("linear", "noisy", "nonlinear", "table")
COLUMNS = ("kind", "dim", "n", "seed", "quantity", "truth", "mean", "low", "high", "problem")
"""Columns of the study's table, a row an interval; ``problem`` is 1 where a check without truth found one."""
EXACT = 1e-3
"""Width and error, in units of the variable or of x, below which an interval counts for nothing."""
LOW, HIGH = -0.5, 0.5
"""Values that causes are raised from and to."""
_QUANTILES = (0.05, 0.95)
_CHECKED = 3000


@dataclass(frozen=True)
class CoverageSetting:
    """What the runs of the study of coverage share.

    Args:
        kinds: Kinds of runs: linear, noisy, nonlinear and table.
        pairs: Numbers of pairs that models are fitted to.
        rows: Numbers of rows of tables.
        mixings: Mixings of nonlinear systems, in turn over the seeds.
        noise: Standard deviation of the noise on x of noisy systems, as a fraction of that of x.
        draws: Draws of effects.
        plans: Observations of each system that an intervention is planned for.
    """

    kinds: tuple[str, ...] = KINDS
    pairs: tuple[int, ...] = (1000, 5000, 20_000)
    rows: tuple[int, ...] = (50, 200, 1000)
    mixings: tuple[str, ...] = ("coupling", "tanh_residual")
    noise: float = 0.1
    draws: int = 400
    plans: int = 10

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"kinds: got {kind!r}, expected some of {', '.join(KINDS)}")
        for name, least in (("pairs", MIN_PAIRS), ("rows", 10)):
            if min(getattr(self, name), default=0) < least:
                raise ValueError(f"{name}: got {list(getattr(self, name))}, expected numbers of at least {least}")
        check_least(draws=(self.draws, 2), plans=(self.plans, 2))
        if not self.mixings:
            raise ValueError("mixings: got none, expected at least one")
        if not 0 < self.noise < np.inf:
            raise ValueError(f"noise: got {self.noise}, expected a number above 0")
        for mixing in self.mixings:
            ScalingSystem(2, seed=0, mixing=mixing)  # says what is wrong

    def made(self) -> dict[str, Any]:
        """The options that matter, by their names on the command line; the lists but that of mixings may grow."""
        return {
            "coverage.mixings": list(self.mixings),
            "coverage.noise": self.noise,
            "coverage.draws": self.draws,
            "coverage.plans": self.plans,
        }


@dataclass(frozen=True)
class CoverageJob:
    """One run of the study.

    Attributes:
        folder: Its run folder.
        kind: Which of :data:`KINDS`.
        dim: Number of causal variables.
        n: Number of pairs, or of rows.
        seed: Of the system and of the fit.
        setting: What it shares with the others.
        budget: Optimizer steps.
    """

    folder: Path
    kind: str
    dim: int
    n: int
    seed: int
    setting: CoverageSetting
    budget: Budget

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()


def coverage_jobs(
    folder: Path, setting: CoverageSetting, dims: Sequence[int], seeds: Sequence[int], *, budget: Budget
) -> list[CoverageJob]:
    """All runs of the study, seed after seed."""
    return [
        CoverageJob(folder / "runs" / f"{kind}-{dim}-{n}-{seed}", kind, dim, n, seed, setting, budget)
        for seed in seeds
        for kind in setting.kinds
        for dim in dims
        for n in (setting.rows if kind == "table" else setting.pairs)
    ]


def run_coverage_job(job: CoverageJob) -> None:
    """Draw the system, fit, ask, compare, and write the result; a fit that was cut off goes on."""
    row: dict[str, Any] = {"method": job.kind, "kind": job.kind, "dim": job.dim, "n": job.n, "seed": job.seed}
    row |= {"error": None, "problem": 0, "intervals": []}
    try:
        row |= _of_table(job) if job.kind == "table" else _of_model(job)
    except (TrainingDiverged, ValueError) as error:
        row["error"] = " ".join(str(error).split())
    write_json(job.folder / RESULT, row)


def _of_table(job: CoverageJob) -> dict[str, Any]:
    system = ScalingSystem(job.dim, seed=job.seed, random_order=True)
    pairs = system.sample(job.n)
    # The side after of pairs: rows of a table, in which known variables were set.
    posterior = graph_posterior(
        GraphData(pairs.z_after, targets=pairs.targets), draws=job.setting.draws * 5, chains=4, seed=job.seed
    )
    effect = group(posterior, "posterior")["effect"].transpose("chain", "draw", "cause", "outcome").values
    draws = effect.reshape(-1, job.dim, job.dim).astype(np.float64)
    mechanisms = system.program.mechanisms
    if not isinstance(mechanisms, LinearMechanisms):
        raise ValueError(f"mechanisms: got {type(mechanisms).__name__}, expected linear ones")
    truth = total_effects(np.asarray(mechanisms.weights)[None])[0]
    return {"intervals": _intervals("table effect", draws, truth, apart=True)}


def _of_model(job: CoverageJob) -> dict[str, Any]:
    if job.kind == "nonlinear":
        mixing = job.setting.mixings[job.seed % len(job.setting.mixings)]
        system = ScalingSystem(job.dim, seed=job.seed, mechanisms="nonlinear", mixing=mixing)
    else:
        noise = job.setting.noise if job.kind == "noisy" else 0.0
        system = ScalingSystem(job.dim, seed=job.seed, observation_noise=noise)
    # Samples of one seed have the same targets, whatever their size.
    pairs = system.sample(job.n, seed=job.n)
    model = LatentCausalModel("ilcm", dim_z=job.dim)
    model.fit(pairs, seed=job.seed, out=job.folder, budget=job.budget, device="cpu", progress=False, resume=True)
    answers = TrueAnswers(system, model)
    causal, x = answers.effects(LOW, HIGH)
    known = Uncertainty(draws=job.setting.draws, pairs=pairs, seed=job.seed)
    drawn = group(model.average_effects(low=LOW, high=HIGH, uncertainty=known), "posterior")
    intervals = _intervals("effect", drawn["effect"].values[0], causal, apart=True)
    if "effect_x" in drawn:
        intervals += _intervals("effect on x", drawn["effect_x"].values[0], x)
        if model.fitted.linear:  # of others no probability is told
            intervals += _plans(job, system, model, answers, known)
            intervals += _counterfactuals(job, system, model, answers, known)
    return {"intervals": intervals, "problem": int(not model.check(pairs[:_CHECKED]).ok)}


def _plans(
    job: CoverageJob, system: ScalingSystem, model: LatentCausalModel, answers: TrueAnswers, known: Uncertainty
) -> list[list[Any]]:
    """Losses of plans that set one variable so that x comes closest to what another intervention would make of it."""
    rng = np.random.default_rng(job.seed)
    now, goals = (system.sample(job.setting.plans, seed=sample) for sample in (101, 102))
    allowed = {model.names[int(rng.integers(model.dim_z))]: Range(-2.0, 2.0)}
    plan = model.plan(now.x, goals.x_after, allowed, uncertainty=known)
    truth = np.square(_true_counterfactual(answers, now, plan.values) - goals.x_after).mean(1)
    assert plan.drawn is not None
    return _intervals("loss of a plan", plan.drawn, truth)


def _counterfactuals(
    job: CoverageJob, system: ScalingSystem, model: LatentCausalModel, answers: TrueAnswers, known: Uncertainty
) -> list[list[Any]]:
    """What x would have been, had one variable been set to a value."""
    variable = int(np.random.default_rng(job.seed).integers(model.dim_z))
    now = system.sample(job.setting.plans, seed=103)
    values = np.full((len(now), model.dim_z), np.nan)
    values[:, variable] = HIGH
    drawn = model.counterfactual(now.x, {model.names[variable]: HIGH}, uncertainty=known)
    return _intervals("counterfactual x", drawn.x, _true_counterfactual(answers, now, values))


def _true_counterfactual(answers: TrueAnswers, now: InterventionPairs, values: Array) -> Array:
    """(N, D) observations had variables been set to (N, d) values, nan for none; what else x has in it stays."""
    z = np.asarray(now.z)
    reached, was = (answers.outcomes(z, wanted) for wanted in (values, np.full_like(values, np.nan)))
    return np.asarray(reached + np.asarray(now.x) - was)


def _intervals(quantity: str, draws: NDArray[Any], truth: Array, *, apart: bool = False) -> list[list[Any]]:
    """Rows of quantity, truth, mean, low and high of draws (draws, ...); ``apart`` leaves out the diagonal."""
    low, high = np.quantile(draws, _QUANTILES, axis=0)
    cells = np.stack([truth, draws.mean(0), low, high], axis=-1)
    kept = cells[~np.eye(len(truth), dtype=bool)] if apart else cells.reshape(-1, 4)
    return [[quantity, *map(float, cell)] for cell in kept]


def write_coverage(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of intervals."""
    cells = [
        [*(row[name] for name in COLUMNS[:4]), *interval, row["problem"]]
        for row in rows
        for interval in row["intervals"]
    ]
    write_csv(folder / "coverage.csv", COLUMNS, cells)


def by_quantity(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A header, and for each kind, size and quantity how many of its intervals hold the truth, and how wide they are.

    The error of a share is that of systems, whose intervals hang together.

    >>> intervals = [["effect", 1.0, 1.1, 0.9, 1.3], ["effect", 0.0, 0.0, 0.0, 0.0], ["effect", 2.0, 1.5, 1.4, 1.6]]
    >>> row = {"kind": "linear", "dim": 3, "n": 100, "problem": 0, "intervals": intervals}
    >>> by_quantity([row])[1]
    [('linear', '3', '100', 'effect', '1', '2', '50 %', '-', '0.300', '0.300', '1')]
    """
    cells: list[tuple[str, ...]] = []
    groups = sorted({(row["kind"], row["dim"], row["n"]) for row in rows})
    for kind, dim, n in groups:
        mine = [row for row in rows if (row["kind"], row["dim"], row["n"]) == (kind, dim, n)]
        for quantity in dict.fromkeys(interval[0] for row in mine for interval in row["intervals"]):
            cells += [(kind, str(dim), str(n), quantity, *_summary(mine, quantity))]
    header = ("kind", "d", "n", "quantity", "systems", "intervals", "hold", "error", "width", "off by", "exact")
    return header, cells


def _summary(rows: Sequence[Mapping[str, Any]], quantity: str) -> tuple[str, ...]:
    shares, numbers, widths, errors, exact = [], [], [], [], 0
    for row in rows:
        table = np.array([interval[1:] for interval in row["intervals"] if interval[0] == quantity]).reshape(-1, 4)
        truth, mean, low, high = table.T
        trivial = (high - low < EXACT) & (np.abs(truth - mean) < EXACT)
        exact += int(trivial.sum())
        counted = table[~trivial]
        if len(counted):
            truth, mean, low, high = counted.T
            shares.append(float(((truth >= low) & (truth <= high)).mean()))
            numbers.append(len(counted))
            widths += (high - low).tolist()
            errors += np.abs(truth - mean).tolist()
    if not shares:
        return ("0", "0", "-", "-", "-", "-", str(exact))
    weight = np.array(numbers) / sum(numbers)
    share = float(weight @ shares)
    spread = float(np.sqrt((weight**2 * (np.array(shares) - share) ** 2).sum())) if len(shares) > 1 else np.nan
    error = f"{100 * spread:.0f} %" if len(shares) > 1 else "-"
    middle = [f"{np.median(values):.3f}" for values in (widths, errors)]
    return (str(len(shares)), str(sum(numbers)), f"{100 * share:.0f} %", error, *middle, str(exact))
