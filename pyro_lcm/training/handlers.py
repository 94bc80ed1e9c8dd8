"""Effect handlers that turn one Pyro program into the variants that training needs.

Weights and approximations of the objective are put on from outside, in model and guide alike, so that neither
carries flags: the programs stay the mathematics.
"""

from __future__ import annotations

from typing import Any

import pyro
import torch
from pyro.distributions import Categorical, Delta
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_lcm.nn.invertible import CodedEncoder, CodeObservation


class LatentWeight(Messenger):
    """Multiply the log densities of latent sites, the KL part of the ELBO, by a weight.

    Put it on model and guide. Acts before the site is scored (after it would be ignored).

    Args:
        weight: positive number.

    Raises:
        ValueError: if the weight is not positive (Pyro cannot scale by 0; mask instead).
    """

    def __init__(self, weight: float) -> None:
        if not weight > 0:
            raise ValueError(f"weight: got {weight}, expected a positive number")
        super().__init__()
        self.weight = weight

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if not msg["is_observed"]:
            msg["scale"] = msg["scale"] * self.weight


class MaskSite(Messenger):
    """Leave one sample site out of the density; its value stays.

    Args:
        name: the site's full name.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == self.name:
            msg["fn"] = msg["fn"].mask(False)


class ThroughEncoder(Messenger):
    """Score observations by their codes (:class:`pyro_lcm.nn.invertible.CodeObservation`), whatever the decoder.

    Put it on model and guide. Prior, mechanisms, targets and interventions stay the program's own; what stands for
    p(x | e) is the density of the code through the encoder's flow, so that the flow is trained by exact likelihood and
    no decoder has to be right before it; the encoder's posterior is the exact one of such a code. Encodings are read
    off the sites ``noise``, ``redrawn`` and ``target``; without a target everything is redrawn.

    Args:
        encoder: an encoder whose last part is invertible.
        tolerance: how far a code may be from its encoding, a scalar in units of the noise encodings.
        hypotheses: (K, d) of 0 and 1, which components each target redraws.
    """

    def __init__(self, encoder: CodedEncoder, tolerance: Tensor, hypotheses: Tensor) -> None:
        super().__init__()
        self.encoder, self.tolerance, self.hypotheses = encoder, tolerance, hypotheses.bool()
        self._values: dict[str, Tensor] = {}

    def __enter__(self) -> Any:
        self._values = {}
        return super().__enter__()

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] in ("before/x", "after/x") and msg["is_observed"]:
            noise = self._values["noise"]
            if msg["name"] == "after/x":
                redrawn, target = self._values["redrawn"], self._values.get("target")
                noise = redrawn if target is None else torch.where(self.hypotheses[target], redrawn, noise)
            msg["fn"] = CodeObservation(self.encoder, noise, self.tolerance, msg["fn"].event_shape)

    def _pyro_tolerance(self, msg: dict[str, Any]) -> None:
        msg["value"], msg["done"] = self.tolerance, True

    def _pyro_post_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] in ("target", "noise", "redrawn"):
            self._values[msg["name"]] = msg["value"]


class DeterministicDtype(Messenger):
    """Give deterministic sites a log density, 0, of their own dtype.

    Pyro's is of torch's default dtype, and enumeration multiplies it with probabilities of the others'.
    """

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        fn, value = msg["fn"], msg["value"]
        if msg["infer"].get("_deterministic") and value.dtype != torch.get_default_dtype():
            msg["fn"] = getattr(fn, "base_dist", fn)


class TopHypotheses(Messenger):
    """Restrict an enumerated target in the guide to its most probable values, renormalised.

    With K hypotheses a pair costs K decoder passes instead of d + 1, and the ELBO stays a lower bound. K = 1 is a
    hard target. The site becomes a point mass at ``table[hypothesis]``, with an auxiliary site that is enumerated.

    Args:
        number: K, at least 1.
    """

    def __init__(self, number: int) -> None:
        if number < 1:
            raise ValueError(f"hypotheses: got {number}, expected an integer of at least 1")
        super().__init__()
        self.number = number

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] != "target" or msg["is_observed"] or not isinstance(msg["fn"], Categorical):
            return
        probabilities = msg["fn"].probs
        if self.number == 1:
            msg["fn"] = Delta(probabilities.argmax(-1))
        elif self.number < probabilities.shape[-1]:
            mass, table = probabilities.topk(self.number, dim=-1)
            hypothesis = pyro.sample(
                "target_hypothesis",
                Categorical(probs=mass),
                infer={"enumerate": "parallel", "is_auxiliary": True},
            )
            shape = torch.broadcast_shapes(hypothesis.shape, table.shape[:-1])
            column = hypothesis.expand(shape).unsqueeze(-1)
            msg["fn"] = Delta(table.expand(*shape, -1).gather(-1, column).squeeze(-1))
        else:
            return
        msg["infer"] = {}
