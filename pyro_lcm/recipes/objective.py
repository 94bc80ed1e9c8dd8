"""The ELBO of a model and guide, with what a recipe adds to it.

A recipe may begin with a simpler program that has the same encoder and decoder, the autoencoder of single
observations for a code to start from; and where causal variables can be read off x
(:mod:`pyro_lcm.recipes.readouts`), the solution functions are drawn to these as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.subsets import single_target
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn.buffer_flag import BufferFlag
from pyro_lcm.nn.recall import both
from pyro_lcm.recipes.readouts import Readouts
from pyro_lcm.training.objective import PairObjective
from pyro_lcm.training.phases import Setting

AUTOENCODER = "autoencoder"
"""The program of :class:`~pyro_lcm.models.beta_vae.BetaVAE` with the model's decoder and the guide's encoder."""
IMPLICIT = "implicit"
"""The program of :class:`ImplicitFirst` that is not its model's."""
TWO: dict[str, Setting] = {"hypotheses": 2}
"""The two most probable targets of each pair are summed out."""
HARD: dict[str, Setting] = {"hypotheses": 1}
"""The most probable target of each pair is taken for it."""
_READOUT_WEIGHT = 10.0
"""Nats that a squared distance of one standard deviation to the readouts costs: all rows have one, few
have a target, and it comes from a dozen numbers instead of a network."""


class RecipeObjective(PairObjective):
    """Negative ELBO per pair, of the programs or of an autoencoder, and the distance to readouts where there are any.

    Args:
        model: an ILCM or a model with its parts: ``decoder``, ``solution``, ``redrawn_dist``.
        guide: its guide, with ``encoder`` (``code``, ``flow``) and ``target_encoder``.
        features: how many features of x come with each pair, ``features`` and ``features_after``, for causal variables
            to be read from; 0 if they are read from the code.
    """

    def __init__(self, model: nn.Module, guide: nn.Module, features: int = 0) -> None:
        super().__init__(model, guide)
        # They belong to the training and its checkpoints, not to the model that is saved.
        self.features = features
        self.readouts = Readouts(features or self.model.dim_z, self.model.dim_z)
        self._reads = BufferFlag()

    def programs(self, name: str | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """A generative program and its guide: those of the objective, or :data:`AUTOENCODER`."""
        if name != AUTOENCODER:
            return super().programs(name)
        dim, device = self.model.dim_z, self.readouts.believed.device
        with device:  # a buffer of the program; encoder and decoder are where they are
            return BetaVAE(dim, self.model.decoder), BetaVAEGuide(dim, self.guide.encoder)

    def forward(
        self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor, program: str | None = None, **settings: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; the settings are those of :class:`PairObjective`."""
        loss, metrics = super().forward(tensors, size=size, index=index, program=program, **settings)
        told = not self.features or "features" in tensors  # pairs to be scored come without
        if program is not None or not told or not self._reads(self.readouts.believed):
            return loss, metrics
        features = torch.cat([tensors["features"], tensors["features_after"]]) if self.features else None
        with self.recall(tensors):
            error = self.readout_error(both(tensors["x"], tensors["x_after"]), features)
        return loss + _READOUT_WEIGHT * error, metrics | {"readout_error": error.detach()}

    def readout_error(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """Squared distance of the solution functions to the readouts, the mean over observations.

        At the encoder's means, it held fixed.

        Args:
            x: (rows, ...) observations.
            features: (rows, width) what causal variables are read from; the code of x if None.
        """
        with torch.no_grad():
            noise = self.guide.encoder(x)[0]
            read, counts = self.readouts(self.guide.encoder.code(x) if features is None else features)
        error: Tensor = ((self.model.solution(noise) - read).square() * counts).sum(-1).mean()
        return error


class ImplicitFirst(RecipeObjective):
    """The ELBO of a model and guide, or that of the implicit model with the same encoder and decoder.

    A threshold that says which factors changed, or a graph that is not known yet, is a poor guide to noise encodings.
    Begun at the lines of four nonlinear variables, the Ada-GVAE's own ELBO ends at a mean correlation of .74 with them;
    the explicit model's, given the empty graph, warps them to what it takes for the density of redrawn ones. The
    implicit model needs to know neither and finds them (.999). Its solution functions belong to the training alone.
    """

    def __init__(self, model: nn.Module, guide: nn.Module, features: int = 0) -> None:
        super().__init__(model, guide, features)
        dim = self.model.dim_z
        solution = SolutionFunctions(dim, activation="leaky_relu")
        self.implicit = ILCM(dim, self.model.decoder, solution)
        self.implicit_guide = ILCMGuide(
            dim, self.guide.encoder, self.guide.target_encoder, redrawn_dist=self.implicit.redrawn_dist
        )

    def forward(
        self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor, program: str | None = None, **settings: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; of known sets of targets the implicit model takes those of one variable at most."""
        known = tensors.get("targets")
        if program == IMPLICIT and known is not None:
            tensors = {**tensors, "targets": single_target(known, self.model.dim_z)}
        return super().forward(tensors, size=size, index=index, program=program, **settings)

    def programs(self, name: str | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The implicit model and its guide for :data:`IMPLICIT`, else the objective's own."""
        return (self.implicit, self.implicit_guide) if name == IMPLICIT else super().programs(name)
