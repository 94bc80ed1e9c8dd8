"""Find a code of images in which an intervention changes one number: noise encodings, before any flow.

1. *Components.* Images are projected on their principal components, once; what follows never sees a pixel.
2. *Targets* (:func:`pyro_lcm.identify.single_targets.find_single_targets`): which pairs have seen the same
   intervention, from functions of the components that few pairs change.
3. *Code.* An autoencoder of d numbers whose two codes of a pair agree in all but the target's number: where the two
   sides are one they are averaged, as the shared noise encodings of the pair's program are (the implicit model of
   Brehmer et al. 2022, arXiv 2203.16437, with one target a pair; averaging as in Locatello et al. 2020,
   arXiv 2002.02886). Without targets an autoencoder gives the strongest components the numbers of the weaker variables
   and folds these over each other; which number is whose settles that before anything is learned. Each number begins
   at the function that was found of its variable, so that it is not folded over itself.
4. *Targets again*, from the codes, several times, once these are precise: before that they mistake more targets than
   the first guess does, and a code that is asked to keep what has changed folds.

No true variable, target or graph is seen.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.causal.targets import hit_mask
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.identify.single_targets import find_single_targets
from pyro_lcm.identify.target_groups import infer_single_targets, the_same
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.sides import image_sides
from pyro_lcm.process import random_state
from pyro_lcm.training.driver import fit
from pyro_lcm.training.logs import FitResult
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource, TensorSource

__all__ = ["CodeObjective", "fit_code"]

STEPS = 4000
RATE = 2e-3
SPREADS = (0.03, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01)
"""Noise on codes, in their standard deviations, in each round, for what is near to be painted alike. A wide one would
give up a variable that moves an image little for one that moves it much."""
_COMPONENTS = 192
_SEARCHED = 64
"""Leading components in which targets are sought first."""
_KEPT = 4
"""Rounds with the targets that were found first."""
_TOLD = 30
"""Pairs of each variable whose targets have to be known for its function to be found by them."""
_BYTES = 2**28
"""Memory for the images that components are computed from."""


class CodeObjective(nn.Module):
    """-log p of components given the code, and how far the two codes of a pair are apart where they should be one.

    Args:
        code: the networks.
        pairs: number of training pairs.
    """

    target: Tensor
    """(pairs,) inferred targets; -1 for unknown, for which nothing is asked."""

    def __init__(self, code: ImageCode, pairs: int) -> None:
        super().__init__()
        self.code = code
        self.register_buffer("target", torch.full((pairs,), -1))

    def forward(
        self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor, spread: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective of a batch.

        Args:
            tensors: ``v`` and ``v_after``, (B, k) components.
            size: number of pairs.
            index: (B,) which of them these are.
            spread: noise on codes, in their standard deviations.
        """
        components = torch.cat([tensors["v"], tensors["v_after"]])
        raw = self.code.raw_code(components)
        mean, sd = raw.mean(0), raw.std(0)
        before, after = ((raw - mean) / sd).chunk(2)
        target = self.target[index]
        shared = ~hit_mask(target.clamp(min=0), self.code.dim) & (target >= 0).unsqueeze(-1)
        apart = ((before - after).square() * shared).sum(-1).mean()
        middle = (before + after) / 2
        codes = torch.cat([torch.where(shared, middle, side) for side in (before, after)])
        painted = self.code.decoder(mean + sd * (codes + spread * torch.randn_like(codes)))
        error = (painted - components).square().sum(-1).mean()
        moments = 0.01 * sd.log().square().sum() + 0.001 * mean.square().sum()
        return error + apart + moments, {"unexplained": error.detach(), "apart": apart.detach()}


