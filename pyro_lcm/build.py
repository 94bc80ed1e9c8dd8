"""Models and guides from an architecture, with fresh parameters: one function for each, of shared parts."""

from __future__ import annotations

from typing import Any

from torch import nn

from pyro_lcm.architecture import Architecture
from pyro_lcm.causal.graph_sites import (
    EdgeOrderLogits,
    FixedOrder,
    PermutationLogits,
    PermutationPrior,
    TableLogits,
    TablePrior,
)
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.simultaneous import SimultaneousTransitions
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.transitions import Transitions
from pyro_lcm.guides.ada_gvae import AdaGVAEGuide, Average
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.biscuit import BISCUITGuide
from pyro_lcm.guides.citris import CITRISGuide
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.icitris import ICITRISGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.guides.soft_ilcm_subsets import SubsetILCMGuide
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.biscuit import BISCUIT, STATES
from pyro_lcm.models.citris import CITRIS
from pyro_lcm.models.content_style import ContentStyle
from pyro_lcm.models.dvae import DVAE
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.icitris import ICITRIS
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.models.partial_ilcm import PartialILCM
from pyro_lcm.models.soft_elcm import SoftELCM
from pyro_lcm.models.soft_ilcm import SoftILCM
from pyro_lcm.models.soft_ilcm_subsets import SubsetILCM
from pyro_lcm.nn import Flow, ImageDecoder, ImageEncoder, VectorDecoder, VectorEncoder
from pyro_lcm.nn.exact import ExactDecoder, ExactEncoder
from pyro_lcm.nn.image_flow import ImageFlowDecoder, ImageFlowEncoder
from pyro_lcm.nn.invertible import FlowDecoder, FlowEncoder
from pyro_lcm.nn.isometry import IsometricDecoder

Programs = tuple[nn.Module, nn.Module]
DRAWS = 16
"""Graphs in a step of an explicit model: all 543 DAGs of four variables take twenty times as long."""
FEW_DRAWS = 6
"""Of a model of sequences, whose targets are known: an order that is wrong costs much in each of its many steps."""
ORDER_GAIN = 5.0
"""Of the same: the order has to be there when latents grow to it."""


def ilcm(a: Architecture) -> Programs:
    """The implicit model."""
    encoder, decoder = coder(a)
    model = ILCM(a.dim_z, decoder, solution(a, bins=a.spline_bins))
    return model, ILCMGuide(a.dim_z, encoder, redrawn_dist=model.redrawn_dist)


def partial_ilcm(a: Architecture) -> Programs:
    """The implicit model of interventions that keep a part of the old value."""
    encoder, decoder = coder(a)
    model = PartialILCM(a.dim_z, decoder, solution(a))
    return model, ILCMGuide(a.dim_z, encoder, redrawn_dist=model.redrawn_dist)


def dvae(a: Architecture) -> Programs:
    """The implicit model without causal relations."""
    encoder, decoder = coder(a)
    model = DVAE(a.dim_z, decoder)
    return model, ILCMGuide(a.dim_z, encoder, redrawn_dist=model.redrawn_dist)


def elcm(a: Architecture) -> Programs:
    """The explicit model."""
    encoder, decoder = coder(a)
    prior, posterior = graphs(a)
    model = ELCM(a.dim_z, decoder, prior, mechanisms(a))
    return model, ELCMGuide(a.dim_z, encoder, posterior, redrawn_dist=model.redrawn_dist)


def beta_vae(a: Architecture) -> Programs:
    """The beta-VAE of pairs."""
    encoder, decoder = coder(a)
    return BetaVAE(a.dim_z, decoder), BetaVAEGuide(a.dim_z, encoder)


def ada_gvae(a: Architecture) -> Programs:
    """The Ada-GVAE, and the GVAE of known targets."""
    return _shared_factors(a, "gvae")


def ada_ml_vae(a: Architecture) -> Programs:
    """The Ada-ML-VAE, and the ML-VAE of known targets."""
    return _shared_factors(a, "ml-vae")


def soft_ilcm(a: Architecture) -> Programs:
    """The implicit model of soft interventions."""
    model = SoftILCM(a.dim_z, isometry(a), solution(a), solution(a))
    return model, ILCMGuide(a.dim_z, vector_encoder(a), redrawn_dist=model.redrawn_dist)


def soft_elcm(a: Architecture) -> Programs:
    """The explicit model of soft interventions."""
    prior, posterior = graphs(a)
    model = SoftELCM(a.dim_z, isometry(a), prior, mechanisms(a), mechanisms(a))
    return model, ELCMGuide(a.dim_z, vector_encoder(a), posterior, redrawn_dist=model.redrawn_dist)


def soft_ilcm_subsets(a: Architecture) -> Programs:
    """The implicit model of soft interventions on sets of variables."""
    model = SubsetILCM(a.dim_z, isometry(a), solution=solution(a), changed=solution(a))
    return model, SubsetILCMGuide(a.dim_z, vector_encoder(a), redrawn_dist=model.redrawn_dist)


