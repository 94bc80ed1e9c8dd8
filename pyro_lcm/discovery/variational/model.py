"""The Pyro program of a latent graph: a prior over DAGs and the evidence of the data."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import TorchDistribution, constraints
from pyro.nn import PyroModule
from torch import Tensor

from pyro_lcm.discovery import partitions
from pyro_lcm.discovery.parent_set_tables import ParentSetTables


class ModularDAGs(TorchDistribution):
    """The modular prior over DAGs, up to a constant: ``log_prob`` is the sum of its local terms.

    Values are adjacency matrices ``[parent, child]`` of *DAGs*; whether they are acyclic is not checked.
    There is no direct way to draw from it.

    Args:
        tables: Parent-set weights of d variables, which hold the prior's terms.
        batch_shape: Shape of independent copies.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    has_rsample = False

    def __init__(self, tables: ParentSetTables, batch_shape: torch.Size | None = None) -> None:
        self._tables = tables
        d = tables.num_variables
        super().__init__(batch_shape or torch.Size(), torch.Size((d, d)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Zeros and ones."""
        return constraints.independent(constraints.boolean, 2)

    def expand(self, batch_shape: torch.Size, _instance: TorchDistribution | None = None) -> ModularDAGs:
        """The same prior for a batch of graphs."""
        return ModularDAGs(self._tables, torch.Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Unnormalised log probability of graphs (..., d, d)."""
        return self._tables.graph_log_prior(value)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Not available: the normaliser of a modular prior over DAGs has no product form."""
        raise NotImplementedError("ModularDAGs cannot be sampled; draw from a guide or another engine")


class GraphsOfPartitions(TorchDistribution):
    """The posterior over graphs given their ordered partition, in closed form.

    Given the layers, variables choose their parents independently of each other (see `partitions`).

    Args:
        tables: Parent-set weights of d variables.
        layers: (..., d) int64.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    has_rsample = False

    def __init__(self, tables: ParentSetTables, layers: Tensor) -> None:
        self._tables = tables
        self._layers = layers
        d = tables.num_variables
        super().__init__(layers.shape[:-1], torch.Size((d, d)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Zeros and ones."""
        return constraints.independent(constraints.boolean, 2)

    def expand(self, batch_shape: torch.Size, _instance: TorchDistribution | None = None) -> GraphsOfPartitions:
        """The same for a larger batch."""
        return GraphsOfPartitions(self._tables, self._layers.expand((*batch_shape, -1)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of graphs (..., d, d) that have these layers; 0 where there are none."""
        weight = partitions.log_weights(self._tables, self._layers).sum(-1)
        return torch.where(weight.isfinite(), self._tables.graph_log_weight(value) - weight, 0.0)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw graphs (..., d, d), float zeros and ones."""
        with torch.no_grad():
            layers = self._layers.expand((*sample_shape, *self._layers.shape))
            return partitions.sample_graphs(self._tables, layers).to(torch.get_default_dtype())


class GraphModel(PyroModule):
    """Joint distribution of a graph and the data.

    Sites: ``adjacency`` (d, d), the latent graph, and the factor ``evidence``, log p(data | graph), the
    mechanisms' parameters integrated out by the score. The prior is unnormalised, so an ELBO of this model
    bounds log p(data) plus the log of the prior's normaliser (the number of DAGs, for a uniform prior).

    Args:
        tables: Parent-set weights of d variables.
    """

    def __init__(self, tables: ParentSetTables) -> None:
        super().__init__()
        self.tables = tables

    def forward(self) -> Tensor:
        """Run the program; returns the graph."""
        graph: Tensor = pyro.sample("adjacency", ModularDAGs(self.tables))
        log_prior = self.tables.graph_log_prior(graph)
        log_score = self.tables.graph_log_weight(graph) - log_prior
        # Where the prior forbids the graph its own site says so; the evidence is not looked at.
        pyro.factor("evidence", torch.where(log_prior.isfinite(), log_score, 0.0))
        return graph
