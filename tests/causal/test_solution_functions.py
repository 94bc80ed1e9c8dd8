"""Solution functions: densities, inverses, and who may depend on whom."""

import pyro
import pytest
import torch
from torch.distributions import Normal

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.training.checkpoint import copy_tensors, load_tensors

DIM = 3


def _solution(bins, dim=DIM, hidden=(6,), triangular=False):
    solution = SolutionFunctions(dim, hidden, min_scale=0.1, bins=bins).double()
    with torch.no_grad():
        for parameter in solution.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
        if triangular:
            solution.context.copy_(torch.ones(dim, dim).triu(1))
    return solution


def _noise(rows=20, dim=DIM):
    return 1.5 * torch.randn(rows, dim, dtype=torch.float64)


def _targets(rows=20, dim=DIM):
    return torch.arange(rows) % dim + 1


both = pytest.mark.parametrize("bins", [0, 5])


@both
def test_a_new_solution_function_is_the_identity(bins):
    solution = SolutionFunctions(DIM, bins=bins)
    noise = torch.randn(50, DIM)
    torch.testing.assert_close(solution(noise), noise, rtol=0, atol=2e-6)
    density = solution.redrawn(noise, torch.ones(50, dtype=torch.long)).log_prob(noise)
    torch.testing.assert_close(density, Normal(0.0, 1.0).log_prob(noise), rtol=0, atol=1e-5)


@both
def test_the_density_of_the_redrawn_component_integrates_to_one(bins):
    solution = _solution(bins)
    with torch.no_grad():
        for variable in range(DIM):
            noise = _noise(4)
            target = torch.full((4,), variable + 1)
            shift, scale = solution.coefficients(noise, target)
            # 12 standard deviations on each side; the tails beyond weigh less than 1e-30.
            grid = shift + scale * torch.linspace(-12, 12, 20_001, dtype=torch.float64).unsqueeze(1)
            after = noise.expand(len(grid), *noise.shape).clone()
            after[..., variable] = grid
            density = solution.redrawn(noise, target).log_prob(after)[..., variable].exp()
            total = torch.trapezoid(density, grid, dim=0)
            torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-5, atol=1e-5)


@both
def test_the_density_is_the_change_of_variables(bins):
    """p(e~_I | e) = N(z~_I) |dz~_I / de~_I| with z~_I = s_I(e~_I; e), the derivative by autograd."""
    solution = _solution(bins)
    noise, target = _noise(), _targets()
    column = (target - 1).unsqueeze(1)
    redrawn = _noise()[:, :1].requires_grad_()
    after = noise.scatter(1, column, redrawn)
    causal = solution(after).gather(1, column)
    (slope,) = torch.autograd.grad(causal.sum(), redrawn)
    expected = Normal(0.0, 1.0).log_prob(causal) + slope.log()
    found = solution.redrawn(noise, target).log_prob(after).gather(1, column)
    assert slope.min() > 0
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@both
def test_draws_of_the_redrawn_component_are_standard_normal_causal_variables(bins):
    solution = _solution(bins)
    noise = _noise(1).expand(20_000, DIM)
    for variable in range(DIM):
        target = torch.full((20_000,), variable + 1)
        with torch.no_grad():
            after = noise.clone()
            after[:, variable] = solution.redrawn(noise, target).sample()[:, variable]
            causal = solution(after)[:, variable]
        # Five standard errors: fails by chance once in a million.
        assert abs(causal.mean()) < 5 / 20_000**0.5
        assert abs(causal.square().mean() - 1) < 5 * (2 / 20_000) ** 0.5


@both
def test_the_density_does_not_depend_on_the_targets_own_noise_before(bins):
    solution = _solution(bins)
    noise, target = _noise(), _targets()
    other = noise.scatter_add(1, (target - 1).unsqueeze(1), torch.ones(20, 1, dtype=torch.float64))
    after = _noise()
    torch.testing.assert_close(
        solution.redrawn(noise, target).log_prob(after), solution.redrawn(other, target).log_prob(after)
    )


