"""MuJoCo without a screen: the extra ``sim``, and an OpenGL library that renders off screen, OSMesa or EGL."""

from __future__ import annotations

import ctypes.util
import importlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

INSTALL = "pip install mujoco==3.3.7 and, on Debian or Ubuntu, apt install libosmesa6"
"""What makes rendering work."""


class RenderingUnavailable(RuntimeError):
    """MuJoCo or the OpenGL library is missing; the message says what to install."""


def import_mujoco() -> Any:
    """Import MuJoCo with an OpenGL library that needs no screen, unless the user chose one by MUJOCO_GL.

    Raises:
        RenderingUnavailable: If MuJoCo or the OpenGL library is missing.
    """
    if not os.environ.get("MUJOCO_GL"):
        for name, library in (("osmesa", "OSMesa"), ("egl", "EGL")):
            if ctypes.util.find_library(library):
                os.environ["MUJOCO_GL"] = name
                break
        else:
            raise RenderingUnavailable(f"no OpenGL library that renders without a screen was found: {INSTALL}")
    try:
        return importlib.import_module("mujoco")
    except ImportError as error:
        raise RenderingUnavailable(f"mujoco is not installed: {INSTALL}") from error
    except Exception as error:  # PyOpenGL raises AttributeError where the library is missing
        raise RenderingUnavailable(f"MuJoCo found no OpenGL library ({_first_line(error)}): {INSTALL}") from error


class OffscreenRenderer:
    """Square images of a MuJoCo scene; a context manager, since it holds an OpenGL context.

    Args:
        xml: The scene, with a camera ``front``.
        size: Width and height of the images in pixels.
        least: Smaller images are rendered at this size at least and averaged, so that they change smoothly.

    Raises:
        RenderingUnavailable: If MuJoCo or the OpenGL library is missing.
    """

    def __init__(self, xml: str, size: int, least: int) -> None:
        mujoco = import_mujoco()
        self.size = size
        self._oversampling = max(1, least // size)
        self._model = mujoco.MjModel.from_xml_string(xml)
        self._data = mujoco.MjData(self._model)
        self._forward: Callable[[Any, Any], None] = mujoco.mj_forward
        rendered = size * self._oversampling
        try:
            self._renderer = mujoco.Renderer(self._model, rendered, rendered)
        except Exception as error:  # whatever the OpenGL library raises, it cannot render
            raise RenderingUnavailable(f"MuJoCo cannot render here ({_first_line(error)}): {INSTALL}") from error

    def _image(self) -> NDArray[np.uint8]:
        """The scene as its joints, materials and lights are set, RGB, shape (size, size, 3)."""
        self._forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera="front")
        return average_pixels(self._renderer.render(), self._oversampling)

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def average_pixels(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shrink a square image, (size, size, 3), by averaging squares of ``factor`` pixels, so that it changes smoothly.

    >>> average_pixels(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), 2).tolist()
    [[[4, 6, 6]]]
    """
    if factor == 1:
        return image.copy()
    size = len(image) // factor
    means = image.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
