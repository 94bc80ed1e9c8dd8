"""``pyro-lcm evaluate``: score a fit against the truth in a file of pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pyro_lcm.commands import sequences
from pyro_lcm.commands.blocks import evaluate_blocks_run
from pyro_lcm.commands.console import busy, say
from pyro_lcm.commands.files import named, pairs_for, refuse_existing
from pyro_lcm.commands.options import Images, Resources, Tables
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.report import views, write_report
from pyro_lcm.commands.summary import scores_table
from pyro_lcm.commands.threads import available_cores, torch_threads
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.report import align_to_truth
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.storage.text_files import write_json
from pyro_lcm.viz.run_figures import latents_figure, learned_graph_figure, save_image_figures, training_figure

POSITIONAL = ("run",)

MAX_ROWS = 10_000
"""Most pairs that a figure is made of."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm evaluate``.

    Args:
        run: Run folder.
        data: Pairs file with the truth, or with some of it; of models of sequences a file of these.
        seed: Seed of the scores that are random, at least 0.
        dci_rows: Most pairs for disentanglement and completeness, or frames for R2.
        overwrite: Whether to replace a metrics.json that is there.
        images: See there.
        tables: See there.
        resources: See there.
    """

    run: str
    data: str
    seed: int = 0
    dci_rows: int = 10_000
    overwrite: bool = False
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)
    resources: Resources = field(default_factory=Resources, metadata=INLINED)

    def __post_init__(self) -> None:
        check_least(seed=(self.seed, 0), dci_rows=(self.dci_rows, 2))


def run(options: Options) -> int:
    """Write metrics.json, figures and the report, and show the scores."""
    folder = Path(options.run)
    refuse_existing([folder / "metrics.json"], options.overwrite, views=views(folder))
    model = LatentCausalModel.load(folder)
    if model.fitted.temporal:
        with torch_threads(options.resources.threads):
            sequences.evaluate_run(
                folder,
                model,
                options.data,
                rows=options.dci_rows,
                seed=options.seed,
                mmap=options.resources.mmap,
                layout=options.images.layout,
            )
        return 0
    pairs = pairs_for(model, options)
    with torch_threads(options.resources.threads) as threads, named(options.data):
        if model.fitted.blocks:
            evaluate_blocks_run(folder, model, pairs, rows=options.dci_rows, seed=options.seed)
            return 0
        scores = evaluate_run(folder, model, pairs, dci_rows=options.dci_rows, n_jobs=threads, seed=options.seed)
    say(scores_table(scores))
    if scores["mcc"] is None and scores["mcc_noise"] is None:
        say(f"{options.data} has no true variables; pyro-lcm check {folder} needs none")
    say(f"wrote {folder / 'metrics.json'}, {folder / 'figures'} and {folder / 'report.html'}")
    return 0


def evaluate_run(
    folder: Path,
    model: LatentCausalModel,
    pairs: InterventionPairs,
    *,
    dci_rows: int = 10_000,
    n_jobs: int | None = None,
    seed: int = 0,
) -> dict[str, float | None]:
    """Score a fit, and write ``metrics.json``, the figures and ``report.html`` into its folder.

    Args:
        folder: The run folder.
        model: The fitted model.
        pairs: Test pairs.
        dci_rows: Most rows for DCI.
        n_jobs: Factors that DCI works on at a time; all cores if None.
        seed: Seed of DCI.

    Returns:
        The scores; None where the truth is missing.
    """
    jobs = available_cores() if n_jobs is None else n_jobs
    with busy("scoring"):
        scores = model.evaluate(pairs, dci_rows=dci_rows, n_jobs=jobs, seed=seed)
        few = pairs[: min(len(pairs), MAX_ROWS)]
        encoding = model.encode(few.x)
        alignment = align_to_truth(few, causal=encoding.causal, noise=encoding.noise)
        matching = None
        if alignment is not None:
            matching = {
                f"z{j}": model.names[i] if i >= 0 else None for j, i in enumerate(alignment.permutation, start=1)
            }
        write_json(folder / "metrics.json", {**scores, "learned_variable_of": matching, "pairs": len(pairs)})
        latents_figure(folder, model, few, encoding, alignment)
        learned_graph_figure(folder, model, few, alignment)
        save_image_figures(folder, model, few, alignment)
        training_figure(folder)
        write_report(folder)
    return scores
