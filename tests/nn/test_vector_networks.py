"""Encoder and decoder for vectors."""

import pytest
import torch

from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder


@pytest.mark.parametrize(("dim_x", "dim_z", "hidden"), [(4, 4, ()), (6, 3, (8,)), (1, 1, ())])
def test_at_the_start_the_code_is_the_first_coordinates(dim_x, dim_z, hidden):
    x = torch.randn(7, dim_x)
    mean, sd = VectorEncoder(dim_x, dim_z, hidden, initial_sd=0.2)(x)
    torch.testing.assert_close(mean, x[:, :dim_z])
    torch.testing.assert_close(sd, torch.full((7, dim_z), 0.201))
    back, sd_x = VectorDecoder(dim_z, dim_x, hidden, initial_sd=0.3)(mean)
    torch.testing.assert_close(back, torch.cat([x[:, :dim_z], torch.zeros(7, dim_x - dim_z)], 1))
    torch.testing.assert_close(sd_x, torch.full((dim_x,), 0.31))


def test_with_one_flow_for_both_the_decoder_undoes_the_encoder():
    encoder = VectorEncoder(4, 4, (), flow=Flow(4, layers=4, hidden=8)).double()
    decoder = VectorDecoder(4, 4, (), flow=Flow(4, layers=4, hidden=8)).double()
    with torch.no_grad():
        for coupling in encoder.flow.couplings:
            coupling.network[-1].weight.normal_(0.0, 0.3)
    decoder.flow.load_state_dict(encoder.flow.state_dict())
    x = torch.randn(30, 4, dtype=torch.float64)
    torch.testing.assert_close(decoder(encoder(x)[0])[0], x, rtol=0, atol=1e-10)


def test_the_mean_is_the_flow_of_the_code():
    encoder = VectorEncoder(5, 3, (8,), flow=Flow(3, layers=2, hidden=8))
    encoder.flow.compose(torch.randn(3, 3), torch.randn(3))
    x = torch.randn(6, 5)
    torch.testing.assert_close(encoder(x)[0], encoder.flow(encoder.code(x))[0])


def test_standard_deviations_keep_their_bounds():
    encoder = VectorEncoder(2, 2, (), min_sd=0.01)
    decoder = VectorDecoder(2, 2, (), min_sd=0.02)
    with torch.no_grad():
        encoder.log_sd.copy_(torch.tensor([-1e3, 1e3]))
        decoder.log_sd.fill_(-1e3)
    sd = encoder(torch.randn(5, 2))[1]
    assert sd[:, 0].allclose(torch.tensor(0.01))
    assert sd[:, 1].max() <= torch.tensor(2.0).exp() + 0.01
    assert decoder(torch.randn(5, 2))[1].allclose(torch.tensor(0.02))


def test_the_standard_deviation_may_depend_on_x():
    encoder = VectorEncoder(2, 2, ())
    with torch.no_grad():
        encoder.spread[-1].weight.normal_()
    sd = encoder(torch.randn(5, 2))[1]
    assert sd.std(0).min() > 0


def test_leading_axes_are_free():
    encoder, decoder = VectorEncoder(4, 2, (8,)), VectorDecoder(2, 4, (8,))
    x = torch.randn(3, 5, 4)
    mean, sd = encoder(x)
    assert mean.shape == sd.shape == (3, 5, 2)
    back, sd_x = decoder(mean)
    assert (back.shape, sd_x.shape) == ((3, 5, 4), (4,))
