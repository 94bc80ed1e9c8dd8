"""Networks: grouped by causal variable, flows, splines, and encoders and decoders of observations."""

from pyro_lcm.nn.flow import Flow
from pyro_lcm.nn.grouped import GroupedMLP
from pyro_lcm.nn.images import ImageDecoder, ImageEncoder
from pyro_lcm.nn.spline import MonotoneSpline
from pyro_lcm.nn.vectors import VectorDecoder, VectorEncoder, mlp

__all__ = [
    "Flow",
    "GroupedMLP",
    "ImageDecoder",
    "ImageEncoder",
    "MonotoneSpline",
    "VectorDecoder",
    "VectorEncoder",
    "mlp",
]
