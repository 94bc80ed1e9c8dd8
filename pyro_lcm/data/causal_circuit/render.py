"""Images of CausalCircuit: a MuJoCo scene of an arm over three buttons and three lamps, rendered without a screen.

The arm turns about its base and lowers its finger where it presses a button; the brightness of each lamp, of the bulb
and of the light it throws on the scene, is its causal variable. MuJoCo is the extra ``sim``, and it needs an OpenGL
library that renders without a screen: OSMesa or EGL.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.causal_circuit.program import BUTTONS, pressed
from pyro_lcm.data.headless import OffscreenRenderer, RenderingUnavailable

__all__ = ["SIZES", "Renderer", "RenderingUnavailable", "rendering_problem"]

SIZES = (64, 128, 512)
"""Widths and heights of images, in pixels."""

_SWEEP = math.radians(62)
"""The arm turns so far to either side of the middle of the arc."""
_REACH = 0.55
"""Radius of the arc."""
_COLOURS = np.array([[1.0, 0.12, 0.1], [0.1, 1.0, 0.15], [0.15, 0.25, 1.0]])
_DIM, _BRIGHT = 0.08, 0.42
"""Brightness of a bulb whose variable is 0, and what 1 adds; their sum is not saturated."""
_LAMP_LIGHT = 0.45
_JOINTS = ("base", "finger", "red_button", "green_button", "blue_button")
_FIELD = 47
"""Vertical field of view of the camera in degrees."""
_OVERSAMPLED = 256
"""Smaller images are rendered at this size and averaged, so that they change smoothly as the arm moves."""


def rendering_problem() -> str | None:
    """Why scenes cannot be rendered here, in one line, or None if they can."""
    try:
        with Renderer(64) as renderer:
            renderer.render([0.5, 0.5, 0.5, 0.5])
    except RenderingUnavailable as error:
        return str(error)
    return None


class Renderer(OffscreenRenderer):
    """Renders images of the scene; a context manager, since it holds an OpenGL context.

    Args:
        size: Width and height of the images in pixels: 64, 128 or 512.

    Raises:
        ValueError: If the size is another one.
        RenderingUnavailable: If MuJoCo or the OpenGL library is missing.
    """

    def __init__(self, size: int = 64) -> None:
        if size not in SIZES:
            raise ValueError(f"size: got {size}, expected one of {', '.join(map(str, SIZES))} pixels")
        super().__init__(_scene(), size, _OVERSAMPLED)

    def render(self, causal: ArrayLike) -> NDArray[np.uint8]:
        """Render one image.

        Args:
            causal: The variables red, green, blue and arm, in [0, 1], shape (4,).

        Returns:
            The image, RGB, shape (size, size, 3).

        Raises:
            ValueError: If the shape is another one or a value is out of range.
        """
        values = np.asarray(causal, dtype=np.float64)
        if values.shape != (4,) or not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"causal: got {values.tolist()}, expected red, green, blue and arm in [0, 1]")
        press = pressed(torch.tensor(values[3])).numpy()
        model, data = self._model, self._data
        for joint, value in zip(_JOINTS, (_angle(values[3]), -0.10 * press.max(), *(-0.045 * press)), strict=True):
            data.joint(joint).qpos[0] = value
        bright = _DIM + _BRIGHT * values[:3, None]
        for lamp, name in enumerate(("red", "green", "blue")):
            model.material(name).rgba[:3] = _COLOURS[lamp] * bright[lamp]
            model.light(name).diffuse[:] = _LAMP_LIGHT * _COLOURS[lamp] * values[lamp]
        return self._image()


def _angle(position: float) -> float:
    """Angle of the arm, to the left of the middle, for a position on the arc."""
    return _SWEEP * (1 - 2 * position)


def _on_arc(position: float, radius: float, height: float) -> str:
    angle = _angle(position)
    return f"{-radius * math.sin(angle):.4f} {radius * math.cos(angle):.4f} {height:.4f}"


def _scene() -> str:
    names = ("red", "green", "blue")
    colours = [" ".join(f"{0.45 * part:.3f}" for part in colour) for colour in _COLOURS]
    materials = "".join(f'<material name="{name}" emission="1" specular="0" rgba="1 1 1 1"/>' for name in names)
    lamps = "".join(
        f'<geom type="sphere" size="0.13" pos="{_on_arc(at, 1.02, 0.13)}" material="{name}"/>'
        f'<light name="{name}" pos="{_on_arc(at, 0.85, 0.45)}" dir="0 0 -1" cutoff="180" castshadow="false" '
        'attenuation="1 0.5 2.5" ambient="0 0 0" specular="0.05 0.05 0.05" diffuse="0 0 0"/>'
        for name, at in zip(names, BUTTONS, strict=True)
    )
    buttons = "".join(
        f'<body pos="{_on_arc(at, _REACH, 0.06)}"><joint name="{name}_button" type="slide" axis="0 0 1"/>'
        f'<geom type="cylinder" size="0.1 0.03" rgba="{colour} 1"/></body>'
        f'<geom type="cylinder" size="0.125 0.02" pos="{_on_arc(at, _REACH, 0.02)}" rgba="0.25 0.25 0.27 1"/>'
        for name, at, colour in zip(names, BUTTONS, colours, strict=True)
    )
    return f"""
<mujoco>
  <visual>
    <global offwidth="512" offheight="512"/>
    <headlight ambient="0.2 0.2 0.2" diffuse="0.12 0.12 0.12" specular="0 0 0"/>
    <quality shadowsize="1024" offsamples="4"/>
    <map znear="0.05" zfar="10"/>
  </visual>
  <option gravity="0 0 0"/>
  <asset>
    {materials}
    <texture name="board" type="2d" builtin="checker" width="256" height="256"
      rgb1="0.34 0.34 0.36" rgb2="0.38 0.38 0.40"/>
    <material name="board" texture="board" texrepeat="18 18" reflectance="0.15" specular="0.2"/>
    <material name="metal" rgba="0.93 0.90 0.82 1" specular="0.5" shininess="0.4"/>
  </asset>
  <worldbody>
    <camera name="front" pos="0 -0.47 1.75" xyaxes="1 0 0 0 0.868 0.497" fovy="{_FIELD}"/>
    <light name="ceiling" pos="-0.5 -0.4 2.4" dir="0.25 0.35 -1" castshadow="true" diffuse="0.5 0.5 0.48"
      specular="0.15 0.15 0.15" ambient="0 0 0"/>
    <geom type="plane" size="3 3 0.05" material="board"/>
    <geom type="cylinder" size="0.13 0.1" pos="0 0 0.1" rgba="0.2 0.2 0.22 1"/>
    {lamps}
    {buttons}
    <body pos="0 0 0.3">
      <joint name="base" type="hinge" axis="0 0 1"/>
      <geom type="cylinder" size="0.085 0.1" material="metal"/>
      <geom type="capsule" size="0.06" fromto="0 0 0.05 0 {_REACH} 0.05" material="metal"/>
      <body pos="0 {_REACH} 0.05">
        <joint name="finger" type="slide" axis="0 0 1"/>
        <geom type="capsule" size="0.055" fromto="0 0 0 0 0 -0.05" material="metal"/>
        <geom type="capsule" size="0.045" fromto="0 0 -0.05 0 0 -0.1" rgba="0.95 0.8 0.2 1"/>
      </body>
    </body>
  </worldbody>
</mujoco>"""
