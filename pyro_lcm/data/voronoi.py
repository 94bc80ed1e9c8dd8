"""The Voronoi benchmark: sequences from a random temporal causal model whose variables are mixed by an invertible map.

After Lippe et al., "Causal representation learning for instantaneous and temporal effects in interactive systems" (ICLR
2023, arXiv 2206.06169), and the data generation of its repository: each edge from one frame to the next with
probability 0.2 and at least one for each variable, mechanisms that are random networks with normal noise of standard
deviation 0.3, interventions N(0, 0.75^2) on each variable with probability 0.15. Here frames are vectors, as wide as
there are variables, or images of a Voronoi diagram in as many colours.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.causal.dag import random_dag
from pyro_lcm.data.limits import check_memory
from pyro_lcm.data.mixings import MIXINGS, draw_mixing
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.data.voronoi_frames import render_voronoi
from pyro_lcm.data.voronoi_program import VoronoiProgram
from pyro_lcm.process.process_state import alone

__all__ = ["VoronoiSystem"]

_TABLES = 1000
"""Tables of interactions that are tried."""
_WARM_UP = 20
"""Steps before the first frame, by which the system forgets where it began."""


@dataclass(frozen=True)
class VoronoiSystem:
    """One random temporal causal model: graphs, mechanisms, mixing. Draw any number of samples from it.

    Args:
        dim: Number of causal variables K, at least 2.
        seed: Seed of the model, at least 0; graphs, mechanisms and mixing have each a stream of their own.
        edge_probability: Of each of the K^2 edges from one frame to the next; each variable has one parent at least.
        instantaneous: Probability of each of the K (K - 1) / 2 edges within a frame.
        mixing: ``linear``, ``leaky_relu``, ``tanh_residual`` or ``coupling`` (:mod:`pyro_lcm.data.mixings`).
        noise_sd: Standard deviation of a variable given its parents, of unit variance otherwise.
        intervention_sd: Standard deviation of a variable that is intervened on.
        intervention_probability: Of an intervention on each variable at each step; of single targets, on any.
        single: Whether at most one variable is intervened on at a step.
        actions: Number of actions, one of which is taken at each step and acts on some of the variables, each on each
            with probability one half, no two variables being acted on by the same; the first acts on none. ``targets``
            then say which action it was (BISCUIT: Lippe et al., UAI 2023, arXiv 2306.09643). None for known targets.
        size: Width and height of frames that are images, the cells of a Voronoi diagram in as many colours
            (:mod:`pyro_lcm.data.voronoi_frames`); None for vectors.

    Raises:
        ValueError: If an option is out of range.

    >>> system = VoronoiSystem(3, seed=0)
    >>> sequences = system.sample(1000, episodes=10)
    >>> sequences.x.shape, sequences.targets.shape, sequences.temporal_adjacency.shape
    ((1000, 3), (990, 3), (3, 3))
    """

    dim: int = 6
    _: KW_ONLY
    seed: int
    edge_probability: float = 0.2
    instantaneous: float = 0.0
    mixing: str = "coupling"
    noise_sd: float = 0.3
    intervention_sd: float = 0.75
    intervention_probability: float = 0.15
    single: bool = False
    actions: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("dim", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least {least}")
        for name in ("edge_probability", "instantaneous", "intervention_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected a number in [0, 1]")
        for name in ("noise_sd", "intervention_sd"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected a positive number")
        if self.actions is not None and (self.actions < 2 or 2 ** (self.actions - 1) <= self.dim):
            raise ValueError(f"actions: got {self.actions}, expected enough for {self.dim} variables to differ by them")
        if self.size is not None and self.size < 8:
            raise ValueError(f"size: got {self.size}, expected at least 8 pixels")
        if self.mixing not in MIXINGS:
            raise ValueError(f"mixing: got {self.mixing!r}, expected one of {', '.join(MIXINGS)}")

    @cached_property
    def graphs(self) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """The graph from one frame to the next and that within a frame, ``[parent, child]``, (K, K) each."""
        temporal_rng, instant_rng, _ = self._streams()
        temporal = (temporal_rng.random((self.dim, self.dim)) < self.edge_probability).astype(np.int8)
        for child in np.flatnonzero(temporal.sum(0) == 0):
            temporal[temporal_rng.integers(self.dim), child] = 1
        return temporal, random_dag(self.dim, self.instantaneous, instant_rng, random_order=True)

    @cached_property
    def interactions(self) -> NDArray[np.int8] | None:
        """Which variables each action acts on, (A, K); None where targets are known."""
        if self.actions is None:
            return None
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, 2)))
        for _ in range(_TABLES):
            table = rng.integers(0, 2, (self.actions, self.dim)).astype(np.int8)
            table[0] = 0
            if table.any(0).all() and len(np.unique(table, axis=1).T) == self.dim:
                return table
        # So few actions tell so many variables apart that a table at random hardly ever does: columns without repeats.
        columns = 1 + rng.choice(2 ** (self.actions - 1) - 1, self.dim, replace=False)
        table[1:] = columns >> np.arange(self.actions - 1)[:, None] & 1
        return table

    def _streams(self) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
        first, second, third = np.random.SeedSequence(self.seed).spawn(3)
        return np.random.default_rng(first), np.random.default_rng(second), np.random.default_rng(third)

    @cached_property
    def program(self) -> VoronoiProgram:
        """The model as a Pyro program; float64, on the CPU."""
        return self._program(self.intervention_probability, self.single, self.interactions)

    def _program(
        self, probability: float, single: bool, interactions: NDArray[np.int8] | None = None
    ) -> VoronoiProgram:
        return VoronoiProgram(
            *self.graphs,
            draw_mixing(self.mixing, self.dim, self._streams()[2]),
            seed=self.seed,
            noise_sd=self.noise_sd,
            intervention_sd=self.intervention_sd,
            probability=probability,
            single=single,
            interactions=interactions,
        )

    def check_number(self, frames: int) -> None:
        """Check that so many frames fit into memory.

        Raises:
            ValueError: If they do not.
        """
        check_memory("frames", frames, 8 * 4 * self.dim + 3 * (self.size or 0) ** 2)

    def sample(self, frames: int, *, episodes: int | None = None, seed: int = 0) -> InterventionSequences:
        """Draw episodes from the model.

        Args:
            frames: Number of frames in all, at least 2.
            episodes: Number of episodes of one length, by default so many that each has about 100 frames; frames that
                are too few for one more in each are left out.
            seed: Seed of the sample, at least 0. Torch's own random state is left as it was.

        Returns:
            The sequences with all of the truth, in float64.

        Raises:
            ValueError: If an argument is out of range.
        """
        return self._drawn(self.program, frames, episodes, seed)

    def independent(self, frames: int, *, seed: int = 0) -> InterventionSequences:
        """Draw frames in which all variables are intervened on, so that they are independent: what scores are made on.

        Codes of variables that depend on each other tell of each other even where they are right.

        Args:
            frames: Number of frames, at least 2.
            seed: Seed of the sample, at least 0.
        """
        episodes = 1 + frames // 100
        drawn = self._drawn(self._program(1.0, single=False), frames + episodes, episodes, seed)
        temporal, adjacency = self.graphs
        return InterventionSequences(
            drawn.x[:frames],
            np.ones((frames - 1, self.dim if self.actions is None else self.actions)),
            z=np.asarray(drawn.z)[:frames],
            temporal_adjacency=temporal,
            adjacency=adjacency,
            interactions=self.interactions,
        )

    def _drawn(self, program: VoronoiProgram, frames: int, episodes: int | None, seed: int) -> InterventionSequences:
        episodes = max(1, round(frames / 100)) if episodes is None else episodes
        if seed < 0:
            raise ValueError(f"seed: got {seed}, expected at least 0")
        if episodes < 1 or frames < 2 * episodes:
            raise ValueError(f"frames: got {frames} in {episodes} episodes, expected at least two in each")
        self.check_number(frames)
        entropy = np.random.SeedSequence((self.seed, 1, seed)).generate_state(1, np.uint64)[0]
        with alone(), torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(int(entropy) >> 1)
            drawn = program(frames // episodes - 1, episodes, _WARM_UP)
        temporal, adjacency = self.graphs
        known = program.interactions is not None
        return InterventionSequences(
            self._frames(drawn.x.transpose(0, 1).numpy()),
            drawn.targets.transpose(0, 1).numpy(),
            z=drawn.causal.transpose(0, 1).numpy(),
            temporal_adjacency=temporal,
            adjacency=adjacency,
            interactions=self.interactions if known else None,
        )

    def _frames(self, x: NDArray[np.float64]) -> NDArray[Any]:
        """What is seen of (episodes, T, K) mixed variables."""
        if self.size is None:
            return x
        images = render_voronoi(x.reshape(-1, self.dim), size=self.size, seed=self.seed)
        return images.reshape(*x.shape[:2], *images.shape[1:])
