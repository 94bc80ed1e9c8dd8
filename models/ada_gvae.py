"""Ada-GVAE, Ada-ML-VAE, GVAE and ML-VAE (Locatello et al., ICML 2020, arXiv 2002.02886): the generative side.

The objective that was published is the mean of two beta-VAE losses,

    E log p(x | e) + E log p(x~ | e~) - beta KL(q(e | x, x~) | N(0, 1)) - beta KL(q(e~ | x, x~) | N(0, 1)),

which is the evidence lower bound of the beta-VAE's program of independent sides: the pair is used by the
guide alone (:mod:`pyro_lcm.guides.ada_gvae`), which gives both sides the same posterior wherever a factor did
not change. A program with one shared site for each unchanged factor would pay its KL once instead of twice;
with the changed factor summed out that program is the dVAE (:mod:`pyro_lcm.models.dvae`), so both exist side
by side.
"""

from __future__ import annotations

from pyro_lcm.models.beta_vae import BetaVAE


class AdaGVAE(BetaVAE):
    """The beta-VAE's program, to be fitted with :class:`pyro_lcm.guides.ada_gvae.AdaGVAEGuide`."""
