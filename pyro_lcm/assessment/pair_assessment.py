"""What speaks for a fit: its ELBO, a check without truth, scores against truth, and the posterior over its graphs.

Each takes a fitted model; :class:`pyro_lcm.LatentCausalModel` has a method of the same name, which tells the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.abilities import solution_of
from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.lazy import LazyRows, Rows
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.pixels import is_image_shape
from pyro_lcm.data.sources import sides
from pyro_lcm.discovery import latents
from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.discovery.latents import LatentRows
from pyro_lcm.discovery.posterior import Method, ScoreName
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.evaluation.check import CheckReport, agreement_of_fits, check_latents
from pyro_lcm.evaluation.new_values import Claim, NewValues, new_values
from pyro_lcm.evaluation.report import evaluate_latents
from pyro_lcm.fitting.fitted import Array, Encoding, FittedModel
from pyro_lcm.fitting.linearity import unrelated_changes
from pyro_lcm.fitting.screening import sound_readings
from pyro_lcm.registry import spec_of

_OTHERS = 16
"""Other values of a parent that a shift is averaged over."""


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


def check(
    fitted: FittedModel, pairs: InterventionPairs, *, fits: Sequence[FittedModel] = (), fitted_to: int | None = None
) -> CheckReport:
    """Whether it worked, without any truth: targets, one-sparse differences, new values, reconstruction, agreement.

    ``fitted_to`` is the number of pairs of the fit, if it is known.

    Raises:
        ValueError: if there are fewer than 50 pairs.
    """
    if len(pairs) < MIN_PAIRS:
        raise ValueError(f"pairs: got {len(pairs)}, expected at least {MIN_PAIRS} to judge by")
    pairs, before, after, left_out = _explained_by_some_intervention(fitted, pairs)
    x, x_after = sides(pairs)
    agreement = None
    if fits:
        agreement = agreement_of_fits([before.noise, *(other.encode(x).noise for other in fits)])
    targets = fitted.infer_targets(x, x_after).astype(np.float64)
    # Of codes of images it is not known how far solution functions and graphs may be off.
    exact = not is_image_shape(fitted.standardizer.shape)
    soft = fitted.soft
    look = fitted.perfect or (soft and fitted.linear)
    told = _told_by_new_values(fitted, before, after, targets.argmax(1), fitted_to) if look else None
    report = check_latents(
        before.noise.astype(np.float64),
        after.noise.astype(np.float64),
        targets,
        explained=fitted.explained(x, before.noise),
        image_change=fitted.image_change(x, x_after) if pairs.is_images else None,
        elbo=elbo(fitted, pairs),
        names=fitted.names,
        agreement=agreement,
        told=told,
        adjacency=fitted.adjacency() if told is not None else None,
        exact=exact,
        soft_model=soft,
    )
    return replace(report, hints=(*report.hints, *left_out))


def _explained_by_some_intervention(
    fitted: FittedModel, pairs: InterventionPairs
) -> tuple[InterventionPairs, Encoding, Encoding, tuple[str, ...]]:
    """The pairs that a fit takes (:mod:`pyro_lcm.fitting.screening`), encoded, and what is said of the others."""
    said = []
    screened = fitted.architecture is not None and len(fitted.standardizer.shape) == 1
    if screened:
        pairs, wrong = sound_readings(pairs)
        if wrong:
            said.append(f"{wrong} pairs with readings far outside those of their sensor, on one side alone, are not"
                        " looked at")  # fmt: skip
    before, after = (fitted.encode(side) for side in sides(pairs))
    if screened and fitted.linear and fitted.perfect:
        unrelated = unrelated_changes(after.noise.astype(np.float64) - before.noise.astype(np.float64))
        if 0 < unrelated.sum() <= len(pairs) - MIN_PAIRS:
            pairs = pairs[~unrelated]
            before, after = (fitted.encode(side) for side in sides(pairs))
            said.append(f"{unrelated.sum()} pairs differ in all variables, as if their sides did not belong together;"
                        " they are not looked at")  # fmt: skip
    return pairs, before, after, tuple(said)


def _told_by_new_values(
    fitted: FittedModel, before: Encoding, after: Encoding, target: NDArray[np.int64], fitted_to: int | None
) -> NewValues:
    redrawn, values, kept = fitted.new_values(before.noise, after.noise, target)
    return new_values(
        before.noise.astype(np.float64),
        redrawn.astype(np.float64),
        values.astype(np.float64),
        target,
        kept=kept.astype(np.float64),
        causal=before.causal.astype(np.float64),
        adjacency=fitted.adjacency(),
        linear=fitted.linear,
        claim=None if fitted.linear else _claims(fitted, before),
        fitted_to=fitted_to,
    )


def _claims(fitted: FittedModel, before: Encoding) -> Claim | None:
    """What solution functions make of causal variables that they see; None if they see noise encodings.

    What a shift owes to one parent is how far it is from its mean over other values that the parent might have had,
    given the others: by a linear regression on these, and quantiles of what it leaves.
    """
    solution = solution_of(fitted.model)
    if solution is None:
        return None
    causal = before.causal.astype(np.float64)

    def shift(variable: int, rows: NDArray[np.int64], values: Array) -> Array:
        parts = (
            torch.as_tensor(part, device=fitted.device, dtype=fitted.dtype) for part in (before.noise[rows], values)
        )
        with torch.no_grad():
            return np.asarray(solution.given(variable, *parts)[0].cpu().double())

    def claim(parent: int, child: int, rows: NDArray[np.int64]) -> Array | None:
        seen = solution.resolved[:, child].cpu().numpy() > 0
        if not seen[parent]:
            return None
        others = [k for k in np.flatnonzero(seen) if k != parent]
        design = np.column_stack([causal[rows][:, others], np.ones(len(rows))])
        expected = design @ np.linalg.lstsq(design, causal[rows, parent], rcond=None)[0]
        left = np.quantile(causal[rows, parent] - expected, (np.arange(_OTHERS) + 0.5) / _OTHERS)
        mean = np.zeros(len(rows))
        for other in left:
            values = causal[rows].copy()
            values[:, parent] = expected + other
            mean += shift(child, rows, values) / _OTHERS
        return shift(child, rows, causal[rows]) - mean

    return claim


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
    linear = fitted.linear
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
    noise_after = fitted.new_values(before.noise, after.noise, targets.argmax(1))[0] if fitted.perfect else after.noise
    return LatentRows(after.causal, targets, before.causal, noise_after, before.noise)
