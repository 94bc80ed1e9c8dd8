"""What speaks for a fit: its ELBO, a check without truth, scores against truth, and the posterior over its graphs.

Each takes a fitted model; :class:`pyro_lcm.LatentCausalModel` has a method of the same name, which tells the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.lazy import LazyRows, Rows
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import sides
from pyro_lcm.discovery import latents
from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.discovery.latents import LatentRows
from pyro_lcm.discovery.posterior import Method, ScoreName
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.evaluation.check import CheckReport, agreement_of_fits, check_latents
from pyro_lcm.evaluation.report import evaluate_latents
from pyro_lcm.fitted import Array, Encoding, FittedModel
from pyro_lcm.registry import spec_of


def elbo(fitted: FittedModel, pairs: InterventionPairs, *, hypotheses: int | None = None, seed: int = 0) -> float:
    """Evidence lower bound per pair, in nats, of x in the units of the model: of images, of their codes."""
    number = fitted.dim_z + 1 if hypotheses is None else hypotheses
    return fitted.elbo(pairs, hypotheses=number, seed=seed)


def inferred_targets(fitted: FittedModel, x: ArrayLike | LazyRows, x_after: ArrayLike | LazyRows) -> Array:
    """Probabilities of the intervention targets, (N, d + 1), column 0 is none.

    Raises:
        ValueError: if the shapes do not fit, values are not finite, or the model has no targets.
    """
    if not fitted.has_targets:
        raise ValueError(f"model: got {fitted.name}, which has no intervention targets")
    return fitted.infer_targets(x, x_after)


def check(fitted: FittedModel, pairs: InterventionPairs, *, fits: Sequence[FittedModel] = ()) -> CheckReport:
    """Whether it worked, without any truth: use of targets, one-sparse differences, reconstruction, agreement.

    Raises:
        ValueError: if there are fewer than 50 pairs.
    """
    if len(pairs) < MIN_PAIRS:
        raise ValueError(f"pairs: got {len(pairs)}, expected at least {MIN_PAIRS} to judge by")
    x, x_after = sides(pairs)
    before, after = fitted.encode(x), fitted.encode(x_after)
    built = fitted.architecture
    perfect = built is not None and fitted.has_targets and spec_of(built.model).perfect
    agreement = None
    if fits:
        agreement = agreement_of_fits([before.noise, *(other.encode(x).noise for other in fits)])
    return check_latents(
        before.noise.astype(np.float64),
        after.noise.astype(np.float64),
        fitted.infer_targets(x, x_after).astype(np.float64),
        explained=fitted.explained(x, before.noise),
        causal_after=after.causal.astype(np.float64) if perfect else None,
        image_change=fitted.image_change(x, x_after) if pairs.is_images else None,
        elbo=elbo(fitted, pairs),
        names=fitted.names,
        agreement=agreement,
    )


def evaluate(
    fitted: FittedModel, pairs: InterventionPairs, *, dci_rows: int = 10_000, n_jobs: int = 1, seed: int = 0
) -> dict[str, float | None]:
    """Metrics of :func:`pyro_lcm.evaluation.evaluate_latents`, and ``elbo``; None where truth is missing."""
    x, x_after = sides(pairs)
    encoding = fitted.encode(x)
    scores = evaluate_latents(
        pairs,
        causal=encoding.causal,
        noise=encoding.noise,
        targets=fitted.infer_targets(x, x_after) if fitted.has_targets else None,
        adjacency=fitted.adjacency() if fitted.has_graph else None,
        dci_rows=dci_rows,
        n_jobs=n_jobs,
        seed=seed,
    )
    return scores | {"elbo": elbo(fitted, pairs)}


def graph_posterior(
    fitted: FittedModel,
    pairs: InterventionPairs,
    *,
    method: Method = "auto",
    score: ScoreName | Literal["auto"] = "auto",
    prior: GraphPrior | None = None,
    fits: Sequence[FittedModel] = (),
    rows: int = 10_000,
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
) -> Container:
    """Posterior over graphs of the learned causal variables, in ArviZ's native container.

    Raises:
        ValueError: if an argument is out of range, the model has no targets, or another fit has too few variables.
    """
    if rows < 1:
        raise ValueError(f"rows: got {rows}, expected at least 1")
    part = pairs[:rows]
    x, x_after = sides(part)
    own = fitted.encode(x)
    built = fitted.architecture
    linear = built is not None and built.flow_layers == 0
    redrawn = linear or (built is not None and spec_of(built.model).both_sides)
    found = [_latent_rows(fitted, own, x, x_after, redrawn)]
    for other in fits:
        encoding = other.encode(x)
        matching = align(encoding.noise, own.noise)
        if not matching.matched.all():
            raise ValueError(f"fits: got one of {other.dim_z} variables, expected at least {fitted.dim_z}")
        rows_of_other = _latent_rows(other, encoding, x, x_after, redrawn)
        found.append(rows_of_other.reordered(matching.permutation, matching.signs))
    return latents.latent_graph_posterior(
        found,
        names=fitted.names,
        score=("bge" if linear else "nonlinear") if score == "auto" else score,
        prior=prior,
        method=method,
        draws=draws,
        chains=chains,
        seed=seed,
    )


def _latent_rows(fitted: FittedModel, before: Encoding, x: Rows, x_after: Rows, redrawn: bool) -> LatentRows:
    after = fitted.encode(x_after)
    targets = inferred_targets(fitted, x, x_after)
    if not redrawn:
        return LatentRows(after.causal, targets)
    return LatentRows(after.causal, targets, before.causal, after.noise, before.noise)
