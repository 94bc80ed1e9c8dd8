"""An ELBO for guides over discrete structures: score-function gradients with a leave-one-out baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.infer import Trace_ELBO
from torch import Tensor


class LeaveOneOutELBO(Trace_ELBO):
    """ELBO whose gradient weighs each particle by how much better it is than the *other* particles.

    With K particles, f_k = log p(particle k, data) - log q(particle k),

        gradient = 1/K sum_k (f_k - mean of f over the others) grad log q(particle k) + grad log p,

    unbiased, since a particle's baseline does not depend on it (Kool, van Hoof and Welling 2019, "Buy 4
    REINFORCE samples, get a baseline for free!"). No guide site is reparameterised. As f_k is constant under
    the guide's optimum, so is the gradient's variance zero there.

    Args:
        num_particles: K >= 2, evaluated at once in an outermost plate: model and guide may hold no plate of
            their own and their distributions must expand.
        floor: Particles of zero density count as this many nats below the worst other one. The sum over a
            guide that reaches outside the prior's support would otherwise be minus infinity.

    Raises:
        ValueError: If there are fewer than two particles.
    """

    def __init__(self, num_particles: int = 128, *, floor: float = 50.0) -> None:
        if num_particles < 2:
            raise ValueError(f"num_particles: got {num_particles}, expected at least 2")
        super().__init__(num_particles=num_particles, max_plate_nesting=0, vectorize_particles=True)
        self.floor = floor

    def differentiable_loss(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Negative ELBO, whose ``backward`` gives the gradient above."""
        ((model_trace, guide_trace),) = self._get_traces(model, guide, args, kwargs)
        log_p = _log_density(model_trace)
        log_q = _log_density(guide_trace)
        gain = log_p.detach() - log_q.detach()
        possible = gain.isfinite()
        worst = torch.where(possible, gain, torch.inf).min()
        gain = torch.where(possible, gain, worst.nan_to_num(posinf=0.0) - self.floor)
        others = (gain.sum() - gain) / (len(gain) - 1)
        surrogate = ((gain - others) * log_q + torch.where(possible, log_p, 0.0)).mean()
        return surrogate.detach() - surrogate - gain.mean()


def _log_density(trace: Any) -> Tensor:
    """(K,) log density of each particle."""
    terms = [site["log_prob"] for site in trace.nodes.values() if site["type"] == "sample"]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
