"""The ELBO of a sequence program as one sum over the variables that latents may belong to.

    ELBO = sum_m sum_k q(psi_m = k) [ log p(psi_m = k) + log p(z_m | psi_m = k) - log q(psi_m = k) ] + the rest

Each latent's assignment is a site of its own, all of them enumerated in one plate, and whatever depends on one of them
is in that plate too. So the sum over all joint assignments falls apart into one over each, and
:class:`pyro.infer.TraceEnum_ELBO`, which gives the same number for any structure, is a third slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO
from pyro.poutine.trace_struct import Trace
from torch import Tensor

_NESTING = 2
"""Plates: of latents and of steps. The enumerated dimension is to the left of both."""


class SequenceELBO(ELBO):  # type: ignore[misc]
    """Negative ELBO of programs with two plates and one enumerated site, of the guide, in the plate of latents.

    It can be given to :class:`pyro.infer.SVI` in place of :class:`~pyro.infer.TraceEnum_ELBO`. All other latent sites
    have to be reparameterised, and in the guide independent of the assignment.
    """

    def __init__(self) -> None:
        super().__init__(max_plate_nesting=_NESTING)

    def differentiable_loss(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """The negative ELBO, a scalar with gradients.

        Raises:
            ValueError: if there is not one enumerated site in the guide.
        """
        p, q = self._get_trace(model, guide, args, kwargs)
        enumerated = [
            site
            for site in q.nodes.values()
            if site["type"] == "sample" and site["infer"].get("_enumerate_dim") is not None
        ]
        if len(enumerated) != 1:
            raise ValueError(f"guide: got {len(enumerated)} enumerated sites, expected one; use TraceEnum_ELBO")
        weight = enumerated[0]["fn"].log_prob(enumerated[0]["value"]).exp()
        terms = []
        for trace, sign in ((p, 1.0), (q, -1.0)):
            for site in trace.nodes.values():
                if site["type"] == "sample" and not site["infer"].get("_deterministic"):
                    density = scale_and_mask(site["fn"].log_prob(site["value"]), site["scale"], site["mask"])
                    weighted = density if density.dim() <= _NESTING else density * weight
                    terms.append(sign * weighted.sum())
        return -torch.stack(terms).sum()

    def _get_trace(
        self, model: Callable[..., Any], guide: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[Trace, Trace]:
        with poutine.enum(first_available_dim=-1 - _NESTING):
            q = poutine.trace(guide).get_trace(*args, **kwargs)
            return poutine.trace(poutine.replay(model, trace=q)).get_trace(*args, **kwargs), q

    def loss(self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
        """The negative ELBO, a number."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
        """The negative ELBO, a number, with gradients added to the parameters'."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        loss.backward()
        return float(loss.detach())
