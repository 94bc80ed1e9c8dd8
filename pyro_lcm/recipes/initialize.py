"""Where a fit begins: coordinates in which interventions move one noise encoding each, as far as a line can tell.

A perfect intervention changes one noise encoding, so in coordinates that are a linear map away from them the
differences of pairs lie on d lines (:mod:`pyro_lcm.identify.directions`). Through a mixing that is not linear they do
not, but the best lines are where stochastic variational inference finds its way from: the closed form comes first and
once, and everything after it is the ELBO of the Pyro program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pyro_lcm.causal.abilities import aligned_encoder, as_perfect, solution_of
from pyro_lcm.causal.subsets import single_target
from pyro_lcm.identify.directions import Directions, complete_directions, find_directions
from pyro_lcm.identify.noisy_directions import fit_noisy_directions
from pyro_lcm.identify.shared_subspace import shared_of_any
from pyro_lcm.nn import VectorEncoder
from pyro_lcm.recipes.calibrate import affine_code, regress_solutions
from pyro_lcm.recipes.encodings import encode_sides, hard_targets, sample_pairs
from pyro_lcm.training.sources import DataSource

LEAST_TOLERANCE = 0.05
"""Smallest tolerance to start from, in units of the noise encodings: what is narrower than the error of the first
coordinates holds them where they are."""


@torch.no_grad()
def initialize(
    model: Any,
    guide: Any,
    pairs: Mapping[str, Tensor],
    *,
    flat: bool = False,
    straight: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """Set a guide's encoder and its model's tolerance in closed form, from pairs alone.

    What it needs of them: ``guide.encoder`` with an invertible last part ``flow`` (:class:`pyro_lcm.nn.VectorEncoder`,
    :class:`pyro_lcm.nn.invertible.FlowEncoder`), and ``guide.target_encoder``
    (:class:`pyro_lcm.guides.target_encoder.TargetEncoder`). An affine code in front of the flow that is narrower than
    x is set to the directions that the two sides of a pair share most. Of the model it needs nothing: decoders and
    mechanisms of any kind are left to inference; solution functions
    (:class:`~pyro_lcm.causal.solution.SolutionFunctions`) begin at the affine ones of least squares. Where targets of
    some pairs are known, components are named by them.

    Args:
        model: the generative program.
        guide: its guide.
        pairs: ``x`` and ``x_after``, (pairs, ...), as the programs take them; optionally ``targets``, -1 for unknown.
            20,000 pairs are enough.
        flat: whether x says all it does of the variables in as many directions as there are variables, so that a
            code that is not affine is not needed; it is made affine.
        straight: whether noise alone keeps differences off their lines, mixing and mechanisms being linear, so that
            it is taken into account.
        seed: of the search for lines.

    Returns:
        ``lines_residual``, the mean squared sine of the angle between a difference and its line, 0 where mixing and
        mechanisms are linear; ``least_used_line``, the smallest share of differences on a line; ``tolerance``.

    Raises:
        ValueError: if the guide lacks one of the parts, or no pair shows a difference.

    Example:
        >>> from pyro_lcm import simulate_scaling
        >>> from pyro_lcm.architecture import Architecture
        >>> from pyro_lcm.registry import build
        >>> data = simulate_scaling(dim=2, n=2000, seed=0)
        >>> model, guide = build(Architecture("ilcm", dim_x=2, dim_z=2, invertible=True))
        >>> x, x_after = (torch.as_tensor(side).float() for side in (data.x, data.x_after))
        >>> initialize(model, guide, {"x": x, "x_after": x_after})["lines_residual"] < 1e-6
        True
    """
    if aligned_encoder(guide) is None:
        raise ValueError(
            f"guide: got {type(guide).__name__}, expected one with a target_encoder and an encoder with a flow"
        )
    if isinstance(guide.encoder, VectorEncoder) and (flat or affine_code(guide.encoder.body)):
        affine = guide.encoder.body.affine
        if affine.in_features > affine.out_features:
            find_code(guide.encoder, pairs)
    lines = align_encoder(guide, {"x": pairs["x"], "x_after": pairs["x_after"]}, straight=straight, seed=seed)
    known = pairs.get("targets")
    found = {"lines_residual": lines.residual, "least_used_line": float(lines.usage.min())}
    if known is not None:
        found["matched_share"] = name_by_targets(guide.encoder, pairs)
    before, after = encode_sides(guide.encoder, pairs)
    guide.target_encoder.fit(after - before, known)
    if isinstance(guide.encoder, VectorEncoder) and not straight:  # its code has the target encoder's tolerance
        guide.target_encoder.level_tolerances()
    solution = solution_of(model)
    if solution is not None:
        solution.forget_order()
        target = hard_targets(guide, before, after, known)
        regress_solutions(solution, before, as_perfect(model, before, after), target)
    tolerance = float((after - before).abs().median().clamp(min=LEAST_TOLERANCE))
    guide.encoder.set_tolerance(tolerance)
    return found | {"tolerance": tolerance}


@dataclass(frozen=True)
class Initialize:
    """:func:`initialize` as the beginning of a phase.

    Attributes:
        program: which program of the objective's
            (:meth:`~pyro_lcm.training.objective.PairObjective.programs`) is initialised.
        flat: see :func:`initialize`.
        straight: see :func:`initialize`.
        pairs: how many pairs to use at most.
    """

    program: str | None = None
    flat: bool = False
    straight: bool = False
    pairs: int = 20_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the objective's guide."""
        batch = sample_pairs(source, self.pairs, seed)
        how = {"flat": self.flat, "straight": self.straight}
        model, guide = objective.programs(self.program)
        return initialize(model, guide, batch, **how, seed=seed)


