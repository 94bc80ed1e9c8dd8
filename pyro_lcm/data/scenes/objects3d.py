"""A scene in space, in the manner of Causal3DIdent: an object on the ground under a coloured spotlight, by MuJoCo.

After the data of von Kügelgen, Sharma, Gresele, Brendel, Schölkopf, Besserve, Locatello (NeurIPS 2021, arXiv
2106.04619), with six variables here, each on an open arc:

    place        where the object is, from left to right
    turn         how far it is turned about the vertical, 80 degrees in all; it has a nose, a fin and no symmetry
    hue          its hue, 55 % of the circle
    lamp         where the spotlight hangs, from left to right, and with it the pool of light on the ground
    lamp hue     hue of its light, 50 % of the circle
    ground hue   hue of the ground, 50 % of the circle

A white light from above shows hues everywhere, so that the spotlight's hue is not mistaken for that of what it
falls on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.headless import OffscreenRenderer
from pyro_lcm.data.scenes.contract import check_places, check_size
from pyro_lcm.data.scenes.paint import colours

VARIABLES = ("place", "turn", "hue", "lamp", "lamp hue", "ground hue")
"""The causal variables."""
_PLACE = (-0.3, 0.22)
_TURN = (-40.0, 40.0)
_HUE = (0.0, 0.55)
_LAMP = (-0.5, 0.5)
_LAMP_HUE = (0.05, 0.55)
_GROUND_HUE = (0.35, 0.85)
_RENDERED = 128
"""Smaller images are rendered at this size at least and averaged, so that they change smoothly."""
_LARGEST = 512


@dataclass(frozen=True)
class Objects3D:
    """The scene; see :mod:`pyro_lcm.data.scenes.objects3d`.

    Args:
        noise_sd: Standard deviation of the normal noise of every pixel and colour, in the units of 0 to 255.

    Raises:
        ValueError: If the noise is negative.

    >>> Objects3D().variables
    ('place', 'turn', 'hue', 'lamp', 'lamp hue', 'ground hue')
    """

    noise_sd: float = 0.0

    def __post_init__(self) -> None:
        if self.noise_sd < 0:
            raise ValueError(f"noise_sd: got {self.noise_sd}, expected at least 0")

    @property
    def name(self) -> str:
        """Name of the scene."""
        return "objects3d"

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the causal variables."""
        return VARIABLES

    def renderer(self, size: int = 64) -> Objects3DRenderer:
        """Make a renderer of square images of ``size`` pixels."""
        return Objects3DRenderer(size)


class Objects3DRenderer(OffscreenRenderer):
    """Renders the scene; a context manager, since it holds an OpenGL context.

    Args:
        size: Width and height of the images in pixels, 16 to 512.

    Raises:
        ValueError: If the size is out of range.
        RenderingUnavailable: If MuJoCo or the OpenGL library is missing.
    """

    def __init__(self, size: int = 64) -> None:
        check_size(size)
        super().__init__(_xml(), size, _RENDERED)

    def render(self, z: ArrayLike) -> NDArray[np.uint8]:
        """Render images without pixel noise.

        Args:
            z: Causal variables in [0, 1], shape (N, 6).

        Returns:
            RGB, shape (N, size, size, 3).

        Raises:
            ValueError: If the shape is another one or a value is out of range.
        """
        places = check_places(z, len(VARIABLES))
        result = np.empty((len(places), self.size, self.size, 3), np.uint8)
        for row, values in enumerate(places):
            result[row] = self._render(*values)
        return result

    def _render(
        self, place: float, turn: float, hue: float, lamp: float, lamp_hue: float, ground_hue: float
    ) -> NDArray[np.uint8]:
        model, data = self._model, self._data
        data.joint("place").qpos[0] = _on(_PLACE, place)
        data.joint("turn").qpos[0] = np.radians(_on(_TURN, turn))
        model.material("object").rgba[:3] = _colour(_on(_HUE, hue), 0.9, 0.8)
        model.material("ground").rgba[:3] = _colour(_on(_GROUND_HUE, ground_hue), 0.75, 0.6)
        model.light("lamp").pos[0] = _on(_LAMP, lamp)
        model.light("lamp").diffuse[:] = _colour(_on(_LAMP_HUE, lamp_hue), 0.9, 0.75)
        return self._image()


def _on(arc: tuple[float, float], z: float) -> float:
    return arc[0] + (arc[1] - arc[0]) * z


def _colour(hue: float, brightness: float, saturation: float) -> NDArray[np.float32]:
    return colours([hue], [brightness], saturation)[0] / np.float32(255)


def _xml() -> str:
    return f"""
<mujoco>
  <visual>
    <global offwidth="{_LARGEST}" offheight="{_LARGEST}"/>
    <headlight ambient="0.25 0.25 0.25" diffuse="0.1 0.1 0.1" specular="0 0 0"/>
    <quality shadowsize="1024" offsamples="4"/>
    <map znear="0.05" zfar="10"/>
  </visual>
  <option gravity="0 0 0"/>
  <asset>
    <material name="ground" specular="0" reflectance="0"/>
    <material name="object" specular="0.2" shininess="0.3"/>
  </asset>
  <worldbody>
    <camera name="front" pos="0 -0.9 1.1" xyaxes="1 0 0 0 0.74 0.673" fovy="50"/>
    <light name="sky" pos="0 -0.3 3" dir="0 0.1 -1" directional="true" castshadow="false" diffuse="0.4 0.4 0.4"
      ambient="0 0 0" specular="0 0 0"/>
    <light name="lamp" pos="0 0.05 1.4" dir="0 -0.05 -1" cutoff="45" exponent="13" castshadow="true" ambient="0 0 0"
      attenuation="1 0 0" specular="0.1 0.1 0.1"/>
    <geom type="plane" size="2 2 0.04" material="ground"/>
    <body pos="0 0 0.14">
      <joint name="place" type="slide" axis="1 0 0"/>
      <joint name="turn" type="hinge" axis="0 0 1"/>
      <geom type="box" size="0.2 0.1 0.12" material="object"/>
      <geom type="capsule" size="0.05" fromto="0.18 0 -0.03 0.34 0 -0.03" material="object"/>
      <geom type="ellipsoid" size="0.09 0.03 0.14" pos="-0.13 0.04 0.16" material="object"/>
    </body>
  </worldbody>
</mujoco>"""
