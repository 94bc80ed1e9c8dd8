"""A fitted model as a function of arrays: standardiser, Pyro model and guide together, in the units of the data.

Everything here reads the programs and changes nothing; memory is bounded by working through rows in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyro
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.architecture import Architecture
from pyro_lcm.causal.abilities import (
    as_perfect,
    content_of,
    generative_program,
    graph_of,
    infers_targets,
    is_soft,
    sets_of,
    solution_of,
)
from pyro_lcm.causal.jacobian import read_graph
from pyro_lcm.causal.targets import UNKNOWN
from pyro_lcm.data.lazy import LazyRows, Rows, chunks
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.pixels import is_image_shape, like_images, unit_range
from pyro_lcm.data.sources import StandardizedPairs, fits_in_memory, standardized_tensors
from pyro_lcm.data.units import Units
from pyro_lcm.frames import shown_in_notebook
from pyro_lcm.process import random_state
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.training.sources import DataSource, PlacedSource, TensorSource

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
"""float32, or float64 where parameters or data are."""

_ROWS = 4096
_BYTES = 2**24
"""Rows, and bytes of them, that are encoded at a time, which bounds memory."""


@dataclass(frozen=True, repr=False)
class Encoding:
    """Latents of N observations.

    Attributes:
        noise: (N, d) noise encodings, posterior means.
        noise_sd: (N, d) their posterior standard deviations.
        causal: (N, d) causal variables, the solution function of the noise encodings' means.
        causal_sd: (N, d) their posterior standard deviations, to first order.
        names: of the d causal variables; z1, z2, ... if empty.
    """

    noise: Array
    noise_sd: Array
    causal: Array
    causal_sd: Array
    names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Encoding(n={len(self.causal)}, variables={list(self._labels())})"

    def _repr_html_(self) -> str:
        return shown_in_notebook(f"Latents of {len(self.causal)} observations", self.to_dataframe(), rows=5)

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each observation; for each variable ``NAME``, ``NAME_sd``, ``NAME_noise``, ``NAME_noise_sd``."""
        import pandas as pd

        parts = (("", self.causal), ("_sd", self.causal_sd), ("_noise", self.noise), ("_noise_sd", self.noise_sd))
        return pd.DataFrame(
            {f"{name}{end}": values[:, i] for end, values in parts for i, name in enumerate(self._labels())}
        )

    def _labels(self) -> tuple[str, ...]:
        return self.names or tuple(f"z{i}" for i in range(1, self.causal.shape[1] + 1))


