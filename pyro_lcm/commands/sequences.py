"""What ``train`` and ``evaluate`` do for models of sequences."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from pyro_lcm.assessment.sequence_assessment import sequence_scores
from pyro_lcm.causal.abilities import graph_of
from pyro_lcm.commands.console import busy, say, table
from pyro_lcm.commands.files import named, reading_data
from pyro_lcm.commands.options import Images
from pyro_lcm.commands.parsing import to_plain
from pyro_lcm.commands.report import write_report
from pyro_lcm.commands.runs import untouched_by_bad_input, write_options
from pyro_lcm.commands.summary import scores_table
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.commands.train_options import Options
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.lazy import Rows
from pyro_lcm.data.loading import holds_sequences, read_observations
from pyro_lcm.data.pixels import Layout
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.fitting.sequence_fitting import hold_out_ends
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.process.first_process import is_first_process
from pyro_lcm.storage.text_files import write_json
from pyro_lcm.viz.run_figures import training_figure

__all__ = ["evaluate_run", "load_frames", "load_sequences", "predict_run", "train_sequences"]

SCORES = (
    "r2_diag",
    "r2_sep",
    "spearman_diag",
    "spearman_sep",
    "temporal_shd",
    "shd",
    "interaction_accuracy",
    "triplet_r2",
    "elbo",
)


def load_sequences(path: str, *, mmap: bool = False, layout: Layout | None = None) -> InterventionSequences:
    """Read sequences; what is wrong with them is a ValueError that names the file."""
    with reading_data(path):
        return InterventionSequences.load(path, mmap=mmap, layout=layout)


def load_frames(path: str, shape: tuple[int, ...], *, mmap: bool = False, images: Images) -> Rows:
    """Read frames to be encoded, one after the other: of sequences, or frames alone, in episodes (E, T, ...) or not.

    Args:
        path: An .npz file or a folder of .npy files, of sequences or of ``x`` alone; an .npy file; or image files.
        shape: Of one frame.
        mmap: Whether to map arrays into memory.
        images: How images are read.

    Raises:
        ValueError: If there is nothing of the kind, or it is not sound.
    """
    with reading_data(path):
        if holds_sequences(Path(path)):
            return InterventionSequences.load(path, mmap=mmap, layout=images.layout).x
        rows = read_observations(path, mmap=mmap, layout=images.layout, size=images.sides)
    if isinstance(rows, np.ndarray) and rows.ndim == len(shape) + 2:
        return rows.reshape(-1, *rows.shape[2:])
    return rows


def train_sequences(options: Options, folder: Path) -> None:
    """Fit, and say what was found.

    Args:
        options: of the command.
        folder: the run folder, which may be written to.

    Raises:
        ValueError: if options or data do not fit.
    """
    for name, usual in (("fits", 1), ("start", None), ("candidates", None)):
        if getattr(options, name) != usual:
            raise ValueError(
                f"{name}: got {getattr(options, name)} for {options.model}, expected it for models of pairs"
            )
    if isinstance(options.dim_z, str):
        raise ValueError(f"dim_z: got {options.dim_z} for {options.model}, expected a number of latents")
    layout, mmap = options.images.layout, options.mmap
    sequences = load_sequences(options.data, mmap=mmap, layout=layout)
    held = None if options.validation is None else load_sequences(options.validation, mmap=mmap, layout=layout)
    with torch_threads(options.threads, default=1), untouched_by_bad_input(folder), named(options.data):
        training, held_out = hold_out_ends(sequences, 0.1 if held is None else held)
        write_options(folder, to_plain(options))
        start = time.perf_counter()
        model = LatentCausalModel(
            options.model, dim_z=options.dim_z, names=options.names, options=options.networks.given()
        ).fit(
            training,
            validation=held_out,
            seed=options.seed,
            out=folder,
            budget=options.budget,
            device=options.device,
            precision=options.precision,
            resume=options.resume,
            loggers=options.loggers,
        )
        if is_first_process():
            _report(folder, model, held_out, time.perf_counter() - start)


def _report(folder: Path, model: LatentCausalModel, held_out: InterventionSequences, seconds: float) -> None:
    """Say in a few lines what came out."""
    found, temporal = model.model.assignment.cpu().numpy(), model.model.temporal_adjacency.cpu().numpy()
    within = graph_of(model.model)
    say(f"{folder}: {model.model.variables} causal variables in {model.dim_z} latents in {seconds:.0f} s")
    for k in range(temporal.shape[0] + 1):
        own = ", ".join(np.array(model.names)[found == k])
        if own or k:
            parents = "" if k == 0 else _parents(temporal, k)
            if k and within is not None and within[:, k - 1].any():
                parents += f", on {', '.join(str(int(i) + 1) for i in within[:, k - 1].nonzero())} of its own"
            say(f"  {f'variable {k}' if k else 'no variable'}: {own or 'no latent'}{parents}")
    say(f"  held-out ELBO per step: {model.elbo(held_out):.3f} nats")
    training_figure(folder)
    say(f"next: pyro-lcm evaluate {folder} --data FILE, if FILE has the truth, or encode")


def _parents(temporal: np.ndarray, child: int) -> str:
    causes = [str(i + 1) for i in np.flatnonzero(temporal[:, child - 1])]
    return f"; depends on the frame before by {', '.join(causes) or 'nothing'}"


def evaluate_run(
    folder: Path,
    model: LatentCausalModel,
    data: str,
    *,
    rows: int,
    seed: int,
    mmap: bool = False,
    layout: Layout | None = None,
) -> None:
    """Write ``metrics.json`` and the report, and show the scores.

    Args:
        folder: the run folder.
        model: the fitted model.
        data: path of the sequences.
        rows: frames used at most.
        seed: of the frames that are predicted.
        mmap: whether to map the data into memory.
        layout: of images.
    """
    sequences = load_sequences(data, mmap=mmap, layout=layout)
    with named(data), busy("scoring"):
        scores, matrix = sequence_scores(model.fitted, sequences, rows=rows, seed=seed)
        kept: dict[str, object] = {**scores, "assignment": model.model.assignment.tolist(), "steps": len(sequences)}
        if matrix is not None:
            kept |= {"r2": matrix.r2.tolist(), "spearman": matrix.spearman.tolist()}
        write_json(folder / "metrics.json", kept)
        training_figure(folder)
        write_report(folder)
    say(scores_table(scores, SCORES).replace("ELBO per pair", "ELBO per step"))
    if matrix is None:
        say(f"{data} has no true variables")
    else:
        header = ("R2", *(f"variable {j + 1}" for j in range(matrix.r2.shape[1])))
        names = ("of none", *(f"latents of {i + 1}" for i in range(matrix.r2.shape[1])))
        rows_of_text = [(name, *(f"{v:.2f}" for v in row)) for name, row in zip(names, matrix.r2, strict=True)]
        say(table(header, rows_of_text))
    say(f"wrote {folder / 'metrics.json'} and {folder / 'report.html'}")


def predict_run(
    model: LatentCausalModel,
    values: dict[str, float],
    data: str,
    seen: str | None,
    out: Path,
    *,
    draws: int,
    seed: int,
    mmap: bool = False,
    layout: Layout | None = None,
) -> None:
    """Write what the frame after each frame becomes when latents are set, and show the means.

    Args:
        model: the fitted model.
        values: what latents are set to, by name.
        data: path of the sequences whose frames are gone on from.
        seen: path of the sequences that intervals are made of; those of ``data`` if None.
        out: file to write.
        draws: of each frame.
        seed: of the draws.
        mmap: whether to map the data into memory.
        layout: of images.
    """
    sequences = load_sequences(data, mmap=mmap, layout=layout)
    known = sequences if seen is None else load_sequences(seen, mmap=mmap, layout=layout)
    with named(data), busy("predicting"):
        how: dict[str, Any] = {"draws": max(10, draws), "seed": seed}
        natural = model.predict_next(sequences.x, **how)
        predicted = model.predict_next(sequences.x, values, seen=known, **how)
    arrays = {name: np.asarray(value) for name, value in vars(predicted).items() if value is not None}
    write_arrays(out, arrays | {"causal_natural": natural.causal, "x_natural": natural.x})
    header = ("latent", "next", "next when set", "change")
    means = zip(model.names, natural.causal.mean(0), predicted.causal.mean(0), strict=True)
    done = ", ".join(f"{name} = {value:g}" for name, value in values.items())
    say(f"do({done}), means over {len(sequences.x)} frames:")
    say(table(header, [(name, f"{a:.3f}", f"{b:.3f}", f"{b - a:.3f}") for name, a, b in means]))
    say(f"wrote {out}: nine of ten next frames are between x_low and x_high, each number by itself")
