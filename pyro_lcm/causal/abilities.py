"""What models and guides can do beyond the contract, read in one place.

A program need only have the signature and the sites of a pair program. What else it has is an ability: solution
functions bring an order, a graph and reasoning, mechanisms with a graph the same, a list of sets several targets at a
time, an encoder whose last part is invertible the search for variables (the page on models of one's own has the
table).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.solution import SolutionFunctions

Part = TypeVar("Part")


def solution_of(model: Any) -> SolutionFunctions | None:
    """The solution functions, ``model.solution``; None without."""
    return _part(model, "solution", SolutionFunctions)


def mechanisms_of(model: Any) -> Mechanisms | None:
    """The mechanisms of an explicit model, ``model.mechanisms``, which has ``model.adjacency`` too; None without."""
    return _part(model, "mechanisms", Mechanisms)


def graph_of(model: Any) -> Tensor | None:
    """The graph that a model holds itself, (d, d), ``[parent, child]``; None without."""
    return _part(model, "adjacency", Tensor)


def interactions_of(model: Any) -> Tensor | None:
    """On which variables actions act, ``model.interactions``, (A, M) probabilities; None without actions."""
    return _part(model, "interactions", Tensor)


def target_prior_of(model: Any) -> Tensor | None:
    """The probabilities of targets, ``model.target_prior``, (d + 1,), none first; None where it has none to be set."""
    return _part(model, "target_prior", Tensor)


def sets_of(model: Any) -> Tensor | None:
    """The sets of targets that can occur, (K, d) bool; None for a model of single targets."""
    return _part(model, "subsets", Tensor)


def content_of(model: Any) -> Tensor | None:
    """Which latents are content, ``model.content``, (d,) bool; None for a model of single variables."""
    return _part(model, "content", Tensor)


def as_perfect(model: Any, before: Tensor, after: Tensor) -> Tensor:
    """Noise encodings (N, d) after, as perfect interventions would have redrawn them; ``after`` but for some models.

    Args:
        model: one with a method of that name, if its interventions keep a part of the old value.
        before: (N, d) noise encodings before.
        after: (N, d) those after.
    """
    convert: Callable[[Tensor, Tensor], Tensor] | None = getattr(model, "as_perfect", None)
    return after if convert is None else convert(before, after)


def is_soft(model: Any) -> bool:
    """Whether interventions change mechanisms of the model's, ``model.changed``, so that causes matter afterwards."""
    return getattr(model, "changed", None) is not None


def generative_program(model: Any) -> Callable[..., Any]:
    """The program to sample pairs from: with the graph that was found, where a graph is latent."""
    program: Callable[..., Any] = getattr(model, "given_graph", model)
    return program


def infers_targets(guide: Any) -> bool:
    """Whether a guide tells targets; one that does not says so by ``infers_targets = False``."""
    return bool(getattr(guide, "infers_targets", True))


def aligned_encoder(guide: Any) -> Any:
    """The encoder of a guide that variables can be searched for with; None without a target encoder, or a flow."""
    encoder = getattr(guide, "encoder", None)
    return encoder if hasattr(encoder, "flow") and hasattr(guide, "target_encoder") else None


def _part(model: Any, name: str, kind: type[Part]) -> Part | None:
    part = getattr(model, name, None)
    return part if isinstance(part, kind) else None
