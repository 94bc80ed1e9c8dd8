"""The user's class: fit, encode, intervene, check, evaluate, save and load a latent causal model.

A facade: each method is a line or two on a function that takes the fitted model and says more, in
:mod:`pyro_lcm.fitting`, :mod:`pyro_lcm.assessment` and :mod:`pyro_lcm.reasoning`. The file is long because all that one
can ask is in one place, with its arguments told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.assessment import pair_assessment
from pyro_lcm.assessment.block_assessment import LatentBlocks, blocks_of, evaluate_blocks
from pyro_lcm.assessment.sequence_assessment import evaluate_sequences
from pyro_lcm.assessment.sequence_graphs import sequence_graph_posterior
from pyro_lcm.data.holdout import HELD_OUT
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.discovery.posterior import Method, ScoreName
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.evaluation.check import CheckReport
from pyro_lcm.fitting.block_fitting import fit_blocks, holds_blocks
from pyro_lcm.fitting.fine_tuning import fine_tune_pairs
from pyro_lcm.fitting.fit_options import FitOptions
from pyro_lcm.fitting.fitted import Array, Encoding, FittedModel
from pyro_lcm.fitting.model_choice import ModelChoice
from pyro_lcm.fitting.pair_fitting import fit_pairs, renamed
from pyro_lcm.fitting.saved_model import load_fitted, save_fitted
from pyro_lcm.fitting.sequence_fitting import fit_sequences
from pyro_lcm.frames import shown_in_notebook
from pyro_lcm.images.code import ImageCode
from pyro_lcm.process.first_process import barrier, is_first_process
from pyro_lcm.reasoning import dowhy_gcm, effects, graphs, interventions, next_frame, planning, programs
from pyro_lcm.reasoning.chains import Uncertainty
from pyro_lcm.reasoning.interventions import Outcome, Values
from pyro_lcm.reasoning.next_frame import NextFrame
from pyro_lcm.reasoning.planning import Goal, Plan, Range
from pyro_lcm.reasoning.programs import DensityProgram, SCMProgram
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.run_folder import CONFIG, read_config, write_config
from pyro_lcm.training.driver import Precision
from pyro_lcm.training.logs import FitResult, history_frame
from pyro_lcm.training.phases import Phase
from pyro_lcm.transfer import ERROR_RATE, Changes, adapted, what_changed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Encoding", "LatentCausalModel", "Outcome"]

logger = logging.getLogger(__name__)


class LatentCausalModel:
    """A latent causal model of pairs before and after unknown interventions.

    Values of causal variables are in the units in which the model encodes them. Reasoning, from :meth:`program` on,
    needs solution functions that follow a causal order, and raises ValueError where the model has none.

    Args:
        model: a name in :data:`pyro_lcm.registry.SPECS` such as ``"ilcm"``, or a Pyro model of one's own (see
            ``examples/custom_model.py``).
        guide: the guide of one's own model, of the same signature.
        dim_z: number of causal variables; by default as many as x has directions in which it varies, less those that
            are noise of the sensors (:mod:`pyro_lcm.fitting.variable_count`). Images need it.
        names: of the causal variables; z1, z2, ... by default.
        options: fields of :class:`pyro_lcm.architecture.Architecture` to set, such as ``solution_hidden``.

    Raises:
        ValueError: if the arguments do not fit each other.

    Example:
        >>> from pyro_lcm import Budget, LatentCausalModel, Range, simulate_scaling
        >>> pairs = simulate_scaling(dim=3, n=5000, seed=1)
        >>> lcm = LatentCausalModel("ilcm").fit(pairs, seed=0, budget=Budget(refine=100, solutions=0))
        >>> lcm.encode(pairs.x[:2]).causal.shape, lcm.names
        ((2, 3), ('z1', 'z2', 'z3'))
        >>> lcm.intervene({"z1": 1.0, "z2": lambda natural: natural.clamp(min=0)}, x=pairs.x[:2]).causal[:, 0].tolist()
        [1.0, 1.0]
        >>> lcm.average_effects(low=-1, high=1).posterior["effect"].dims
        ('chain', 'draw', 'cause', 'outcome')
        >>> lcm.plan(pairs.x[:1], pairs.x_after[0], {"z1": Range(-2, 2), "z2": [0.0, 1.0]}).values.shape
        (1, 3)
    """

    def __init__(
        self,
        model: str | Any = "ilcm",
        guide: Any = None,
        *,
        dim_z: int | None = None,
        names: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._choice = ModelChoice(model, guide, dim_z, names, options or {})
        self._config: dict[str, Any] = {}
        self._fitted: FittedModel | None = None
        self._result: FitResult | None = None
        self._folder: Path | None = None

    def __repr__(self) -> str:
        name = self._choice.model if isinstance(self._choice.model, str) else type(self._choice.model).__name__
        if self._fitted is None:
            return f"LatentCausalModel({name!r}, not fitted)"
        return f"LatentCausalModel({name!r}, fitted, variables={list(self.names)})"

    def _repr_html_(self) -> str:
        if self._fitted is None:
            return f"<code>{self!r}</code>"
        return shown_in_notebook(repr(self), self.to_dataframe())

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each causal variable, with its ``parents`` and ``children`` in the graph that was found.

        Both are empty texts where the model has no graph.

        Raises:
            RuntimeError: before :meth:`fit` or :meth:`load`.
        """
        return graphs.variables_frame(self.fitted)

    # ---------------------------------------------------------------- training

    def fit(
        self,
        pairs: InterventionPairs | InterventionSequences,
        *,
        validation: InterventionPairs | InterventionSequences | float = HELD_OUT,
        seed: int = 0,
        out: str | Path | None = None,
        budget: Budget | None = None,
        phases: Sequence[Phase] | None = None,
        device: str = "auto",
        precision: Precision = "32-true",
        progress: bool | None = None,
        resume: bool = False,
        loggers: Sequence[Any] = (),
        code: ImageCode | None = None,
    ) -> LatentCausalModel:
        """Train by stochastic variational inference from the start, with the recipe that suits the data.

        A model by name gets fresh networks and a standardiser of these pairs, whatever was fitted or loaded before;
        :meth:`fine_tune` keeps both. A model of one's own begins with the parameters that it has.

        Of images, which need ``dim_z``, a code of so many numbers is fitted first, and the model is one of these codes.

        Args:
            pairs: training pairs. Truth in them is not used, unless targets were declared known by
                :meth:`~pyro_lcm.data.InterventionPairs.with_known_targets`. Or sequences, for a model of these
                (``citris``), whose targets are known.
            validation: held-out pairs, or the fraction of the pairs to hold out (at most 10,000); of sequences the end
                of every episode is held out.
            seed: of everything that is random; the same seed gives the same model on the same kind of machine.
            out: run folder for logs, checkpoints and the model; None writes nothing.
            budget: steps of the default recipe's phases.
            phases: a recipe of one's own instead; for a model of one's own it is
                :func:`~pyro_lcm.recipes.own.identify_own` by default.
            device: ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
            precision: as Lightning Fabric names it.
            progress: whether to show a progress bar; by default on a terminal.
            resume: whether to go on with the run in ``out`` that was cut off.
            loggers: Lightning Fabric loggers, or ``"tensorboard"``.
            code: of images, to be shared by several fits; None for one that is fitted, in the folder ``out/code``. Of
                sequences a code of their frames (:func:`pyro_lcm.images.frame_code.fit_frame_code`), or None for
                convolutional networks.

        Returns:
            The fitted model itself; :attr:`result` tells how the training went.

        Raises:
            ValueError: if data or options do not fit.
            TrainingDiverged: if the loss is not finite; the message says what to try.
        """
        if self._fitted is not None:
            logger.warning("fit starts from scratch: what this model had learned is given up; fine_tune keeps it")
        how = FitOptions(
            seed=seed,
            out=out,
            budget=budget,
            phases=phases,
            device=device,
            precision=precision,
            progress=progress,
            resume=resume,
            loggers=loggers,
        )
        if isinstance(pairs, InterventionSequences):
            if isinstance(validation, InterventionPairs):
                raise ValueError("validation: got pairs beside sequences, expected sequences or a share")
            self._fitted, self._result, self._config = fit_sequences(
                self._choice, pairs, how, validation=validation, code=code
            )
        elif isinstance(validation, InterventionSequences):
            raise ValueError("validation: got sequences beside pairs, expected pairs or a fraction")
        elif holds_blocks(self._choice):
            if code is not None:
                raise ValueError("code: got one for a model of blocks, which encodes images itself, expected none")
            self._fitted, self._result, self._config = fit_blocks(self._choice, pairs, how, validation=validation)
        else:
            self._fitted, self._result, self._config = fit_pairs(
                self._choice, pairs, how, validation=validation, code=code
            )
        self._config["features"] = list(pairs.features)
        self._write(out)
        return self

    def fine_tune(
        self,
        pairs: InterventionPairs,
        *,
        validation: InterventionPairs | float = HELD_OUT,
        seed: int = 0,
        out: str | Path | None = None,
        budget: Budget | None = None,
        phases: Sequence[Phase] | None = None,
        device: str = "auto",
        precision: Precision | None = None,
        progress: bool | None = None,
        resume: bool = False,
        loggers: Sequence[Any] = (),
        end_to_end: bool = False,
    ) -> LatentCausalModel:
        """Train a fitted or loaded model further, on other pairs or for longer.

        Parameters, standardiser, names and the variables that each mechanism may depend on are kept and gone on from;
        the standardiser is centred anew where that alone gains a nat a pair, as after a sensor has drifted. A graph
        that is another one takes a new :meth:`fit`. What is kept in the end are the parameters that are best
        on the held-out pairs, those it began with included.

        Args:
            pairs: training pairs, of observations like those that the model was fitted to.
            validation: as :meth:`fit` takes it.
            seed: as :meth:`fit` takes it, as all that is not told here.
            out: a new run folder; None writes nothing.
            budget: ``Budget(refine=..., batch_size=...)``: optimizer steps, 1,000 by default, and pairs in a step.
            phases: a recipe of one's own instead, such as ``[Phase("on", 500, 1e-4, settings={"hypotheses": 2})]``.
            device: see :meth:`fit`.
            precision: by default that of the parameters.
            progress: see :meth:`fit`.
            resume: see :meth:`fit`; the run has to have begun with the same model.
            loggers: see :meth:`fit`.
            end_to_end: whether to train, of a model of images, the networks of their code together with all others, by
                the ELBO of the images; otherwise the code stays as it is.

        Returns:
            The model itself; it stays as it was if something goes wrong.

        Raises:
            RuntimeError: before :meth:`fit` or :meth:`load`.
            ValueError: if data or options do not fit.
            TrainingDiverged: if the loss is not finite.
        """
        features = self.features
        self._fitted, self._result, self._config = fine_tune_pairs(
            self.fitted,
            self._of_pairs(pairs),
            FitOptions(
                seed=seed,
                out=out,
                budget=budget,
                phases=phases,
                device=device,
                precision=precision,
                progress=progress,
                resume=resume,
                loggers=loggers,
            ),
            validation=validation,
            end_to_end=end_to_end,
        )
        self._config["features"] = list(features or pairs.features)
        self._write(out)
        return self

    def what_changed(
        self,
        pairs: InterventionPairs,
        *,
        reference: InterventionPairs | None = None,
        error_rate: float = ERROR_RATE,
        seed: int = 0,
    ) -> Changes:
        """Which mechanism, or sensor, no longer fits pairs of a world that has changed.

        Args:
            pairs: of the world now.
            reference: of the world before, held-out ones say; None for pairs drawn from the model.
            error_rate: of saying that anything has changed where nothing has.
            seed: of the permutations that p-values come from.

        Raises:
            ValueError: if the model has no acyclic graph, observations are no vectors, or there are too few pairs.
        """
        old = None if reference is None else self._of_pairs(reference)
        return what_changed(self.fitted, self._of_pairs(pairs), reference=old, error_rate=error_rate, seed=seed)

    def adapt(
        self,
        pairs: InterventionPairs,
        *,
        changes: Changes | None = None,
        reference: InterventionPairs | None = None,
        out: str | Path | None = None,
    ) -> LatentCausalModel:
        """Learn what has changed anew, from few pairs, and leave the rest of the model as it is.

        Args:
            pairs: of the world now.
            changes: what to learn anew; None for what :meth:`what_changed` says of these pairs.
            reference: as :meth:`what_changed` takes it.
            out: a run folder for the model; None writes nothing.

        Returns:
            The model itself; as it was if nothing has changed.

        Raises:
            ValueError: if what has changed cannot be learned anew by itself.
        """
        found = self.what_changed(pairs, reference=reference) if changes is None else changes
        if found.any or changes is not None:
            self._fitted = adapted(self.fitted, self._of_pairs(pairs), found)
            self._config = {**self._config, "standardizer": self._fitted.standardizer.to_config()}
            self._write(out)
        elif out is not None:
            self._write(out)
        return self

    def _of_pairs(self, pairs: InterventionPairs) -> InterventionPairs:
        """Pairs with their features in the order of the fit, for what only models of pairs can do.

        Raises:
            ValueError: if the model, or the data, is of sequences.
        """
        if self.fitted.temporal or isinstance(pairs, InterventionSequences):
            raise ValueError(
                f"pairs: got {type(pairs).__name__} for {self.fitted.name}, expected pairs and their model"
            )
        return pairs.in_order(self.features)

    def _write(self, out: str | Path | None) -> None:
        """Save into the folder of a run, if there is one; of several processes the first does."""
        self._folder = None if out is None else Path(out)
        if out is not None:
            if is_first_process():
                self.save(out)
            barrier()

    def save(self, folder: str | Path) -> None:
        """Write ``config.yaml`` and ``model.safetensors`` into a run folder."""
        save_fitted(folder, self.fitted, self._config)
        self._folder = Path(folder)

    def rename(self, names: Mapping[str, str]) -> LatentCausalModel:
        """Give causal variables other names, here and in the run folder that the model was saved to or loaded from.

        Args:
            names: new names by the present ones, such as ``{"z2": "pressure"}``; those left out stay.

        Returns:
            The model itself.

        Raises:
            RuntimeError: before :meth:`fit` or :meth:`load`.
            ValueError: if a present name is not a variable's, or the new names are not different Python identifiers.
        """
        self._fitted = renamed(self.fitted, names)
        self._config = {**self._config, "names": list(self.names)}
        if self._folder is not None and (self._folder / CONFIG).is_file():
            write_config(self._folder, {**read_config(self._folder), "names": list(self.names)})
        return self

    @classmethod
    def load(cls, folder: str | Path, *, model: Any = None, guide: Any = None) -> LatentCausalModel:
        """Read a fitted model from a run folder.

        Args:
            folder: the run folder.
            model: of one's own, built as it was for the fit; needed if the fit was of such a one.
            guide: its guide.

        Raises:
            FileNotFoundError: if the folder or a file of it is missing.
            ValueError: if a file is damaged, or the run is of a model of one's own and none is given.
        """
        choice, fitted, config = load_fitted(folder, model=model, guide=guide)
        loaded = cls(choice.model, choice.guide, dim_z=choice.dim_z, names=choice.names)
        loaded._fitted, loaded._config, loaded._folder = fitted, config, Path(folder)
        return loaded

    # ------------------------------------------------------------------ latents

    @property
    def fitted(self) -> FittedModel:
        """Model, guide and standardiser.

        Raises:
            RuntimeError: before :meth:`fit` or :meth:`load`.
        """
        if self._fitted is None:
            raise RuntimeError("the model is not fitted: call fit, or LatentCausalModel.load")
        return self._fitted

    @property
    def left_out(self) -> dict[str, int]:
        """How many pairs the fit left out (:mod:`pyro_lcm.fitting.screening`): ``wrong_readings``, ``unrelated``."""
        return dict(self._config.get("left_out", {}))

    @property
    def result(self) -> FitResult:
        """How the training went, with its history.

        Raises:
            RuntimeError: before :meth:`fit`; a model that was loaded has none.
        """
        if self._result is None:
            raise RuntimeError("no training to tell of: the model is not fitted, or was loaded from a folder")
        return self._result

    @property
    def history(self) -> pd.DataFrame:
        """How the training went, a row for each reading: step, phase, learning rate, losses and what else was logged.

        Of a model that was loaded it is read from ``metrics.csv`` in its run folder.
        :func:`pyro_lcm.viz.training.training_curves` draws it.

        Raises:
            RuntimeError: before a training, or if the folder has no such file.
        """
        return history_frame(self._result, self._folder)

    @property
    def model(self) -> Any:
        """The Pyro model, in standardised units of x."""
        return self.fitted.model

    @property
    def guide(self) -> Any:
        """The guide."""
        return self.fitted.guide

    @property
    def dim_z(self) -> int:
        """Number of causal variables."""
        return self.fitted.dim_z

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the causal variables."""
        return self.fitted.names

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of x, of a model that was fitted to a table; otherwise empty.

        Pairs from another table are brought into their order where they are asked for as pairs.
        """
        return tuple(self._config.get("features", ()))

    def encode(self, x: ArrayLike) -> Encoding:
        """Noise encodings and causal variables, with posterior standard deviations, in bounded memory.

        Args:
            x: (N, ...) observations, in the units of the data; images as pairs take them.

        Raises:
            ValueError: if the shape is another one or values are not finite.
        """
        return self.fitted.encode(x)

    def infer_targets(self, x: ArrayLike, x_after: ArrayLike) -> Array:
        """Probabilities of the intervention targets, (N, d + 1), column 0 is none.

        Args:
            x: (N, ...) observations before.
            x_after: (N, ...) observations after.

        Raises:
            ValueError: if the shapes do not fit, values are not finite, or the model has no targets.
        """
        return pair_assessment.inferred_targets(self.fitted, x, x_after)

    @property
    def has_targets(self) -> bool:
        """Whether the model has intervention targets; the beta-VAE has none."""
        return self.fitted.has_targets

    @property
    def has_graph(self) -> bool:
        """Whether the model has a graph, a learned one or, for the dVAE, the empty one."""
        return self.fitted.has_graph

    def decode(self, noise: ArrayLike) -> Array:
        """Observations, in the units of the data, of (N, d) noise encodings; images are (N, C, H, W) from 0 to 1."""
        return self.fitted.decode(noise)

    def adjacency(self) -> NDArray[np.int8]:
        """The graph found with the fit, ``[parent, child]``, (d, d): one graph, without its uncertainty.

        For a model of one's own with solution functions but another recipe it is read off their Jacobian.

        Raises:
            ValueError: if the model has neither a graph nor solution functions.
        """
        return self.fitted.adjacency()

    def sample(self, n: int, *, seed: int = 0, targets: ArrayLike | None = None) -> InterventionPairs:
        """Pairs from the fitted generative program, with the latents that made them.

        Args:
            n: number of pairs.
            seed: of the draws.
            targets: (n,) intervention targets, -1 for a random one; all random if None.
        """
        return self.fitted.sample(n, seed=seed, targets=targets)

    # --------------------------------------------------------------- assessment

    def elbo(
        self, pairs: InterventionPairs | InterventionSequences, *, hypotheses: int | None = None, seed: int = 0
    ) -> float:
        """Evidence lower bound per pair, in nats, of standardised x; of images it is that of their codes.

        Args:
            pairs: the pairs; or sequences, of which it is that of a step given the frame before.
            hypotheses: targets summed over for each pair, the most probable ones; all d + 1 if None.
            seed: of the draws of the guide.
        """
        if isinstance(pairs, InterventionSequences):
            pairs = pairs.transitions()
            return pair_assessment.elbo(self.fitted, pairs, hypotheses=hypotheses, seed=seed)
        return pair_assessment.elbo(self.fitted, self._of_pairs(pairs), hypotheses=hypotheses, seed=seed)

    def check(self, pairs: InterventionPairs, *, fits: Sequence[LatentCausalModel] = ()) -> CheckReport:
        """Whether it worked, without any truth: targets, one-sparse differences, new values, reconstruction, agreement.

        Args:
            pairs: held-out pairs.
            fits: other fits of the same data, to be compared with this one.

        Returns:
            The report; ``print(report.to_text())`` shows it, ``report.problems`` names what is off,
            ``report.hints`` what the pairs leave open.
        """
        pairs = self._of_pairs(pairs)
        if self.fitted.blocks:
            raise ValueError(f"model: got {self.fitted.name}, whose blocks blocks(pairs) tells, not check")
        others, number = [other.fitted for other in fits], self._config.get("pairs")
        known = isinstance(number, int)  # a run folder may say anything
        return pair_assessment.check(self.fitted, pairs, fits=others, fitted_to=number if known else None)

    def blocks(self, pairs: InterventionPairs | None = None) -> LatentBlocks:
        """Which latents are content and which style, of a model of these (``content_style``), without any label.

        Args:
            pairs: to measure agreement across pairs on, held-out ones say; None for that of the fit.

        Raises:
            ValueError: if the model has no blocks, or there are fewer pairs than latents.
        """
        return blocks_of(self.fitted, None if pairs is None else self._of_pairs(pairs))

    def evaluate(
        self,
        pairs: InterventionPairs | InterventionSequences,
        *,
        dci_rows: int = 10_000,
        n_jobs: int = 1,
        seed: int = 0,
    ) -> dict[str, float | None]:
        """Metrics of :func:`pyro_lcm.evaluation.evaluate_latents`, and ``elbo``; None where truth is missing.

        Of blocks of content and style those of :func:`pyro_lcm.assessment.block_assessment.evaluate_blocks`.

        Args:
            pairs: test pairs, with what is known of the truth; or sequences, for the metrics of
                :func:`pyro_lcm.assessment.sequence_assessment.evaluate_sequences`.
            dci_rows: rows used for DCI, or for regressions of sequences, at most.
            n_jobs: processes for DCI.
            seed: of DCI, or of the rows that are predicted.
        """
        if isinstance(pairs, InterventionSequences):
            return evaluate_sequences(self.fitted, pairs, rows=dci_rows, seed=seed)
        pairs = self._of_pairs(pairs)
        if self.fitted.blocks:
            return evaluate_blocks(self.fitted, pairs, rows=dci_rows, seed=seed)
        return pair_assessment.evaluate(self.fitted, pairs, dci_rows=dci_rows, n_jobs=n_jobs, seed=seed)

    def graph_posterior(
        self,
        pairs: InterventionPairs | InterventionSequences,
        *,
        method: Method = "auto",
        score: ScoreName | Literal["auto"] = "auto",
        prior: GraphPrior | None = None,
        fits: Sequence[LatentCausalModel] = (),
        rows: int = 10_000,
        draws: int = 1000,
        chains: int = 4,
        seed: int = 0,
    ) -> Container:
        """Posterior over graphs of the learned causal variables, in ArviZ's native container.

        Args:
            pairs: held-out or training pairs; or sequences, for the graph from one frame to the next and that within a
                frame (:func:`pyro_lcm.assessment.sequence_graphs.sequence_graph_posterior`).
            method: "exact", "vi", "mcmc", or "auto" by the number of variables.
            score: "bge", "linear", "nonlinear", or "auto": "bge" where lines explained the differences, that is
                where mixing and mechanisms are linear, "nonlinear" elsewhere. In fits of perfect interventions (ILCM,
                ELCM) a pair counts as evidence about the mechanism of its target only, in a model of one's own as a
                row after the intervention.
            prior: over graphs; uniform over DAGs if None.
            fits: other fits of the same data; their variables are aligned with this one's, and they become chains.
            rows: pairs used at most, the first ones.
            draws: of each chain.
            chains: in all; each draws its own intervention targets from the guide.
            seed: of everything random.

        Returns:
            Groups posterior (``adjacency``, ``ancestors``, ``effect``, ``log_score``), sample_stats, observed_data;
            :func:`pyro_lcm.discovery.graph_summary` sums it up.
        """
        if isinstance(pairs, InterventionSequences):
            if fits:
                raise ValueError(f"fits: got {len(fits)} beside sequences, expected none")
            how: dict[str, Any] = {"method": method, "score": score, "prior": prior, "rows": rows}
            return sequence_graph_posterior(self.fitted, pairs, draws=draws, chains=chains, seed=seed, **how)
        return pair_assessment.graph_posterior(
            self.fitted,
            self._of_pairs(pairs),
            method=method,
            score=score,
            prior=prior,
            fits=[other.fitted for other in fits],
            rows=rows,
            draws=draws,
            chains=chains,
            seed=seed,
        )

    # ------------------------------------------------------------------ programs

    def program(self) -> SCMProgram:
        """The model as a Pyro program with a deterministic site for each variable, to intervene on with ``pyro.do``.

        Raises:
            ValueError: if the model has no solution functions or they follow no causal order.
        """
        return programs.program(self)

    def density_program(self) -> DensityProgram:
        """The model as a Pyro program with a sample site for each variable, to use with ``pyro.condition``."""
        return programs.density_program(self)

    def noise_draws(self, x: ArrayLike, *, draws: int = 1, seed: int = 0) -> dict[str, Tensor]:
        """Draws of the noise sites of :meth:`program` given observations.

        See :func:`pyro_lcm.reasoning.noise_draws`.
        """
        return programs.noise_draws(self, x, draws=draws, seed=seed)

    # -------------------------------------------------------------------- worlds

    def intervene(self, values: Values, *, x: ArrayLike | None = None, n: int = 1000, seed: int = 0) -> Outcome:
        """What observations become when causal variables are set, everyone else's noise being kept.

        The noise encodings of x are inferred (abduction), the variables set, causes before effects (action), and the
        rest follows and is decoded (prediction).

        Args:
            values: for each variable's name a number, (N,) numbers, a :class:`~pyro_lcm.reasoning.Shift`, or
                a function of the values (N,) that it would have had.
            x: (N, ...) observations; None for a population of ``n`` drawn from the model.
            n: size of that population.
            seed: of that population.

        Returns:
            The outcome: ``x`` and ``causal`` under the intervention, ``before`` and ``x_before`` without it.

        Raises:
            ValueError: if a name is not a variable's or comes twice, or a value is of the wrong type or shape or not
                finite.
        """
        return interventions.intervene(self, values, x=x, n=n, seed=seed)

    def counterfactual(
        self,
        x: ArrayLike,
        values: Values,
        *,
        draws: int | None = None,
        seed: int = 0,
        uncertainty: Uncertainty | None = None,
    ) -> Outcome:
        """What these very observations would have been; what the decoder leaves unexplained of x is kept too.

        Args:
            x: (N, ...) observations.
            values: as in :meth:`intervene`.
            draws: draws of the guide that carry the uncertainty of the abduction; None takes its mean.
            seed: of the draws.
            uncertainty: what else to draw, mechanisms, graphs and fits, in place of ``draws`` and ``seed``.

        Returns:
            The outcome, of N rows, or of (draws, N) if draws were asked for.

        Raises:
            ValueError: as :meth:`intervene`.
        """
        return interventions.counterfactual(self, x, values, draws=draws, seed=seed, uncertainty=uncertainty)

    def edit(self, x: ArrayLike, values: Values, *, effects: bool = True) -> Outcome:
        """Change some causal variables of observations, with their effects on others or without.

        See :func:`pyro_lcm.reasoning.edit`.
        """
        return interventions.edit(self, x, values, effects=effects)

    def predict_next(
        self,
        x: ArrayLike,
        values: Mapping[str, float] | None = None,
        *,
        seen: InterventionSequences | None = None,
        level: float = 0.9,
        draws: int = 50,
        seed: int = 0,
    ) -> NextFrame:
        """What the frame after each of some frames becomes, of a model of sequences, when latents are set in the step.

        See :func:`pyro_lcm.reasoning.next_frame.predict_next`.
        """
        return next_frame.predict_next(self.fitted, x, values, seen=seen, level=level, draws=draws, seed=seed)

    # ------------------------------------------------------------------- effects

    def average_effects(
        self,
        *,
        x: ArrayLike | None = None,
        low: float = 0.0,
        high: float = 1.0,
        causes: Sequence[str] | None = None,
        on_x: bool = True,
        uncertainty: Uncertainty | None = None,
    ) -> Container:
        """Average effect of raising each cause from ``low`` to ``high``, on variables and on x, as an ArviZ container.

        See :func:`pyro_lcm.reasoning.average_effects`.
        """
        return effects.average_effects(self, x=x, low=low, high=high, causes=causes, on_x=on_x, uncertainty=uncertainty)

    def individual_effects(
        self,
        x: ArrayLike,
        cause: str,
        *,
        low: float = 0.0,
        high: float = 1.0,
        on_x: bool = True,
        uncertainty: Uncertainty | None = None,
    ) -> Container:
        """Effect of one cause on each observation, as an ArviZ container.

        See :func:`pyro_lcm.reasoning.individual_effects`.
        """
        return effects.individual_effects(self, x, cause, low=low, high=high, on_x=on_x, uncertainty=uncertainty)

    def dose_response(
        self,
        cause: str,
        doses: ArrayLike,
        *,
        x: ArrayLike | None = None,
        on_x: bool = True,
        uncertainty: Uncertainty | None = None,
    ) -> Container:
        """Mean of every variable, and of x, as a function of what a cause is set to, as an ArviZ container.

        See :func:`pyro_lcm.reasoning.dose_response`.
        """
        return effects.dose_response(self, cause, doses, x=x, on_x=on_x, uncertainty=uncertainty)

    def plan(
        self,
        x: ArrayLike,
        goal: Goal,
        allowed: Mapping[str, Range | Sequence[float]],
        *,
        at_most: int = 1,
        points: int = 33,
        zooms: int = 3,
        uncertainty: Uncertainty | None = None,
    ) -> Plan:
        """The intervention, from an allowed set, that brings each observation closest to a goal.

        With ``uncertainty`` it tells the probability that it succeeds (:meth:`~pyro_lcm.reasoning.Plan.success`).

        See :func:`pyro_lcm.reasoning.plan`.
        """
        return planning.plan(
            self, x, goal, allowed, at_most=at_most, points=points, zooms=zooms, uncertainty=uncertainty
        )

    # ------------------------------------------------------------------ exchange

    def causal_graph(
        self, *, posterior: Container | None = None, threshold: float = 0.5, do: Sequence[str] = ()
    ) -> Any:
        """The graph as a ``networkx.DiGraph``.

        Args:
            posterior: ArviZ container of the posterior over graphs; its edges from ``threshold`` on are in the graph,
                each with its ``probability``. Without one it is the graph found with the fit.
            threshold: least probability of an edge.
            do: names of variables that are set: the edges into them are cut.

        Raises:
            ValueError: if the posterior is of other variables or a name is not a variable's.
        """
        return graphs.fitted_graph(self.fitted, posterior=posterior, threshold=threshold, do=do)

    def edge_list(self, *, posterior: Container | None = None, threshold: float = 0.5) -> list[tuple[str, str]]:
        """(parent, child) of each edge of :meth:`causal_graph`, as pgmpy takes them."""
        return graphs.edge_list(self.causal_graph(posterior=posterior, threshold=threshold))

    def to_dot(self, *, posterior: Container | None = None, threshold: float = 0.5, do: Sequence[str] = ()) -> str:
        """The text of :meth:`causal_graph` in GraphViz's DOT language."""
        return graphs.to_dot(self.causal_graph(posterior=posterior, threshold=threshold, do=do))

    def to_dowhy(self) -> Any:
        """The model as a graphical causal model of DoWhy, which has to be installed.

        See :func:`pyro_lcm.reasoning.to_dowhy`.
        """
        return dowhy_gcm.to_dowhy(self)
