"""Which figures a run folder gets, by what is known of the truth; all go to ``RUN/figures``."""

from __future__ import annotations

import logging
from pathlib import Path

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.alignment import Alignment
from pyro_lcm.lcm import Encoding, LatentCausalModel
from pyro_lcm.viz.graphs import graph_figure
from pyro_lcm.viz.image_figures import image_figures
from pyro_lcm.viz.latents import learned_against_true
from pyro_lcm.viz.style import save_figure
from pyro_lcm.viz.training import training_curves

FIGURES = "figures"

logger = logging.getLogger(__name__)


def latents_figure(
    folder: Path,
    model: LatentCausalModel,
    pairs: InterventionPairs,
    encoding: Encoding,
    alignment: Alignment | None,
) -> Path | None:
    """Draw learned against true causal variables, or noise encodings; None if neither truth is known."""
    learned, true = (encoding.causal, pairs.z) if pairs.z is not None else (encoding.noise, pairs.noise)
    if true is None or alignment is None:
        return None
    figure = learned_against_true(learned, true, names=model.names, permutation=alignment.permutation.tolist())
    return save_figure(figure, folder / FIGURES / "learned_against_true.png")


def learned_graph_figure(
    folder: Path, model: LatentCausalModel, pairs: InterventionPairs, alignment: Alignment | None
) -> Path | None:
    """Draw the graph that was read off, beside the true one if known; None if the model has no graph."""
    if not model.has_graph:
        return None
    adjacency, names, truth = model.adjacency(), model.names, None
    if pairs.adjacency is not None and alignment is not None:
        truth = pairs.adjacency
        adjacency = alignment.relabel_adjacency(adjacency)
        names = tuple(
            f"{model.names[i]}\n(true z{j})" if i >= 0 else f"(true z{j})"
            for j, i in enumerate(alignment.permutation, start=1)
        )
    return save_figure(graph_figure(adjacency, names, truth=truth), folder / FIGURES / "graph.png")


def save_image_figures(
    folder: Path, model: LatentCausalModel, pairs: InterventionPairs, alignment: Alignment | None = None
) -> list[Path]:
    """Draw what was found in images, one file for each of :func:`image_figures`; nothing if pairs are of no images."""
    if not pairs.is_images:
        return []
    figures = image_figures(model, pairs, alignment=alignment)
    return [save_figure(figure, folder / FIGURES / f"{name}.png") for name, figure in figures.items()]


def training_figure(folder: Path) -> Path | None:
    """Draw the losses of a run, or of its first fit; None if there are none."""
    for file in (folder / "metrics.csv", folder / "fit-1" / "metrics.csv"):
        try:
            figure = training_curves(file) if file.is_file() else None
        except ValueError as error:  # what a command found matters more than this figure
            logger.warning("no figure of the training: %s", error)
            return None
        if figure is not None:
            return save_figure(figure, folder / FIGURES / "training.png")
    return None
