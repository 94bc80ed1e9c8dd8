"""The run folder: what a fitted model is saved as.

``config.yaml`` holds all that is needed to repeat a run, versions and seed included; ``model.safetensors`` the
parameters and buffers. Nothing that is loaded is unpickled; both are written beside their place and renamed. Renaming
the parameters, which come last, is the one step by which a run has ended; the configuration knows them by their digest,
so that parameters of one save are never taken for those of another.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.storage.tensor_files import digest, read_tensors, write_tensors
from pyro_lcm.storage.text_files import read_yaml, reading, write_yaml

FORMAT = 1
CONFIG = "config.yaml"
TENSORS = "model.safetensors"
CHECKPOINT = "checkpoint"
CODE = "code"
"""Folder, in that of a run, of the code that images have."""
DIGEST = "parameters"
"""Key of the configuration for the digest of the parameters that were saved with it."""


def save_run(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a run folder's configuration and tensors.

    Args:
        folder: where to; made if it is not there.
        config: plain values for YAML.
        tensors: parameters and buffers by name.
    """
    path = Path(folder)
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_config(path, {**config, DIGEST: digest(plain)})
    write_tensors(path / TENSORS, plain)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write ``config.yaml``, with the format number and the versions of what matters."""
    write_yaml(folder / CONFIG, {"format": FORMAT, "versions": versions(), **config})


def copy_run(source: Path, target: Path) -> None:
    """Make what is saved in one folder that of another too.

    Args:
        source: a run folder.
        target: another one; made if it is not there.
    """
    config, tensors = load_run(source)
    write_yaml(target / CONFIG, config)
    write_tensors(target / TENSORS, tensors)


def is_complete(folder: str | Path) -> bool:
    """Whether a folder has both files of a model that was saved: the run that it is of has ended."""
    return all((Path(folder) / name).is_file() for name in (CONFIG, TENSORS))


def load_run(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a run folder.

    Raises:
        FileNotFoundError: if the folder or a file of it is missing; the message names it.
        ValueError: if a file is damaged or of a newer format.
    """
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such run folder")
    config = read_config(path)
    if not (path / TENSORS).is_file():
        raise FileNotFoundError(
            f"{path / TENSORS}: missing; the run has not ended (train it again with --resume) or is no run folder"
        )
    tensors, _ = read_tensors(path / TENSORS)
    if wrong := [name for name, tensor in tensors.items() if bool(tensor.isnan().any())]:
        raise ValueError(f"{path / TENSORS}: holds NaN in {wrong[0]}, expected numbers")
    if DIGEST in config and config[DIGEST] != digest(tensors):
        raise ValueError(
            f"{path / TENSORS}: not the parameters that {CONFIG} was saved with: damaged, or of another save;"
            " delete both and train again with --resume, or save again"
        )
    return config, tensors


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], folder: str | Path) -> None:
    """Put the tensors of a run folder into a module that its configuration describes.

    Raises:
        ValueError: if they do not fit; the message names the folder.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        with reading(folder):
            raise ValueError(f"the tensors do not fit the configuration: {error}") from error


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def dtype_of(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The precision that a model was saved in."""
    return next((tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()), torch.get_default_dtype())


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read ``config.yaml`` of a run folder; errors as in :func:`load_run`."""
    file = Path(folder) / CONFIG
    if not file.is_file() and any((Path(folder) / name).is_dir() for name in (CHECKPOINT, CODE)):
        raise FileNotFoundError(f"{file}: missing; the run has not ended, go on with it (resume)")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing; {folder} is not a run folder")
    config = read_yaml(file)
    if type(config.get("format")) is not int or config["format"] < 1:
        raise ValueError(f"{file}: got no format number, expected the configuration of a run")
    if config["format"] > FORMAT:
        raise ValueError(f"{file}: got format {config['format']}, this version reads up to {FORMAT}")
    return config


def versions() -> dict[str, str]:
    """Versions of the packages that a run depends on."""
    names = ("pyro-lcm", "pyro-ppl", "torch", "numpy", "scikit-learn", "lightning-fabric")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}
