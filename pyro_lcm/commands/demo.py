"""``pyro-lcm demo``: simulate a system, learn it from pairs alone, and hold what was learned against the truth."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from pyro_lcm.commands.check import check_run
from pyro_lcm.commands.console import say
from pyro_lcm.commands.evaluate import evaluate_run
from pyro_lcm.commands.files import is_empty, refuse_existing
from pyro_lcm.commands.summary import edges_text, scores_table
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.folder_lock import locked
from pyro_lcm.storage.text_files import write_json

POSITIONAL = ()

MARK = "demo.json"
"""The file that marks a folder as the demo's own."""
SHOWN = ("disentanglement", "completeness", "mcc", "intervention_accuracy", "shd")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm demo``.

    Args:
        out: Run folder.
        overwrite: Whether to make room by deleting an earlier demo in it; anything else is left alone.
        dim: Number of causal variables.
        n: Number of pairs to train on.
        n_test: Number of pairs to score on.
        data_seed: Seed of the system that is simulated, at least 0.
        seed: Seed of the fit, at least 0.
        threads: CPU threads; by default OMP_NUM_THREADS if set, else one.
        budget: Optimizer steps.
    """

    out: str = "runs/demo"
    overwrite: bool = False
    dim: int = 4
    n: int = 100_000
    n_test: int = 10_000
    data_seed: int = 1
    seed: int = 0
    threads: int | None = None
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        check_least(dim=(self.dim, 1), n=(self.n, MIN_PAIRS), n_test=(self.n_test, MIN_PAIRS))
        check_least(data_seed=(self.data_seed, 0), seed=(self.seed, 0), threads=(self.threads, 1))


def run(options: Options) -> int:
    """Simulate, fit, score, draw."""
    folder, start = Path(options.out), time.perf_counter()
    system = ScalingSystem(options.dim, seed=options.data_seed)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file, expected a folder")
    for number in (options.n, options.n_test):
        system.check_number(number)
    with locked(folder):
        _clear(folder, options.overwrite)
        _demonstrate(options, folder, system, start)
    return 0


def _demonstrate(options: Options, folder: Path, system: ScalingSystem, start: float) -> None:
    say(
        f"A system of {system.dim} causal variables, of which only {system.width} mixed signals x are observed,\n"
        f"before and after an unknown intervention on one variable or on none: {options.n} pairs."
    )
    pairs, test = system.sample(options.n, seed=0), system.sample(options.n_test, seed=1)
    say("Learning variables, targets and graph from the pairs alone ...")
    with torch_threads(options.threads, default=1):
        model = LatentCausalModel("ilcm").fit(pairs, seed=options.seed, out=folder, budget=options.budget)
        fitted = time.perf_counter() - start
        say(f"... done after {fitted:.0f} s. Scoring on {options.n_test} new pairs, whose truth is known ...\n")
        scores = evaluate_run(folder, model, test)
        report = check_run(folder, model, test)
    say(scores_table(scores, SHOWN))
    say(f"\ngraph found: {edges_text(model.adjacency(), model.names)}  (variables come back in any order)")
    say("check without truth: " + ("no problem found" if report.ok else "; ".join(report.problems)))
    say(
        f"figures: {folder / 'figures' / 'learned_against_true.png'}, {folder / 'figures' / 'graph.png'};"
        f" all in {folder / 'report.html'}"
    )
    say(f"{time.perf_counter() - start:.0f} s in all")


def _clear(folder: Path, overwrite: bool) -> None:
    """Empty the folder of an earlier demo, if that was asked for, and mark it as the demo's own."""
    if not is_empty(folder) and not (folder / MARK).is_file():
        raise ValueError(f"--out: {folder} holds something else than a demo; give another folder")
    refuse_existing([folder / MARK], overwrite)
    write_json(folder / MARK, {"made_by": "pyro-lcm demo"})  # first, so that one cut off is a demo still
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != MARK:
            path.unlink()
