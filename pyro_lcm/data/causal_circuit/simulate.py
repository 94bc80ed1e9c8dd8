"""Simulated CausalCircuit in the published layout: rendered in several processes, seeded, and resumable by shard.

Shard number k of a split is drawn with a seed of its own, made of the set's seed, the split and k, so that which
shards are there already, and how many processes render, has no influence on any image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.data.causal_circuit import program
from pyro_lcm.data.causal_circuit.layout import Split, encode_jpeg
from pyro_lcm.data.causal_circuit.render import SIZES, Renderer
from pyro_lcm.data.files import read_arrays, write_arrays
from pyro_lcm.data.limits import check_least
from pyro_lcm.process import random_state
from pyro_lcm.process.jobs import run_jobs

SHARD = 1000
"""Pairs of a shard, by default."""


@dataclass(frozen=True)
class Shard:
    """A shard to render: all that decides what is in it, and where it goes.

    Attributes:
        path: Its file.
        split: train, val or test.
        number: Which of the split's shards it is.
        pairs: How many pairs are in it.
        size: Width and height of the images.
        seed: Of the set.
        quality: Of the JPEG files, 1 to 100.
    """

    path: Path
    split: Split
    number: int
    pairs: int
    size: int
    seed: int
    quality: int = 95

    @property
    def done(self) -> bool:
        """Whether its file is there and holds as many pairs; files are renamed into place when complete."""
        if not self.path.is_file():
            return False
        return len(read_arrays(self.path, mmap=True)["imgs"]) == self.pairs


def plan_shards(
    folder: str | Path,
    pairs: int,
    *,
    n_val: int = 0,
    n_test: int = 0,
    size: int = 64,
    seed: int = 0,
    shard: int = SHARD,
    quality: int = 95,
) -> list[Shard]:
    """The shards of a set.

    Args:
        folder: Where the set goes.
        pairs: Pairs to train on.
        n_val: Pairs to validate on, in one file; 0 for none.
        n_test: Pairs to test on, in one file; 0 for none.
        size: Width and height of the images: 64, 128 or 512 pixels.
        seed: Of the set, at least 0.
        shard: Pairs of a training shard.
        quality: Of the JPEG files, 1 to 100.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_least(pairs=(pairs, 1), n_val=(n_val, 0), n_test=(n_test, 0), shard=(shard, 1), seed=(seed, 0))
    if size not in SIZES:
        raise ValueError(f"size: got {size}, expected one of {', '.join(map(str, SIZES))} pixels")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality: got {quality}, expected 1 to 100")
    path = Path(folder)
    counts = [min(shard, pairs - start) for start in range(0, pairs, shard)]
    shards = [
        Shard(path / f"train-{number}.npz", "train", number, count, size, seed, quality)
        for number, count in enumerate(counts)
    ]
    rest: tuple[tuple[Split, int], ...] = (("val", n_val), ("test", n_test))
    return shards + [Shard(path / f"{name}.npz", name, 0, n, size, seed, quality) for name, n in rest if n]


def draw_latents(shard: Shard) -> dict[str, NDArray[Any]]:
    """All arrays of a shard but the images: the program of pairs with the shard's own seed."""
    own = random_state.derive_seed(shard.seed, f"causal_circuit/{shard.split}", shard.number)
    with random_state.isolated(own, torch.device("cpu")):
        drawn = program.pairs(shard.pairs)
    causal = torch.stack([drawn.causal, drawn.causal_after], dim=1)
    labels = drawn.target.numpy().astype(np.int64)
    return {
        "original_latents": causal.numpy(),
        "epsilon": torch.stack([drawn.noise, drawn.noise_after], dim=1).numpy(),
        "pressed": program.pressed(causal[..., 3]).numpy(),
        "intervention_labels": labels,
        "intervention_masks": labels[:, None] == np.arange(1, 5),
    }


def render_shard(shard: Shard, progress: Callable[[int], None] | None = None) -> Path:
    """Draw and render a shard and write its file.

    Args:
        shard: Which.
        progress: Called with the number of pairs rendered since the last call.

    Raises:
        RenderingUnavailable: If MuJoCo or the OpenGL library is missing.
    """
    arrays = draw_latents(shard)
    images = []
    with Renderer(shard.size) as renderer:
        for pair in arrays["original_latents"]:
            images.append([encode_jpeg(renderer.render(side), shard.quality) for side in pair])
            if progress is not None:
                progress(1)
    shard.path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(shard.path, arrays | {"imgs": np.array(images, dtype=np.bytes_)})
    return shard.path


def render_shards(
    shards: Sequence[Shard], *, processes: int = 1, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Render the shards that are not there yet.

    Args:
        shards: As :func:`plan_shards` lists them.
        processes: How many render at a time.
        progress: Called with numbers of pairs as they are done, those that were there before included.

    Returns:
        Paths of the shards that were rendered now.

    Raises:
        RenderingUnavailable: If MuJoCo or the OpenGL library is missing.
        BrokenProcessPool: If one of several processes was killed.
    """
    if processes < 1:
        raise ValueError(f"processes: got {processes}, expected at least 1")
    tell = progress or (lambda pairs: None)
    waiting = {shard.path.name: shard for shard in shards if not shard.done}
    tell(sum(shard.pairs for shard in shards if shard.path.name not in waiting))
    if min(processes, len(waiting)) <= 1:
        run_jobs(partial(render_shard, progress=tell), waiting)
    else:
        run_jobs(render_shard, waiting, processes=processes, done=lambda name: tell(waiting[name].pairs))
    return [shard.path for shard in waiting.values()]
