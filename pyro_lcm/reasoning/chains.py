"""Where the uncertainty of an effect comes from: draws of the guide, of a posterior over graphs, and several fits.

Fits are the chains. Their variables are brought into the order and signs of the first fit's by matching noise encodings
of the same observations, since a latent causal model is identified only up to those (Brehmer et al., NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.discovery.arviz_compat import Container, group
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.reasoning.fitted import Fitted, Source, structural_model
from pyro_lcm.reasoning.interventions import prior_noise
from pyro_lcm.reasoning.programs import draw_noise
from pyro_lcm.reasoning.structure import StructuralModel


@dataclass(frozen=True)
class Uncertainty:
    """What to draw.

    Args:
        draws: draws of each chain, at least 1.
        rows: without observations, the size of the population that each draw averages over.
        seed: of all draws.
        posterior: ArviZ container of a posterior over the graph of the model's variables; in each draw effects travel
            along the edges of a graph drawn from it. None leaves them to the mechanisms.
        fits: further fits of the same data, one chain each.

    Raises:
        ValueError: if a number is out of range.
    """

    draws: int = 50
    rows: int = 1000
    seed: int = 0
    posterior: Container | None = None
    fits: Sequence[Fitted] = field(default=())

    def __post_init__(self) -> None:
        for name in ("draws", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least 1")


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of one chain: a population, the mechanisms, perhaps a graph.

    Attributes:
        scm: the chain's structural model.
        noise: (N, d) noise encodings, in the chain's own coordinates.
        graph: (d, d) ``[parent, child]`` in the chain's own coordinates, or None.
        permutation: (d,) the chain's own variable for each of the first chain's.
        signs: (d,) 1 or -1.
    """

    scm: StructuralModel
    noise: Tensor
    graph: NDArray[np.int8] | None
    permutation: NDArray[np.int64]
    signs: NDArray[np.int64]

    def respond(self, variable: int, value: float) -> tuple[Tensor, Tensor]:
        """Causal variables (N, d) and x (N, ...) under do, all in the first chain's coordinates.

        Args:
            variable: 0..d-1, in the first chain's coordinates.
            value: to set it to.
        """
        own, sign = int(self.permutation[variable]), int(self.signs[variable])
        actions = {own: lambda natural: torch.full_like(natural, sign * value)}
        if self.graph is None:
            world = self.scm.solve(self.noise, actions)
        else:
            world = self.scm.solve_along(self.noise, actions, self.graph)
        signs = torch.as_tensor(self.signs).to(world.causal)
        return world.causal[:, self.permutation.tolist()] * signs, self.scm.decode(world)


def draw_chains(source: Source, x: ArrayLike | None, options: Uncertainty) -> Iterator[list[Draw]]:
    """The draws of each chain, one chain after the other.

    Args:
        source: a fitted model, or a structural model.
        x: (N, ...) observations; None for a population.
        options: what to draw.

    Raises:
        ValueError: if several fits cannot be aligned for want of observations, or the posterior is of other variables.
    """
    models = [structural_model(source), *(structural_model(fit) for fit in options.fits)]
    if len(models) > 1 and x is None:
        raise ValueError("x: got none, expected observations, by which the fits are aligned")
    graphs = _graphs(options, len(models), models[0].names)
    for chain, scm in enumerate(models):
        permutation, signs = np.arange(scm.dim), np.ones(scm.dim, dtype=np.int64)
        if chain and x is not None:
            if scm.dim != models[0].dim:
                raise ValueError(f"fits: got {scm.dim} variables, expected {models[0].dim}")
            alignment = align(_mean_noise(scm, x), _mean_noise(models[0], x))
            permutation, signs = alignment.permutation, alignment.signs
        seed = options.seed + 7919 * chain
        noise = (
            draw_noise(scm, x, options.draws, seed)
            if x is not None
            else prior_noise(scm, options.draws * options.rows, seed).view(options.draws, options.rows, scm.dim)
        )
        yield [
            Draw(
                scm,
                noise[draw],
                None if graphs is None else _in_own_order(graphs[chain][draw], permutation),
                permutation,
                signs,
            )
            for draw in range(options.draws)
        ]


def _graphs(options: Uncertainty, chains: int, names: Sequence[str]) -> list[NDArray[np.int8]] | None:
    """(draws, d, d) graphs for each chain, evenly spaced; from its own chain if the posterior has as many."""
    if options.posterior is None:
        return None
    adjacency = group(options.posterior, "posterior")["adjacency"].transpose("chain", "draw", "parent", "child")
    if adjacency.sizes["parent"] != len(names):
        raise ValueError(f"posterior: is over {adjacency.sizes['parent']} variables, expected {len(names)}")
    known = [str(name) for name in adjacency["parent"].values]
    if sorted(known) == sorted(names):
        adjacency = adjacency.sel(parent=list(names), child=list(names))
    values = adjacency.values
    if len(values) != chains:
        values = np.broadcast_to(
            values.reshape(1, -1, *values.shape[2:]), (chains, values[..., 0, 0].size, *values.shape[2:])
        )
    chosen = np.linspace(0, values.shape[1] - 1, options.draws).round().astype(int)
    return [np.asarray(chain[chosen], dtype=np.int8) for chain in values]


def _mean_noise(scm: StructuralModel, x: ArrayLike) -> NDArray[np.floating[Any]]:
    return np.asarray(scm.posterior(x)[0].cpu())


def _in_own_order(graph: NDArray[np.int8], permutation: NDArray[np.int64]) -> NDArray[np.int8]:
    own = np.zeros_like(graph)
    own[np.ix_(permutation, permutation)] = graph
    return own
