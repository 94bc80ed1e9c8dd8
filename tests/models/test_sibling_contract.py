"""The contract of model and guide, for the models beside the implicit one."""

import torch

from pyro_lcm.causal.graph_sites import EdgeOrderLogits, FixedOrder, TableLogits, TablePrior
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.guides.ada_gvae import AdaGVAEGuide
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.dvae import DVAE
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.testing import PairProgramTests

DIM, DIM_X, ROWS = 2, 3, 5


class _Vectors(PairProgramTests):
    settings = ({}, {"kl_weight": 0.3})

    def batch(self):
        return {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}

    def networks(self):
        return VectorEncoder(DIM_X, DIM, (), hidden_sd=(3,)), VectorDecoder(DIM, DIM_X, ())


class TestBetaVAE(_Vectors):
    has_target = False

    def make(self):
        encoder, decoder = self.networks()
        return BetaVAE(DIM, decoder), BetaVAEGuide(DIM, encoder)


class TestAdaGVAE(_Vectors):
    has_target = False
    without_gradient = ("target_encoder",)

    def make(self):
        encoder, decoder = self.networks()
        return BetaVAE(DIM, decoder), AdaGVAEGuide(DIM, encoder)


class TestDVAE(_Vectors):
    settings = ({}, {"hypotheses": 1}, {"kl_weight": 0.3}, {"intervention_term": False})
    without_gradient = ("affine",)

    def make(self):
        encoder, decoder = self.networks()
        model = DVAE(DIM, decoder)
        return model, ILCMGuide(DIM, encoder, redrawn_dist=model.redrawn_dist)


class _Explicit(_Vectors):
    settings = ({}, {"kl_weight": 0.3}, {"intervention_term": False})

    def programs(self, prior, posterior):
        encoder, decoder = self.networks()
        model = ELCM(DIM, decoder, prior(DIM), Mechanisms(DIM, (3,)))
        return model, ELCMGuide(DIM, encoder, posterior(DIM), redrawn_dist=model.redrawn_dist)

    def test_worlds_differ_in_the_target_alone(self):
        """With a graph drawn anew in each run, `causal` is compared by tests/models/test_elcm.py."""


class TestFixedOrder(_Explicit):
    def make(self):
        return self.programs(FixedOrder, FixedOrder)


class TestAllDags(_Explicit):
    def make(self):
        return self.programs(TablePrior, TableLogits)


class TestEdgesAndOrders(_Explicit):
    def make(self):
        return self.programs(TablePrior, EdgeOrderLogits)
