"""``pyro-lcm train``: fit a latent causal model to a file of pairs, once or several times."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyro_lcm.commands.blocks import say_blocks
from pyro_lcm.commands.console import say
from pyro_lcm.commands.files import load_pairs, named, refuse_existing
from pyro_lcm.commands.fits import Fit, choose, fit_folders, write_choice
from pyro_lcm.commands.parsing import to_plain
from pyro_lcm.commands.report import views, write_report
from pyro_lcm.commands.runs import (
    holds_run,
    recorded_differences,
    untouched_by_bad_input,
    write_options,
)
from pyro_lcm.commands.sequences import train_sequences
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.commands.train_options import Options
from pyro_lcm.data.holdout import HELD_OUT, MIN_PAIRS, hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.dim_choice import Candidate, candidate_dims, chosen_dim, compare_dims
from pyro_lcm.fitting.design import check_dim_of_images
from pyro_lcm.fitting.image_fitting import find_code
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.process.first_process import is_first_process
from pyro_lcm.registry import spec_of
from pyro_lcm.storage.folder_lock import locked
from pyro_lcm.storage.run_folder import CODE, is_complete
from pyro_lcm.viz.run_figures import learned_graph_figure, save_image_figures, training_figure

POSITIONAL = ("data",)

logger = logging.getLogger(__name__)


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
    if spec_of(options.model).temporal:
        train_sequences(options, folder)
        return 0
    if spec_of(options.model).blocks and options.dim_z == "auto":
        raise ValueError(
            f"--dim-z: got auto for {options.model}, expected a number of latents; the fit says how many are content"
        )
    # What is wrong with it is said before all else.
    base = None if options.start is None else LatentCausalModel.load(options.start)
    pairs = load_pairs(
        options.data,
        mmap=options.mmap,
        images=options.images,
        tables=options.tables,
        features=() if base is None else base.features,
    )
    with named(options.data):
        if base is None:
            check_dim_of_images(pairs, options.dim_z)
        if options.known_targets:
            pairs = pairs.with_known_targets()
    held = None
    if options.validation is not None:
        held = load_pairs(
            options.validation,
            mmap=options.mmap,
            images=options.images,
            tables=options.tables,
            features=pairs.features,
        )
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
    coded = training.is_images and not spec_of(options.model).blocks
    if len(places) > 1 and coded and isinstance(options.dim_z, int):
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
    if model.fitted.blocks:
        say(f"{folder}: {model.dim_z} latents in {seconds:.0f} s")
        say_blocks(model)
        say(f"  held-out ELBO per pair: {best.elbo:.3f} nats")
        training_figure(folder)
        say(f"next: pyro-lcm evaluate {folder} --data FILE, if FILE has the truth, or encode")
        return
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
