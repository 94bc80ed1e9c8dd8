"""What a fitted model has found in images, to look at, whatever the model is able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.pixels import unit_range
from pyro_lcm.evaluation.alignment import Alignment
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.viz.images import (
    counterfactuals_figure,
    interventions_figure,
    pairs_figure,
    reconstructions_figure,
    traversals_figure,
    traverse,
)
from pyro_lcm.viz.thumbnails import thumbnails_graph_figure

Array = NDArray[Any]

IMAGE_CAPTIONS = {
    "pairs": "Pairs before and after an intervention; above each the target that was inferred, and its probability.",
    "reconstructions": "Images, and what their latents are decoded to.",
    "thumbnails_graph": "The graph; in each node its variable low and high, on one image, all others held.",
    "traversals": "One image, one variable at a time at five of its quantiles, all others held.",
    "interventions": "One image, one variable set to its 98 % quantile: all others held, and with its effects on them.",
    "counterfactuals": "Images, and what each would have been, had one variable been at its 98 % quantile.",
}
"""The figures that :func:`image_figures` draws, in the order in which one looks at them, and what each shows."""

_LEVELS = (0.02, 0.26, 0.5, 0.74, 0.98)
_ROWS = 512
"""Images that quantiles are taken of."""
_CANDIDATES = 64
"""Images out of which those are chosen that are shown."""
_PAIRS, _IMAGES, _VARIABLES = 10, 4, 12
"""Most pairs, images with their counterfactuals, and variables that are shown."""


def image_figures(
    model: LatentCausalModel,
    pairs: InterventionPairs,
    *,
    alignment: Alignment | None = None,
    true_names: Sequence[str] = (),
) -> dict[str, Figure]:
    """Draw what a fitted model has found in images: a few pairs, and what its variables do to them.

    Args:
        model: Fitted to images.
        pairs: Pairs of them; the first 512 at most are looked at.
        alignment: Of learned to true variables, if the truth is known: names the variables, and orders them.
        true_names: Of the true variables in that case; ``true z1``, ``true z2``, ... by default.

    Returns:
        Figures by their names in :data:`IMAGE_CAPTIONS`: without inferred targets, if the model has none; with
        a graph if it has one; with interventions and counterfactuals if its variables can be set. Where they cannot,
        the noise encodings are traversed.

    Raises:
        ValueError: If the observations are no images.
    """
    if not pairs.is_images:
        raise ValueError(f"pairs: got observations of shape {pairs.observation_shape}, expected images")
    few = pairs[: min(_ROWS, len(pairs))]
    x = unit_range(few.x)
    names, order = display_names(model.names, alignment, true_names)
    order = order[:_VARIABLES]
    shown = _that_changed(few)
    batch = few.batch(shown)
    seen, seen_after = batch["x"].numpy(), batch["x_after"].numpy()
    encoding = model.encode(x)
    can_set = _can_set(model)
    latents = encoding.causal if can_set else encoding.noise
    levels = np.quantile(latents, _LEVELS, axis=0)
    high = {i: float(levels[-1, i]) for i in order}
    row = _telling_row(model, x[:_CANDIDATES], latents, high if can_set else {})

    def decode(values: Array) -> Array:
        if not can_set:
            return model.decode(values)
        # With every variable set, nothing is left of the population that it happens to.
        return model.intervene(dict(zip(model.names, values.T, strict=True)), n=len(values)).x

    targets = model.infer_targets(x[shown], unit_range(few[shown].x_after)) if model.has_targets else None
    single = traverse(decode, latents[row], levels[[0, -1]])  # low and high
    figures = {
        "pairs": pairs_figure(seen, seen_after, targets, names),
        "reconstructions": reconstructions_figure(seen, model.decode(encoding.noise[shown])),
        "traversals": traversals_figure(
            decode,
            latents[row],
            levels,
            names,
            columns=[f"{100 * level:.0f} %" for level in _LEVELS],
            order=order,
        ),
    }
    labels = [names[i] for i in order]
    if model.has_graph:
        figures["thumbnails_graph"] = thumbnails_graph_figure(
            model.adjacency()[np.ix_(order, order)], single[order], labels
        )
    if can_set:
        one, several = x[row : row + 1], x[shown[:_IMAGES]]
        followed = [model.intervene({model.names[i]: high[i]}, x=one).x[0] for i in order]
        imagined = [model.counterfactual(several, {model.names[i]: high[i]}).x for i in order]
        as_it_is = model.decode(encoding.noise[row : row + 1])[0]
        figures["interventions"] = interventions_figure(as_it_is, single[order, 1], np.stack(followed), labels)
        figures["counterfactuals"] = counterfactuals_figure(seen[:_IMAGES], np.stack(imagined, axis=1), labels)
    return {name: figures[name] for name in IMAGE_CAPTIONS if name in figures}


def display_names(
    names: Sequence[str], alignment: Alignment | None, true_names: Sequence[str] = ()
) -> tuple[list[str], list[int]]:
    """Names of learned variables with the true ones in brackets, and the order to show them in: that of the truth.

    Args:
        names: Of the learned variables.
        alignment: Of learned to true variables, or None if no truth is known.
        true_names: Of the true variables.

    >>> from pyro_lcm.evaluation import align
    >>> alignment = align(np.eye(4, 3)[:, [1, 2, 0]], np.eye(4, 3)[:, :2])
    >>> display_names(["a", "b", "c"], alignment)
    (['a (true z2)', 'b', 'c (true z1)'], [2, 0, 1])
    """
    labels = list(names)
    if alignment is None:
        return labels, list(range(len(labels)))
    matched = []
    for true, learned in enumerate(alignment.permutation.tolist()):
        if learned >= 0:
            labels[learned] += f" ({true_names[true] if true_names else f'true z{true + 1}'})"
            matched.append(learned)
    return labels, matched + [i for i in range(len(labels)) if i not in matched]


def _that_changed(pairs: InterventionPairs) -> NDArray[np.int64]:
    """Rows of a few pairs whose sides differ; the first ones if none do."""
    first = pairs[: min(_CANDIDATES, len(pairs))]
    before, after = np.asarray(first.x), np.asarray(first.x_after)
    changed = np.flatnonzero((before != after).reshape(len(first), -1).any(axis=1))
    return (changed if len(changed) else np.arange(len(first)))[:_PAIRS]


def _can_set(model: LatentCausalModel) -> bool:
    try:
        model.program()
    except ValueError:  # no mechanisms, or no causal order, so that nothing can be set
        return False
    return True


def _telling_row(model: LatentCausalModel, x: Array, latents: Array, high: Mapping[int, float]) -> int:
    """The image on which variables set high change the others most: effects may be saturated elsewhere.

    If nothing can be set, the one whose latents are nearest to the medians.
    """
    spread = np.maximum(latents.std(axis=0), 1e-12)
    if not high:
        return int(np.abs((latents[: len(x)] - np.median(latents, axis=0)) / spread).sum(axis=1).argmin())
    before = latents[: len(x)]
    change = np.zeros(len(x))
    for i, value in high.items():
        after = np.asarray(model.intervene({model.names[i]: value}, x=x).causal)
        others = np.delete(np.abs(after - before) / spread, i, axis=1)
        change += np.minimum(others, 1.0).sum(axis=1)
    return int(change.argmax())