def citris(a: Architecture) -> Programs:
    """The model of sequences with known targets: by exact likelihood where its decoder is the encoder's inverse."""
    assert a.variables is not None
    encoder, decoder = _frames(a)
    transitions = Transitions(a.dim_z, a.solution_hidden, min_scale=a.min_scale, activation=a.activation)
    return CITRIS(a.dim_z, a.variables, decoder, transitions), CITRISGuide(a.dim_z, a.variables, encoder)


def icitris(a: Architecture) -> Programs:
    """The model of sequences with known targets and effects within a frame."""
    encoder, decoder = _frames(a)
    prior, posterior = graphs(a, draws=FEW_DRAWS, gain=ORDER_GAIN)
    how: dict[str, Any] = {"min_scale": a.min_scale, "activation": a.activation}
    model = ICITRIS(a.dim_z, decoder, prior, SimultaneousTransitions(a.dim_z, a.solution_hidden, **how))
    return model, ICITRISGuide(a.dim_z, encoder, posterior)


def biscuit(a: Architecture) -> Programs:
    """The model of sequences with known actions and unknown interactions."""
    assert a.actions is not None
    encoder, decoder = _frames(a)
    how: dict[str, Any] = {"min_scale": a.min_scale, "activation": a.activation}
    model = BISCUIT(a.dim_z, a.actions, decoder, Transitions(a.dim_z, a.solution_hidden, states=STATES, **how))
    return model, BISCUITGuide(a.dim_z, encoder, model.interaction_dist)


def _frames(a: Architecture) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of frames: of images, a flow and its inverse, or networks of their own."""
    if a.image_size is not None:
        encoder = ImageFlowEncoder(ImageEncoder(a.image_size, a.dim_z), flow(a))
        return encoder, ImageFlowDecoder(flow(a), ImageDecoder(a.dim_z, a.image_size))
    if a.invertible:
        exact = ExactEncoder(flow(a))
        return exact, ExactDecoder(exact)
    return coder(a)


def content_style(a: Architecture) -> Programs:
    """The model of content and style; its guide knows each side by itself, as the beta-VAE's."""
    encoder: nn.Module
    decoder: nn.Module
    if a.image_size is None:
        encoder = VectorEncoder(a.dim_x, a.dim_z, a.hidden, flow=flow(a), activation=a.activation)
        decoder = VectorDecoder(a.dim_z, a.dim_x, a.hidden[:2], flow=flow(a), min_sd=a.min_sd)
    else:
        encoder = ImageFlowEncoder(ImageEncoder(a.image_size, a.dim_z), flow(a))
        decoder = ImageDecoder(a.dim_z, a.image_size)
    return ContentStyle(a.dim_z, decoder), BetaVAEGuide(a.dim_z, encoder)


def _shared_factors(a: Architecture, average: Average) -> Programs:
    encoder, decoder = coder(a)
    return BetaVAE(a.dim_z, decoder), AdaGVAEGuide(a.dim_z, encoder, average)


def coder(a: Architecture) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder: one flow and its inverse, or a body and a flow each."""
    if a.invertible:
        encoder = FlowEncoder(flow(a))
        return encoder, FlowDecoder(encoder)
    return vector_encoder(a), VectorDecoder(a.dim_z, a.dim_x, a.hidden, flow=flow(a), min_sd=a.min_sd)


def vector_encoder(a: Architecture) -> VectorEncoder:
    """An encoder of a body and a flow."""
    return VectorEncoder(a.dim_x, a.dim_z, a.hidden, flow=flow(a))


def isometry(a: Architecture) -> IsometricDecoder:
    """A decoder that keeps distances."""
    return IsometricDecoder(a.dim_z, a.dim_x, min_sd=a.min_sd)


def flow(a: Architecture) -> Flow:
    """A flow between code and noise encodings."""
    return Flow(a.dim_z, layers=a.couplings, hidden=a.flow_hidden, activation=a.activation)


def solution(a: Architecture, *, bins: int = 0) -> SolutionFunctions:
    """Solution functions, or mechanisms in noise encodings."""
    return SolutionFunctions(a.dim_z, a.solution_hidden, min_scale=a.min_scale, bins=bins, activation=a.activation)


def mechanisms(a: Architecture) -> Mechanisms:
    """Mechanisms given a graph."""
    return Mechanisms(a.dim_z, a.solution_hidden, min_scale=a.min_scale, activation=a.activation)


def graphs(a: Architecture, *, draws: int = DRAWS, gain: float = 1.0) -> tuple[nn.Module, nn.Module]:
    """Prior and posterior of an explicit model's graph."""
    dim, penalty = a.dim_z, a.edge_penalty
    if a.graph == "order":
        return FixedOrder(dim), FixedOrder(dim)
    if a.graph == "permutations":
        return PermutationPrior(dim, penalty=penalty), PermutationLogits(dim, draws=draws, gain=gain)
    logits = EdgeOrderLogits if a.graph == "edges" else TableLogits
    return TablePrior(dim, penalty=penalty), logits(dim, draws=draws)
