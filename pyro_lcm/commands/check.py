"""``pyro-lcm check``: say without any truth whether a fit worked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pyro_lcm.commands.console import busy, say
from pyro_lcm.commands.files import named, pairs_for, refuse_existing
from pyro_lcm.commands.fits import other_fits
from pyro_lcm.commands.options import Images, Resources, Tables
from pyro_lcm.commands.parsing import INLINED
from pyro_lcm.commands.report import views, write_report
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.check import CheckReport
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.storage.text_files import write_json
from pyro_lcm.viz.run_figures import training_figure

POSITIONAL = ("run",)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm check``.

    Args:
        run: Run folder; of a run with several fits these are compared.
        data: Pairs file, best one the fit has not seen. Truth in it is not used.
        compare: Other run folders of the same data, to be compared with this one.
        strict: Whether to exit with 1 if there is a problem.
        rows: Most pairs that are looked at.
        overwrite: Whether to replace a check.json that is there.
        images: See there.
        tables: See there.
        resources: See there.
    """

    run: str
    data: str
    compare: tuple[str, ...] = ()
    strict: bool = False
    rows: int = 100_000
    overwrite: bool = False
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)
    resources: Resources = field(default_factory=Resources, metadata=INLINED)

    def __post_init__(self) -> None:
        check_least(rows=(self.rows, 2))


def run(options: Options) -> int:
    """Write check.json and the report, and show what was found."""
    folder = Path(options.run)
    refuse_existing([folder / "check.json"], options.overwrite, views=views(folder))
    model = LatentCausalModel.load(folder)
    fits = other_fits(folder) + [LatentCausalModel.load(other) for other in options.compare]
    pairs = pairs_for(model, options)
    with torch_threads(options.resources.threads), busy("checking"), named(options.data):
        report = check_run(folder, model, pairs[: min(len(pairs), options.rows)], fits)
    say(report.to_text())
    say(f"wrote {folder / 'check.json'} and {folder / 'report.html'}")
    return 1 if options.strict and not report.ok else 0


def check_run(
    folder: Path, model: LatentCausalModel, pairs: InterventionPairs, fits: Sequence[LatentCausalModel] = ()
) -> CheckReport:
    """Judge a fit without any truth, and write ``check.json`` and ``report.html`` into its folder.

    Args:
        folder: The run folder.
        model: The fitted model.
        pairs: Held-out pairs.
        fits: Other fits of the same data.
    """
    report = model.check(pairs, fits=fits)
    graph = model.adjacency().tolist() if model.has_graph else None
    write_json(folder / "check.json", {"ok": report.ok, **asdict(report), "text": report.to_text(), "adjacency": graph})
    training_figure(folder)
    write_report(folder)
    return report
