"""``pyro-lcm do``: what observations become when causal variables are set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.commands.console import progress_bar, say, table
from pyro_lcm.commands.files import check_suffix, load_pairs, refuse_existing
from pyro_lcm.commands.options import Images, Resources
from pyro_lcm.commands.parsing import INLINED, REPEATED
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.pixels import unit_range
from pyro_lcm.lcm import LatentCausalModel, Outcome
from pyro_lcm.text_files import write_csv
from pyro_lcm.viz.interventions import before_after
from pyro_lcm.viz.style import save_figure

POSITIONAL = ("run",)

Array = NDArray[np.float64]

_ROWS = 32_768
"""Observations that are read and intervened upon at a time."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm do``.

    Args:
        run: Run folder.
        set: A causal variable and its value, as in z2=1.0; once for each variable that is set.
        data: Pairs file; the observations before are what is intervened upon.
        out: File to write, an .npz, do.npz in the run folder by default: x under the intervention, causal under it,
            causal_before, x_before. Beside it come the effects as a table, with their errors, and two figures.
        draws: Draws that the errors of the effects are from, at least 2: of the guide, and of observations.
        seed: Seed of these draws, at least 0.
        overwrite: Whether to write over files.
        images: See there.
        resources: See there.
    """

    run: str
    data: str
    out: str | None = None
    set: tuple[str, ...] = field(default=(), metadata=REPEATED)
    draws: int = 20
    seed: int = 0
    overwrite: bool = False
    images: Images = field(default_factory=Images, metadata=INLINED)
    resources: Resources = field(default_factory=Resources, metadata=INLINED)

    def __post_init__(self) -> None:
        for name, least in (("draws", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least {least}")


def run(options: Options) -> int:
    """Write the observations, the effects and the figures."""
    values = parse_values(options.set)
    out = Path(options.run) / "do.npz" if options.out is None else Path(options.out)
    check_suffix(str(out), ".npz")
    effects_file = out.with_name(f"{out.stem}_effects.csv")
    pictures = [out.with_name(f"{out.stem}_{name}.png") for name in ("variables", "observations")]
    refuse_existing([out, effects_file, *pictures], options.overwrite)
    model = LatentCausalModel.load(options.run)
    pairs = load_pairs(options.data, mmap=options.resources.mmap, images=options.images)
    with torch_threads(options.resources.threads):
        result = _intervene(model, values, pairs)
        errors, errors_x = _errors(model, values, pairs, options)
    before_x = unit_range(pairs.x)
    effects = _effects(model.names, result.before, result.causal, errors)
    features = before_x.reshape(len(before_x), -1)
    changed_features = result.x.reshape(len(before_x), -1)
    feature_names = [f"x{k}" for k in range(1, features.shape[1] + 1)]
    effects += _effects(feature_names, features, changed_features, errors_x) if features.shape[1] <= 64 else []
    out.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(out, {"x": result.x, "causal": result.causal, "causal_before": result.before, "x_before": before_x})
    header = ("quantity", "before", "after", "change", "error", "change in sd")
    write_csv(effects_file, [name.replace(" ", "_") for name in header], effects)
    save_figure(before_after(result.before, result.causal, model.names, changed=values), pictures[0])
    save_figure(before_after(features, changed_features, feature_names), pictures[1])
    rows = [(str(name), *(f"{number:.3f}" for number in numbers)) for name, *numbers in effects]
    say(f"do({', '.join(f'{name} = {value:g}' for name, value in values.items())}), means over {len(pairs)}:")
    say(table(header, rows))
    say(f"error: standard deviation of the mean change over {options.draws} draws of the guide and of observations")
    say(f"wrote {', '.join(map(str, (out, effects_file, *pictures)))}")
    return 0


def parse_values(settings: Sequence[str]) -> dict[str, float]:
    """Read settings such as ``z2=1.0``.

    Raises:
        ValueError: If there is none, one is malformed, or a variable comes twice.

    >>> parse_values(("z1=0", "z3=-1.5"))
    {'z1': 0.0, 'z3': -1.5}
    """
    if not settings:
        raise ValueError("--set: got none, expected at least one variable and value, such as z2=1.0")
    values: dict[str, float] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not name or not math.isfinite(value):
            raise ValueError(f"--set: got {setting!r}, expected a variable and a number, such as z2=1.0")
        if name in values:
            raise ValueError(f"--set: got {name} twice, expected each variable once")
        values[name] = value
    return values


def _intervene(model: LatentCausalModel, values: dict[str, float], pairs: InterventionPairs) -> Outcome:
    parts = []
    with progress_bar(len(pairs), "intervening", "observation") as bar:
        for start in range(0, len(pairs), _ROWS):
            piece = pairs[start : start + _ROWS]
            parts.append(model.intervene(values, x=piece.x))
            bar.update(len(piece))
    return Outcome(*(np.concatenate(column) for column in zip(*(vars(part).values() for part in parts), strict=True)))


def _errors(
    model: LatentCausalModel, values: dict[str, float], pairs: InterventionPairs, options: Options
) -> tuple[Array, Array]:
    """Standard deviations (d,), (features,) of the mean changes over draws of the guide and of observations.

    Each draw weighs the observations anew (the Bayesian bootstrap; Rubin, Annals of Statistics 1981).
    """
    rng = np.random.default_rng(options.seed)
    total = np.zeros((options.draws, 1))
    sums = [np.zeros((options.draws, size)) for size in (model.dim_z, math.prod(pairs.observation_shape))]
    with progress_bar(options.draws * len(pairs), "drawing", "observation") as bar:
        for start in range(0, len(pairs), _ROWS):
            x = pairs[start : start + _ROWS].x
            for draw in range(options.draws):
                weight = rng.exponential(size=len(x))
                found = model.counterfactual(x, values, draws=1, seed=int(rng.integers(2**31)))
                changes = (found.causal - found.before)[0], (found.x[0] - found.x_before).reshape(len(x), -1)
                total[draw] += weight.sum()
                for part, change in zip(sums, changes, strict=True):
                    part[draw] += weight @ change
                bar.update(len(x))
    causal, features = ((part / total).std(axis=0, ddof=1) for part in sums)
    return causal, features


def _effects(
    names: Sequence[str], before: NDArray[np.generic], after: NDArray[np.generic], errors: Array
) -> list[tuple[str, float, float, float, float, float]]:
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    change = (second - first).mean(axis=0)
    scaled = change / np.maximum(first.std(axis=0), 1e-12)
    columns = zip(names, first.mean(axis=0), second.mean(axis=0), change, errors, scaled, strict=True)
    return [(name, *map(float, numbers)) for name, *numbers in columns]  # type: ignore[misc]
