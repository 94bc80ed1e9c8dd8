"""Interventions and counterfactuals on a structural model, with every argument checked.

A counterfactual is abduction, action, prediction (Pearl, Causality, 2009, theorem 7.1.7): infer the noise encodings of
an observation, set causal variables, and let the mechanisms run again with the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.reasoning.chains import Uncertainty, draw_chains
from pyro_lcm.reasoning.fitted import Source, structural_model
from pyro_lcm.reasoning.programs import draw_noise, prior_noise
from pyro_lcm.reasoning.structure import Action, StructuralModel

Array: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Shift:
    """A soft intervention: the variable still listens to its parents, but z_i becomes factor * z_i + by.

    Args:
        by: what is added, a number or (N,) numbers.
        factor: what the natural value is multiplied by before.
    """

    by: ArrayLike = 0.0
    factor: ArrayLike = 1.0


Value: TypeAlias = ArrayLike | Tensor | Shift | Callable[[Tensor], Any]
"""What to set a variable to: a number, (N,) numbers, a :class:`Shift`, or a function of the natural values (N,)."""

Values: TypeAlias = Mapping[str, Value] | Sequence[tuple[str, Value]]
"""Which variables to set, by name, and to what."""


@dataclass(frozen=True)
class Outcome:
    """Two worlds that share their noise: one under an intervention, one without.

    Attributes:
        x: (..., *shape of x) observations under the intervention, in the units of the data.
        causal: (..., d) causal variables under the intervention.
        noise: (..., d) noise encodings of these.
        before: (..., d) causal variables without the intervention.
        x_before: (..., *shape of x) observations without it: as given, or as generated.
    """

    x: Array
    causal: Array
    noise: Array
    before: Array
    x_before: Array


def intervene(
    source: Source,
    values: Values,
    *,
    x: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 0,
) -> Outcome:
    """What observations become when causal variables are set, causes before effects, other noise being kept.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        values: for each variable to set, by name, a number, (N,) numbers, a :class:`Shift`, or a function of the
            values (N,) it would have had; in the units of the causal variables as encoded. Several variables go in
            causal order: a function downstream sees what was set upstream.
        x: (N, ...) observations; if None, a population of ``n`` is drawn from the model.
        n: size of that population.
        seed: of that population.

    Returns:
        The outcome, N rows. Its ``x`` is decoded; what the decoder leaves unexplained of the given x is dropped.

    Raises:
        ValueError: if a name is not a variable's or comes twice, or a value is of the wrong type or shape.

    Example:
        >>> from pyro_lcm.data import ScalingSystem
        >>> from pyro_lcm.reasoning import KnownStructure
        >>> program = ScalingSystem(dim=2, seed=0, edge_probability=1.0).program
        >>> scm = KnownStructure(program.mechanisms, program.adjacency)
        >>> outcome = intervene(scm, {"z1": 1.0, "z2": lambda natural: natural.clamp(min=0)}, n=100)
        >>> bool((outcome.causal[:, 0] == 1).all() and (outcome.causal[:, 1] >= 0).all())
        True
    """
    scm = structural_model(source)
    if x is None:
        if n < 1:
            raise ValueError(f"n: got {n}, expected at least 1")
        noise = prior_noise(scm, n, seed)
    else:
        noise = scm.posterior(x)[0]
    return _outcome(scm, noise, values, x, keep_residual=False)


def counterfactual(
    source: Source,
    x: ArrayLike,
    values: Values,
    *,
    draws: int | None = None,
    seed: int = 0,
    uncertainty: Uncertainty | None = None,
) -> Outcome:
    """What these very observations would have been, had causal variables been set.

    As :func:`intervene`, but the noise of the observation itself, the residual x - decoder(e), is kept too: an
    intervention that changes nothing gives back x exactly.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        x: (N, ...) observations.
        values: as in :func:`intervene`.
        draws: draws of the guide that carry the uncertainty of the abduction; None takes its mean.
        seed: of the draws.
        uncertainty: what else to draw, mechanisms by pairs, graphs and fits
            (:class:`~pyro_lcm.reasoning.chains.Uncertainty`), in place of ``draws`` and ``seed``.

    Returns:
        The outcome, of N rows, or of (draws, N) if draws were asked for, those of all fits one after the other.

    Raises:
        ValueError: as :func:`intervene`.
    """
    if uncertainty is not None:
        if draws is not None:
            raise ValueError(f"draws: got {draws} beside uncertainty, expected its draws alone")
        return _drawn(source, x, values, uncertainty)
    scm = structural_model(source)
    noise = scm.posterior(x)[0] if draws is None else draw_noise(scm, x, draws, seed)
    return _outcome(scm, noise, values, x, keep_residual=True)


def edit(source: Source, x: ArrayLike, values: Values, *, effects: bool = True) -> Outcome:
    """Change some causal variables of observations, with their effects on others or without.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        x: (N, ...) observations.
        values: as in :func:`intervene`.
        effects: whether other variables follow; otherwise each is held at the value it had.

    Returns:
        The outcome, N rows.

    Raises:
        ValueError: as :func:`intervene`.
    """
    scm = structural_model(source)
    if not effects:
        with torch.no_grad():
            before = scm.solve(scm.posterior(x)[0]).causal
        actions = parse_values(values, scm, tuple(before.shape[:-1]))
        columns = zip(scm.names, before.unbind(-1), strict=True)
        values = {name: actions[i](old) if i in actions else old for i, (name, old) in enumerate(columns)}
    return counterfactual(scm, x, values)


def parse_values(values: Values, scm: StructuralModel, shape: tuple[int, ...]) -> dict[int, Action]:
    """Check what to set and turn it into actions.

    Args:
        values: as in :func:`intervene`.
        scm: whose variables they are.
        shape: of the natural values, (..., N).

    Returns:
        Actions by variable 0..d-1.

    Raises:
        ValueError: as :func:`intervene`.
    """
    actions: dict[int, Action] = {}
    for name, value in _pairs(values):
        if name not in scm.names:
            raise ValueError(f"values: got the variable {name!r}, expected some of {', '.join(scm.names)}")
        variable = scm.names.index(name)
        if variable in actions:
            raise ValueError(f"values: got the variable {name!r} twice, expected each at most once")
        actions[variable] = _action(value, f"values[{name!r}]", scm.zero, shape)
    return actions


def _outcome(
    scm: StructuralModel, noise: Tensor, values: Values, x: ArrayLike | None, *, keep_residual: bool
) -> Outcome:
    actions = parse_values(values, scm, tuple(noise.shape[:-1]))
    with torch.no_grad():
        before, after = scm.solve(noise), scm.solve(noise, actions)
        decoded = scm.decode(after)
        given = scm.decode(before) if x is None else scm.observations(x).to(decoded)
        if keep_residual:
            decoded = decoded + (given - scm.decode(before))
    tensors = (decoded, after.causal, after.noise, before.causal, given)
    return Outcome(*(tensor.cpu().numpy() for tensor in tensors))


def _drawn(source: Source, x: ArrayLike, values: Values, options: Uncertainty) -> Outcome:
    """The outcome of (draws, N), in the units of the first fit."""
    scm = structural_model(source)
    given = scm.observations(x)
    actions = parse_values(values, scm, (len(given),))
    outcomes = []
    with torch.no_grad():
        for chain in draw_chains(source, x, options):
            for draw in chain:
                before, after = draw.respond({}), draw.respond(actions)
                seen = given.to(before.x)
                outcomes.append((after.x + (seen - before.x), after.causal, after.noise, before.causal, seen))
    after_x, causal, noise, natural = (
        torch.stack(part).cpu().numpy() for part in list(zip(*outcomes, strict=True))[:4]
    )
    return Outcome(after_x, causal, noise, natural, given.cpu().numpy())


def _pairs(values: Values) -> list[tuple[str, Value]]:
    pairs = list(values.items()) if isinstance(values, Mapping) else list(values)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(f"values: got {pair!r}, expected the name of a variable with its value")
    return pairs


def _action(value: Value, label: str, like: Tensor, shape: tuple[int, ...]) -> Action:
    if isinstance(value, Shift):
        by, factor = (
            _number(part, f"{label}.{key}", like, shape) for key, part in (("by", value.by), ("factor", value.factor))
        )
        return lambda natural: factor * natural + by
    if callable(value):
        function = value

        def of_natural(natural: Tensor) -> Tensor:
            return _number(function(natural), f"{label}(natural)", like, shape).expand(natural.shape)

        return of_natural
    number = _number(value, label, like, shape)
    return lambda natural: number.expand(natural.shape)


def _number(value: Any, label: str, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A finite tensor of the right dtype that is a scalar, (N,) or (..., N)."""
    try:
        tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except TypeError:
        raise ValueError(f"{label}: got a {type(value).__name__}, expected real numbers") from None
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise ValueError(f"{label}: got dtype {tensor.dtype}, expected real numbers")
    if tuple(tensor.shape) not in ((), shape[-1:], shape):
        expected = " or ".join(map(str, dict.fromkeys([(), shape[-1:], shape])))
        raise ValueError(f"{label}: got shape {tuple(tensor.shape)}, expected {expected}")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{label}: got values that are not finite, expected finite numbers")
    return tensor.to(like)
