"""The scaling simulator as a Pyro program: an SCM with noise sites, a mixing, and pairs made by ``pyro.do``.

Each causal variable is a deterministic node (``z1``, ..., ``zd``) of its noise and its parents, so that
``pyro.do(program.world, {"z2": 1.0})`` is an intervention and a pair is a counterfactual one: the world after
is the same program, with the same noise, under ``pyro.do`` on the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from pyro.contrib.autoname import scope
from pyro.distributions import Distribution
from pyro.distributions.transforms import Transform, identity_transform
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.dag import topological_order
from pyro_lcm.data.mechanisms import Mechanisms


class World(NamedTuple):
    """One world: causal variables, shape (..., d), and the observation they cause, shape (..., D)."""

    causal: Tensor
    x: Tensor


class PairOfWorlds(NamedTuple):
    """What the pairs program returns; every tensor has the pairs as its first axis."""

    target: Tensor
    noise: Tensor
    noise_after: Tensor
    before: World
    after: World


@dataclass(frozen=True)
class Distributions:
    """What is random in the pairs program.

    Args:
        noise: Distribution of the noise of one variable, univariate.
        intervention: Distribution of a variable after an intervention on it, univariate.
        target_probabilities: Probabilities of the targets none, 1, ..., d; shape (d + 1,).
        observation_sd: Standard deviation of the normal noise that is added to x; 0 for none.
    """

    noise: Distribution
    intervention: Distribution
    target_probabilities: Tensor
    observation_sd: float = 0.0


class ScalingProgram(PyroModule):  # type: ignore[misc]
    """The program. All its tensors are float64.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d), acyclic.
        mechanisms: Mechanisms of the graph's variables.
        mixing: Maps causal variables, shape (..., d), to observations, shape (..., D).
        distributions: What is random.
        link: Increasing map g of a variable: ``z_i = g(m_i + s_i e_i)``; by default the identity.
    """

    def __init__(
        self,
        adjacency: NDArray[np.int8],
        mechanisms: Mechanisms,
        mixing: nn.Module,
        distributions: Distributions,
        link: Transform = identity_transform,
    ) -> None:
        super().__init__()
        self.adjacency = adjacency
        self.order = topological_order(adjacency).tolist()
        self.parents = [np.flatnonzero(column).tolist() for column in adjacency.T]
        self.mechanisms = mechanisms
        self.mixing = mixing
        self.distributions = distributions
        self.link = link

    @property
    def dim(self) -> int:
        """Number of causal variables."""
        return len(self.order)

    def world(self, noise: Tensor) -> World:
        """Run the SCM and the mixing: sites ``z1``, ..., ``zd``, ``causal`` and ``x``.

        Intervene on a variable by ``pyro.do(program.world, {"z2": value})``, with a float or a tensor that
        has one value a row, and read the result from what is returned (the site ``z2`` itself keeps the
        value it would have had).

        Args:
            noise: Noise of the variables, shape (..., d).

        Returns:
            Causal variables and observation.
        """
        values: list[Tensor] = [noise[..., 0]] * self.dim
        for variable in self.order:
            values[variable] = self._variable(variable, self._mechanism(variable, noise, values))
        return self._observe(values)

    def noise_encoding(self, causal: Tensor) -> Tensor:
        """Invert the solution function of the SCM without interventions: e = s^-1(z).

        Args:
            causal: Causal variables, shape (..., d).

        Returns:
            Noise encodings, shape (..., d).
        """
        encodings = []
        for variable in range(self.dim):
            location, scale = self._location_scale(variable, causal.unbind(-1))
            encodings.append((self.link.inv(causal[..., variable]) - location) / scale)
        return torch.stack(encodings, dim=-1)

    def forward(self, size: int) -> PairOfWorlds:
        """Draw pairs: sites ``target``, ``noise``, ``intervention``; a world ``before`` and one ``after``.

        Args:
            size: Number of pairs, the size of the plate ``pairs``.

        Returns:
            Targets, noise, noise encodings after, and the two worlds.
        """
        random = self.distributions
        with pyro.plate("pairs", size):
            target = pyro.sample("target", dist.Categorical(probs=random.target_probabilities))
            noise = pyro.sample("noise", random.noise.expand([self.dim]).to_event(1))
            target = target.expand(noise.shape[:-1])  # pyro.do may have put one number in its place
            value = pyro.sample("intervention", random.intervention)
            with scope(prefix="before"):
                before = self.world(noise)
            with scope(prefix="after"):
                after = self._world_after(noise, target, value)
            hit = target.unsqueeze(-1) == torch.arange(1, self.dim + 1)
            # Only the target's component differs, by definition; taking the others from the noise keeps the
            # equality exact in floating point.
            noise_after = torch.where(hit, self.noise_encoding(after.causal), noise)
        return PairOfWorlds(target, noise, noise_after, before, after)

    def _world_after(self, noise: Tensor, target: Tensor, value: Tensor) -> World:
        """Run the world with a target that differs from row to row.

        ``pyro.do`` cannot act on some rows only, so each variable is set to its new value in the rows where
        it is the target and, in the others, to the value its mechanism gives it in this world.
        """
        values: list[Tensor] = [noise[..., 0]] * self.dim
        for variable in self.order:
            natural = self._mechanism(variable, noise, values)
            assigned = torch.where(target == variable + 1, value, natural)
            intervened = pyro.do(self._variable, {_name(variable): assigned})
            values[variable] = intervened(variable, natural)
        return self._observe(values)

    def _variable(self, variable: int, value: Tensor) -> Tensor:
        node: Tensor = pyro.deterministic(_name(variable), value, event_dim=0)
        return node.to(value).expand(value.shape)  # an intervention may be a plain number

    def _observe(self, values: list[Tensor]) -> World:
        causal = pyro.deterministic("causal", torch.stack(values, dim=-1), event_dim=1)
        mean = self.mixing(causal)
        sd = self.distributions.observation_sd
        if sd > 0:
            x = pyro.sample("x", dist.Normal(mean, sd).to_event(1))
        else:
            x = pyro.deterministic("x", mean, event_dim=1)
        return World(causal, x)

    def _mechanism(self, variable: int, noise: Tensor, values: list[Tensor]) -> Tensor:
        location, scale = self._location_scale(variable, values)
        value: Tensor = self.link(location + scale * noise[..., variable])
        return value

    def _location_scale(self, variable: int, values: list[Tensor] | tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        parents = [values[parent] for parent in self.parents[variable]]
        reference = values[variable]
        stacked = torch.stack(parents, dim=-1) if parents else reference.new_zeros((*reference.shape, 0))
        return self.mechanisms.location_scale(variable, stacked)


def _name(variable: int) -> str:
    return f"z{variable + 1}"
