"""``pyro-lcm simulate content_style``: pairs that share content and differ in style."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyro_lcm.commands.console import progress_bar, say
from pyro_lcm.commands.files import refuse_existing
from pyro_lcm.data.content_style import ContentStyleSystem


@dataclass(frozen=True, kw_only=True)
class ContentStyle:
    """The simulator of content and style.

    Args:
        content: Number of variables of content.
        style: Number of variables of style.
        statistical: Whether the covariances of content and of style are random instead of the identity.
        causal: Whether content has effects on style.
        change_probability: Of a change of each style.
        mixing: linear, leaky_relu, tanh_residual or coupling.
    """

    content: int = 5
    style: int = 5
    statistical: bool = False
    causal: bool = False
    change_probability: float = 1.0
    mixing: str = "leaky_relu"


def simulate_blocks(out: Path, sizes: dict[str, int], *, seed: int, options: ContentStyle, overwrite: bool) -> int:
    """Write ``train.npz``, ``val.npz`` and ``test.npz`` into a folder.

    Args:
        out: the folder.
        sizes: number of pairs of each file; 0 for none.
        seed: of the system.
        options: of the simulator.
        overwrite: whether to write over files.
    """
    system = ContentStyleSystem(
        options.content,
        options.style,
        seed=seed,
        statistical=options.statistical,
        causal=options.causal,
        change_probability=options.change_probability,
        mixing=options.mixing,
    )
    files = {name: out / f"{name}.npz" for name, size in sizes.items() if size}
    refuse_existing(list(files.values()), overwrite)
    for name in files:
        system.check_number(sizes[name])
    with progress_bar(len(files), "simulating", "file") as bar:
        for number, (name, path) in enumerate(files.items()):
            system.sample(sizes[name], seed=number).save(path)
            bar.update()
    say(f"{system.content} variables of content, {system.style} of style, {system.mixing} mixing")
    for name, path in files.items():
        say(f"wrote {path}: {sizes[name]} pairs")
    say(f"next: pyro-lcm train {files['train']} --model content_style --out runs/a")
    return 0
