"""``pyro-lcm simulate voronoi``: sequences with known intervention targets, and frames to score on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyro_lcm.commands.console import progress_bar, say
from pyro_lcm.commands.files import refuse_existing
from pyro_lcm.data.voronoi import VoronoiSystem


@dataclass(frozen=True, kw_only=True)
class Voronoi:
    """The simulator voronoi.

    Args:
        edge_probability: Probability of each edge from one frame to the next.
        instantaneous: Probability of each edge within a frame.
        mixing: Map from variables to frames: linear, leaky_relu, tanh_residual or coupling.
        intervention_probability: Probability at each step that a variable is intervened on; with single, that any is.
        single: Whether at most one variable is intervened on at a step.
        actions: Number of actions that are known in place of targets, each of which acts on some of the variables.
        episodes: Number of episodes in each file; by default one for about 100 frames.
        size: Width and height of frames as images, 32 in the benchmark; by default frames are vectors.
    """

    edge_probability: float = 0.2
    instantaneous: float = 0.0
    mixing: str = "coupling"
    intervention_probability: float = 0.15
    single: bool = False
    actions: int | None = None
    episodes: int | None = None
    size: int | None = None


def simulate_voronoi(
    out: Path, sizes: dict[str, int], *, dim: int, seed: int, options: Voronoi, overwrite: bool
) -> int:
    """Write ``train.npz``, ``val.npz``, ``test.npz`` and ``independent.npz`` into a folder.

    The last has as many frames as the test sequences, of variables that are independent of each other.

    Args:
        out: the folder.
        sizes: number of frames of each file; 0 for none.
        dim: number of causal variables.
        seed: of the system.
        options: of the benchmark.
        overwrite: whether to write over files.
    """
    system = VoronoiSystem(
        dim,
        seed=seed,
        edge_probability=options.edge_probability,
        instantaneous=options.instantaneous,
        mixing=options.mixing,
        intervention_probability=options.intervention_probability,
        single=options.single,
        actions=options.actions,
        size=options.size,
    )
    files = {name: out / f"{name}.npz" for name, size in sizes.items() if size}
    if sizes.get("test"):
        files["independent"] = out / "independent.npz"
    refuse_existing(list(files.values()), overwrite)
    frames = {}
    with progress_bar(len(files), "simulating", "file") as bar:
        for number, (name, path) in enumerate(files.items()):
            if name == "independent":
                made = system.independent(sizes["test"], seed=number)
            else:
                made = system.sample(sizes[name], episodes=options.episodes, seed=number)
            made.save(path)
            frames[name] = len(made.x)
            bar.update()
    temporal, adjacency = system.graphs
    say(
        f"{dim} variables, {int(temporal.sum())} edges from one frame to the next, {int(adjacency.sum())} within a"
        f" frame, {system.mixing} mixing"
    )
    for name, path in files.items():
        what = ", independent variables, to score on" if name == "independent" else ""
        say(f"wrote {path}: {frames[name]} frames{what}")
    model = "biscuit" if system.actions else "icitris" if adjacency.any() else "citris"
    say(f"next: pyro-lcm train {files['train']} --model {model} --out runs/a")
    return 0
