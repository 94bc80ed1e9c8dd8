"""``pyro-lcm encode``: write latents and intervention targets of a file of pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.commands.console import progress_bar, say
from pyro_lcm.commands.files import check_suffix, load_pairs, refuse_existing
from pyro_lcm.commands.options import Resources
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.files import write_arrays
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.lcm import LatentCausalModel

POSITIONAL = ("run",)

_ROWS = 32_768
"""Pairs that are read and encoded at a time."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm encode``.

    Args:
        run: Run folder.
        data: Pairs file.
        out: File to write, an .npz: noise, noise_sd, causal, causal_sd and these with _after, (N, d);
            target_probabilities, (N, d + 1), 0 = none; targets, (N,), the most probable ones; neither
            for a model without targets.
        overwrite: Whether to write over a file.
        resources: See there.
    """

    run: str
    data: str
    out: str
    overwrite: bool = False
    resources: Resources = field(default_factory=Resources, metadata=INLINED)


def run(options: Options) -> int:
    """Write the file."""
    out = Path(options.out)
    check_suffix(options.out, ".npz")
    refuse_existing([out], options.overwrite)
    model = LatentCausalModel.load(options.run)
    pairs = load_pairs(options.data, mmap=options.resources.mmap)
    with torch_threads(options.resources.threads):
        arrays = encode_pairs(model, pairs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(out, arrays)
    say(f"wrote {out}: {len(pairs)} pairs, {model.dim_z} causal variables: {', '.join(model.names)}")
    return 0


def encode_pairs(model: LatentCausalModel, pairs: InterventionPairs) -> dict[str, NDArray[np.generic]]:
    """Latents of both sides and targets of pairs, as :class:`Options` names them; x is read piece by piece."""
    parts: dict[str, list[NDArray[np.generic]]] = {}
    with progress_bar(len(pairs), "encoding", "pair") as bar:
        for start in range(0, len(pairs), _ROWS):
            piece = pairs[start : start + _ROWS]
            for side, x in (("", piece.x), ("_after", piece.x_after)):
                encoding = model.encode(x)
                for name in ("noise", "noise_sd", "causal", "causal_sd"):
                    parts.setdefault(name + side, []).append(getattr(encoding, name))
            if model.has_targets:
                probabilities = model.infer_targets(piece.x, piece.x_after)
                parts.setdefault("target_probabilities", []).append(probabilities)
                parts.setdefault("targets", []).append(probabilities.argmax(axis=1))
            bar.update(len(piece))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}
