"""``pyro-lcm graph``: the posterior over graphs, of a fitted model or of a table of observed variables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from pyro_lcm.assessment.sequence_graphs import graph_names
from pyro_lcm.commands.console import busy, say
from pyro_lcm.commands.edges import parse_edges, read_edges
from pyro_lcm.commands.files import load_pairs, named, refuse_existing
from pyro_lcm.commands.fits import other_fits
from pyro_lcm.commands.options import Images, Tables
from pyro_lcm.commands.parsing import INLINED, grouped
from pyro_lcm.commands.report import views, write_report
from pyro_lcm.commands.sequences import load_sequences
from pyro_lcm.commands.threads import torch_threads
from pyro_lcm.data.limits import check_least
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.discovery.arviz_compat import Container, group, save_container
from pyro_lcm.discovery.graph_data import Interventions
from pyro_lcm.discovery.posterior import Method, graph_posterior
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.problems import posterior_problems
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.summary import EDGE_COLUMNS, GraphSummary, graph_summary
from pyro_lcm.identify.parents import MIN_GAIN
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.storage.text_files import write_csv, write_text
from pyro_lcm.viz.equivalence import adjacency_figure
from pyro_lcm.viz.graphs import graph_figure
from pyro_lcm.viz.posterior import edge_probability_matrix, effect_forest, top_graphs
from pyro_lcm.viz.style import save_figure

POSITIONAL = ("run",)
TABLES = grouped("tables of observed variables")
WRITTEN = ("posterior.nc", "edges.csv", "graph.txt")
"""Files that are written, beside figures and the report."""
PRIOR = grouped("the prior over graphs")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm graph``.

    Args:
        run: Run folder of a fitted model; without one, data is a table of observed variables.
        data: With a run: a file of pairs, or of sequences, as it was fitted to. Without: a table (.csv, .parquet) with
            a column for each variable.
        out: Folder to write; by default the run folder. What is there is kept unless --overwrite is given.
        overwrite: Whether to replace posterior.nc, edges.csv and graph.txt that are there.
        targets: Column that names the variable that was the target in each row, several with ; between, empty for none,
            ? for one that is not known (tables only).
        regimes: Column with the condition, or experiment, of each row (tables only).
        interventions: How they act: perfect, a target no longer depends on its causes; soft, it does, in another way in
            each condition; unknown, any mechanism may be another one in each condition but that of the first row
            without a target, and the posterior says which (tables only).
        drop: Columns to leave out, with commas between (tables only).
        only: Rows to take, as column=value (tables only).
        log: Whether to take logarithms (tables only).
        standardize: Whether to give each variable the standard deviation 1, so that effects are in these units; the
            probabilities of graphs do not depend on units (tables only).
        truth: CSV file of the true edges, cause and effect in the first two columns (tables only).
        score: Local score; auto is bge for tables unless nonlinear explains the rows clearly better, and for a run bge
            or nonlinear as suits it. With method exact the log evidence is shown; where another score of the same table
            has a clearly larger one, a note says so.
        method: Engine; auto is exact up to 12 variables and mcmc beyond. exact takes 14 variables at most, vi 25; at
            50, mcmc takes minutes and 1 GB.
        draws: Draws of each chain, at least 4.
        chains: Number of chains; of a run with several fits each fit gives chains.
        rows: Pairs, or steps, used at most (runs only).
        seed: Seed of everything random, at least 0.
        prior: Prior over graphs: uniform over DAGs, which expects many edges (of sequences, an edge costs .01 nats for
            each row instead), or suggested, about one edge a variable,
            how many being unknown itself.
        edges_per_node: Expected number of edges divided by the number of variables, in place of either.
        edge_probability: Prior odds of an edge p / (1 - p), as the probability p; the uniform prior has .5.
        ess: Effective number of draws of each edge that mcmc goes on for, all chains together.
        time_limit: Seconds after which it goes on no longer.
        max_parents: Most parents of a variable.
        required: Edges that every graph has, as cause:effect.
        forbidden: Edges that no graph has, as cause:effect.
        tiers: Groups of variables, earliest first, each with commas between; no edge leads backwards.
        threads: CPU threads; by default OMP_NUM_THREADS if set, else all cores.
        images: See there.
        tables: See there.
    """

    run: str | None = None
    data: str | None = None
    out: str | None = None
    overwrite: bool = False
    targets: str | None = field(default=None, metadata=TABLES)
    drop: str | None = field(default=None, metadata=TABLES)
    only: str | None = field(default=None, metadata=TABLES)
    regimes: str | None = field(default=None, metadata=TABLES)
    interventions: Interventions = field(default="perfect", metadata=TABLES)
    log: bool = field(default=False, metadata=TABLES)
    standardize: bool = field(default=False, metadata=TABLES)
    truth: str | None = field(default=None, metadata=TABLES)
    score: Literal["auto", "bge", "linear", "nonlinear"] = "auto"
    method: Method = "auto"
    draws: int = 1000
    chains: int = 4
    rows: int = 10_000
    seed: int = 0
    ess: float | None = None
    time_limit: float = 600.0
    prior: Literal["uniform", "suggested"] = field(default="uniform", metadata=PRIOR)
    edges_per_node: float | None = field(default=None, metadata=PRIOR)
    edge_probability: float | None = field(default=None, metadata=PRIOR)
    max_parents: int | None = field(default=None, metadata=PRIOR)
    required: tuple[str, ...] = field(default=(), metadata=PRIOR)
    forbidden: tuple[str, ...] = field(default=(), metadata=PRIOR)
    tiers: tuple[str, ...] = field(default=(), metadata=PRIOR)
    threads: int | None = None
    images: Images = field(default_factory=Images, metadata=INLINED)
    tables: Tables = field(default_factory=Tables, metadata=INLINED)

    def __post_init__(self) -> None:
        check_least(draws=(self.draws, 4), chains=(self.chains, 1), rows=(self.rows, 1))
        check_least(seed=(self.seed, 0), threads=(self.threads, 1))
        if self.data is None:
            raise ValueError("--data is missing: a pairs file for a run, a CSV file without one")
        if self.run is None and self.out is None:
            raise ValueError("--out is missing: the folder to write")
        if self.run is not None:
            for name in ("targets", "drop", "only", "log", "standardize", "truth", "regimes", "interventions"):
                if getattr(self, name) not in (None, False, "perfect"):
                    raise ValueError(f"--{name}: got one beside a run, expected it for a table only")


