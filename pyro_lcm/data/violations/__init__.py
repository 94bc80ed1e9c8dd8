"""Kinds of pairs that keep to the assumptions or break one, each with its truth."""

from pyro_lcm.data.violations.catalogue import KINDS, Kind

__all__ = ["KINDS", "Kind"]
