"""``pyro-lcm simulate shapes`` and ``objects3d``: folders of memory-mapped images of a scene, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyro_lcm.commands.console import say
from pyro_lcm.commands.files import claim_folder
from pyro_lcm.commands.rendering import RECORD, rendering_bar
from pyro_lcm.commands.threads import available_cores


def simulate_scene(
    out: Path,
    simulator: str,
    scene: str,
    sizes: Mapping[str, int],
    *,
    size: int,
    seed: int,
    edge_probability: float,
    processes: int | None,
) -> int:
    """Render what is not there yet: a folder of .npy files for each sample of one system.

    Args:
        out: The folder of these folders.
        simulator: shapes or objects3d.
        scene: Name of a scene of shapes; of objects3d, which has one, that name again.
        sizes: Pairs of each sample by its name; those of 0 pairs are left out.
        size: Width and height of the images.
        seed: Of the system.
        edge_probability: Of its graph.
        processes: How many render; by default one a core.

    Raises:
        ValueError: If the folder holds a set that was made otherwise, or something else.
        CommandFailed: If nothing can be rendered here.
    """
    from pyro_lcm.data.scenes import Objects3D, Scene, SceneSystem, find_scene
    from pyro_lcm.data.scenes.store import plan_sample, write_samples

    if out.suffix == ".npz" or (out.exists() and not out.is_dir()):
        raise ValueError(f"--out: got {out}, expected a folder")
    seen: Scene = Objects3D() if simulator == "objects3d" else find_scene(scene)
    system = SceneSystem(seen, seed=seed, size=size, edge_probability=edge_probability)
    samples = [
        plan_sample(system, out / name, number, seed=own) for own, (name, number) in enumerate(sizes.items()) if number
    ]
    made = {"simulator": simulator, "scene": seen.name, **sizes, "size": size, "seed": seed}
    claim_folder(out, RECORD, made | {"edge_probability": edge_probability}, holds="a set", kind="a simulated set")
    with rendering_bar(sum(sample.pairs for sample in samples)) as advance:
        write_samples(samples, processes=processes or available_cores(), progress=advance)
    names, edges = ", ".join(seen.variables), int(system.adjacency.sum())
    say(f"scene {seen.name}: {system.dim} variables ({names}), {edges} edges, {size} pixels")
    for sample in samples:
        say(f"wrote {sample.folder}: {sample.pairs} pairs")
    return 0
