"""Amortized guide of the explicit latent causal model of soft interventions.

A soft intervention, too, changes one noise encoding and no other, so the questions that the guide answers, which graph
and which target, are those of perfect interventions; see :mod:`pyro_lcm.guides.elcm`.
"""

from __future__ import annotations

from pyro_lcm.guides.elcm import ELCMGuide


class SoftELCMGuide(ELCMGuide):
    """The guide of :class:`pyro_lcm.models.soft_elcm.SoftELCM`."""
