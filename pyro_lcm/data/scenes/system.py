"""Systems to draw pairs of images from: a scene, a random causal model of its variables, and samples of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency, random_dag, topological_order
from pyro_lcm.data.limits import check_least, check_memory
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scaling_program import ScalingProgram
from pyro_lcm.data.scenes.catalogue import find_scene
from pyro_lcm.data.scenes.contract import Scene, check_size
from pyro_lcm.data.scenes.law import arc_program
from pyro_lcm.data.scenes.objects3d import Objects3D
from pyro_lcm.data.scenes.shapes_scene import ShapesScene
from pyro_lcm.process import random_state

CHUNK = 100
"""Pairs whose pixel noise comes from one generator; also what is rendered and written at a time."""


@dataclass(frozen=True, eq=False)
class SceneSystem:
    """A scene and one random causal model of its variables. Draw any number of samples from it.

    The seed fixes graph and mechanisms each from a stream of its own.

    Args:
        scene: What is to be seen; its variables are those of the model.
        seed: Of the model, at least 0.
        edge_probability: Probability of each of the d (d - 1) / 2 possible edges of a random order of variables.
        graph: The graph, ``[parent, child]``, shape (d, d), in the place of a random one.
        size: Width and height of the images in pixels.
        target_weights: Weights of the targets none, 1, ..., d; non-negative; by default all equal.

    Raises:
        ValueError: If an option is out of range.

    >>> system = SceneSystem(find_scene("mixed"), seed=1, size=32)
    >>> train, test = system.sample(20, seed=0), system.sample(10, seed=1)
    >>> train.x.shape, train.x.dtype, test.dim
    ((20, 3, 32, 32), dtype('uint8'), 4)
    """

    scene: Scene
    _: KW_ONLY
    seed: int
    edge_probability: float = 0.5
    graph: ArrayLike | None = None
    size: int = 64
    target_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: got {self.seed}, expected at least 0")
        if not 0 <= self.edge_probability <= 1:
            raise ValueError(f"edge_probability: got {self.edge_probability}, expected a number in [0, 1]")
        check_size(self.size)
        if self.graph is not None:
            matrix = as_adjacency(self.graph, name="graph")
            if len(matrix) != self.dim:
                raise ValueError(f"graph: got shape {matrix.shape}, expected {(self.dim, self.dim)} as the scene")
            topological_order(matrix)
        if self.target_weights is not None:
            weights = np.asarray(self.target_weights, dtype=float)
            if weights.shape != (self.dim + 1,) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
                raise ValueError(f"target_weights: got {self.target_weights}, expected {self.dim + 1} numbers >= 0")

    @property
    def dim(self) -> int:
        """Number of causal variables."""
        return len(self.scene.variables)

    @cached_property
    def program(self) -> ScalingProgram:
        """The causal model as a Pyro program, float64; see :mod:`pyro_lcm.data.scenes.law`."""
        graph_rng, mechanism_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(self.seed).spawn(2))
        if self.graph is None:
            adjacency = random_dag(self.dim, self.edge_probability, graph_rng)
        else:
            adjacency = as_adjacency(self.graph, name="graph")
        weights = np.ones(self.dim + 1) if self.target_weights is None else np.asarray(self.target_weights, float)
        return arc_program(adjacency, mechanism_rng, weights / weights.sum())

    @property
    def adjacency(self) -> NDArray[np.int8]:
        """The graph, ``[parent, child]``, shape (d, d)."""
        return self.program.adjacency

    def latents(self, n: int, seed: int = 0) -> dict[str, Any]:
        """Draw all of a sample but its images.

        Args:
            n: Number of pairs, at least 1.
            seed: Seed of the sample, at least 0; different seeds give independent samples.

        Returns:
            Truth by name, as :class:`~pyro_lcm.data.InterventionPairs` takes it; float64.

        Raises:
            ValueError: If an argument is out of range.
        """
        check_least(n=(n, 1), seed=(seed, 0))
        check_memory("n", n, 8 * 4 * self.dim)
        own = random_state.derive_seed(self.seed, "scenes/latents", seed)
        with random_state.isolated(own, torch.device("cpu")), torch.no_grad():
            drawn = self.program(n)
        return {
            "targets": drawn.target.numpy(),
            "z": drawn.before.causal.numpy(),
            "z_after": drawn.after.causal.numpy(),
            "noise": drawn.noise.numpy(),
            "noise_after": drawn.noise_after.numpy(),
            "adjacency": self.adjacency,
        }

    def render(self, z: ArrayLike) -> NDArray[np.uint8]:
        """Render images without pixel noise: (N, d) variables in [0, 1] to (N, size, size, 3)."""
        with self.scene.renderer(self.size) as renderer:
            return renderer.render(z)

    def sample(self, n: int, seed: int = 0) -> InterventionPairs:
        """Draw pairs and render them in memory; :func:`pyro_lcm.data.scenes.store.write_samples` writes the same.

        Args:
            n: Number of pairs, at least 1.
            seed: Seed of the sample, at least 0.

        Returns:
            The pairs, images as uint8 (n, 3, size, size), with all of the truth.

        Raises:
            ValueError: If an argument is out of range.
        """
        latents = self.latents(n, seed)
        sides = {key: np.empty((n, self.size, self.size, 3), np.uint8) for key in ("x", "x_after")}
        with self.scene.renderer(self.size) as renderer:
            for number, start in enumerate(range(0, n, CHUNK)):
                rows = slice(start, start + CHUNK)
                rng = noise_generator(self.seed, seed, number)
                for key, z in (("x", latents["z"]), ("x_after", latents["z_after"])):
                    sides[key][rows] = with_noise(renderer.render(z[rows]), self.scene.noise_sd, rng)
        return InterventionPairs(sides["x"], sides["x_after"], **latents)


def simulate_shapes(
    scene: str | ShapesScene = "mixed",
    n: int = 1000,
    *,
    seed: int,
    size: int = 64,
    edge_probability: float = 0.5,
    graph: ArrayLike | None = None,
) -> InterventionPairs:
    """Draw a random causal model of a scene of shapes, and pairs of images from it.

    For several samples of one model (training, validation, test) use :class:`SceneSystem`, whose ``sample(n, seed=0)``
    this is.

    Args:
        scene: Name of a ready scene, of :data:`pyro_lcm.data.scenes.SCENES`, or a scene of one's own.
        n: Number of pairs.
        seed: Seed of the model and of its sample.
        size: Width and height of the images in pixels.
        edge_probability: Probability of each possible edge.
        graph: The graph in the place of a random one.

    Returns:
        The pairs, images as uint8 (n, 3, size, size), with all of the truth.

    Raises:
        ValueError: If an option is out of range.

    >>> pairs = simulate_shapes("discs", 50, seed=0, size=32)
    >>> still = pairs.targets == 0
    >>> bool((pairs.x[still] == pairs.x_after[still]).all()), bool((pairs.x[~still] == pairs.x_after[~still]).all())
    (True, False)
    """
    return SceneSystem(find_scene(scene), seed=seed, size=size, edge_probability=edge_probability, graph=graph).sample(
        n
    )


def simulate_objects3d(
    n: int = 1000,
    *,
    seed: int,
    size: int = 64,
    noise_sd: float = 0.0,
    edge_probability: float = 0.5,
    graph: ArrayLike | None = None,
) -> InterventionPairs:
    """Draw a random causal model of the scene in space, :class:`Objects3D`, and pairs of images from it.

    Args:
        n: Number of pairs.
        seed: Seed of the model and of its sample.
        size: Width and height of the images in pixels.
        noise_sd: Standard deviation of the pixel noise, in the units of 0 to 255.
        edge_probability: Probability of each possible edge.
        graph: The graph in the place of a random one, shape (6, 6).

    Returns:
        The pairs, images as uint8 (n, 3, size, size), with all of the truth.

    Raises:
        ValueError: If an option is out of range.
        RenderingUnavailable: If MuJoCo, the extra ``sim``, or the OpenGL library is missing.
    """
    scene = Objects3D(noise_sd=noise_sd)
    return SceneSystem(scene, seed=seed, size=size, edge_probability=edge_probability, graph=graph).sample(n)


def noise_generator(system_seed: int, sample_seed: int, number: int) -> np.random.Generator:
    """The generator of the pixel noise of a chunk of pairs of a sample."""
    return np.random.default_rng(random_state.derive_seed(system_seed, "scenes/pixels", sample_seed, number))


def with_noise(images: NDArray[np.uint8], sd: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add normal noise to every pixel and colour, rounded and cut off at 0 and 255.

    Args:
        images: Any shape.
        sd: Of the noise, in the units of 0 to 255; 0 leaves images as they are.
        rng: Source of randomness.

    >>> with_noise(np.full((1, 2), 128, np.uint8), 1.0, np.random.default_rng(0))
    array([[129, 127]], dtype=uint8)
    """
    if sd == 0:
        return images
    noisy = rng.standard_normal(images.shape, dtype=np.float32)
    noisy *= np.float32(sd)
    noisy += images
    noisy += np.float32(0.5)  # the conversion cuts off
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
