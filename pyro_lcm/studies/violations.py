"""The study of violations: is what a check says of a fit, which sees no truth, what the truth says?

A run is a kind of pairs (:mod:`pyro_lcm.data.violations`) and a seed: fit, check on held-out pairs, score against the
truth. A check errs in two ways. It is *blind* where the model is wrong, by :data:`WRONG` or by its graph, and it found
no problem, unless it named what nothing in the pairs can tell; it is a *false alarm* where the model is right, by
:data:`RIGHT`, its graph and its number of variables, and it found one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.violations import KINDS
from pyro_lcm.evaluation.report import evaluate_latents
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.text_files import write_csv, write_json
from pyro_lcm.studies.results import FOUND, NOTHING, said, score_range
from pyro_lcm.studies.study import RESULT, new_model
from pyro_lcm.training.monitor import TrainingDiverged

COLUMNS = (
    "kind",
    "group",
    "method",
    "seed",
    "n",
    "dim",
    "dim_true",
    "disentanglement",
    "mcc",
    "mcc_noise",
    "shd",
    "edges",
    "verdict",
    "hint",
    "message",
    "error",
)
"""Columns of the study's table, a row a run: ``edges`` are those found, ``verdict`` is what the check said in short,
``message`` its problems, ``hint`` what it said that pairs leave open."""
WRONG, RIGHT = 0.9, 0.97
"""Disentanglement below which a model is wrong, and above which it is right."""
SAME = 0.999
"""Correlation with the true variables from which on a model's are right whatever their disentanglement: where noise has
heavy tails the true variables themselves have .36 (on 1,000 to 3,000 rows)."""
TRAIN, HELD_OUT, TEST = range(3)
"""Samples of a system."""


@dataclass(frozen=True)
class ViolationSetting:
    """What the runs of the study of violations share.

    Args:
        kinds: Kinds of pairs, by their names; all by default.
        n: Pairs to train on, where a kind has no number of its own.
        n_test: Pairs to score on, and a quarter of the pairs, but no more than these, to check on.
    """

    kinds: tuple[str, ...] | None = None
    n: int = 6000
    n_test: int = 3000

    def __post_init__(self) -> None:
        check_least(n=(self.n, MIN_PAIRS), n_test=(self.n_test, MIN_PAIRS))
        for kind in self.kinds or ():
            if kind not in KINDS:
                raise ValueError(f"kinds: got {kind!r}, expected some of {', '.join(KINDS)}")

    def made(self) -> dict[str, Any]:
        """The options that matter, by their names on the command line; the list of kinds may grow."""
        return {"violations.n": self.n, "violations.n_test": self.n_test}


@dataclass(frozen=True)
class ViolationJob:
    """One run of the study.

    Attributes:
        folder: Its run folder.
        kind: Name of the kind.
        method: Name of the model.
        seed: Of the system and of the fit.
        setting: What it shares with the others.
        dci_rows: Most pairs for disentanglement.
        budget: Optimizer steps, where the kind has none of its own.
    """

    folder: Path
    kind: str
    method: str
    seed: int
    setting: ViolationSetting
    dci_rows: int
    budget: Budget

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()


def violation_jobs(
    folder: Path,
    setting: ViolationSetting,
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    dci_rows: int,
    budget: Budget,
) -> list[ViolationJob]:
    """All runs of the study, seed after seed, so that each kind has one before any has two."""
    return [
        ViolationJob(
            folder / "runs" / f"{_file_name(kind)}-{method}-{seed}", kind, method, seed, setting, dci_rows, budget
        )
        for seed in seeds
        for method in methods
        for kind in setting.kinds or KINDS
    ]


def run_violation_job(job: ViolationJob) -> None:
    """Fit, check, score, and write the result; a fit that was cut off goes on."""
    kind = KINDS[job.kind]
    n = job.setting.n if kind.n is None else kind.n
    few = min(job.setting.n_test, max(n // 4, MIN_PAIRS))
    pairs = kind.sample(n, seed=job.seed, sample=TRAIN)
    held_out = kind.sample(few, seed=job.seed, sample=HELD_OUT)
    steps = kind.steps
    budget = job.budget if steps is None else Budget(fit=steps, refine=steps, reconstruct=steps)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"kind": job.kind, "group": kind.group, "method": job.method, "seed": job.seed, "n": n}
    model = new_model(job.method, kind.dim_z)
    try:
        model.fit(pairs, seed=job.seed, out=job.folder, budget=budget, device="cpu", progress=False, resume=True)
    except (TrainingDiverged, ValueError) as error:
        write_json(job.folder / RESULT, row | {"error": " ".join(str(error).split())})
        return
    row |= said(model.check(held_out))
    row |= {"dim": model.dim_z, "edges": int(model.adjacency().sum())} | _truth(job, model)
    write_json(job.folder / RESULT, row)


def _truth(job: ViolationJob, model: LatentCausalModel) -> dict[str, float | int | None]:
    """Scores of a fit against the truth, on pairs that are all different."""
    test = KINDS[job.kind].sample(job.setting.n_test, seed=job.seed, sample=TEST, different=True)
    latents = model.encode(test.x)
    scores = evaluate_latents(
        test, causal=latents.causal, noise=latents.noise, adjacency=model.adjacency(), dci_rows=job.dci_rows
    )
    true = None if test.z is None else test.z.shape[1]
    return {"dim_true": true, **{name: scores[name] for name in ("disentanglement", "mcc", "mcc_noise", "shd")}}


def _file_name(kind: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in kind)


@dataclass(frozen=True)
class ErrorsOfCheck:
    """How often a check was wrong.

    Attributes:
        blind: runs whose model is wrong and of which the check found and named nothing, though something can be seen.
        hidden: the same of kinds of which nothing can be seen, and of which it named nothing either.
        wrong: runs whose model is wrong.
        alarms: runs whose model is right and in which it found a problem.
        right: runs whose model is right.
        hints: sound runs with edges in which it named soft interventions.
        edged: sound runs with edges.
    """

    blind: tuple[str, ...]
    hidden: tuple[str, ...]
    wrong: int
    alarms: tuple[str, ...]
    right: int
    hints: tuple[str, ...]
    edged: int

    def to_text(self) -> str:
        """A line each."""
        lines = []
        for what, runs, of in (
            ("wrong model, nothing found", self.blind, self.wrong),
            ("wrong model that no pair can tell, not named", self.hidden, self.wrong),
            ("right model, a problem found", self.alarms, self.right),
            ("sound pairs, edges found, soft interventions named", self.hints, self.edged),
        ):
            lines.append(f"{what}: {len(runs)} of {of}" + (f" ({'; '.join(runs)})" if runs else ""))
        return "\n".join(lines)


def errors_of_check(rows: Sequence[Mapping[str, Any]]) -> ErrorsOfCheck:
    """Count what a check got wrong in the rows of the study.

    >>> wrong = {"kind": "shift", "group": "broken", "seed": 0, "dim": 3, "dim_true": 3}
    >>> wrong |= {"disentanglement": 0.3, "mcc": 0.8, "shd": 2, "edges": 0}
    >>> right = wrong | {"kind": "sound, 3 variables", "group": "sound", "disentanglement": 0.99, "shd": 0}
    >>> rows = [wrong | {"verdict": NOTHING, "hint": ""}, right | {"verdict": FOUND, "hint": ""}]
    >>> errors_of_check(rows).blind, errors_of_check(rows).alarms
    (('shift 0',), ('sound, 3 variables 0',))
    """
    found: dict[str, list[str]] = {name: [] for name in ("blind", "hidden", "alarms", "hints")}
    wrong = right = edged = 0
    for row in rows:
        if row["disentanglement"] is None:
            continue
        score = 1.0 if row["mcc"] >= SAME else row["disentanglement"]
        name, false_graph = f"{row['kind']} {row['seed']}", bool(row["shd"])
        soft = "Soft interventions" in row["hint"]
        if score < WRONG or false_graph:
            wrong += 1
            if row["verdict"] == NOTHING and not soft:
                found["hidden" if row["group"] == "invisible" else "blind"].append(name)
        elif score > RIGHT and row["dim"] == row["dim_true"]:
            right += 1
            if row["verdict"] == FOUND:
                found["alarms"].append(name)
        if row["group"] == "sound" and row["edges"]:
            edged += 1
            if soft:
                found["hints"].append(name)
    lists = {name: tuple(runs) for name, runs in found.items()}
    return ErrorsOfCheck(**lists, wrong=wrong, right=right, edged=edged)


def write_violations(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of runs, in the order of the kinds."""
    places = {kind: place for place, kind in enumerate(KINDS)}
    ordered = sorted(rows, key=lambda row: (places[row["kind"]], row["method"], row["seed"]))
    write_csv(folder / "violations.csv", COLUMNS, [[row[name] for name in COLUMNS] for row in ordered])


def by_kind(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A header, and for each kind and method the range of D and SHD, how often a problem was found, and one message."""
    cells: list[tuple[str, ...]] = []
    for kind in KINDS:
        for method in sorted({row["method"] for row in rows}):
            mine = [row for row in rows if (row["kind"], row["method"]) == (kind, method)]
            if not mine:
                continue
            verdicts = [row["verdict"] for row in mine]
            said = next((row[key] for key in ("message", "hint", "error") for row in mine if row[key]), "")
            scores = (score_range(mine, "disentanglement", 3), score_range(mine, "shd", 0))
            cells.append((kind, method, *scores, f"{verdicts.count(FOUND)} of {len(mine)}", said[:60]))
    return ("kind", "model", "D", "SHD", "problem found", "message"), cells
