"""The Voronoi simulator as a Pyro program: causal variables that follow each other in time, and what is seen of them.

At each step every variable is a deterministic node ``z1``, ..., ``zK`` of its noise, of the variables one step before
and, where there are instantaneous effects, of variables of the same step; known interventions are ``pyro.do`` on it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from pyro.contrib.autoname import scope
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.dag import topological_order

_HIDDEN = 32
_ROUNDS = 20
"""Steps in which locations are brought to mean 0 and variance 1 while the system runs."""


class Frames(NamedTuple):
    """What the program returns; the first axis counts frames, or steps, the second episodes."""

    causal: Tensor
    x: Tensor
    targets: Tensor


class Location(nn.Module):
    """The location of a variable, m(parents): a random network of two hidden layers, of mean 0 and variance 1.

    Args:
        parents: (2 K,) 0 and 1, which of the K variables one step before and of the K of the same step.
        generator: source of the weights.
    """

    parents: Tensor
    offset: Tensor
    spread: Tensor

    def __init__(self, parents: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("parents", parents.double())
        for name in ("offset", "spread"):
            self.register_buffer(name, torch.full((), float(name == "spread"), dtype=torch.float64))
        widths = (len(parents), _HIDDEN, _HIDDEN, 1)
        fans = (max(1, int(parents.sum())), _HIDDEN, _HIDDEN)
        for layer, (n_in, n_out, fan) in enumerate(zip(widths[:-1], widths[1:], fans, strict=True)):
            weight = torch.randn(n_in, n_out, generator=generator, dtype=torch.float64) * (2 / fan) ** 0.5
            self.register_buffer(f"weight{layer}", weight)
            bias = 0.3 * torch.randn(n_out, generator=generator, dtype=torch.float64)
            self.register_buffer(f"bias{layer}", bias)

    def raw(self, before: Tensor, now: Tensor) -> Tensor:
        """The network's value, (...), of variables one step before and of the same step, (..., K) each."""
        # Bounded inputs keep the system bounded, whatever was drawn.
        value = torch.cat([before, now], -1).tanh() * self.parents
        for layer in range(3):
            value = value @ getattr(self, f"weight{layer}") + getattr(self, f"bias{layer}")
            value = nn.functional.leaky_relu(value, 0.1) if layer < 2 else value
        return value.squeeze(-1)

    def forward(self, before: Tensor, now: Tensor) -> Tensor:
        """m, (...), of (..., K) variables one step before and of the same step."""
        return (self.raw(before, now) - self.offset) / self.spread

    def standardize(self, before: Tensor, now: Tensor) -> None:
        """Bring m to mean 0 and variance 1 over rows of variables."""
        value = self.raw(before, now)
        self.offset.copy_(value.mean())
        self.spread.copy_(value.std().clamp(min=1e-6))