def run(options: Options) -> int:
    """Infer, write, and show the summary."""
    folder = Path(options.out or options.run or "")
    refuse_existing([folder / name for name in WRITTEN], options.overwrite, views=views(folder))
    with torch_threads(options.threads), named(options.data or ""):
        container, truth = _from_table(options) if options.run is None else _from_run(options)
        summary = graph_summary(container, truth=truth, top=6)
    evidence, score = container.attrs.get("log_evidence"), container.attrs.get("score")
    write_results(folder, container, summary, truth)
    said = [f"method: {summary.method}"] + ([] if score is None else [f"score {score}"])
    say(", ".join(said + ([] if evidence is None else [f"log evidence {evidence:.1f}"])))
    say(summary.to_text())
    for problem in posterior_problems(container, summary):
        say(f"note: {problem}")
    say(f"wrote {folder / 'posterior.nc'}, {folder / 'edges.csv'} and {folder / 'report.html'}")
    return 0


def write_results(folder: Path, container: Container, summary: GraphSummary, truth: NDArray[Any] | None = None) -> None:
    """Write a posterior, its summary as text, table and figures, and the report; what is drawn is drawn first.

    Args:
        folder: Where to.
        container: The posterior.
        summary: Its summary.
        truth: True graph, if known.
    """
    names, edges = summary.names, summary.edges
    best = summary.top[0].adjacency
    figures = {
        "edge_probability": edge_probability_matrix(edges.probability, names, truth=truth),
        "equivalence": adjacency_figure(summary.adjacent, summary.direction, best, names),
        "posterior_graph": graph_figure(best, names, probabilities=edges.probability),
    }
    if not summary.is_spread_out:
        figures["top_graphs"] = top_graphs([(graph.adjacency, graph.probability) for graph in summary.top], names)
    posterior = group(container, "posterior")
    if "effect" in posterior:
        draws = posterior["effect"].transpose("chain", "draw", "cause", "outcome").values
        if (forest := effect_forest(draws.reshape(-1, len(names), len(names)), names)) is not None:
            figures["effects"] = forest
    save_container(container, folder / "posterior.nc")
    notes = [f"note: {problem}" for problem in posterior_problems(container, summary)]
    write_text(folder / "graph.txt", "\n".join([summary.to_text(), *notes]) + "\n")
    write_csv(folder / "edges.csv", EDGE_COLUMNS, summary.to_dataframe().values.tolist())
    for name, figure in figures.items():
        save_figure(figure, folder / "figures" / f"{name}.png")
    write_report(folder)


