"""Kinds of pairs: sound ones of many sizes, and a violation each of what a latent causal model assumes.

What a kind does to the assumptions is one line here; the parts are in :mod:`pyro_lcm.data.violations.world`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.data.violations.world import Array, Hits, Noise, Random, Redraw, Seen, World, one_or_none

Group = Literal["sound", "broken", "invisible"]


@dataclass(frozen=True)
class Kind:
    """One kind of pairs.

    Attributes:
        name: of the kind.
        group: ``sound`` if the assumptions hold, ``broken`` if one does not, ``invisible`` if a model that keeps to
            all of them explains the pairs as well, so that nothing in the pairs can tell.
        world: where they come from: a :class:`~pyro_lcm.data.violations.world.World`, or options of
            :class:`~pyro_lcm.data.scaling.ScalingSystem`.
        n: number of pairs to train on; None for that of the study.
        dim_z: number of variables that is asked for; None for none.
        steps: optimizer steps where the fit is cut short; None for those of the study.
    """

    name: str
    group: Group
    world: World | Mapping[str, Any]
    n: int | None = None
    dim_z: int | None = None
    steps: int | None = None

    def sample(self, n: int, *, seed: int, sample: int = 0, different: bool = False) -> InterventionPairs:
        """Draw pairs with truth from the system of a seed.

        Args:
            n: number of pairs.
            seed: of the system.
            sample: of the draw.
            different: whether no pair is repeated, of kinds that repeat them.

        Returns:
            The pairs.
        """
        if isinstance(self.world, World):
            world = replace(self.world, distinct=None) if different else self.world
            return world.sample(n, seed=seed, sample=sample)
        return ScalingSystem(seed=seed, **self.world).sample(n, seed=sample)


# ---------------------------------------------------------------------- values


def _kept(share: float, spread: float) -> Redraw:
    """z~ = share z + spread r: a part of the old value stays."""
    return lambda old, mean, rng: share * old + spread * rng.normal(size=old.shape)


def _soft(share: float, spread: float) -> Redraw:
    """z~ = share f(causes) + spread r: causes matter still."""
    return lambda old, mean, rng: share * mean + spread * rng.normal(size=old.shape)


def _drawn(draw: str, *arguments: Any) -> Redraw:
    """z~ from a distribution of numpy's by its name."""
    return lambda old, mean, rng: np.asarray(getattr(rng, draw)(*arguments, size=old.shape), dtype=np.float64)


def _shifted(old: Array, mean: Array, rng: Random) -> Array:
    return old + 1.5


def _shifted_either_way(old: Array, mean: Array, rng: Random) -> Array:
    return old + rng.choice([-1.5, 1.5], size=old.shape)


def _shifted_at_times(old: Array, mean: Array, rng: Random) -> Array:
    return np.where(rng.random(old.shape) < 0.5, old + 1.5, rng.normal(size=old.shape))


def _noise_scaled(old: Array, mean: Array, rng: Random) -> Array:
    return mean + 0.4 * (old - mean)


# --------------------------------------------------------------------- targets


def _weighted(*weights: float) -> Hits:
    """One target or none, by weights of none, 1, 2, ..."""

    def hits(rng: Random, n: int, dim: int) -> Any:
        share = np.asarray(weights) / sum(weights)
        return rng.choice(dim + 1, n, p=share)[:, None] == np.arange(1, dim + 1)

    return hits


def _several(share: float) -> Hits:
    """In a share of the pairs, two variables; else one or none."""

    def hits(rng: Random, n: int, dim: int) -> Any:
        both = rng.permuted(np.tile(np.arange(dim) < 2, (n, 1)), axis=1)
        return np.where(rng.random((n, 1)) < share, both, one_or_none(rng, n, dim))

    return hits


def _all_at_once(rng: Random, n: int, dim: int) -> Any:
    return np.ones((n, dim), dtype=bool)


# ----------------------------------------------------------------------- noise


def _common_cause(correlation: float) -> Noise:
    """Normal noise of variance 1 and that correlation."""

    def noise(rng: Random, n: int, dim: int) -> Array:
        own, common = rng.normal(size=(n, dim)), rng.normal(size=(n, 1))
        return np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common

    return noise


