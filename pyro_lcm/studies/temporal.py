"""The study of sequences: are the variables of the Voronoi benchmark found, and their graph from frame to frame?

A run is a system, a mixing and a model. Scores are on frames whose variables are independent
(:mod:`pyro_lcm.evaluation.groups`). With instantaneous effects CITRIS is wrong, and the study shows how much.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro_lcm.data.voronoi import VoronoiSystem
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import spec_of
from pyro_lcm.storage.text_files import write_csv, write_json
from pyro_lcm.studies.results import score_range
from pyro_lcm.studies.study import RESULT
from pyro_lcm.training.monitor import TrainingDiverged

SCORES = ("r2_diag", "r2_sep", "spearman_diag", "spearman_sep", "temporal_shd", "shd", "seconds", "cpu_seconds")
COLUMNS = ("method", "dim", "mixing", "instantaneous", "frames", "seed", *SCORES, "error")
"""Columns of the study's table, a row a run."""
_SYSTEM = ("method", "dim", "mixing", "instantaneous", "frames")
_INDEPENDENT = 10_000


@dataclass(frozen=True)
class TemporalSetting:
    """What the runs of the study of sequences share.

    Args:
        models: Models of sequences.
        frames: Frames to train on.
        mixings: Mixings of the Voronoi benchmark.
        instantaneous: Probabilities of an edge within a frame.
        single: Whether at most one variable is intervened on at a step.
    """

    models: tuple[str, ...] = ("citris",)
    frames: int = 100_000
    mixings: tuple[str, ...] = ("coupling",)
    instantaneous: tuple[float, ...] = (0.0,)
    single: bool = False

    def __post_init__(self) -> None:
        for name in self.models:
            if not spec_of(name).temporal:
                raise ValueError(f"models: got {name!r}, expected models of sequences")
        if self.frames < 100:
            raise ValueError(f"frames: got {self.frames}, expected at least 100")
        if not (self.models and self.mixings and self.instantaneous):
            raise ValueError("models, mixings, instantaneous: got none of one, expected at least one of each")
        for mixing in self.mixings:
            for probability in self.instantaneous:
                VoronoiSystem(2, seed=0, mixing=mixing, instantaneous=probability)  # says what is wrong

    def made(self) -> dict[str, Any]:
        """The options that matter, by their names on the command line; lists may grow."""
        return {"temporal.frames": self.frames, "temporal.single": self.single}


@dataclass(frozen=True)
class TemporalJob:
    """One run of the study.

    Attributes:
        folder: Its run folder.
        method: The model.
        system: What generates the sequences; its seed is that of the fit too.
        frames: How many to train on.
        budget: Optimizer steps.
    """

    folder: Path
    method: str
    system: VoronoiSystem
    frames: int
    budget: Budget

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()


def temporal_jobs(
    folder: Path, setting: TemporalSetting, dims: Sequence[int], seeds: Sequence[int], *, budget: Budget
) -> list[TemporalJob]:
    """All runs of the study, seed after seed."""
    return [
        TemporalJob(
            folder / "runs" / f"{method}-{dim}-{mixing}-{probability}-{seed}",
            method,
            VoronoiSystem(dim, seed=seed, mixing=mixing, instantaneous=probability, single=setting.single),
            setting.frames,
            budget,
        )
        for seed in seeds
        for dim in dims
        for mixing in setting.mixings
        for probability in setting.instantaneous
        for method in setting.models
    ]


def run_temporal_job(job: TemporalJob) -> None:
    """Draw the sequences, fit, score, and write the result; a fit that was cut off goes on."""
    system = job.system
    row: dict[str, Any] = {"method": job.method, "dim": system.dim, "mixing": system.mixing, "frames": job.frames}
    row |= {"instantaneous": system.instantaneous, "seed": system.seed, "error": None}
    try:
        sequences = system.sample(job.frames)
        wall, cpu = time.perf_counter(), time.process_time()
        model = LatentCausalModel(job.method).fit(
            sequences, seed=system.seed, out=job.folder, budget=job.budget, device="cpu", progress=False, resume=True
        )
        row |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        row |= model.evaluate(system.independent(_INDEPENDENT))
    except (TrainingDiverged, ValueError) as error:
        row["error"] = " ".join(str(error).split())
    write_json(job.folder / RESULT, row)


def write_temporal(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of runs."""
    write_csv(folder / "temporal.csv", COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows])


def by_system(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A header, and for each model and kind of system the range of each score over its runs.

    >>> row = {"method": "citris", "dim": 3, "mixing": "linear", "instantaneous": 0.0, "frames": 100, "r2_diag": 0.99}
    >>> by_system([row])[1][0][:7]
    ('citris', '3', 'linear', '0.0', '100', '1', '0.990')
    """
    cells: list[tuple[str, ...]] = []
    for key in sorted({tuple(row[name] for name in _SYSTEM) for row in rows}):
        mine = [dict.fromkeys(SCORES) | dict(row) for row in rows if tuple(row[name] for name in _SYSTEM) == key]
        digits = {"temporal_shd": 0, "shd": 0, "seconds": 0, "cpu_seconds": 0}
        scores = (score_range(mine, name, digits.get(name, 3)) for name in SCORES)
        cells.append((*map(str, key), str(len(mine)), *scores))
    return (*_SYSTEM, "runs", *SCORES), cells
