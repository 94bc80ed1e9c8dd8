"""Order, effects and graph of solution functions whose mechanisms are known."""

import numpy as np
import pytest
import torch

from pyro_lcm.causal.jacobian import causal_order, direct_effects, jacobian, read_graph
from pyro_lcm.causal.solution import SolutionFunctions

WEIGHTS = np.zeros((4, 4))
"""``[parent, child]`` of z = e D + z W, with causes in the order 2, 0, 3, 1."""
WEIGHTS[2, 0], WEIGHTS[0, 3], WEIGHTS[3, 1], WEIGHTS[2, 1] = 0.8, -1.2, 0.5, 0.9
OWN = np.array([1.0, 0.7, 1.3, 0.6])
"""Scale of each variable's own noise."""


@pytest.fixture
def linear():
    """Solution functions of z_i = own_i e_i + sum_k w_ki z_k, so that scale_i = 1 / own_i."""
    total = np.linalg.inv(np.eye(4) - WEIGHTS.T) @ np.diag(OWN)
    solution = SolutionFunctions(4, (5,), min_scale=0.01).double()
    with torch.no_grad():
        for i in range(4):
            scale = 1 / OWN[i]
            shift = -total[i] * scale
            shift[i] = 0.0
            solution.networks.affine[i, :, 0] = torch.as_tensor(shift)
            solution.networks.bias[i, 0, 0] = 0.3 * scale
            solution.networks.bias[i, 0, 1] = float(np.log((scale - 0.01) / 0.99))
    return solution


@pytest.fixture
def noise():
    return torch.randn(200, 4, dtype=torch.float64)


def test_the_jacobian_of_linear_mechanisms(linear, noise):
    expected = np.linalg.inv(np.eye(4) - WEIGHTS.T) @ np.diag(OWN)
    found = jacobian(linear, noise)
    assert found.shape == (200, 4, 4)
    np.testing.assert_allclose(found.detach().numpy(), np.broadcast_to(expected, (200, 4, 4)), atol=1e-10)


def test_the_jacobian_of_bent_mechanisms_is_near_autograd(noise):
    solution = SolutionFunctions(4, (6,)).double()
    with torch.no_grad():
        for parameter in solution.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    found = jacobian(solution, noise[:5], step=1e-4)
    expected = torch.stack([torch.autograd.functional.jacobian(solution, row[None])[0, :, 0] for row in noise[:5]])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_direct_effects_are_those_of_the_mechanisms_in_units_of_own_noise(linear, noise):
    expected = np.abs(WEIGHTS) * OWN[:, None] / OWN[None, :]
    np.testing.assert_allclose(direct_effects(linear, noise), expected, atol=1e-10)


def test_the_order_is_causal(linear, noise):
    assert causal_order(linear, noise) == [2, 0, 3, 1]


def test_the_graph_is_exact(linear, noise):
    assert np.array_equal(read_graph(linear, noise), WEIGHTS != 0)


def test_a_threshold_cuts_weak_effects(linear, noise):
    strength = np.abs(WEIGHTS) * OWN[:, None] / OWN[None, :]
    assert np.array_equal(read_graph(linear, noise, threshold=1.0), strength > 1.0)


def test_new_solution_functions_have_no_edges(noise):
    assert read_graph(SolutionFunctions(4).double(), noise).sum() == 0


def test_cyclic_solution_functions_give_an_acyclic_graph(noise):
    for seed in range(20):
        torch.manual_seed(seed)
        solution = SolutionFunctions(4, (5,)).double()
        with torch.no_grad():
            for parameter in solution.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
            graph = read_graph(solution, noise).astype(int)
        assert np.trace(np.linalg.matrix_power(graph + np.eye(4, dtype=int), 4)) == 4


def test_one_variable_has_an_order_and_no_edges():
    solution = SolutionFunctions(1).double()
    noise = torch.randn(10, 1, dtype=torch.float64)
    assert causal_order(solution, noise) == [0]
    assert read_graph(solution, noise).tolist() == [[0]]