def _of_values(*values: float) -> Noise:
    """Noise of a few values."""
    return lambda rng, n, dim: np.asarray(rng.choice(values, size=(n, dim)), dtype=np.float64)


def _heavy(rng: Random, n: int, dim: int) -> Array:
    return rng.standard_t(3, size=(n, dim)) / np.sqrt(3)


def _row_after_row(rng: Random, n: int, dim: int) -> Array:
    fresh, noise = rng.normal(size=(n, dim)), np.zeros((n, dim))
    for i in range(n):
        noise[i] = 0.9 * noise[i - 1] + np.sqrt(1 - 0.81) * fresh[i]
    return noise


# --------------------------------------------------------------------- sensors


def _both(change: Any) -> Seen:
    """The same function of each side."""
    return lambda x, x_after, rng: (change(x), change(x_after))


def _first_squared(x: Array) -> Array:
    return np.column_stack([np.square(x[:, 0]), x[:, 1:]])


def _drifting(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
    # Over the record, the same in both sides of a pair.
    drift = 2 * np.sin(np.linspace(0, 12, len(x)))[:, None] * np.eye(x.shape[1])[0]
    return x + drift, x_after + drift


def _offset_after(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
    return x, x_after + 0.5


def _gain_after(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
    return x, 1.2 * x_after


def _noisy(spread: float) -> Seen:
    return lambda x, x_after, rng: (
        x + spread * rng.normal(size=x.shape),
        x_after + spread * rng.normal(size=x.shape),
    )


def _spikes(share: float, size: float) -> Seen:
    """Outliers in a share of the rows of each side."""

    def seen(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
        return tuple(
            side + size * rng.normal(size=side.shape) * (rng.random((len(side), 1)) < share) for side in (x, x_after)
        )  # type: ignore[return-value]

    return seen


def _mispaired(share: float) -> Seen:
    """In a share of the pairs, the after side of another."""

    def seen(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
        wrong = np.flatnonzero(rng.random(len(x)) < share)
        shuffled = x_after.copy()
        shuffled[wrong] = x_after[rng.permutation(wrong)]
        return x, shuffled

    return seen


def _lost(share: float) -> Seen:
    """In a share of the rows, one sensor gives zero."""

    def seen(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
        x, x_after = x.copy(), x_after.copy()
        for side in (x, x_after):
            side[rng.random(len(side)) < share, 0] = 0.0
        return x, x_after

    return seen


def _sound(name: str, **options: Any) -> Kind:
    """A system that keeps to all assumptions, by options of a kind and of the scaling simulator."""
    own = {key: options.pop(key) for key in ("n", "steps", "dim_z") if key in options}
    return Kind(f"sound, {name}", "sound", {"dim": 3} | options, **own)


BENT = {"mixing": "leaky_relu", "mechanisms": "nonlinear"}

_ALL = (
    _sound("1 variable", dim=1),
    _sound("2 variables", dim=2),
    _sound("3 variables"),
    _sound("4 variables", dim=4),
    _sound("5 variables", dim=5),
    _sound("6 variables", dim=6),
    _sound("7 variables", dim=7),
    _sound("8 variables", dim=8),
    _sound("16 variables", dim=16),
    _sound("2,000 pairs", n=2_000),
    _sound("1,000 pairs of 4 variables", n=1_000, dim=4),
    _sound("noise of 1 %", observation_noise=0.01),
    _sound("noise of 5 %", observation_noise=0.05),
    _sound("noise of 2 % on 4 variables", observation_noise=0.02, dim=4),
    _sound("3 variables in 6 features", dim_x=6),
    _sound("4 variables in 8 features, noise of 1 %", dim=4, dim_x=8, observation_noise=0.01),
    _sound("uniform interventions", intervention="uniform"),
    _sound("Laplace noise", noise="laplace"),
    _sound("uniform noise", noise="uniform"),
    _sound("uneven targets", target_weights=(1.0, 0.3, 1.0, 2.0)),
    _sound("few with a target", target_weights=(9.0, 1 / 3, 1 / 3, 1 / 3)),
    _sound("every edge", dim=4, edge_probability=1.0),
    _sound("no edge", edge_probability=0.0),
    _sound("no edge, 5 variables", dim=5, edge_probability=0.0),
    Kind("sound, wide interventions", "sound", World(redraw=_kept(0.0, 3.0))),
    Kind("sound, narrow interventions", "sound", World(redraw=_kept(0.0, 0.3))),
    Kind("sound, interventions with a mean", "sound", World(redraw=_drawn("normal", 2.0, 1.0))),
    Kind("sound, skewed interventions", "sound", World(redraw=_drawn("exponential", 1.0))),
    Kind("sound, rows that follow one another", "sound", World(noise=_row_after_row)),
    Kind("sound, a large offset and scale", "sound", World(seen=_both(lambda x: 1e3 * x + 1e6))),
    Kind("sound, features of other scales", "sound", World(seen=_both(lambda x: x * [1e-3, 1.0, 1e3]))),
    Kind("sound, rounded to a hundredth", "sound", World(seen=_both(lambda x: np.round(x, 2)))),
    Kind("sound, heavy noise", "sound", World(noise=_heavy)),
    _sound("nonlinear mechanisms", mechanisms="nonlinear"),
    _sound("nonlinear, 2 variables", dim=2, **BENT),
    _sound("nonlinear, 3 variables", **BENT),
    # New values that depend on the old ones.
    Kind("shift, bent", "broken", World(redraw=_shifted, mixing="leaky_relu")),
    Kind("added noise, bent", "broken", World(redraw=_kept(1.0, 1.0), mixing="leaky_relu")),
    Kind("half way, bent", "broken", World(redraw=_kept(0.5, 0.5), mixing="leaky_relu")),
    Kind("shift", "broken", World(redraw=_shifted)),
    Kind("shift, 5 variables", "broken", World(dim=5, redraw=_shifted)),
    Kind("shift, noise of 2 %", "broken", World(redraw=_shifted, seen=_noisy(0.02))),
    Kind("shift either way", "broken", World(redraw=_shifted_either_way)),
    Kind("shift at times", "broken", World(redraw=_shifted_at_times)),
    Kind("shift of one variable", "broken", World(redraw=_shifted, only=3)),
    Kind("added noise", "broken", World(redraw=_kept(1.0, 1.0))),
    Kind("added noise, noise of 2 %", "broken", World(redraw=_kept(1.0, 1.0), seen=_noisy(0.02))),
    Kind("half way", "broken", World(redraw=_kept(0.5, 0.5))),
    Kind("half way, 4 variables", "broken", World(dim=4, redraw=_kept(0.5, 0.5))),
    Kind("half way, noise of 2 %", "broken", World(redraw=_kept(0.5, 0.5), seen=_noisy(0.02))),
    Kind("a quarter of the way", "broken", World(redraw=_kept(0.75, 0.5))),
    Kind("half way for one variable", "broken", World(redraw=_kept(0.5, 0.5), only=3)),
    Kind("mirrored", "broken", World(redraw=_kept(-1.0, 0.0))),
    Kind("mirrored and noise", "broken", World(redraw=_kept(-1.0, 0.3))),
    Kind("scaled up", "broken", World(redraw=_kept(2.0, 0.0))),
    Kind("scaled down", "broken", World(redraw=_kept(0.5, 0.0))),
    # Soft interventions.
    Kind("soft, noise redrawn", "invisible", World(redraw=_soft(1.0, 1.0))),
    Kind("soft, noise redrawn, 5 variables", "invisible", World(dim=5, redraw=_soft(1.0, 1.0))),
    Kind("soft, noise redrawn, sensor noise of 2 %", "invisible", World(redraw=_soft(1.0, 1.0), seen=_noisy(0.02))),
    Kind("soft, noise redrawn wider", "invisible", World(redraw=_soft(1.0, 2.0))),
    Kind("soft, noise scaled", "invisible", World(redraw=_noise_scaled)),
    Kind("soft, causes matter half", "invisible", World(redraw=_soft(0.5, 1.0))),
    Kind("soft, causes matter the other way", "invisible", World(redraw=_soft(-1.0, 1.0))),
    Kind("soft, noise redrawn, bent", "invisible", World(redraw=_soft(1.0, 1.0), mixing="leaky_relu")),
    # Values.
    Kind("set to 0", "broken", World(redraw=_kept(0.0, 0.0))),
    Kind("set to 2", "broken", World(redraw=_drawn("normal", 2.0, 0.0))),
    Kind("set to one of two values", "broken", World(redraw=_drawn("choice", np.array([-1.0, 1.0])))),
    Kind("set to integers", "broken", World(redraw=_drawn("integers", -2, 3))),
    Kind("noise of three values", "broken", World(noise=_of_values(-1.2, 0.0, 1.2))),
    # Pairs.
    Kind("60 pairs", "broken", World(), n=60),
    Kind("100 pairs", "broken", World(), n=100),
    Kind("200 pairs of 4 variables", "broken", World(dim=4), n=200),
    Kind("100 pairs, repeated", "broken", World(distinct=100)),
    Kind("300 pairs, repeated", "broken", World(distinct=300)),
    Kind("a short fit of wide interventions", "broken", World(redraw=_kept(0.0, 3.0)), steps=20),
    Kind("a short fit, nonlinear", "broken", {"dim": 3, **BENT}, steps=60),
    Kind("mispaired, 5 %", "broken", World(seen=_mispaired(0.05))),
    Kind("mispaired, half", "broken", World(seen=_mispaired(0.5))),
    Kind("mispaired, all", "broken", World(seen=_mispaired(1.0))),
    # Targets.
    Kind("a variable never a target", "broken", World(hits=_weighted(1, 1, 1, 0))),
    Kind("a variable hardly ever a target", "broken", World(hits=_weighted(1, 1, 1, 0.03))),
    Kind("two targets in one pair of ten", "broken", World(hits=_several(0.1))),
    Kind("two targets in half of the pairs", "broken", World(hits=_several(0.5))),
    Kind("two targets always", "broken", World(hits=_several(1.0))),
    Kind("all variables at once", "broken", World(hits=_all_at_once)),
    # Noise.
    Kind("a common cause", "broken", World(noise=_common_cause(0.6))),
    Kind("a weak common cause", "broken", World(noise=_common_cause(0.2))),
    Kind("effects that lag behind", "broken", World(follow=False)),
    Kind("noise that moves by itself", "broken", World(renewed=0.1)),
    Kind("noise that moves a lot by itself", "broken", World(renewed=0.5)),
    # Sensors.
    Kind("3 variables in 2 features", "broken", World(features=2)),
    Kind("4 variables in 3 features", "broken", World(dim=4, features=3)),
    Kind("a variable too many", "broken", {"dim": 3, "dim_x": 6, "observation_noise": 0.02}, dim_z=4),
    Kind("a variable too few", "broken", {"dim": 3, "dim_x": 6, "observation_noise": 0.02}, dim_z=2),
    Kind("a feature squared", "broken", World(seen=_both(_first_squared))),
    Kind("absolute values", "broken", World(seen=_both(np.abs))),
    Kind("clipped", "broken", World(seen=_both(lambda x: np.clip(x, -1.0, 1.0)))),
    Kind("rounded to integers", "broken", World(seen=_both(np.round))),
    Kind("sensor noise of 10 %", "broken", {"dim": 3, "observation_noise": 0.1}),
    Kind("sensor noise of 30 %", "broken", {"dim": 3, "observation_noise": 0.3}),
    Kind("a drifting sensor", "broken", World(seen=_drifting)),
    Kind("another offset after", "broken", World(seen=_offset_after)),
    Kind("another gain after", "broken", World(seen=_gain_after)),
    Kind("outliers, 1 in 1,000", "broken", World(seen=_spikes(0.001, 20.0))),
    Kind("outliers, 1 in 50", "broken", World(seen=_spikes(0.02, 20.0))),
    Kind("a sensor that fails, 1 in 50", "broken", World(seen=_lost(0.02))),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
"""Kinds by name."""
