"""Amortized guide of the dVAE: the implicit latent causal model's, see :mod:`pyro_lcm.guides.ilcm`."""

from __future__ import annotations

from pyro_lcm.guides.ilcm import ILCMGuide


class DVAEGuide(ILCMGuide):
    """The guide of :class:`pyro_lcm.models.dvae.DVAE`.

    What is before and after and which component was redrawn is the same question with and without causal
    relations, so the guide is the same.
    """
