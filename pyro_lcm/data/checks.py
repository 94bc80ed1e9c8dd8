"""What a set of pairs must satisfy; every violation is a ValueError that names the array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.causal.dag import as_adjacency, topological_order
from pyro_lcm.data.lazy import LazyRows, Rows, chunks
from pyro_lcm.data.limits import LARGEST
from pyro_lcm.data.pixels import check_limit, is_image_shape

PER_PAIR_KEYS = ("x", "x_after", "targets", "z", "z_after", "noise", "noise_after")
"""What has one row a pair."""
KEYS = (*PER_PAIR_KEYS, "adjacency")
"""All that a pairs file may hold; ``x`` and ``x_after`` are needed, the rest is truth."""

_LATENT_KEYS = ("z", "z_after", "noise", "noise_after")


def check_arrays(arrays: Mapping[str, Any], *, limited: bool = False) -> None:
    """Check the arrays of :class:`pyro_lcm.data.InterventionPairs`.

    Bytes and lazy rows are not read, floats are, in pieces.

    Args:
        arrays: By name, as arrays or lazy rows; ``x`` and ``x_after`` must be there.
        limited: Whether images of floats have to lie in 0 to 1, or near; those in other units do not.

    Raises:
        ValueError: If anything is wrong; the message names the array, what came and what was expected.
    """
    for key, array in arrays.items():
        _check_dtype(key, array)
    x, x_after = arrays["x"], arrays["x_after"]
    if x.ndim < 2:
        raise ValueError(f"x: got shape {x.shape}, expected (N, D) or (N, ...) with at least two axes")
    if x.size == 0:
        raise ValueError(f"x: got shape {x.shape}, which is empty; expected at least one pair and one feature")
    if x_after.shape != x.shape:
        raise ValueError(f"x_after: got shape {x_after.shape}, expected the shape of x, {x.shape}")
    dim = _check_latents(arrays, len(x))
    if "targets" in arrays:
        _check_targets(arrays["targets"], len(x), dim)
    if "adjacency" in arrays:
        _check_graph(arrays["adjacency"], dim)
    for key, array in arrays.items():
        check_values(key, array, limited and key in ("x", "x_after") and is_image_shape(array.shape[1:]))


def _check_dtype(key: str, array: Rows) -> None:
    if key == "adjacency":
        allowed, words = "biuf", "zeros and ones"
    elif key == "targets":
        allowed, words = "iu", "integers"
    else:
        allowed, words = "iuf", "floats or integers"
    if array.dtype.kind not in allowed:
        raise ValueError(f"{key}: got dtype {array.dtype}, expected {words}")


def _check_latents(arrays: Mapping[str, NDArray[Any]], n_pairs: int) -> int | None:
    """Check the shapes of causal variables and noise encodings and return their number, if any is there."""
    dim: int | None = None
    for key in _LATENT_KEYS:
        if key not in arrays:
            continue
        shape = arrays[key].shape
        if len(shape) != 2 or shape[0] != n_pairs or shape[1] == 0:
            raise ValueError(f"{key}: got shape {shape}, expected ({n_pairs}, d), one row for each of x")
        if dim is not None and shape[1] != dim:
            raise ValueError(f"{key}: got shape {shape}, expected ({n_pairs}, {dim}) as the other latents")
        dim = shape[1]
    return dim


def _check_targets(targets: NDArray[Any], n_pairs: int, dim: int | None) -> None:
    if targets.ndim == 2:
        _check_sets(targets, n_pairs, dim)
        return
    if targets.shape != (n_pairs,):
        raise ValueError(f"targets: got shape {targets.shape}, expected ({n_pairs},), one for each row of x")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or (dim is not None and high > dim):
        limit = "d" if dim is None else str(dim)
        raise ValueError(f"targets: got values {low} to {high}, expected 0 (none) to {limit} (the last variable)")


def _check_sets(targets: NDArray[Any], n_pairs: int, dim: int | None) -> None:
    width = "d" if dim is None else dim
    if len(targets) != n_pairs or targets.shape[1] != (targets.shape[1] if dim is None else dim):
        raise ValueError(f"targets: got shape {targets.shape}, expected ({n_pairs},) or ({n_pairs}, {width})")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high > 1:
        raise ValueError(f"targets: got values {low} to {high} in sets of targets, expected 0 and 1")


def _check_graph(adjacency: NDArray[Any], dim: int | None) -> None:
    matrix = as_adjacency(adjacency)
    if dim is not None and len(matrix) != dim:
        raise ValueError(f"adjacency: got shape {matrix.shape}, expected ({dim}, {dim}) as the latents")
    topological_order(matrix)


def check_values(key: str, array: Rows, limited: bool) -> None:
    """Check that floats are finite and not too large, and, if ``limited``, that they are pixels of 0 to 1 or near."""
    if array.dtype.kind != "f" or isinstance(array, LazyRows):
        return
    for rows in chunks(array):
        piece = array[rows]
        finite = np.isfinite(piece)
        if not finite.all():
            place = np.argwhere(~finite)[0]
            place[0] += rows.start
            value = array[tuple(place)]
            raise ValueError(f"{key}: got {value} at index {tuple(place.tolist())}, expected finite numbers")
        if piece.itemsize > 4 and np.abs(piece).max(initial=0) > LARGEST:
            raise ValueError(f"{key}: got {np.abs(piece).max():g}, expected numbers of at most {LARGEST:g} in size")
        if limited:
            check_limit(piece, key)
