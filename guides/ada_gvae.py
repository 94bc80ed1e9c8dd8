"""Guides that share the unchanged factors (Locatello et al., ICML 2020, arXiv 2002.02886).

Both sides of a pair are encoded. For a factor that did not change the two posteriors are replaced by their
average:

    GVAE     m = (m + m~) / 2,                        v = (v + v~) / 2
    ML-VAE   m = (m / v + m~ / v~) / (1/v + 1/v~),    v = 2 / (1/v + 1/v~)

Which factors did not change is known (GVAE, ML-VAE: pass ``targets``) or estimated (Ada-GVAE, Ada-ML-VAE)
from the Kullback-Leibler divergence of each component's posteriors, in the paper's code up to a factor of
two,

    delta_j = v_j / v~_j + (m_j - m~_j)^2 / v~_j - 1 + log(v~_j / v_j),  changed if delta_j >= (max + min) /
    2,

or the k components of largest delta_j where the number k of changed factors is known.

The objective that was published is the mean of two beta-VAE losses,

    E log p(x | e) + E log p(x~ | e~) - beta KL(q(e | x, x~) | N(0, 1)) - beta KL(q(e~ | x, x~) | N(0, 1)),

the evidence lower bound of the beta-VAE's program of independent sides (:class:`pyro_lcm.models.beta_vae.BetaVAE`): the
pair is used by the guide alone. A program with one shared site for each unchanged factor would pay its KL once
instead of twice; with the changed factor summed out that program is the dVAE (:mod:`pyro_lcm.models.dvae`), so both
exist side by side.
"""

from __future__ import annotations

from typing import Literal

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_lcm.causal.subsets import as_hit
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.target_encoder import TargetEncoder

Average = Literal["gvae", "ml-vae"]


class AdaGVAEGuide(BetaVAEGuide):
    """A guide of :class:`pyro_lcm.models.beta_vae.BetaVAE`.

    Known ``targets`` may be single ones, (pairs,), or sets, (pairs, d), see :mod:`pyro_lcm.causal.subsets`;
    pairs whose targets are unknown are treated adaptively.

    Args:
        dim_z: number of latents d.
        encoder: maps (pairs, ...) observations to mean and standard deviation, (pairs, d) each.
        average: how posteriors of unchanged factors are averaged.
        changed: number k of factors that change in a pair, 0..d; None for the adaptive threshold.

    Raises:
        ValueError: If an argument is out of range.
    """

    infers_targets = True

    def __init__(self, dim_z: int, encoder: nn.Module, average: Average = "gvae", changed: int | None = None) -> None:
        super().__init__(dim_z, encoder)
        if average not in ("gvae", "ml-vae"):
            raise ValueError(f"average: got {average!r}, expected 'gvae' or 'ml-vae'")
        if changed is not None and not 0 <= changed <= dim_z:
            raise ValueError(f"changed: got {changed}, expected an integer in 0..{dim_z}")
        self.average: Average = average
        self.changed = changed
        self.target_encoder = TargetEncoder(dim_z)

    def posteriors(self, x: Tensor, x_after: Tensor, targets: Tensor | None = None) -> tuple[Normal, Normal]:
        """Posteriors of the two sides' latents, equal where a factor did not change; (pairs, d) each."""
        before, after = super().posteriors(x, x_after)
        changed = self.changed_factors(before, after, targets)
        middle, variance = self._averaged(before, after)
        mean = torch.where(changed, before.loc, middle), torch.where(changed, after.loc, middle)
        spread = variance.sqrt()
        sd = torch.where(changed, before.scale, spread), torch.where(changed, after.scale, spread)
        return Normal(mean[0], sd[0]), Normal(mean[1], sd[1])

    def changed_factors(self, before: Normal, after: Normal, targets: Tensor | None = None) -> Tensor:
        """Which factors changed, (pairs, d) bool: by the targets where they are known, else by ``delta``."""
        delta = divergence(before, after)
        if self.changed is None:
            threshold = (delta.amax(-1, keepdim=True) + delta.amin(-1, keepdim=True)) / 2
            changed = delta >= threshold
        else:
            rank = delta.argsort(-1, descending=True).argsort(-1)
            changed = rank < self.changed
        if targets is not None:
            hit, known = as_hit(targets, self.dim_z)
            changed = torch.where(known.unsqueeze(-1), hit, changed)
        return changed

    def targets(self, x: Tensor, x_after: Tensor) -> Tensor:
        """(pairs, d + 1) probabilities of the targets none, 1, ..., d, from which component moved.

        The objective has no targets; tolerances and widths are set by
        :meth:`pyro_lcm.guides.target_encoder.TargetEncoder.fit`, not by the ELBO.
        """
        before, after = super().posteriors(x, x_after)
        probabilities: Tensor = self.target_encoder(after.mean - before.mean).softmax(-1)
        return probabilities

    def _averaged(self, before: Normal, after: Normal) -> tuple[Tensor, Tensor]:
        """Mean and variance of the average of two posteriors."""
        if self.average == "gvae":
            return (before.loc + after.loc) / 2, (before.variance + after.variance) / 2
        precision, precision_after = 1 / before.variance, 1 / after.variance
        total = precision + precision_after
        return (before.loc * precision + after.loc * precision_after) / total, 2 / total


def divergence(before: Normal, after: Normal) -> Tensor:
    """delta, twice KL(before | after), for each component.

    Example:
        >>> divergence(Normal(torch.tensor([0.0]), 1.0), Normal(torch.tensor([3.0]), 1.0))
        tensor([9.])
    """
    ratio = before.variance / after.variance
    delta: Tensor = ratio + (before.loc - after.loc).square() / after.variance - 1 - ratio.log()
    return delta
