"""Images that a command writes: a file for a single one, a folder of files for several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.image_files import SUFFIXES
from pyro_lcm.data.lazy import LazyRows, Rows
from pyro_lcm.storage.text_files import replacing


def picture_files(out: Path, rows: Rows) -> list[Path]:
    """Which files the images of some rows are written to.

    Args:
        out: A file for a single image; a folder, for files that are named as those that rows were read from, or by
            number.
        rows: Images, shape (N, C, H, W).

    Raises:
        ValueError: If a file is given for several images.

    >>> picture_files(Path("out"), np.zeros((2, 3, 8, 8)))
    [PosixPath('out/000000.png'), PosixPath('out/000001.png')]
    """
    if is_picture(out):
        if len(rows) != 1:
            raise ValueError(f"--out: got {str(out)!r} for {len(rows)} images, expected a folder, or a name in .npz")
        return [out]
    files = rows.files if isinstance(rows, LazyRows) else None
    names = [f"{i:06d}" for i in range(len(rows))] if files is None else [Path(file).stem for file in files]
    if len(set(names)) < len(names):  # from several folders
        names = [f"{i:06d}" for i in range(len(rows))]
    return [out / f"{name}.png" for name in names]


def is_picture(path: Path) -> bool:
    """Whether a path has the name of an image file."""
    return path.suffix.lower() in SUFFIXES


def write_pictures(files: Sequence[Path], images: NDArray[Any]) -> None:
    """Write images, each beside its place and renamed.

    Args:
        files: N names that end in .png, or in .jpg or .jpeg, which lose a little.
        images: Shape (N, C, H, W) with one channel or three, floats; what is beyond 0 to 1 is cut off.
    """
    from PIL import Image

    for file, image in zip(files, np.round(np.clip(images, 0, 1) * 255).astype(np.uint8), strict=True):
        with replacing(file) as partial:
            picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
            picture.save(partial, format=Image.registered_extensions()[file.suffix.lower()])
