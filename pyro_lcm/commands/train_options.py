"""Options of ``pyro-lcm train``, apart from the command: reports tell a run's options from what they are by default."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from pyro_lcm.architecture import GraphWay
from pyro_lcm.commands.options import Images, Tables
from pyro_lcm.commands.parsing import INLINED, grouped
from pyro_lcm.data.limits import check_least
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS
from pyro_lcm.training.driver import Precision

CHOICE = grouped("several fits, and the number of variables")
MACHINE = grouped("memory, precision, logs")

if TYPE_CHECKING:
    ModelName = str
else:  # the choices that the command shows
    ModelName = Literal[tuple(SPECS)]


@dataclass(frozen=True)
class Networks:
    """Sizes of the networks; what is not given is chosen by the recipe to suit the data.

    Args:
        hidden: Widths of the hidden layers between x and the code.
        flow_layers: Couplings of the flow between code and noise encodings; 0 makes it affine.
        flow_hidden: Width of the hidden layers of each coupling.
        solution_hidden: Widths of the hidden layers of each solution function.
        spline_bins: Bins of the spline behind each solution function, for interventions that are not Gaussian; 0 none.
        min_scale: Lower bound of the solution functions' scale, in units of the noise encodings.
        min_sd: Lower bound of the standard deviation of x given the noise encodings, x being standardised.
        graph: How elcm draws its graph; edges and all for at most 5 variables.
        edge_penalty: Nats by which elcm's prior disfavours an edge of a latent graph.
    """

    hidden: tuple[int, ...] | None = None
    flow_layers: int | None = None
    flow_hidden: int | None = None
    solution_hidden: tuple[int, ...] | None = None
    spline_bins: int | None = None
    min_scale: float | None = None
    min_sd: float | None = None
    graph: GraphWay | None = None
    edge_penalty: float | None = None

    def given(self) -> dict[str, Any]:
        """What was given, for :class:`pyro_lcm.LatentCausalModel`."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm train``.

    Args:
        data: Pairs: an .npz or a folder of .npy files with x and x_after; a table (.csv, .parquet) with the columns
            NAME_before and NAME_after for each feature; or image files, a folder of NAME_before.png and
            NAME_after.png or a CSV table of files with the columns before and after. Truth in it is not used. Of
            citris sequences: an .npz or a folder of .npy files with x, of frames, and targets, of steps between them.
        out: Run folder to write.
        model: Which generative program.
        dim_z: Number of causal variables, or auto for a choice by held-out ELBO; by default as many as x has
            directions in which it varies, less those that are noise of the sensors. Images need a number. Of citris the
            number of latents, by default as many as x has features; a variable may have several.
        candidates: Numbers of causal variables that auto chooses from; by default those around the number of
            directions that the two sides of a pair share.
        names: Names of the causal variables, in the order found; z1, z2, ... by default.
        start: Run folder of a fit to go on from with these pairs: its model, its standardiser, its names and its graph
            are kept, and --budget.refine steps are taken.
        end_to_end: Whether to train, beside --start of a run of images, the networks of its code together with all
            others, by the ELBO of the images.
        seed: Seed of everything random, at least 0.
        validation: Pairs file to hold out; by default a tenth of the data, of at most 10000 pairs.
        known_targets: Whether to use the intervention targets in the data.
        mmap: Whether to map the data into memory instead of reading it, for data larger than memory; checksums in the
            file are then not looked at.
        fits: Number of independent fits; the one with the best held-out ELBO becomes the run's.
        resume: Whether to go on with the run in the folder that was cut off.
        device: auto (a GPU if there is one), cpu, cuda, cuda:1, ...
        precision: Precision of the numbers, as Lightning Fabric names it.
        loggers: Further logs beside metrics.csv: tensorboard.
        threads: CPU threads; by default OMP_NUM_THREADS if set, else one, of images all cores.
        images: See there.
        tables: See there.
        budget: Optimizer steps.
        networks: Sizes of the networks.
    """

    data: str
    out: str
    model: ModelName = "ilcm"
    dim_z: int | Literal["auto"] | None = None
    candidates: tuple[int, ...] | None = field(default=None, metadata=CHOICE)
    names: tuple[str, ...] | None = None
    start: str | None = None
    end_to_end: bool = False
    seed: int = 0
    validation: str | None = None
    known_targets: bool = False
    mmap: bool = field(default=False, metadata=MACHINE)
    fits: int = field(default=1, metadata=CHOICE)
    resume: bool = False
    device: str = "auto"
    precision: Precision = field(default="32-true", metadata=MACHINE)
    loggers: tuple[str, ...] = field(default=(), metadata=MACHINE)
    threads: int | None = field(default=None, metadata=MACHINE)
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)
    budget: Budget = field(default_factory=Budget)
    networks: Networks = field(default_factory=Networks)

    def __post_init__(self) -> None:
        dim = None if isinstance(self.dim_z, str) else self.dim_z
        check_least(seed=(self.seed, 0), fits=(self.fits, 1), dim_z=(dim, 1), threads=(self.threads, 1))
        if self.dim_z == "auto" and self.fits > 1:
            raise ValueError(f"fits: got {self.fits} with --dim-z auto, expected 1; fit again with the number chosen")
        if self.candidates is not None and self.dim_z != "auto":
            raise ValueError("candidates: got some without --dim-z auto, expected them with it")
        if self.end_to_end and self.start is None:
            raise ValueError("end_to_end: got True without --start, expected the run of images to begin with")
        if self.start is not None:
            self._refuse_what_a_start_decides()

    def _refuse_what_a_start_decides(self) -> None:
        fresh = (("model", "ilcm"), ("dim_z", None), ("names", None), ("fits", 1), ("networks", Networks()))
        for name, default in fresh:
            if getattr(self, name) != default:
                raise ValueError(f"{name}: got one beside --start, expected that of the run which is gone on from")
