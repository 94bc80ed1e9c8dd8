"""``pyro-lcm benchmark``: a study over dimensions, data seeds, model seeds and methods, or one from pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pyro_lcm.commands import circuit_study
from pyro_lcm.commands.circuit_study import CircuitJob, CircuitSetting, run_circuit_job
from pyro_lcm.commands.console import CommandFailed, progress_bar, say, table
from pyro_lcm.commands.files import claim_folder, read_json, write_csv
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.study import (
    COLUMNS,
    DATA_SETS,
    METHODS,
    RESULT,
    DataSet,
    Job,
    Method,
    Setting,
    needs_known_targets,
    run_job,
    takes,
)
from pyro_lcm.commands.threads import available_cores, torch_threads
from pyro_lcm.jobs import run_jobs
from pyro_lcm.viz.scaling import score_against_dim, score_by_method
from pyro_lcm.viz.style import save_figure

POSITIONAL = ("study",)

_SHOWN = (
    "disentanglement",
    "mcc",
    "mcc_noise",
    "intervention_accuracy",
    "shd",
    "edge_f1",
    "seconds",
    "pairs_per_second",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm benchmark``.

    Args:
        study: Which study: scaling, scores against the number of causal variables; models, all models on all data sets;
            causalcircuit, from rendered images to scores and pictures.
        out: Folder of the study. Runs that are finished in it are not run again, so the lists may grow.
        dims: Numbers of causal variables; by default 2 4 8 for scaling and 4 for models.
        data_seeds: Seeds of the systems, by default 0 1 2.
        model_seeds: Seeds of the fits, by default 0 1, and 0 for causalcircuit.
        methods: Models to compare; by default ilcm for scaling, all for models, and ilcm dvae beta_vae for
            causalcircuit. true_noise scores the true noise encodings, which an ideal dVAE finds.
        data: Data sets of the study models, all by default: the scaling data, independent variables, and soft
            interventions with known targets, with unknown ones, and on unknown sets of variables, the last for models
            of sets alone.
        processes: Runs at a time, each with one thread; by default all cores.
        circuit: Of the study causalcircuit, which takes of the other settings dci_rows and the budget.
        setting: What all runs share.
    """

    study: Literal["scaling", "models", "causalcircuit"]
    out: str
    dims: tuple[int, ...] | None = None
    data_seeds: tuple[int, ...] | None = None
    model_seeds: tuple[int, ...] | None = None
    methods: tuple[Method, ...] | None = None
    data: tuple[DataSet, ...] | None = None
    processes: int | None = None
    circuit: CircuitSetting = field(default_factory=CircuitSetting)
    setting: Setting = field(default_factory=Setting, metadata=INLINED)

    def __post_init__(self) -> None:
        models, circuit = self.study == "models", self.study == "causalcircuit"
        if circuit:
            self._refuse_what_images_have_not()
        elif self.circuit != CircuitSetting():
            raise ValueError(f"circuit: got options of it, expected none for the study {self.study}")
        for name, value in (
            ("dims", (4,) if models or circuit else (2, 4, 8)),
            ("data_seeds", (0, 1, 2)),
            ("model_seeds", (0,) if circuit else (0, 1)),
            ("methods", METHODS if models else circuit_study.METHODS if circuit else ("ilcm",)),
            ("data", DATA_SETS if models else ("scaling",)),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if not models and self.data != ("scaling",):
            raise ValueError(f"data: got {list(self.data or ())}, expected scaling alone for the study scaling")
        for name, least in (("dims", 1), ("data_seeds", 0), ("model_seeds", 0)):
            numbers = getattr(self, name)
            if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers):
                raise ValueError(f"{name}: got {list(numbers)}, expected different integers of at least {least}")
        if self.processes is not None and self.processes < 1:
            raise ValueError(f"processes: got {self.processes}, expected at least 1")
        for dim in self.dims or ():
            self.setting.system(dim, 0)  # says what is wrong before hours of work

    def _refuse_what_images_have_not(self) -> None:
        for name, instead in (("dims", ""), ("data", ""), ("data_seeds", ", see circuit.image_seed")):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: got {list(getattr(self, name))}, expected none for causalcircuit{instead}")
        if wrong := [name for name in self.methods or () if needs_known_targets(name)]:
            raise ValueError(f"methods: got {wrong[0]}, expected models of unknown targets for causalcircuit")
        plain = Setting(dci_rows=self.setting.dci_rows, budget=self.setting.budget)
        for entry in fields(Setting):
            if getattr(self.setting, entry.name) != getattr(plain, entry.name):
                raise ValueError(
                    f"{entry.name}: got {getattr(self.setting, entry.name)!r}, expected none for causalcircuit,"
                    " whose options begin with circuit"
                )


