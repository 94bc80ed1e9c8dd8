"""The evidence lower bound of a (model, guide) as an objective for the driver.

    ELBO = E_q [ log p(x, x~, e, e~_I, I) - log q(e, e~_I, I | x, x~) ]      per pair

Targets are summed out (exactly, or over the most probable ones), the rest is one reparameterised sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO
from torch import Tensor, nn

from pyro_lcm.causal.scoring import Scoring
from pyro_lcm.nn.recall import Recall
from pyro_lcm.process import random_state
from pyro_lcm.training.elbo import PairELBO
from pyro_lcm.training.handlers import DeterministicDtype, LatentWeight, MaskSite, ThroughEncoder, TopHypotheses


class PairObjective(nn.Module):
    """Negative ELBO per pair of any (model, guide) that keeps the contract, plus regularisers.

    Args:
        model: ``model(x, x_after, *, targets, size, index)``, the generative program.
        guide: a guide of the same signature.
    """

    # Any: what a model and a guide have beyond nn.Module is a contract, not a type.
    model: Any
    guide: Any

    def __init__(self, model: nn.Module, guide: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.guide = guide
        self._others_enumerate: dict[str | None, bool] = {}
        self._direct: dict[Callable[..., Any], Callable[..., Any]] = {}

    def forward(
        self,
        tensors: Mapping[str, Tensor],
        *,
        size: int,
        index: Tensor,
        kl_weight: float = 1.0,
        hypotheses: int | None = None,
        intervention_term: bool = True,
        entropy: float = 0.0,
        consistency: float = 0.0,
        through_encoder: bool = False,
        program: str | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch.

        Args:
            tensors: ``x`` and ``x_after``, (pairs, ...); optionally ``targets``, (pairs,), -1 for unknown, and what
                an encoder that is frozen makes of the pairs (:class:`~pyro_lcm.recipes.encodings.EncodeOnce`).
            size: number of pairs in the data set.
            index: (pairs,) which of them these are.
            kl_weight: weight of the latent sites' densities, positive.
            hypotheses: targets considered for each pair; all d + 1 if None, 1 for hard targets.
            intervention_term: whether the density of the redrawn component is part of the objective.
            entropy: weight of the entropy of the batch's aggregate q(I), which is maximised: it keeps every
                target in use.
            consistency: weight of the squared difference between x and the decoded mean of its encoding.
            through_encoder: score observations by their codes, through the guide's encoder
                (:class:`~pyro_lcm.training.handlers.ThroughEncoder`), whose ``body`` has to be frozen meanwhile.
            program: name of another program of the model and its guide, such as ``given_graph`` of the explicit
                model; see :meth:`programs`.

        Returns:
            The loss, a scalar, and the parts of it by name.
        """
        x, x_after = tensors["x"], tensors["x_after"]
        targets = tensors.get("targets")
        args = (x, x_after)
        kwargs: dict[str, Any] = {"targets": targets, "size": size, "index": index}
        model, guide = self._handled(*self.programs(program), kl_weight, hypotheses, intervention_term)
        if through_encoder:
            told_by = self.guide.target_encoder
            handler = ThroughEncoder(self.guide.encoder, told_by.tolerance_of_codes(), told_by.hypotheses())
            model, guide = handler(model), handler(guide)
        # Parameters belong to the modules; whatever a PyroModule registers on the way is dropped with this scope.
        dtype = nullcontext() if x.dtype == torch.get_default_dtype() else DeterministicDtype()
        with pyro.get_param_store().scope(), Scoring(), self.recall(tensors), dtype:
            if self._enumerates_others(program, model, guide, *args, **kwargs):
                elbo = TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
                # Pyro's differentiable form refuses to run without gradients, as in validation.
                run = elbo.differentiable_loss if torch.is_grad_enabled() else elbo.loss
            else:
                run = PairELBO().differentiable_loss
            loss = torch.as_tensor(run(model, guide, *args, **kwargs), device=x.device) / size
        metrics = {"elbo": -loss.detach()}
        if entropy:
            usage = self.guide.targets(x, x_after).mean(0)
            value = -(usage * usage.clamp(min=1e-12).log()).sum()
            metrics["target_entropy"] = value.detach()
            loss = loss - entropy * value
        if consistency:
            error = sum((side - self.reconstruct(side)).square().flatten(1).sum(1).mean() for side in args) / 2
            metrics["consistency"] = torch.as_tensor(error).detach()
            loss = loss + consistency * error
        return loss, metrics

    def recall(self, tensors: Mapping[str, Tensor]) -> Recall:
        """A context in which model and guide share passes of networks, those that a batch brings among them."""
        recall = Recall()
        if "image" in tensors:
            recall.know((tensors["x"], tensors["x_after"]), self.guide.encoder.passes(tensors))
        return recall

    def programs(self, name: str | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """A generative program and its guide: the modules themselves, or their methods of a name."""
        return (self.model, self.guide) if name is None else (getattr(self.model, name), getattr(self.guide, name))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoded mean of the encoding of x, of the same shape."""
        mean: Tensor = self.model.x_dist(self.guide.encode(x).mean).mean
        return mean

    def _enumerates_others(
        self,
        program: str | None,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        x: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        """Whether a site beside the target is enumerated, a latent graph for example, or one in the model.

        Found out once for each program, from one run of both programs with random numbers of its own.
        """
        if program not in self._others_enumerate:
            with torch.no_grad(), random_state.isolated(0, x.device):
                drawn = poutine.trace(guide).get_trace(x, *args, **kwargs)
                scored = poutine.trace(poutine.replay(model, drawn)).get_trace(x, *args, **kwargs)
            sites = [*drawn.nodes.values(), *scored.nodes.values()]
            latent = (site for site in sites if site["type"] == "sample" and not site["is_observed"])
            own = ("target", "target_hypothesis")
            others = (site["infer"] for site in latent if site["name"] not in own)
            self._others_enumerate[program] = any(
                infer.get("enumerate") and not infer.get("num_samples") for infer in others
            )
        return self._others_enumerate[program]

    def _handled(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        kl_weight: float,
        hypotheses: int | None,
        intervention_term: bool,
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        for program in (model, guide):  # a look at every module of both, which a step need not repeat
            if program not in self._direct:
                self._direct[program] = without_registration(program)
        model, guide = self._direct[model], self._direct[guide]
        if hypotheses is not None:
            guide = TopHypotheses(hypotheses)(guide)
        if not intervention_term:
            model = MaskSite("redrawn")(model)
        if kl_weight != 1.0:
            model, guide = LatentWeight(kl_weight)(model), LatentWeight(kl_weight)(guide)
        return model, guide


def without_registration(program: Callable[..., Any]) -> Callable[..., Any]:
    """Return the forward of a program that is a module, which runs without registering parameters with Pyro.

    Called as a module, a PyroModule sends a message for every parameter of every network it reads, in every step, for
    a store that is thrown away here: a tenth of a step. Random parameters (`PyroSample`) need that context.
    """
    if not isinstance(program, nn.Module):
        return program
    random = any(getattr(module, "_pyro_samples", None) for module in program.modules())
    forward: Callable[..., Any] = program if random else program.forward
    return forward
