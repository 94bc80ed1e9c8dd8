"""Scenes of shapes on a plane, as plain data: which shape has which attribute bound to which causal variable.

An attribute is a number or an :class:`Arc`, an affine function of one variable. Arcs are open, so that images show
variables one to one: turns of at most 80 degrees and less than half of a shape's own symmetry, hues of at most 60 % of
the circle, nothing that vanishes or leaves the frame at any place on its arc.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from pyro_lcm.data.scenes.outlines import OUTLINES

LARGEST_TURN = 80.0
"""Degrees that an angle may span."""
LARGEST_HUES = 0.6
"""Part of the circle of hues that a hue may span."""
_LIMITS = {"size": (0.05, 0.5), "brightness": (0.3, 1.0), "saturation": (0.0, 1.0)}


@dataclass(frozen=True)
class Arc:
    """An attribute that follows a causal variable z in [0, 1]: ``start + (stop - start) z``.

    Args:
        variable: Name of the variable; one may be bound to several attributes, as x and y on a slanted track.
        start: Value at z = 0.
        stop: Value at z = 1, another one.

    Raises:
        ValueError: If the two are equal.
    """

    variable: str
    start: float
    stop: float

    def __post_init__(self) -> None:
        if self.start == self.stop:
            raise ValueError(f"stop: got {self.stop}, expected another value than start")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape; each attribute is a number or an :class:`Arc`.

    Args:
        outline: disc, ring, square, rectangle, triangle (an arrowhead) or pin (a bar of different ends).
        x: Middle, from 0 (left) to 1 (right).
        y: Middle, from 0 (top) to 1 (bottom).
        size: Radius, or half of the length, in widths of the image; 0.05 to 0.5.
        angle: Degrees, clockwise.
        hue: Place on the circle of hues; 0 red, 1/3 green, 2/3 blue.
        brightness: 0.3 to 1.
        saturation: 0 (grey) to 1; a number.

    Raises:
        ValueError: If an attribute leaves its range, or an arc closes or nearly does.
    """

    outline: str
    x: float | Arc = 0.5
    y: float | Arc = 0.5
    size: float | Arc = 0.1
    angle: float | Arc = 0.0
    hue: float | Arc = 0.0
    brightness: float | Arc = 0.9
    saturation: float = 0.85

    def __post_init__(self) -> None:
        if self.outline not in OUTLINES:
            raise ValueError(f"outline: got {self.outline!r}, expected one of {', '.join(OUTLINES)}")
        for name, (low, high) in _LIMITS.items():
            found = ends(getattr(self, name))
            if not low <= min(found) <= max(found) <= high:
                raise ValueError(f"{name}: got {min(found)} to {max(found)}, expected {low} to {high}")
        self._check_arcs()
        self._check_frame()

    def _check_arcs(self) -> None:
        period = OUTLINES[self.outline].period
        turn, hues = span(self.angle), span(self.hue)
        if turn > 0 and period == 0:
            raise ValueError(f"angle: got an arc for a {self.outline}, which looks the same however it is turned")
        if turn > min(LARGEST_TURN, period / 2):
            raise ValueError(
                f"angle: got an arc of {turn} degrees for a {self.outline}, expected at most "
                f"{min(LARGEST_TURN, period / 2):g}: wider ones close or nearly do"
            )
        if hues > LARGEST_HUES:
            raise ValueError(f"hue: got an arc of {hues} of the circle, expected at most {LARGEST_HUES}")
        if hues > 0 and self.saturation < 0.5:
            raise ValueError(f"saturation: got {self.saturation}, expected at least 0.5 where the hue is an arc")

    def _check_frame(self) -> None:
        # What is affine in variables is extreme at their ends; x and size may be bound to the same one or not.
        reach = OUTLINES[self.outline].reach
        for name in ("x", "y"):
            attribute = getattr(self, name)
            together = isinstance(attribute, Arc) and isinstance(self.size, Arc)
            if together and attribute.variable == self.size.variable:  # type: ignore[union-attr]
                pairs = list(zip(ends(attribute), ends(self.size), strict=True))
            else:
                pairs = [(at, size) for at in ends(attribute) for size in ends(self.size)]
            for at, size in pairs:
                if not reach * size <= at <= 1 - reach * size:
                    raise ValueError(f"{name}: got {at} with size {size}, expected the {self.outline} within the frame")

    def arcs(self) -> Iterator[tuple[str, Arc]]:
        """The attributes that follow variables, by name."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Arc):
                yield item.name, value


@dataclass(frozen=True)
class Background:
    """What is behind the shapes.

    Args:
        level: Its grey, 0 to 1.
        texture: Amplitude of a smooth random texture, the same in all images of the scene; 0 for a plain background.
        seed: Of the texture.

    Raises:
        ValueError: If the texture would leave the range of brightness.
    """

    level: float = 0.12
    texture: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.texture < 0 or not 0 <= self.level - self.texture <= self.level + self.texture <= 1:
            raise ValueError(f"texture: got {self.texture} about a level of {self.level}, expected to stay in [0, 1]")


def ends(attribute: float | Arc) -> tuple[float, ...]:
    """The values of an attribute at the ends of its arc."""
    return (attribute.start, attribute.stop) if isinstance(attribute, Arc) else (attribute,)


def span(attribute: float | Arc) -> float:
    """How far an attribute moves."""
    return max(ends(attribute)) - min(ends(attribute))


def affine(attribute: float | Arc, offset: float, factor: float) -> float | Arc:
    """``offset + factor * attribute``, at both ends of an arc."""
    if isinstance(attribute, Arc):
        return replace(attribute, start=offset + factor * attribute.start, stop=offset + factor * attribute.stop)
    return offset + factor * attribute
