"""The objectives of a recipe's stages, for one model and guide.

``reconstruct``  trains the autoencoder's body as a plain variational autoencoder of single observations.
``unmix``        trains the encoder's flow by exact likelihood, with the target summed out in closed form and no
                 decoder in the loop:

                     log p(u, u~) = log p(e) + log|det de/du| + log|det de~/du~| + log sum_I p(I) p(e~ - e | I)

                 where e = flow(u), p(e) = N(0, 1)^d, and p(e~ - e | I) = N(0, t_I^2 + 2 r_I^2) for the target's
                 component and N(0, t^2) for the others (the target encoder's own mixture). The tolerance t
                 is shared and learned: wide at first, when no coordinates make differences one-sparse, and narrowing as
                 the flow finds them, it anneals the problem by itself. As t goes to 0 this is the implicit latent
                 causal model seen through an invertible encoder.
``pairs``        the ELBO (:class:`pyro_lcm.training.objective.PairObjective`); where causal variables can be read off
                 linearly (:mod:`pyro_lcm.training.readouts`), with the squared difference to these in all rows.
``solutions``    trains the solution functions alone, by the density of the redrawn component given the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from pyro_lcm.causal.subsets import single_target
from pyro_lcm.causal.targets import UNKNOWN
from pyro_lcm.training.objective import PairObjective

_READOUT_WEIGHT = 10.0
"""Nats that a squared distance of one standard deviation to the readouts costs: all rows have one, few
have a target, and it comes from a dozen numbers instead of a network."""
Stage = Literal["reconstruct", "unmix", "pairs", "solutions"]


class RecipeObjective(PairObjective):
    """Negative log likelihood or ELBO per pair, by stage.

    Args:
        model: an ILCM or a model with its parts: ``decoder``, ``solution``, ``redrawn_dist``.
        guide: its guide, with ``encoder`` (``code``, ``flow``) and ``target_encoder``.
    """

    readout_weight: Tensor
    """(d, d): linear readouts of the code, a column for each causal variable."""
    readout_bias: Tensor
    has_readouts: Tensor
    """1 once the readouts are set, 0 until then."""

    def __init__(self, model: nn.Module, guide: nn.Module) -> None:
        super().__init__(model, guide)
        dim = self.model.dim_z
        # They belong to the training and its checkpoints, not to the model that is saved.
        self.register_buffer("readout_weight", torch.zeros(dim, dim), persistent=False)
        self.register_buffer("readout_bias", torch.zeros(dim), persistent=False)
        self.register_buffer("has_readouts", torch.zeros(()), persistent=False)
        self._reads: bool | None = None

    @torch.no_grad()
    def set_readouts(self, weight: Tensor, bias: Tensor) -> None:
        """Have the solution functions fitted to ``code @ weight + bias``, (d, d) and (d,), as well."""
        self.readout_weight.copy_(weight)
        self.readout_bias.copy_(bias)
        self.has_readouts.fill_(1.0)
        self._reads = True

    def forward(  # type: ignore[override]
        self,
        tensors: Mapping[str, Tensor],
        *,
        size: int,
        index: Tensor,
        stage: Stage = "pairs",
        kl_weight: float = 1.0,
        **settings: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch in a stage; the settings are those of :class:`PairObjective`."""
        if stage == "reconstruct":
            return self.reconstruct_loss(tensors, kl_weight)
        if stage == "unmix":
            return self.unmix_loss(tensors)
        if stage == "solutions":
            return self.solution_loss(tensors)
        loss, metrics = super().forward(tensors, size=size, index=index, kl_weight=kl_weight, **settings)
        if not self._has_readouts():
            return loss, metrics
        error = self.readout_error(torch.cat([tensors["x"], tensors["x_after"]]))
        return loss + _READOUT_WEIGHT * error, metrics | {"readout_error": error.detach()}

    def _has_readouts(self) -> bool:
        if self._reads is None:  # read once: from the device, and after a checkpoint has been loaded
            self._reads = not self.has_readouts.is_meta and bool(self.has_readouts)
        return self._reads

    def readout_error(self, x: Tensor) -> Tensor:
        """Squared distance of the solution functions to the readouts, the mean over (rows, ...) observations.

        At the encoder's means, it held fixed.
        """
        with torch.no_grad():
            noise = self.guide.encoder(x)[0]
            read = self.guide.encoder.code(x) @ self.readout_weight + self.readout_bias
        error: Tensor = (self.model.solution(noise) - read).square().sum(-1).mean()
        return error

    def reconstruct_loss(self, tensors: Mapping[str, Tensor], kl_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(x | e) + kl_weight KL(q(e | x) | N(0, 1)), the mean of both sides."""
        x = torch.cat([tensors["x"], tensors["x_after"]])
        posterior = Normal(*self.guide.encoder(x))
        kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(-1).mean()
        fit = self.model.x_dist(posterior.rsample()).log_prob(x).mean()
        return kl_weight * kl - fit, {"reconstruction": fit.detach(), "kl": kl.detach()}

    def unmix_loss(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(u, u~) per pair, the code's own encoder held fixed."""
        encoder, target_encoder = self.guide.encoder, self.guide.target_encoder
        with torch.no_grad():
            code = encoder.code(torch.cat([tensors["x"], tensors["x_after"]]))
        noise, log_det = encoder.flow(code)
        before, after = noise.chunk(2)
        prior = Normal(0.0, 1.0).log_prob(before).sum(-1)
        evidence = target_encoder.log_evidence(after - before, tensors.get("targets"), shared=True)
        likelihood = (prior + evidence).mean() + 2 * log_det.mean()
        return -likelihood, {"log_likelihood": likelihood.detach()}

    def solution_loss(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(e~_I | e, I) per pair that has a target.

        At the encoder's means, it held fixed, with hard targets.
        """
        x = torch.cat([tensors["x"], tensors["x_after"]])
        with torch.no_grad():
            noise = self.guide.encoder(x)[0]
            before, after = noise.chunk(2)
            target = hard_targets(self, before, after, tensors.get("targets"))
        column = (target - 1).clamp(min=0).unsqueeze(1)
        density = self.model.redrawn_dist(before, target).log_prob(after).gather(1, column).squeeze(1)
        hit = target > 0
        fit = torch.where(hit, density, 0.0).sum() / hit.sum().clamp(min=1)
        return -fit, {"log_redrawn": fit.detach()}


def hard_targets(objective: PairObjective, before: Tensor, after: Tensor, known: Tensor | None) -> Tensor:
    """The most probable target of each pair, (N,), or the known one, from noise encodings (N, d) of both sides."""
    target: Tensor = objective.guide.target_encoder(after - before).argmax(-1)
    if known is None:
        return target
    known = single_target(known, before.shape[-1])
    return torch.where(known == UNKNOWN, target, known)
