"""Causal reasoning as methods of the user's class: each is one line on top of the function of the same name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.fitted import FittedModel
from pyro_lcm.reasoning import dowhy_gcm, effects, graphs, interventions, planning, programs
from pyro_lcm.reasoning.chains import Uncertainty
from pyro_lcm.reasoning.interventions import Outcome, Values
from pyro_lcm.reasoning.planning import Goal, Plan, Range
from pyro_lcm.reasoning.programs import DensityProgram, SCMProgram


class ReasoningMethods(ABC):
    """What one can ask a fitted model whose solution functions follow a causal order.

    Values of causal variables are in the units in which the model encodes them.

    Example:
        >>> from pyro_lcm import Budget, LatentCausalModel, simulate_scaling
        >>> pairs = simulate_scaling(dim=3, n=5000, seed=1)
        >>> lcm = LatentCausalModel("ilcm", names=["a", "b", "c"]).fit(pairs, budget=Budget(refine=50, solutions=0))
        >>> lcm.intervene({"a": 1.0, "b": lambda natural: natural.clamp(min=0)}, x=pairs.x[:5]).causal[:, 0].tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
        >>> lcm.average_effects(low=-1, high=1).posterior["effect"].dims
        ('chain', 'draw', 'cause', 'outcome')
        >>> lcm.plan(pairs.x[:1], pairs.x_after[0], {"a": Range(-2, 2), "b": [0.0, 1.0]}).values.shape
        (1, 3)
    """

    @property
    @abstractmethod
    def fitted(self) -> FittedModel:
        """The parts of the fitted model."""

    @abstractmethod
    def adjacency(self) -> NDArray[np.int8]:
        """The graph found, ``[parent, child]``, (d, d)."""

    # ------------------------------------------------------------------ programs

    def program(self) -> SCMProgram:
        """The model as a Pyro program with a deterministic site for each variable, to intervene on with ``pyro.do``.

        Raises:
            ValueError: here and below, if the model has no solution functions or they follow no causal order.
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

    def counterfactual(self, x: ArrayLike, values: Values, *, draws: int | None = None, seed: int = 0) -> Outcome:
        """What these very observations would have been; what the decoder leaves unexplained of x is kept too.

        Args:
            x: (N, ...) observations.
            values: as in :meth:`intervene`.
            draws: draws of the guide that carry the uncertainty of the abduction; None takes its mean.
            seed: of the draws.

        Returns:
            The outcome, of N rows, or of (draws, N) if draws were asked for.

        Raises:
            ValueError: as :meth:`intervene`.
        """
        return interventions.counterfactual(self, x, values, draws=draws, seed=seed)

    def edit(self, x: ArrayLike, values: Values, *, effects: bool = True) -> Outcome:
        """Change some causal variables of observations, with their effects on others or without.

        See :func:`pyro_lcm.reasoning.edit`.
        """
        return interventions.edit(self, x, values, effects=effects)

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
    ) -> Plan:
        """The intervention, from an allowed set, that brings each observation closest to a goal.

        See :func:`pyro_lcm.reasoning.plan`.
        """
        return planning.plan(self, x, goal, allowed, at_most=at_most, points=points, zooms=zooms)

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
        names = self.fitted.names
        if posterior is not None and sorted(graphs.edge_probabilities(posterior)[1]) != sorted(names):
            known = ", ".join(graphs.edge_probabilities(posterior)[1])
            raise ValueError(f"posterior: got one over {known}, expected one over {', '.join(names)}")
        found = graphs.causal_graph(
            self.adjacency() if posterior is None else None,
            names if posterior is None else None,
            posterior=posterior,
            threshold=threshold,
        )
        for name in do:
            if name not in names:
                raise ValueError(f"do: got {name!r}, expected some of {', '.join(names)}")
            found.remove_edges_from(list(found.in_edges(name)))
        return found

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
