"""Pairs from any simulator that can be put back to a state: run twice from there, with and without one quantity held.

    snapshot;   k steps                              ->  x
    restore;    k steps, one quantity held or none   ->  x~          the same noise in both runs

What comes out is a pair of the weakly supervised setting (Brehmer et al., NeurIPS 2022, arXiv 2203.16437) whose
variables are the quantities at step k: the one that was held has a value of its law, independent of all else, and the
others are what it made of them on the way. The graph is that of effects within k steps. It is acyclic only if the
quantities are chosen so: a position and its velocity act on each other. What an effect has seen of its cause on the way
counts as its noise, and holding the cause changes that too: the assumption that all other noise is shared holds for
causes that are slow against k steps, or whose effects forget, and for others about.

Batches are written as they are made, each with random numbers of its own, so that a run that was cut off goes on and
ends with the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.process import random_state

__all__ = ["Law", "RestorableSystem", "pairs_from"]

Law = Callable[[np.random.Generator], float]
"""Draws the value that a quantity is held at."""
_BATCH = 500


class RestorableSystem(Protocol):
    """A simulator that can be put back: a digital twin, a game, a physics engine.

    Attributes:
        quantities: what can be set, in the order of the variables, and the law of the value of each.
    """

    quantities: Mapping[str, Law]

    def snapshot(self) -> Any:
        """The whole state, to be given to :meth:`restore`; later steps must not change it."""

    def restore(self, state: Any) -> None:
        """Put the system back to a state."""

    def read(self) -> Mapping[str, float]:
        """The present value of each quantity."""

    def set(self, name: str, value: float) -> None:
        """Set one quantity, and nothing else."""

    def step(self, rng: np.random.Generator) -> None:
        """Go on by one step, with all that is random drawn from ``rng``, as often whatever the state is."""

    def observe(self) -> ArrayLike:
        """What sensors or a camera see of the present state."""


def pairs_from(
    system: RestorableSystem,
    n: int,
    *,
    steps: int = 10,
    between: int = 20,
    burn_in: int = 200,
    none_share: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> InterventionPairs:
    """Make pairs of a system.

    Args:
        system: The system; where it stands is where each batch begins. It is put back there at the end.
        n: Number of pairs, at least 1.
        steps: k, from the common state to the observation, at least 1.
        between: Steps from one pair to the next, at least 0.
        burn_in: Steps before the first pair of a batch, at least 0, for batches to forget where they began.
        none_share: Share of pairs in which nothing is held; by default as many as of each quantity.
        seed: Of everything random, at least 0.
        out: A folder for the batches, which a run that was cut off goes on from; None keeps them in memory.
        on_batch: Called with the pairs that are there and ``n`` after each batch, for a progress bar say.

    Returns:
        The pairs, with ``targets``, ``z`` and ``z_after`` as the system reads them.

    Raises:
        ValueError: If an argument is out of range, there is no quantity, the folder holds pairs of other options,
            or a quantity that is held does not read what it was set to.

    >>> class Tank:
    ...     quantities = {"tap": lambda rng: rng.uniform(), "level": lambda rng: rng.uniform()}
    ...     def __init__(self):
    ...         self.tap, self.level = 0.5, 0.5
    ...     def snapshot(self):
    ...         return self.tap, self.level
    ...     def restore(self, state):
    ...         self.tap, self.level = state
    ...     def read(self):
    ...         return {"tap": self.tap, "level": self.level}
    ...     def set(self, name, value):
    ...         setattr(self, name, value)
    ...     def step(self, rng):
    ...         self.tap = 0.5 * self.tap + 0.5 * rng.uniform()
    ...         self.level = 0.7 * self.level + 0.3 * self.tap
    ...     def observe(self):
    ...         return [self.tap + self.level, self.tap - self.level]
    >>> pairs = pairs_from(Tank(), 300, steps=3)
    >>> of_level = pairs.targets == 2
    >>> bool((pairs.z[of_level, 0] == pairs.z_after[of_level, 0]).all())       # the level does not move the tap
    True
    """
    check_least(n=(n, 1), steps=(steps, 1), between=(between, 0), burn_in=(burn_in, 0), seed=(seed, 0))
    names = list(system.quantities)
    if not names:
        raise ValueError("system: got no quantities, expected at least one that can be set")
    share = 1 / (len(names) + 1) if none_share is None else none_share
    if not 0 <= share < 1:
        raise ValueError(f"none_share: got {none_share}, expected a number in [0, 1)")
    options = {"n": n, "steps": steps, "between": between, "burn_in": burn_in, "seed": seed}
    facts = np.array([*options.values(), len(names), share], dtype=np.float64)
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _check_facts(folder / "options.npz", {"options": facts, "quantities": np.array(names)})
    start = system.snapshot()
    batches = []
    for number, first in enumerate(range(0, n, _BATCH)):
        size = min(_BATCH, n - first)
        path = None if folder is None else folder / f"batch-{number:05d}.npz"
        if path is not None and path.is_file():
            with np.load(path, allow_pickle=False) as archive:
                batches.append(dict(archive))
        else:
            system.restore(start)
            rng = np.random.default_rng(random_state.derive_seed(seed, "pairs_from", number))
            batches.append(_batch(system, size, steps, between, burn_in, share, rng))
            if path is not None:
                write_arrays(path, batches[-1])
        if on_batch is not None:
            on_batch(first + size, n)
    system.restore(start)
    arrays = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    return InterventionPairs(
        arrays["x"], arrays["x_after"], targets=arrays["targets"], z=arrays["z"], z_after=arrays["z_after"]
    )


def _batch(
    system: RestorableSystem, n: int, steps: int, between: int, burn_in: int, share: float, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    names = list(system.quantities)
    rows: dict[str, list[Any]] = {key: [] for key in ("x", "x_after", "targets", "z", "z_after")}
    for _ in range(burn_in):
        system.step(rng)
    for _ in range(n):
        for _ in range(between):
            system.step(rng)
        target = 0 if rng.random() < share else int(rng.integers(1, len(names) + 1))
        value = float(system.quantities[names[target - 1]](rng)) if target else 0.0
        common, noise = system.snapshot(), int(rng.integers(2**63))
        for end, held in (("", None), ("_after", names[target - 1] if target else None)):
            system.restore(common)
            own = np.random.default_rng(noise)
            for _ in range(steps):
                if held is not None:
                    system.set(held, value)
                system.step(own)
            if held is not None:
                system.set(held, value)
            read = system.read()
            if held is not None and not np.isclose(read[held], value, rtol=1e-5, atol=1e-8):
                raise ValueError(f"system: {held!r} reads {read[held]} after it was set to {value}, expected the same")
            rows[f"x{end}"].append(np.array(system.observe(), copy=True))
            rows[f"z{end}"].append([float(read[name]) for name in names])
        rows["targets"].append(target)
        system.restore(common)
    return {key: np.asarray(values) for key, values in rows.items()}


def _check_facts(path: Path, facts: Mapping[str, NDArray[Any]]) -> None:
    """Write what batches were made with, or compare it with what is there."""
    if not path.is_file():
        write_arrays(path, dict(facts))
        return
    with np.load(path, allow_pickle=False) as archive:
        same = all(name in archive and np.array_equal(archive[name], value) for name, value in facts.items())
    if not same:
        raise ValueError(f"out: got {path.parent}, which holds pairs of other options, expected another folder")
