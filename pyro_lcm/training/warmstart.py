"""Warm starts: parameters that can be computed are computed, not descended to.

Each is a `start` hook of a phase: called once as ``hook(objective, source, seed)``, without gradients, and
deterministic given the seed. None sees anything but pairs of observations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.subsets import single_target
from pyro_lcm.causal.targets import UNKNOWN
from pyro_lcm.training.lines import Lines, complete_lines, find_lines
from pyro_lcm.training.noisy_lines import fit_noisy_lines
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.shared import shared_of_any
from pyro_lcm.training.sources import DataSource

NOISE_FREE = 1e-4
"""Mean sin^2 of the angle between differences and lines below which nothing keeps them off the lines."""


def sample_pairs(source: DataSource, number: int, seed: int) -> dict[str, Tensor]:
    """At most ``number`` pairs of a source, a fixed random choice."""
    size = len(source)
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(size, generator=generator)[:number].sort().values
    return dict(source.batch(index))


def align_encoder(guide: Any, batch: Mapping[str, Tensor], *, straight: bool = False, seed: int = 0) -> Lines:
    """Follow the encoder's flow by the linear map that makes the lines of its differences the axes.

    Axes are scaled to means of variance one; the lines found are returned.

    Args:
        guide: with an ``encoder`` that has a ``flow``, and a ``target_encoder``.
        batch: ``x`` and ``x_after``, (pairs, ...).
        straight: whether noise alone keeps differences off the lines, so that it is taken into account.
        seed: of the starting points.
    """
    encoder = guide.encoder
    before, after = (encode_in_chunks(encoder, batch[side]) for side in ("x", "x_after"))
    differences = (after - before).cpu().double().numpy()
    share = getattr(guide.target_encoder, "single_share", 1.0)
    lines = find_lines(differences, share=share, seed=seed)
    if straight and lines.residual >= NOISE_FREE:
        noisy = fit_noisy_lines(differences, lines)
        directions = noisy.moves / np.linalg.norm(noisy.moves, axis=1, keepdims=True)
        lines = Lines(directions, noisy.shares[1:] / noisy.shares[1:].sum(), lines.residual)
    encodings = before.cpu().double().numpy()
    covariance = np.atleast_2d(np.cov(encodings.T))
    weight = np.linalg.inv(complete_lines(lines, covariance))
    axes = encodings @ weight
    scale = axes.std(0)
    weight, bias = weight / scale, -axes.mean(0) / scale
    encoder.flow.compose(torch.as_tensor(weight).to(before), torch.as_tensor(bias).to(before))
    return lines


def find_code(encoder: Any, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Set an encoder's code to the directions of x that the two sides share most, and nothing else.

    Args:
        encoder: with a ``body`` that has an ``affine`` part of d rows, and a ``rest`` that becomes zero.
        batch: ``x`` and ``x_after``, (pairs, D).

    Returns:
        How much they share.
    """
    affine = encoder.body.affine
    shared, centre, whitener = shared_of_any(*(batch[side].cpu().double().numpy() for side in ("x", "x_after")))
    rows = shared.directions[: len(affine.weight)] @ whitener.T
    affine.weight.copy_(torch.as_tensor(rows).to(affine.weight))
    affine.bias.copy_(torch.as_tensor(-rows @ centre).to(affine.bias))
    if encoder.body.rest is not None:
        encoder.body.rest[-1].weight.zero_()
        encoder.body.rest[-1].bias.zero_()
    least = float(shared.correlations[min(len(rows), len(shared.correlations)) - 1])
    return {"least_correlation": least, "shared_directions": float(shared.number)}


def name_by_targets(encoder: Any, batch: Mapping[str, Tensor]) -> float:
    """Permute the components of an encoder's flow by known targets; the share of their moves that now match.

    Args:
        encoder: with a ``flow``.
        batch: ``x``, ``x_after`` and ``targets``, -1 for unknown.
    """
    move = (encode_in_chunks(encoder, batch["x_after"]) - encode_in_chunks(encoder, batch["x"])).abs()
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


@dataclass(frozen=True)
class Calibrate:
    """Set every scale and every linear coefficient that has a closed form, given the encoder.

    In this order: the decoder's flow becomes the encoder's; the target encoder's tolerances and widths are
    fitted by expectation maximisation to the moves; the affine parts of the solution functions by least squares
    on the pairs whose target they are; an affine map from code to x by least squares; the standard deviations of
    decoder and encoder to the residuals.

    Attributes:
        pairs: how many pairs to use at most.
        straight: whether mixing and mechanisms are linear, so that noise alone moves untouched components.
        solutions: whether the solution functions are still to be set.
    """

    pairs: int = 100_000
    straight: bool = False
    solutions: bool = True

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the parameters; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, guide = objective.model, objective.guide
        before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
        model.decoder.flow.load_state_dict(guide.encoder.flow.state_dict())
        known = batch.get("targets")
        guide.target_encoder.fit(after - before, known)
        if self.straight:
            guide.target_encoder.fit_weighting(after - before, known)
        target = hard_targets(objective.guide, before, after, known)
        if self.solutions and hasattr(model, "solution"):
            regress_solutions(objective.model.solution, before, after, target)
        if affine_code(guide.encoder.body) and affine_code(model.decoder.body) and batch["x"].shape[1] > model.dim_z:
            regress_decoder(model.decoder.body.affine, guide.encoder, batch)
        residual = decoder_residual(objective, batch, before, after, target)
        set_spreads(model.decoder, guide.encoder, residual, model.decoder, before)
        return {"decoder_sd": float(residual.mean()), "no_target": float((target == 0).float().mean())}


