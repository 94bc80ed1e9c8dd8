"""The published layout of CausalCircuit: shards of arrays, one row a pair, images as JPEG bytes.

    original_latents     (N, 2, 4) float64   red, green, blue, arm, before and after
    epsilon              (N, 2, 4) float64   noise encodings; after the intervention those of the model without it
    imgs                 (N, 2)    bytes     JPEG files
    pressed              (N, 2, 3) float64   how far the arm presses the red, green and blue button, 0 to 1
    intervention_labels  (N,)      int64     0 none, 1 to 4 the variable
    intervention_masks   (N, 4)    bool      which variable

Training data lie in ``train-0.npz``, ``train-1.npz``, ..., the rest in ``val.npz`` and ``test.npz``. NumPy strips zero
bytes from the end of byte strings, and a JPEG file ends in FF D9, so none is lost.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
KEYS = ("original_latents", "epsilon", "imgs", "pressed", "intervention_labels", "intervention_masks")
SHAPES: dict[str, tuple[int, ...]] = {
    "original_latents": (2, 4),
    "epsilon": (2, 4),
    "imgs": (2,),
    "pressed": (2, 3),
    "intervention_labels": (),
    "intervention_masks": (4,),
}
"""Shape of a row of each array."""
_SHARD = re.compile(r"train-(\d+)\.npz")


def shard_files(folder: Path, split: Split) -> list[Path]:
    """The shards of a split in their order.

    Args:
        folder: Where the set lies.
        split: train, val or test.

    Raises:
        FileNotFoundError: If there is none; the message says which names are expected.
    """
    single = folder / f"{split}.npz"
    if split == "train":
        numbered = {
            int(match[1]): path for path in folder.glob("train-*.npz") if (match := _SHARD.fullmatch(path.name))
        }
        missing = sorted(set(range(len(numbered))) - set(numbered))
        if missing:
            raise FileNotFoundError(f"{folder / f'train-{missing[0]}.npz'}: no such file, but there are later shards")
        if numbered:
            return [numbered[number] for number in sorted(numbered)]
    if single.is_file():
        return [single]
    expected = "train-0.npz, train-1.npz, ... or train.npz" if split == "train" else single.name
    raise FileNotFoundError(f"{folder}: no CausalCircuit {split} data, expected {expected}")


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """The JPEG file of an RGB image, shape (height, width, 3), without colour subsampling."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """The RGB image, shape (height, width, 3), of a JPEG file.

    Raises:
        ValueError: If the bytes are no sound JPEG file.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a sound JPEG file ({error})") from error


def check_shard(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Check the arrays of a shard.

    Raises:
        ValueError: If a key is missing or a shape or dtype is wrong; the message names shard and array.
    """
    for key in ("imgs", "original_latents", "intervention_labels"):
        if key not in arrays:
            raise ValueError(f"{path}: the key {key!r} is missing; got {sorted(arrays)}")
    rows = len(arrays["imgs"]) if arrays["imgs"].ndim else 0
    if rows == 0:
        raise ValueError(f"{path}: imgs: got no pairs, expected at least one")
    for key, array in arrays.items():
        if key not in SHAPES:
            continue
        if array.shape != (rows, *SHAPES[key]):
            raise ValueError(f"{path}: {key}: got shape {array.shape}, expected {(rows, *SHAPES[key])}")
        if key == "imgs" and array.dtype.kind != "S":
            raise ValueError(f"{path}: imgs: got dtype {array.dtype}, expected bytes")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{path}: {key}: got values that are not finite")
    labels = arrays["intervention_labels"]
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 4:
        found = f"{labels.dtype}, {labels.min()} to {labels.max()}"
        raise ValueError(f"{path}: intervention_labels: got {found}, expected integers 0 to 4")
