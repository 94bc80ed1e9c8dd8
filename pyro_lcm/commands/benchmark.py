"""``pyro-lcm benchmark``: a study over dimensions, seeds and methods, or of pixels, violations, coverage, sequences."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from pyro_lcm.commands import benchmark_pixels
from pyro_lcm.commands.console import CommandFailed, progress_bar, say, table
from pyro_lcm.commands.files import claim_folder
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.threads import available_cores, torch_threads
from pyro_lcm.process.jobs import run_jobs
from pyro_lcm.storage.folder_lock import locked
from pyro_lcm.studies import pixels as scenes
from pyro_lcm.studies.coverage import (
    CoverageJob,
    CoverageSetting,
    by_quantity,
    coverage_jobs,
    run_coverage_job,
    write_coverage,
)
from pyro_lcm.studies.pixels import PixelJob, PixelSetting, by_scene, pixel_jobs, run_pixel_job, write_pixels
from pyro_lcm.studies.results import medians, read_result, write_results
from pyro_lcm.studies.study import (
    DATA_SETS,
    METHODS,
    RESULT,
    DataSet,
    Job,
    Method,
    Setting,
    needs_known_targets,
    run_job,
    study_jobs,
)
from pyro_lcm.studies.temporal import (
    TemporalJob,
    TemporalSetting,
    by_system,
    run_temporal_job,
    temporal_jobs,
    write_temporal,
)
from pyro_lcm.studies.violations import (
    ViolationJob,
    ViolationSetting,
    by_kind,
    errors_of_check,
    run_violation_job,
    violation_jobs,
    write_violations,
)

POSITIONAL = ("study",)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm benchmark``.

    Args:
        study: Which study: scaling, scores against the number of causal variables; models, all models on all data sets;
            pixels, some models on scenes of images, from rendering to scores and pictures; violations, what a check
            says of pairs that keep to the assumptions or break one; coverage, how often intervals of effects and plans
            hold the truth; temporal, models of sequences on the Voronoi benchmark.
        out: Folder of the study. Runs that are finished in it are not run again, so the lists may grow.
        dims: Numbers of causal variables; by default 2 4 8 for scaling and 4 for models.
        data_seeds: Seeds of the systems, by default 0 1 2, and 0 1 for pixels; of pixels and violations those of the
            fits, too.
        model_seeds: Seeds of the fits, by default 0 1.
        methods: Models to compare; by default ilcm for scaling and violations, all for models, and ilcm dvae beta_vae
            ada_gvae for pixels. true_noise scores the true noise encodings, which an ideal dVAE finds.
        data: Data sets of the study models, all by default: the scaling data, independent variables, and soft
            interventions with known targets, with unknown ones, and on unknown sets of variables, the last for models
            of sets alone.
        processes: Runs at a time, each with one thread; by default all cores.
        coverage: Of the study coverage, which takes of the other settings dims, data_seeds and the budget.
        pixels: Of the study pixels, which takes of the other settings dci_rows and the budget.
        temporal: Of the study temporal, which takes of the other settings dims, data_seeds and the budget.
        violations: Of the study violations, which takes of the other settings dci_rows and the budget.
        setting: What all runs share.
    """

    study: Literal["scaling", "models", "pixels", "violations", "coverage", "temporal"]
    out: str
    dims: tuple[int, ...] | None = None
    data_seeds: tuple[int, ...] | None = None
    model_seeds: tuple[int, ...] | None = None
    methods: tuple[Method, ...] | None = None
    data: tuple[DataSet, ...] | None = None
    processes: int | None = None
    coverage: CoverageSetting = field(default_factory=CoverageSetting)
    pixels: PixelSetting = field(default_factory=PixelSetting)
    temporal: TemporalSetting = field(default_factory=TemporalSetting)
    violations: ViolationSetting = field(default_factory=ViolationSetting)
    setting: Setting = field(default_factory=Setting, metadata=INLINED)

    def __post_init__(self) -> None:
        for name, default in (
            ("pixels", PixelSetting()),
            ("violations", ViolationSetting()),
            ("coverage", CoverageSetting()),
            ("temporal", TemporalSetting()),
        ):
            if self.study != name and getattr(self, name) != default:
                raise ValueError(f"{name}: got options of it, expected none for the study {self.study}")
        for own in ("pixels", "violations"):
            if self.study == own:
                self._refuse(own, dims="", data="", model_seeds=", see data_seeds")
        if self.study in ("coverage", "temporal"):
            self._refuse(self.study, data="", model_seeds=", see data_seeds", methods="")
        alone = {"pixels": scenes.METHODS, "models": METHODS}
        usual = {"scaling": (2, 4, 8), "coverage": (3, 4), "temporal": (6,)}
        for name, value in (
            ("dims", usual.get(self.study, (4,))),
            ("data_seeds", (0, 1) if self.study == "pixels" else (0, 1, 2)),
            ("model_seeds", (0, 1) if self.study in ("scaling", "models", "coverage") else (0,)),
            ("methods", alone.get(self.study, ("ilcm",))),
            ("data", DATA_SETS if self.study == "models" else ("scaling",)),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.study != "models" and self.data != ("scaling",):
            raise ValueError(f"data: got {list(self.data or ())}, expected scaling alone for the study scaling")
        for name, least in (("dims", 1), ("data_seeds", 0), ("model_seeds", 0)):
            numbers = getattr(self, name)
            if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers):
                raise ValueError(f"{name}: got {list(numbers)}, expected different integers of at least {least}")
        if self.processes is not None and self.processes < 1:
            raise ValueError(f"processes: got {self.processes}, expected at least 1")
        for dim in self.dims or ():
            system = self.setting.system(dim, 0)  # says what is wrong before hours of work
            system.check_number(self.setting.n)
            system.check_number(self.setting.n_test)

    def _refuse(self, options: str, **instead: str) -> None:
        """Refuse what a study with options of its own has not; ``instead`` says of lists what to set."""
        for name, other in instead.items():
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: got {list(getattr(self, name))}, expected none for {self.study}{other}")
        if wrong := [name for name in self.methods or () if needs_known_targets(name)]:
            raise ValueError(f"methods: got {wrong[0]}, expected models of unknown targets for {self.study}")
        plain = Setting(dci_rows=self.setting.dci_rows, budget=self.setting.budget)
        for entry in fields(Setting):
            if getattr(self.setting, entry.name) != getattr(plain, entry.name):
                raise ValueError(
                    f"{entry.name}: got {getattr(self.setting, entry.name)!r}, expected none for {self.study},"
                    f" whose options begin with {options}"
                )


