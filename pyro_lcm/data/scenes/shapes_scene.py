"""Scenes of shapes on a plane: which there are, what is behind them, and the variables that their attributes follow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from pyro_lcm.data.scenes.paint import ShapesRenderer
from pyro_lcm.data.scenes.shapes import Background, Shape, affine


@dataclass(frozen=True, kw_only=True)
class ShapesScene:
    """A scene: shapes in the order of drawing, the last in front.

    Args:
        name: Of the scene.
        shapes: At least one; some attribute is an arc.
        background: Behind them.
        noise_sd: Standard deviation of the normal noise of every pixel and colour, in the units of 0 to 255.

    Raises:
        ValueError: If there is no variable, or the noise is negative.

    >>> from pyro_lcm.data.scenes import Arc
    >>> scene = ShapesScene(name="mine", shapes=(
    ...     Shape(outline="disc", x=Arc("place", 0.2, 0.8)),
    ...     Shape(outline="square", y=0.8, hue=Arc("hue", 0.0, 0.5)),
    ... ))
    >>> with scene.renderer(32) as renderer:
    ...     renderer.render([[0.0, 0.5], [1.0, 0.5]]).shape
    (2, 32, 32, 3)
    """

    name: str
    shapes: tuple[Shape, ...]
    background: Background = field(default=Background())
    noise_sd: float = 0.0

    def __post_init__(self) -> None:
        if not self.variables:
            raise ValueError("shapes: got none with an Arc, expected at least one causal variable")
        if self.noise_sd < 0:
            raise ValueError(f"noise_sd: got {self.noise_sd}, expected at least 0")

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the causal variables in the order in which shapes and their attributes name them."""
        return tuple(dict.fromkeys(arc.variable for shape in self.shapes for _, arc in shape.arcs()))

    def renderer(self, size: int = 64) -> ShapesRenderer:
        """Make a renderer of square images of ``size`` pixels."""
        return ShapesRenderer(self.shapes, self.background, self.variables, size)

    def crowded(self, across: float, down: float, grow: float) -> ShapesScene:
        """The same scene with shapes that overlap.

        Args:
            across: Distances from the middle column of the image are multiplied by this, 0 to 1.
            down: Distances from the middle row are multiplied by this, 0 to 1.
            grow: Sizes are multiplied by this, at least 1.

        Returns:
            The scene, with the same variables in the same order.

        Raises:
            ValueError: If a shape would leave the frame.
        """
        shapes = tuple(
            replace(
                shape,
                x=affine(shape.x, 0.5 - 0.5 * across, across),
                y=affine(shape.y, 0.5 - 0.5 * down, down),
                size=affine(shape.size, 0.0, grow),
            )
            for shape in self.shapes
        )
        return replace(self, shapes=shapes)