def fit_code(
    pairs: InterventionPairs,
    dim: int | None,
    *,
    seed: int,
    out: Path | None,
    resume: bool,
    device: str,
    progress: bool | None,
    steps: int | None = None,
) -> tuple[ImageCode, FitResult]:
    """Fit a code to both sides of pairs of images.

    Args:
        pairs: training pairs of images, with targets where they are known.
        dim: width of the code, the number of causal variables.
        seed: of everything random.
        out: folder for checkpoints, or None.
        resume: whether to go on from the checkpoint in ``out``.
        device: as the driver takes it.
        progress: whether to show a progress bar.
        steps: of the optimizer; 4,000 if None.

    Returns:
        The code, whose numbers have mean 0 and variance 1, and how the training went.

    Raises:
        ValueError: if the width is not given, or images are too few or all alike.
    """
    if dim is None:
        raise ValueError("dim: got none, expected the width of the code")
    with random_state.isolated(random_state.derive_seed(seed, "code"), torch.device("cpu")), torch.no_grad():
        components = min(_COMPONENTS, math.prod(pairs.image_shape), len(pairs))
        if components < dim:
            raise ValueError(f"pairs: got {len(pairs)}, expected at least {dim}, one for each number of the code")
        code = ImageCode(pairs.image_shape, dim, components)
        most = max(components, _BYTES // (8 * math.prod(pairs.image_shape)))
        rows = torch.randperm(len(pairs))[:most].sort().values
        shown = pairs.batch(rows.numpy())
        code.set_components(torch.cat([shown["x"], shown["x_after"]]))
        source = TensorSource(_projected(code, pairs))
    objective = CodeObjective(code, len(pairs))
    steps = STEPS if steps is None else steps
    whole = Cosine(RATE, 1e-5)
    find = functools.partial(_find_targets, steps=-(-steps // 10))
    phases = []
    for number, spread in enumerate(SPREADS):
        first, last = (steps * edge // len(SPREADS) for edge in (number, number + 1))
        rate = Cosine(whole.value(first / max(1, steps)), whole.value(last / max(1, steps)))
        begin = find if number == 0 else _infer_targets if number >= _KEPT else None
        phases.append(
            Phase(
                f"code {number + 1}",
                last - first,
                rate,
                256,
                {"spread": spread},
                weight_decay=1e-4,
                gradient_clip=1.0,
                start=begin,
                reset_optimizer=False,
            )
        )
    result = fit(objective, source, phases, seed=seed, out=out, device=device, progress=progress, resume=resume)
    with torch.no_grad():
        both = torch.cat(_raw_codes(code, _all(source, objective.target.device)))
        code.shift.copy_(both.mean(0))
        code.spread.copy_(both.std(0))
    return code.eval(), result


def _projected(code: ImageCode, pairs: InterventionPairs) -> dict[str, Tensor]:
    """Components of both sides of all pairs, and known targets, some images at a time."""
    parts = [code.project(side) for side in image_sides(pairs)]
    tensors = {"v": torch.cat(parts[::2]), "v_after": torch.cat(parts[1::2])}
    if pairs.known_targets is not None and pairs.known_targets.ndim == 1:
        tensors["known"] = torch.as_tensor(pairs.known_targets)
    return tensors


def _all(source: DataSource, device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in source.batch(torch.arange(len(source))).items()}


def _raw_codes(code: ImageCode, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    before, after = (
        torch.cat([code.raw_code(part) for part in tensors[name].split(4096)]) for name in ("v", "v_after")
    )
    return before, after


def _find_targets(objective: Any, source: DataSource, seed: int, *, steps: int) -> Mapping[str, float]:
    """The first guess, from functions of the components; known targets are taken as they are."""
    tensors = _all(source, torch.device("cpu"))
    known = tensors.get("known")
    if known is not None and bool((known < 0).all()):
        known = None
    if known is not None and int(torch.bincount(known + 1, minlength=objective.code.dim + 2)[2:].min()) < _TOLD:
        objective.target.copy_(known)
        return _shares(known, objective.code.dim)
    before, after = (tensors[name][:, :_SEARCHED].numpy() for name in ("v", "v_after"))
    targets = find_single_targets(before, after, objective.code.dim, known=known, seed=seed, steps=steps)
    found = torch.as_tensor(targets.target)
    rows = torch.cat([tensors["v"], tensors["v_after"]])
    values = torch.cat([torch.as_tensor(targets.before), torch.as_tensor(targets.after)])
    _begin_at(objective.code, rows, values, steps)
    objective.target.copy_(found)
    return _shares(found, objective.code.dim)


@torch.enable_grad()
def _begin_at(code: ImageCode, components: Tensor, values: Tensor, steps: int) -> None:
    """Let each number of the code begin as the function that was found of its variable, and the decoder with these.

    From a start at random a number may come to mean the same for both halves of its variable's range, which no later
    step unfolds.

    Args:
        code: the networks.
        components: (rows, k).
        values: (rows, d) of the functions.
        steps: of the optimizer.
    """
    device = code.mean.device
    optimizer = torch.optim.Adam([*code.encoder.parameters(), *code.decoder.parameters()], RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        rows = torch.randint(len(components), (256,))
        seen, value = components[rows].to(device), values[rows].to(device)
        off = (code.raw_code(seen) - value).square().mean()
        painted = code.decoder(value + SPREADS[0] * torch.randn_like(value))
        optimizer.zero_grad()
        (off + (painted - seen).square().sum(-1).mean()).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _infer_targets(objective: Any, source: DataSource, seed: int) -> Mapping[str, float]:
    """Targets from the codes: all numbers but the target's agree up to their own tolerance, and its own does not."""
    target = objective.target
    tensors = _all(source, target.device)
    before, after = _raw_codes(objective.code, tensors)
    change = ((before - after).square() / torch.cat([before, after]).var(0)).T.unsqueeze(1)
    found = infer_single_targets(change, target, the_same(tensors["v"], tensors["v_after"]))
    known = tensors.get("known")
    target.copy_(found if known is None else torch.where(known >= 0, known, found))
    return _shares(target, objective.code.dim)


def _shares(target: Tensor, dim: int) -> dict[str, float]:
    counts = torch.bincount(target.cpu() + 1, minlength=dim + 2).double() / len(target)
    return {f"share_of_target_{j}": float(counts[j + 1]) for j in range(dim + 1)}