def run(options: Options) -> int:
    """Run what is not finished, and write the table and the figures of all that is."""
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file, expected a folder")
    circuit = options.study == "causalcircuit"
    made = asdict(options.setting)
    if circuit:
        made = options.circuit.made() | {"dci_rows": made["dci_rows"], "budget": made["budget"]}
        if options.circuit.images is not None:
            circuit_study.open_sets(Path(options.circuit.images))  # before the folder is taken for this set
    claim_folder(folder, "study.yaml", made, holds="a study", kind="a study")
    processes = options.processes or available_cores()
    if circuit:
        circuit_study.prepare_codes(folder, options.circuit, processes=processes)
    jobs = _jobs(options, folder)
    waiting = [job for job in jobs if not job.done]
    say(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before")
    try:
        with torch_threads(1), progress_bar(len(waiting), "runs", "run") as bar:

            def tell(name: str) -> None:
                logger.info("finished %s", name)
                bar.update()

            named = {job.folder.name: job for job in waiting}
            run_jobs(_run_job, named, processes=processes, done=tell)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on with the study") from None
    except BrokenProcessPool as error:
        raise CommandFailed(
            "the process of a run was killed, perhaps for want of memory; the same command goes on with the study"
        ) from error
    finally:
        # Of all calls so far: lists of seeds and methods may have grown.
        finished = {path.parent: read_json(path) for path in sorted(folder.glob(f"runs/*/{RESULT}"))}
        rows = list(finished.values())
        if rows:
            write_results(folder, rows, options.study)
    scores = medians_table(rows)
    say(scores)
    failed = [path for path, row in finished.items() if row["error"]]
    for path in failed:
        say(f"FAILED: {path}")
    written = [folder / f"{options.study}.csv", folder / "figures"]
    if circuit:
        written.append(circuit_study.write_circuit_report(folder, options.circuit, finished, scores))
        say(f"peak memory of a process: {circuit_study.peak_memory_gb():.1f} GB")
    say(f"wrote {', '.join(map(str, written))}")
    return 1 if failed else 0


def _run_job(job: Job | CircuitJob) -> None:
    if isinstance(job, CircuitJob):
        run_circuit_job(job)
    else:
        run_job(job)


def write_results(folder: Path, rows: Sequence[dict[str, Any]], study: str = "scaling") -> None:
    """Write the table of runs and the figures."""
    write_csv(folder / f"{study}.csv", COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows])
    if study in ("models", "causalcircuit"):
        for score in ("disentanglement", "completeness"):
            figure = score_by_method(rows, score, label=score)
            if figure is not None:
                save_figure(figure, folder / "figures" / f"{score}.png")
        return
    figures = {
        "disentanglement": score_against_dim(
            rows, "disentanglement", label="disentanglement D", good=0.98, limits=(0.0, 1.03)
        ),
        "graph_distance": score_against_dim(rows, "shd", label="graph distance (SHD)", good=0.0),
        "seconds": score_against_dim(rows, "seconds", label="time to fit (s)", log=True),
        "seconds_to_d": score_against_dim(rows, "seconds_to_d", label="time to D of 0.98 (s)", log=True),
    }
    for name, figure in figures.items():
        if figure is not None:
            save_figure(figure, folder / "figures" / f"{name}.png")


def medians_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out the medians over the runs of each method and number of variables."""
    cells = []
    keys = ("data", "method", "dim")
    for data, method, dim in sorted({tuple(row.get(key, "scaling") for key in keys) for row in rows}):
        mine = [row for row in rows if tuple(row.get(key, "scaling") for key in keys) == (data, method, dim)]
        medians = []
        for key in _SHOWN:
            known = [row[key] for row in mine if row.get(key) is not None]
            digits = 0 if key in ("seconds", "pairs_per_second") else 3
            medians.append(f"{np.median(known):.{digits}f}" if known else "-")
        cells.append((data, method, str(dim), str(len(mine)), *medians))
    return table(("data", "method", "d", "runs", *_SHOWN), cells)


def _jobs(options: Options, folder: Path) -> Sequence[Job | CircuitJob]:
    """All runs, the largest first, so that the last ones to run are short."""
    model_seeds = options.model_seeds or ()
    if options.study == "causalcircuit":
        return circuit_study.circuit_jobs(
            folder,
            options.circuit,
            options.methods or (),
            model_seeds,
            dci_rows=options.setting.dci_rows,
            budget=options.setting.budget,
        )
    prefix = {data: f"{data}-" if options.study == "models" else "" for data in DATA_SETS}
    return [
        Job(
            folder / "runs" / f"{prefix[data]}{method}-d{dim}-data{data_seed}-model{model_seed}",
            method,
            dim,
            data_seed,
            model_seed,
            options.setting,
            data,
        )
        for dim in sorted(options.dims or (), reverse=True)
        for data in options.data or ()
        for method in options.methods or ()
        if takes(method, data)
        for data_seed in options.data_seeds or ()
        for model_seed in (model_seeds[:1] if method == "true_noise" else model_seeds)
    ]
