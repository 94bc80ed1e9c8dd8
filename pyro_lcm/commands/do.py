"""``pyro-lcm do``: what observations become when causal variables are set.

Images are read and painted piece by piece; those that are written as image files are never all in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.commands.console import progress_bar, say, table
from pyro_lcm.commands.files import check_out, load_observations, named, pairs_for, refuse_existing
from pyro_lcm.commands.options import Images, Resources, Tables
from pyro_lcm.commands.parsing import INLINED, REPEATED
from pyro_lcm.commands.pictures import is_picture, picture_files, write_pictures
from pyro_lcm.commands.sequences import predict_run
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.lazy import Rows, chunks
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pixels import is_image_shape
from pyro_lcm.data.sources import sides
from pyro_lcm.data.tables import is_table, write_frame
from pyro_lcm.lcm import LatentCausalModel, Outcome
from pyro_lcm.reasoning.chains import draw_of
from pyro_lcm.reasoning.fitted import structural_model
from pyro_lcm.reasoning.interventions import parse_values as parse_actions
from pyro_lcm.reasoning.parameters import DrawnStructure, ParameterPosterior
from pyro_lcm.reasoning.programs import draw_noise
from pyro_lcm.reasoning.structure import StructuralModel
from pyro_lcm.storage.text_files import write_csv
from pyro_lcm.viz.images import image_grid
from pyro_lcm.viz.interventions import before_after
from pyro_lcm.viz.style import save_figure

if TYPE_CHECKING:
    import pandas as pd

POSITIONAL = ("run",)

Array = NDArray[np.float64]

_ROWS = 32_768
_BYTES = 2**24
"""Observations, and bytes of them, that are read and intervened upon at a time."""
_FEW = 64
"""Features of x whose effects are listed at most."""
_PAIRS = 50_000
"""Pairs, at most, by which mechanisms are drawn."""
_SHOWN = 6
"""Images in the figure."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm do``.

    Args:
        run: Run folder.
        set: A causal variable and its value, as in z2=1.0; once for each variable that is set.
        data: Pairs file, of which the observations before are intervened upon; or observations in no pairs: an .npy or
            .npz file of x alone, an image file, or a folder of these. Of a run of sequences a file of these: the frame
            after each is predicted, with x_low, x_high, causal_low and causal_high beside x and causal, between which
            nine of ten are.
        out: File to write, an .npz, do.npz in the run folder by default: x under the intervention, causal under it,
            causal_before, x_before; or a table (.csv, .parquet) of these, NAME_before and NAME_after for each feature
            of x and each variable. For a single image, an image file (.png); for images, a folder of these. Beside it
            come the effects as a table, with their errors, and two figures. Features have the names of the table that
            the run was trained on, or x1, x2, ...
        pairs: Pairs file by which the mechanisms are drawn for the errors of the effects, of the system that the run
            was fitted to; by default that of --data, if it is one. Without any there are no errors, nor of a fit in
            which not all is linear. Of sequences: steps that intervals are made of, by default those of --data.
        draws: Draws that the errors are from, at least 2: of mechanisms, of the guide, and of observations.
        seed: Seed of these draws, at least 0.
        overwrite: Whether to write over files.
        images: See there.
        tables: See there.
        resources: See there.
    """

    run: str
    data: str
    out: str | None = None
    pairs: str | None = None
    set: tuple[str, ...] = field(default=(), metadata=REPEATED)
    draws: int = 20
    seed: int = 0
    overwrite: bool = False
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)
    resources: Resources = field(default_factory=Resources, metadata=INLINED)

    def __post_init__(self) -> None:
        check_least(draws=(self.draws, 2), seed=(self.seed, 0))


def run(options: Options) -> int:
    """Write the observations, the effects and the figures."""
    values = parse_values(options.set)
    out = Path(options.run) / "do.npz" if options.out is None else Path(options.out)
    model = LatentCausalModel.load(options.run)
    if model.fitted.temporal:
        refuse_existing([out], options.overwrite)
        check_out(out, tables=False)
        how: dict[str, Any] = {"mmap": options.resources.mmap, "layout": options.images.layout}
        with torch_threads(options.resources.threads):
            predict_run(model, values, options.data, options.pairs, out, draws=options.draws, seed=options.seed, **how)
        return 0
    seen, features = _observations(options, model)
    files = _picture_files(out, seen)
    effects_file = out.with_name(f"{out.stem}_effects.csv")
    figures = [out.with_name(f"{out.stem}_{name}.png") for name in ("variables", "observations")]
    refuse_existing([*(files or [out]), effects_file, *figures], options.overwrite)
    with torch_threads(options.resources.threads), named(options.data):
        result = _intervene(model, values, seen, files)
        mechanisms, without = _mechanisms(model, options)
        errors, errors_x = _errors(model, mechanisms, values, seen, options)
    effects = _effects(model.names, result.before, result.causal, errors)
    if is_image_shape(seen.shape[1:]):
        shown = np.stack([side[:_SHOWN] for side in (result.x_before, result.x)])
        observations = image_grid(shown, rows=("before", "after"))
    else:
        x_before, changed = (side.reshape(len(seen), -1) for side in (result.x_before, result.x))
        names = features or tuple(f"x{k}" for k in range(1, changed.shape[1] + 1))
        effects += [] if errors_x is None else _effects(names, x_before, changed, errors_x)
        observations = before_after(x_before, changed, names)
    if is_table(out):
        write_frame(out, _table([*names, *model.names], [x_before, result.before], [changed, result.causal]))
    elif files is None:
        arrays = {"x": result.x, "causal": result.causal, "causal_before": result.before, "x_before": result.x_before}
        write_arrays(out, arrays)
    header = ("quantity", "before", "after", "change", "error", "change in sd")
    write_csv(effects_file, [name.replace(" ", "_") for name in header], effects)
    save_figure(before_after(result.before, result.causal, model.names, changed=values), figures[0])
    save_figure(observations, figures[1])
    rows = [(name, *("-" if np.isnan(number) else f"{number:.3f}" for number in numbers)) for name, *numbers in effects]
    say(f"do({', '.join(f'{name} = {value:g}' for name, value in values.items())}), means over {len(seen)}:")
    say(table(header, rows))
    if without is None:
        drawn = "mechanisms, of the guide and of observations"
        say(f"error: standard deviation of the mean change over {options.draws} draws of {drawn}")
    else:
        say(f"no errors of the effects, {without}")
    say(f"wrote {', '.join(map(str, (out, effects_file, *figures)))}")
    return 0


def _observations(options: Options, model: LatentCausalModel) -> tuple[Rows, tuple[str, ...]]:
    """What is intervened upon, and names of its features if known: observations in no pairs, or the side before."""
    found = load_observations(options.data, mmap=options.resources.mmap, images=options.images)
    if found is not None:
        return found, model.features
    pairs = pairs_for(model, options)
    return sides(pairs)[0], model.features or pairs.features


def _table(names: Sequence[str], before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]]) -> pd.DataFrame:
    """A table with two columns for each quantity.

    Raises:
        ValueError: If a feature is called as a causal variable is.
    """
    import pandas as pd

    if twice := [name for name in names if list(names).count(name) > 1]:
        raise ValueError(f"--out: {twice[0]!r} is both a feature and a variable; pyro-lcm rename gives it another name")
    columns: dict[str, NDArray[Any]] = {}
    for name, first, second in zip(names, np.hstack(before).T, np.hstack(after).T, strict=True):
        columns |= {f"{name}_before": first, f"{name}_after": second}
    return pd.DataFrame(columns)


def _picture_files(out: Path, seen: Rows) -> list[Path] | None:
    """Image files to be written, or None for an .npz file or a table.

    Raises:
        ValueError: If the name of what is to be written fits neither.
    """
    if is_image_shape(seen.shape[1:]) and (is_picture(out) or not out.suffix):
        return picture_files(out, seen)
    check_out(out, tables=len(seen.shape) == 2)
    return None


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


def _intervene(model: LatentCausalModel, values: dict[str, float], seen: Rows, files: list[Path] | None) -> Outcome:
    """The outcome for all; if there are image files, these are written and only the first images are kept."""
    parts = []
    with progress_bar(len(seen), "intervening", "observation") as bar:
        for rows in chunks(seen, _BYTES, most=_ROWS):
            part = model.intervene(values, x=seen[rows])
            if files is not None:
                write_pictures(files[rows], part.x)
                kept = slice(max(0, _SHOWN - rows.start))
                part = replace(part, x=part.x[kept].copy(), x_before=part.x_before[kept].copy())
            parts.append(part)
            bar.update(rows.stop - rows.start)
    return Outcome(*(np.concatenate(column) for column in zip(*(vars(part).values() for part in parts), strict=True)))


def _mechanisms(model: LatentCausalModel, options: Options) -> tuple[list[DrawnStructure] | None, str | None]:
    """Draws of the mechanisms by pairs; or None, and why there are none.

    Raises:
        ValueError: If pairs were given from which none can be drawn.
    """
    if not model.fitted.linear:
        return None, "which only fits in which all is linear have"
    given = options if options.pairs is None else replace(options, data=options.pairs)
    if options.pairs is None and load_observations(given.data, mmap=True, images=options.images) is not None:
        return None, "which take pairs of the system (--pairs)"
    pairs = pairs_for(model, given)
    try:
        posterior = ParameterPosterior(model, pairs[:_PAIRS])
    except ValueError as error:
        if options.pairs is not None:
            raise
        return None, f"which take more than --data has: {error}"
    rng = np.random.default_rng(options.seed)
    return [posterior.draw(rng) for _ in range(options.draws)], None


def _errors(
    model: LatentCausalModel,
    mechanisms: list[DrawnStructure] | None,
    values: dict[str, float],
    seen: Rows,
    options: Options,
) -> tuple[Array, Array | None]:
    """Standard deviations (d,), (features,) of the mean changes over draws of mechanisms, guide and observations.

    Each draw weighs the observations anew (the Bayesian bootstrap; Rubin, Annals of Statistics 1981). Of many features,
    as images have, there are none, and nothing is decoded; without draws of the mechanisms all are nan.
    """
    rng = np.random.default_rng(options.seed)
    features = math.prod(seen.shape[1:])
    scm = structural_model(model)
    if mechanisms is None:
        return np.full(model.dim_z, np.nan), np.full(features, np.nan) if features <= _FEW else None
    total = np.zeros((options.draws, 1))
    sums = [
        np.zeros((options.draws, size)) for size in ((model.dim_z, features) if features <= _FEW else (model.dim_z,))
    ]
    with progress_bar(options.draws * len(seen), "drawing", "observation") as bar:
        for rows in chunks(seen, _BYTES, most=_ROWS):
            x = seen[rows]
            for draw in range(options.draws):
                weight = rng.exponential(size=len(x))
                seed = int(rng.integers(2**31))
                total[draw] += weight.sum()
                for part, change in zip(
                    sums, _changes(scm, mechanisms[draw], values, x, seed, len(sums) > 1), strict=True
                ):
                    part[draw] += weight @ change
                bar.update(len(x))
    errors = [(part / total).std(axis=0, ddof=1) for part in sums]
    return errors[0], errors[1] if len(errors) > 1 else None


def _changes(
    scm: StructuralModel, made: DrawnStructure, values: dict[str, float], x: NDArray[Any], seed: int, on_x: bool
) -> list[NDArray[Any]]:
    """What one draw changes: causal variables (N, d), and x (N, features) if asked for."""
    with torch.no_grad():
        draw = draw_of(scm, made, draw_noise(scm, x, 1, seed)[0])
        actions = parse_actions(values, scm, (len(x),))
        if on_x:
            before, after = draw.respond({}), draw.respond(actions)
            return [(after.causal - before.causal).cpu().numpy(), (after.x - before.x).flatten(1).cpu().numpy()]
        return [(draw.causal(actions) - draw.causal({})).cpu().numpy()]


def _effects(
    names: Sequence[str], before: NDArray[np.generic], after: NDArray[np.generic], errors: Array
) -> list[tuple[str, float, float, float, float, float]]:
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    change = (second - first).mean(axis=0)
    # Of a single observation, or of what is the same in all of them, there is no spread to compare with.
    spread = first.std(axis=0)
    varies = spread > 1e-9 * np.abs(first).max(axis=0)
    scaled = np.divide(change, spread, out=np.full_like(change, np.nan), where=varies)
    columns = zip(names, first.mean(axis=0), second.mean(axis=0), change, errors, scaled, strict=True)
    return [(name, *map(float, numbers)) for name, *numbers in columns]  # type: ignore[misc]