@both
def test_only_the_context_matters(bins):
    solution = _solution(bins)
    allowed = torch.tensor([[0, 1, 1], [0, 0, 0], [0, 1, 0]], dtype=torch.float64)
    with torch.no_grad():
        solution.context.copy_(allowed)
    jacobian = torch.autograd.functional.jacobian(lambda noise: solution(noise).sum(0), _noise()).abs().sum(1)
    assert torch.equal(jacobian > 0, allowed.T.bool() | torch.eye(3, dtype=torch.bool))


@both
def test_one_solution_function_equals_its_column_of_all(bins):
    solution = _solution(bins)
    noise, target = _noise(), _targets()
    one = solution.coefficients(noise, target)
    every = solution.all_coefficients(noise)
    for part, whole in zip(one, every, strict=True):
        torch.testing.assert_close(part, whole.gather(1, (target - 1).unsqueeze(1)).squeeze(1))
        assert whole.shape == noise.shape


@both
def test_leading_axes_broadcast(bins):
    solution = _solution(bins)
    noise = _noise(10).reshape(5, 2, DIM)
    target = _targets(4).reshape(4, 1, 1)
    found = solution.redrawn(noise, target)
    assert found.batch_shape == (4, 5, 2, DIM)
    value = _noise(10).reshape(5, 2, DIM)
    for k in range(4):
        flat = solution.redrawn(noise.reshape(-1, DIM), target[k].reshape(1).expand(10))
        torch.testing.assert_close(found.log_prob(value)[k].reshape(-1, DIM), flat.log_prob(value.reshape(-1, DIM)))
    torch.testing.assert_close(solution(noise).reshape(-1, DIM), solution(noise.reshape(-1, DIM)))


@both
def test_rows_without_target_have_a_finite_unused_density(bins):
    solution = _solution(bins)
    noise = _noise(2).requires_grad_()
    density = solution.redrawn(noise, torch.zeros(2, dtype=torch.long)).log_prob(noise)
    assert density.isfinite().all()
    (gradient,) = torch.autograd.grad(torch.where(torch.zeros(2, DIM).bool(), density, 0.0).sum(), noise)
    assert (gradient == 0).all()


def test_scales_keep_their_bounds():
    solution = SolutionFunctions(2, (), min_scale=0.2)
    with torch.no_grad():
        solution.networks.bias[:, 0, 1] = torch.tensor([-1e4, 1e4])
    _, scale = solution.all_coefficients(torch.zeros(1, 2))
    torch.testing.assert_close(scale[0, 0], torch.tensor(0.2), rtol=0.02, atol=0)
    assert scale[0, 1].isfinite()


@both
def test_shapes_need_no_values(bins):
    solution = SolutionFunctions(3, bins=bins).to("meta")
    noise, target = torch.empty(5, 3, device="meta"), torch.empty(5, dtype=torch.long, device="meta")
    assert solution(noise).shape == (5, 3)
    with pyro.validation_enabled(False):
        density = solution.redrawn(noise, target)
        assert density.batch_shape == (5, 3)
        density.log_prob(noise).sum().backward()
    assert solution.networks.affine.grad.shape == (3, 3, 2)


def test_affine_solution_functions_have_no_spline():
    with pytest.raises(ValueError, match="bins: got 0"):
        SolutionFunctions(2).spline(torch.tensor(0))


def test_an_order_that_is_copied_into_the_buffers_counts():
    """As a run that goes on from a checkpoint does it."""
    first, second = SolutionFunctions(3, (4,)), SolutionFunctions(3, (4,))
    noise = torch.randn(5, 3)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(torch.randn_like(parameter))
        second(noise)
        first.set_order([2, 0, 1])
        load_tensors(second, copy_tensors(first))
    torch.testing.assert_close(second(noise), first(noise))
    first.resolved.zero_()
    assert not torch.allclose(second(noise), first(noise))


def test_an_order_is_forgotten_and_a_context_without_one_is_kept():
    solution = SolutionFunctions(3)
    solution.set_order([2, 0, 1])
    solution.set_parents(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    solution.forget_order()
    expected = SolutionFunctions(3)
    for name, buffer in expected.named_buffers():
        assert torch.equal(dict(solution.named_buffers())[name], buffer), name
    solution.context.zero_()
    solution.forget_order()
    assert not solution.context.any()
