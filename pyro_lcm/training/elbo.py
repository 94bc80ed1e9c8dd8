"""The ELBO of a pair program as one sum over the values of the guide's enumerated site.

    ELBO = sum_k q_k [ log p(x, x~, e, r, I = k) - log q(e, r, I = k | x, x~) ]

with one reparameterised draw of everything continuous for each value k. Pyro's
:class:`~pyro.infer.TraceEnum_ELBO` gives the same number for any structure of plates and enumerated sites; where there
is one such site, inside the plate, the sum is this line, and a step spends nothing on finding that out and never waits
for the device.

A discrete site in front of the plate, the order of a latent graph, may be drawn several times, G_1, ..., G_S
(``infer={"enumerate": "parallel", "num_samples": S}``). The ELBO is then the mean of L_s, the line above given G_s, and
its gradient has for the site's own parameters the score function with the other draws as a baseline,

    1 / S  sum_s (L_s - mean of L_t over t != s)  grad log q(G_s),

which is unbiased (Kool, van Hoof, Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019).
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
    One site outside the plate may be drawn several times; see the module.
    """

    def __init__(self) -> None:
        super().__init__(max_plate_nesting=1)

    def differentiable_loss(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """The negative ELBO, a scalar with gradients.

        Raises:
            ValueError: if more than one site is enumerated, or more than one is drawn several times.
        """
        p, q = self._get_trace(model, guide, args, kwargs)
        weight, draws = _weight(q), _draws(q)
        local: list[Tensor] = []
        alone: list[Tensor] = []
        for trace, sign in ((p, 1.0), (q, -1.0)):
            for site in trace.nodes.values():
                if site["type"] == "sample" and not site["infer"].get("_deterministic"):
                    density = scale_and_mask(site["fn"].log_prob(site["value"]), site["scale"], site["mask"])
                    (local if site["cond_indep_stack"] else alone).append(sign * density)
        total = torch.as_tensor(sum(local))
        total = total if weight is None else total * weight
        if draws is None:
            return -(total.sum() + sum(density.sum() for density in alone))
        return -_mean_over_draws(draws, total, alone)

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
    """q_k, (values, ..., pairs), of the enumerated site; None if there is none."""
    site = _only(q, "enumerated", lambda infer: infer.get("num_samples") is None)
    if site is not None and not site["cond_indep_stack"]:
        raise ValueError(f"guide: got {site['name']!r} enumerated outside the plate; use TraceEnum_ELBO")
    return None if site is None else site["fn"].log_prob(site["value"]).exp()


def _draws(q: Trace) -> dict[str, Any] | None:
    """The site that is drawn several times; None if there is none."""
    site = _only(q, "repeated", lambda infer: infer.get("num_samples") is not None)
    if site is not None and site["infer"]["num_samples"] < 2:
        raise ValueError(f"guide: got one draw of {site['name']!r}, expected num_samples of at least 2")
    return site


def _only(q: Trace, kind: str, chosen: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    sites = [
        site
        for site in q.nodes.values()
        if site["type"] == "sample" and site["infer"].get("_enumerate_dim") is not None and chosen(site["infer"])
    ]
    if len(sites) > 1:
        raise ValueError(f"guide: got {len(sites)} {kind} sites, expected one at most; use TraceEnum_ELBO")
    return sites[0] if sites else None


def _mean_over_draws(site: dict[str, Any], total: Tensor, alone: list[Tensor]) -> Tensor:
    """The ELBO of several draws of a site, with its gradient; see the module.

    Args:
        site: the one that is drawn several times.
        total: what is inside the plate, of every draw, enumerated value and pair.
        alone: what is outside of it.
    """
    log_q = site["fn"].log_prob(site["value"])
    dim, number = site["infer"]["_enumerate_dim"], site["infer"]["num_samples"]
    shape = torch.broadcast_shapes(total.shape, log_q.shape)
    elbo: Tensor = sum(
        (_by_draw(density.expand(shape[dim:]), number, dim) / shape[-1] for density in alone),
        start=_by_draw(total.expand(shape), number, dim),
    )
    value = elbo.detach()
    advantage = (value - value.mean()) * (number / (number - 1))
    score = advantage * log_q.reshape(number)
    return (elbo + score - score.detach()).mean()


def _by_draw(density: Tensor, number: int, dim: int) -> Tensor:
    """Sums over all but the draws, (S,), of densities whose dimension ``dim`` they are."""
    return density.movedim(dim, 0).reshape(number, -1).sum(1)
