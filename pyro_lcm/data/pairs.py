"""Pairs of observations: a system before and after an unknown intervention on one variable, or on none.

The data of weakly supervised causal representation learning (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022,
arXiv 2203.16437), with the truth beside them where a simulator knows it. The file is long because all places that
pairs come from, and all that can be asked of them, are methods of one class, a line or two each on functions beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.averaging import AveragedImages
from pyro_lcm.data.checks import KEYS, check_arrays
from pyro_lcm.data.columns import Columns
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.image_files import listed
from pyro_lcm.data.lazy import Rows, as_rows
from pyro_lcm.data.loading import open_image_pairs, read_columns, table_columns
from pyro_lcm.data.pixels import Layout, channels_first, is_image_shape, unit_range
from pyro_lcm.data.tables import TARGET
from pyro_lcm.frames import shown_in_notebook

if TYPE_CHECKING:
    import pandas as pd

Array: TypeAlias = NDArray[Any]
UNKNOWN_TARGET = -1
"""Stands for an unknown target in what :meth:`InterventionPairs.batch` returns."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class InterventionPairs:
    """N observations before and after an intervention, with the truth where it is known.

    An instance is immutable and is a data source of the training driver: ``len(pairs)`` and
    ``pairs.batch(index)``. Truth never enters a batch, unless :meth:`with_known_targets` says so.

    Args:
        x: Observations before, shape (N, D) or any (N, ...), floats or integers. Images are (N, C, H, W) or
            (N, H, W, C) of 1 or 3 channels, or 4 of which the last is opaque and is dropped: bytes (uint8, 0 to 255)
            or floats from 0 to 1.
        x_after: Observations after, the same shape.
        targets: True intervention targets, integers: shape (N,), 0 = none, i = variable i; or, where there are several
            at a time, shape (N, d), 1 for each target and 0 elsewhere.
        z: True causal variables before, shape (N, d).
        z_after: True causal variables after, shape (N, d).
        noise: True noise encodings before, shape (N, d).
        noise_after: True noise encodings after, shape (N, d): s^-1(z_after) with the solution function s of
            the model without interventions, which differs from ``noise`` in the target's component only.
        adjacency: True graph, ``[parent, child]``, shape (d, d), acyclic.
        layout: ``"NCHW"`` or ``"NHWC"``, of images in which both axes could be the channels.

    Raises:
        ValueError: If an array has the wrong shape, dtype, length or values; the message names the array,
            what came and what was expected.

    >>> pairs = InterventionPairs([[0.0, 1.0], [2.0, 3.0]], [[0.0, 5.0], [2.0, 3.0]], targets=[2, 0])
    >>> len(pairs), pairs.observation_shape, sorted(pairs.batch([0]))
    (2, (2,), ['x', 'x_after'])
    >>> pairs.with_known_targets().batch([1, 0])["targets"]
    tensor([0, 2])
    >>> seen = np.full((5, 64, 48, 3), 255, np.uint8)
    >>> images = InterventionPairs(seen, seen)
    >>> images.image_shape, float(images.batch([0])["x"].max())
    ((3, 64, 48), 1.0)
    """

    _columns: Columns
    _known_targets: NDArray[np.int64] | None

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
        layout: Layout | None = None,
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
        arrays |= {key: channels_first(arrays[key], key, layout) for key in ("x", "x_after")}
        check_arrays(arrays, limited=True)
        self._assign(Columns(arrays))

    def _assign(self, columns: Columns, known_targets: NDArray[np.int64] | None = None) -> None:
        object.__setattr__(self, "_columns", columns)
        object.__setattr__(self, "_known_targets", known_targets)

    @classmethod
    def _of_checked(cls, columns: Columns, known_targets: NDArray[np.int64] | None = None) -> InterventionPairs:
        """Make an instance from arrays that were checked before."""
        pairs = object.__new__(cls)
        pairs._assign(columns, known_targets)
        return pairs

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        mmap: bool = False,
        layout: Layout | None = None,
        size: int | tuple[int, int] | None = None,
        before: str | Sequence[str] | None = None,
        after: str | Sequence[str] | None = None,
    ) -> InterventionPairs:
        """Read pairs from a file or folder.

        Args:
            path: An .npz file with ``x``, ``x_after`` and optionally the truth (names as in the constructor),
                or a folder of .npy files with these names; other keys are ignored, with a warning in the log. Or
                image files, as in :meth:`from_files`; a table of numbers, as in :meth:`from_table`; or CausalCircuit
                in its published layout: the folder of the shards to train on, or its ``val.npz`` or ``test.npz``.
            mmap: Whether to map the arrays into memory rather than read them, for data larger than memory. An
                .npz file must then be uncompressed, as :meth:`save` writes it, and its checksums are not looked at.
                Image files are never all read, and tables always.
            layout: Of arrays of images, as in the constructor.
            size: What larger images are averaged to, as in :meth:`resized`.
            before: Of a table, the columns of the side before, as in :meth:`from_table`.
            after: Of a table, those of the side after.

        Returns:
            The pairs. Of memory-mapped ones only what is asked for is read, and floats once, in pieces, to check them.

        Raises:
            FileNotFoundError: If there is nothing at ``path``.
            ValueError: If it is not such a file or holds wrong arrays.
        """
        columns = read_columns(Path(path), mmap=mmap, layout=layout, size=size, before=before, after=after)
        pairs = cls._of_checked(columns)
        return pairs if size is None else pairs.resized(size)

    @classmethod
    def from_table(
        cls,
        table: str | Path | pd.DataFrame,
        *,
        before: str | Sequence[str] | None = None,
        after: str | Sequence[str] | None = None,
    ) -> InterventionPairs:
        """Make pairs from a table with a row for each pair and two columns for each feature.

        Args:
            table: A CSV file with a header, a Parquet file, or a pandas DataFrame. A column ``target`` is the true
                targets: 0 for none, i for variable i. Columns that are neither are left out.
            before: Columns of the side before: a list of names, or a pattern in which * is the name of the feature;
                by default ``"*_before"``.
            after: Those of the side after, by default ``"*_after"``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If columns are missing or hold something else than finite numbers; the message names them.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"p_before": [1.0, 2.0], "p_after": [1.5, 2.0]})
        >>> pairs = InterventionPairs.from_table(frame)
        >>> pairs.features, pairs.x_after.tolist()
        (('p',), [[1.5], [2.0]])
        """
        return cls._of_checked(table_columns(table, before=before, after=after))

    @classmethod
    def from_files(
        cls, path: str | Path, *, size: int | tuple[int, int] | None = None, workers: int | None = None
    ) -> InterventionPairs:
        """Open pairs of image files, PNG or JPEG, which are decoded as they are asked for.

        Args:
            path: A table (.csv) with the columns ``before`` and ``after``, files relative to it, and optionally the
                truth: ``target``, ``z1``, ``z2``, ..., ``z1_after``, ..., ``noise1``, .... Or a folder with such a
                table ``pairs.csv``, or with files ``NAME_before.png`` and ``NAME_after.png``.
            size: What larger images are averaged to, as in :meth:`resized`.
            workers: Threads that decode; by default one a core, at most 8.

        Returns:
            The pairs; ``x`` and ``x_after`` are :class:`pyro_lcm.data.image_files.ImageFiles`, or averages of them.

        Raises:
            FileNotFoundError: If there is nothing at ``path``.
            ValueError: If the table is wrong, or files are missing, unpaired, unreadable, of different sizes or some
                grey; the message lists them.
        """
        pairs = cls._of_checked(open_image_pairs(Path(path), workers=workers))
        return pairs if size is None else pairs.resized(size)

    def save(self, path: str | Path) -> None:
        """Write the pairs, truth included, to an uncompressed .npz file (which can be memory-mapped).

        The file is written beside its place and renamed, so a reader never sees half of one. What is not in memory
        is read in pieces.

        Args:
            path: Where to; its suffix must be .npz.

        Raises:
            ValueError: If the suffix is another one.
        """
        write_arrays(Path(path), {key: self._columns.unread(key) for key in self._columns.arrays})

    @property
    def x(self) -> Array:
        """Observations before, shape (N, ...); images (N, C, H, W) as they are kept: bytes or floats, maybe lazy."""
        return self._columns.get("x")  # type: ignore[no-any-return]

    @property
    def x_after(self) -> Array:
        """Observations after, as ``x``."""
        return self._columns.get("x_after")  # type: ignore[no-any-return]

    @property
    def targets(self) -> Array | None:
        """True intervention targets, shape (N,): 0 = none, i = variable i; or (N, d) of 0 and 1."""
        return self._columns.get("targets")  # type: ignore[no-any-return]

    @property
    def z(self) -> Array | None:
        """True causal variables before, shape (N, d)."""
        return self._columns.get("z")  # type: ignore[no-any-return]

    @property
    def z_after(self) -> Array | None:
        """True causal variables after, shape (N, d)."""
        return self._columns.get("z_after")  # type: ignore[no-any-return]

    @property
    def noise(self) -> Array | None:
        """True noise encodings before, shape (N, d)."""
        return self._columns.get("noise")  # type: ignore[no-any-return]

    @property
    def noise_after(self) -> Array | None:
        """True noise encodings after, shape (N, d)."""
        return self._columns.get("noise_after")  # type: ignore[no-any-return]

    @property
    def adjacency(self) -> Array | None:
        """True graph, ``[parent, child]``, shape (d, d)."""
        return self._columns.get("adjacency")  # type: ignore[no-any-return]

    @property
    def known_targets(self) -> NDArray[np.int64] | None:
        """What :meth:`with_known_targets` declared known, (N,) or (N, d), -1 where unknown; else None."""
        return self._known_targets

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of x, of pairs from a table; otherwise empty. :meth:`save` leaves them out."""
        return self._columns.features

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return tuple(self._columns.arrays["x"].shape[1:])

    @property
    def is_images(self) -> bool:
        """Whether observations are images, (C, H, W) with one channel or three."""
        return is_image_shape(self.observation_shape)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image.

        Raises:
            ValueError: If observations are no images.
        """
        if not self.is_images:
            raise ValueError(f"x: got observations of shape {self.observation_shape}, expected images")
        channels, height, width = self.observation_shape
        return channels, height, width

    @property
    def dim(self) -> int | None:
        """Number of true causal variables, if some truth tells it."""
        for key in ("z", "z_after", "noise", "noise_after", "adjacency"):
            if key in self._columns.arrays:
                return int(self._columns.arrays[key].shape[1])
        return None

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        truth = [key for key in KEYS[2:] if key in self._columns.arrays]
        return f"InterventionPairs(n={len(self)}, observation_shape={self.observation_shape}, truth={truth})"

    def _repr_html_(self) -> str:
        if self.is_images:
            return f"<code>{self!r}</code>"
        few = self[: min(len(self), 5)]
        return shown_in_notebook(repr(self), few.to_dataframe(), [f"the first {len(few)} of {len(self)} pairs"])

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each pair of vectors: ``x1_before``, ..., ``x1_after``, ..., and ``target`` where it is known.

        Features of pairs from a table have their own names.

        Raises:
            ValueError: If observations are no vectors.
        """
        import pandas as pd

        if len(self.observation_shape) != 1:
            raise ValueError(f"x: got observations of shape {self.observation_shape}, expected vectors for a table")
        features = self.features or tuple(f"x{i}" for i in range(1, self.observation_shape[0] + 1))
        columns = {
            f"{name}_{side}": values[:, i]
            for side, values in (("before", self.x), ("after", self.x_after))
            for i, name in enumerate(features)
        }
        targets = self.targets
        return pd.DataFrame(columns | ({TARGET: targets} if targets is not None and targets.ndim == 1 else {}))

    def __getitem__(self, index: slice | Sequence[int] | Array) -> InterventionPairs:
        """Select pairs by a slice, an array of indices or a boolean mask.

        A slice is a view. An array of indices copies the rows, but of pairs that are not in memory it only remembers
        them: ``pairs[i].x`` reads what is selected, or is lazy in turn if it is of image files.

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
            selected = as_rows(index, len(self))
            count = len(selected)
        if count == 0:
            raise ValueError(f"index: got an empty selection of {len(self)} pairs, expected at least one")
        known = None if self._known_targets is None else self._known_targets[selected]
        return self._of_checked(self._columns.chosen(selected), known)

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
        return self._of_checked(self._columns, masked)

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
        arrays = {key: self._columns.get(key) for key in self._columns.arrays if key not in ("x", "x_after")}
        if len(np.asarray(x)) != len(self):
            raise ValueError(f"x: got {len(np.asarray(x))} rows, expected {len(self)}")
        sides = {"x": np.asarray(x), "x_after": np.asarray(x_after)}
        arrays |= {key: channels_first(side, key) for key, side in sides.items()}
        check_arrays(arrays)
        return self._of_checked(Columns(arrays), self._known_targets)

    def in_order(self, features: Sequence[str]) -> InterventionPairs:
        """Bring the features of x into the order of their names, say that of the table that a model was fitted to.

        Args:
            features: Names; features that are not among them are left out.

        Returns:
            The pairs with these features; the same ones if names are unknown, here or there.

        Raises:
            ValueError: If one of the features is missing.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"p_before": [1.0], "q_before": [2.0], "p_after": [1.0], "q_after": [5.0]})
        >>> InterventionPairs.from_table(frame).in_order(["q", "p"]).x_after.tolist()
        [[5.0, 1.0]]
        """
        wanted = tuple(features)
        if not wanted or not self.features or wanted == self.features:
            return self
        if missing := [name for name in wanted if name not in self.features]:
            raise ValueError(
                f"x: got the features {listed(list(self.features))}, expected {missing[0]!r} among them,"
                " as in the table that the model was fitted to"
            )
        order = [self.features.index(name) for name in wanted]
        pairs = self.with_observations(self.x[:, order], self.x_after[:, order])
        return self._of_checked(replace(pairs._columns, features=wanted), self._known_targets)

    def resized(self, size: int | tuple[int, int]) -> InterventionPairs:
        """Average images to a smaller size, as they are asked for.

        Args:
            size: Height and width in pixels, or the shorter side; the longer one follows in proportion.

        Returns:
            Pairs with lazy ``x`` and ``x_after``, float32 from 0 to 1; the same pairs if that is their size.

        Raises:
            ValueError: If these are no images, they are smaller, or the longer side would not be whole.
        """
        arrays = self._columns.arrays
        sides = {key: AveragedImages(arrays[key], size) for key in ("x", "x_after")}
        if sides["x"].shape[1:] == self.observation_shape:
            return self
        return self._of_checked(Columns({**arrays, **sides}, self._columns.rows, mapped=True), self._known_targets)

    def unread_sides(self) -> tuple[Rows, Rows]:
        """``x`` and ``x_after``; rows that were selected of what is not in memory are read when they are asked for."""
        return self._columns.unread("x"), self._columns.unread("x_after")

    def in_memory(self) -> InterventionPairs:
        """Read all that is memory-mapped or lazy, for instance to decode image files once rather than every epoch."""
        return self._of_checked(self._columns.in_memory(), self._known_targets)

    def batch(self, index: Sequence[int] | Array | slice | torch.Tensor) -> dict[str, torch.Tensor]:
        """Read some pairs as tensors: what a training step sees.

        Args:
            index: Which pairs: a slice or a 1-d array (or tensor) of indices, in range.

        Returns:
            ``x`` and ``x_after``, float32, shape (B, ...), images (B, C, H, W) from 0 to 1; and ``targets``, int64,
            (B,) or (B, d), if :meth:`with_known_targets` was called. On the CPU.
        """
        selected = index if isinstance(index, slice) else np.asarray(index)
        result = {
            key: torch.from_numpy(unit_range(self._columns.read(key, selected), np.float32)) for key in ("x", "x_after")
        }
        if self._known_targets is not None:
            result["targets"] = torch.from_numpy(np.array(self._known_targets[selected]))
        return result