NOISE_FREE = 1e-4
"""Mean sin^2 of the angle between differences and lines below which nothing keeps them off the lines."""


def align_encoder(guide: Any, batch: Mapping[str, Tensor], *, straight: bool = False, seed: int = 0) -> Directions:
    """Follow the encoder's flow by the linear map that makes the lines of its differences the axes.

    Axes are scaled to means of variance one; the lines found are returned.

    Args:
        guide: with an ``encoder`` that has a ``flow``, and a ``target_encoder``.
        batch: ``x`` and ``x_after``, (pairs, ...).
        straight: whether noise alone keeps differences off the lines, so that it is taken into account.
        seed: of the starting points.
    """
    encoder = guide.encoder
    before, after = encode_sides(encoder, batch)
    differences = (after - before).cpu().double().numpy()
    lines = find_directions(differences, share=guide.target_encoder.single_share, seed=seed)
    if straight and lines.residual >= NOISE_FREE:
        noisy = fit_noisy_directions(differences, lines)
        directions = noisy.loadings / np.linalg.norm(noisy.loadings, axis=1, keepdims=True)
        lines = Directions(directions, noisy.shares[1:] / noisy.shares[1:].sum(), lines.residual)
    encodings = before.cpu().double().numpy()
    covariance = np.atleast_2d(np.cov(encodings.T))
    weight = np.linalg.inv(complete_directions(lines, covariance))
    axes = encodings @ weight
    scale = axes.std(0)
    weight, bias = weight / scale, -axes.mean(0) / scale
    encoder.flow.compose(torch.as_tensor(weight).to(before), torch.as_tensor(bias).to(before))
    return lines


def find_code(encoder: Any, batch: Mapping[str, Tensor]) -> None:
    """Set an encoder's code to the directions of x that the two sides share most, and nothing else.

    Args:
        encoder: with a ``body`` that has an ``affine`` part of d rows, and a ``rest`` that becomes zero.
        batch: ``x`` and ``x_after``, (pairs, D).
    """
    affine = encoder.body.affine
    shared, centre, whitener = shared_of_any(*(batch[side].cpu().double().numpy() for side in ("x", "x_after")))
    rows = shared.directions[: len(affine.weight)] @ whitener.T
    affine.weight.copy_(torch.as_tensor(rows).to(affine.weight))
    affine.bias.copy_(torch.as_tensor(-rows @ centre).to(affine.bias))
    if encoder.body.rest is not None:
        encoder.body.rest[-1].weight.zero_()
        encoder.body.rest[-1].bias.zero_()


def name_by_targets(encoder: Any, batch: Mapping[str, Tensor]) -> float:
    """Permute the components of an encoder's flow by known targets; the share of their moves that now match.

    Args:
        encoder: with a ``flow``.
        batch: ``x``, ``x_after`` and ``targets``, -1 for unknown.
    """
    before, after = encode_sides(encoder, batch)
    move = (after - before).abs()
    dim = move.shape[1]
    targets = single_target(batch["targets"], dim)
    # [component, target]: share of a target's moves that the component makes
    sums = torch.stack([move[targets == i].sum(0) for i in range(1, dim + 1)], dim=1)
    share = (sums / sums.sum(0).clamp(min=1e-12)).cpu().double().numpy()
    rows, columns = linear_sum_assignment(share, maximize=True)
    permutation = torch.zeros(dim, dim, dtype=move.dtype, device=move.device)
    permutation[rows, columns] = 1.0
    encoder.flow.compose(permutation, torch.zeros(dim, dtype=move.dtype, device=move.device))
    return float(share[rows, columns].mean())
