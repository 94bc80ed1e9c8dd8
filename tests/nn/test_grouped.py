"""Grouped networks against a plain loop over rows and groups."""

import math

import pytest
import torch
from torch import nn

from pyro_lcm.nn.grouped import GroupedMLP, pack_blocks


def _random_network(groups, n_in=3, n_out=2, hidden=(5, 4), block=4, few=0):
    network = GroupedMLP(groups, n_in, n_out, hidden, block=block, few=few).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.7)
    return network


def _one_row(network, value, group):
    """f_g(u) = A_g u + b_g + MLP_g(u), written out for one row."""
    hidden = value
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if layer:
            hidden = nn.functional.silu(hidden)
        hidden = hidden @ weight[group] + bias[group, 0]
    out = value @ network.affine[group] + network.bias[group, 0]
    return out + hidden if len(network.weights) else out


GROUPS = {
    "mixed": [2, 0, 2, 4, 0, 2, 2, 2, 0, 4, 2],
    "all in one": [3] * 9,
    "all in the last": [4] * 5,
    "one row": [1],
    "exact blocks": [0] * 4 + [3] * 4,
    "no row": [],
}


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
@pytest.mark.parametrize("case", GROUPS)
@pytest.mark.parametrize("few", [0, 1000])
def test_values_and_gradients_equal_a_loop_over_rows(case, hidden, few):
    network = _random_network(5, hidden=hidden, few=few)
    group = torch.tensor(GROUPS[case], dtype=torch.long)
    inputs = torch.randn(len(group), 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(len(group), 2, dtype=torch.float64)
    wanted = [*network.parameters(), inputs]
    found = network(inputs, group)
    expected = (
        torch.stack([_one_row(network, row, g) for row, g in zip(inputs, group, strict=True)]) if len(group) else found
    )
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    if not len(group):
        assert found.shape == (0, 2)
        return
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
        rtol=1e-12,
        atol=1e-12,
    )


def test_networks_without_rows_get_no_gradient():
    network = _random_network(5)
    network(torch.randn(6, 3, dtype=torch.float64), torch.tensor([2, 2, 0, 0, 2, 0])).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad[[1, 3, 4]].abs().max() == 0
        assert parameter.grad[0].abs().max() > 0


def test_rows_do_not_depend_on_each_other_or_their_order():
    network = _random_network(3)
    inputs, group = torch.randn(20, 3, dtype=torch.float64), torch.randint(0, 3, (20,))
    order = torch.randperm(20)
    whole = network(inputs, group)
    torch.testing.assert_close(network(inputs[order], group[order]), whole[order])
    torch.testing.assert_close(network(inputs[:7], group[:7]), whole[:7])


@pytest.mark.parametrize("block", [1, 3, 32])
def test_the_size_of_blocks_changes_nothing(block):
    network = _random_network(4)
    inputs, group = torch.randn(25, 3, dtype=torch.float64), torch.randint(0, 4, (25,))
    expected = network(inputs, group)
    network.block = block
    torch.testing.assert_close(network(inputs, group), expected)


def test_all_evaluates_every_network_on_its_own_input():
    network = _random_network(4)
    inputs = torch.randn(4, 6, 3, dtype=torch.float64)
    expected = torch.stack([network(inputs[g], torch.full((6,), g)) for g in range(4)])
    torch.testing.assert_close(network.all(inputs), expected)


def test_a_new_network_is_zero_and_its_hidden_layers_are_not():
    network = GroupedMLP(3, 4, 2)
    assert network(torch.randn(10, 4), torch.randint(0, 3, (10,))).abs().max() == 0
    assert network.weights[0].std() > 0.1
    network(torch.randn(10, 4), torch.randint(0, 3, (10,))).sum().backward()
    assert network.weights[-1].grad.abs().max() > 0


def test_packed_blocks_hold_one_group_each_and_every_row_once():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        rows, groups, size = (int(torch.randint(low, 12, (), generator=generator)) for low in (0, 1, 1))
        used = int(torch.randint(1, groups + 1, (), generator=generator))
        group = torch.randint(0, used, (rows,), generator=generator)
        blocks = pack_blocks(group, groups, size)
        assert blocks.group.shape == (math.ceil(rows / size) + groups,)
        assert blocks.slot.unique().numel() == rows
        assert rows == 0 or (blocks.slot.min() >= 0 and blocks.slot.max() < len(blocks.group) * size)
        assert torch.equal(blocks.group[blocks.slot // size], group)
        assert blocks.group.min() >= 0
        assert blocks.group.max() < groups


def test_shapes_need_no_values():
    network = GroupedMLP(3, 4, 2).to("meta")
    inputs = torch.empty(10, 4, device="meta", requires_grad=True)
    out = network(inputs, torch.empty(10, dtype=torch.long, device="meta"))
    assert out.shape == (10, 2)
    assert out.device.type == "meta"
    out.sum().backward()
    assert network.affine.grad.shape == (3, 4, 2)
