"""From pairs of images to pairs of codes, with a folder that a fit which was cut off goes on from.

Codes are small: all of them are in memory, and the images never are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import standardized_tensors
from pyro_lcm.data.standardize import Mode
from pyro_lcm.fitting.design import fit_standardizer
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.fit_code import fit_code
from pyro_lcm.images.sides import image_sides
from pyro_lcm.images.units import ImageUnits
from pyro_lcm.process.first_process import barrier, is_first_process
from pyro_lcm.storage.run_folder import CHECKPOINT, CODE, CONFIG, is_complete, load_run, load_state, save_run
from pyro_lcm.storage.text_files import reading
from pyro_lcm.training.sources import TensorSource, fingerprint

__all__ = ["CodedPairs", "code_pairs", "find_code"]


@dataclass(frozen=True)
class CodedPairs:
    """Pairs of images as pairs of codes.

    Attributes:
        units: between images and standardised codes.
        training: codes of the training pairs, with the targets that are known.
        held_out: of the others.
        features: components of the training images, ``features`` and ``features_after``, (N, k) each: what causal
            variables are read from (:mod:`pyro_lcm.identify.subspace_readouts`).
        held_out_features: of the others.
    """

    units: ImageUnits
    training: InterventionPairs
    held_out: InterventionPairs
    features: Mapping[str, Tensor]
    held_out_features: Mapping[str, Tensor]

    def sources(self, *, double: bool = False) -> tuple[TensorSource, TensorSource]:
        """Standardised codes and features of the training pairs and of the others, as the driver sees them.

        Args:
            double: whether in float64.
        """
        parts = ((self.training, self.features), (self.held_out, self.held_out_features))
        first, second = (
            TensorSource(
                standardized_tensors(pairs, self.units.codes, double=double)
                | {name: part.double() if double else part for name, part in features.items()}
            )
            for pairs, features in parts
        )
        return first, second


def find_code(
    pairs: InterventionPairs,
    dim: int,
    *,
    seed: int,
    out: str | Path | None,
    resume: bool = False,
    device: str = "auto",
    progress: bool | None = None,
    steps: int | None = None,
) -> ImageCode:
    """Fit a code to images, or read the one that is there.

    Args:
        pairs: training pairs of images.
        dim: numbers in a code.
        seed: of everything random.
        out: run folder, whose folder ``code`` it is written to; None writes nothing.
        resume: whether a code that is there is read, and one that was cut off is gone on with.
        device: as :meth:`pyro_lcm.LatentCausalModel.fit` takes it, as all that follows.
        progress: whether to show a progress bar.
        steps: of the optimizer; None leaves it to :func:`~pyro_lcm.images.fit_code.fit_code`.

    Raises:
        ValueError: if there is a code and ``resume`` is off, or it was fitted otherwise.
    """
    made = {"dim": dim, "seed": seed, "steps": steps, "pairs": len(pairs), "data": fingerprint(pairs)}
    folder = None if out is None else Path(out) / CODE
    if folder is not None and not resume and any((folder / name).exists() for name in (CONFIG, CHECKPOINT)):
        raise ValueError(f"out: {out} holds a run; resume it, or give another folder")
    if folder is not None and is_complete(folder):
        return _read_code(folder, made)
    options: dict[str, Any] = {} if steps is None else {"steps": steps}
    code, _ = fit_code(
        pairs,
        dim,
        seed=seed,
        out=folder,
        resume=resume,
        device=device,
        progress=progress,
        **options,
    )
    if folder is not None:
        if is_first_process():
            save_run(folder, {"image_code": code.to_config(), "made": made}, code.state_dict())
        barrier()
    return code.eval()


def code_pairs(
    code: ImageCode, training: InterventionPairs, held_out: InterventionPairs, *, mode: Mode, device: str = "auto"
) -> CodedPairs:
    """Encode pairs, and fit what standardises their codes.

    Args:
        code: of images of their shape; it is moved to the device.
        training: training pairs.
        held_out: the others.
        mode: how codes are standardised.
        device: where to encode.

    Raises:
        ValueError: if the images are of another shape than the code's.
    """
    if training.observation_shape != tuple(code.shape):
        raise ValueError(f"code: got one of images of shape {tuple(code.shape)}, expected {training.observation_shape}")
    place = "cuda" if device == "auto" and torch.cuda.is_available() else device
    code.eval().requires_grad_(False).to("cpu" if place == "auto" else place)
    (pairs, features), (others, other_features) = (_encoded(part, code) for part in (training, held_out))
    units = ImageUnits(code, fit_standardizer(pairs, units=mode))
    return CodedPairs(units, pairs, others, features, other_features)


@torch.no_grad()
def _encoded(pairs: InterventionPairs, code: ImageCode) -> tuple[InterventionPairs, dict[str, Tensor]]:
    """Codes of both sides, and the components that they are of."""
    components: list[Tensor] = []
    codes: list[Tensor] = []
    for side in image_sides(pairs):
        projected = code.project(side.to(code.basis))
        components.append(projected.cpu())
        codes.append(code.code_of(projected).cpu())
    encoded = pairs.with_observations(*(torch.cat(part).numpy() for part in (codes[::2], codes[1::2])))
    return encoded, {"features": torch.cat(components[::2]), "features_after": torch.cat(components[1::2])}


def _read_code(folder: Path, made: dict[str, Any]) -> ImageCode:
    config, tensors = load_run(folder)
    before = config.get("made")
    if before != made or "image_code" not in config:
        known = before if isinstance(before, dict) else {}
        changed = ", ".join(key for key in made if known.get(key) != made[key])
        raise ValueError(f"resume: {folder} holds a code that was fitted with another {changed}")
    with reading(folder / CONFIG, "the configuration of a code"):
        code = ImageCode(**config["image_code"])
    load_state(code, tensors, folder)
    return code.eval()
