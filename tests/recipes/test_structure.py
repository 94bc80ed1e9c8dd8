"""Order, graph and mechanisms from the pairs."""

import numpy as np
import pytest
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.identify.parents import mechanism_parents, nonlinear_parents, sparse_regression
from pyro_lcm.recipes.calibrate import Calibrate
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.recipes.structure import FindGraph, FindParents
from pyro_lcm.registry import build
from pyro_lcm.training.sources import TensorSource


@pytest.fixture(autouse=True)
def _no_gradients():
    # As the driver calls hooks.
    with torch.no_grad():
        yield


@pytest.mark.parametrize("seed", range(20))
def test_sparse_regression_keeps_the_parents_alone(seed):
    """A false parent needs |t| > 4.7, once in 400,000; a true one lost needs an estimate six standard errors off."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(2000, 8)) @ (np.eye(8) + 0.3 * rng.normal(size=(8, 8)))
    weights = np.zeros(8)
    parents = sorted(rng.choice(8, seed % 5, replace=False).tolist())
    weights[parents] = rng.choice([-1, 1], len(parents)) * rng.uniform(0.5, 1.5, len(parents))
    response = features @ weights + 0.7 + 0.4 * rng.normal(size=2000)
    chosen, coefficients, sd = sparse_regression(features, response)
    assert chosen == parents
    np.testing.assert_allclose(coefficients, [*weights[parents], 0.7], atol=0.1)
    assert sd == pytest.approx(0.4, rel=0.1)


def test_sparse_regression_without_features_is_a_mean():
    response = np.array([1.0, 2.0, 6.0])
    chosen, coefficients, sd = sparse_regression(np.empty((3, 0)), response)
    assert chosen == []
    assert coefficients == pytest.approx([3.0])
    assert sd == pytest.approx(response.std(ddof=1))


def test_sparse_regression_bears_copies_of_a_feature():
    rng = np.random.default_rng(0)
    feature = rng.normal(size=500)
    response = feature + 0.1 * rng.normal(size=500)
    chosen, coefficients, _ = sparse_regression(np.column_stack([feature, feature]), response)
    assert chosen
    assert np.isfinite(coefficients).all()
    assert coefficients[:-1].sum() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_nonlinear_parents_are_the_parents_alone(seed):
    """No failure in 12 seeds, of which these are five."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(600, 5))
    response = np.tanh(features[:, 0]) - 0.8 * np.sin(features[:, 3]) + 0.3 * rng.normal(size=600)
    assert nonlinear_parents(features, response) == [0, 3]
    assert nonlinear_parents(features, rng.normal(size=600)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_dependence_that_an_intervention_leaves_is_no_edge(seed):
    """A leak of one predecessor into the variable that was read off; no failure in 10 seeds."""
    rng = np.random.default_rng(seed)
    features, features_redrawn = rng.normal(size=(2, 2000, 3))
    natural = np.sin(2 * features[:, 0]) + rng.normal(size=2000) + 0.3 * features[:, 1]
    redrawn = rng.normal(size=2000) + 0.3 * features_redrawn[:, 1]
    assert mechanism_parents(features, natural, features_redrawn, redrawn) == [0]
    assert 1 in nonlinear_parents(features, natural)


def _perfect(system, pairs):
    """The model whose encoder is the truth: code and noise encodings are those of the system."""
    dim = system.dim
    objective = RecipeObjective(*build(Architecture("ilcm", dim_x=dim, dim_z=dim, flow_layers=0, solution_hidden=(8,))))
    source = TensorSource(
        {"x": torch.from_numpy(pairs.noise).float(), "x_after": torch.from_numpy(pairs.noise_after).float()}
    )
    Calibrate()(objective, source, 0)
    return objective, source


@pytest.mark.parametrize("seed", range(6))
def test_a_linear_system_gives_its_graph_and_an_invertible_solution(seed):
    system = ScalingSystem(4, seed=seed, random_order=True)
    pairs = system.sample(10_000)
    objective, source = _perfect(system, pairs)
    report = FindGraph(linear=True)(objective, source, 0)
    solution = objective.model.solution
    assert np.array_equal(solution.adjacency.numpy(), system.adjacency)
    assert report["edges"] == system.adjacency.sum()
    _assert_acyclic(objective)
    # Recomposed from the mechanisms, the learned variables are the true ones up to shift and scale.
    found = solution(source.tensors["x"]).numpy()
    correlation = np.corrcoef(found.T, pairs.z.T)[:4, 4:]
    assert correlation.diagonal().min() > 0.999


@pytest.mark.parametrize("seed", [0, 1])
def test_the_evidence_finds_the_same_graph_without_knowing_that_it_is_linear(seed):
    system = ScalingSystem(4, seed=seed)
    objective, source = _perfect(system, system.sample(10_000))
    FindGraph(linear=False)(objective, source, 0)
    solution = objective.model.solution
    assert torch.equal(solution.adjacency, solution.context)
    report = FindParents()(objective, source, 0)
    assert np.array_equal(solution.adjacency.numpy(), system.adjacency)
    assert report["edges"] == system.adjacency.sum()
    _assert_acyclic(objective)


def test_solution_functions_of_causal_variables_can_be_left_to_their_parents():
    """z1, z2 and a child of z2 alone: what an effect does not show is forgotten, and what it shows is kept."""
    system = ScalingSystem(3, seed=0, edge_probability=0.0)
    objective, source = _perfect(system, system.sample(4000))
    solution = objective.model.solution
    solution.set_order([0, 1, 2])
    solution.networks.affine[2, 1, 0] = -1.5
    FindParents(restrict=True)(objective, source, 0)
    expected = torch.zeros(3, 3)
    expected[1, 2] = 1.0
    for found in (solution.adjacency, solution.context, solution.resolved):
        assert torch.equal(found, expected)


def test_with_few_pairs_all_predecessors_are_kept():
    system = ScalingSystem(3, seed=0)
    objective, source = _perfect(system, system.sample(40))
    FindGraph(linear=True)(objective, source, 0)
    solution = objective.model.solution
    assert torch.equal(solution.adjacency, solution.context)
    assert solution.context.sum() == 3
    _assert_acyclic(objective)


def _assert_acyclic(objective):
    solution = objective.model.solution
    dim = solution.dim
    order = solution.context.sum(0).argsort()
    assert torch.equal(solution.context[order][:, order], torch.ones(dim, dim).triu(1))
    assert (solution.adjacency <= solution.context).all()
