"""What can be seen of a scene, measured: whether every variable shows everywhere on its arc, and what is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.scenes.contract import Scene
from pyro_lcm.data.scenes.shapes_scene import ShapesScene

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """What moves in the images of a scene, without pixel noise; distances are Euclidean over pixels and colours.

    Attributes:
        change: Smallest distance of two images one variable of which differs by ``step``, for each of them, shape (d,).
        far: Smallest distance of two images one variable of which lies at the ends of its arc, shape (d,).
        rank: Smallest ratio of the smallest to the largest singular value of the derivatives of an image with respect
            to the variables, each scaled to length 1: 0 where several variables cancel, 1 where none shares pixels.
        step: See ``change``.
    """

    change: Array
    far: Array
    rank: float
    step: float


def measure_sight(scene: Scene, n: int = 200, *, seed: int = 0, size: int = 64, step: float = 0.05) -> Sight:
    """Move each variable alone from random places and measure how images change.

    Args:
        scene: Which.
        n: Number of random places, uniform on all arcs.
        seed: Of the places.
        size: Width and height of the images in pixels.
        step: How far a variable moves, as a part of its arc, more than 0 and at most 1.

    Raises:
        ValueError: If an argument is out of range.

    >>> from pyro_lcm.data.scenes.catalogue import find_scene
    >>> sight = measure_sight(find_scene("mixed"), 20)
    >>> bool(sight.change.min() > 100), sight.rank > 0.5
    (True, True)
    """
    if n < 1:
        raise ValueError(f"n: got {n}, expected at least 1")
    if not 0 < step <= 1:
        raise ValueError(f"step: got {step}, expected more than 0 and at most 1")
    rng, dim = np.random.default_rng(seed), len(scene.variables)
    places = rng.uniform(0, 1, (n, dim))
    moved = np.empty((n, dim, size * size * 3), np.float32)
    far = np.empty((n, dim))
    with scene.renderer(size) as renderer:
        for variable in range(dim):
            low, high, first, last = (places.copy() for _ in range(4))
            low[:, variable] *= 1 - step  # what is left of the arc, so that the step stays on it
            high[:, variable] = low[:, variable] + step
            first[:, variable], last[:, variable] = 0.0, 1.0
            images = [renderer.render(z).reshape(n, -1).astype(np.float32) for z in (low, high, first, last)]
            moved[:, variable] = images[1] - images[0]
            far[:, variable] = np.linalg.norm(images[3] - images[2], axis=1)
    lengths = np.linalg.norm(moved, axis=2)
    directions = moved / np.maximum(lengths, 1e-9)[:, :, None]
    values = np.linalg.svd(directions @ directions.transpose(0, 2, 1), compute_uv=False, hermitian=True)
    rank = float(np.sqrt(np.maximum(values[:, -1] / values[:, 0], 0)).min())
    return Sight(lengths.min(axis=0).astype(np.float64), far.min(axis=0), rank, step)


def hidden_fractions(scene: ShapesScene, z: Array, size: int = 64) -> Array:
    """How much of each shape is behind others: fractions of areas, shape (N, shapes), of variables z, shape (N, d)."""
    with scene.renderer(size) as renderer:
        return renderer.hidden(z)
