"""``pyro-lcm encode``: write latents of observations, and of pairs the intervention targets too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.commands.console import progress_bar, say
from pyro_lcm.commands.files import check_suffix, load_observations, load_pairs, named, refuse_existing
from pyro_lcm.commands.options import Images, Resources, Tables
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.lazy import LazyRows, Rows, chunks
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.lcm import LatentCausalModel

POSITIONAL = ("run",)

_ROWS = 32_768
"""Most pairs that are read and encoded at a time."""
_LATENTS = ("noise", "noise_sd", "causal", "causal_sd")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm encode``.

    Args:
        run: Run folder.
        data: Pairs file; or observations that are in no pairs: an .npy or .npz file of x alone, an image file, or a
            folder of these.
        out: File to write, an .npz: noise, noise_sd, causal, causal_sd and these with _after, (N, d);
            target_probabilities, (N, d + 1), 0 = none; targets, (N,), the most probable ones; neither
            for a model without targets. Of observations in no pairs the first four, and files, the names of images.
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
    check_suffix(options.out, ".npz")
    refuse_existing([out], options.overwrite)
    model = LatentCausalModel.load(options.run)
    observations = load_observations(options.data, mmap=options.resources.mmap, images=options.images)
    if observations is not None:
        with torch_threads(options.resources.threads), named(options.data):
            arrays = encode_observations(model, observations)
        return _write(out, arrays, f"{len(observations)} observations", model)
    pairs = load_pairs(options.data, mmap=options.resources.mmap, images=options.images, tables=options.tables)
    with torch_threads(options.resources.threads), named(options.data):
        arrays = encode_pairs(model, pairs)
    return _write(out, arrays, f"{len(pairs)} pairs", model)


def _write(out: Path, arrays: dict[str, NDArray[np.generic]], count: str, model: LatentCausalModel) -> int:
    write_arrays(out, arrays)
    say(f"wrote {out}: {count}, {model.dim_z} causal variables: {', '.join(model.names)}")
    return 0


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
            for side, x in (("", piece.x), ("_after", piece.x_after)):
                encoding = model.encode(x)
                for name in _LATENTS:
                    parts.setdefault(name + side, []).append(getattr(encoding, name))
            if model.has_targets:
                probabilities = model.infer_targets(piece.x, piece.x_after)
                parts.setdefault("target_probabilities", []).append(probabilities)
                parts.setdefault("targets", []).append(probabilities.argmax(axis=1))
            bar.update(len(piece))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}
