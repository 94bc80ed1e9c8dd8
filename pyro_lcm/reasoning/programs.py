"""A structural model as ordinary Pyro programs: one to intervene on, one to condition.

:class:`SCMProgram` draws noise and computes each variable, a ``pyro.deterministic`` site, from it; ``pyro.do`` on such
sites is exact at any scale and in any plate, and with the noise kept it is a counterfactual (Pearl's abduction, action,
prediction). :class:`DensityProgram` has a *sample* site for each variable given its parents instead,

    p(z_i | z_pa(i)) = N(e_i; 0, 1) |de_i / dz_i|,     the change of variables from e_i ~ N(0, 1),

which is what ``pyro.condition`` needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import torch
from numpy.typing import ArrayLike
from pyro.distributions import Normal
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_lcm.reasoning.fitted import Source, structural_model
from pyro_lcm.reasoning.structure import Mechanism, StructuralModel, World, stack

RESERVED = ("x", "causal", "observations")
"""Names of the programs' other sites, which no variable may have."""


def program(source: Source) -> SCMProgram:
    """The program to intervene on; see :class:`SCMProgram`.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
    """
    return SCMProgram(structural_model(source))


def density_program(source: Source) -> DensityProgram:
    """The program to condition; see :class:`DensityProgram`.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
    """
    return DensityProgram(structural_model(source))


def noise_draws(source: Source, x: ArrayLike, *, draws: int = 1, seed: int = 0) -> dict[str, Tensor]:
    """Abduction for the program's noise sites: draws of the guide, ready for Predictive or ``pyro.condition``.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        x: (N, ...) observations.
        draws: number of draws of each.
        seed: of the draws.

    Returns:
        (draws, N) noise encodings by the name of their site.
    """
    scm = structural_model(source)
    noise = draw_noise(scm, x, draws, seed)
    return {noise_site(name): part for name, part in zip(scm.names, noise.unbind(-1), strict=True)}


