"""Named arrays in .npz files and folders of .npy files: read, memory-map, write; nothing is unpickled."""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pyro_lcm.data.lazy import LazyRows, Rows, chunks
from pyro_lcm.storage.text_files import reading, replacing

_ENCRYPTED = 1
"""Flag of an encrypted zip member (APPNOTE.TXT section 4.4.4)."""
_LOCAL_HEADER = struct.Struct("<26x2H")
"""Local header of a zip member (APPNOTE.TXT section 4.3.7); it ends in the lengths of two further fields."""


def read_arrays(path: Path, *, mmap: bool) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz file or of a folder of .npy files.

    Args:
        path: The file or folder.
        mmap: Whether to map the arrays into memory, read-only, rather than read them. The checksums of an .npz file
            are then not looked at, which would take reading all of it.

    Returns:
        The arrays by name.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is neither, an array needs unpickling, or a compressed file was to be mapped.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        return {file.stem: read_array(file, mmap=mmap) for file in sorted(path.glob("*.npy"))}
    with reading(path, "a sound .npz file"):
        if not zipfile.is_zipfile(path):
            raise ValueError("not an .npz file, nor a folder of .npy files")
        if mmap:
            with zipfile.ZipFile(path) as archive:
                return {
                    info.filename.removesuffix(".npy"): _map_member(path, info)
                    for info in archive.infolist()
                    if info.filename.endswith(".npy")
                }
        with np.load(path, allow_pickle=False) as arrays:
            return {key: _read_member(path, arrays, key) for key in arrays.files}


def write_arrays(path: Path, arrays: Mapping[str, Rows]) -> None:
    """Write arrays to an uncompressed .npz file, beside its place first and then renamed.

    Args:
        path: Where to; its suffix must be .npz.
        arrays: By name; none of them holds Python objects. Lazy rows are read and written in pieces.

    Raises:
        ValueError: If the suffix is another one.
    """
    if path.suffix != ".npz":
        raise ValueError(f"path: got {str(path)!r}, expected a name that ends in .npz")
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                _write_member(member, array)


def read_array(path: Path, *, mmap: bool) -> NDArray[Any]:
    """Read, or map into memory, the array of an .npy file.

    Raises:
        ValueError: If it is none.
    """
    with reading(path, "an .npy array"):
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size)
        try:
            return np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)  # type: ignore[no-any-return]
        except (ValueError, EOFError) as error:
            raise ValueError(f"not a plain .npy array: {error}") from error


def _write_member(member: Any, array: Rows) -> None:
    if not isinstance(array, LazyRows):
        npy.write_array(member, np.asanyarray(array), allow_pickle=False)
        return
    header = {"descr": npy.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(member, header)
    for rows in chunks(array):
        member.write(np.ascontiguousarray(array[rows]).tobytes())


def _read_member(path: Path, archive: Any, key: str) -> NDArray[Any]:
    with reading(f"{path}: {key}", "a plain array"):
        if f"{key}.npy" in archive.zip.namelist():
            with archive.zip.open(f"{key}.npy") as file:
                _check_header(file, archive.zip.getinfo(f"{key}.npy").file_size)
        try:
            member = archive[key]  # numpy gives the bytes of a member without an array header
            if not isinstance(member, np.ndarray):
                raise ValueError("no array header")
            return member
        except (ValueError, EOFError) as error:
            raise ValueError(f"not a plain array: {error}") from error


def _check_header(file: Any, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array: shape, whether in Fortran's order, and dtype.

    Raises:
        ValueError: If there is none, or what it declares is not what so many bytes hold: numpy would make room first.
    """
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
    except (ValueError, EOFError) as error:
        raise ValueError(f"not a plain array: {error}") from error
    if dtype.hasobject:
        raise ValueError("not a plain array: holds Python objects, which would have to be unpickled")
    if min(shape, default=0) < 0 or file.tell() + dtype.itemsize * math.prod(shape) > size:
        raise ValueError(f"not a plain array: {size} bytes, which are too few for the shape {shape} that it declares")
    return shape, fortran, dtype


def _map_member(path: Path, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Map a member of an .npz file: stored without compression it is an .npy file at an offset."""
    key = info.filename.removesuffix(".npy")
    if info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{path}: {key}: encrypted, expected a plain array")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(
            f"{path}: {key}: compressed, which cannot be memory-mapped; write it with numpy.savez or "
            "InterventionPairs.save, or use a folder of .npy files"
        )
    with reading(f"{path}: {key}", "a plain array"), path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        start = file.seek(name_length + extra_length, os.SEEK_CUR)
        shape, fortran, dtype = _check_header(file, start + info.file_size)
        offset = file.tell()
    if 0 in shape or not shape:  # nothing that could be mapped, nor anything the checks let through
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran else "C")
