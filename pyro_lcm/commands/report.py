"""``RUN/report.html``: whatever the commands have written into a run folder so far, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyro_lcm.commands.summary import SCORES, number_text
from pyro_lcm.run_folder import CONFIG, read_config
from pyro_lcm.text_files import read_json, write_text
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS
from pyro_lcm.viz.report import Section, report_html
from pyro_lcm.viz.run_figures import FIGURES

CAPTIONS = {
    "learned_against_true.png": "Learned against true variables, with absolute rank correlations.",
    "graph.png": "The graph. Beside a known truth, extra edges are orange, missing ones green and dashed.",
    "training.png": "Loss against steps, phase by phase.",
    "edge_probability.png": "Posterior probability of each edge.",
    "posterior_graph.png": "The most probable graph; width and opacity of edges by their probability.",
    "top_graphs.png": "The most probable graphs; what differs from the first is orange.",
    "effects.png": "Average causal effects: median, 50 % and 94 % intervals.",
}
"""What each figure shows; also the order in which they come."""


def write_report(folder: Path) -> Path:
    """Write the report of a run folder from the files in it.

    Args:
        folder: The run folder.

    Returns:
        The path of the report.
    """
    sections = []
    if (folder / CONFIG).is_file():
        sections.append(_run_section(read_config(folder)))
    if (folder / "metrics.json").is_file():
        scores = read_json(folder / "metrics.json")
        rows = [
            (label, number_text(key, scores.get(key)), good) for key, (label, good) in SCORES.items() if key in scores
        ]
        sections.append(Section("Scores against the truth", [("score", "value", "good"), *rows]))
    if (folder / "check.json").is_file():
        sections.append(Section("Check without truth", text=str(read_json(folder / "check.json").get("text"))))
    if (folder / "graph.txt").is_file():
        text = (folder / "graph.txt").read_text(encoding="utf-8")
        sections.append(Section("Posterior over graphs", text=text))
    seen = {f"{name}.png": caption for name, caption in IMAGE_CAPTIONS.items()}
    for heading, captions in (("To look at", seen), ("Figures", CAPTIONS)):
        paths = [(folder / FIGURES / name, caption) for name, caption in captions.items()]
        if found := [(path, caption) for path, caption in paths if path.is_file()]:
            sections.append(Section(heading, figures=found))
    target = folder / "report.html"
    write_text(target, report_html(f"pyro_lcm: {folder.name}", sections))
    return target


def _run_section(config: dict[str, Any]) -> Section:
    rows = [("", "")]
    rows += [(key, str(config[key])) for key in ("model", "seed", "pairs") if key in config]
    rows.append(("variables", ", ".join(config.get("names", []))))
    rows += [(name, str(version)) for name, version in config.get("versions", {}).items()]
    return Section("Run", rows)
