"""The study of CausalCircuit: from rendered images to scores, each stage resumable.

The stages, a folder each: ``images`` (simulated, unless a set is given), ``reduction`` and ``codes``, ``runs`` (a fit
for each method and seed), then the table and the report. All methods see the same codes, as in Brehmer et al. (NeurIPS
2022, arXiv 2203.16437, section 5). Truth scores the fits and names variables in pictures, and does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pyro_lcm.data.causal_circuit import CausalCircuit
from pyro_lcm.data.causal_circuit.render import SIZES
from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.images.reduction import ImageReduction, fit_reduction, reduce_images
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.run_folder import is_complete
from pyro_lcm.studies.study import COLUMNS, RESULT, Method, fit_and_score, new_model
from pyro_lcm.text_files import read_json, write_json, write_text
from pyro_lcm.viz.circuit import save_circuit_figures
from pyro_lcm.viz.report import Section, report_html
from pyro_lcm.viz.run_figures import FIGURES

METHODS: tuple[Method, ...] = ("ilcm", "dvae", "beta_vae")
DIM = 4
STAGES = "stages.json"
_SIMULATED = ("pairs", "n_test", "size", "image_seed")
"""Options of the images that are simulated, which a given set has none of."""


@dataclass(frozen=True)
class CircuitSetting:
    """What the study of CausalCircuit is made with.

    Args:
        images: Folder of a set in the published layout, with the splits train and test; by default one is simulated,
            which needs the extra sim.
        pairs: Pairs to simulate and train on.
        n_test: Pairs to simulate and score on.
        size: Width and height of simulated images: 64, 128 or 512.
        image_seed: Seed of the simulation.
        components: Principal components that images are projected on.
        reduce_steps: Optimizer steps of the reduction.
    """

    images: str | None = None
    pairs: int = 10_000
    n_test: int = 2_000
    size: int = 64
    image_seed: int = 1
    components: int = 32
    reduce_steps: int = 6000

    def __post_init__(self) -> None:
        check_least(pairs=(self.pairs, MIN_PAIRS), n_test=(self.n_test, MIN_PAIRS), image_seed=(self.image_seed, 0))
        check_least(components=(self.components, DIM), reduce_steps=(self.reduce_steps, 1))
        if self.size not in SIZES:
            raise ValueError(f"size: got {self.size}, expected one of {', '.join(map(str, SIZES))} pixels")
        if self.images is not None:
            for name in _SIMULATED:
                if getattr(self, name) != getattr(CircuitSetting, name):
                    raise ValueError(f"{name}: got {getattr(self, name)}, expected none beside images that are there")

    def made(self) -> dict[str, Any]:
        """The options that matter, by their names on the command line."""
        return {
            f"circuit.{entry.name}": getattr(self, entry.name)
            for entry in fields(self)
            if self.images is None or entry.name not in _SIMULATED
        }


@dataclass(frozen=True)
class CircuitJob:
    """One fit of the study.

    Attributes:
        folder: Its run folder.
        method: Name of the model.
        model_seed: Seed of the fit.
        codes: Folder of ``train.npz`` and ``test.npz``.
        image_seed: Seed of the images, or None for images that were given.
        dci_rows: Most pairs for disentanglement and completeness.
        budget: Optimizer steps.
    """

    folder: Path
    method: Method
    model_seed: int
    codes: Path
    image_seed: int | None
    dci_rows: int
    budget: Budget

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()


def run_circuit_job(job: CircuitJob) -> None:
    """Fit, score, and write the result; a fit that was cut off goes on."""
    pairs, test = (InterventionPairs.load(job.codes / f"{split}.npz") for split in ("train", "test"))
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "data": "causalcircuit",
        "method": job.method,
        "dim": DIM,
        "data_seed": job.image_seed,
        "model_seed": job.model_seed,
    }
    model = new_model(job.method, DIM)
    row |= fit_and_score(
        model, pairs, test, out=job.folder, seed=job.model_seed, budget=job.budget, dci_rows=job.dci_rows
    )
    write_json(job.folder / RESULT, row)


def circuit_jobs(
    folder: Path,
    setting: CircuitSetting,
    methods: Sequence[Method],
    model_seeds: Sequence[int],
    *,
    dci_rows: int,
    budget: Budget,
) -> list[CircuitJob]:
    """All fits of the study."""
    seed = None if setting.images else setting.image_seed
    return [
        CircuitJob(
            folder / "runs" / f"{method}-model{model_seed}",
            method,
            model_seed,
            folder / "codes",
            seed,
            dci_rows,
            budget,
        )
        for method in methods
        for model_seed in model_seeds
    ]


def has_codes(folder: Path) -> bool:
    """Whether the codes of both splits are there."""
    return all((folder / "codes" / f"{split}.npz").is_file() for split in ("train", "test"))


def has_reduction(folder: Path) -> bool:
    """Whether the reduction has been fitted."""
    return is_complete(folder / "reduction")


def find_reduction(folder: Path, setting: CircuitSetting, train: CausalCircuit) -> ImageReduction:
    """Load the reduction of the study, or fit it to images, going on where a fit was cut off."""
    place = folder / "reduction"
    if has_reduction(folder):
        return ImageReduction.load(place)
    reduction, _ = fit_reduction(
        train,
        dim=DIM,
        components=setting.components,
        steps=setting.reduce_steps,
        out=place,
        resume=place.exists(),
    )
    reduction.save(place)
    return reduction


def write_codes(folder: Path, reduction: ImageReduction, train: CausalCircuit, test: CausalCircuit) -> None:
    """Write the codes of both splits, with the truth that their images come with."""
    codes = folder / "codes"
    codes.mkdir(exist_ok=True)
    for split, source in (("train", train), ("test", test)):
        InterventionPairs(*reduce_images(reduction, source), **source.truth()).save(codes / f"{split}.npz")


def image_folder(folder: Path, setting: CircuitSetting) -> Path:
    """Where the images are."""
    return folder / "images" if setting.images is None else Path(setting.images)


def open_sets(images: Path) -> tuple[CausalCircuit, CausalCircuit]:
    """Open the splits train and test of a set.

    Raises:
        ValueError: if one has no shards, a damaged one, or too few pairs; the message names it.
    """
    try:
        train, test = CausalCircuit(images, "train"), CausalCircuit(images, "test")
    except FileNotFoundError as error:
        raise ValueError(f"--circuit.images: {error}") from error
    for source in (train, test):
        if len(source) < MIN_PAIRS:
            raise ValueError(f"--circuit.images: got {source}, expected at least {MIN_PAIRS} pairs")
    return train, test


def write_circuit_report(
    folder: Path,
    setting: CircuitSetting,
    finished: Mapping[Path, Mapping[str, Any]],
    scores: str,
    test_images: CausalCircuit | None,
) -> Path:
    """Write ``report.html`` with the scores and, of the first implicit model, the pictures.

    Args:
        folder: Of the study.
        setting: What it was made with.
        finished: The results of its fits, by run folder.
        scores: A table of them.
        test_images: What the pictures are made of; None for no pictures.

    Returns:
        The path of the report.
    """
    stages = read_json(folder / STAGES) if (folder / STAGES).is_file() else {}
    made = [("", ""), *((key, str(value)) for key, value in setting.made().items() if value is not None)]
    made += [
        (f"pairs to {use}", str(len(InterventionPairs.load(folder / "codes" / f"{split}.npz"))))
        for use, split in (("train on", "train"), ("score on", "test"))
    ]
    made += [(f"seconds to {name}", f"{seconds:.0f}") for name, seconds in stages.items()]
    sections = [Section("Study", made), Section("Scores against the truth, medians over seeds", text=scores)]
    fitted = [run for run, row in finished.items() if row["method"] == "ilcm" and not row["error"]]
    if fitted and test_images is not None:
        test = InterventionPairs.load(folder / "codes" / "test.npz")
        figures = save_circuit_figures(
            folder / FIGURES,
            LatentCausalModel.load(fitted[0]),
            ImageReduction.load(folder / "reduction"),
            test_images,
            test,
        )
        sections.append(Section(f"What {fitted[0].name} has found", figures=figures))
    target = folder / "report.html"
    write_text(target, report_html("pyro_lcm: CausalCircuit", sections))
    return target


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds that a stage takes, cut off or not, to those of earlier calls."""
    start = time.perf_counter()
    try:
        yield
    finally:
        file = folder / STAGES
        stages = read_json(file) if file.is_file() else {}
        stages[stage] = stages.get(stage, 0.0) + time.perf_counter() - start
        write_json(file, stages)
