"""Files that the commands read, and places that they write to: nothing is written over unasked.

The rule for all commands is :func:`refuse_existing`, or :func:`claim_folder` where a folder is gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyro_lcm.commands.options import Images, Resources, Tables
from pyro_lcm.storage.text_files import is_drawn, is_partial, read_yaml, reading, write_yaml

if TYPE_CHECKING:
    from pyro_lcm.data.lazy import Rows
    from pyro_lcm.data.pairs import InterventionPairs
    from pyro_lcm.lcm import LatentCausalModel

_AS_THEY_ARE = Images()
_AS_USUAL = Tables()


def load_pairs(
    path: str,
    *,
    mmap: bool = False,
    images: Images = _AS_THEY_ARE,
    tables: Tables = _AS_USUAL,
    features: Sequence[str] = (),
) -> InterventionPairs:
    """Read pairs: an .npz file, a folder of .npy files, a table (.csv, .parquet), or a folder of image files.

    Of a table the features are brought into the order of their names, if these are given.

    Raises:
        ValueError: If it is none, or not a sound one.
    """
    from pyro_lcm.data.pairs import InterventionPairs

    before, after = tables.sides
    with reading_data(path):
        pairs = InterventionPairs.load(
            path, mmap=mmap, layout=images.layout, size=images.sides, before=before, after=after
        )
        return pairs.in_order(features)


class ReadsPairs(Protocol):
    """Options of a command that reads pairs."""

    @property
    def data(self) -> str:
        """Path."""

    @property
    def images(self) -> Images:
        """How images are read."""

    @property
    def tables(self) -> Tables:
        """How tables are read."""

    @property
    def resources(self) -> Resources:
        """Whether arrays are mapped into memory."""


def refuse_sequences(model: LatentCausalModel) -> None:
    """Refuse a model of sequences, for what there is of pairs alone.

    Raises:
        ValueError: If it is one.
    """
    if model.fitted.temporal:
        raise ValueError(f"run: got one of {model.fitted.name}, a model of sequences, expected one of pairs")


def pairs_for(model: LatentCausalModel, options: ReadsPairs) -> InterventionPairs:
    """Read the pairs that a fitted model is to be used on, features in the order in which it knows them.

    Raises:
        ValueError: If they are not sound, or the model is of sequences.
    """
    refuse_sequences(model)
    return load_pairs(
        options.data,
        mmap=options.resources.mmap,
        images=options.images,
        tables=options.tables,
        features=model.features,
    )


def load_observations(path: str, *, mmap: bool = False, images: Images = _AS_THEY_ARE) -> Rows | None:
    """Read observations that are in no pairs, or None if there are pairs, or nothing, at a path.

    Raises:
        ValueError: If they are not sound.
    """
    from pyro_lcm.data.loading import holds_observations, read_observations

    with reading_data(path):
        if not holds_observations(Path(path)):
            return None
        return read_observations(path, mmap=mmap, layout=images.layout, size=images.sides)


@contextmanager
def reading_data(path: str) -> Iterator[None]:
    """Name the path in whatever goes wrong; what is not there is bad input too."""
    try:
        with reading(path, "a file or folder of data"):
            yield
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error


@contextmanager
def named(path: str) -> Iterator[None]:
    """Say in errors about data which file they came from, where nothing else does."""
    try:
        yield
    except ValueError as error:
        if path not in str(error) and not getattr(error, "__notes__", None):
            error.add_note(f"in {path}")
        raise


def refuse_existing(paths: Sequence[Path], overwrite: bool | None, *, views: Sequence[Path] = ()) -> None:
    """Refuse to write over files: the rule of all commands, asked before anything else is done.

    Args:
        paths: What is to be written.
        overwrite: Whether the user asked for it; None where that cannot be asked for.
        views: Reports and figures among them. Those that pyro-lcm drew itself are drawn anew, another's are not.

    Raises:
        ValueError: If one exists and ``overwrite`` is off.
    """
    if overwrite:
        return
    for path in [*paths, *(view for view in views if view.exists() and not is_drawn(view))]:
        if path.exists():
            advice = "give another folder" if overwrite is None else "give another name, or --overwrite"
            raise ValueError(f"--out: {path} exists; {advice}")


def claim_folder(folder: Path, record: str, made: Mapping[str, object], *, holds: str, kind: str) -> None:
    """Note in a folder what its content is made with, or check that it is the same as before.

    Args:
        folder: The folder; made if it is not there.
        record: Name of the YAML file in it.
        made: Plain values.
        holds: What a folder made otherwise is said to hold.
        kind: What a folder without the record is said not to hold.

    Raises:
        ValueError: If the folder was made otherwise, or holds something else.
    """
    file = folder / record
    if file.is_file():
        before = read_yaml(file)
        if before != made:
            changed = [key for key in {**made, **before} if key not in before or before[key] != made.get(key)]
            raise ValueError(f"--out: {folder} holds {holds} with another {', '.join(changed)}; give another folder")
        return
    if folder.is_dir() and not is_empty(folder):
        raise ValueError(f"--out: {folder} holds something else than {kind}; give another folder")
    write_yaml(file, made)


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, but for halves of files that a process left when it was killed."""
    return all(is_partial(path) for path in folder.iterdir())


def check_out(path: Path, *, tables: bool = True) -> None:
    """Check that the name of a file to be written is that of arrays or, where one will do, of a table.

    Raises:
        ValueError: If it ends otherwise, or such a table cannot be written here.
    """
    from pyro_lcm.data.tables import check_writable, is_table

    if tables and is_table(path):
        check_writable(path)
    elif path.suffix != ".npz":
        raise ValueError(
            f"--out: got {str(path)!r}, expected a name that ends in .npz{', .csv or .parquet' if tables else ''}"
        )
