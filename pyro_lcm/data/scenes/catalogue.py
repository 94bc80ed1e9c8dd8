"""Ready scenes of shapes by name, unlike each other; each also as a variant with occlusion, texture and pixel noise."""

from __future__ import annotations

from dataclasses import replace

from pyro_lcm.data.scenes.shapes import Arc, Background, Shape
from pyro_lcm.data.scenes.shapes_scene import ShapesScene

SUFFIX = "-occluded"
"""Ends the name of a scene's variant in which shapes overlap, with texture and pixel noise."""
NOISE_SD = 10.0
"""Of the pixels of these variants, in the units of 0 to 255."""

_PLAIN = (
    ShapesScene(
        name="discs",
        shapes=(
            Shape(outline="disc", x=Arc("first", 0.13, 0.87), y=0.14, size=0.1, hue=0.0),
            Shape(outline="disc", x=Arc("second", 0.13, 0.87), y=0.38, size=0.1, hue=0.15),
            Shape(outline="disc", x=Arc("third", 0.13, 0.87), y=0.62, size=0.1, hue=0.4),
            Shape(outline="disc", x=Arc("fourth", 0.13, 0.87), y=0.86, size=0.1, hue=0.62),
        ),
    ),
    ShapesScene(
        name="mixed",
        shapes=(
            Shape(outline="disc", x=0.16, y=Arc("disc", 0.16, 0.84), size=0.13, hue=0.02),
            Shape(outline="square", x=Arc("square", 0.42, 0.86), y=Arc("square", 0.25, 0.13), size=0.1, hue=0.35),
            Shape(outline="pin", x=0.73, y=0.54, size=0.2, angle=Arc("pin", -40, 40), hue=0.6),
            Shape(outline="disc", x=0.5, y=0.83, size=Arc("growth", 0.06, 0.15), hue=0.16),
        ),
    ),
    ShapesScene(
        name="colours",
        shapes=(
            Shape(outline="square", x=0.28, y=0.3, size=Arc("size", 0.1, 0.2), hue=Arc("hue", 0.0, 0.55)),
            Shape(outline="disc", x=0.74, y=0.28, size=0.18, hue=0.6, brightness=Arc("light", 0.35, 1.0)),
            Shape(outline="triangle", x=Arc("place", 0.18, 0.82), y=0.78, size=0.15, hue=0.15, brightness=0.8),
        ),
    ),
    ShapesScene(
        name="plane",
        shapes=(
            Shape(outline="ring", x=Arc("round x", 0.13, 0.38), y=Arc("round y", 0.13, 0.87), size=0.11, hue=0.1),
            Shape(outline="triangle", x=Arc("arrow x", 0.62, 0.87), y=Arc("arrow y", 0.87, 0.13), size=0.12, hue=0.5),
        ),
    ),
    ShapesScene(
        name="eight",
        shapes=(
            Shape(outline="disc", x=Arc("disc", 0.1, 0.9), y=0.1, size=0.08, hue=0.0),
            Shape(outline="square", x=0.11, y=Arc("square", 0.32, 0.88), size=0.08, hue=0.3),
            Shape(outline="pin", x=0.37, y=0.4, size=0.13, angle=Arc("pin", -30, 50), hue=0.55),
            Shape(outline="ring", x=0.37, y=0.76, size=Arc("ring", 0.08, 0.14), hue=0.17, brightness=0.8),
            Shape(outline="triangle", x=0.64, y=0.38, size=0.11, hue=Arc("hue", 0.4, 0.9)),
            Shape(outline="rectangle", x=0.65, y=0.66, size=0.11, hue=0.7, brightness=Arc("light", 0.35, 1.0)),
            Shape(
                outline="disc",
                x=0.88,
                y=Arc("fall", 0.3, 0.72),
                size=0.08,
                hue=0.3,
                brightness=Arc("glow", 1.0, 0.4),
            ),
        ),
    ),
)

_CROWDED = (
    _PLAIN[0].crowded(0.8, 0.42, 1.3),
    _PLAIN[1].crowded(0.5, 0.4, 1.4),
    _PLAIN[2].crowded(0.6, 0.2, 1.2),
    ShapesScene(
        name="plane",
        shapes=(
            Shape(outline="disc", x=Arc("round x", 0.35, 0.65), y=Arc("round y", 0.35, 0.65), size=0.18, hue=0.1),
            Shape(outline="triangle", x=Arc("arrow x", 0.35, 0.65), y=Arc("arrow y", 0.65, 0.35), size=0.26, hue=0.5),
        ),
    ),
    _PLAIN[4].crowded(0.6, 0.6, 1.2),
)
"""How far shapes are pulled together, and grow, so that they overlap in many images and none is ever out of sight."""


def _occluded(scene: ShapesScene, seed: int) -> ShapesScene:
    background = Background(level=0.25, texture=0.15, seed=seed)
    return replace(scene, name=scene.name + SUFFIX, background=background, noise_sd=NOISE_SD)


SCENES: dict[str, ShapesScene] = {
    scene.name: scene for scene in (*_PLAIN, *(_occluded(scene, seed) for seed, scene in enumerate(_CROWDED)))
}
"""The scenes by name."""


def find_scene(scene: str | ShapesScene) -> ShapesScene:
    """A scene by its name, or itself.

    Raises:
        ValueError: If there is none of this name.

    >>> find_scene("mixed").variables
    ('disc', 'square', 'pin', 'growth')
    """
    if isinstance(scene, ShapesScene):
        return scene
    if scene not in SCENES:
        raise ValueError(f"scene: got {scene!r}, expected one of {', '.join(SCENES)}")
    return SCENES[scene]
