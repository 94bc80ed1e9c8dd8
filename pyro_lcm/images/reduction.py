"""Images reduced to a few numbers before a latent causal model sees them, the route of the paper.

Brehmer, de Haan, Lippe, Cohen (NeurIPS 2022, arXiv 2203.16437) pretrain a convolutional autoencoder, whose code bends
what the image shows plainly. Here images are averaged to 64 pixels and projected on their principal components, and

*   a variable that adds to the image in proportion, a lamp, moves it along a line: the nested lines of the differences
    (:func:`pyro_lcm.identify.nested_directions.find_nested_directions`) are read off linearly;
*   what is left of the images lies on a curved manifold, the arc of an arm, which is unrolled by its geodesic distances
    (Isomap; Tenenbaum, de Silva, Langford, Science 2000), by a network that learns the map;
*   a network paints components from codes.

No target and no true variable is used, and no image stays in memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional

from pyro_lcm import random_state
from pyro_lcm.identify.nested_directions import find_nested_directions
from pyro_lcm.nn.vectors import VectorDecoder, perceptron
from pyro_lcm.run_folder import CONFIG, load_run, load_state, save_run
from pyro_lcm.text_files import reading
from pyro_lcm.training.driver import fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import TensorSource

Array = NDArray[np.float32]

PIXELS = 64
"""Width and height that larger images are averaged to."""
_TOLERANCE = 0.05
"""sin^2 of the angle to a line; reflections and the compression of images bend it."""
_LANDMARKS = 2000
"""Images between which geodesic distances are computed."""
_NEIGHBOURS = 12
_UNROLLING_WEIGHT = 100.0
"""Of the unrolling beside the density of components; it has a network of its own, so only its pace depends on it."""


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
        lines: how many entries of the code are read off linearly, 0 to ``dim``; they come first.
        hidden: width of the two hidden layers of each network.

    Raises:
        ValueError: if a number is out of range.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    directions: Tensor
    """(lines, components): orthonormal, a row each."""
    beside: Tensor
    """(components, components - lines): an orthonormal basis of what is left beside the lines."""

    def __init__(self, dim: int = 4, components: int = 32, lines: int = 0, hidden: int = 128) -> None:
        super().__init__()
        if not 1 <= dim <= components:
            raise ValueError(f"dim: got {dim}, expected 1 to {components}, the number of components")
        if not 0 <= lines <= dim:
            raise ValueError(f"lines: got {lines}, expected 0 to {dim}, the width of the code")
        self.dim, self.components, self.lines, self.hidden = dim, components, lines, hidden
        self.register_buffer("mean", torch.zeros(3 * PIXELS**2))
        self.register_buffer("basis", torch.zeros(3 * PIXELS**2, components))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("directions", torch.eye(components)[:lines])
        self.register_buffer("beside", torch.eye(components)[:, lines:])
        self.unroll = perceptron(components - lines, dim - lines, [hidden] * 2) if lines < dim else None
        self.decoder = VectorDecoder(dim, components, (hidden, hidden))

    def project(self, images: Tensor) -> Tensor:
        """Principal components (B, components) of (B, 3, size, size) images, in units of the largest's spread."""
        return (_flat(images) - self.mean) @ self.basis / self.scale

    def code(self, components: Tensor) -> Tensor:
        """Codes (B, dim) of (B, components) principal components: the lines first, then what was unrolled."""
        on_lines = components @ self.directions.T
        if self.unroll is None:
            return on_lines
        return torch.cat([on_lines, self.unroll(components @ self.beside)], 1)

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, dim) of (B, 3, size, size) images."""
        return self.code(self.project(images))

    def decode(self, code: Tensor) -> Tensor:
        """Images (B, 3, 64, 64) in [0, 1] of codes (B, dim)."""
        flat = self.decoder(code)[0] * self.scale @ self.basis.T + self.mean
        return flat.clamp(0, 1).reshape(-1, 3, PIXELS, PIXELS)

    def forward(self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective: how far codes are from the unrolled ones, and -log p(components | code).

        Args:
            tensors: ``v``, (B, components), and ``unrolled``, (B, dim - lines).
            size: number of images.
            index: (B,) which of them these are.
        """
        v, unrolled = tensors["v"], tensors["unrolled"]
        code = self.code(v)
        off = (code[:, self.lines :] - unrolled).square().sum(-1).mean()
        painted = Normal(*self.decoder(code.detach()))
        error = (painted.mean - v).square().sum(-1).mean()
        metrics = {"unrolling_error": off.detach(), "squared_error": error.detach()}
        return _UNROLLING_WEIGHT * off - painted.log_prob(v).sum(-1).mean(), metrics

    def save(self, folder: str | Path) -> None:
        """Write ``config.yaml`` and ``model.safetensors``."""
        widths = {name: getattr(self, name) for name in ("dim", "components", "lines", "hidden")}
        save_run(folder, {"image_reduction": widths}, self.state_dict())

    @classmethod
    def load(cls, folder: str | Path) -> ImageReduction:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if the folder holds something else, or a file is damaged.
        """
        config, tensors = load_run(folder)
        widths = config.get("image_reduction")
        if not isinstance(widths, dict):
            raise ValueError(f"{folder}: got another kind of run, expected a reduction of images")
        with reading(Path(folder) / CONFIG, "the configuration of a reduction"):
            reduction = cls(**widths)
        load_state(reduction, tensors, folder)
        return reduction.eval()


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
    """Find a reduction from both sides of pairs of images.

    Args:
        images: training pairs.
        dim: width of the code: the number of causal variables.
        components: principal components.
        steps: of the networks.
        seed: of everything random.
        pca_images: images that the components are computed from, at least two for each.
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
    if pca_images < 2 * components:
        raise ValueError(f"pca_images: got {pca_images}, expected at least {2 * components}, two for each component")
    own = random_state.derive_seed(seed, "reduction")
    with random_state.isolated(own, torch.device("cpu")), torch.no_grad():
        first = ImageReduction(dim, components)
        rows = torch.randperm(len(images))[: pca_images // 2].sort().values.numpy()
        flat = torch.cat([_flat(side) for side in image_sides(images, rows)])
        first.mean.copy_(flat.mean(0))
        _, spread, basis = torch.svd_lowrank(flat - first.mean, q=components, niter=4)
        if not spread[0] > 0:
            raise ValueError("images: got images that are all alike, expected some that vary")
        first.basis.copy_(basis)
        first.scale.copy_(spread[0] / len(flat) ** 0.5)
        sides = [first.project(side) for side in image_sides(images)]
        before, after = torch.cat(sides[::2]), torch.cat(sides[1::2])
        found = find_nested_directions((after - before).double().numpy(), dim, tolerance=_TOLERANCE, seed=own)
        reduction = ImageReduction(dim, components, len(found.directions))
        for name in ("mean", "basis", "scale"):
            getattr(reduction, name).copy_(getattr(first, name))
        reduction.directions.copy_(torch.as_tensor(found.directions))
        reduction.beside.copy_(torch.linalg.svd(reduction.directions, full_matrices=True)[2][reduction.lines :].T)
        v = torch.cat([before, after])
        unrolled = torch.as_tensor(_unroll((v @ reduction.beside).numpy(), dim - reduction.lines, own))
    phase = Phase("reduce images", steps, Cosine(2e-3, 1e-5), 512, gradient_clip=100.0)
    source = TensorSource({"v": v, "unrolled": unrolled})
    result = fit(reduction, source, [phase], seed=seed, out=out, device="cpu", resume=resume, progress=progress)
    return reduction.eval(), result


@torch.no_grad()
def reduce_images(reduction: ImageReduction, images: ImagePairs) -> tuple[Array, Array]:
    """Codes of both sides of all pairs, each (N, dim), in bounded memory."""
    codes = [reduction.encode(side).numpy() for side in image_sides(images)]
    return np.concatenate(codes[::2]), np.concatenate(codes[1::2])


def _unroll(points: Array, dim: int, seed: int) -> Array:
    """Coordinates (N, dim) of (N, k) points on a manifold, of unit variance, from geodesic distances of landmarks."""
    from sklearn.manifold import Isomap

    if dim == 0:
        return np.zeros((len(points), 0), dtype=np.float32)
    rows = np.random.default_rng(seed).permutation(len(points))[:_LANDMARKS]
    isomap = Isomap(n_neighbors=min(_NEIGHBOURS, len(rows) - 1), n_components=dim)
    with warnings.catch_warnings():
        # Islands of images are joined by their nearest points, which is what one would do by hand.
        warnings.filterwarnings("ignore", "The number of connected components")
        warnings.filterwarnings("ignore", "Changing the sparsity structure")
        isomap.fit(points[rows])
    parts = [isomap.transform(part) for part in np.array_split(points, max(1, len(points) // 2000))]
    placed = np.concatenate(parts)
    return np.asarray((placed - placed.mean(0)) / np.maximum(placed.std(0), 1e-12), dtype=np.float32)


def image_sides(images: ImagePairs, index: NDArray[np.int64] | None = None, rows: int = 256) -> Iterator[Tensor]:
    """Images of pairs, all if no index is given, before and after in turn, some pairs at a time."""
    index = np.arange(len(images)) if index is None else index
    for start in range(0, len(index), rows):
        batch = images.batch(index[start : start + rows])
        yield batch["x"]
        yield batch["x_after"]


def shrink(images: Tensor) -> Tensor:
    """Images (B, 3, 64, 64) of larger ones, by averages.

    Raises:
        ValueError: if they are smaller.
    """
    if min(images.shape[-2:]) < PIXELS:
        raise ValueError(f"images: got {images.shape[-2]} by {images.shape[-1]} pixels, expected at least {PIXELS}")
    return images if images.shape[-2:] == (PIXELS, PIXELS) else functional.adaptive_avg_pool2d(images, PIXELS)


def _flat(images: Tensor) -> Tensor:
    return shrink(images).flatten(1)
