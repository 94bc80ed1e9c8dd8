"""ArviZ 0.2x and 1.x behind one door: the only module that imports arviz.

Below 1.0 the native container is `arviz.InferenceData`, from 1.0 `xarray.DataTree`. Both are mappings of
groups to xarray data sets, and both go to netCDF through h5netcdf.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyro_lcm.discovery.scores import FloatArray
from pyro_lcm.storage.text_files import replacing

_OVERHEAD = 2**18
"""Bytes that a file takes beside its arrays, at most."""

Container = Any
"""`arviz.InferenceData` or `xarray.DataTree`, whichever the installed ArviZ works with."""


def arviz_module() -> Any:
    """Import arviz without the notice of its 0.23 about the coming 1.0."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        import arviz
    return arviz


def uses_data_tree() -> bool:
    """Whether the installed ArviZ is 1.0 or newer."""
    return int(arviz_module().__version__.split(".")[0]) >= 1


def make_container(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, float | int | str]) -> Container:
    """Build the native container.

    Args:
        groups: Data sets by the name of their group: posterior, sample_stats, observed_data, constant_data.
        attrs: Attributes of the whole; numbers and strings.

    Returns:
        `arviz.InferenceData` below ArviZ 1.0, else `xarray.DataTree`.
    """
    if uses_data_tree():
        tree = xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in groups.items()})
        tree.attrs.update(attrs)
        return tree
    return arviz_module().InferenceData(attrs=dict(attrs), **groups)


def group_names(container: Container) -> list[str]:
    """Names of a container's groups."""
    if isinstance(container, xr.DataTree):
        return list(container.children)
    return list(container.groups())


def group(container: Container, name: str) -> xr.Dataset:
    """One group of a container as a data set.

    Raises:
        ValueError: If the container has no such group.
    """
    if name not in group_names(container):
        raise ValueError(f"container: has groups {group_names(container)}, expected {name!r} among them")
    found = container[name]
    return found.to_dataset() if isinstance(found, xr.DataTree) else found


def save_container(container: Container, path: str | os.PathLike[str]) -> None:
    """Write a container to a netCDF file, completely or not at all.

    Args:
        container: The container.
        path: The file; replaced if it exists.
    """
    target = Path(path)
    with replacing(target) as partial:
        _ask_for_room(partial, sum(group(container, name).nbytes for name in group_names(container)))
        try:
            container.to_netcdf(str(partial), engine="h5netcdf")
        except (RuntimeError, ValueError, OSError) as error:  # HDF5 has its own words for a full disk
            raise OSError(f"{target}: cannot be written ({error})") from error


def _ask_for_room(path: Path, size: int) -> None:
    """Fill a file once, as an error of Python's: where the disk is full HDF5 ends the process, or writes to stderr."""
    with path.open("wb") as file:
        file.write(bytes(size + _OVERHEAD))
        file.flush()
        os.fsync(file.fileno())


def effective_sample_size(draws: NDArray[np.generic]) -> FloatArray:
    """Effective sample size of the means of many quantities (Vehtari et al., Bayesian Analysis 2021).

    Args:
        draws: (chain, draw, n) values, none of the n quantities constant.

    Returns:
        (n,) effective numbers of draws.
    """
    values = xr.DataArray(np.asarray(draws, dtype=np.float64), dims=("chain", "draw", "quantity"))
    sizes = arviz_module().ess(xr.Dataset({"draws": values}), method="mean")
    return np.asarray(sizes["draws"].values, dtype=np.float64)