def run(options: Options) -> int:
    """Run what is not finished, and write the table and the figures of all that is."""
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file, expected a folder")
    with locked(folder):
        return _study(options, folder)


def _study(options: Options, folder: Path) -> int:
    kinds, pixels = options.study == "violations", options.study == "pixels"
    made = asdict(options.setting)
    if options.study == "temporal":
        made = options.temporal.made() | {"budget": made["budget"]}
    elif options.study == "coverage":
        made = options.coverage.made() | {"budget": made["budget"]}
    elif kinds or pixels:
        own = options.violations if kinds else options.pixels
        made = own.made() | {"dci_rows": made["dci_rows"], "budget": made["budget"]}
    if pixels:
        benchmark_pixels.check_given(options.pixels)
    claim_folder(folder, "study.yaml", made, holds="a study", kind="a study")
    processes = options.processes or available_cores()
    jobs = _jobs(options, folder)
    waiting = [job for job in jobs if not job.done]
    say(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before")
    try:
        if pixels:
            with torch_threads(1):
                benchmark_pixels.prepare(
                    [job for job in waiting if isinstance(job, PixelJob)], options.pixels, processes
                )
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
        finished = {path.parent: read_result(path) for path in sorted(folder.glob(f"runs/*/{RESULT}"))}
        rows = list(finished.values())
        if rows and kinds:
            write_violations(folder, rows)
        elif rows and options.study == "coverage":
            write_coverage(folder, rows)
        elif rows and options.study == "temporal":
            write_temporal(folder, rows)
        elif rows and pixels:
            write_pixels(folder, rows)
        elif rows:
            write_results(folder, rows, options.study)
    kept = {"violations": by_kind, "coverage": by_quantity, "pixels": by_scene, "temporal": by_system}.get(
        options.study, medians
    )
    scores = table(*kept(rows))
    say(scores)
    if kinds:
        say(errors_of_check(rows).to_text())
    failed = [path for path, row in finished.items() if row["error"]]
    for path in failed:
        say(f"FAILED: {path}")
    written = [
        folder / f"{options.study}.csv",
        *(() if kinds or options.study in ("coverage", "temporal") else (folder / "figures",)),
    ]
    if pixels:
        sound = [path for path, row in finished.items() if not row["error"]]
        every = [job for job in jobs if isinstance(job, PixelJob)]
        written.append(benchmark_pixels.report(folder, options.pixels, every, sound, scores))
    say(f"wrote {', '.join(map(str, written))}")
    return 1 if failed else 0


def _jobs(options: Options, folder: Path) -> Sequence[Job | PixelJob | ViolationJob | CoverageJob | TemporalJob]:
    """All runs."""
    methods, model_seeds, setting = options.methods or (), options.model_seeds or (), options.setting
    if options.study == "pixels":
        return pixel_jobs(
            folder,
            options.pixels,
            benchmark_pixels.available_scenes(options.pixels),
            methods,
            options.data_seeds or (),
            dci_rows=setting.dci_rows,
            budget=setting.budget,
        )
    if options.study == "violations":
        return violation_jobs(
            folder,
            options.violations,
            methods,
            options.data_seeds or (),
            dci_rows=setting.dci_rows,
            budget=setting.budget,
        )
    if options.study == "coverage":
        seeds, budget = options.data_seeds or (), setting.budget
        return coverage_jobs(folder, options.coverage, options.dims or (), seeds, budget=budget)
    if options.study == "temporal":
        seeds, budget = options.data_seeds or (), setting.budget
        return temporal_jobs(folder, options.temporal, options.dims or (), seeds, budget=budget)
    return study_jobs(
        folder,
        setting,
        dims=options.dims or (),
        data=options.data or (),
        methods=methods,
        data_seeds=options.data_seeds or (),
        model_seeds=model_seeds,
        name_data=options.study == "models",
    )


def _run_job(job: Job | PixelJob | ViolationJob | CoverageJob | TemporalJob) -> None:
    if isinstance(job, CoverageJob):
        run_coverage_job(job)
    elif isinstance(job, TemporalJob):
        run_temporal_job(job)
    elif isinstance(job, PixelJob):
        run_pixel_job(job)
    elif isinstance(job, ViolationJob):
        run_violation_job(job)
    else:
        run_job(job)
