"""From a path to observations: arrays in files, or image files that are decoded as they are asked for."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyro_lcm.data.averaging import AveragedImages
from pyro_lcm.data.checks import KEYS, check_arrays
from pyro_lcm.data.columns import Columns
from pyro_lcm.data.files import read_array, read_arrays
from pyro_lcm.data.image_files import SUFFIXES, ImageFiles
from pyro_lcm.data.lazy import Rows
from pyro_lcm.data.pair_tables import TABLE, find_pairs, image_files_in, is_named_as_side
from pyro_lcm.data.pixels import Layout, channels_first
from pyro_lcm.data.tables import Names, is_image_table, is_table, pairs_of_frame, read_frame
from pyro_lcm.storage.text_files import reading

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def holds_image_files(path: Path) -> bool:
    """Whether a path is a table (.csv), or a folder of image files rather than of arrays."""
    if not path.is_dir():
        return path.suffix.lower() == ".csv" and path.exists()
    return not any(path.glob("*.npy")) and ((path / TABLE).is_file() or bool(image_files_in(path)))


def split_of_circuit(path: Path) -> tuple[Path, Literal["train", "val", "test"]] | None:
    """The set and the split of it that a path is, if it is CausalCircuit in its published layout; None otherwise.

    Args:
        path: A folder of shards, of which those to train on are meant, or the file of a split.
    """
    if path.is_dir():
        shards = any(_is_shard(path / name) for name in ("train-0.npz", "train.npz"))
        return (path, "train") if shards else None
    for split in ("train", "val", "test"):
        if path.name == f"{split}.npz" and _is_shard(path):
            return path.parent, split
    return None


def _is_shard(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"imgs.npy", "intervention_labels.npy"} <= set(archive.namelist())


def holds_observations(path: Path) -> bool:
    """Whether a path is of observations that are in no pairs, see :func:`read_observations`."""
    keys = _keys(path)
    if path.is_dir():
        if not keys and not (path / TABLE).is_file():
            files = image_files_in(path)
            return bool(files) and not any(is_named_as_side(file) for file in files)
    elif path.suffix == ".npy" or path.suffix.lower() in SUFFIXES:
        return path.exists()
    return "x" in keys and "x_after" not in keys


def holds_sequences(path: Path) -> bool:
    """Whether a path is of frames and of targets between them, :class:`pyro_lcm.data.InterventionSequences`."""
    keys = _keys(path)
    return "targets" in keys and "x_after" not in keys and bool(keys & {"x", "images"})


def _keys(path: Path) -> set[str]:
    """Names of the arrays in a folder of .npy files or in an .npz file; none of anything else."""
    if path.is_dir():
        return {file.stem for file in path.glob("*.npy")}
    if not zipfile.is_zipfile(path):
        return set()
    with reading(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def read_pairs_file(path: Path, *, mmap: bool, layout: Layout | None) -> dict[str, Any]:
    """Read the arrays of pairs from an .npz file or a folder of .npy files, and check them.

    Args:
        path: The file or folder.
        mmap: Whether to map the arrays into memory.
        layout: Of images; see :func:`pyro_lcm.data.pixels.channels_first`.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is not such a file or holds wrong arrays.
    """
    arrays = read_arrays(path, mmap=mmap)
    for key in ("x", "x_after"):
        if key not in arrays and (files := sorted(path.glob("*.npz"))):
            listed = ", ".join(str(file) for file in files)
            raise ValueError(f"{path}: got a folder of pairs files, expected one of them: {listed}")
        if key not in arrays:
            other = "; sequences, frames with targets, take a model of theirs, citris" if "targets" in arrays else ""
            raise ValueError(f"{path}: key {key!r} is missing; got {sorted(arrays)}, expected x and x_after{other}")
    ignored = sorted(set(arrays) - set(KEYS))
    if ignored:
        logger.warning("%s: ignored the keys %s; known are %s", path, ignored, list(KEYS))
    known: dict[str, Any] = {key: arrays[key] for key in KEYS if key in arrays}
    try:
        known |= {key: channels_first(known[key], key, layout) for key in ("x", "x_after")}
        check_arrays(known, limited=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return known


def read_columns(
    path: Path,
    *,
    mmap: bool,
    layout: Layout | None,
    size: int | tuple[int, int] | None,
    before: Names | None,
    after: Names | None,
) -> Columns:
    """Read pairs from whatever there is at a path; arguments and errors are those of :meth:`InterventionPairs.load`.

    ``size`` is only checked: it is the pairs that are averaged.
    """
    named = before is not None or after is not None
    if is_table(path) and (named or not is_image_table(path)):
        _refuse_of_a_table(path, mmap=mmap, layout=layout, size=size)
        return table_columns(path, before=before, after=after)
    if named:
        raise ValueError(f"before, after: got columns for {path}, expected them for a table (.csv, .parquet) only")
    if holds_image_files(path):
        if layout is not None:
            raise ValueError(f"layout: got {layout!r} for image files, expected it for arrays only")
        return open_image_pairs(path)
    if (circuit := split_of_circuit(path)) is not None:
        from pyro_lcm.data.causal_circuit.reader import CausalCircuit

        return CausalCircuit(*circuit).columns()
    return Columns(read_pairs_file(path, mmap=mmap, layout=layout), mapped=mmap)


def table_columns(table: str | Path | pd.DataFrame, *, before: Names | None, after: Names | None) -> Columns:
    """The pairs of a table, a file or a DataFrame, with the names of their features."""
    if isinstance(table, str | Path):
        frame = read_frame(table)
        try:
            return table_columns(frame, before=before, after=after)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from error
    features, arrays = pairs_of_frame(table, before, after)
    check_arrays(arrays, limited=True)
    return Columns(arrays, features=features)


def open_image_pairs(path: Path, *, workers: int | None = None) -> Columns:
    """Open pairs of image files, see :func:`pyro_lcm.data.pair_tables.find_pairs`, with the truth of their table.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If files or table are wrong.
    """
    found = find_pairs(path)
    images = ImageFiles([*found.before, *found.after], workers=workers)
    count = len(found.before)
    arrays: dict[str, Any] = {"x": images.select(slice(count)), "x_after": images.select(slice(count, None))}
    arrays |= found.truth
    try:
        check_arrays(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Columns(arrays, mapped=True)


def read_observations(
    path: str | Path, *, mmap: bool = False, layout: Layout | None = None, size: int | tuple[int, int] | None = None
) -> Rows:
    """Read observations that are in no pairs, to be encoded.

    Args:
        path: An .npy file; an .npz file with ``x``; an image file (PNG, JPEG); or a folder of these, in the order of
            their names.
        mmap: Whether to map arrays into memory rather than read them.
        layout: Of arrays of images; by default it is told by the number of channels.
        size: What larger images are averaged to: height and width, or the shorter side.

    Returns:
        Shape (N, ...), images (N, C, H, W): an array, or rows that are decoded as they are asked for, which
        ``numpy.asarray`` and indexing read.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is something else, or holds what is no observation.

    >>> import tempfile, numpy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numpy.save(f"{folder}/seen.npy", numpy.zeros((10, 64, 64, 3), numpy.uint8))
    ...     read_observations(f"{folder}/seen.npy", size=32).shape
    (10, 3, 32, 32)
    """
    place = Path(path)
    single = place.suffix.lower() in SUFFIXES and not place.is_dir()
    if files := [place] if single else image_files_in(place) if place.is_dir() else []:
        if layout is not None:
            raise ValueError(f"layout: got {layout!r} for image files, expected it for arrays only")
        rows: Rows = ImageFiles(files)
    else:
        if place.suffix == ".npy":
            if not place.exists():
                raise FileNotFoundError(f"{path}: no such file or folder")
            arrays = {"x": read_array(place, mmap=mmap)}
        else:
            arrays = read_arrays(place, mmap=mmap)
        if "x" not in arrays:
            raise ValueError(f"{path}: key 'x' is missing; got {sorted(arrays)}")
        try:
            rows = channels_first(arrays["x"], "x", layout)
            check_arrays({"x": rows, "x_after": rows}, limited=True)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return rows if size is None else AveragedImages(rows, size)


def _refuse_of_a_table(path: Path, *, mmap: bool, layout: Layout | None, size: object) -> None:
    """A table of numbers is read at once, and has no images that could be laid out or averaged."""
    for name, value, meant in (
        ("layout", layout, "arrays of images"),
        ("size", size, "images"),
        ("mmap", mmap or None, ".npz files and folders of .npy files"),
    ):
        if value is not None:
            raise ValueError(f"{path}: got {name}={value!r} for a table of numbers, expected it for {meant} only")
