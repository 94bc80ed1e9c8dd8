"""The scaling data: pairs from a random latent causal model with any number of variables.

By default the distribution of the scaling experiment of Brehmer, de Haan, Lippe, Cohen (NeurIPS 2022,
arXiv 2203.16437): each edge of a fixed order with probability 0.5, linear mechanisms with weights
``sign * (1 + 0.3 N(0, 1))`` and unit normal noise, interventions ``N(0, 1)``, targets uniform over none and
the d variables, and ``x = R z`` with a random rotation. Other options leave that distribution one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from pyro.distributions import Distribution

from pyro_lcm.causal.dag import random_dag
from pyro_lcm.data.limits import check_least, check_memory
from pyro_lcm.data.mechanisms import LinearMechanisms, NonlinearMechanisms
from pyro_lcm.data.mixings import MIXINGS, Embedding, draw_mixing
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scaling_program import Distributions, ScalingProgram
from pyro_lcm.process.process_state import alone

MECHANISMS = ("linear", "nonlinear")
NOISES = ("gaussian", "laplace", "uniform")
INTERVENTIONS = ("normal", "uniform")

_SD_PROBE = 10_000
"""Pairs drawn to measure the standard deviation of x, of which the observation noise is a fraction."""


@dataclass(frozen=True)
class ScalingSystem:
    """One random latent causal model: graph, mechanisms, mixing. Draw any number of samples from it.

    The seed fixes graph, mechanisms and mixing each from a stream of its own, so that the same seed gives the
    same graph whatever the other options are.

    Args:
        dim: Number of causal variables, at least 1.
        seed: Seed of the model, at least 0.
        edge_probability: Probability of each of the d (d - 1) / 2 possible edges.
        mechanisms: ``linear`` or ``nonlinear`` (heteroscedastic).
        mixing: ``linear``, ``leaky_relu``, ``tanh_residual`` or ``coupling``.
        noise: Distribution of the SCM's noise, of unit variance: ``gaussian``, ``laplace`` or ``uniform``.
        intervention: Distribution of a variable after an intervention on it: ``normal`` is N(0, 1), and
            ``uniform`` is uniform on [-sqrt(3), sqrt(3)], with the same mean and variance.
        observation_noise: Standard deviation of the normal noise on every feature of x, as a fraction of the
            standard deviation of x (root mean square over features, before an intervention).
        target_weights: Weights of the targets none, 1, ..., d; non-negative; by default all equal.
        dim_x: Number of features of x, at least ``dim``, which is the default.
        random_order: Whether the order of the variables is random; otherwise z1 never has a parent and zd
            never a child. The two differ by a relabelling only.

    Raises:
        ValueError: If an option is out of range.

    >>> system = ScalingSystem(dim=3, seed=0)
    >>> train, test = system.sample(1000, seed=0), system.sample(200, seed=1)
    >>> len(train), len(test), train.observation_shape
    (1000, 200, (3,))
    """

    dim: int = 4
    _: KW_ONLY
    seed: int
    edge_probability: float = 0.5
    mechanisms: str = "linear"
    mixing: str = "linear"
    noise: str = "gaussian"
    intervention: str = "normal"
    observation_noise: float = 0.0
    target_weights: tuple[float, ...] | None = None
    dim_x: int | None = None
    random_order: bool = False

    def __post_init__(self) -> None:
        check_least(dim=(self.dim, 1))
        check_memory("dim", self.dim, 8 * max(self.dim, self.dim_x or 0) ** 2 // self.dim)
        check_least(seed=(self.seed, 0))
        _check_choice("mechanisms", self.mechanisms, MECHANISMS)
        _check_choice("mixing", self.mixing, MIXINGS)
        _check_choice("noise", self.noise, NOISES)
        _check_choice("intervention", self.intervention, INTERVENTIONS)
        if not 0 <= self.edge_probability <= 1:
            raise ValueError(f"edge_probability: got {self.edge_probability}, expected a number in [0, 1]")
        if not (math.isfinite(self.observation_noise) and self.observation_noise >= 0):
            raise ValueError(f"observation_noise: got {self.observation_noise}, expected a number of at least 0")
        check_least(dim_x=(self.dim_x, self.dim))
        if self.mixing == "coupling" and self.width < 2:
            raise ValueError("mixing: got 'coupling' for one feature, expected at least two features for it")
        if self.target_weights is not None:
            weights = np.asarray(self.target_weights, dtype=float)
            if weights.shape != (self.dim + 1,) or not np.isfinite(weights).all() or (weights < 0).any():
                raise ValueError(f"target_weights: got {self.target_weights}, expected {self.dim + 1} numbers >= 0")
            if weights.sum() == 0:
                raise ValueError("target_weights: got only zeros, expected at least one positive weight")

    @property
    def width(self) -> int:
        """Number of features of x."""
        return self.dim if self.dim_x is None else self.dim_x

    @cached_property
    def program(self) -> ScalingProgram:
        """The model as a Pyro program; float64, on the CPU."""
        silent = self._build(observation_sd=0.0)
        if self.observation_noise == 0:
            return silent
        with _seeded(self.seed, 1), torch.no_grad():
            x = silent(_SD_PROBE).before.x
        return self._build(observation_sd=self.observation_noise * float(x.var(dim=0).mean().sqrt()))

    def _build(self, observation_sd: float) -> ScalingProgram:
        graph_rng, mechanism_rng, mixing_rng = (
            np.random.default_rng(stream) for stream in np.random.SeedSequence(self.seed).spawn(3)
        )
        adjacency = random_dag(self.dim, self.edge_probability, graph_rng, random_order=self.random_order)
        kind = LinearMechanisms if self.mechanisms == "linear" else NonlinearMechanisms
        mixing = Embedding(self.dim, self.width, draw_mixing(self.mixing, self.width, mixing_rng), mixing_rng)
        weights = np.ones(self.dim + 1) if self.target_weights is None else np.asarray(self.target_weights, float)
        distributions = Distributions(
            noise=_unit_variance(self.noise),
            intervention=_unit_variance("gaussian" if self.intervention == "normal" else self.intervention),
            target_probabilities=torch.from_numpy(weights / weights.sum()),
            observation_sd=observation_sd,
        )
        return ScalingProgram(adjacency, kind(adjacency, mechanism_rng), mixing, distributions)

    @property
    def adjacency(self) -> NDArray[np.int8]:
        """The graph, ``[parent, child]``, shape (d, d)."""
        return self.program.adjacency

    def check_number(self, n: int) -> None:
        """Check that so many pairs fit into memory.

        Raises:
            ValueError: If they do not.
        """
        check_memory("n", n, 8 * (2 * self.width + 4 * self.dim))

    def sample(self, n: int, seed: int = 0) -> InterventionPairs:
        """Draw pairs from the model.

        Args:
            n: Number of pairs, at least 1.
            seed: Seed of the sample, at least 0; different seeds give independent samples. Torch's own random
                state is left as it was.

        Returns:
            The pairs with all of the truth, in float64.

        Raises:
            ValueError: If an argument is out of range.
        """
        check_least(n=(n, 1), seed=(seed, 0))
        self.check_number(n)
        program = self.program
        with _seeded(self.seed, 0, seed), torch.no_grad():
            drawn = program(n)
        return InterventionPairs(
            drawn.before.x.numpy(),
            drawn.after.x.numpy(),
            targets=drawn.target.numpy(),
            z=drawn.before.causal.numpy(),
            z_after=drawn.after.causal.numpy(),
            noise=drawn.noise.numpy(),
            noise_after=drawn.noise_after.numpy(),
            adjacency=self.adjacency,
        )


def simulate_scaling(
    dim: int = 4,
    n: int = 100_000,
    *,
    seed: int,
    edge_probability: float = 0.5,
    mechanisms: str = "linear",
    mixing: str = "linear",
    noise: str = "gaussian",
    intervention: str = "normal",
    observation_noise: float = 0.0,
    target_weights: Sequence[float] | None = None,
    dim_x: int | None = None,
    random_order: bool = False,
) -> InterventionPairs:
    """Draw a random latent causal model and pairs from it.

    For several samples of one model (training, validation, test) use :class:`ScalingSystem`, whose
    ``sample(n, seed=0)`` this is.

    Args:
        dim: Number of causal variables.
        n: Number of pairs.
        seed: Seed of the model and of its sample.
        edge_probability: See :class:`ScalingSystem`, as for all that follow.
        mechanisms: ``linear`` or ``nonlinear``.
        mixing: ``linear``, ``leaky_relu``, ``tanh_residual`` or ``coupling``.
        noise: ``gaussian``, ``laplace`` or ``uniform``.
        intervention: ``normal`` or ``uniform``.
        observation_noise: As a fraction of the standard deviation of x.
        target_weights: Weights of the targets none, 1, ..., d.
        dim_x: Number of features of x.
        random_order: Whether the order of the variables is random.

    Returns:
        The pairs with all of the truth.

    Raises:
        ValueError: If an option is out of range.

    >>> pairs = simulate_scaling(dim=2, n=100, seed=0)
    >>> changed = (abs(pairs.noise_after - pairs.noise) > 0).any(axis=1)
    >>> bool((changed == (pairs.targets > 0)).all())
    True
    """
    system = ScalingSystem(
        dim,
        seed=seed,
        edge_probability=edge_probability,
        mechanisms=mechanisms,
        mixing=mixing,
        noise=noise,
        intervention=intervention,
        observation_noise=observation_noise,
        target_weights=None if target_weights is None else tuple(target_weights),
        dim_x=dim_x,
        random_order=random_order,
    )
    return system.sample(n)


def _unit_variance(name: str) -> Distribution:
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    if name == "uniform":
        return dist.Uniform(-math.sqrt(3) * one, math.sqrt(3) * one)
    if name == "laplace":
        return dist.Laplace(zero, one / math.sqrt(2))
    return dist.Normal(zero, one)


@contextmanager
def _seeded(*entropy: int) -> Iterator[None]:
    """Seed torch's CPU generator, which Pyro draws from, and put its state back at the end."""
    with alone(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1)
        yield


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(choices)}")
