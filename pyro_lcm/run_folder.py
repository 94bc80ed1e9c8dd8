"""The run folder: what a fitted model is saved as.

``config.yaml`` holds all that is needed to repeat a run, versions and seed included; ``model.safetensors`` the
parameters and buffers. Nothing that is loaded is unpickled; both are written beside their place and renamed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT = 1
CONFIG = "config.yaml"
TENSORS = "model.safetensors"
CHECKPOINT = "checkpoint"
CODE = "code"
"""Folder, in that of a run, of the code that images have."""


def save_run(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a run folder's configuration and tensors.

    Args:
        folder: where to; made if it is not there.
        config: plain values for YAML.
        tensors: parameters and buffers by name.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, path / f"{TENSORS}.tmp")
    os.replace(path / f"{TENSORS}.tmp", path / TENSORS)
    write_config(path, config)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write ``config.yaml``, with the format number and the versions of what matters."""
    folder.mkdir(parents=True, exist_ok=True)
    stamped = {"format": FORMAT, "versions": versions(), **config}
    temporary = folder / f"{CONFIG}.tmp"
    temporary.write_text(yaml.safe_dump(stamped, sort_keys=False), encoding="utf-8")
    os.replace(temporary, folder / CONFIG)


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
    try:
        tensors = load_file(path / TENSORS)
    except Exception as error:
        raise ValueError(f"{path / TENSORS}: not a readable safetensors file ({error})") from error
    return config, tensors


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
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise ValueError(f"{file}: got no format number, expected the configuration of a run")
    if config["format"] > FORMAT:
        raise ValueError(f"{file}: got format {config['format']}, this version reads up to {FORMAT}")
    return config


def versions() -> dict[str, str]:
    """Versions of the packages that a run depends on."""
    names = ("pyro-lcm", "pyro-ppl", "torch", "numpy", "scikit-learn", "lightning-fabric")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}
