"""The model of content and style keeps the contract, and its densities are those that it says."""

import torch
from pyro import poutine
from torch.distributions import MultivariateNormal

from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.models.content_style import LEAST_WIDTH, ContentStyle
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.testing import PairProgramTests

DIM, DIM_X, ROWS = 2, 3, 5


class TestContract(PairProgramTests):
    settings = ({}, {"kl_weight": 0.3})
    has_target = False

    def make(self):
        encoder = VectorEncoder(DIM_X, DIM, (), hidden_sd=(3,))
        model = ContentStyle(DIM, VectorDecoder(DIM, DIM_X, ()))
        model.agreement.copy_(torch.tensor([0.9, 0.2]))
        return model, BetaVAEGuide(DIM, encoder)

    def batch(self):
        return {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}


def test_latents_of_both_sides_are_normal_with_the_agreement_as_correlation():
    model = ContentStyle(2, VectorDecoder(2, 3, ()))
    model.agreement.copy_(torch.tensor([0.95, 0.3]))
    trace = poutine.trace(model).get_trace(size=50)
    trace.compute_log_prob()
    noise, redrawn = (trace.nodes[name]["value"] for name in ("noise", "redrawn"))
    for k, agreement in enumerate((0.95, 0.3)):
        covariance = torch.tensor([[1.0, agreement], [agreement, 1.0]])
        joint = MultivariateNormal(torch.zeros(2), covariance).log_prob(torch.stack([noise[:, k], redrawn[:, k]], 1))
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(noise[:, k])
        torch.testing.assert_close(prior + model.after_dist(noise).log_prob(redrawn)[:, k], joint, atol=1e-4, rtol=1e-4)


def test_what_agrees_exactly_has_a_density():
    model = ContentStyle(1, VectorDecoder(1, 1, ()))
    model.agreement.fill_(1.0)
    assert float(model.after_dist(torch.zeros(1, 1)).stddev) == torch.tensor(LEAST_WIDTH)
