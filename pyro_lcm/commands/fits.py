"""Several independent fits of the same pairs, in ``RUN/fit-1`` ... ``RUN/fit-K``.

The fit with the best held-out ELBO becomes the run's own; truth is not looked at. The others stay, for
``check`` to compare and for ``graph`` to take as chains. Fits of different numbers of variables are in ``RUN/dim-D``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pyro_lcm.dim_choice import Candidate
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.storage.run_folder import copy_run
from pyro_lcm.storage.text_files import read_json, write_json

CHOICE = "fits.json"
DIMS = "dims.json"


@dataclass(frozen=True)
class Fit:
    """One of several fits.

    Attributes:
        folder: Its run folder.
        seed: Its seed.
        model: The fitted model.
        elbo: Its ELBO per pair on the held-out pairs, in nats.
    """

    folder: Path
    seed: int
    model: LatentCausalModel
    elbo: float


def fit_folders(folder: Path, fits: int, seed: int) -> list[tuple[Path, int]]:
    """Folder and seed of each fit; a single one is in the run folder itself and has the seed itself.

    >>> fit_folders(Path("a"), 1, 7)
    [(PosixPath('a'), 7)]
    >>> len({seed for _, seed in fit_folders(Path("a"), 3, 7)})
    3
    """
    if fits == 1:
        return [(folder, seed)]
    return [
        (folder / f"fit-{k}", int(np.random.SeedSequence((seed, k)).generate_state(1)[0])) for k in range(1, fits + 1)
    ]


def choose(fits: Sequence[Fit]) -> Fit:
    """The fit with the best held-out ELBO."""
    return max(fits, key=lambda fit: fit.elbo if math.isfinite(fit.elbo) else -math.inf)


def write_choice(folder: Path, fits: Sequence[Fit], best: Fit, compared: Sequence[Candidate] = ()) -> None:
    """Make one fit the run's own; its parameters are written last, which marks the run as finished."""
    if compared:
        write_json(folder / DIMS, {"chosen": best.model.dim_z, "candidates": [asdict(row) for row in compared]})
    else:
        rows = [{"fit": fit.folder.name, "seed": fit.seed, "elbo": fit.elbo} for fit in fits]
        write_json(folder / CHOICE, {"chosen": best.folder.name, "fits": rows})
    copy_run(best.folder, folder)


def other_fits(folder: Path) -> list[LatentCausalModel]:
    """The fits of a run beside the chosen one; none if it has a single fit.

    Raises:
        ValueError: If a file is damaged.
        FileNotFoundError: If the folder of a fit is missing.
    """
    if not (folder / CHOICE).is_file():
        return []
    choice = read_json(folder / CHOICE)
    try:
        names = [str(row["fit"]) for row in choice["fits"] if row["fit"] != choice["chosen"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / CHOICE}: got no list of fits ({error!r})") from error
    return [LatentCausalModel.load(folder / name) for name in names]