def draw_noise(scm: StructuralModel, x: ArrayLike, draws: int, seed: int) -> Tensor:
    """Draws (draws, N, d) of the noise encodings given (N, ...) observations."""
    if draws < 1:
        raise ValueError(f"draws: got {draws}, expected at least 1")
    mean, sd = scm.posterior(x)
    generator = torch.Generator().manual_seed(seed)
    standard = torch.randn(draws, *mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
    return mean + sd * standard


def prior_noise(scm: StructuralModel, n: int, seed: int) -> Tensor:
    """A population: (n, d) draws of the noise encodings from N(0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, scm.dim, generator=generator, dtype=scm.zero.dtype).to(scm.zero.device)


def noise_site(name: str) -> str:
    """Name of the noise site of a variable."""
    return f"noise_{name}"


class _Program:
    """What the two programs share."""

    def __init__(self, scm: StructuralModel) -> None:
        sites = {*RESERVED, *map(noise_site, scm.names)}
        taken = sorted(sites.intersection(scm.names))
        if taken:
            raise ValueError(f"names: got {taken[0]!r}, expected none of the programs' own sites {sorted(sites)}")
        self.scm = scm

    def _sequence(self, variable_value: Callable[[int, Mechanism], Tensor]) -> World:
        """Run the mechanisms in order; the value of each variable comes from a function of its mechanism."""
        scm = self.scm
        noise = [scm.zero] * scm.dim
        causal = [scm.zero] * scm.dim
        for variable in scm.order:
            mechanism = scm.given(variable, noise, causal)
            causal[variable] = variable_value(variable, mechanism)
            noise[variable] = mechanism.noise(causal[variable])
        return World(stack(noise), stack(causal))


class SCMProgram(_Program):
    """Noise sites ``noise_<name>``, a deterministic site ``<name>`` for each variable, then ``causal`` and ``x``.

    All stand in the plate ``observations``. Under ``pyro.do`` the site of a target keeps its natural value, as always
    in Pyro: read ``causal`` or ``x``, which stand downstream, or what is returned.

    Conditioning on a deterministic site would change nothing upstream of it, so it raises a ValueError: condition
    :class:`DensityProgram` instead.

    Args:
        scm: the structural model.

    Raises:
        ValueError: if a variable has the name of another site.

    Example:
        >>> import numpy as np
        >>> from pyro_lcm.data.mechanisms import LinearMechanisms
        >>> from pyro_lcm.reasoning.known import KnownStructure
        >>> adjacency = np.array([[0, 1], [0, 0]])
        >>> scm = KnownStructure(LinearMechanisms(adjacency, np.random.default_rng(0)), adjacency, ["rain", "wet"])
        >>> causal, x = pyro.do(SCMProgram(scm), {"rain": 2.0})(size=3)
        >>> causal[:, 0].tolist()
        [2.0, 2.0, 2.0]
    """

    def __call__(self, noise: Tensor | None = None, *, size: int = 1) -> tuple[Tensor, Tensor]:
        """Run the program.

        Args:
            noise: (N, d) noise encodings that are known; drawn from N(0, 1) if None.
            size: number N of observations to draw.

        Returns:
            Causal variables (N, d) and x (N, ...), in the units of the data.
        """
        scm = self.scm
        if noise is not None and (noise.dim() != 2 or noise.shape[1] != scm.dim):
            raise ValueError(f"noise: got shape {tuple(noise.shape)}, expected (N, {scm.dim})")
        size = size if noise is None else len(noise)

        def value(variable: int, mechanism: Mechanism) -> Tensor:
            known = None if noise is None else noise[:, variable]
            name = scm.names[variable]
            drawn = pyro.sample(noise_site(name), Normal(scm.zero, 1.0), obs=known)
            return _node(name, mechanism.causal(drawn), size)

        with pyro.plate("observations", size):
            world = self._sequence(value)
            return _deterministic("causal", world.causal, 1), _observe(scm, world)


class DensityProgram(_Program):
    """One sample site ``<name>`` for each variable given its parents, then ``causal`` and ``x``.

    All stand in the plate ``observations``. Args and Raises as in :class:`SCMProgram`.
    """

    def __call__(self, x: Tensor | None = None, *, size: int = 1) -> tuple[Tensor, Tensor]:
        """Run the program.

        Args:
            x: (N, ...) observations in the units of the data, to condition on; ``x`` is a sample site then, in
                standardised units, and a deterministic one, in the units of the data, if None.
            size: number N of observations to draw.

        Returns:
            Causal variables (N, d) and x (N, ...), in the units of the data.
        """
        scm = self.scm

        def value(variable: int, mechanism: Mechanism) -> Tensor:
            drawn: Tensor = pyro.sample(scm.names[variable], mechanism.density())
            return drawn

        with pyro.plate("observations", size if x is None else len(x)):
            world = self._sequence(value)
            causal = _deterministic("causal", world.causal, 1)
            if x is None:
                return causal, _observe(scm, world)
            distribution, observed = scm.observation(world, x)
            pyro.sample("x", distribution, obs=observed)
            return causal, x


def _observe(scm: StructuralModel, world: World) -> Tensor:
    x = scm.decode(world)
    return _deterministic("x", x, x.dim() - world.causal.dim() + 1)


def _node(name: str, natural: Tensor, size: int) -> Tensor:
    """The site of one variable, with what an intervention puts in its place brought to the right type and shape."""
    natural = natural.expand(torch.broadcast_shapes(natural.shape, (size,)))
    value = _deterministic(name, natural, 0).to(natural)
    try:
        shape = torch.broadcast_shapes(value.shape, natural.shape)
    except RuntimeError:
        shape = torch.Size()
    if not shape or shape[-1] != size:
        raise ValueError(f"{name}: set to a value of shape {tuple(value.shape)}, expected () or (..., {size})")
    return value.expand(shape)


def _deterministic(name: str, value: Tensor, event_dim: int) -> Tensor:
    with _RefuseConditioning():
        node: Tensor = pyro.deterministic(name, value, event_dim=event_dim)
    return node


_COMPUTED = 1
"""Stands for True in ``is_observed`` of a site whose value the program computed: handlers that condition on a value
write True (Pyro) or False (ChiRho) over it, those that intervene do not."""


class _RefuseConditioning(Messenger):
    """Raise if the value of a deterministic site was conditioned on; it stands inside all the user's handlers."""

    def _pyro_sample(self, msg: Any) -> None:
        msg["is_observed"] = _COMPUTED

    def _pyro_post_sample(self, msg: Any) -> None:
        replaced_by_do = msg["name"].endswith("__CF")
        if msg["is_observed"] is not _COMPUTED and not replaced_by_do:
            raise ValueError(
                f"{msg['name']}: conditioned on, but it is a deterministic function of the noise, so that nothing"
                " upstream of it would change; expected pyro.condition on density_program (for x: its argument x)"
            )
