"""``RUN/report.html``: whatever the commands have written into a run folder so far, in one file.

What was found comes first, how it was made last.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyro_lcm.commands.runs import OPTIONS, flat_options
from pyro_lcm.commands.summary import SCORES, number_text
from pyro_lcm.run_folder import CONFIG, read_config
from pyro_lcm.text_files import read_json, read_yaml, reading, write_text
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS
from pyro_lcm.viz.report import Section, report_html
from pyro_lcm.viz.run_figures import FIGURES

CAPTIONS = {
    "graph.png": "The one graph that the fit settled on, without its uncertainty. Beside a known truth, edges that are"
    " not in it are orange, those that were missed green and dashed.",
    "learned_against_true.png": "Learned variables against true ones, with the absolute rank correlation of each two.",
    "posterior_graph.png": "All edges with a posterior probability of at least 0.05 (0.25 beyond 20 variables), as wide"
    " and dark as they are probable; not a single graph. Where both directions are drawn, the data do not tell which it"
    " is. Places are those of the most probable graph.",
    "edge_probability.png": "Posterior probability of each edge, from the variable down to the one across.",
    "top_graphs.png": "The most probable single graphs, each with its share of the posterior; edges that the first does"
    " not have are orange.",
    "effects.png": "Average causal effects over the posterior: median, 50 % and 94 % intervals; at the right, the"
    " probability that there is a directed path.",
    "training.png": "Loss (negative ELBO, in nats a pair) against steps, a panel for each phase; losses of different"
    " phases are of different things.",
}
"""What each figure shows; also the order in which they come."""


def views(folder: Path) -> list[Path]:
    """The report of a run folder and all figures that there may be in it."""
    names = [*CAPTIONS, *(f"{name}.png" for name in IMAGE_CAPTIONS)]
    return [folder / "report.html", *(folder / FIGURES / name for name in names)]


def write_report(folder: Path) -> Path:
    """Write the report of a run folder from the files in it.

    Args:
        folder: The run folder.

    Returns:
        The path of the report.
    """
    config = folder / CONFIG
    sections = [
        _section_of(folder / name, heading, content)
        for name, heading, content in (
            (CONFIG, "What was fitted", _model_section),
            ("metrics.json", "Scores against the truth", _scores_section),
            ("check.json", "Check without truth", lambda file: {"text": str(read_json(file).get("text"))}),
            ("graph.txt", "Posterior over graphs", lambda file: {"text": file.read_text(encoding="utf-8")}),
        )
        if (folder / name).is_file()
    ]
    seen = {f"{name}.png": caption for name, caption in IMAGE_CAPTIONS.items()}
    for heading, captions in (("To look at", seen), ("Figures", CAPTIONS)):
        paths = [(folder / FIGURES / name, caption) for name, caption in captions.items()]
        if found := [(path, caption) for path, caption in paths if path.is_file()]:
            sections.append(Section(heading, figures=found))
    if config.is_file():
        sections.append(_section_of(config, "How it was made", _origin_section))
    target = folder / "report.html"
    write_text(target, report_html(f"pyro_lcm: {folder.name}", sections))
    return target


def _section_of(file: Path, heading: str, content: Callable[[Path], dict[str, Any]]) -> Section:
    """A section on a file; a report says what is wrong with a damaged one rather than not be there."""
    try:
        with reading(file):
            return Section(heading, **content(file))
    except ValueError as error:
        return Section(heading, text=str(error))


def _scores_section(file: Path) -> dict[str, Any]:
    scores = read_json(file)
    rows = [(label, number_text(key, scores.get(key)), good) for key, (label, good) in SCORES.items() if key in scores]
    return {"table": [("score", "value", "good"), *rows]}


def _model_section(file: Path) -> dict[str, Any]:
    config = read_config(file.parent)
    names = config.get("names", [])
    rows = [("", ""), ("model", str(config.get("model"))), ("causal variables", f"{len(names)}: {', '.join(names)}")]
    labels = {"pairs": "pairs trained on", "held_out": "pairs held out"}
    return {"table": rows + [(label, str(config[key])) for key, label in labels.items() if key in config]}


def _origin_section(file: Path) -> dict[str, Any]:
    """Command, data, date, seed, device; versions at the end."""
    folder, config = file.parent, read_config(file.parent)
    options = _train_options(folder)
    rows = [("", "")]
    if options:
        given = {name: value for name, value in options.items() if name not in ("data", "out")}
        words = [_option_text(name, value) for name, value in given.items()]
        rows.append(("command", " ".join(["pyro-lcm train", str(options.get("data")), "--out", str(folder), *words])))
        rows.append(("data file", str(options.get("data"))))
    labels = {"date": "ended (UTC)", "seed": "seed", "device": "device", "precision": "precision"}
    rows += [(label, str(config[key])) for key, label in labels.items() if key in config]
    rows += [(f"version of {name}", str(version)) for name, version in config.get("versions", {}).items()]
    return {"table": rows}


def _train_options(folder: Path) -> dict[str, Any]:
    """Options that a run was trained with, less those that are as they are if not given; none if there is no record."""
    from pyro_lcm.commands.parsing import to_plain
    from pyro_lcm.commands.train_options import Options

    file = folder / OPTIONS
    if not file.is_file():
        return {}
    recorded = read_yaml(file)
    usual = flat_options(to_plain(Options(data="", out="")))
    return {name: value for name, value in flat_options(recorded).items() if value != usual.get(name)}


def _option_text(name: str, value: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    return f"{flag} {' '.join(map(str, value)) if isinstance(value, list) else value}"