@dataclass(frozen=True)
class FittedModel:
    """The parts of a fitted latent causal model.

    Attributes:
        objective: holds the Pyro model and its guide, in standardised units of x.
        standardizer: between the units of the data and those of the model: of vectors an affine map, on the CPU, of
            images a network and what standardises its codes.
        names: of the causal variables.
        architecture: what model and guide were built from; None for those of one's own.
    """

    objective: RecipeObjective
    standardizer: Units
    names: tuple[str, ...]
    architecture: Architecture | None = None

    @property
    def name(self) -> str:
        """Name of the model, or of its class if it is one's own."""
        return type(self.model).__name__ if self.architecture is None else self.architecture.model

    @property
    def model(self) -> Any:
        """The Pyro model."""
        return self.objective.model

    @property
    def guide(self) -> Any:
        """Its guide."""
        return self.objective.guide

    @property
    def temporal(self) -> bool:
        """Whether the model is of sequences."""
        return self.architecture is not None and self.architecture.variables is not None

    @property
    def blocks(self) -> bool:
        """Whether its latents are blocks of content and style instead of single variables."""
        return content_of(self.model) is not None

    @property
    def dim_z(self) -> int:
        """Number of causal variables d."""
        return len(self.names)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.objective.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters."""
        return next(self.objective.parameters()).dtype

    @property
    def has_targets(self) -> bool:
        """Whether the model has intervention targets; the beta-VAE has none."""
        return infers_targets(self.guide)

    @property
    def has_graph(self) -> bool:
        """Whether the model has a graph, a learned one or, for the dVAE, the empty one."""
        return graph_of(self.model) is not None or solution_of(self.model) is not None

    def adjacency(self) -> NDArray[np.int8]:
        """The graph found with the fit, ``[parent, child]``, (d, d), read off the solution functions where need be.

        Raises:
            ValueError: if the model has neither a graph nor solution functions.
        """
        explicit, solution = graph_of(self.model), solution_of(self.model)
        if explicit is not None:
            return np.asarray(explicit.cpu(), dtype=np.int8)
        if solution is None:
            raise ValueError(f"model: got {self.name}, which has no graph and no solution functions")
        if bool(((solution.context + solution.context.T) == 2).any()):
            noise = torch.randn(2000, self.dim_z, generator=torch.Generator().manual_seed(0))
            return read_graph(solution, noise.to(self.device, self.dtype))
        adjacency: NDArray[np.int8] = solution.adjacency.cpu().numpy().astype(np.int8)
        return adjacency

    @property
    def perfect(self) -> bool:
        """Whether the model's interventions are perfect but for a part of the old value: of one variable, not soft."""
        return self._of_one and not is_soft(self.model)

    @property
    def soft(self) -> bool:
        """Whether the model's interventions are soft, and of one variable."""
        return self._of_one and is_soft(self.model)

    @property
    def _of_one(self) -> bool:
        return self.has_graph and self.has_targets and sets_of(self.model) is None

    @property
    def linear(self) -> bool:
        """Whether mixing and mechanisms were built linear."""
        return self.architecture is not None and self.architecture.flow_layers == 0

    @torch.no_grad()
    def new_values(self, noise: Array, noise_after: Array, target: NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """What targets became.

        Args:
            noise: (N, d) noise encodings before.
            noise_after: (N, d) noise encodings after.
            target: (N,) 0 none, i variable i.

        Returns:
            The noise encodings (N, d) that perfect interventions would have redrawn; the new values (N, d) that the
            solution functions make of those of the target, the others as they were before; and the parts (d,) of the
            old values that the model knows to be kept.
        """
        before, after = (torch.as_tensor(side, device=self.device, dtype=self.dtype) for side in (noise, noise_after))
        redrawn = as_perfect(self.model, before, after)
        hit = torch.as_tensor(target, device=self.device).unsqueeze(-1) == torch.arange(1, self.dim_z + 1)
        mixed = torch.where(hit.to(self.device), redrawn, before)
        values = torch.cat([self.model.causal(part) for part in mixed.split(_ROWS)])
        zero, one = torch.zeros_like(before[:1]), torch.ones_like(before[:1])
        kept = 1 - 1 / (as_perfect(self.model, zero, one) - as_perfect(self.model, zero, zero))
        return redrawn.cpu().numpy(), values.cpu().numpy(), kept[0].cpu().numpy()

    def source(self, pairs: InterventionPairs, *, double: bool | None = None) -> DataSource:
        """The pairs as the training driver sees them: standardised, in memory where they fit, float64 if asked for.

        By default in the precision of the parameters.
        """
        double = self.dtype == torch.float64 if double is None else double
        if fits_in_memory(pairs, shape=self.standardizer.output_shape):
            return TensorSource(standardized_tensors(pairs, self.standardizer, double=double))
        return StandardizedPairs(pairs, self.standardizer, double=double)

    @torch.no_grad()
    def encode(self, x: ArrayLike | LazyRows) -> Encoding:
        """Noise encodings and causal variables of (N, ...) observations."""
        parts: list[tuple[Tensor, ...]] = []
        with _finite_posterior("x"):
            for chunk in self.chunks(x, "x"):
                posterior = self.guide.encode(chunk)
                mean, sd = posterior.mean, posterior.stddev
                causal = self.model.causal(mean)
                parts.append((mean, sd, causal, self._causal_sd(mean, sd, causal)))
        noise, noise_sd, causal, causal_sd = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
        return Encoding(noise, noise_sd, causal, causal_sd, self.names)

    def _causal_sd(self, mean: Tensor, sd: Tensor, causal: Tensor) -> Tensor:
        """Finite differences in each noise encoding: sqrt(sum_j (dz_i / de_j)^2 sd_j^2)."""
        total = torch.zeros_like(causal)
        for j in range(mean.shape[-1]):
            shift = torch.zeros_like(mean)
            shift[:, j] = sd[:, j]
            total = total + (self.model.causal(mean + shift) - causal).square()
        return total.sqrt()

    @torch.no_grad()
    def decode(self, noise: ArrayLike) -> Array:
        """Observations, in the units of the data, of (N, d) noise encodings."""
        array = numbers(noise, "noise")
        if array.ndim != 2 or array.shape[1] != self.dim_z:
            raise ValueError(f"noise: got shape {array.shape}, expected (N, {self.dim_z})")
        if not np.isfinite(array).all():
            raise ValueError("noise: got values that are not finite, expected finite noise encodings")
        values = torch.as_tensor(array, device=self.device, dtype=self.dtype)
        return torch.cat([self._in_data_units(self.model.x_dist(part).mean) for part in values.split(_ROWS)]).numpy()

    def _in_data_units(self, x: Tensor) -> Tensor:
        """Observations in the units and the number format of the data, on the CPU, of standardised ones.

        An offset that is large against the spread would leave few digits of float32.
        """
        return self.standardizer.inverse(
            x.cpu().to(torch.float64 if self.standardizer.dtype == "float64" else torch.float32)
        )

    @torch.no_grad()
    def infer_targets(self, x: ArrayLike | LazyRows, x_after: ArrayLike | LazyRows) -> Array:
        """Probabilities of the targets, (N, d + 1), column 0 none."""
        before, after = self.observations(x, "x"), self.observations(x_after, "x_after")
        if before.dtype != after.dtype:  # so that both are cut into the same pieces
            before, after = (unit_range(side, np.float64) for side in (before, after))
        if before.shape != after.shape:
            raise ValueError(f"x_after: got shape {after.shape}, expected that of x, {before.shape}")
        sides = zip(self.chunks(before, "x"), self.chunks(after, "x_after"), strict=True)
        with _finite_posterior("x, x_after"):
            return torch.cat([self.guide.targets(a, b) for a, b in sides]).cpu().numpy()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, targets: ArrayLike | None = None) -> InterventionPairs:
        """Pairs from the generative program, with the latents that made them."""
        if n < 1:
            raise ValueError(f"n: got {n}, expected at least 1")
        if self.temporal:
            raise ValueError("sample: got a model of sequences, expected one of pairs")
        known = None if targets is None else torch.as_tensor(np.asarray(targets), device=self.device)
        if known is not None and (known.shape != (n,) or known.is_floating_point()):
            raise ValueError(f"targets: got shape {tuple(known.shape)}, {known.dtype}, expected ({n},) integers")
        if known is not None and bool(((known < UNKNOWN) | (known > self.dim_z)).any()):
            raise ValueError(f"targets: got {int(known.min())} to {int(known.max())}, expected -1 to {self.dim_z}")
        with random_state.isolated(seed, self.device), pyro.get_param_store().scope():
            trace = pyro.poutine.trace(generative_program(self.model)).get_trace(None, None, targets=known, size=n)
        values = {name: site["value"].cpu() for name, site in trace.nodes.items() if site["type"] == "sample"}
        target = values.get("target")
        if target is None and known is not None:
            raise ValueError("targets: got some for a model without targets, expected none")
        hit = torch.tensor(True) if target is None else target.unsqueeze(-1) == torch.arange(1, self.dim_z + 1)
        sets = sets_of(self.model)
        if sets is not None:
            hit = sets.cpu()[target]
            target = hit.long()
        return InterventionPairs(
            self._in_data_units(values["before/x"]).numpy(),
            self._in_data_units(values["after/x"]).numpy(),
            targets=None if target is None else target.numpy(),
            z=values["before/causal"].numpy(),
            z_after=values["after/causal"].numpy(),
            noise=values["noise"].numpy(),
            noise_after=torch.where(hit, values["redrawn"], values["noise"]).numpy(),
        )

    @torch.no_grad()
    def elbo(self, pairs: InterventionPairs, *, hypotheses: int, seed: int = 0) -> float:
        """Evidence lower bound per pair, in nats, of x in the units of the model: of images, of their codes."""
        placed = PlacedSource(self.source(pairs), self.device, self.dtype)
        total = 0.0
        with random_state.isolated(seed, self.device):
            for index in torch.arange(len(pairs)).split(_ROWS):
                batch = placed.batch(index)
                rows = torch.arange(len(index), device=self.device)
                _, parts = self.objective(batch, size=len(pairs), index=rows, hypotheses=hypotheses)
                total += float(parts["elbo"]) * len(index)
        return total / len(pairs)

    def explained(self, x: ArrayLike | LazyRows, noise: Array) -> float:
        """Share of the variance of x that decoded noise encodings explain, the mean over its features.

        Of images it is the share of all pixels together: one by itself may vary in a few images only.
        """
        array = self.observations(x, "x")
        total = np.zeros(array.shape[1:])
        squares = np.zeros(array.shape[1:])
        mean = np.zeros(array.shape[1:])
        for rows in chunks(array, _BYTES, most=_ROWS):
            mean += unit_range(array[rows], np.float64).sum(axis=0) / len(array)
        for rows in chunks(array, _BYTES, most=_ROWS):
            part = unit_range(array[rows], np.float64)
            squares += np.square(part - self.decode(noise[rows])).sum(0)
            total += np.square(part - mean).sum(0)
        varying = total > 0
        if is_image_shape(self.standardizer.shape):
            return float(1 - squares.sum() / total.sum())
        return float(np.mean(1 - squares[varying] / total[varying]))

    def image_change(self, x: ArrayLike | LazyRows, x_after: ArrayLike | LazyRows) -> Array:
        """Squared distances (N,) of the images of pairs, the mean over their pixels."""
        first, second = self.observations(x, "x"), self.observations(x_after, "x_after")
        parts = [
            np.square(unit_range(second[rows], np.float32) - unit_range(first[rows], np.float32)).mean((1, 2, 3))
            for rows in chunks(first, _BYTES, most=_ROWS)
        ]
        return np.concatenate(parts)

    def observations(self, x: ArrayLike | LazyRows, name: str) -> Rows:
        """An argument as observations (N, ...) in the units of the data, images with their channels first.

        Raises:
            ValueError: if they are no real numbers, or of another shape; the message names the argument.
        """
        array = like_images(numbers(x, name), self.standardizer.shape, name)
        if array.ndim == 0 or array.shape[1:] != self.standardizer.shape or len(array) == 0:
            raise ValueError(
                f"{name}: got shape {array.shape}, expected (N, {', '.join(map(str, self.standardizer.shape))})"
            )
        return array

    def chunks(self, x: ArrayLike | LazyRows, name: str) -> Iterator[Tensor]:
        """Standardised observations on the model's device, some rows at a time."""
        array = self.observations(x, name)
        for rows in chunks(array, _BYTES, most=_ROWS):
            values = self.standardizer.transform(array[rows], np.float64 if self.dtype == torch.float64 else np.float32)
            if not np.isfinite(values).all():
                bad = ~np.isfinite(values).reshape(len(values), -1).all(1)
                raise ValueError(f"{name}: got a value that is not finite in row {rows.start + int(bad.argmax())}")
            yield torch.as_tensor(values, device=self.device, dtype=self.dtype)


@contextmanager
def _finite_posterior(name: str) -> Iterator[None]:
    """Say in words what a distribution says of parameters that are not finite."""
    try:
        yield
    except ValueError as error:
        if "to satisfy the constraint" not in str(error):
            raise
        raise ValueError(
            f"{name}: the encodings are not finite; got values that are far from those that the model was fitted to?"
        ) from error


def numbers(values: ArrayLike | LazyRows, name: str) -> Rows:
    """An argument as an array of real numbers, a tensor, wherever it is, too; lazy rows stay lazy.

    Raises:
        ValueError: if it is none; the message names the argument.
    """
    if isinstance(values, LazyRows):
        return values
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise ValueError(f"{name}: got values of type {array.dtype}, expected real numbers")
    return array
