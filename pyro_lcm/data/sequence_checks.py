"""What a set of sequences must satisfy; every violation is a ValueError that names the array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.causal.dag import as_adjacency, topological_order
from pyro_lcm.data.checks import check_values
from pyro_lcm.data.pixels import is_image_shape

KEYS = ("x", "targets", "lengths", "z", "variables", "temporal_adjacency", "adjacency", "interactions")
"""All that a file of sequences may hold; ``x`` and ``targets`` are needed, the rest is boundaries and truth."""


def joined(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Episodes one after the other, with their lengths, of episodes in an axis of their own or already one.

    Args:
        arrays: By name. Where ``targets`` has three axes the first of it, of ``x`` and of ``z`` counts episodes.

    Returns:
        The arrays with frames as the first axis of ``x`` and ``z`` and transitions as that of ``targets``; and
        ``lengths``, (E,), the number of frames of each episode.

    Raises:
        ValueError: If lengths do not fit each other.
    """
    found = dict(arrays)
    x, targets = found["x"], found["targets"]
    if targets.dtype.kind not in "biuf":
        raise ValueError(f"targets: got dtype {targets.dtype}, expected zeros and ones")
    if targets.ndim == 3:
        if "lengths" in found:
            raise ValueError("lengths: got some beside targets of three axes, expected them for targets (steps, K)")
        episodes = targets.shape[:1]
        for key in ("x", "z"):
            if key in found and (found[key].ndim < 3 or found[key].shape[:2] != (*episodes, targets.shape[1] + 1)):
                raise ValueError(
                    f"{key}: got shape {found[key].shape}, expected ({episodes[0]}, {targets.shape[1] + 1}, ...):"
                    f" one frame more than there are steps in targets, {targets.shape}"
                )
        found["lengths"] = np.full(episodes, targets.shape[1] + 1)
        for key in ("x", "z", "targets"):
            if key in found:
                found[key] = found[key].reshape(-1, *found[key].shape[2:])
    if targets.ndim not in (2, 3):
        raise ValueError(f"targets: got shape {targets.shape}, expected (T - 1, K), or (E, T - 1, K) of E episodes")
    lengths = found.setdefault("lengths", np.array([len(x)]))
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min(initial=2) < 1 or not len(lengths):
        raise ValueError(f"lengths: got {lengths.tolist()}, expected a number of frames for each episode")
    frames, steps = int(lengths.sum()), int(lengths.sum() - len(lengths))
    if len(found["x"]) != frames:
        raise ValueError(f"x: got {len(found['x'])} frames, expected {frames}, the sum of lengths")
    if len(found["targets"]) != steps:
        raise ValueError(
            f"targets: got {len(found['targets'])} rows, expected {steps}: one for each step from a frame to the next"
        )
    return found


def check_sequences(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check the joined arrays of :class:`pyro_lcm.data.sequences.InterventionSequences`.

    Raises:
        ValueError: If anything is wrong; the message names the array, what came and what was expected.
    """
    x, targets = arrays["x"], arrays["targets"]
    if x.dtype.kind not in "iuf":
        raise ValueError(f"x: got dtype {x.dtype}, expected floats or integers")
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"x: got shape {x.shape}, expected (T, D) or (T, ...) with at least one feature")
    width = targets.shape[1]
    if not len(targets) or not width:
        raise ValueError(f"targets: got shape {targets.shape}, expected at least one step and one variable")
    if not np.isin(targets, (0, 1)).all():
        raise ValueError(f"targets: got values {targets.min()} to {targets.max()}, expected 0 and 1")
    if "interactions" in arrays:
        table = arrays["interactions"]
        if table.ndim != 2 or len(table) != width or not table.shape[1] or not np.isin(table, (0, 1)).all():
            raise ValueError(
                f"interactions: got shape {table.shape}, expected zeros and ones ({width}, K), a row an action"
            )
        width = table.shape[1]
    if "z" in arrays:
        z = arrays["z"]
        if z.ndim != 2 or len(z) != len(x) or z.shape[1] == 0 or z.dtype.kind not in "iuf":
            raise ValueError(
                f"z: got {z.dtype} of shape {z.shape}, expected numbers ({len(x)}, n), a row for each of x"
            )
        variables = arrays.get("variables", np.arange(1, z.shape[1] + 1))
        if variables.shape != (z.shape[1],) or variables.dtype.kind not in "iu":
            raise ValueError(f"variables: got shape {variables.shape}, expected ({z.shape[1]},) integers")
        if variables.min() < 0 or variables.max() > width:
            raise ValueError(
                f"variables: got {variables.min()} to {variables.max()}, expected 0 (none) to {width}, the number of"
                " variables: which variable each column of z belongs to"
            )
    elif "variables" in arrays:
        raise ValueError("variables: got some without z, expected z, whose columns they are of")
    if "temporal_adjacency" in arrays:
        matrix = arrays["temporal_adjacency"]
        if matrix.shape != (width, width) or not np.isin(matrix, (0, 1)).all():
            raise ValueError(
                f"temporal_adjacency: got shape {matrix.shape}, expected zeros and ones ({width}, {width})"
            )
    if "adjacency" in arrays:
        graph = as_adjacency(arrays["adjacency"])
        if len(graph) != width:
            raise ValueError(f"adjacency: got shape {graph.shape}, expected ({width}, {width}) as the targets")
        topological_order(graph)
    for key in ("x", "z"):
        if key in arrays:
            check_values(key, arrays[key], key == "x" and is_image_shape(x.shape[1:]))
