"""Pictures of a model of CausalCircuit: pairs, traversals, interventions with their effects, graph over thumbnails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.data.causal_circuit import NAMES, CausalCircuit
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.report import align_to_truth
from pyro_lcm.images.reduction import ImageReduction, shrink
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.viz.images import graph_over_thumbnails, image_grid
from pyro_lcm.viz.style import save_figure

Array = NDArray[np.float64]

_PAIRS = 10
_LEVELS = (0.02, 0.26, 0.5, 0.74, 0.98)
_ROWS = 2000
_CANDIDATES = 200
"""Images out of which the one is chosen that interventions are shown on."""


def save_circuit_figures(
    folder: Path, model: LatentCausalModel, reduction: ImageReduction, images: CausalCircuit, pairs: InterventionPairs
) -> list[tuple[Path, str]]:
    """Draw what a fitted implicit model has found in images.

    Args:
        folder: Where the PNG files go.
        model: Fitted to the codes of images.
        reduction: That made the codes.
        images: Of any size; pictures are of 64 pixels.
        pairs: Their codes; the truth in them, if any, names the learned variables.

    Returns:
        Paths and captions.

    Raises:
        ValueError: If the model has no solution functions to intervene with.
    """
    few = pairs[: min(_ROWS, len(pairs))]
    encoding = model.encode(few.x)
    names, order = _names(model, few)
    levels = np.quantile(encoding.causal, _LEVELS, axis=0)
    low, high = levels[0], levels[-1]
    code = _telling_code(model, few.x[:_CANDIDATES], high)

    def paint(codes: Array) -> Array:
        with torch.no_grad():
            painted = reduction.decode(torch.as_tensor(np.asarray(codes), dtype=torch.float32))
        return _channels_last(painted)

    def edited(variable: int, value: float, *, effects: bool) -> Array:
        return paint(np.asarray(model.edit(code, {model.names[variable]: float(value)}, effects=effects).x))[0]

    figures: list[tuple[str, str]] = []

    def save(figure: Figure, name: str, caption: str) -> None:
        save_figure(figure, folder / name)
        figures.append((name, caption))

    shown = np.flatnonzero(np.abs(few.x_after - few.x).max(axis=1) > 0)[:_PAIRS]
    batch = images.batch(shown)
    sides = np.stack([_channels_last(shrink(batch[side])) for side in ("x", "x_after")])
    guessed = model.infer_targets(few.x[shown], few.x_after[shown]).argmax(axis=1)
    labels = [names[target - 1] if target else "none" for target in guessed]
    save(
        image_grid(sides, rows=["before", "after"], columns=labels),
        "pairs.png",
        "Pairs of images before and after an intervention; above them the target that was inferred.",
    )
    painted = paint(few.x[shown])
    save(
        image_grid(np.stack([sides[0], painted]), rows=["image", "code, painted"]),
        "reconstructions.png",
        "Images, and what their codes are painted as.",
    )
    traversals = np.stack([[edited(i, value, effects=False) for value in levels[:, i]] for i in order])
    save(
        image_grid(traversals, rows=[names[i] for i in order], columns=[f"{100 * level:.0f} %" for level in _LEVELS]),
        "traversals.png",
        "What each learned variable does: one image, one variable at five of its quantiles, without effects.",
    )
    acts = np.stack(
        [[paint(code)[0], edited(i, high[i], effects=False), edited(i, high[i], effects=True)] for i in order]
    )
    save(
        image_grid(
            acts,
            rows=[f"{names[i]} set high" for i in order],
            columns=["as it is", "without effects", "with effects"],
            size=1.3,
        ),
        "interventions.png",
        "One image, one variable set to its 98 % quantile: nothing else changed, and with the effects that follow.",
    )
    thumbnails = np.stack(
        [_thumbnail(edited(i, low[i], effects=False), edited(i, high[i], effects=False)) for i in order]
    )
    save(
        graph_over_thumbnails(model.adjacency()[np.ix_(order, order)], thumbnails, [names[i] for i in order]),
        "graph_over_thumbnails.png",
        "The learned graph; each picture is lit where its variable changes the image.",
    )
    return [(folder / name, caption) for name, caption in figures]


def _channels_last(images: Tensor) -> Array:
    return images.permute(0, 2, 3, 1).double().numpy()


def _telling_code(model: LatentCausalModel, codes: Array, high: Array) -> Array:
    """The code (1, k) on which variables set high change the others most: effects may be saturated elsewhere."""
    before = model.encode(codes).causal
    spread = before.std(axis=0)
    change = np.zeros(len(codes))
    for i, name in enumerate(model.names):
        after = np.asarray(model.intervene({name: float(high[i])}, x=codes).causal)
        others = np.delete(np.abs(after - before) / spread, i, axis=1)
        change += np.minimum(others, 1.0).sum(axis=1)
    best = int(change.argmax())
    return codes[best : best + 1]


def _thumbnail(low: Array, high: Array) -> Array:
    """The image with a variable high, dimmed where the variable changes nothing."""
    change = np.abs(high - low).max(axis=-1, keepdims=True)
    lit = np.clip(change / max(float(change.max()), 1e-12) * 1.5, 0.0, 1.0)
    return np.asarray((0.35 + 0.65 * lit) * np.maximum(high, low * (lit > 0.5)))


def _names(model: LatentCausalModel, pairs: InterventionPairs) -> tuple[list[str], list[int]]:
    """Names of the learned variables, with the true one in brackets if known, and the order to show them in."""
    names, order = list(model.names), list(range(len(model.names)))
    encoding = model.encode(pairs.x)
    alignment = align_to_truth(pairs, causal=encoding.causal, noise=encoding.noise)
    if alignment is None:
        return names, order
    for true, learned in zip(NAMES, alignment.permutation, strict=True):
        if learned >= 0:
            names[learned] = f"{names[learned]} ({true})"
    matched = [int(i) for i in alignment.permutation if i >= 0]
    return names, matched + [i for i in order if i not in matched]
