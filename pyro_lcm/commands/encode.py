"""``pyro-lcm encode``: write latents of observations, and of pairs the intervention targets too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.commands.console import progress_bar, say
from pyro_lcm.commands.files import check_out, load_observations, named, pairs_for, refuse_existing
from pyro_lcm.commands.options import Images, Resources, Tables
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.sequences import load_frames
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.lazy import LazyRows, Rows, chunks
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.tables import is_image_table, is_table, read_frame, write_frame
from pyro_lcm.lcm import Encoding, LatentCausalModel

if TYPE_CHECKING:
    import pandas as pd

POSITIONAL = ("run",)

_ROWS = 32_768
"""Most pairs that are read and encoded at a time."""
_LATENTS = ("noise", "noise_sd", "causal", "causal_sd")
_AFTER = "_after"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm encode``.

    Args:
        run: Run folder.
        data: Pairs file; or observations that are in no pairs: an .npy or .npz file of x alone, an image file, or a
            folder of these. Of a run of sequences: a file of these, whose frames are encoded one after the other, or
            frames alone.
        out: File to write. An .npz holds noise, noise_sd, causal, causal_sd and these with _after, (N, d);
            target_probabilities, (N, d + 1), 0 = none; targets, (N,), the most probable ones; neither
            for a model without targets. Of observations in no pairs the first four, and files, the names of images.
            A table (.csv, .parquet) has them as columns, NAME_before, NAME_sd_before, NAME_noise_before, ... for each
            variable; inferred_target, its name or nothing; probability_none, probability_NAME. If the data are a table,
            its columns come first.
        overwrite: Whether to write over a file.
        images: See there.
        tables: See there.
        resources: See there.
    """

    run: str
    data: str
    out: str
    overwrite: bool = False
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)
    resources: Resources = field(default_factory=Resources, metadata=INLINED)


def run(options: Options) -> int:
    """Write the file."""
    out = Path(options.out)
    check_out(out)
    refuse_existing([out], options.overwrite)
    model = LatentCausalModel.load(options.run)
    mmap = options.resources.mmap
    rows: Rows | InterventionPairs | None
    if model.fitted.temporal:
        rows = load_frames(options.data, tuple(model.fitted.standardizer.shape), mmap=mmap, images=options.images)
    else:
        rows = load_observations(options.data, mmap=mmap, images=options.images)
    if rows is None:
        rows = pairs_for(model, options)
    with torch_threads(options.resources.threads), named(options.data):
        arrays = encode_pairs(model, rows) if isinstance(rows, InterventionPairs) else encode_observations(model, rows)
        frame = _with_data(table_of_latents(arrays, model.names), options.data) if is_table(out) else None
    if frame is None:
        write_arrays(out, arrays)
    else:
        write_frame(out, frame)
    kind = "pairs" if isinstance(rows, InterventionPairs) else "observations"
    say(f"wrote {out}: {len(rows)} {kind}, {model.dim_z} causal variables: {', '.join(model.names)}")
    return 0


def table_of_latents(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> pd.DataFrame:
    """What was encoded as a table, with columns as :class:`Options` tells them.

    Args:
        arrays: by name, as :func:`encode_pairs` or :func:`encode_observations` gives them.
        names: of the d causal variables.
    """
    import pandas as pd

    def latents(side: str, end: str) -> pd.DataFrame:
        return Encoding(**{name: arrays[name + side] for name in _LATENTS}, names=names).to_dataframe().add_suffix(end)

    if f"causal{_AFTER}" not in arrays:
        frame = latents("", "")
        if "files" in arrays:
            frame.insert(0, "file", arrays["files"])
        return frame
    parts = [latents("", "_before"), latents(_AFTER, "_after")]
    if "targets" in arrays:
        found = np.array(["", *names])[arrays["targets"]]
        parts.append(pd.DataFrame({"inferred_target": found}))
        parts.append(
            pd.DataFrame(arrays["target_probabilities"], columns=[f"probability_{name}" for name in ("none", *names)])
        )
    return pd.concat(parts, axis=1)


def _with_data(latents: pd.DataFrame, path: str) -> pd.DataFrame:
    """A table with the columns of the data before those of what was encoded, if the data are one.

    Raises:
        ValueError: if a column is in both.
    """
    if not is_table(Path(path)) or is_image_table(Path(path)):
        return latents
    frame = read_frame(path)
    if twice := [name for name in latents.columns if name in frame.columns]:
        raise ValueError(f"column {twice[0]}: the table has one already; pyro-lcm rename gives a variable another name")
    return frame.join(latents)


def encode_observations(model: LatentCausalModel, rows: Rows) -> dict[str, NDArray[np.generic]]:
    """Latents of observations, as :class:`Options` names them, and the files of images; read piece by piece."""
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in _LATENTS}
    with progress_bar(len(rows), "encoding", "observation") as bar:
        for piece in chunks(rows, most=_ROWS):
            encoding = model.encode(rows[piece])
            for name in _LATENTS:
                parts[name].append(getattr(encoding, name))
            bar.update(piece.stop - piece.start)
    found = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    if isinstance(rows, LazyRows) and rows.files is not None:
        found["files"] = np.array([Path(file).name for file in rows.files])
    return found


def encode_pairs(model: LatentCausalModel, pairs: InterventionPairs) -> dict[str, NDArray[np.generic]]:
    """Latents of both sides and targets of pairs, as :class:`Options` names them; x is read piece by piece."""
    parts: dict[str, list[NDArray[np.generic]]] = {}
    with progress_bar(len(pairs), "encoding", "pair") as bar:
        for rows in chunks(pairs.x, most=_ROWS):
            piece = pairs[rows]
            for side, x in (("", piece.x), (_AFTER, piece.x_after)):
                encoding = model.encode(x)
                for name in _LATENTS:
                    parts.setdefault(name + side, []).append(getattr(encoding, name))
            if model.has_targets:
                probabilities = model.infer_targets(piece.x, piece.x_after)
                parts.setdefault("target_probabilities", []).append(probabilities)
                parts.setdefault("targets", []).append(probabilities.argmax(axis=1))
            bar.update(len(piece))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}
