"""What speaks for a fit: its ELBO, a check without truth, scores against truth, and the posterior over its graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.holdout import MIN_PAIRS
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.check import CheckReport, agreement_of_fits, check_latents
from pyro_lcm.fitted import Encoding, FittedModel
from pyro_lcm.registry import spec_of

if TYPE_CHECKING:
    from pyro_lcm.discovery.arviz_compat import Container
    from pyro_lcm.discovery.latents import LatentRows
    from pyro_lcm.discovery.posterior import Method, ScoreName
    from pyro_lcm.discovery.priors import GraphPrior


class AssessmentMethods(ABC):
    """What one can ask about a fitted model."""

    _architecture: Architecture | None
    """What it was built from; None for a model of one's own."""

    @property
    @abstractmethod
    def fitted(self) -> FittedModel:
        """The parts of the fitted model."""

    @abstractmethod
    def encode(self, x: ArrayLike) -> Encoding:
        """Latents of (N, ...) observations."""

    @abstractmethod
    def infer_targets(self, x: ArrayLike, x_after: ArrayLike) -> NDArray[np.float32]:
        """Probabilities of the targets, (N, d + 1)."""

    @property
    @abstractmethod
    def has_targets(self) -> bool:
        """Whether the guide infers targets."""

    @property
    @abstractmethod
    def has_graph(self) -> bool:
        """Whether the model has a graph."""

    @abstractmethod
    def adjacency(self) -> NDArray[np.int8]:
        """The graph found, ``[parent, child]``, (d, d)."""

    def elbo(self, pairs: InterventionPairs, *, hypotheses: int | None = None, seed: int = 0) -> float:
        """Evidence lower bound per pair, in nats, of standardised x.

        Args:
            pairs: the pairs.
            hypotheses: targets summed over for each pair, the most probable ones; min(d + 1, 4) if None.
            seed: of the draws of the guide.
        """
        number = min(self.fitted.dim_z + 1, 4) if hypotheses is None else hypotheses
        return self.fitted.elbo(pairs, hypotheses=number, seed=seed)

    def check(self, pairs: InterventionPairs, *, fits: Sequence[AssessmentMethods] = ()) -> CheckReport:
        """Whether it worked, without any truth: use of targets, one-sparse differences, reconstruction, agreement.

        Args:
            pairs: held-out pairs.
            fits: other fits of the same data, to be compared with this one.

        Returns:
            The report; ``print(report.to_text())`` shows it, ``report.problems`` names what is off.
        """
        if len(pairs) < MIN_PAIRS:
            raise ValueError(f"pairs: got {len(pairs)}, expected at least {MIN_PAIRS} to judge by")
        before, after = self.encode(pairs.x), self.encode(pairs.x_after)
        agreement = None
        if fits:
            encodings = [before.noise, *(other.encode(pairs.x).noise for other in fits)]
            agreement = agreement_of_fits(encodings)
        return check_latents(
            before.noise.astype(np.float64),
            after.noise.astype(np.float64),
            self.fitted.infer_targets(pairs.x, pairs.x_after).astype(np.float64),
            explained=self.fitted.explained(pairs.x, before.noise),
            elbo=self.elbo(pairs),
            names=self.fitted.names,
            agreement=agreement,
        )

    def evaluate(
        self, pairs: InterventionPairs, *, dci_rows: int = 10_000, n_jobs: int = 1, seed: int = 0
    ) -> dict[str, float | None]:
        """Metrics of :func:`pyro_lcm.evaluation.evaluate_latents`, and ``elbo``; None where truth is missing.

        Args:
            pairs: test pairs, with what is known of the truth.
            dci_rows: rows used for DCI at most.
            n_jobs: processes for DCI.
            seed: of DCI.
        """
        from pyro_lcm.evaluation import evaluate_latents

        encoding = self.encode(pairs.x)
        scores = evaluate_latents(
            pairs,
            causal=encoding.causal,
            noise=encoding.noise,
            targets=self.infer_targets(pairs.x, pairs.x_after) if self.has_targets else None,
            adjacency=self.adjacency() if self.has_graph else None,
            dci_rows=dci_rows,
            n_jobs=n_jobs,
            seed=seed,
        )
        return scores | {"elbo": self.elbo(pairs)}

    def graph_posterior(
        self,
        pairs: InterventionPairs,
        *,
        method: Method = "auto",
        score: ScoreName | Literal["auto"] = "auto",
        prior: GraphPrior | None = None,
        fits: Sequence[AssessmentMethods] = (),
        rows: int = 10_000,
        draws: int = 1000,
        chains: int = 4,
        seed: int = 0,
    ) -> Container:
        """Posterior over graphs of the learned causal variables, in ArviZ's native container.

        Args:
            pairs: held-out or training pairs.
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
        from pyro_lcm.discovery.latents import latent_graph_posterior
        from pyro_lcm.evaluation.alignment import align

        if rows < 1:
            raise ValueError(f"rows: got {rows}, expected at least 1")
        part = pairs[:rows]
        own = self.encode(part.x)
        built = self._architecture
        linear = built is not None and built.flow_layers == 0
        redrawn = linear or (built is not None and spec_of(built.model).both_sides)
        found = [self._latent_rows(part, redrawn)]
        for other in fits:
            matching = align(other.encode(part.x).noise, own.noise)
            if not matching.matched.all():
                raise ValueError(
                    f"fits: got one of {other.fitted.dim_z} variables, expected at least {self.fitted.dim_z}"
                )
            found.append(other._latent_rows(part, redrawn).reordered(matching.permutation, matching.signs))
        return latent_graph_posterior(
            found,
            names=self.fitted.names,
            score=("bge" if linear else "nonlinear") if score == "auto" else score,
            prior=prior,
            method=method,
            draws=draws,
            chains=chains,
            seed=seed,
        )

    def _latent_rows(self, pairs: InterventionPairs, redrawn: bool) -> LatentRows:
        from pyro_lcm.discovery.latents import LatentRows

        before, after = self.encode(pairs.x), self.encode(pairs.x_after)
        targets = self.infer_targets(pairs.x, pairs.x_after)
        if not redrawn:
            return LatentRows(after.causal, targets)
        return LatentRows(after.causal, targets, before.causal, after.noise, before.noise)
