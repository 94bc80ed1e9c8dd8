"""The kinked map: its inverse, its slopes and its gradient, which is written out by hand."""

import pytest
import torch

from pyro_lcm.nn.kink import COEFFICIENTS, kink, unkink


def _numbers(coordinates=3, rows=7):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)  # noqa: E731
    return draw(COEFFICIENTS * coordinates, rows), draw(coordinates, rows)


def test_the_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(kink, _numbers())


def test_the_gradient_is_that_of_autograd():
    coefficients, value = _numbers()
    log_scale, shift, bend, centre, width = coefficients.chunk(5)
    log_scale, bend = 2 * torch.tanh(log_scale / 2), 0.95 * torch.tanh(bend)
    width = torch.nn.functional.softplus(width - 1) + 0.01
    root = ((value - centre).square() + width.square()).sqrt()
    expected = log_scale.exp() * (value + bend * root) + shift
    expected_log_det = (log_scale + (1 + bend * (value - centre) / root).log()).sum(0)
    found, log_det = kink(coefficients, value)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det, expected_log_det, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(found), torch.randn_like(log_det)
    for of_found, of_expected in zip(
        torch.autograd.grad([found, log_det], [coefficients, value], weights),
        torch.autograd.grad([expected, expected_log_det], [coefficients, value], weights),
        strict=True,
    ):
        torch.testing.assert_close(of_found, of_expected, rtol=1e-10, atol=1e-12)


def test_the_slope_is_that_of_the_map():
    coefficients, value = (part.detach() for part in _numbers(1))
    step = 1e-6
    slope = (kink(coefficients, value + step)[0] - kink(coefficients, value - step)[0]) / (2 * step)
    torch.testing.assert_close(kink(coefficients, value)[1], slope.log().squeeze(0), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_the_inverse_is_exact(spread):
    coefficients, value = (part.detach() for part in _numbers(5, 50))
    image, _ = kink(spread * coefficients, value)
    torch.testing.assert_close(unkink(spread * coefficients, image), value, rtol=1e-8, atol=1e-8)
