"""An older name of :mod:`pyro_lcm.images.sides`."""

from pyro_lcm.images.sides import image_sides

__all__ = ["image_sides"]
