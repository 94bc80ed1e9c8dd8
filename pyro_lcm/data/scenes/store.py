"""Samples of a scene as folders of .npy files to be memory-mapped: in chunks, by several processes, resumable.

A sample is written beside its place, in ``.NAME.partial``, and renamed when it is complete, so that a reader never sees
half of one. A chunk's images depend on the seeds and its number alone: which chunks are there already, and how many
processes render, has no influence on any image.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pyro_lcm.data.limits import check_least, check_memory
from pyro_lcm.data.scenes.contract import Scene
from pyro_lcm.data.scenes.system import CHUNK, SceneSystem, noise_generator, with_noise
from pyro_lcm.process.jobs import run_jobs
from pyro_lcm.storage.text_files import writing

_READY = "ready"
"""File of a partial folder that has its latents and the room for its images."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample to write.

    Attributes:
        system: What is drawn from.
        folder: Where its .npy files go.
        pairs: How many.
        seed: Of the sample.
    """

    system: SceneSystem
    folder: Path
    pairs: int
    seed: int

    @property
    def done(self) -> bool:
        """Whether its folder is there; folders are renamed into place when complete."""
        return self.folder.is_dir()

    @property
    def partial(self) -> Path:
        """Where it is written until it is complete."""
        return self.folder.with_name(f".{self.folder.name}.partial")


@dataclass(frozen=True)
class Chunk:
    """Some pairs of a sample to render: all that decides their images, and where these go."""

    folder: Path
    scene: Scene
    size: int
    system_seed: int
    sample_seed: int
    number: int
    pairs: int

    @property
    def mark(self) -> Path:
        """File that is there once the images are."""
        return self.folder / f"chunk-{self.number}.done"


def plan_sample(system: SceneSystem, folder: str | Path, pairs: int, *, seed: int = 0) -> Sample:
    """Say what a sample is and where it goes.

    Args:
        system: What to draw from.
        folder: Where to; if it is there, the sample counts as written.
        pairs: How many, at least 1.
        seed: Of the sample, at least 0.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_least(pairs=(pairs, 1), seed=(seed, 0))
    check_memory("n", pairs, 8 * 4 * system.dim)
    return Sample(system, Path(folder), pairs, seed)


def write_samples(
    samples: Sequence[Sample], *, processes: int = 1, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Write the samples that are not there yet, from where an earlier call was cut off.

    Args:
        samples: As :func:`plan_sample` makes them.
        processes: How many render at a time.
        progress: Called with numbers of pairs as they are done, those that were there before included.

    Returns:
        Folders of the samples that were completed now; ``InterventionPairs.load(folder, mmap=True)`` reads one.

    Raises:
        RenderingUnavailable: If the scene needs an OpenGL library that is missing.
        BrokenProcessPool: If one of several processes was killed.

    >>> import tempfile
    >>> from pyro_lcm.data import InterventionPairs
    >>> from pyro_lcm.data.scenes import find_scene
    >>> system = SceneSystem(find_scene("plane"), seed=0, size=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (path,) = write_samples([plan_sample(system, f"{folder}/train", 20)])
    ...     pairs = InterventionPairs.load(path, mmap=True)
    ...     bool((pairs.x == system.sample(20).x).all())
    True
    """
    if processes < 1:
        raise ValueError(f"processes: got {processes}, expected at least 1")
    tell = progress or (lambda pairs: None)
    tell(sum(sample.pairs for sample in samples if sample.done))
    waiting = [sample for sample in samples if not sample.done]
    for sample in waiting:
        chunks = _prepare(sample)
        tell(sum(chunk.pairs for chunk in chunks if chunk.mark.is_file()))
        left = {f"{sample.folder.name} {chunk.number}": chunk for chunk in chunks if not chunk.mark.is_file()}
        _render(left, processes, tell)
        for mark in [chunk.mark for chunk in chunks] + [sample.partial / _READY]:
            mark.unlink()
        sample.partial.rename(sample.folder)
    return [sample.folder for sample in waiting]


def _render(chunks: Mapping[str, Chunk], processes: int, tell: Callable[[int], None]) -> None:
    run_jobs(render_chunk, chunks, processes=processes, done=lambda name: tell(chunks[name].pairs))


def render_chunk(chunk: Chunk) -> None:
    """Render the images of a chunk into the files of its sample.

    Raises:
        RenderingUnavailable: If the scene needs an OpenGL library that is missing.
    """
    start = chunk.number * CHUNK
    rows = slice(start, start + chunk.pairs)
    rng = noise_generator(chunk.system_seed, chunk.sample_seed, chunk.number)
    with chunk.scene.renderer(chunk.size) as renderer:
        for key, latent in (("x", "z"), ("x_after", "z_after")):
            z = np.load(chunk.folder / f"{latent}.npy", mmap_mode="r")[rows]
            _put(chunk.folder / f"{key}.npy", start, with_noise(renderer.render(z), chunk.scene.noise_sd, rng))
    chunk.mark.touch()


def _prepare(sample: Sample) -> list[Chunk]:
    """Draw the latents and make room for the images, unless that was done; list the chunks."""
    folder, system = sample.partial, sample.system
    if not (folder / _READY).is_file():
        latents = system.latents(sample.pairs, sample.seed)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, array in latents.items():
            with writing(folder / f"{name}.npy"):
                np.save(folder / f"{name}.npy", array)
        shape = (sample.pairs, system.size, system.size, 3)
        for name in ("x", "x_after"):
            with writing(folder / f"{name}.npy"):
                npy.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        (folder / _READY).touch()
    return [
        Chunk(folder, system.scene, system.size, system.seed, sample.seed, number, min(CHUNK, sample.pairs - start))
        for number, start in enumerate(range(0, sample.pairs, CHUNK))
    ]


def _put(path: Path, start: int, images: NDArray[np.uint8]) -> None:
    """Write rows of an .npy file; not through a memory map, which kills the process where the disk is full."""
    offset = np.load(path, mmap_mode="r").offset
    with writing(path), path.open("r+b") as file:
        file.seek(offset + start * images[0].nbytes)
        file.write(images.tobytes())
        file.flush()
        os.fsync(file.fileno())
