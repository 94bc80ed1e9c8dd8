"""Pairs of observations: a system before and after an unknown intervention on one variable, or on none.

The data of weakly supervised causal representation learning (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022,
arXiv 2203.16437), with the truth beside them where a simulator knows it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.checks import check_arrays
from pyro_lcm.data.files import read_arrays, write_arrays

logger = logging.getLogger(__name__)

Array: TypeAlias = NDArray[Any]

PER_PAIR_KEYS = ("x", "x_after", "targets", "z", "z_after", "noise", "noise_after")
"""What has one row a pair."""
KEYS = (*PER_PAIR_KEYS, "adjacency")
"""All that a pairs file may hold; ``x`` and ``x_after`` are needed, the rest is truth."""

UNKNOWN_TARGET = -1
"""Stands for an unknown target in what :meth:`InterventionPairs.batch` returns."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class InterventionPairs:
    """N observations before and after an intervention, with the truth where it is known.

    An instance is immutable and is a data source of the training driver: ``len(pairs)`` and
    ``pairs.batch(index)``. Truth never enters a batch, unless :meth:`with_known_targets` says so.

    Args:
        x: Observations before, shape (N, D) or (N, C, H, W) or any (N, ...); floats or integers.
        x_after: Observations after, the same shape.
        targets: True intervention targets, integers: shape (N,), 0 = none, i = variable i; or, where there are several
            at a time, shape (N, d), 1 for each target and 0 elsewhere.
        z: True causal variables before, shape (N, d).
        z_after: True causal variables after, shape (N, d).
        noise: True noise encodings before, shape (N, d).
        noise_after: True noise encodings after, shape (N, d): s^-1(z_after) with the solution function s of
            the model without interventions, which differs from ``noise`` in the target's component only.
        adjacency: True graph, ``[parent, child]``, shape (d, d), acyclic.

    Raises:
        ValueError: If an array has the wrong shape, dtype, length or values; the message names the array,
            what came and what was expected.

    >>> pairs = InterventionPairs([[0.0, 1.0], [2.0, 3.0]], [[0.0, 5.0], [2.0, 3.0]], targets=[2, 0])
    >>> len(pairs), pairs.observation_shape, sorted(pairs.batch([0]))
    (2, (2,), ['x', 'x_after'])
    >>> pairs.with_known_targets().batch([1, 0])["targets"]
    tensor([0, 2])
    """

    _arrays: Mapping[str, Array]
    _rows: NDArray[np.int64] | None
    _known_targets: NDArray[np.int64] | None
    _mapped: bool

    def __init__(
        self,
        x: ArrayLike,
        x_after: ArrayLike,
        *,
        targets: ArrayLike | None = None,
        z: ArrayLike | None = None,
        z_after: ArrayLike | None = None,
        noise: ArrayLike | None = None,
        noise_after: ArrayLike | None = None,
        adjacency: ArrayLike | None = None,
    ) -> None:
        given = {
            "x": x,
            "x_after": x_after,
            "targets": targets,
            "z": z,
            "z_after": z_after,
            "noise": noise,
            "noise_after": noise_after,
            "adjacency": adjacency,
        }
        arrays = {key: np.asarray(value) for key, value in given.items() if value is not None}
        check_arrays(arrays)
        self._assign(arrays)

    def _assign(
        self,
        arrays: Mapping[str, Array],
        rows: NDArray[np.int64] | None = None,
        known_targets: NDArray[np.int64] | None = None,
        mapped: bool = False,
    ) -> None:
        for name, value in (
            ("_arrays", arrays),
            ("_rows", rows),
            ("_known_targets", known_targets),
            ("_mapped", mapped),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def _of_checked(cls, *args: Any, **kwargs: Any) -> InterventionPairs:
        """Make an instance from arrays that were checked before."""
        pairs = object.__new__(cls)
        pairs._assign(*args, **kwargs)
        return pairs

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False) -> InterventionPairs:
        """Read a pairs file.

        Args:
            path: An .npz file with ``x``, ``x_after`` and optionally the truth (names as in the constructor),
                or a folder of .npy files with these names. Other keys are ignored, with a warning in the log.
            mmap: Whether to map the arrays into memory rather than read them, for data larger than memory. An
                .npz file must then be uncompressed, as :meth:`save` writes it.

        Returns:
            The pairs. Of memory-mapped ones only the rows asked for are read.

        Raises:
            FileNotFoundError: If there is nothing at ``path``.
            ValueError: If it is not such a file or holds wrong arrays.
        """
        arrays = read_arrays(Path(path), mmap=mmap)
        for key in ("x", "x_after"):
            if key not in arrays and (files := sorted(Path(path).glob("*.npz"))):
                listed = ", ".join(str(file) for file in files)
                raise ValueError(f"{path}: got a folder of pairs files, expected one of them: {listed}")
            if key not in arrays:
                raise ValueError(f"{path}: key {key!r} is missing; got {sorted(arrays)}, expected x and x_after")
        ignored = sorted(set(arrays) - set(KEYS))
        if ignored:
            logger.warning("%s: ignored the keys %s; known are %s", path, ignored, list(KEYS))
        known = {key: arrays[key] for key in KEYS if key in arrays}
        try:
            check_arrays(known)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return cls._of_checked(known, mapped=mmap)

    def save(self, path: str | Path) -> None:
        """Write the pairs, truth included, to an uncompressed .npz file (which can be memory-mapped).

        The file is written beside its place and renamed, so a reader never sees half of one.

        Args:
            path: Where to; its suffix must be .npz.

        Raises:
            ValueError: If the suffix is another one.
        """
        write_arrays(Path(path), {key: self._get(key) for key in self._arrays})

    def _get(self, key: str) -> Any:
        array = self._arrays.get(key)
        if array is None or self._rows is None or key not in PER_PAIR_KEYS:
            return array
        return array[self._rows]

    @property
    def x(self) -> Array:
        """Observations before, shape (N, ...)."""
        return self._get("x")  # type: ignore[no-any-return]

    @property
    def x_after(self) -> Array:
        """Observations after, shape (N, ...)."""
        return self._get("x_after")  # type: ignore[no-any-return]

    @property
    def targets(self) -> Array | None:
        """True intervention targets, shape (N,): 0 = none, i = variable i; or (N, d) of 0 and 1."""
        return self._get("targets")  # type: ignore[no-any-return]

    @property
    def z(self) -> Array | None:
        """True causal variables before, shape (N, d)."""
        return self._get("z")  # type: ignore[no-any-return]

    @property
    def z_after(self) -> Array | None:
        """True causal variables after, shape (N, d)."""
        return self._get("z_after")  # type: ignore[no-any-return]

    @property
    def noise(self) -> Array | None:
        """True noise encodings before, shape (N, d)."""
        return self._get("noise")  # type: ignore[no-any-return]

    @property
    def noise_after(self) -> Array | None:
        """True noise encodings after, shape (N, d)."""
        return self._get("noise_after")  # type: ignore[no-any-return]

    @property
    def adjacency(self) -> Array | None:
        """True graph, ``[parent, child]``, shape (d, d)."""
        return self._get("adjacency")  # type: ignore[no-any-return]

    @property
    def known_targets(self) -> NDArray[np.int64] | None:
        """What :meth:`with_known_targets` declared known, (N,) or (N, d), -1 where unknown; else None."""
        return self._known_targets

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return tuple(self._arrays["x"].shape[1:])

    @property
    def dim(self) -> int | None:
        """Number of true causal variables, if some truth tells it."""
        for key in ("z", "z_after", "noise", "noise_after", "adjacency"):
            if key in self._arrays:
                return int(self._arrays[key].shape[1])
        return None

    def __len__(self) -> int:
        return len(self._arrays["x"]) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        truth = [key for key in KEYS[2:] if key in self._arrays]
        return f"InterventionPairs(n={len(self)}, observation_shape={self.observation_shape}, truth={truth})"

    def __getitem__(self, index: slice | Sequence[int] | Array) -> InterventionPairs:
        """Select pairs by a slice, an array of indices or a boolean mask.

        A slice is a view. An array of indices copies the rows, but of memory-mapped pairs it only remembers
        them: ``pairs[i].x`` reads what is selected.

        Args:
            index: Which pairs; not a single integer (write ``pairs[i : i + 1]``).

        Returns:
            The selected pairs with their truth and known targets.

        Raises:
            ValueError: If the selection is empty or the index is not one of the three kinds.
            IndexError: If an index is out of range.
        """
        if isinstance(index, slice):
            selected: slice | NDArray[np.int64] = index
            count = len(range(*index.indices(len(self))))
        else:
            selected = self._as_rows(index)
            count = len(selected)
        if count == 0:
            raise ValueError(f"index: got an empty selection of {len(self)} pairs, expected at least one")
        known = None if self._known_targets is None else self._known_targets[selected]
        if self._rows is not None:
            return self._of_checked(self._arrays, self._rows[selected], known, self._mapped)
        if self._mapped and not isinstance(selected, slice):
            return self._of_checked(self._arrays, selected, known, self._mapped)
        arrays = {key: array[selected] if key in PER_PAIR_KEYS else array for key, array in self._arrays.items()}
        return self._of_checked(arrays, None, known, self._mapped)

    def _as_rows(self, index: Any) -> NDArray[np.int64]:
        rows = np.asarray(index)
        if rows.ndim == 1 and rows.dtype == bool and len(rows) == len(self):
            return np.flatnonzero(rows)
        if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
            raise ValueError(
                f"index: got {type(index).__name__} of shape {rows.shape} and dtype {rows.dtype}, expected a "
                f"slice, a 1-d array of integers or a boolean mask of length {len(self)}"
            )
        if len(rows) and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"index: got {rows.min()} to {rows.max()}, expected less than {len(self)} in size")
        return rows.astype(np.int64) % len(self)

    def split(self, fractions: Sequence[float], seed: int) -> tuple[InterventionPairs, ...]:
        """Split the pairs at random into disjoint parts.

        Args:
            fractions: Size of each part as a fraction of all, positive, with a sum of at most 1.
            seed: Seed of the permutation; the same seed gives the same parts.

        Returns:
            The parts, in the order of ``fractions``; each has at least one pair.

        Raises:
            ValueError: If the fractions are out of range or a part would be empty.

        >>> pairs = InterventionPairs(np.zeros((10, 2)), np.zeros((10, 2)))
        >>> [len(part) for part in pairs.split((0.8, 0.2), seed=0)]
        [8, 2]
        """
        if not fractions or min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
            raise ValueError(f"fractions: got {tuple(fractions)}, expected positive numbers with a sum of at most 1")
        ends = np.rint(np.cumsum(fractions) * len(self)).astype(int)
        starts = np.concatenate([[0], ends[:-1]])
        if (ends <= starts).any():
            raise ValueError(f"fractions: got {tuple(fractions)} of {len(self)} pairs, which leaves a part empty")
        order = np.random.default_rng(seed).permutation(len(self))
        return tuple(self[np.sort(order[start:end])] for start, end in zip(starts, ends, strict=True))

    def with_known_targets(self, rows: ArrayLike | None = None) -> InterventionPairs:
        """Let the batches say which variable was the target, of all pairs or of some.

        Args:
            rows: Boolean mask, shape (N,), of the pairs whose target is known; by default all.

        Returns:
            The same pairs; their batches have a key ``targets``, which is -1 where the target is unknown.

        Raises:
            ValueError: If the pairs have no ``targets`` or the mask has the wrong shape or dtype.
        """
        targets = self.targets
        if targets is None:
            raise ValueError("targets: got none, expected pairs with targets")
        known = np.ones(len(self), dtype=bool) if rows is None else np.asarray(rows)
        if known.shape != (len(self),) or known.dtype != bool:
            raise ValueError(
                f"rows: got shape {known.shape}, dtype {known.dtype}, expected a boolean mask ({len(self)},)"
            )
        masked = np.where(known if targets.ndim == 1 else known[:, None], targets.astype(np.int64), UNKNOWN_TARGET)
        return self._of_checked(self._arrays, self._rows, masked, self._mapped)

    def with_observations(self, x: ArrayLike, x_after: ArrayLike) -> InterventionPairs:
        """Put other observations in the place of x, e.g. standardised or encoded ones, and keep the truth.

        Args:
            x: Observations before, shape (N, ...).
            x_after: Observations after, the same shape.

        Returns:
            Pairs in memory with these observations and the targets known here, if any.

        Raises:
            ValueError: If an array is not as in the constructor or has another number of rows.
        """
        arrays = {key: self._get(key) for key in self._arrays}
        if len(np.asarray(x)) != len(self):
            raise ValueError(f"x: got {len(np.asarray(x))} rows, expected {len(self)}")
        arrays |= {"x": np.asarray(x), "x_after": np.asarray(x_after)}
        check_arrays(arrays)
        return self._of_checked(arrays, None, self._known_targets)

    def batch(self, index: Sequence[int] | Array | slice | torch.Tensor) -> dict[str, torch.Tensor]:
        """Read some pairs as tensors: what a training step sees.

        Args:
            index: Which pairs: a slice or a 1-d array (or tensor) of indices, in range.

        Returns:
            ``x`` and ``x_after``, float32, shape (B, ...); and ``targets``, int64, (B,) or (B, d), if
            :meth:`with_known_targets` was called. On the CPU.
        """
        selected = index if isinstance(index, slice) else np.asarray(index)
        rows = selected if self._rows is None else self._rows[selected]
        result = {key: _float32(self._arrays[key][rows]) for key in ("x", "x_after")}
        if self._known_targets is not None:
            result["targets"] = torch.from_numpy(np.array(self._known_targets[selected]))
        return result


def _float32(array: Array) -> torch.Tensor:
    """Copy an array into a float32 tensor; a copy, because a mapped array cannot be written to."""
    return torch.from_numpy(np.array(array, dtype=np.float32))
