"""Scores of graphs: the evidence of rows of data for each variable and a set of parents, a module each."""

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData, IntArray
from pyro_lcm.discovery.scores.base import CachedScore, LocalScore, as_parent_sets, total_score

__all__ = [
    "BoolArray",
    "CachedScore",
    "FloatArray",
    "GraphData",
    "IntArray",
    "LocalScore",
    "as_parent_sets",
    "total_score",
]
