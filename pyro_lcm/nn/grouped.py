"""One small network per causal variable, evaluated together.

A latent causal model has one network per variable (a solution function, a mechanism), and a batch needs a
different one in each row: the one of the intervention target. A Python loop over variables costs d kernel
launches a layer; evaluating every network for every row costs d times the arithmetic. :class:`GroupedMLP` does
neither: rows are sorted into blocks of one group each, a block gathers the weights of its group, and one batched
matrix product serves all blocks. The number of blocks depends on shapes alone, so nothing is copied to the host.
Where rows and groups are few, sorting costs more than the arithmetic it saves, and every network sees every row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyro_lcm.nn.activations import Activation, activate


class Blocks(NamedTuple):
    """Where each row of a batch goes when rows are packed into blocks of one group each."""

    slot: Tensor
    """(rows,) long: position of each row in the padded layout."""
    group: Tensor
    """(blocks,) long: the group that each block belongs to."""
    size: int
    """Rows in a block."""


def pack_blocks(group: Tensor, num_groups: int, size: int) -> Blocks:
    """Pack rows into blocks of ``size`` rows, each block of a single group.

    At most ``ceil(rows / size) + num_groups`` blocks are needed whatever the groups are, so shapes are static.

    Args:
        group: (rows,) long, values in 0..num_groups-1.
        num_groups: number of groups.
        size: rows in a block, at least 1.

    Returns:
        The slot of each row and the group of each block.

    Example:
        >>> blocks = pack_blocks(torch.tensor([1, 0, 1, 1]), num_groups=2, size=2)
        >>> blocks.slot.tolist(), blocks.group.tolist()
        ([2, 0, 3, 4], [0, 1, 1, 1])
    """
    rows = group.shape[0]
    counts = torch.zeros(num_groups, dtype=torch.long, device=group.device)
    counts = counts.scatter_add(0, group, torch.ones_like(group))
    first_block = torch.cumsum((counts + size - 1) // size, 0)
    last_block = first_block
    first_block = first_block - (counts + size - 1) // size
    order = torch.argsort(group, stable=True)
    first_row = torch.cumsum(counts, 0) - counts
    sorted_group = group[order]
    rank = torch.arange(rows, device=group.device) - first_row[sorted_group]
    slot = torch.empty_like(group).scatter(0, order, first_block[sorted_group] * size + rank)
    num_blocks = math.ceil(rows / size) + num_groups
    block_group = torch.searchsorted(last_block, torch.arange(num_blocks, device=group.device), right=True)
    return Blocks(slot, block_group.clamp(max=num_groups - 1), size)


class GroupedMLP(nn.Module):
    """``num_groups`` independent networks of one shape, each an affine path plus a multilayer perceptron.

        f_g(u) = A_g u + b_g + MLP_g(u)

    The last layer of the perceptron starts at zero, so a new network is affine; the affine part starts at zero too.

    Args:
        num_groups: number of networks.
        in_features: width of the input u.
        out_features: width of the output.
        hidden: widths of the hidden layers; empty for affine functions.
        block: rows in a block of the packed evaluation.
        few: rows times groups up to which every network is evaluated for every row.
        activation: of the hidden layers.
    """

    def __init__(
        self,
        num_groups: int,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (64, 64),
        *,
        block: int = 32,
        few: int = 1024,
        activation: Activation = "silu",
    ) -> None:
        super().__init__()
        self.activation = activation
        self.num_groups, self.in_features, self.out_features = num_groups, in_features, out_features
        self.block, self.few = block, few
        self.affine = nn.Parameter(torch.zeros(num_groups, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_groups, 1, out_features))
        widths = [in_features, *hidden, out_features] if hidden else []
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for n_in, n_out in itertools.pairwise(widths):
            bound = 1 / math.sqrt(n_in)
            self.weights.append(nn.Parameter(torch.empty(num_groups, n_in, n_out).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(num_groups, 1, n_out).uniform_(-bound, bound)))
        if hidden:
            nn.init.zeros_(self.weights[-1])
            nn.init.zeros_(self.biases[-1])

    def forward(self, inputs: Tensor, group: Tensor) -> Tensor:
        """Evaluate for each row the network of its group.

        Args:
            inputs: (rows, in_features).
            group: (rows,) long, values in 0..num_groups-1.

        Returns:
            (rows, out_features).
        """
        if len(inputs) * self.num_groups <= self.few:
            every = self.all(inputs.expand(self.num_groups, *inputs.shape))
            return every.gather(0, group.view(1, -1, 1).expand(1, -1, self.out_features)).squeeze(0)
        blocks = pack_blocks(group, self.num_groups, self.block)
        num_blocks = blocks.group.shape[0]
        packed = inputs.new_zeros(num_blocks * blocks.size, inputs.shape[-1]).index_copy(0, blocks.slot, inputs)
        out = self._evaluate(packed.view(num_blocks, blocks.size, -1), blocks.group)
        return out.view(-1, self.out_features)[blocks.slot]

    def all(self, inputs: Tensor) -> Tensor:
        """Evaluate every network on its own input.

        Args:
            inputs: (num_groups, rows, in_features).

        Returns:
            (num_groups, rows, out_features).
        """
        return self._evaluate(inputs, None)

    def one(self, inputs: Tensor, group: Tensor) -> Tensor:
        """Evaluate one network for all rows.

        Args:
            inputs: (rows, in_features).
            group: (1,) long, which one.

        Returns:
            (rows, out_features).
        """
        return self._evaluate(inputs.unsqueeze(0), group).squeeze(0)

    def _evaluate(self, inputs: Tensor, group: Tensor | None) -> Tensor:
        def of_group(parameter: Tensor) -> Tensor:
            return parameter if group is None else parameter[group]

        out = torch.baddbmm(of_group(self.bias), inputs, of_group(self.affine))
        hidden = inputs
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                hidden = activate(self.activation, hidden)
            hidden = torch.baddbmm(of_group(bias), hidden, of_group(weight))
        return out + hidden if len(self.weights) else out
