"""``RUN/report.html``: whatever the commands have written into a run folder so far, in one file.

What was found comes first, how it was made last.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyro_lcm.commands.runs import OPTIONS, flat_options
from pyro_lcm.commands.summary import SCORES, edges_text, number_text
from pyro_lcm.storage.run_folder import CONFIG, read_config
from pyro_lcm.storage.text_files import read_json, read_yaml, reading, write_text
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS
from pyro_lcm.viz.report import Section, report_html
from pyro_lcm.viz.run_figures import FIGURES

SCORE_CAPTIONS = {
    "learned_against_true.png": "Learned variables against true ones, with the absolute rank correlation of each two.",
    "graph.png": "The one graph that the fit settled on, without its uncertainty. Beside a known truth, edges that are"
    " not in it are orange, those that were missed green and dashed.",
}
POSTERIOR_CAPTIONS = {
    "edge_probability.png": "Posterior probability of each edge, from the variable of the row to that of the column.",
    "equivalence.png": "What the rows say without what they leave open: a line where two variables are adjacent with a"
    " probability of a half and more (first number), an arrow where its direction has .9 and more of that (second).",
    "posterior_graph.png": "All edges with a posterior probability of at least 0.05 (0.5 beyond 20 variables), as wide"
    " and dark as they are probable; not a single graph. Where both directions are drawn, the data do not tell which it"
    " is. Places are those of the most probable graph.",
    "top_graphs.png": "The most probable single graphs, each with its share of the posterior; edges that the first does"
    " not have are orange.",
    "effects.png": "Average causal effects over the posterior: median, 50 % and 94 % intervals; at the right, the"
    " probability that there is a directed path.",
}
TRAINING_CAPTIONS = {
    "training.png": "Loss (negative ELBO, in nats a pair) against steps, a panel for each phase; losses of different"
    " phases are of different things. Held-out pairs are other pairs, so the two curves may lie apart; what matters is"
    " that the held-out one does not rise.",
}
CAPTIONS = SCORE_CAPTIONS | POSTERIOR_CAPTIONS | TRAINING_CAPTIONS
"""What each figure shows; also the order in which they come."""
_PROBABLE = 0.5
_BEST = ("disentanglement", "shd")
"""Scores that come first."""
_ORIGIN = {
    "model": "model",
    "pairs": "pairs trained on",
    "held_out": "pairs held out",
    "date": "ended (UTC)",
    "seed": "seed",
    "device": "device",
    "precision": "precision",
}
"""Keys of the configuration that are shown, and what they are called."""
CHECK, SCORED, EDGES = "check.json", "metrics.json", "edges.csv"


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
    images = {f"{name}.png": caption for name, caption in IMAGE_CAPTIONS.items()}
    parts: tuple[tuple[str, str, Callable[[Path], dict[str, Any]], Mapping[str, str]], ...] = (
        (CONFIG, "What was found", _found, images),
        (CHECK, "Check without truth", _check, {}),
        (SCORED, "Scores against the truth", _scores, SCORE_CAPTIONS),
        ("graph.txt", "Posterior over graphs", _posterior, POSTERIOR_CAPTIONS),
        (CONFIG, "How it was made", _origin, TRAINING_CAPTIONS),
    )
    sections = [
        section
        for name, heading, content, captions in parts
        if (section := _section_of(folder / name, heading, content, captions)) is not None
    ]
    target = folder / "report.html"
    write_text(target, report_html(f"pyro_lcm: {folder.name}", sections))
    return target


def _section_of(
    file: Path, heading: str, content: Callable[[Path], dict[str, Any]], captions: Mapping[str, str]
) -> Section | None:
    """A section on a file and figures, if any is there; it says what is wrong with a damaged file."""
    paths = [(file.parent / FIGURES / name, caption) for name, caption in captions.items()]
    figures = [(path, caption) for path, caption in paths if path.is_file()]
    if not file.is_file():
        return Section(heading, figures=figures) if figures else None
    try:
        with reading(file):
            return Section(heading, figures=figures, **content(file))
    except ValueError as error:
        return Section(heading, text=str(error), figures=figures)


def _found(file: Path) -> dict[str, Any]:
    """The answer in a few lines: variables, graph, verdict, scores, as far as commands have told them."""
    folder, config = file.parent, read_config(file.parent)
    names = [str(name) for name in config.get("names", [])]
    rows = [("", ""), ("causal variables", f"{len(names)}: {', '.join(names)}")]
    check = read_json(folder / CHECK) if (folder / CHECK).is_file() else {}
    scores = read_json(folder / SCORED) if (folder / SCORED).is_file() else {}
    if check.get("adjacency") is not None:
        rows.append(("graph of the fit", edges_text(check["adjacency"], names)))
    if (folder / EDGES).is_file():
        rows.append((f"edges of probability {_PROBABLE} and more", _probable_edges(folder / EDGES)))
    if check:
        problems = [str(problem) for problem in check.get("problems", [])]
        rows.append(("check without truth", "; ".join(problems) or "no problem found"))
    elif not scores:
        rows.append(("check without truth", f"not made yet: pyro-lcm check {folder} --data FILE"))
    shown = [(SCORES[key][0], number_text(key, scores[key])) for key in _BEST if scores.get(key) is not None]
    rows += [(f"against the truth: {label}", value) for label, value in shown]
    return {"table": rows}


def _probable_edges(file: Path) -> str:
    with file.open(newline="", encoding="utf-8") as table:
        edges = [(row["parent"], row["child"], float(row["probability"])) for row in csv.DictReader(table)]
    texts = [f"{parent} -> {child} ({number:.2f})" for parent, child, number in edges if number >= _PROBABLE]
    return "; ".join(texts) or "none"


def _check(file: Path) -> dict[str, Any]:
    return {"text": str(read_json(file).get("text"))}


def _posterior(file: Path) -> dict[str, Any]:
    return {"text": file.read_text(encoding="utf-8")}


def _scores(file: Path) -> dict[str, Any]:
    scores = read_json(file)
    rows = [(label, number_text(key, scores.get(key)), good) for key, (label, good) in SCORES.items() if key in scores]
    return {"table": [("score", "value", "good"), *rows]}


def _origin(file: Path) -> dict[str, Any]:
    """Command, data, model, date, seed, device; versions at the end."""
    folder, config = file.parent, read_config(file.parent)
    options = _train_options(folder)
    rows = [("", "")]
    if options:
        given = {name: value for name, value in options.items() if name not in ("data", "out")}
        words = [_option_text(name, value) for name, value in given.items()]
        rows.append(("command", " ".join(["pyro-lcm train", str(options.get("data")), "--out", str(folder), *words])))
        rows.append(("data file", str(options.get("data"))))
    if config.get("features"):
        rows.append(("features of x", ", ".join(map(str, config["features"]))))
    rows += [(label, str(config[key])) for key, label in _ORIGIN.items() if key in config]
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
