"""``pyro-lcm simulate``: pairs or sequences of observations from a latent causal model, with the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pyro_lcm.commands.console import progress_bar, say
from pyro_lcm.commands.files import refuse_existing
from pyro_lcm.commands.parsing import INLINED, grouped
from pyro_lcm.commands.simulate_blocks import ContentStyle, simulate_blocks
from pyro_lcm.commands.simulate_circuit import simulate_circuit
from pyro_lcm.commands.simulate_scene import simulate_scene
from pyro_lcm.commands.simulate_sequences import Voronoi, simulate_voronoi
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.storage.folder_lock import locked

POSITIONAL = ("simulator",)

SYSTEM = grouped("the system of scaling; dim is also of voronoi, seed of all, edge-probability of shapes and objects3d")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm simulate``.

    Args:
        simulator: Which simulator: scaling, any number of variables; voronoi, sequences of vectors with known targets;
            content_style, pairs that share content and differ in style; shapes, images of shapes on a plane; or, with
            the extra sim, objects3d, images of an object under a spotlight, and causal_circuit, of a robot arm,
            buttons and lamps.
        out: Where to: a folder, which gets train.npz, val.npz and test.npz, or, of shapes and objects3d, folders train,
            val and test; or a file that ends in .npz.
        n: Number of pairs to train on; of voronoi, number of frames, here and in the next three.
        pairs: Another name of --n, which wins.
        n_val: Number of pairs to validate on; 0 for no file of these.
        n_test: Number of pairs to test on; 0 for no file of these.
        overwrite: Whether to write over files; images are not: the same command goes on with them.
        scene: Which scene of shapes: discs, mixed, colours, plane or eight, or one of these with -occluded behind it.
        size: Width and height of images: 64, 128 or 512; of shapes and objects3d any from 16 to 512.
        processes: How many processes render images; by default one a core.
        voronoi: Sequences; their dim and seed are those of the next.
        content_style: The simulator of content and style; its seed is that of the next.
        system: The latent causal model of the simulator scaling; its seed is also that of images, and its edge
            probability that of shapes and objects3d.
    """

    simulator: Literal["scaling", "voronoi", "content_style", "causal_circuit", "shapes", "objects3d"]
    out: str
    n: int = 100_000
    pairs: int | None = None
    n_val: int = 10_000
    n_test: int = 10_000
    overwrite: bool = False
    scene: str = "mixed"
    size: int = 64
    processes: int | None = None
    voronoi: Voronoi = field(default_factory=Voronoi)
    content_style: ContentStyle = field(default_factory=ContentStyle)
    system: ScalingSystem = field(metadata=INLINED | SYSTEM)

    def __post_init__(self) -> None:
        check_least(n=(self.n, 1), n_val=(self.n_val, 0), n_test=(self.n_test, 0))
        check_least(pairs=(self.pairs, 1), processes=(self.processes, 1))


def run(options: Options) -> int:
    """Write the files."""
    out = Path(options.out)
    if out.suffix == ".npz" and options.simulator == "scaling":
        return _simulate(options, out)
    if out.suffix == ".npz" and options.simulator in ("voronoi", "content_style"):
        raise ValueError(f"--out: got {out}, expected a folder for the files of {options.simulator}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} is a file, expected a folder, or, of vectors, a name that ends in .npz")
    with locked(out):
        return _simulate(options, out)


def _simulate(options: Options, out: Path) -> int:
    system = options.system
    number = options.n if options.pairs is None else options.pairs
    if options.simulator == "causal_circuit":
        return simulate_circuit(
            out,
            pairs=number,
            n_val=options.n_val,
            n_test=options.n_test,
            size=options.size,
            seed=system.seed,
            processes=options.processes,
        )
    sizes = {"train": number, "val": options.n_val, "test": options.n_test}
    if options.simulator == "voronoi":
        return simulate_voronoi(
            out, sizes, dim=system.dim, seed=system.seed, options=options.voronoi, overwrite=options.overwrite
        )
    if options.simulator == "content_style":
        return simulate_blocks(out, sizes, seed=system.seed, options=options.content_style, overwrite=options.overwrite)
    if options.simulator in ("shapes", "objects3d"):
        return simulate_scene(
            out,
            options.simulator,
            options.scene if options.simulator == "shapes" else options.simulator,
            sizes,
            size=options.size,
            seed=system.seed,
            edge_probability=system.edge_probability,
            processes=options.processes,
        )
    single = out.suffix == ".npz"
    files = {"train": out} if single else {name: out / f"{name}.npz" for name, size in sizes.items() if size}
    refuse_existing(list(files.values()), options.overwrite)
    for name in files:
        system.check_number(sizes[name])
    with progress_bar(len(files), "simulating", "file") as bar:
        for seed, (name, path) in enumerate(files.items()):
            system.sample(sizes[name], seed=seed).save(path)
            bar.update()
    edges = int(system.adjacency.sum())
    say(
        f"{system.dim} variables, {edges} edges, {system.width} features of x, {system.mixing} mixing, "
        f"{system.mechanisms} mechanisms"
    )
    for name, path in files.items():
        say(f"wrote {path}: {sizes[name]} pairs")
    first = files["train"]
    say(f"next: pyro-lcm train {first} --out runs/a")
    return 0
