"""Monotone splines: exact inverse, derivatives by autograd, the identity outside, no values on the host."""

import pytest
import torch

from pyro_lcm.nn import MonotoneSpline


def random_spline(shape=(), bins=6, dtype=torch.float64, bound=4.0, **options):
    """Bins of very different widths, slopes between 0.05 and 20."""
    generator = torch.Generator().manual_seed(bins)
    widths, heights = (torch.randn(2, *shape, bins, generator=generator, dtype=dtype, **options)).softmax(-1)
    slopes = torch.randn(*shape, bins - 1, generator=generator, dtype=dtype, **options).clamp(-3, 3).exp()
    return MonotoneSpline(widths, heights, slopes, bound=bound)


GRID = torch.linspace(-6, 6, 4001, dtype=torch.float64)


@pytest.mark.parametrize("bins", [1, 2, 9])
def test_the_inverse_is_exact(bins):
    spline = random_spline(bins=bins)
    y = spline(GRID)
    assert bool((y.diff() > 0).all())
    torch.testing.assert_close(spline.inv(y), GRID, rtol=0, atol=1e-10)
    torch.testing.assert_close(spline(spline.inv(GRID)), GRID, rtol=0, atol=1e-10)


def test_the_inverse_in_single_precision():
    spline, grid = random_spline(dtype=torch.float32), GRID.float()
    # Half a unit in the last place of 4 is 2.4e-7; the steepest slope here stays below 10.
    torch.testing.assert_close(spline(spline.inv(grid)), grid, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bins", [1, 2, 9])
def test_the_derivative_is_autograds(bins):
    spline = random_spline(bins=bins)
    x = GRID.clone().requires_grad_()
    y = spline(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(spline.log_abs_det_jacobian(x, y), slope.log(), rtol=0, atol=1e-9)
    y = y.detach().requires_grad_()
    (back,) = torch.autograd.grad(spline.inv(y).sum(), y)
    torch.testing.assert_close(back, 1 / slope, rtol=1e-7, atol=0)


def test_the_derivative_is_continuous_at_the_knots():
    spline = random_spline()
    for knot in spline._x:
        sides = torch.stack([knot - 1e-9, knot + 1e-9])
        log_slopes = spline.log_abs_det_jacobian(sides, spline(sides))
        torch.testing.assert_close(log_slopes[0], log_slopes[1], rtol=0, atol=1e-5)


def test_it_is_the_identity_outside():
    spline = random_spline(bound=2.0)
    outside = GRID[GRID.abs() >= 2]
    assert torch.equal(spline(outside), outside)
    assert torch.equal(spline.inv(outside), outside)
    assert bool((spline.log_abs_det_jacobian(outside, outside) == 0).all())


def test_gradients_are_finite_everywhere():
    parameters = [torch.zeros(5, requires_grad=True), torch.zeros(5, requires_grad=True)]
    slopes = torch.ones(4, requires_grad=True)
    spline = MonotoneSpline(*(part.softmax(-1) for part in parameters), slopes)
    x = torch.tensor([-1e6, -4.0, 0.0, 4.0, 1e6], requires_grad=True)
    (spline(x) + spline.inv(x) + spline.log_abs_det_jacobian(x, x)).sum().backward()
    for tensor in (*parameters, slopes, x):
        assert bool(tensor.grad.isfinite().all())


def test_parameters_and_values_broadcast():
    spline = random_spline((3,))
    values = GRID[:100].reshape(50, 2, 1)
    found = spline(values)
    assert found.shape == spline.forward_shape(values.shape) == (50, 2, 3)
    single = MonotoneSpline(*(_lengths(part[1]) for part in (spline._x, spline._y)), spline._slopes[1, 1:-1])
    torch.testing.assert_close(found[..., 1:2], single(values))
    torch.testing.assert_close(spline.inv(found), values.expand(50, 2, 3))


def _lengths(knots):
    return knots.diff() / 8


def test_shapes_need_no_values():
    spline = MonotoneSpline(*torch.empty(2, 3, 5, device="meta"), torch.empty(3, 4, device="meta"))
    x = torch.empty(7, 3, device="meta")
    assert spline.inv(spline(x)).shape == spline.log_abs_det_jacobian(x, x).shape == (7, 3)
