"""A structural model as one of DoWhy's graphical causal models (Blobaum et al., JMLR 2024); needs ``dowhy``.

Every mechanism becomes an invertible functional causal model, so that DoWhy's interventions, counterfactuals,
attributions and root-cause analyses run on a latent causal model, with one column for each causal variable.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.causal.dag import to_networkx
from pyro_lcm.reasoning.fitted import Source, structural_model
from pyro_lcm.reasoning.structure import Mechanism, StructuralModel

Columns = NDArray[np.float64]


def to_dowhy(source: Source) -> Any:
    """Build a ``dowhy.gcm.InvertibleStructuralCausalModel``, ready to be asked.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, whose variables have all that precede them as parents,
            or a structural model.

    Returns:
        DoWhy's model; its nodes are the names of the variables, and their noise is the noise encodings.

    Raises:
        ImportError: if DoWhy is not installed.
    """
    from dowhy import gcm

    scm = structural_model(source)
    graph = to_networkx(scm.adjacency, scm.names)
    model = gcm.InvertibleStructuralCausalModel(graph)
    mechanism, root = _mechanism_class(), _root_class()
    for variable, name in enumerate(scm.names):
        parents = sorted(graph.predecessors(name))  # the order in which DoWhy passes them
        indices = [scm.names.index(parent) for parent in parents]
        made = mechanism(scm, variable, indices) if parents else root(scm, variable)
        model.set_causal_mechanism(name, made)
    _mark_as_fitted(model)
    return model


def _given(scm: StructuralModel, variable: int, parents: list[int], values: Columns) -> Mechanism:
    """A mechanism given (N, parents) values of its parents."""
    causal = torch.zeros(len(values), scm.dim).to(scm.zero)
    causal[:, parents] = _tensor(values, scm)
    return scm.mechanism(variable, causal)


def _tensor(values: Columns, scm: StructuralModel) -> Tensor:
    """DoWhy's columns are views of its own arrays, of any strides, negative ones included, which torch refuses."""
    return torch.as_tensor(np.array(values, dtype=np.float64, order="C")).to(scm.zero)


def _column(values: Tensor) -> Columns:
    column: Columns = values.double().cpu().numpy()[:, None]
    return column


def _mechanism_class() -> Any:
    """DoWhy's base classes exist only once it is imported, so the subclasses are made then."""
    from dowhy.gcm.causal_mechanisms import InvertibleFunctionalCausalModel

    class FixedMechanism(InvertibleFunctionalCausalModel):  # type: ignore[misc]
        """f_i(e_i, z_pa(i)) of a structural model, with nothing to fit."""

        def __init__(self, scm: StructuralModel, variable: int, parents: list[int]) -> None:
            self.scm, self.variable, self.parents = scm, variable, parents

        def fit(self, X: Columns, Y: Columns) -> None:
            """Do nothing: the mechanism is fixed."""

        def draw_noise_samples(self, num_samples: int) -> Columns:
            """(N, 1) draws from N(0, 1), by numpy's global generator as everywhere in DoWhy."""
            return np.random.normal(size=(num_samples, 1))  # noqa: NPY002

        def evaluate(self, parent_samples: Columns, noise_samples: Columns) -> Columns:
            """Values (N, 1) of the variable."""
            mechanism = _given(self.scm, self.variable, self.parents, parent_samples)
            return _column(mechanism.causal(_tensor(noise_samples.reshape(-1), self.scm)))

        def estimate_noise(self, target_samples: Columns, parent_samples: Columns) -> Columns:
            """Noise encodings (N, 1) of values (N, 1)."""
            mechanism = _given(self.scm, self.variable, self.parents, parent_samples)
            return _column(mechanism.noise(_tensor(target_samples.reshape(-1), self.scm)))

        def clone(self) -> Any:
            """The same mechanism."""
            return FixedMechanism(self.scm, self.variable, self.parents)

    return FixedMechanism


def _root_class() -> Any:
    from dowhy.gcm.causal_mechanisms import StochasticModel

    class FixedRoot(StochasticModel):  # type: ignore[misc]
        """The distribution of a variable without parents, with nothing to fit."""

        def __init__(self, scm: StructuralModel, variable: int) -> None:
            self.scm, self.variable = scm, variable

        def fit(self, X: Columns) -> None:
            """Do nothing: the distribution is fixed."""

        def draw_samples(self, num_samples: int) -> Columns:
            """(N, 1) draws, by numpy's global generator as everywhere in DoWhy."""
            mechanism = _given(self.scm, self.variable, [], np.zeros((num_samples, 0)))
            noise = np.random.normal(size=num_samples)  # noqa: NPY002
            return _column(mechanism.causal(_tensor(noise, self.scm)))

        def clone(self) -> Any:
            """The same distribution."""
            return FixedRoot(self.scm, self.variable)

    return FixedRoot


def _mark_as_fitted(model: Any) -> None:
    """Tell DoWhy that nothing is left to fit."""
    from dowhy.gcm.causal_models import PARENTS_DURING_FIT

    graph: nx.DiGraph = model.graph
    for node in graph.nodes:
        graph.nodes[node][PARENTS_DURING_FIT] = sorted(graph.predecessors(node))
