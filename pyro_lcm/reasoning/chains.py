"""Where the uncertainty of an effect comes from: observations, mechanisms, a posterior over graphs, and several fits.

Three things are drawn together, and one at a time to say what each adds:

- *graph*: which variable depends on which (:func:`pyro_lcm.discovery.graph_posterior`);
- *parameters*: what the mechanisms are (:class:`~pyro_lcm.reasoning.parameters.ParameterPosterior`), from pairs;
- *sampling*: what the observations leave open, draws of the guide, and which observations are averaged over.

Fits are the chains. Their variables are brought into the order and the units of the first fit's by the same
observations, since a latent causal model is identified only up to those (Brehmer et al., NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.discovery.arviz_compat import Container, group
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.reasoning.fitted import Fitted, Source, structural_model
from pyro_lcm.reasoning.parameters import DrawnStructure, ParameterPosterior
from pyro_lcm.reasoning.programs import draw_noise, prior_noise
from pyro_lcm.reasoning.structure import Action, StructuralModel, World

Origin = Literal["graph", "parameters", "sampling"]
"""What can be drawn."""
ORIGINS: tuple[Origin, ...] = get_args(Origin)


@dataclass(frozen=True)
class Uncertainty:
    """What to draw.

    Args:
        draws: draws of each chain, at least 1.
        rows: without observations, the size of the population that each draw averages over.
        seed: of all draws.
        pairs: of the system that the model was fitted to, by which the parameters of its mechanisms are drawn. Without
            them effects of a fitted model are shown without intervals, which would be far too narrow; with them so are
            those of fits that are not linear (:func:`are_intervals`).
        posterior: ArviZ container of a posterior over the graph of the model's variables; in each draw effects travel
            along the edges of a graph drawn from it. None leaves them to the mechanisms, linear ones that are drawn by
            pairs to all predecessors.
        fits: further fits of the same data, one chain each.
        resample: whether observations are a sample of the population that effects are averaged over, so that each draw
            weighs them anew (the Bayesian bootstrap; Rubin, Annals of Statistics 1981).

    Raises:
        ValueError: if a number is out of range.
    """

    draws: int = 50
    rows: int = 1000
    seed: int = 0
    pairs: InterventionPairs | None = None
    posterior: Container | None = None
    fits: Sequence[Fitted] = field(default=())
    resample: bool = False

    def __post_init__(self) -> None:
        for name in ("draws", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least 1")


class Response(NamedTuple):
    """N observations in one draw, in the first chain's coordinates.

    Attributes:
        causal: (N, d) causal variables.
        x: (N, ...) observations.
        noise: (N, d) noise encodings, those of the draw.
    """

    causal: Tensor
    x: Tensor
    noise: Tensor


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of one chain: a population, the mechanisms, perhaps a graph.

    Attributes:
        scm: the mechanisms.
        noise: (N, d) noise encodings, in the chain's own coordinates.
        weight: (N,) of the observations, of sum 1.
        graph: (d, d) ``[parent, child]`` in the chain's own coordinates, along which effects travel, or None.
        permutation: (d,) the chain's own variable for each of the first chain's.
        offset: (d,) see ``slope``.
        slope: (d,): a value v of the first fit's variable is ``offset + slope * v`` of the draw's own.
    """

    scm: StructuralModel
    noise: Tensor
    weight: Tensor
    graph: NDArray[np.int8] | None
    permutation: NDArray[np.int64]
    offset: Tensor
    slope: Tensor

    def respond(self, actions: Mapping[int, Action]) -> Response:
        """The observations under an intervention.

        Args:
            actions: by variable 0..d-1, what to make of its natural value, in the first chain's coordinates.
        """
        world = self._solve(actions)
        return Response(self._in_first(world), self.scm.decode(world), world.noise[..., self.permutation.tolist()])

    def causal(self, actions: Mapping[int, Action]) -> Tensor:
        """The causal variables of :meth:`respond` alone; nothing is decoded."""
        return self._in_first(self._solve(actions))

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean of (N, ...) values over the observations."""
        weight = self.weight.to(values)
        return (values * weight.view(-1, *[1] * (values.dim() - 1))).sum(0)

    def _solve(self, actions: Mapping[int, Action]) -> World:
        own = {int(self.permutation[i]): self._in_own_units(i, action) for i, action in actions.items()}
        if self.graph is None or not own:
            return self.scm.solve(self.noise, own)
        return self.scm.solve_along(self.noise, own, self.graph)

    def _in_first(self, world: World) -> Tensor:
        return (world.causal[..., self.permutation.tolist()] - self.offset) / self.slope

    def _in_own_units(self, variable: int, action: Action) -> Action:
        offset, slope = self.offset[variable], self.slope[variable]
        return lambda natural: offset + slope * action((natural - offset) / slope).to(natural)


def set_to(variable: int, value: float) -> dict[int, Action]:
    """The intervention that sets one variable, 0..d-1, to a number."""
    return {variable: lambda natural: torch.full_like(natural, value)}


def draw_chains(
    source: Source, x: ArrayLike | None, options: Uncertainty, *, origins: Sequence[Origin] = ORIGINS
) -> Iterator[list[Draw]]:
    """The draws of each chain, one chain after the other.

    Args:
        source: a fitted model, or a structural model.
        x: (N, ...) observations; None for a population.
        options: what to draw.
        origins: what varies over the draws; of the others all draws have the mean, or of graphs the most frequent.

    Raises:
        ValueError: if several fits cannot be aligned for want of observations, or the posterior is of other variables.
    """
    fits: list[Source] = [source, *options.fits]
    models = [structural_model(fit) for fit in fits]
    if len(models) > 1 and x is None:
        raise ValueError("x: got none, expected observations, by which the fits are aligned")
    graphs = _graphs(options, len(models), models[0].names)
    for chain, scm in enumerate(models):
        permutation, offset, slope = np.arange(scm.dim), np.zeros(scm.dim), np.ones(scm.dim)
        if chain and x is not None:
            permutation, offset, slope = _units_of(scm, models[0], x)
        seed = options.seed + 7919 * chain
        noise, weight = _populations(scm, x, options, seed, vary="sampling" in origins)
        rng = np.random.default_rng(seed + 1)
        posterior = _parameters(fits[chain], options)
        own_graphs = None if graphs is None else [_in_own_order(graph, permutation) for graph in graphs[chain]]
        if own_graphs is not None and "graph" not in origins:
            own_graphs = [_most_frequent(own_graphs)] * options.draws
        drawn = []
        for draw in range(options.draws):
            graph = None if own_graphs is None else own_graphs[draw]
            made = None
            if posterior is not None:
                made = posterior.draw(rng if "parameters" in origins else None, graph)
                graph = None
            drawn.append(_in_units(scm, made, noise[draw], weight[draw], graph, permutation, offset, slope))
        yield drawn


def draw_of(scm: StructuralModel, made: DrawnStructure | None, noise: Tensor) -> Draw:
    """A draw of noise encodings (N, d) of a structure, with mechanisms drawn anew if there are some."""
    dim = scm.dim
    weight = torch.full((len(noise),), 1 / max(len(noise), 1), dtype=torch.float64, device=noise.device)
    return _in_units(scm, made, noise, weight, None, np.arange(dim), np.zeros(dim), np.ones(dim))


def _in_units(
    scm: StructuralModel,
    made: DrawnStructure | None,
    noise: Tensor,
    weight: Tensor,
    graph: NDArray[np.int8] | None,
    permutation: NDArray[np.int64],
    offset: NDArray[np.float64],
    slope: NDArray[np.float64],
) -> Draw:
    """A draw whose units are those of the first fit, (d,) ``offset + slope * v`` in those of this one."""
    if made is not None:
        scm, own = made.scm, permutation.tolist()
        noise = noise.to(scm.zero) @ torch.as_tensor(made.frame).to(scm.zero)
        offset, slope = made.offset[own] + made.slope[own] * offset, made.slope[own] * slope
    units = [torch.as_tensor(part).to(scm.zero) for part in (offset, slope)]
    return Draw(scm, noise, weight, graph, permutation, *units)


def are_intervals(source: Source, options: Uncertainty) -> bool:
    """Whether the spread of draws is an interval: mechanisms are known, or linear and drawn by pairs."""
    if isinstance(source, StructuralModel):
        return True
    return options.pairs is not None and all(fit.fitted.linear for fit in (source, *options.fits))


def varied(source: Source, options: Uncertainty) -> tuple[Origin, ...]:
    """What the draws vary in."""
    drawn = not isinstance(source, StructuralModel) and source.fitted.linear and options.pairs is not None
    there = {"graph": options.posterior is not None, "parameters": drawn, "sampling": True}
    return tuple(name for name in ORIGINS if there[name])


def _parameters(fit: Source, options: Uncertainty) -> ParameterPosterior | None:
    if options.pairs is None or isinstance(fit, StructuralModel) or not fit.fitted.linear:
        return None
    return ParameterPosterior(fit, options.pairs)


def _populations(
    scm: StructuralModel, x: ArrayLike | None, options: Uncertainty, seed: int, *, vary: bool
) -> tuple[Tensor, Tensor]:
    """Noise encodings (draws, N, d) and weights (draws, N) of each draw's population."""
    draws = options.draws
    if x is None:
        number = draws if vary else 1
        noise = prior_noise(scm, number * options.rows, seed).view(number, options.rows, scm.dim)
    else:
        noise = draw_noise(scm, x, draws, seed) if vary else scm.posterior(x)[0].unsqueeze(0)
    noise = noise.expand(draws, *noise.shape[1:])
    weight = torch.full(noise.shape[:2], 1 / noise.shape[1], dtype=torch.float64)
    if x is not None and options.resample and vary:
        generator = torch.Generator().manual_seed(seed + 2)
        weight = torch.empty(noise.shape[:2], dtype=torch.float64).exponential_(generator=generator)
        weight /= weight.sum(1, keepdim=True)
    return noise, weight.to(noise.device)


