"""Images through a convolutional network and a flow: shapes, and a flow of the decoder that undoes the encoder's."""

import torch

from pyro_lcm.nn import Flow, ImageDecoder, ImageEncoder
from pyro_lcm.nn.image_flow import ImageFlowDecoder, ImageFlowEncoder


def test_the_flow_stands_between_the_networks_and_latents():
    torch.manual_seed(0)
    body, flow, painter = ImageEncoder(8, 2, channels=4), Flow(2, layers=2, hidden=4), ImageDecoder(2, 8, channels=4)
    x = torch.rand(5, 3, 8, 8)
    mean, sd = ImageFlowEncoder(body, flow)(x)
    torch.testing.assert_close(mean, flow.image(body(x)[0]))
    torch.testing.assert_close(sd, body(x)[1])
    painted, pixel_sd = ImageFlowDecoder(flow, painter)(mean)
    torch.testing.assert_close(painted, painter(body(x)[0])[0], atol=1e-4, rtol=1e-4)
    assert painted.shape == x.shape
    assert pixel_sd.shape == (3, 1, 1)


def test_posteriors_begin_where_they_are_told_to():
    encoder = ImageFlowEncoder(ImageEncoder(8, 2, channels=4), Flow(2, layers=0))
    encoder.set_tolerance(0.3)
    torch.testing.assert_close(encoder(torch.rand(2, 3, 8, 8))[1], torch.full((2, 2), 0.301))
