"""Amortized guide of the implicit latent causal model of soft interventions.

A soft intervention, too, changes one noise encoding and no other, so the question that the guide answers is the one of
perfect interventions; see :mod:`pyro_lcm.guides.ilcm`. It encodes noise encodings; ``model.causal`` makes them causal
variables.
"""

from __future__ import annotations

from pyro_lcm.guides.ilcm import ILCMGuide


class SoftILCMGuide(ILCMGuide):
    """The guide of :class:`pyro_lcm.models.soft_ilcm.SoftILCM`."""
