"""Solution functions of a fitted model, read as mechanisms."""

import copy

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import Predictive

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.reasoning import FittedStructure, counterfactual, density_program, intervene, program, structural_model


@pytest.fixture(params=[0, 6], ids=["affine", "spline"])
def scm(request, fitted):
    """The fitted model, with solution functions that are anything but linear."""
    changed = copy.deepcopy(fitted)
    solution = SolutionFunctions(3, (8,), bins=request.param)
    solution.context.copy_(fitted.model.solution.context)
    with torch.no_grad():
        for parameter in solution.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    changed.model.solution = solution
    return structural_model(changed)


def test_mechanisms_solve_as_the_solution_functions_do_and_invert_them(scm):
    noise = torch.randn(30, 3)
    world = scm.solve(noise)
    torch.testing.assert_close(world.causal, scm._model.causal(noise), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scm.invert(world.causal), noise, atol=1e-3, rtol=1e-3)


def test_pyro_do_and_solve_agree(scm):
    noise, value = torch.randn(30, 3), torch.linspace(-1, 1, 30)
    ours = scm.solve(noise, {0: lambda natural: value, 2: lambda natural: -value})
    causal, x = pyro.do(program(scm), {"a": value, "c": -value})(noise)
    torch.testing.assert_close(causal, ours.causal, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(x, scm.decode(ours), atol=1e-3, rtol=1e-3)


def test_density_is_the_change_of_variables(scm):
    noise = torch.randn(4, 3)
    causal = scm.solve(noise).causal
    jacobian = torch.autograd.functional.jacobian(lambda e: scm.solve(e).causal.sum(0), noise).permute(1, 0, 2)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(-1) - torch.linalg.slogdet(jacobian)[1]
    found = sum(scm.mechanism(i, causal).density().log_prob(causal[:, i]) for i in range(3))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_predictive_draws_from_both_programs(scm):
    for make in (program, density_program):
        drawn = Predictive(make(scm), num_samples=400, parallel=True)(size=3)["causal"]
        assert drawn.shape == (400, 3, 3)
        expected = scm.solve(torch.randn(5000, 3)).causal
        # 1,200 and 5,000 draws: five standard errors of a mean
        assert bool(((drawn.mean((0, 1)) - expected.mean(0)).abs() < 5 * expected.std(0) / 1200**0.5 * 1.2).all())


def test_effects_along_all_edges_are_the_effects(scm):
    noise, actions = torch.randn(20, 3), {scm.order[0]: lambda natural: natural + 1}
    along = scm.solve_along(noise, actions, scm.adjacency)
    torch.testing.assert_close(along.causal, scm.solve(noise, actions).causal, atol=1e-3, rtol=1e-3)


def test_non_descendants_stay(fitted, observations):
    scm = structural_model(fitted)
    for name in scm.names:
        outcome = counterfactual(fitted, observations, {name: 1.0})
        before = scm.order[: scm.order.index(scm.names.index(name))]
        np.testing.assert_array_equal(outcome.causal[:, before], outcome.before[:, before])
        assert not np.allclose(outcome.x, observations, atol=0.1)
        same = counterfactual(fitted, observations, {name: lambda natural: natural})
        np.testing.assert_allclose(same.x, observations, atol=1e-4)


def test_the_counterfactual_is_the_simulators(fitted, system, observations):
    """A quick fit of linear data; the benchmark measures a full one. Normalised error 0.1 allowed."""
    pairs = system.sample(200, seed=5)
    matching = align(fitted.encode(observations).noise, pairs.noise)
    for variable in range(3):
        name, sign = fitted.names[matching.permutation[variable]], matching.signs[variable]
        truth = pyro.do(system.program.world, {f"z{variable + 1}": 0.8})(torch.as_tensor(pairs.noise)).x.numpy()
        found = counterfactual(fitted, observations, {name: 0.8 * sign}).x
        assert np.sqrt(((found - truth) ** 2).mean() / truth.var(axis=0).mean()) < 0.1


def test_a_model_without_order_or_solution_functions_raises(fitted):
    cyclic = copy.deepcopy(fitted)
    cyclic.model.solution.context.copy_(1 - torch.eye(3))
    with pytest.raises(ValueError, match="follow no causal order"):
        intervene(cyclic, {"a": 1.0})
    del cyclic.model.solution
    with pytest.raises(ValueError, match="expected a model with solution functions"):
        FittedStructure(cyclic)
