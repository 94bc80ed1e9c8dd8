"""The ELBO of a pair program as one sum over the values of the guide's enumerated site.

    ELBO = sum_k q_k [ log p(x, x~, e, r, I = k) - log q(e, r, I = k | x, x~) ]

with one reparameterised draw of everything continuous for each value k. Pyro's
:class:`~pyro.infer.TraceEnum_ELBO` gives the same number for any structure of plates and enumerated sites; where there
is one such site, inside the plate, the sum is this line, and a step spends nothing on finding that out and never waits
for the device.
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

_FIRST_DIM = -2
"""Where the enumerated dimension is: left of the plate."""


class PairELBO(ELBO):  # type: ignore[misc]
    """Negative ELBO of programs with one plate and at most one enumerated site, which is in the guide and the plate.

    It can be given to :class:`pyro.infer.SVI` in place of :class:`~pyro.infer.TraceEnum_ELBO`. The number is the same
    where a guide keeps to the contract, samples of continuous sites being reparameterised; other programs need Pyro's.
    """

    def __init__(self) -> None:
        super().__init__(max_plate_nesting=1)

    def differentiable_loss(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """The negative ELBO, a scalar with gradients.

        Raises:
            ValueError: if more than one site is enumerated.
        """
        p, q = self._get_trace(model, guide, args, kwargs)
        weight = _weight(q)
        local: list[Tensor] = []
        alone: list[Tensor] = []
        for trace, sign in ((p, 1.0), (q, -1.0)):
            for site in trace.nodes.values():
                if site["type"] == "sample" and not site["infer"].get("_deterministic"):
                    density = scale_and_mask(site["fn"].log_prob(site["value"]), site["scale"], site["mask"])
                    (local if site["cond_indep_stack"] else alone).append(sign * density)
        total = torch.as_tensor(sum(local))
        total = total if weight is None else total * weight
        return -(total.sum() + sum(density.sum() for density in alone))

    def _get_trace(
        self, model: Callable[..., Any], guide: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[Trace, Trace]:
        with poutine.enum(first_available_dim=_FIRST_DIM):
            q = poutine.trace(guide).get_trace(*args, **kwargs)
            return poutine.trace(poutine.replay(model, trace=q)).get_trace(*args, **kwargs), q

    def loss(self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
        """The negative ELBO, a number."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
        """The negative ELBO, a number, with gradients added to the parameters'."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward()
        return float(loss.detach())


def _weight(q: Trace) -> Tensor | None:
    """q_k, (values, pairs), of the enumerated site; None if there is none."""
    sites = [site for site in q.nodes.values() if site["type"] == "sample" and _enumerated(site)]
    if len(sites) > 1:
        raise ValueError(f"guide: got {len(sites)} enumerated sites, expected one at most; use TraceEnum_ELBO")
    return sites[0]["fn"].log_prob(sites[0]["value"]).exp() if sites else None


def _enumerated(site: dict[str, Any]) -> bool:
    return site["infer"].get("_enumerate_dim") is not None
