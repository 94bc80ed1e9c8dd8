"""Scales and linear coefficients in closed form, once there is an encoder: computed, not descended to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.causal.abilities import as_perfect, solution_of, target_prior_of
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.subsets import single_target
from pyro_lcm.causal.targets import target_distribution
from pyro_lcm.guides.set_encoder import SetEncoder
from pyro_lcm.guides.target_encoder import TargetEncoder
from pyro_lcm.nn.vectors import AffinePlusMLP
from pyro_lcm.recipes.encodings import encode_sides, hard_targets, sample_pairs
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.training.sources import DataSource

_ITERATIONS = 100
"""Of expectation maximisation."""
MOSTLY_NONE = 2.0
"""Share of pairs without intervention, in units of what it is when all targets are as probable, from which on it is
believed: where an encoder is off, fitted shares make targets rarer that are missed already."""
_STEP = 0.05
"""Of central differences, in units of the noise encodings."""


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
        before, after = encode_sides(guide.encoder, batch)
        model.decoder.flow.load_state_dict(guide.encoder.flow.state_dict())
        known = batch.get("targets")
        guide.target_encoder.fit(after - before, known)
        if self.straight:
            guide.target_encoder.fit_weighting(after - before, known)
            if set_target_prior(model, guide, after - before, known):
                guide.target_encoder.fit(after - before, known)
                guide.target_encoder.fit_weighting(after - before, known)
                set_target_prior(model, guide, after - before, known)
        target = hard_targets(objective.guide, before, after, known)
        solution = solution_of(model)
        if self.solutions and solution is not None:
            regress_solutions(solution, before, as_perfect(model, before, after), target)
        if affine_code(guide.encoder.body) and affine_code(model.decoder.body) and batch["x"].shape[1] > model.dim_z:
            regress_decoder(model.decoder.body.affine, guide.encoder, batch)
        residual = decoder_residual(objective, batch, before, after, target)
        set_spreads(model.decoder, guide.encoder, residual, model.decoder, before)
        return {"decoder_sd": float(residual.mean()), "no_target": float((target == 0).float().mean())}


@torch.no_grad()
def fit_prior(encoder: TargetEncoder, difference: Tensor, known: Tensor | None = None) -> bool:
    """Fit the prior of a target encoder whose tolerances are fitted; uniform unless most pairs have no intervention.

    Args:
        encoder: whose ``none`` is set, by expectation maximisation.
        difference: (pairs, d) of the encoders' means.
        known: known targets, -1 for unknown; None if none is.

    Returns:
        Whether the prior is another one now.
    """
    dim = difference.shape[-1]
    known = None if known is None else single_target(known, dim)
    before = encoder.none.clone()
    for _ in range(_ITERATIONS):
        share = target_distribution(encoder(difference).softmax(-1), known).probs[..., 0].double().mean()
        encoder.none.copy_((dim * share / (1 - share).clamp(min=1 / len(difference))).log())
    if float(encoder.prior()[0]) < MOSTLY_NONE / (dim + 1):
        encoder.none.zero_()
    return not torch.equal(before, encoder.none)


def set_target_prior(model: Any, guide: Any, difference: Tensor, known: Tensor | None) -> bool:
    """Set p(I) of model and guide to the share of pairs without intervention, where most are; whether that is news.

    Args:
        model: with a ``target_prior`` (d + 1,); of others nothing is set.
        guide: with a ``target_encoder``.
        difference: (pairs, d) of the encoder's means.
        known: known targets, -1 for unknown; None if none is.
    """
    prior, encoder = target_prior_of(model), guide.target_encoder
    if prior is None or not isinstance(encoder, TargetEncoder) or isinstance(encoder, SetEncoder):
        return False
    if not fit_prior(encoder, difference, known):
        return False
    prior.copy_(guide.target_encoder.prior().to(prior))
    return True


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
    return isinstance(body, AffinePlusMLP) and body.rest is None


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


def posterior_sd(decoder: Callable[[Tensor], tuple[Tensor, Tensor]], noise: Tensor) -> Tensor:
    """Standard deviation of e_j given x and the others, (d,), by Laplace's approximation.

    (1 + E sum_k (dx_k / de_j)^2 / sd_k^2)^-1/2, with central differences.
    """
    sd = decoder(noise)[1]
    shifts = _STEP * torch.eye(noise.shape[-1], device=noise.device)
    slopes = [(decoder(noise + shift)[0] - decoder(noise - shift)[0]) / (2 * _STEP * sd) for shift in shifts]
    return torch.stack([(1 + slope.square().flatten(1).sum(1)).mean().rsqrt() for slope in slopes])


@dataclass(frozen=True)
class TakeTolerance:
    """Let an encoder's own spread begin at the tolerance that its code was found with."""

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the spread of the objective's guide."""
        encoder = objective.guide.encoder
        tolerance = objective.guide.target_encoder.tolerance_of_codes()
        encoder.log_sd.copy_((tolerance - encoder.min_sd).clamp(min=encoder.min_sd).log().expand_as(encoder.log_sd))
        encoder.spread[-1].weight.zero_()
        encoder.spread[-1].bias.zero_()
        return {"tolerance": float(tolerance)}
