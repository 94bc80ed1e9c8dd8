"""``pyro-lcm train``: fit a latent causal model to a file of pairs, once or several times."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyro_lcm.architecture import GraphWay
from pyro_lcm.commands.console import say
from pyro_lcm.commands.files import load_pairs, named, refuse_existing
from pyro_lcm.commands.fits import Fit, choose, fit_folders, write_choice
from pyro_lcm.commands.options import Images, Tables
from pyro_lcm.commands.parsing import INLINED, grouped, to_plain
from pyro_lcm.commands.report import views, write_report
from pyro_lcm.commands.runs import (
    holds_run,
    recorded_differences,
    untouched_by_bad_input,
    write_options,
)
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.holdout import HELD_OUT, MIN_PAIRS, hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.dim_choice import Candidate, candidate_dims, chosen_dim, compare_dims
from pyro_lcm.folder_lock import locked
from pyro_lcm.images.fitting import find_code
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS
from pyro_lcm.run_folder import CODE, is_complete
from pyro_lcm.training.driver import Precision
from pyro_lcm.training.processes import is_first_process
from pyro_lcm.viz.run_figures import learned_graph_figure, save_image_figures, training_figure

POSITIONAL = ("data",)
CHOICE = grouped("several fits, and the number of variables")
MACHINE = grouped("memory, precision, logs")

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    ModelName = str
else:  # the choices that the command shows
    ModelName = Literal[tuple(SPECS)]


@dataclass(frozen=True)
class Networks:
    """Sizes of the networks; what is not given is chosen by the recipe to suit the data.

    Args:
        hidden: Widths of the hidden layers between x and the code.
        flow_layers: Couplings of the flow between code and noise encodings; 0 makes it affine.
        flow_hidden: Width of the hidden layers of each coupling.
        solution_hidden: Widths of the hidden layers of each solution function.
        spline_bins: Bins of the spline behind each solution function, for interventions that are not Gaussian; 0 none.
        min_scale: Lower bound of the solution functions' scale, in units of the noise encodings.
        min_sd: Lower bound of the standard deviation of x given the noise encodings, x being standardised.
        graph: How elcm draws its graph; edges and all for at most 5 variables.
        edge_penalty: Nats by which elcm's prior disfavours an edge of a latent graph.
    """

    hidden: tuple[int, ...] | None = None
    flow_layers: int | None = None
    flow_hidden: int | None = None
    solution_hidden: tuple[int, ...] | None = None
    spline_bins: int | None = None
    min_scale: float | None = None
    min_sd: float | None = None
    graph: GraphWay | None = None
    edge_penalty: float | None = None

    def given(self) -> dict[str, Any]:
        """What was given, for :class:`pyro_lcm.LatentCausalModel`."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm train``.

    Args:
        data: Pairs: an .npz or a folder of .npy files with x and x_after; a table (.csv, .parquet) with the columns
            NAME_before and NAME_after for each feature; or image files, a folder of NAME_before.png and
            NAME_after.png or a CSV table of files with the columns before and after. Truth in it is not used.
        out: Run folder to write.
        model: Which generative program.
        dim_z: Number of causal variables, or auto for a choice by held-out ELBO; by default as many as x has
            directions in which it varies, less those that are noise of the sensors. Images need a number.
        candidates: Numbers of causal variables that auto chooses from; by default those around the number of
            directions that the two sides of a pair share.
        names: Names of the causal variables, in the order found; z1, z2, ... by default.
        start: Run folder of a fit to go on from with these pairs: its model, its standardiser, its names and its graph
            are kept, and --budget.refine steps are taken.
        end_to_end: Whether to train, beside --start of a run of images, the networks of its code together with all
            others, by the ELBO of the images.
        seed: Seed of everything random, at least 0.
        validation: Pairs file to hold out; by default a tenth of the data, of at most 10000 pairs.
        known_targets: Whether to use the intervention targets in the data.
        mmap: Whether to map the data into memory instead of reading it, for data larger than memory; checksums in the
            file are then not looked at.
        fits: Number of independent fits; the one with the best held-out ELBO becomes the run's.
        resume: Whether to go on with the run in the folder that was cut off.
        device: auto (a GPU if there is one), cpu, cuda, cuda:1, ...
        precision: Precision of the numbers, as Lightning Fabric names it.
        loggers: Further logs beside metrics.csv: tensorboard.
        threads: CPU threads; by default OMP_NUM_THREADS if set, else one, of images all cores.
        images: See there.
        tables: See there.
        budget: Optimizer steps.
        networks: Sizes of the networks.
    """

    data: str
    out: str
    model: ModelName = "ilcm"
    dim_z: int | Literal["auto"] | None = None
    candidates: tuple[int, ...] | None = field(default=None, metadata=CHOICE)
    names: tuple[str, ...] | None = None
    start: str | None = None
    end_to_end: bool = False
    seed: int = 0
    validation: str | None = None
    known_targets: bool = False
    mmap: bool = field(default=False, metadata=MACHINE)
    fits: int = field(default=1, metadata=CHOICE)
    resume: bool = False
    device: str = "auto"
    precision: Precision = field(default="32-true", metadata=MACHINE)
    loggers: tuple[str, ...] = field(default=(), metadata=MACHINE)
    threads: int | None = field(default=None, metadata=MACHINE)
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)
    budget: Budget = field(default_factory=Budget)
    networks: Networks = field(default_factory=Networks)

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("fits", 1), ("dim_z", 1), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value != "auto" and value < least:
                raise ValueError(f"{name}: got {value}, expected at least {least}")
        if self.dim_z == "auto" and self.fits > 1:
            raise ValueError(f"fits: got {self.fits} with --dim-z auto, expected 1; fit again with the number chosen")
        if self.candidates is not None and self.dim_z != "auto":
            raise ValueError("candidates: got some without --dim-z auto, expected them with it")
        if self.end_to_end and self.start is None:
            raise ValueError("end_to_end: got True without --start, expected the run of images to begin with")
        if self.start is not None:
            self._refuse_what_a_start_decides()

    def _refuse_what_a_start_decides(self) -> None:
        fresh = (("model", "ilcm"), ("dim_z", None), ("names", None), ("fits", 1), ("networks", Networks()))
        for name, default in fresh:
            if getattr(self, name) != default:
                raise ValueError(f"{name}: got one beside --start, expected that of the run which is gone on from")


def run(options: Options) -> int:
    """Fit, and say what was found."""
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file, expected a folder")
    if not is_first_process():  # the first one looks after the folder; the others would see what it writes
        return _train(options, folder)
    with locked(folder):
        if holds_run(folder):
            if not options.resume:
                raise ValueError(f"--out: {folder} holds a run; resume it (--resume), or give another folder")
            if lines := recorded_differences(folder, to_plain(options)):
                raise ValueError(f"--resume: the run in {folder} has other options: {'; '.join(lines)}")
            # Of images there is a report too, which is written after the parameters.
            if is_complete(folder) and ((folder / "report.html").is_file() or not (folder / CODE).is_dir()):
                say(f"{folder}: the run is finished; nothing to do")
                return 0
        refuse_existing([], None, views=views(folder))
        return _train(options, folder)


def _train(options: Options, folder: Path) -> int:
    """Read, fit and report, in a folder that may be written to."""
    if options.start is not None:
        LatentCausalModel.load(options.start)  # says what is wrong before anything is written
    pairs = load_pairs(options.data, mmap=options.mmap, images=options.images, tables=options.tables)
    if options.known_targets:
        with named(options.data):
            pairs = pairs.with_known_targets()
    held = None
    if options.validation is not None:
        held = load_pairs(options.validation, mmap=options.mmap, images=options.images, tables=options.tables)
    # Split once for all fits, so that their held-out ELBOs can be compared.
    with named(options.validation or options.data):
        training, held_out = hold_out(pairs, HELD_OUT if held is None else held, seed=options.seed)
    if len(held_out) < MIN_PAIRS:
        logger.warning(
            "%d pairs are held out, fewer than the %d that a verdict takes: none is given after the fit;"
            " --validation FILE gives more",
            len(held_out),
            MIN_PAIRS,
        )
    threads = torch_threads(options.threads, default=None if training.is_images else 1)
    with threads, untouched_by_bad_input(folder), named(options.data):
        write_options(folder, to_plain(options))
        try:
            start = time.perf_counter()
            fits = _fit_all(options, folder, training, held_out)
            if options.dim_z == "auto":
                compared = compare_dims([fit.model for fit in fits], held_out, seed=options.seed)
                best = fits[compared.index(chosen_dim(compared))]
            else:
                compared, best = (), choose(fits)
            if len(fits) > 1 and is_first_process():
                write_choice(folder, fits, best, compared)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"go on with: pyro-lcm train {options.data} --out {folder} --resume and the other options"
            ) from None
        if is_first_process():
            _report(folder, fits, best, compared, held_out, time.perf_counter() - start)
    return 0


def _fit_all(options: Options, folder: Path, training: InterventionPairs, held_out: InterventionPairs) -> list[Fit]:
    """Train the fits that are not finished yet."""
    places: list[tuple[Path, int, int | None]]
    if isinstance(options.dim_z, str):  # auto
        dims = candidate_dims(training, options.candidates, seed=options.seed)
        places = [(folder / f"dim-{dim}" if len(dims) > 1 else folder, options.seed, dim) for dim in dims]
    else:
        places = [(path, seed, options.dim_z) for path, seed in fit_folders(folder, options.fits, options.seed)]
    code = None
    if len(places) > 1 and training.is_images and isinstance(options.dim_z, int):
        # One code for all fits, so that their held-out ELBOs are of the same numbers.
        code = find_code(
            training,
            options.dim_z,
            seed=options.seed,
            out=folder,
            resume=options.resume,
            device=options.device,
            steps=options.budget.code,
        )
    fits = []
    for number, (path, seed, dim_z) in enumerate(places, start=1):
        if len(places) > 1:
            logger.info("fit %d of %d, seed %d, in %s", number, len(places), seed, path)
        if is_complete(path):
            model = LatentCausalModel.load(path)
        else:
            how: dict[str, Any] = {
                "validation": held_out,
                "seed": seed,
                "out": path,
                "budget": options.budget,
                "device": options.device,
                "resume": options.resume,
                "loggers": options.loggers,
            }
            with untouched_by_bad_input(path):
                if options.start is not None:
                    precision = None if options.precision == "32-true" else options.precision  # that of the run
                    start = LatentCausalModel.load(options.start)
                    model = start.fine_tune(training, precision=precision, end_to_end=options.end_to_end, **how)
                else:
                    model = LatentCausalModel(
                        options.model, dim_z=dim_z, names=options.names, options=options.networks.given()
                    ).fit(training, precision=options.precision, code=code, **how)
        fits.append(Fit(path, seed, model, model.elbo(held_out)))
    return fits


def _report(
    folder: Path,
    fits: list[Fit],
    best: Fit,
    compared: Sequence[Candidate],
    held_out: InterventionPairs,
    seconds: float,
) -> None:
    """Say in a few lines what came out."""
    from pyro_lcm.commands.summary import edges_text

    model = best.model
    others = [] if compared else [fit.model for fit in fits if fit is not best]
    report = model.check(held_out, fits=others) if len(held_out) >= MIN_PAIRS else None
    say(f"{folder}: {model.dim_z} causal variables in {seconds:.0f} s")
    if model.has_graph:
        say(f"  graph: {edges_text(model.adjacency(), model.names)}")
    say(f"  held-out ELBO per pair: {best.elbo:.3f} nats")
    for row in compared:
        say(f"  {row.to_text()}")
    if len(fits) > 1 and not compared:
        say("  fits: " + ", ".join(f"{fit.folder.name} {fit.elbo:.3f}" for fit in fits))
        say(f"  best: {best.folder.name}")
    for problem in () if report is None else report.problems:
        say(f"  PROBLEM: {problem}")
    if report is None:
        say(f"  check: none, of {len(held_out)} held-out pairs; {MIN_PAIRS} are the fewest to judge by")
    elif report.ok:
        say("  check: no problem found on the held-out pairs")
    for hint in () if report is None else report.hints:
        say(f"  NOTE: {hint}")
    if held_out.is_images:
        save_image_figures(folder, model, held_out)
        learned_graph_figure(folder, model, held_out, None)
        training_figure(folder)
        say(f"  to look at: {write_report(folder)}")
    say(f"next: pyro-lcm check {folder} --data FILE, or evaluate if FILE has the truth")