class VoronoiProgram(PyroModule):  # type: ignore[misc]
    """The program. All its tensors are float64.

    Args:
        temporal: graph from one frame to the next, ``[parent, child]``, (K, K).
        adjacency: graph within a frame, ``[parent, child]``, (K, K), acyclic.
        mixing: maps causal variables (..., K) to observations (..., D).
        seed: of the mechanisms.
        noise_sd: standard deviation of a variable given its parents.
        intervention_sd: standard deviation of a variable that is intervened on.
        probability: of an intervention, on each variable; of single targets, on any.
        single: whether at most one variable is intervened on at a step.
        interactions: (A, K) 0 and 1, which variables each of A actions acts on; one of them is taken at each step, and
            ``targets`` say which, in place of what is intervened on.
    """

    def __init__(
        self,
        temporal: NDArray[np.int8],
        adjacency: NDArray[np.int8],
        mixing: nn.Module,
        *,
        seed: int,
        noise_sd: float,
        intervention_sd: float,
        probability: float,
        single: bool,
        interactions: NDArray[np.int8] | None = None,
    ) -> None:
        super().__init__()
        self.order = topological_order(adjacency).tolist()
        self.mixing = mixing
        self.noise_sd, self.intervention_sd = noise_sd, intervention_sd
        self.probability, self.single = probability, single
        self.interactions = None if interactions is None else torch.from_numpy(interactions).double()
        generator = torch.Generator().manual_seed(seed)
        parents = torch.from_numpy(np.concatenate([temporal, adjacency]))
        self.locations = nn.ModuleList([Location(parents[:, i], generator) for i in range(self.dim)])
        with torch.no_grad():
            self._standardize(generator)

    @property
    def dim(self) -> int:
        """Number of causal variables K."""
        return len(self.order)

    def _standardize(self, generator: torch.Generator) -> None:
        values = torch.randn(4000, self.dim, generator=generator, dtype=torch.float64)
        for _ in range(_ROUNDS):
            now = torch.zeros_like(values)
            for i in self.order:
                self.locations[i].standardize(values, now)  # type: ignore[operator]
                noise = torch.randn(len(values), generator=generator, dtype=torch.float64)
                now[:, i] = self.locations[i](values, now) + self.noise_sd * noise
            values = now

    def step(self, before: Tensor, noise: Tensor, targets: Tensor, value: Tensor) -> Tensor:
        """Causal variables one step later: nodes ``z1``, ..., ``zK``.

        ``pyro.do`` cannot act on some rows only, so a variable is set to its new value in the rows where it is a target
        and, in the others, to what its mechanism gives.

        Args:
            before: (..., K) causal variables.
            noise: (..., K) standard normal.
            targets: (..., K) 0 and 1.
            value: (..., K) what targets are set to.

        Returns:
            (..., K).
        """
        now = torch.zeros_like(before)
        for i in self.order:
            natural = self.locations[i](before, now) + self.noise_sd * noise[..., i]
            assigned = torch.where(targets[..., i] > 0, value[..., i], natural)
            node = pyro.do(self._variable, {f"z{i + 1}": assigned})(i, natural)
            now = torch.where(torch.arange(self.dim) == i, node.unsqueeze(-1), now)
        return now

    def _variable(self, number: int, value: Tensor) -> Tensor:
        node: Tensor = pyro.deterministic(f"z{number + 1}", value, event_dim=0)
        return node

    def forward(self, steps: int, episodes: int, warm_up: int = 0) -> Frames:
        """Draw episodes: in the scope of each step, sites ``targets``, ``noise``, ``intervention`` and the nodes.

        Args:
            steps: from the first frame to the last, at least 0.
            episodes: size of the plate ``episodes``.
            warm_up: steps before the first frame.
        """
        unit = dist.Normal(torch.zeros(self.dim, dtype=torch.float64), 1.0).to_event(1)
        causal, chosen = [], []
        with pyro.plate("episodes", episodes):
            values = pyro.sample("start", unit)
            for t in pyro.markov(range(-warm_up, steps)):
                if t >= 0:
                    causal.append(values)
                with scope(prefix=f"step{t}"):
                    known, targets = self._actions() if self.interactions is not None else [self._targets()] * 2
                    noise = pyro.sample("noise", unit)
                    drawn = self.intervention_sd * pyro.sample("intervention", unit)
                    values = self.step(values, noise, targets, drawn)
                if t >= 0:
                    chosen.append(known)
            causal.append(values)
        sequence = torch.stack(causal)
        empty = sequence.new_zeros(0, episodes, self.dim)
        return Frames(sequence, self.mixing(sequence), torch.stack(chosen) if chosen else empty)

    def _actions(self) -> tuple[Tensor, Tensor]:
        """An action, one of A columns, and the variables it acts on."""
        assert self.interactions is not None
        count = len(self.interactions)
        action = pyro.sample("action", dist.Categorical(torch.full((count,), 1 / count, dtype=torch.float64)))
        return torch.eye(count, dtype=torch.float64)[action], self.interactions[action]

    def _targets(self) -> Tensor:
        if not self.single:
            chance = torch.full((self.dim,), self.probability, dtype=torch.float64)
            drawn: Tensor = pyro.sample("targets", dist.Bernoulli(chance).to_event(1))
            return drawn
        weights = torch.tensor([1 - self.probability, *[self.probability / self.dim] * self.dim], dtype=torch.float64)
        target = pyro.sample("targets", dist.Categorical(weights))
        return (target.unsqueeze(-1) == torch.arange(1, self.dim + 1)).double()
