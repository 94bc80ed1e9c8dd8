"""Files that the commands read, and places that they write to: nothing is written over unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pyro_lcm.commands.options import Images, Tables
from pyro_lcm.text_files import write_text

if TYPE_CHECKING:
    from pyro_lcm.data.lazy import Rows
    from pyro_lcm.data.pairs import InterventionPairs

_AS_THEY_ARE = Images()
_AS_USUAL = Tables()


def load_pairs(
    path: str, *, mmap: bool = False, images: Images = _AS_THEY_ARE, tables: Tables = _AS_USUAL
) -> InterventionPairs:
    """Read pairs: an .npz file, a folder of .npy files, a table (.csv, .parquet), or a folder of image files.

    Raises:
        ValueError: If it is none, or not a sound one.
    """
    from pyro_lcm.data.pairs import InterventionPairs

    with _bad_data(path):
        return InterventionPairs.load(
            path, mmap=mmap, layout=images.layout, size=images.sides, before=tables.before, after=tables.after
        )


def load_observations(path: str, *, mmap: bool = False, images: Images = _AS_THEY_ARE) -> Rows | None:
    """Read observations that are in no pairs, or None if there are pairs, or nothing, at a path.

    Raises:
        ValueError: If they are not sound.
    """
    from pyro_lcm.data.loading import holds_observations, read_observations

    with _bad_data(path):
        if not holds_observations(Path(path)):
            return None
        return read_observations(path, mmap=mmap, layout=images.layout, size=images.sides)


@contextmanager
def _bad_data(path: str) -> Iterator[None]:
    """Name the path in whatever goes wrong."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error
    except (ValueError, OSError) as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path}: {text}") from error


def refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to write over files, unless asked to.

    Raises:
        ValueError: If one exists and ``overwrite`` is off.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise ValueError(f"--out: {path} exists; give another name, or --overwrite")


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
        before = yaml.safe_load(file.read_text(encoding="utf-8"))
        if before != made:
            changed = [key for key in made if not isinstance(before, dict) or before.get(key) != made[key]]
            raise ValueError(f"--out: {folder} holds {holds} with another {', '.join(changed)}; give another folder")
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"--out: {folder} holds something else than {kind}; give another folder")
    write_text(file, yaml.safe_dump(made, sort_keys=False))


def check_suffix(path: str, suffix: str) -> None:
    """Check how the name of a file to be written ends.

    Raises:
        ValueError: If it ends otherwise.
    """
    if Path(path).suffix != suffix:
        raise ValueError(f"--out: got {path!r}, expected a name that ends in {suffix}")