def encode_in_chunks(encoder: torch.nn.Module, x: Tensor, rows: int = 8192) -> Tensor:
    """Means of the encoder for (N, ...) observations, (N, d)."""
    return torch.cat([encoder(part)[0] for part in x.split(rows)])


def hard_targets(guide: Any, before: Tensor, after: Tensor, known: Tensor | None) -> Tensor:
    """The most probable target of each pair, (N,), or the known one, from noise encodings (N, d) of both sides."""
    target: Tensor = guide.target_encoder(after - before).argmax(-1)
    if known is None:
        return target
    known = single_target(known, before.shape[-1])
    return torch.where(known == UNKNOWN, target, known)


def regress_solutions(solution: SolutionFunctions, before: Tensor, after: Tensor, target: Tensor) -> None:
    """Fit e~_i = shift_i(e) + scale_i z~_i, shift affine and scale constant, by least squares for each i."""
    networks = solution.networks
    for variable in range(solution.dim):
        rows = target == variable + 1
        if int(rows.sum()) <= 2 * solution.dim:
            continue
        context = before[rows].double() * solution.context[:, variable]
        design = torch.cat([context, torch.ones_like(context[:, :1])], 1)
        response = after[rows, variable].double()
        gram = design.T @ design
        ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        coefficients = torch.linalg.solve(gram + ridge, design.T @ response)
        sd = (response - design @ coefficients).square().mean().sqrt()
        scale = ((sd - solution.min_scale) / (1 - solution.min_scale)).clamp(min=1e-3)
        networks.affine[variable, :, 0] = (coefficients[:-1] * solution.context[:, variable]).to(before)
        networks.bias[variable, 0, 0] = coefficients[-1].to(before)
        networks.affine[variable, :, 1] = 0.0
        networks.bias[variable, 0, 1] = scale.log().to(before)
        if len(networks.weights):
            networks.weights[-1][variable].zero_()
            networks.biases[-1][variable].zero_()


def affine_code(body: Any) -> bool:
    """Whether an encoder's or decoder's body is affine, so that it can be set in closed form."""
    return getattr(body, "affine", None) is not None and body.rest is None


def regress_decoder(affine: torch.nn.Linear, encoder: Any, batch: Mapping[str, Tensor]) -> None:
    """Fit the affine map from code to x by least squares."""
    x = torch.cat([batch["x"], batch["x_after"]]).double()
    code = torch.cat([encoder.code(part) for part in torch.cat([batch["x"], batch["x_after"]]).split(8192)]).double()
    design = torch.cat([code, torch.ones_like(code[:, :1])], 1)
    solved = torch.linalg.lstsq(design, x).solution
    affine.weight.copy_(solved[:-1].T)
    affine.bias.copy_(solved[-1])


def decoder_residual(
    objective: RecipeObjective, batch: dict[str, Tensor], before: Tensor, after: Tensor, target: Tensor
) -> Tensor:
    """Root mean square, per feature of x, of what is left when untouched components are averaged."""
    model = objective.model
    hit = target.unsqueeze(-1) == torch.arange(1, model.dim_z + 1, device=target.device)
    middle = (before + after) / 2
    total = torch.zeros((), device=before.device)
    for x, encoding in ((batch["x"], before), (batch["x_after"], after)):
        for part, noise in zip(x.split(8192), torch.where(hit, encoding, middle).split(8192), strict=True):
            total = total + (part - model.decoder(noise)[0]).square().sum(0)
    return (total / (2 * len(before))).sqrt()


def set_spreads(
    decoder: Any, encoder: Any, residual: Tensor, world: Callable[[Tensor], tuple[Tensor, Tensor]], noise: Tensor
) -> None:
    """Set the standard deviations of decoder and encoder.

    Args:
        decoder: with ``log_sd`` and ``min_sd``.
        encoder: with ``log_sd``, ``min_sd`` and ``spread``, the part that depends on x, which becomes zero.
        residual: standard deviation of x given e, per feature.
        world: from noise encodings to mean and standard deviation of x; the decoder, or what ends in it.
        noise: (N, d) noise encodings to linearise it at; the first 2,000 are used.
    """
    decoder.log_sd.copy_((residual - decoder.min_sd).clamp(min=0.1 * decoder.min_sd).log())
    sd = posterior_sd(world, noise[:2000])
    encoder.log_sd.copy_((sd - encoder.min_sd).clamp(min=0.1 * encoder.min_sd).log())
    encoder.spread[-1].weight.zero_()
    encoder.spread[-1].bias.zero_()


def posterior_sd(decoder: Callable[[Tensor], tuple[Tensor, Tensor]], noise: Tensor, step: float = 0.05) -> Tensor:
    """Standard deviation of e_j given x and the others, (d,), by Laplace's approximation.

    (1 + E sum_k (dx_k / de_j)^2 / sd_k^2)^-1/2, with central differences.
    """
    sd = decoder(noise)[1]
    shifts = step * torch.eye(noise.shape[-1], device=noise.device)
    slopes = [(decoder(noise + shift)[0] - decoder(noise - shift)[0]) / (2 * step * sd) for shift in shifts]
    return torch.stack([(1 + slope.square().flatten(1).sum(1)).mean().rsqrt() for slope in slopes])