def _from_table(options: Options) -> tuple[Container, NDArray[Any] | None]:
    drop = [name.strip() for name in (options.drop or "").split(",") if name.strip()]
    data = GraphData.from_csv(
        options.data or "",
        targets=options.targets,
        drop=drop,
        only=options.only,
        log=options.log,
        standardize=options.standardize,
        regimes=options.regimes,
        interventions=options.interventions,
    )
    truth = None if options.truth is None else read_edges(options.truth, data.names)
    prior = _prior(options, data.names)
    with busy("inferring the graph") as report:
        container = graph_posterior(
            data,
            score=options.score,
            prior=prior,
            method=options.method,
            draws=options.draws,
            chains=options.chains,
            seed=options.seed,
            progress=report,
            **_patience(options),
        )
    return container, truth


def _from_run(options: Options) -> tuple[Container, None]:
    folder = Path(options.run or "")
    model = LatentCausalModel.load(folder)
    fits = other_fits(folder)
    pairs: InterventionPairs | InterventionSequences
    prior: GraphPrior | None
    if model.fitted.temporal:
        pairs = load_sequences(options.data or "", layout=options.images.layout)
        prior = _prior(options, graph_names(model.fitted))
        if options.prior == "uniform" and options.edges_per_node is None and options.edge_probability is None:
            prior = replace(prior, sparsity=MIN_GAIN * min(options.rows, len(pairs)))
    else:
        pairs = load_pairs(options.data or "", images=options.images, tables=options.tables, features=model.features)
        prior = _prior(options, model.names)
    with busy("inferring the graph"):
        container = model.graph_posterior(
            pairs,
            method=options.method,
            score=options.score,
            prior=prior,
            fits=fits,
            rows=options.rows,
            draws=options.draws,
            chains=options.chains,
            seed=options.seed,
            **_patience(options),
        )
    return container, None


def _patience(options: Options) -> dict[str, Any]:
    """Options of mcmc, where it is to go on until there are enough draws."""
    return {} if options.ess is None else {"ess": options.ess, "time_limit": options.time_limit}


def _prior(options: Options, names: tuple[str, ...]) -> GraphPrior:
    one = options.edges_per_node is not None or options.edge_probability is not None
    build = GraphPrior.suggested if options.prior == "suggested" and not one else GraphPrior
    prior = build(max_parents=options.max_parents)
    if one:
        prior = replace(prior, edges_per_node=options.edges_per_node, edge_probability=options.edge_probability)
    required = parse_edges(options.required, names, "--required")
    forbidden = parse_edges(options.forbidden, names, "--forbidden")
    tiers = []
    for text in options.tiers:
        members = [name.strip() for name in text.split(",")]
        for name in members:
            if name not in names:
                raise ValueError(f"--tiers: got the variable {name!r}, expected some of {', '.join(names)}")
        tiers.append(tuple(names.index(name) for name in members))
    return replace(prior, required=required, forbidden=forbidden, tiers=tuple(tiers))
