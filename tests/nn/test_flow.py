"""The flow is a diffeomorphism: exact inverse, exact log determinant."""

import pytest
import torch

from pyro_lcm.nn.flow import Coupling, Flow


def _bent(dim, layers=5, scale=0.5):
    """A flow far from the identity."""
    flow = Flow(dim, layers=layers, hidden=8).double()
    with torch.no_grad():
        for coupling in flow.couplings:
            coupling.network[-1].weight.normal_(0.0, scale)
            coupling.network[-1].bias.normal_(0.0, scale)
        flow.weight.add_(0.3 * torch.randn_like(flow.weight))
        flow.bias.normal_()
    return flow


def _value(dim, rows=40):
    return 2 * torch.randn(rows, dim, dtype=torch.float64)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7])
def test_the_inverse_is_exact(dim):
    flow, value = _bent(dim), _value(dim)
    image, _ = flow(value)
    torch.testing.assert_close(flow.inverse(image), value, rtol=0, atol=1e-10)
    torch.testing.assert_close(flow.image(value), image, rtol=0, atol=0)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_every_value_is_an_image(dim):
    # A mild flow: a strong one sends values that it was not fitted to far away, where digits are lost.
    flow, value = _bent(dim, scale=0.05), _value(dim)
    torch.testing.assert_close(flow.image(flow.inverse(value)), value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_the_log_determinant_is_that_of_the_jacobian(dim):
    flow, value = _bent(dim), _value(dim, rows=6)
    _, found = flow(value)
    jacobians = torch.stack([torch.autograd.functional.jacobian(flow.image, row) for row in value])
    torch.testing.assert_close(found, torch.linalg.slogdet(jacobians)[1], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_new_flow_is_the_identity(dim):
    flow, value = Flow(dim, layers=6).double(), _value(dim)
    image, log_det = flow(value)
    torch.testing.assert_close(image, value, rtol=0, atol=1e-5)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0, atol=1e-5)


def test_one_dimension_has_no_couplings():
    flow = Flow(1, layers=6)
    assert len(flow.couplings) == 0
    assert sum(parameter.numel() for parameter in flow.parameters()) == 2


@pytest.mark.parametrize("layers", [0, 3])
def test_compose_follows_by_a_linear_map(layers):
    flow, value = _bent(3, layers), _value(3)
    image, log_det = flow(value)
    weight, bias = torch.randn(3, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    flow.compose(weight, bias)
    composed, composed_log_det = flow(value)
    torch.testing.assert_close(composed, image @ weight + bias)
    torch.testing.assert_close(composed_log_det, log_det + torch.linalg.slogdet(weight)[1])
    torch.testing.assert_close(flow.inverse(composed), value, rtol=0, atol=1e-10)


def test_leading_axes_are_free():
    flow = _bent(3)
    value = torch.randn(2, 4, 3, dtype=torch.float64)
    image, log_det = flow(value)
    rows_image, rows_log_det = flow(value.reshape(8, 3))
    torch.testing.assert_close(image.reshape(8, 3), rows_image)
    torch.testing.assert_close(log_det.reshape(8), rows_log_det)
    torch.testing.assert_close(flow.inverse(value).reshape(8, 3), flow.inverse(value.reshape(8, 3)))


def test_a_coupling_increases_in_every_moved_coordinate_and_bends():
    coupling = Coupling(2, 8, swap=False).double()
    with torch.no_grad():
        coupling.network[-1].weight.zero_()
        coupling.network[-1].bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.5, -3.0]))
    line = torch.stack([torch.zeros(401), torch.linspace(-10, 10, 401)], 1).double()
    image = coupling(line.T)[0][1]
    slopes = image.diff() / line[:, 1].diff()
    bend = 0.95 * torch.tanh(torch.tensor(1.0, dtype=torch.float64))
    assert slopes.min() > 0
    torch.testing.assert_close(slopes[-1] / slopes[0], (1 + bend) / (1 - bend), rtol=1e-3, atol=0)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("dim", [2, 3])
def test_half_of_the_coordinates_pass_a_coupling(dim, swap):
    coupling = Coupling(dim, 8, swap=swap)
    with torch.no_grad():
        coupling.network[-1].bias.normal_()
    value = torch.randn(10, dim)
    image = coupling(value.T)[0].T
    same = (image == value).all(0)
    passed = torch.arange(dim) >= dim // 2 if swap else torch.arange(dim) < dim // 2
    assert torch.equal(same, passed)


def test_gradients_reach_every_parameter():
    flow = Flow(4, layers=4, hidden=8)
    with torch.no_grad():
        for coupling in flow.couplings:
            coupling.network[-1].weight.normal_(0.0, 0.1)
    image, log_det = flow(torch.randn(30, 4))
    (image.square().sum() - log_det.sum()).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in flow.parameters())


def test_shapes_need_no_values():
    flow = Flow(4, layers=3, hidden=8).to("meta")
    value = torch.empty(10, 4, device="meta")
    image, log_det = flow(value)
    assert (image.shape, log_det.shape, flow.inverse(image).shape) == ((10, 4), (10,), (10, 4))
    (log_det.sum() + image.sum()).backward()
