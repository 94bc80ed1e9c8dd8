"""The study of scenes: what methods find of them from images alone, each stage resumable.

The stages, a folder each: ``images`` (rendered), ``codes`` (a network for each scene and seed), ``runs`` (a fit for
each scene, seed and method), then the table and the report. All methods see the same codes, as in Brehmer et al.
(NeurIPS 2022, arXiv 2203.16437, section 5). Truth scores the fits and names variables in pictures, and gives the number
of variables; a check sees none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pyro_lcm.data.causal_circuit import NAMES
from pyro_lcm.data.causal_circuit.render import SIZES
from pyro_lcm.data.holdout import MIN_PAIRS, hold_out
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.scenes import SCENES as SHAPES
from pyro_lcm.data.scenes import Objects3D
from pyro_lcm.data.scenes.contract import check_size
from pyro_lcm.evaluation.report import METRICS, align_to_truth
from pyro_lcm.fitting.image_fitting import find_code
from pyro_lcm.images.code import ImageCode
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.run_folder import CHECKPOINT, CODE
from pyro_lcm.storage.text_files import read_json, write_csv, write_json, write_text
from pyro_lcm.studies.resources import Resources
from pyro_lcm.studies.results import NOTHING, said, score_range
from pyro_lcm.studies.study import RESULT, Method, new_model
from pyro_lcm.training.monitor import TrainingDiverged
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS, image_figures
from pyro_lcm.viz.report import Section, report_html
from pyro_lcm.viz.run_figures import FIGURES
from pyro_lcm.viz.scaling import score_by_data
from pyro_lcm.viz.style import save_figure

METHODS: tuple[Method, ...] = ("ilcm", "dvae", "beta_vae", "ada_gvae")
OBJECTS3D, CIRCUIT = "objects3d", "causal_circuit"
IN_SPACE = (OBJECTS3D, CIRCUIT)
"""Scenes that MuJoCo renders, the extra ``sim``."""
SCENES = (*SHAPES, *IN_SPACE)
"""Scenes by name."""
COLUMNS = (
    "scene",
    "method",
    "dim",
    "seed",
    *METRICS,
    "elbo",
    "cpu_seconds",
    "code_cpu_seconds",
    "peak_gb",
    "verdict",
    "message",
    "hint",
    "error",
)
"""Columns of the table, a row a run. ``cpu_seconds`` are those from the images to the model, ``code_cpu_seconds`` of
them are those of the code, which all methods of a scene and seed share; ``peak_gb`` is the most memory of either, a
set in memory included; nothing of it is known of what was cut off and gone on with. ``verdict`` is what the check on
the test images said in short, ``message`` its problems, ``hint`` what it said that pairs leave open."""
_SPENT = "spent.json"


@dataclass(frozen=True)
class PixelSetting:
    """What the runs of the study of scenes share.

    Args:
        scenes: Scenes by their names: those of shapes, objects3d and causal_circuit; by default all that can be
            rendered here.
        n: Pairs to train on.
        n_test: Pairs to score and to check on.
        size: Width and height of images.
        edge_probability: Probability of each edge; causal_circuit has a graph of its own.
        circuit: Folder of a set of causal_circuit in the published layout, with the splits train and test, in the place
            of a simulated one.
    """

    scenes: tuple[str, ...] | None = None
    n: int = 20_000
    n_test: int = 2_000
    size: int = 64
    edge_probability: float = 0.5
    circuit: str | None = None

    def __post_init__(self) -> None:
        check_least(n=(self.n, MIN_PAIRS), n_test=(self.n_test, MIN_PAIRS))
        for scene in self.scenes or ():
            if scene not in SCENES:
                raise ValueError(f"scenes: got {scene!r}, expected some of {', '.join(SCENES)}")
        if self.scenes is not None and len(set(self.scenes)) < max(1, len(self.scenes)):
            raise ValueError(f"scenes: got {list(self.scenes)}, expected different ones")
        check_size(self.size)
        if CIRCUIT in (self.scenes or ()) and self.circuit is None and self.size not in SIZES:
            raise ValueError(f"size: got {self.size}, expected one of {', '.join(map(str, SIZES))} for {CIRCUIT}")
        if not 0 <= self.edge_probability <= 1:
            raise ValueError(f"edge_probability: got {self.edge_probability}, expected a number in [0, 1]")

    def made(self) -> dict[str, Any]:
        """The options that matter, by their names on the command line; the list of scenes may grow."""
        return {f"pixels.{entry.name}": getattr(self, entry.name) for entry in fields(self) if entry.name != "scenes"}


@dataclass(frozen=True)
class CodeJob:
    """The code of one scene and seed.

    Attributes:
        folder: Its folder.
        images: Folder of the images.
        scene: Name of the scene.
        seed: Of the scene and the code.
        steps: Of the optimizer; None for as many as it needs as a rule.
    """

    folder: Path
    images: Path
    scene: str
    seed: int
    steps: int | None

    @property
    def done(self) -> bool:
        """Whether it is there, with what it took."""
        return (self.folder / _SPENT).is_file()

    def find(self) -> ImageCode:
        """Fit the code, or read it, to the pairs that a fit with this seed trains on."""
        pairs, _ = open_sets(self.images, self.scene)
        training, _ = hold_out(pairs, seed=self.seed)
        return find_code(
            training,
            int(pairs.dim or 0),
            seed=self.seed,
            out=self.folder,
            resume=True,
            device="cpu",
            progress=False,
            steps=self.steps,
        )


@dataclass(frozen=True)
class PixelJob:
    """One fit of the study.

    Attributes:
        folder: Its run folder.
        method: Name of the model.
        code: The code it shares with others.
        dci_rows: Most pairs for disentanglement and completeness.
        budget: Optimizer steps.
    """

    folder: Path
    method: Method
    code: CodeJob
    dci_rows: int
    budget: Budget

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()


def pixel_jobs(
    folder: Path,
    setting: PixelSetting,
    scenes: Sequence[str],
    methods: Sequence[Method],
    seeds: Sequence[int],
    *,
    dci_rows: int,
    budget: Budget,
) -> list[PixelJob]:
    """All fits of the study, seed after seed, so that each scene has one before any has two."""
    jobs = []
    for seed in seeds:
        for scene in scenes:
            name = f"{scene}-{seed}"
            given = setting.circuit if scene == CIRCUIT else None
            images = folder / "images" / name if given is None else Path(given)
            code = CodeJob(folder / "codes" / name, images, scene, seed, budget.code)
            jobs += [
                PixelJob(folder / "runs" / f"{scene}-{method}-{seed}", method, code, dci_rows, budget)
                for method in methods
            ]
    return jobs


def open_sets(images: Path, scene: str) -> tuple[InterventionPairs, InterventionPairs]:
    """Pairs to train on and to score on, read as they are asked for.

    Raises:
        FileNotFoundError: If a set is not there.
        ValueError: If one is damaged or has too few pairs; the message names it.
    """
    if scene == CIRCUIT:
        train, test = InterventionPairs.load(images), InterventionPairs.load(images / "test.npz")
    else:
        train, test = (InterventionPairs.load(images / split, mmap=True) for split in ("train", "test"))
    for split, pairs in (("train", train), ("test", test)):
        if len(pairs) < MIN_PAIRS:
            raise ValueError(f"{images}: got {len(pairs)} pairs to {split}, expected at least {MIN_PAIRS}")
    return train, test


def run_code_job(job: CodeJob) -> None:
    """Fit a code and note what it took; one that was cut off is gone on with."""
    cut_off = (job.folder / CODE / CHECKPOINT).exists()
    spent, error = Resources(), ""
    try:
        job.find()
    except (TrainingDiverged, ValueError) as problem:
        error = " ".join(str(problem).split())
    took = {"cpu_seconds": None if cut_off else spent.cpu_seconds, "peak_gb": None if cut_off else spent.peak_gb}
    write_json(job.folder / _SPENT, {**took, "error": error})


def run_pixel_job(job: PixelJob) -> None:
    """Fit, check, score, and write the result; a fit that was cut off goes on."""
    shared = job.code
    pairs, test = open_sets(shared.images, shared.scene)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"scene": shared.scene, "method": job.method, "dim": pairs.dim, "seed": shared.seed}
    of_code = read_json(shared.folder / _SPENT)
    if of_code["error"]:
        write_json(job.folder / RESULT, row | {"error": of_code["error"]})
        return
    model = new_model(job.method, pairs.dim)
    spent = Resources()
    try:
        model.fit(
            pairs,
            seed=shared.seed,
            out=job.folder,
            budget=job.budget,
            device="cpu",
            progress=False,
            resume=True,
            code=shared.find(),
        )
    except (TrainingDiverged, ValueError) as error:
        write_json(job.folder / RESULT, row | {"error": " ".join(str(error).split())})
        return
    row["code_cpu_seconds"] = of_code["cpu_seconds"]
    if model.result.resumed_at is None and of_code["cpu_seconds"] is not None:
        row["cpu_seconds"] = of_code["cpu_seconds"] + spent.cpu_seconds
        row["peak_gb"] = max(of_code["peak_gb"], spent.peak_gb)
    row |= model.evaluate(test, dci_rows=job.dci_rows)
    row |= said(model.check(test))
    write_json(job.folder / RESULT, row)


def write_pixels(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of runs, in the order of the scenes, and the figures."""
    ordered = _in_order(rows)
    write_csv(folder / "pixels.csv", COLUMNS, [[row[name] for name in COLUMNS] for row in ordered])
    for score, label in (("disentanglement", "disentanglement D"), ("mcc", "correlation of variables (MCC)")):
        figure = score_by_data([{**row, "data": row["scene"]} for row in ordered], score, label=label)
        if figure is not None:
            save_figure(figure, folder / FIGURES / f"{score}.png")


