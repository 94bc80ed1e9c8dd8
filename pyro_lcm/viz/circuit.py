"""Figures of a model of CausalCircuit that was fitted to codes of images: the codes are painted to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.data.causal_circuit import NAMES, CausalCircuit
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.report import align_to_truth
from pyro_lcm.images.reduction import ImageReduction, shrink
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS, image_figures
from pyro_lcm.viz.style import save_figure

_ROWS = 2000
"""Codes that are matched with the truth."""


class _Shrunk:
    """Images of 64 pixels, the size of what is painted."""

    def __init__(self, images: CausalCircuit) -> None:
        self.images = images

    def batch(self, index: NDArray[np.int64], /) -> Mapping[str, Tensor]:
        return {key: shrink(side) for key, side in self.images.batch(index).items() if key in ("x", "x_after")}


def save_circuit_figures(
    folder: Path, model: LatentCausalModel, reduction: ImageReduction, images: CausalCircuit, pairs: InterventionPairs
) -> list[tuple[Path, str]]:
    """Draw what a fitted model has found in images, as :func:`pyro_lcm.viz.image_figures.image_figures` does.

    Args:
        folder: Where the PNG files go.
        model: Fitted to the codes of images.
        reduction: That made the codes.
        images: Of any size; pictures are of 64 pixels.
        pairs: Their codes; the truth in them, if any, names the learned variables.

    Returns:
        Paths and captions.
    """
    few = pairs[: min(_ROWS, len(pairs))]
    encoding = model.encode(few.x)
    alignment = align_to_truth(few, causal=encoding.causal, noise=encoding.noise)

    def paint(codes: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            painted: NDArray[Any] = reduction.decode(torch.as_tensor(codes, dtype=torch.float32)).numpy()
        return painted

    figures = image_figures(model, few, alignment=alignment, true_names=NAMES, images=_Shrunk(images), paint=paint)
    return [(save_figure(figure, folder / f"{name}.png"), IMAGE_CAPTIONS[name]) for name, figure in figures.items()]
