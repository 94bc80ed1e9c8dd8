"""A scaling system after something in it has changed: one mechanism, or one sensor. For measuring transfer.

Graph, mixing and all other mechanisms are those of the system before (the sparse mechanism shift of Schoelkopf et al.,
Proceedings of the IEEE 2021, arXiv 2102.11107).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyro_lcm.data.limits import check_least
from pyro_lcm.data.mechanisms import Mechanisms
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.data.scaling_program import ScalingProgram
from pyro_lcm.process import random_state

__all__ = ["ChangedSystem"]


@dataclass(frozen=True)
class ChangedSystem:
    """A scaling system with one mechanism or one sensor changed.

    Args:
        system: The world before.
        variable: The variable, from 1 on, whose mechanism is another one; None for none.
        effects: What its location becomes: ``sum_k effects[k] z_k`` over its parents in ascending order; None keeps it.
        noise: Factor of the scale of its noise, positive.
        sensor: The feature of x, from 0 on, that reads otherwise; None for none.
        gain: Factor of what it reads.
        offset: What is added to it.

    Raises:
        ValueError: If an argument is out of range.

    >>> system = ScalingSystem(3, seed=0)
    >>> now = ChangedSystem(system, variable=3, noise=2.0)
    >>> old, new = (one.sample(2000, seed=0).z for one in (system, now))
    >>> bool(new[:, 2].std() > 1.2 * old[:, 2].std()), now.adjacency is system.adjacency
    (True, True)
    """

    system: ScalingSystem
    variable: int | None = None
    effects: tuple[float, ...] | None = None
    noise: float = 1.0
    sensor: int | None = None
    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        check_least(variable=(self.variable, 1), sensor=(self.sensor, 0))
        if self.variable is not None and self.variable > self.system.dim:
            raise ValueError(f"variable: got {self.variable}, expected 1 to {self.system.dim}")
        if self.sensor is not None and self.sensor >= self.system.width:
            raise ValueError(f"sensor: got {self.sensor}, expected 0 to {self.system.width - 1}")
        if not self.noise > 0:
            raise ValueError(f"noise: got {self.noise}, expected a positive number")
        if self.effects is not None:
            parents = 0 if self.variable is None else int(self.adjacency[:, self.variable - 1].sum())
            if len(self.effects) != parents:
                raise ValueError(f"effects: got {len(self.effects)}, expected {parents}, one for each parent")

    @property
    def adjacency(self) -> NDArray[np.int8]:
        """The graph, that of the system."""
        return self.system.adjacency

    @cached_property
    def program(self) -> ScalingProgram:
        """The world now as a Pyro program."""
        program = copy.deepcopy(self.system.program)
        if self.variable is not None:
            program.mechanisms = _ChangedMechanisms(program.mechanisms, self.variable - 1, self.effects, self.noise)
        return program

    def sample(self, n: int, seed: int = 0) -> InterventionPairs:
        """Draw pairs of the world now, with their truth.

        Args:
            n: Number of pairs, at least 1.
            seed: Of the sample, at least 0.
        """
        check_least(n=(n, 1), seed=(seed, 0))
        own = random_state.derive_seed(self.system.seed, "changed", seed)
        with random_state.isolated(own, torch.device("cpu")), torch.no_grad():
            drawn = self.program(n)
        x, x_after = drawn.before.x.clone(), drawn.after.x.clone()
        if self.sensor is not None:
            for side in (x, x_after):
                side[:, self.sensor] = self.gain * side[:, self.sensor] + self.offset
        return InterventionPairs(
            x.numpy(),
            x_after.numpy(),
            targets=drawn.target.numpy(),
            z=drawn.before.causal.numpy(),
            z_after=drawn.after.causal.numpy(),
            noise=drawn.noise.numpy(),
            noise_after=drawn.noise_after.numpy(),
            adjacency=self.system.adjacency,
        )


class _ChangedMechanisms(nn.Module):
    def __init__(self, others: Mechanisms, variable: int, effects: tuple[float, ...] | None, noise: float) -> None:
        super().__init__()
        self.others, self.variable, self.noise = others, variable, noise
        self.effects = None if effects is None else torch.tensor(effects, dtype=torch.float64)

    def location_scale(self, variable: int, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the system, but for one variable."""
        location, scale = self.others.location_scale(variable, parents)
        if variable != self.variable:
            return location, scale
        return (location if self.effects is None else parents @ self.effects), scale * self.noise
