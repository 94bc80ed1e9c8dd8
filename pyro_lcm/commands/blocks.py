"""What ``train`` and ``evaluate`` say of models of content and style."""

from __future__ import annotations

from pathlib import Path

from pyro_lcm.assessment.block_assessment import SCORES
from pyro_lcm.commands.console import busy, say
from pyro_lcm.commands.report import write_report
from pyro_lcm.commands.summary import scores_table
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.storage.text_files import write_json
from pyro_lcm.viz.run_figures import training_figure

__all__ = ["evaluate_blocks_run", "say_blocks"]


def say_blocks(model: LatentCausalModel) -> None:
    """Say which latents are content."""
    found = model.blocks()
    for name in ("content", "style"):
        latents = getattr(found, name)
        chosen = found.is_content if name == "content" else ~found.is_content
        how = f" (agreement {found.agreement[chosen].min():.3f} and more)" if latents else ""
        say(f"  {name}: {', '.join(latents) or 'no latent'}{how}")


def evaluate_blocks_run(
    folder: Path, model: LatentCausalModel, pairs: InterventionPairs, *, rows: int, seed: int
) -> None:
    """Write ``metrics.json`` and the report, and show the scores.

    Args:
        folder: the run folder.
        model: the fitted model.
        pairs: test pairs.
        rows: used for regressions at most.
        seed: of the rows that are fitted.
    """
    with busy("scoring"):
        scores = model.evaluate(pairs, dci_rows=rows, seed=seed)
        write_json(folder / "metrics.json", {**scores, "pairs": len(pairs)})
        training_figure(folder)
        write_report(folder)
    say(scores_table(scores, (*SCORES, "elbo")))
    say(f"wrote {folder / 'metrics.json'} and {folder / 'report.html'}")
