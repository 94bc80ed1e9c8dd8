"""Encoder and decoder of images whose latents are those of a convolutional network, sent through a flow.

        encoder   u = CNN(x),         q(z | x) = N(flow(u), sd(x)^2)
        decoder   u = flow'^-1(z),    p(x | z) = N(CNN'(u), sd^2)

The networks find what varies, the flow which directions of it are whose: a linear start in closed form goes into it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyro_lcm.nn.flow import Flow
from pyro_lcm.nn.images import ImageDecoder, ImageEncoder


class ImageFlowEncoder(nn.Module):
    """Mean and standard deviation of q(z | x) for images.

    Args:
        body: from images to a code and the standard deviations.
        flow: from the code to latents.
    """

    def __init__(self, body: ImageEncoder, flow: Flow) -> None:
        super().__init__()
        self.body, self.flow = body, flow

    @torch.no_grad()
    def set_tolerance(self, value: float) -> None:
        """Begin with posteriors of this standard deviation, in units of the latents."""
        self.body.log_sd.fill_(value).log_()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (..., d), for (..., 3, size, size) images."""
        code, sd = self.body(x)
        return self.flow.image(code), sd


class ImageFlowDecoder(nn.Module):
    """Mean and standard deviation of p(x | z) for images.

    Args:
        flow: from the code to latents, whose inverse is used.
        body: from a code to images.
    """

    def __init__(self, flow: Flow, body: ImageDecoder) -> None:
        super().__init__()
        self.flow, self.body = flow, body

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., 3, size, size) and standard deviation (3, 1, 1) for (..., d) latents."""
        mean, sd = self.body(self.flow.inverse(latents))
        return mean, sd
