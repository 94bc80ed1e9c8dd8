"""What a scene and its renderer are: anything with these few members can be simulated, written and measured."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Renderer(Protocol):
    """Turns places on arcs into images; a context manager, since some hold an OpenGL context."""

    def render(self, z: ArrayLike) -> NDArray[np.uint8]:
        """Render images without pixel noise: (N, d) variables in [0, 1] to RGB images (N, size, size, 3)."""
        ...

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Scene(Protocol):
    """What is to be seen, and which variable moves what; plain data, which worker processes are given."""

    @property
    def name(self) -> str:
        """Name of the scene."""
        ...

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the causal variables, in the order of the columns of z."""
        ...

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the pixel noise, in the units of 0 to 255."""
        ...

    def renderer(self, size: int) -> Renderer:
        """Make a renderer of square images of ``size`` pixels."""
        ...


def check_places(z: ArrayLike, dim: int) -> NDArray[np.float64]:
    """Check causal variables that are to be rendered.

    Args:
        z: Places on arcs.
        dim: Number of variables.

    Returns:
        The same as float64, shape (N, dim).

    Raises:
        ValueError: If the shape is another one or a value lies outside [0, 1].

    >>> check_places([[0.5, 1.0]], 2).shape
    (1, 2)
    """
    places = np.asarray(z, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != dim:
        raise ValueError(f"z: got shape {places.shape}, expected (N, {dim})")
    if not ((places >= 0) & (places <= 1)).all():
        raise ValueError(f"z: got {places.min()} to {places.max()}, expected places on arcs, in [0, 1]")
    return places


def check_size(size: int) -> None:
    """Check the size of images.

    Raises:
        ValueError: If it is not 16 to 512 pixels.
    """
    if not 16 <= size <= 512:
        raise ValueError(f"size: got {size}, expected 16 to 512 pixels")
