"""Learned variables, targets and graphs against the truth: one matching, then the metrics."""

from pyro_lcm.evaluation.alignment import Alignment, align, align_latents, correlation_matrix, match
from pyro_lcm.evaluation.dci import DCI, completeness, dci, disentanglement
from pyro_lcm.evaluation.graphs import GraphDistance, compare_graphs
from pyro_lcm.evaluation.mcc import mean_correlation
from pyro_lcm.evaluation.report import METRICS, align_to_truth, evaluate_latents
from pyro_lcm.evaluation.targets import intervention_accuracy, most_likely_targets, set_accuracy

__all__ = [
    "DCI",
    "METRICS",
    "Alignment",
    "GraphDistance",
    "align",
    "align_latents",
    "align_to_truth",
    "compare_graphs",
    "completeness",
    "correlation_matrix",
    "dci",
    "disentanglement",
    "evaluate_latents",
    "intervention_accuracy",
    "match",
    "mean_correlation",
    "most_likely_targets",
    "set_accuracy",
]
