"""Editing: make the green lamp in a picture bright, with its effects on the other lamps or without.

    python examples/editing.py --out edited.png

Four lamps glow in pictures of 8 x 8 pixels: what feeds green dims blue, and blue feeds red. Pairs of pictures, before
and after somebody turned one unknown lamp, are all that the model sees.
"""

import argparse

import numpy as np

import pyro_lcm as lcm
from pyro_lcm.reasoning import Range

LAMPS = {"white": (2, 2), "green": (2, 5), "blue": (5, 2), "red": (5, 5)}
WEIGHTS = np.array([[0, 1.0, 0, 0], [0, 0, -1.2, 0], [0, 0, 0, 0.9], [0, 0, 0, 0]])  # [parent, child]
SIDE = 8


def glow() -> np.ndarray:
    """What each lamp adds to each pixel, (4, 64)."""
    row, column = np.mgrid[:SIDE, :SIDE]
    spots = [np.exp(-((row - r) ** 2 + (column - c) ** 2) / 2.5) for r, c in LAMPS.values()]
    return np.stack(spots).reshape(len(LAMPS), -1)


def photograph(pairs: int, seed: int) -> lcm.InterventionPairs:
    """Pictures before and after one lamp, or none, is turned to a random brightness."""
    rng = np.random.default_rng(seed)
    noise, value, target = rng.normal(size=(pairs, 4)), rng.normal(size=pairs), rng.integers(0, 5, pairs)

    def world(target: np.ndarray) -> np.ndarray:
        z = np.zeros((pairs, 4))
        for i in range(4):
            z[:, i] = np.where(target == i + 1, value, z @ WEIGHTS[:, i] + noise[:, i])
        return 0.5 + 0.12 * z @ glow()

    return lcm.InterventionPairs(world(np.zeros(pairs)), world(target))


def at(lamp: str, pictures: np.ndarray) -> np.ndarray:
    """Brightness of the pixel in the middle of a lamp."""
    row, column = LAMPS[lamp]
    return pictures[..., row * SIDE + column]


def main(pairs: int, steps: int, out: str | None) -> None:
    model = lcm.LatentCausalModel("ilcm").fit(photograph(pairs, seed=0), seed=0, budget=lcm.Budget(refine=steps))
    pictures = photograph(6, seed=1).x

    # Which variable is the green lamp? The one that moves its pixel most when nothing else may follow.
    def moves_green(name: str) -> float:
        turned = model.edit(pictures, {name: lambda natural: natural + 1.0}, effects=False)
        return float(np.abs(at("green", turned.x) - at("green", pictures)).mean())

    green = max(model.names, key=moves_green)

    # How far must it be turned? Plan for a brightness of 0.9 at that pixel, one value for each picture.
    row, column = LAMPS["green"]
    found = model.plan(pictures, lambda x: (x[:, row * SIDE + column] - 0.9) ** 2, {green: Range(-6.0, 6.0)})
    value = found.values[:, model.names.index(green)]
    value = np.where(np.isnan(value), model.encode(pictures).causal[:, model.names.index(green)], value)

    edited = {
        "as it is": pictures,
        "effects included": model.edit(pictures, {green: value}).x,
        "effects not included": model.edit(pictures, {green: value}, effects=False).x,
    }
    print(f"{green} is the green lamp. Brightness in the first picture:")
    print(" " * 22 + "".join(f"{lamp:>8}" for lamp in LAMPS))
    for kind, picture in edited.items():
        print(f"{kind:<22}" + "".join(f"{at(lamp, picture[0]):8.2f}" for lamp in LAMPS))
    if out is not None:
        draw(edited, out)


def draw(edited: dict[str, np.ndarray], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(len(edited), len(next(iter(edited.values()))), squeeze=False)
    for row, (kind, pictures) in zip(axes, edited.items(), strict=True):
        row[0].set_ylabel(kind)
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture.reshape(SIDE, SIDE), cmap="gray", vmin=0, vmax=1.2)
            axis.set(xticks=[], yticks=[])
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=1000, help="of the fit")
    parser.add_argument("--out", help="write the pictures to this .png file")
    main(**vars(parser.parse_args()))
