"""What the pairs look like decides how a model by name is built and trained.

One rule for all data: x is whitened (or brought to the units that a model asks for); where the differences lie on
straight lines, up to noise, mixing and mechanisms are linear and no flow is needed; where x has more directions than
there are variables, a code is found, by an autoencoder unless everything is linear. No truth is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import some_pairs
from pyro_lcm.data.standardize import Mode, Standardizer
from pyro_lcm.fitting.linearity import Linearity, PairsOffLines, judge_linearity
from pyro_lcm.fitting.variable_count import count_variables
from pyro_lcm.identify.directions import Array
from pyro_lcm.identify.shared_subspace import shared_directions, shared_of_any
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.implicit import of_codes
from pyro_lcm.registry import ModelSpec
from pyro_lcm.training.phases import Phase

__all__ = [
    "Design",
    "check_dim_of_images",
    "check_known_targets",
    "check_target_numbers",
    "choose_design",
    "fit_standardizer",
]

logger = logging.getLogger(__name__)

SMALLEST_DIRECTION = 1e-13
"""Share of the largest variance of x below which a direction is taken as without any; 64 variables need 1e-12."""
_ROWS = 20_000
_SETS = 0.999
"""Share of pairs with one target where known ones are sets: all may have one, and others need not be wrong."""


@dataclass(frozen=True)
class Design:
    """How a model is built and trained.

    Attributes:
        architecture: of model and guide.
        phases: the recipe.
        off_lines: tells which pairs belong to no intervention; None if there are hardly any, or nothing was asked.
    """

    architecture: Architecture
    phases: tuple[Phase, ...]
    off_lines: PairsOffLines | None = None


def choose_design(
    spec: ModelSpec,
    pairs: InterventionPairs,
    standardizer: Standardizer,
    *,
    dim_z: int | None = None,
    options: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
    coded: bool = False,
    seed: int = 0,
) -> Design:
    """Choose widths and phases by what the pairs look like.

    Args:
        spec: of the model.
        pairs: training pairs.
        standardizer: fitted to them.
        dim_z: number of causal variables; by default as many as x has directions in which it varies, less those that
            are noise (:mod:`pyro_lcm.fitting.variable_count`).
        options: fields of :class:`~pyro_lcm.architecture.Architecture` that are not to be chosen.
        budget: steps of the phases.
        coded: whether the pairs are codes that are nearly noise encodings, as those of images
            (:func:`~pyro_lcm.recipes.implicit.of_codes`); whether they are linear is then no question.
        seed: of the choice of pairs to look at.

    Raises:
        ValueError: if an option is out of range.
    """
    given = dict(options or {})
    dim_x = int(standardizer.output_shape[0])
    chosen = "flow_layers" in given or given.get("invertible")
    before, after = _sides(some_pairs(pairs, seed=seed), standardizer)
    whitened = standardizer.mode == "whiten"
    shared = shared_directions(before, after) if whitened else None
    judged = Linearity(linear=False)
    if not (chosen or coded):
        several = pairs.known_targets is not None and pairs.known_targets.ndim > 1
        share = min(spec.share_of_single(dim_z or dim_x), _SETS if several else 1.0)
        judged = judge_linearity(before, after, shared, share=share, seed=seed)
    linear = judged.linear
    if dim_z is None and spec.wide and shared is not None and not coded:
        known = 1 if pairs.known_targets is None else _largest_target(pairs.known_targets)
        dim_z = count_variables(before, after, shared, linear=linear, least=known)
    dim_z = dim_x if dim_z is None else dim_z
    wide = dim_z < dim_x
    curved = wide and not linear and not is_flat(pairs, standardizer, dim_z)
    defaults: dict[str, Any] = {"hidden": (128, 128) if curved else ()}
    if linear:
        defaults |= {"flow_layers": 0, "solution_hidden": ()}
    else:
        defaults |= {"flow_layers": min(max(24, 3 * dim_z), 48), "flow_hidden": 32}
        defaults |= {"activation": "leaky_relu", "invertible": not wide and spec.invertible}
    architecture = Architecture(spec.name, dim_x, dim_z, **(defaults | given))
    spec.check(architecture)
    logger.info("%d causal variables; %s", dim_z, "linear" if linear else "a flow for the mixing")
    check_known_targets(spec, pairs)
    phases = spec.phases(architecture, budget, linear)
    return Design(architecture, of_codes(phases) if coded else phases, judged.off_lines)


def check_dim_of_images(pairs: InterventionPairs, dim_z: int | str | None) -> None:
    """Check that the number of causal variables is given where pairs are images, which do not tell it.

    Raises:
        ValueError: if it is None, or ``"auto"``.
    """
    if pairs.is_images and not isinstance(dim_z, int):
        raise ValueError(
            f"dim_z: got {dim_z or 'none'} for images, expected their number of causal variables (--dim-z)"
        )


def check_known_targets(spec: ModelSpec, pairs: InterventionPairs) -> None:
    """Check that the targets that are known of pairs suit a model.

    Raises:
        ValueError: if there are none and the model needs them, or they are sets and it takes single ones.
    """
    if spec.known_targets and pairs.known_targets is None:
        raise ValueError(f"targets: got none that are known, expected some for {spec.name}; ada_{spec.name} needs none")
    if not spec.sets and pairs.known_targets is not None and pairs.known_targets.ndim > 1:
        raise ValueError(
            f"targets: got sets of variables, expected single ones for {spec.name}; soft_ilcm_subsets takes sets"
        )


def check_target_numbers(pairs: InterventionPairs, dim_z: int) -> None:
    """Check that there is a variable for each target that is known.

    Raises:
        ValueError: if there is not.
    """
    if pairs.known_targets is not None and pairs.known_targets.max() > dim_z:
        raise ValueError(f"targets: got {pairs.known_targets.max()}, expected at most {dim_z}, the number of variables")


def fit_standardizer(pairs: InterventionPairs, *, units: Mode | None) -> Standardizer:
    """Bring x to the units that a model asks for.

    Args:
        pairs: training pairs.
        units: how vectors are standardised; None for a model of one's own, which gets standardised vectors or scaled
            images.

    Raises:
        ValueError: if x are no vectors and the model is one of those with a name, which take codes of images.
    """
    images = len(pairs.observation_shape) > 1
    if units is None:
        return Standardizer.fit(pairs, "image" if images else "standardize")
    if images:
        raise ValueError(
            f"x: got observations of shape {pairs.observation_shape}, expected vectors, or images of 1 or 3 channels;"
            " for others give a model and guide of your own"
        )
    return Standardizer.fit(pairs, units, tolerance=SMALLEST_DIRECTION)


def is_flat(pairs: InterventionPairs, standardizer: Standardizer, dim_z: int) -> bool:
    """Whether x says all it does of the variables in at most ``dim_z`` directions, the others being noise.

    Args:
        pairs: training pairs of vectors.
        standardizer: fitted to them.
        dim_z: number of causal variables.
    """
    if len(pairs.observation_shape) != 1:
        return False
    return shared_of_any(*_sides(pairs[:_ROWS], standardizer))[0].number <= dim_z


def _sides(pairs: InterventionPairs, standardizer: Standardizer) -> tuple[Array, Array]:
    """Both sides of pairs, standardised, in double precision."""
    before, after = (standardizer.transform(side).astype(np.float64) for side in (pairs.x, pairs.x_after))
    return before, after


def _largest_target(known: NDArray[np.int64]) -> int:
    """Variables that there are at least, by the targets that are known, (N,), or (N, d) of sets."""
    return known.shape[1] if known.ndim > 1 else max(1, int(known.max()))
