"""Images reduced to a few numbers before a latent causal model sees them, the route of the paper.

Brehmer, de Haan, Lippe, Cohen (NeurIPS 2022, arXiv 2203.16437) pretrain a convolutional autoencoder. Here images are
averaged to 64 pixels and projected on their principal components, and a small variational autoencoder, trained by the
driver like everything else, maps these to the code and back: minutes on a CPU core, and no image stays in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from pyro_lcm.nn.vectors import VectorDecoder, VectorEncoder
from pyro_lcm.training import random_state
from pyro_lcm.training.driver import fit
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.result import FitResult
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import TensorSource

Array = NDArray[np.float32]

PIXELS = 64
"""Width and height that larger images are averaged to."""


class ImagePairs(Protocol):
    """A data source whose batches are pairs of images."""

    def __len__(self) -> int:
        """Number of pairs."""
        ...

    def batch(self, index: NDArray[np.int64]) -> Mapping[str, Tensor]:
        """``x`` and ``x_after``, (B, 3, size, size), of the pairs ``index``."""
        ...


class ImageReduction(nn.Module):
    """An image as a code of a few numbers, and back.

    Args:
        dim: width of the code.
        components: principal components between image and code, at least ``dim``.
        hidden: width of the two hidden layers on each side.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, dim: int = 4, components: int = 32, hidden: int = 128) -> None:
        super().__init__()
        if not 1 <= dim <= components:
            raise ValueError(f"dim: got {dim}, expected 1 to {components}, the number of components")
        self.dim = dim
        self.encoder = VectorEncoder(components, dim, (hidden, hidden))
        self.decoder = VectorDecoder(dim, components, (hidden, hidden))
        self.register_buffer("mean", torch.zeros(3 * PIXELS**2))
        self.register_buffer("basis", torch.zeros(3 * PIXELS**2, components))
        self.register_buffer("scale", torch.ones(()))

    def project(self, images: Tensor) -> Tensor:
        """Principal components (B, components) of (B, 3, size, size) images, in units of the largest's spread."""
        return (_flat(images) - self.mean) @ self.basis / self.scale

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, dim) of (B, 3, size, size) images."""
        mean: Tensor = self.encoder(self.project(images))[0]
        return mean

    def decode(self, code: Tensor) -> Tensor:
        """Images (B, 3, 64, 64) in [0, 1] of codes (B, dim)."""
        flat = self.decoder(code)[0] * self.scale @ self.basis.T + self.mean
        return flat.clamp(0, 1).reshape(-1, 3, PIXELS, PIXELS)

    def forward(self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective: -ELBO of a batch of principal components ``v``, (B, components)."""
        v = tensors["v"]
        posterior = Normal(*self.encoder(v))
        kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(-1).mean()
        reconstructed = Normal(*self.decoder(posterior.rsample()))
        likelihood = reconstructed.log_prob(v).sum(-1).mean()
        error = (reconstructed.mean - v).square().sum(-1).mean()
        return kl - likelihood, {"kl": kl.detach(), "squared_error": error.detach()}


def fit_reduction(
    images: ImagePairs,
    *,
    dim: int = 4,
    components: int = 32,
    steps: int = 6000,
    seed: int = 0,
    pca_images: int = 2000,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> tuple[ImageReduction, FitResult]:
    """Train a reduction on both sides of pairs of images.

    Args:
        images: training pairs.
        dim: width of the code: the number of causal variables, or more.
        components: principal components.
        steps: of the autoencoder.
        seed: of everything random.
        pca_images: images that the components are computed from.
        out: folder for checkpoints; None writes nothing.
        resume: whether to go on from the checkpoint in ``out``.
        progress: whether to show a progress bar; by default on a terminal.

    Returns:
        The reduction and how its training went.

    Raises:
        ValueError: if there are too few images or an argument is out of range.
    """
    if len(images) < components:
        raise ValueError(f"images: got {len(images)} pairs, expected at least {components}, one for each component")
    with random_state.isolated(random_state.derive_seed(seed, "reduction"), torch.device("cpu")):
        reduction = ImageReduction(dim, components)
        rows = torch.randperm(len(images))[: pca_images // 2].sort().values.numpy()
        batch = images.batch(rows)
        flat = _flat(torch.cat([batch["x"], batch["x_after"]]))
        reduction.mean.copy_(flat.mean(0))
        _, spread, basis = torch.svd_lowrank(flat - reduction.mean, q=components, niter=4)
    reduction.basis.copy_(basis)
    reduction.scale.copy_(spread[0] / len(flat) ** 0.5)
    with torch.no_grad():
        v = torch.cat([reduction.project(side) for side in _sides(images)])
    phase = Phase("autoencode images", steps, Cosine(2e-3, 1e-5), 512, gradient_clip=100.0)
    result = fit(
        reduction, TensorSource({"v": v}), [phase], seed=seed, out=out, device="cpu", resume=resume, progress=progress
    )
    return reduction.eval(), result


@torch.no_grad()
def reduce_images(reduction: ImageReduction, images: ImagePairs) -> tuple[Array, Array]:
    """Codes of both sides of all pairs, each (N, dim), in bounded memory."""
    codes = [reduction.encode(side).numpy() for side in _sides(images)]
    return np.concatenate(codes[::2]), np.concatenate(codes[1::2])


def _sides(images: ImagePairs, rows: int = 256) -> Iterator[Tensor]:
    """Images of all pairs, before and after in turn, some pairs at a time."""
    for start in range(0, len(images), rows):
        batch = images.batch(np.arange(start, min(start + rows, len(images))))
        yield batch["x"]
        yield batch["x_after"]


def _flat(images: Tensor) -> Tensor:
    if images.shape[-1] != PIXELS:
        images = functional.adaptive_avg_pool2d(images, PIXELS)
    return images.flatten(1)
