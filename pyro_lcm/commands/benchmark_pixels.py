"""``pyro-lcm benchmark pixels``: what comes before its fits, images and codes, and after them, the report."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyro_lcm.commands.console import busy, progress_bar, say
from pyro_lcm.commands.simulate_circuit import simulate_circuit
from pyro_lcm.commands.simulate_scene import simulate_scene
from pyro_lcm.data.causal_circuit.render import rendering_problem
from pyro_lcm.process.jobs import run_jobs
from pyro_lcm.studies.pixels import (
    CIRCUIT,
    IN_SPACE,
    OBJECTS3D,
    SCENES,
    CodeJob,
    PixelJob,
    PixelSetting,
    draw_run,
    open_sets,
    run_code_job,
    write_pixel_report,
)

logger = logging.getLogger(__name__)

__all__ = ["available_scenes", "check_given", "prepare", "report"]


def available_scenes(setting: PixelSetting) -> tuple[str, ...]:
    """The scenes that were asked for, or all that there are images of or can be; those left out are told."""
    if setting.scenes is not None:
        return setting.scenes
    problem = rendering_problem()
    if problem is None:
        return SCENES
    left_out = [name for name in IN_SPACE if name != CIRCUIT or setting.circuit is None]
    say(f"left out: {', '.join(left_out)} ({problem})")
    return tuple(name for name in SCENES if name not in left_out)


def check_given(setting: PixelSetting) -> None:
    """Check a set that was given, before anything is written.

    Raises:
        ValueError: If a split is missing, damaged or too small.
    """
    if setting.circuit is not None:
        try:
            open_sets(Path(setting.circuit), CIRCUIT)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"--pixels.circuit: {error}") from error


def prepare(jobs: Iterable[PixelJob], setting: PixelSetting, processes: int) -> None:
    """Render the images of fits that are to be run, and find their codes; what is there is left.

    Args:
        jobs: The fits.
        setting: What the study is made with.
        processes: Renderers and codes at a time.

    Raises:
        CommandFailed: If nothing can be rendered here.
    """
    codes = {job.code.folder.name: job.code for job in jobs}
    for code in codes.values():
        if setting.circuit is None or code.scene != CIRCUIT:
            _render(code, setting, processes)
    missing = {name: code for name, code in codes.items() if not code.done}
    if missing:
        say(f"finding {len(missing)} codes")
        with progress_bar(len(missing), "codes", "code") as bar:

            def tell(name: str) -> None:
                logger.info("finished the code of %s", name)
                bar.update()

            run_jobs(run_code_job, missing, processes=processes, done=tell)


def _render(code: CodeJob, setting: PixelSetting, processes: int) -> None:
    if code.scene == CIRCUIT:
        if not all((code.images / name).is_file() for name in ("train-0.npz", "test.npz")):
            sizes = {"pairs": setting.n, "n_val": 0, "n_test": setting.n_test}
            simulate_circuit(code.images, **sizes, size=setting.size, seed=code.seed, processes=processes)
        return
    if all((code.images / split).is_dir() for split in ("train", "test")):
        return
    simulate_scene(
        code.images,
        OBJECTS3D if code.scene == OBJECTS3D else "shapes",
        code.scene,
        {"train": setting.n, "test": setting.n_test},
        size=setting.size,
        seed=code.seed,
        edge_probability=setting.edge_probability,
        processes=processes,
    )


def report(folder: Path, setting: PixelSetting, jobs: Sequence[PixelJob], sound: Sequence[Path], scores: str) -> Path:
    """Draw, of each scene, what the first implicit model has found, and write the report.

    Args:
        folder: Of the study.
        setting: What it is made with.
        jobs: All its fits.
        sound: Run folders with scores.
        scores: The table.
    """
    first = {job.code.scene: job for job in reversed(jobs) if job.method == "ilcm" and job.folder in sound}
    drawn = {}
    for job in sorted(first.values(), key=lambda job: SCENES.index(job.code.scene)):
        try:
            with busy(f"drawing {job.folder.name}"):
                drawn[job.folder.name] = draw_run(job)
        except (FileNotFoundError, ValueError) as error:  # images may have been thrown away since
            say(f"no pictures of {job.folder.name}: {error}")
    return write_pixel_report(folder, setting, scores, drawn)
