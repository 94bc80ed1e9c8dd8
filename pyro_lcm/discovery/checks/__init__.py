"""Checks of a posterior over graphs against its rows: what score, prior and declared interventions get wrong."""

from pyro_lcm.discovery.checks.notes import data_notes
from pyro_lcm.discovery.checks.other_scores import choose_score

__all__ = ["choose_score", "data_notes"]
