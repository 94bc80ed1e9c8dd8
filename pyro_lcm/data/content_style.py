"""Pairs that share content and differ in style (von Kuegelgen et al., NeurIPS 2021, arXiv 2106.04619), as a program.

    c  ~ N(0, C)                                    content, shared by the two sides
    s  ~ N(a + B c, S)                              style; B = 0 without causal dependence
    m_k ~ Bernoulli(p),   u ~ N(0, U)               which styles change, and by how much
    s~ = s + m u                                    style after
    x = f(c, s),   x~ = f(c, s~)                    f a bijection

C, S and U are the identity, or random covariances ("statistical dependence"). A pair of augmentations of one picture
is of this kind. It is no intervention on a single variable: all styles may change at once, and around their old values.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from pyro.contrib.autoname import scope
from pyro.distributions import Bernoulli, MultivariateNormal
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.data.limits import check_least, check_memory
from pyro_lcm.data.mixings import MIXINGS, draw_mixing
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.process import random_state

__all__ = ["ContentStyleProgram", "ContentStyleSystem", "StyleLaw"]

_FREEDOM = 3
"""Degrees of freedom of a random covariance, for each of its variables. With one, as in the paper, some directions of
style have a thousandth of the variance of others, and hardly change."""


class StyleLaw(NamedTuple):
    """Covariances and effects of the program, float64.

    Attributes:
        content: (n, n) covariance of content.
        style: (m, m) covariance of style given content.
        change: (m, m) covariance of the changes of style.
        shift: (m,) mean of style.
        effects: (m, n) of content on style.
    """

    content: Tensor
    style: Tensor
    change: Tensor
    shift: Tensor
    effects: Tensor


class Worlds(NamedTuple):
    """What the program returns: variables (size, n + m) and observations (size, n + m) of both sides."""

    z: Tensor
    z_after: Tensor
    x: Tensor
    x_after: Tensor


class ContentStyleProgram(PyroModule):  # type: ignore[misc]
    """The program.

    Sites: plate ``pairs``; ``content``, ``style``, ``changed``, ``change``; in the scopes ``before`` and ``after``:
    ``causal`` and ``x``.

    Args:
        law: Covariances and effects.
        mixing: Maps variables, shape (..., n + m), to observations.
        change_probability: Of each style.
    """

    def __init__(self, law: StyleLaw, mixing: nn.Module, change_probability: float) -> None:
        super().__init__()
        self.law, self.mixing, self.change_probability = law, mixing, change_probability

    def forward(self, size: int) -> Worlds:
        """Draw pairs, ``size`` of them."""
        law = self.law
        styles = len(law.shift)
        with pyro.plate("pairs", size):
            content = pyro.sample("content", MultivariateNormal(torch.zeros_like(law.effects[0]), law.content))
            style = pyro.sample("style", MultivariateNormal(law.shift + content @ law.effects.T, law.style))
            probability = torch.full((styles,), self.change_probability, dtype=law.shift.dtype)
            changed = pyro.sample("changed", Bernoulli(probability).to_event(1))
            change = pyro.sample("change", MultivariateNormal(torch.zeros_like(law.shift), law.change))
            with scope(prefix="before"):
                z, x = self.world(content, style)
            with scope(prefix="after"):
                z_after, x_after = self.world(content, style + changed * change)
        return Worlds(z, z_after, x, x_after)

    def world(self, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """One side: variables and observation, (..., n + m) each, of content (..., n) and style (..., m)."""
        causal: Tensor = pyro.deterministic("causal", torch.cat([content, style], -1), event_dim=1)
        x: Tensor = pyro.deterministic("x", self.mixing(causal), event_dim=1)
        return causal, x


@dataclass(frozen=True)
class ContentStyleSystem:
    """One random system of content and style. Draw any number of pairs from it.

    The seed fixes covariances, effects and mixing each from a stream of its own.

    Args:
        content: Number n of variables of content, at least 1.
        style: Number m of variables of style, at least 1.
        seed: Of the system, at least 0.
        statistical: Whether the covariances of content, of style and of its changes are random instead of the identity.
        causal: Whether content has effects on style.
        change_probability: Of a change of each style, above 0 and at most 1.
        mixing: ``linear``, ``leaky_relu``, ``tanh_residual`` or ``coupling``.

    Raises:
        ValueError: If an option is out of range.

    >>> system = ContentStyleSystem(2, 3, seed=0, causal=True)
    >>> pairs = system.sample(100, seed=1)
    >>> pairs.observation_shape, bool((pairs.z[:, :2] == pairs.z_after[:, :2]).all())
    ((5,), True)
    """

    content: int = 5
    style: int = 5
    _: KW_ONLY
    seed: int
    statistical: bool = False
    causal: bool = False
    change_probability: float = 1.0
    mixing: str = "leaky_relu"

    def __post_init__(self) -> None:
        check_least(content=(self.content, 1), style=(self.style, 1), seed=(self.seed, 0))
        check_memory("content", self.content, 8 * self.dim)
        if not (math.isfinite(self.change_probability) and 0 < self.change_probability <= 1):
            raise ValueError(f"change_probability: got {self.change_probability}, expected a number in (0, 1]")
        if self.mixing not in MIXINGS:
            raise ValueError(f"mixing: got {self.mixing!r}, expected one of {', '.join(MIXINGS)}")

    @property
    def dim(self) -> int:
        """Number of variables, and of features of x."""
        return self.content + self.style

    @cached_property
    def program(self) -> ContentStyleProgram:
        """The system as a Pyro program; float64, on the CPU."""
        law_rng, effect_rng, mixing_rng = (
            np.random.default_rng(stream) for stream in np.random.SeedSequence(self.seed).spawn(3)
        )
        sizes = (self.content, self.style, self.style)
        content, style, change = (_covariance(size, law_rng, self.statistical) for size in sizes)
        effects = effect_rng.standard_normal((self.style, self.content + 1)) * self.causal
        law = StyleLaw(*(torch.from_numpy(part) for part in (content, style, change, effects[:, 0], effects[:, 1:])))
        return ContentStyleProgram(law, draw_mixing(self.mixing, self.dim, mixing_rng), self.change_probability)

    def check_number(self, n: int) -> None:
        """Check that so many pairs fit into memory.

        Raises:
            ValueError: If they do not.
        """
        check_memory("n", n, 8 * 4 * self.dim)

    def sample(self, n: int, seed: int = 0) -> InterventionPairs:
        """Draw pairs.

        Args:
            n: Number of pairs, at least 1.
            seed: Seed of the sample, at least 0; different seeds give independent samples. Torch's own random state is
                left as it was.

        Returns:
            The pairs in float64, with the truth ``z`` and ``z_after``: content first, then style.

        Raises:
            ValueError: If an argument is out of range.
        """
        check_least(n=(n, 1), seed=(seed, 0))
        self.check_number(n)
        own = random_state.derive_seed(self.seed, "content_style", seed)
        with random_state.isolated(own, torch.device("cpu")), torch.no_grad():
            drawn = self.program(n)
        return InterventionPairs(
            drawn.x.numpy(), drawn.x_after.numpy(), z=drawn.z.numpy(), z_after=drawn.z_after.numpy()
        )


def _covariance(size: int, rng: np.random.Generator, random: bool) -> NDArray[np.float64]:
    """A covariance of mean variance one: the identity, or a Wishart draw."""
    draws = rng.standard_normal((_FREEDOM * size, size))
    return draws.T @ draws / len(draws) if random else np.eye(size)
