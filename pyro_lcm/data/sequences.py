"""Sequences of observations with known intervention targets: the data of temporal causal representation learning.

A system is seen in frames x_0, x_1, ..., and at each step it is known which of its K causal variables were intervened
on (CITRIS: Lippe, Magliacane, Loewe, Asano, Cohen, Gavves, ICML 2022, arXiv 2202.03169). A variable may have several
coordinates. A pair is a sequence of length two: :meth:`InterventionSequences.transitions` are all pairs of adjacent
frames.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.files import read_arrays, write_arrays
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.pixels import Layout, channels_first
from pyro_lcm.data.sequence_checks import KEYS, check_sequences, joined
from pyro_lcm.storage.text_files import reading

logger = logging.getLogger(__name__)

_PUBLISHED = {"images": "x", "latents": "z"}
"""Keys of the published files of CITRIS (its repository's data generation), and ours."""
_IGNORED = ("keys",)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class InterventionSequences:
    """Episodes of frames and of the targets between them, with the truth where it is known.

    Args:
        x: Frames, shape (T, ...) of one episode; or (E, T, ...) of E episodes of one length, where ``targets`` has
            three axes. Images as in :class:`~pyro_lcm.data.InterventionPairs`.
        targets: Known intervention targets, 0 and 1, shape (T - 1, K): row t says which variables were set on the way
            from frame t to frame t + 1; or (E, T - 1, K).
        lengths: Number of frames of each episode, shape (E,), if several of any lengths follow each other in ``x`` and
            ``targets``, which then has a row less for each episode.
        z: True causal variables, shape (T, n) or (E, T, n).
        variables: Which variable, 1 to K, or 0 for none, each column of ``z`` is a coordinate of, shape (n,); by
            default 1, 2, ...
        temporal_adjacency: True graph from one frame to the next, ``[parent, child]``, shape (K, K); it may have any
            cycles.
        adjacency: True graph within a frame, ``[parent, child]``, shape (K, K), acyclic.
        interactions: Where ``targets`` are actions, of which it is unknown what they act on: the truth of that, 0 and
            1, shape (A, K), a row for each of A columns of ``targets``. The number of variables is then K.
        layout: Of images, as in :class:`~pyro_lcm.data.InterventionPairs`.

    Raises:
        ValueError: If an array has the wrong shape, dtype, length or values; the message names the array,
            what came and what was expected.

    >>> sequences = InterventionSequences([[0.0], [1.0], [5.0]], [[0], [1]])
    >>> len(sequences), sequences.dim, sequences.episodes
    (2, 1, 1)
    >>> sequences.transitions().x_after.tolist()
    [[1.0], [5.0]]
    """

    _arrays: dict[str, NDArray[Any]]

    def __init__(
        self,
        x: ArrayLike,
        targets: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        z: ArrayLike | None = None,
        variables: ArrayLike | None = None,
        temporal_adjacency: ArrayLike | None = None,
        adjacency: ArrayLike | None = None,
        interactions: ArrayLike | None = None,
        layout: Layout | None = None,
    ) -> None:
        given = {
            "x": x,
            "targets": targets,
            "lengths": lengths,
            "z": z,
            "variables": variables,
            "temporal_adjacency": temporal_adjacency,
            "adjacency": adjacency,
            "interactions": interactions,
        }
        self._take({key: np.asarray(value) for key, value in given.items() if value is not None}, layout)

    def _take(self, arrays: dict[str, NDArray[Any]], layout: Layout | None) -> None:
        arrays = joined(arrays)
        arrays["x"] = channels_first(arrays["x"], "x", layout)
        check_sequences(arrays)
        for key in ("targets", "temporal_adjacency", "adjacency", "interactions"):
            if key in arrays:
                arrays[key] = arrays[key].astype(np.int8)
        if "z" in arrays:
            arrays.setdefault("variables", np.arange(1, arrays["z"].shape[1] + 1))
        object.__setattr__(self, "_arrays", arrays)

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False, layout: Layout | None = None) -> InterventionSequences:
        """Read sequences from an .npz file, or a folder of .npy files, with keys as in the constructor.

        The published files of CITRIS, with ``images``, ``latents`` and ``targets``, are read as they are.

        Args:
            path: The file or folder.
            mmap: Whether to map the arrays into memory rather than read them.
            layout: Of images, as in the constructor.

        Raises:
            FileNotFoundError: If there is nothing at ``path``.
            ValueError: If it is no such file, an array needs unpickling, a key is missing or an array is wrong.
        """
        path = Path(path)
        arrays = {_PUBLISHED.get(key, key): array for key, array in read_arrays(path, mmap=mmap).items()}
        for key in ("x", "targets"):
            if key not in arrays:
                raise ValueError(f"{path}: key {key!r} is missing; got {sorted(arrays)}, expected x and targets")
        if ignored := sorted(set(arrays) - set(KEYS) - set(_IGNORED)):
            logger.warning("%s: ignored the keys %s; known are %s", path, ignored, list(KEYS))
        sequences = object.__new__(cls)
        with reading(path, "sequences"):
            sequences._take({key: arrays[key] for key in KEYS if key in arrays}, layout)
        return sequences

    def save(self, path: str | Path) -> None:
        """Write the sequences, truth included, to an uncompressed .npz file.

        Args:
            path: Where to; its suffix must be .npz.

        Raises:
            ValueError: If the suffix is another one.
        """
        write_arrays(Path(path), self._arrays)

    @property
    def x(self) -> NDArray[Any]:
        """Frames of all episodes, one episode after the other, shape (F, ...)."""
        return self._arrays["x"]

    @property
    def targets(self) -> NDArray[np.int8]:
        """Which variables were intervened on at each step, shape (N, K)."""
        return self._arrays["targets"]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of frames of each episode, shape (E,)."""
        return self._arrays["lengths"]

    @property
    def z(self) -> NDArray[Any] | None:
        """True causal variables, shape (F, n)."""
        return self._arrays.get("z")

    @property
    def variables(self) -> NDArray[np.int64] | None:
        """Which variable each column of ``z`` belongs to, 0 for none, shape (n,)."""
        return self._arrays.get("variables")

    @property
    def temporal_adjacency(self) -> NDArray[np.int8] | None:
        """True graph from one frame to the next, ``[parent, child]``, shape (K, K)."""
        return self._arrays.get("temporal_adjacency")

    @property
    def adjacency(self) -> NDArray[np.int8] | None:
        """True graph within a frame, ``[parent, child]``, shape (K, K)."""
        return self._arrays.get("adjacency")

    @property
    def interactions(self) -> NDArray[np.int8] | None:
        """Which variables each action truly acts on, shape (A, K), where targets are actions."""
        return self._arrays.get("interactions")

    @property
    def dim(self) -> int:
        """Number of columns of ``targets``: of causal variables K, or of actions."""
        return int(self.targets.shape[1])

    @property
    def episodes(self) -> int:
        """Number of episodes E."""
        return len(self.lengths)

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one frame."""
        return tuple(self.x.shape[1:])

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of x: none, sequences are of arrays."""
        return ()

    def __len__(self) -> int:
        """Number of steps N from a frame to the next."""
        return len(self.targets)

    def __repr__(self) -> str:
        truth = [key for key in KEYS[3:] if key in self._arrays]
        return (
            f"InterventionSequences(steps={len(self)}, episodes={self.episodes}, variables={self.dim},"
            f" observation_shape={self.observation_shape}, truth={truth})"
        )

    @property
    def first_frames(self) -> NDArray[np.int64]:
        """The frame that each step starts from, shape (N,); the next one is where it ends."""
        last = np.cumsum(self.lengths) - 1
        return np.delete(np.arange(len(self.x)), last)

    def transitions(self) -> InterventionPairs:
        """All pairs of adjacent frames of an episode, their targets known: what a training step sees.

        Truth goes with them where each variable is one column of ``z``.
        """
        first = self.first_frames
        before = after = None
        if self.z is not None and self.variables is not None and self.variables.tolist() == [*range(1, self.dim + 1)]:
            before, after = self.z[first], self.z[first + 1]
        targets = self.targets.astype(np.int64)
        pairs = InterventionPairs(self.x[first], self.x[first + 1], targets=targets, z=before, z_after=after)
        return pairs.with_known_targets()

    @classmethod
    def of_pairs(cls, pairs: InterventionPairs) -> InterventionSequences:
        """Pairs whose targets are known as sequences of length two.

        Args:
            pairs: Known single targets, or rows of 0 and 1.

        Raises:
            ValueError: If some targets are unknown.
        """
        known = pairs.known_targets
        if known is None or known.min() < 0:
            raise ValueError("targets: got some that are unknown, expected pairs whose targets are all known")
        dim = pairs.dim or int(known.max())
        rows = known if known.ndim == 2 else (known[:, None] == np.arange(1, dim + 1)).astype(np.int8)
        z = None if pairs.z is None or pairs.z_after is None else np.stack([pairs.z, pairs.z_after], 1)
        return cls(np.stack([pairs.x, pairs.x_after], 1), rows[:, None], z=z)

    def episode(self, number: int) -> InterventionSequences:
        """One of the episodes, numbered from 0.

        Raises:
            IndexError: If there is none of this number, or it has a single frame.
        """
        if not 0 <= number < self.episodes:
            raise IndexError(f"number: got {number}, expected 0 to {self.episodes - 1}")
        return self.chosen([number])

    def chosen(self, episodes: Sequence[int] | NDArray[np.int64]) -> InterventionSequences:
        """Some of the episodes.

        Args:
            episodes: Their numbers, from 0.
        """
        ends = np.cumsum(self.lengths)
        frames = np.concatenate([np.arange(ends[e] - self.lengths[e], ends[e]) for e in episodes])
        steps = np.concatenate([np.arange(ends[e] - self.lengths[e] - e, ends[e] - e - 1) for e in episodes])
        return self._cut(frames, steps, self.lengths[np.asarray(episodes)])

    def split(self, fraction: float) -> tuple[InterventionSequences, InterventionSequences]:
        """The steps before a point in time of every episode, and those after it.

        Adjacent frames are alike, so what is held out has to be a stretch of its own. The frame at the point is in
        neither of them twice: it ends the first part, and the next begins with the one after it.

        Args:
            fraction: Share of each episode in the first part, in (0, 1).

        Returns:
            The two parts. Episodes too short to be cut, of fewer than four frames, are given to the one or the other.

        Raises:
            ValueError: If the fraction is out of range, or a part would be empty.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction: got {fraction}, expected a number in (0, 1)")
        first = np.rint(self.lengths * fraction).astype(np.int64)
        long = self.lengths >= 4
        first = np.where(long, np.clip(first, 2, self.lengths - 2), first)
        whole = np.arange(self.episodes) < round(self.episodes * fraction)
        first = np.where(long, first, np.where(whole, self.lengths, 0))
        starts = np.cumsum(self.lengths) - self.lengths
        parts = []
        for begin, end in ((np.zeros_like(first), first), (first, self.lengths)):
            kept = np.flatnonzero(end > begin)
            if not (end - begin > 1).any():
                raise ValueError(f"fraction: got {fraction} of {len(self)} steps, which leaves a part empty")
            frames = [np.arange(starts[e] + begin[e], starts[e] + end[e]) for e in kept]
            steps = [np.arange(starts[e] - e + begin[e], starts[e] - e + end[e] - 1) for e in kept]
            parts.append(self._cut(np.concatenate(frames), np.concatenate(steps), (end - begin)[kept]))
        return parts[0], parts[1]

    def _cut(
        self, frames: NDArray[np.int64], steps: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> InterventionSequences:
        chosen = dict(self._arrays) | {"x": self.x[frames], "targets": self.targets[steps], "lengths": lengths}
        if self.z is not None:
            chosen["z"] = self.z[frames]
        part = object.__new__(InterventionSequences)
        object.__setattr__(part, "_arrays", chosen)
        return part