def _units_of(
    scm: StructuralModel, first: StructuralModel, x: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Which variable of a structure each of the first one's is, and (d,) offsets and slopes of their units."""
    if scm.dim != first.dim:
        raise ValueError(f"fits: got {scm.dim} variables, expected {first.dim}")
    with torch.no_grad():
        noise, of_first = scm.posterior(x)[0], first.posterior(x)[0]
        causal, wanted = (np.asarray(m.solve(e).causal.cpu(), float) for m, e in ((scm, noise), (first, of_first)))
    permutation = align(np.asarray(noise.cpu()), np.asarray(of_first.cpu())).permutation
    own = causal[:, permutation]
    slope = ((own - own.mean(0)) * (wanted - wanted.mean(0))).mean(0) / wanted.var(0)
    return permutation, own.mean(0) - slope * wanted.mean(0), slope


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


def _most_frequent(graphs: Sequence[NDArray[np.int8]]) -> NDArray[np.int8]:
    different, counts = np.unique(np.stack(graphs), axis=0, return_counts=True)
    most: NDArray[np.int8] = different[counts.argmax()]
    return most


def _in_own_order(graph: NDArray[np.int8], permutation: NDArray[np.int64]) -> NDArray[np.int8]:
    own = np.zeros_like(graph)
    own[np.ix_(permutation, permutation)] = graph
    return own
