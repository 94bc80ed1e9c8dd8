"""A flow as encoder and decoder: inverse to each other, and the density is that of a change of variables."""

import pytest
import torch

from pyro_lcm.nn import Flow
from pyro_lcm.nn.exact import ExactDecoder, ExactEncoder
from pyro_lcm.nn.recall import Recall

DIM = 3


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = ExactEncoder(Flow(DIM, layers=2, hidden=5).double())
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def test_the_density_is_the_jacobian_of_the_flow(encoder):
    x = torch.randn(4, DIM, dtype=torch.float64)
    latents, sd = encoder(x)
    assert not sd.any()
    found = ExactDecoder(encoder)(latents).log_prob(x)

    def image(row):
        return encoder(row[None])[0][0]

    jacobians = torch.stack([torch.autograd.functional.jacobian(image, row) for row in x])
    torch.testing.assert_close(found, torch.linalg.slogdet(jacobians)[1])


def test_decoding_undoes_encoding(encoder):
    x = torch.randn(4, DIM, dtype=torch.float64)
    decoded = ExactDecoder(encoder)(encoder(x)[0])
    torch.testing.assert_close(decoded.mean, x)
    torch.testing.assert_close(decoded.sample((2,))[1], x)
    torch.testing.assert_close(decoded.expand((4,)).mean, x)


def test_one_pass_serves_both(encoder):
    x = torch.randn(4, DIM, dtype=torch.float64)
    plain = ExactDecoder(encoder)(encoder(x)[0]).log_prob(x)
    with Recall():
        shared = ExactDecoder(encoder)(encoder(x)[0]).log_prob(x)
    assert torch.equal(plain, shared)
