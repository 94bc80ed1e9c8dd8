"""Guides over a latent graph: an ordered partition first, then the graph given it.

q(graph) = q(partition) q(graph | partition). Given the partition the posterior over the graph is known
(`GraphsOfPartitions`), so only q(partition) is learned; and since a graph has one partition only, q(graph) is
the product of the two, without a sum over orders. The site ``partition`` has no counterpart in the model: it
is a function of the graph.
"""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule, PyroParam
from torch import Tensor

from pyro_lcm.discovery import partitions
from pyro_lcm.discovery.parent_set_tables import ParentSetTables
from pyro_lcm.discovery.variational.distributions import PartitionPolicy, Partitions, all_partitions
from pyro_lcm.discovery.variational.model import GraphsOfPartitions

MAX_TABLE_VARIABLES = 5


class TableGuide(PyroModule):
    """One probability for each ordered partition, for up to five variables: it can be exact.

    The site ``partition`` is enumerated in parallel, so `pyro.infer.TraceEnum_ELBO` gives exact gradients.

    Args:
        tables: Parent-set weights of d <= 5 variables.

    Raises:
        ValueError: If there are more variables, or the prior leaves no graph.
    """

    layers: Tensor

    def __init__(self, tables: ParentSetTables) -> None:
        super().__init__()
        if tables.num_variables > MAX_TABLE_VARIABLES:
            raise ValueError(f"tables: got {tables.num_variables} variables, expected at most {MAX_TABLE_VARIABLES}")
        layers = all_partitions(tables.num_variables)
        possible = partitions.log_weights(tables, layers).sum(-1).isfinite()
        if not possible.any():
            raise ValueError("prior: no graph has a positive probability, expected at least one")
        self.tables = tables
        self.register_buffer("layers", layers[possible])
        self.logits = PyroParam(torch.zeros(len(self.layers), dtype=torch.float64))

    def forward(self) -> Tensor:
        """Run the program; returns the graph."""
        number = pyro.sample(
            "partition",
            dist.Categorical(logits=self.logits),
            infer={"enumerate": "parallel", "is_auxiliary": True},
        )
        graph: Tensor = pyro.sample("adjacency", GraphsOfPartitions(self.tables, self.layers[number]))
        return graph

    def edge_probabilities(self) -> Tensor:
        """(d, d) float64 edge probabilities under the guide, exact."""
        with torch.no_grad():
            edges = partitions.edge_probabilities(self.tables, self.layers)
            return torch.einsum("n,nij->ij", self.logits.softmax(-1), edges)


class AutoregressiveGuide(PyroModule):
    """A partition built up variable by variable by a network, for any number of variables.

    Args:
        tables: Parent-set weights of d variables.
        hidden: Width of the network's two hidden layers.
    """

    def __init__(self, tables: ParentSetTables, hidden: int = 128) -> None:
        super().__init__()
        self.tables = tables
        self.policy = PartitionPolicy(tables, hidden)

    def forward(self) -> Tensor:
        """Run the program; returns the graph."""
        layers = pyro.sample("partition", Partitions(self.policy), infer={"is_auxiliary": True})
        graph: Tensor = pyro.sample("adjacency", GraphsOfPartitions(self.tables, layers))
        return graph

    def edge_probabilities(self, draws: int = 8000) -> Tensor:
        """(d, d) float64 edge probabilities, averaged in closed form over ``draws`` partitions."""
        layers = Partitions(self.policy, torch.Size((draws,))).sample()
        layers = layers[partitions.log_weights(self.tables, layers).sum(-1).isfinite()]
        total = sum(partitions.edge_probabilities(self.tables, part).sum(0) for part in layers.split(500))
        return torch.as_tensor(total / len(layers))