def by_scene(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A header, and for each scene and method the range over seeds of what the runs came to, as texts."""
    cells = []
    for scene, method in dict.fromkeys((row["scene"], row["method"]) for row in _in_order(rows)):
        mine = [row for row in rows if (row["scene"], row["method"]) == (scene, method)]
        silent = [row["verdict"] for row in mine].count(NOTHING)
        ranges = [score_range(mine, name, digits) for name, digits in _SHOWN]
        cells.append((scene, method, str(len(mine)), *ranges, f"{silent} of {len(mine)}"))
    header = ("scene", "method", "runs", "D", "MCC", "SHD", "targets", "CPU s", "GB", "no problem found")
    return header, cells


_SHOWN = (
    ("disentanglement", 3),
    ("mcc", 3),
    ("shd", 0),
    ("intervention_accuracy", 3),
    ("cpu_seconds", 0),
    ("peak_gb", 2),
)


def _in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: (SCENES.index(row["scene"]), _place(row["method"]), row["method"], row["seed"]))


def _place(method: str) -> int:
    return METHODS.index(method) if method in METHODS else len(METHODS)


def true_names(scene: str) -> tuple[str, ...]:
    """Names of the true variables of a scene.

    >>> true_names("mixed")
    ('disc', 'square', 'pin', 'growth')
    """
    if scene == CIRCUIT:
        return NAMES
    return Objects3D().variables if scene == OBJECTS3D else SHAPES[scene].variables


def draw_run(job: PixelJob) -> list[tuple[Path, str]]:
    """Draw what an implicit model has found, unless that was done: files and captions."""
    place = job.folder / FIGURES
    if not any((place / f"{name}.png").is_file() for name in IMAGE_CAPTIONS):
        _, test = open_sets(job.code.images, job.code.scene)
        few = test[: min(len(test), 2000)]
        model = LatentCausalModel.load(job.folder)
        encoding = model.encode(few.x)
        alignment = align_to_truth(few, causal=encoding.causal, noise=encoding.noise)
        names = true_names(job.code.scene)
        for name, figure in image_figures(model, few, alignment=alignment, true_names=names).items():
            save_figure(figure, place / f"{name}.png")
    captions = [(place / f"{name}.png", caption) for name, caption in IMAGE_CAPTIONS.items()]
    return [(path, caption) for path, caption in captions if path.is_file()]


def write_pixel_report(
    folder: Path, setting: PixelSetting, scores: str, drawn: Mapping[str, Sequence[tuple[Path, str]]]
) -> Path:
    """Write ``report.html``: the scores, and the pictures of some runs by their names."""
    made = [("", ""), *((key, str(value)) for key, value in setting.made().items() if value is not None)]
    charts = [(path, "Runs as dots, medians as bars.") for path in sorted((folder / FIGURES).glob("*.png"))]
    sections = [
        Section("Study", made),
        Section("Scores against the truth, ranges over seeds", text=scores, figures=charts),
        *(Section(f"What {name} has found", figures=figures) for name, figures in drawn.items()),
    ]
    target = folder / "report.html"
    write_text(target, report_html("pyro_lcm: scenes from pixels", sections))
    return target
