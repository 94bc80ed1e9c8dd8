"""Functions of observations that pairs leave as they are: noise encodings, one at a time, before there is any code.

A noise encoding e_j(x) differs between the two sides of a pair only if the target is j; every other pair keeps it
(Brehmer et al. 2022, arXiv 2203.16437). Sought are functions u, small networks, that pairs keep and that yet vary as
much as they can between observations. With groups g of pairs that are known to share a target, whichever it is,

    max_u  sum_g a_g E_g log [ f_g + (1 - f_g) k((u(x~) - u(x)) / s) ] - log E k((u(x') - u(x'')) / s),
    k(t) = exp(-t^2 / 2),

x' and x'' two observations at random and u of unit variance: about what the two sides have in common, in nats, at the
resolution s, which starts wide and narrows. A pair that is changed costs a_g log 1 / f_g at most. With small floors f_g
a function of a variable whose pairs form a group is worth nothing, and another variable is found; a few pairs in a
wrong group cost little. Nothing has to be linear: variables that share an object, and are no linear functionals of
pixels, are found as well.

Several functions of one variable may all be the same where the variable is not: a wave, and a few wrong pairs hold two
of its places together at no cost. So they are also asked to tell places apart *together*,

    - log E prod_s k((u_s(x') - u_s(x'')) / s),

which a fold that all of them share lowers by up to log 2.

A variable that moves an image little is hidden from such a search by those that move it much: at a wide resolution all
functions of unit variance look alike, and most are of the others. A *careful* one begins at the linear functions that
some groups keep best (those of most variance between observations by variance of the change, linear discriminants;
Fisher 1936), in coordinates in which these groups change as much in all directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KeptFunctions", "find_kept_functions", "nats_of"]

_HIDDEN = 48
_BATCH = 1024
_RATE = 4e-3
_ROLLS = 4
"""Partners at random of each observation in a step."""
_RESOLUTION = (1.0, 0.1)
"""In standard deviations of a function, at the start and from three fifths of the steps on."""
_RESOLUTIONS = (0.1, 0.2, 0.4)
"""At the best of which functions are judged in the end."""
_BLUR = (0.05, 0.005)
"""Noise on features, in the same way: what is near is to have values that are near."""
_CAREFUL_BLUR = (0.02, 0.005)
"""The same of a careful search: what is sought may be smaller than more noise."""
_SOFTENING = 0.03
"""Directions in which groups change less than this share of the mean are not told apart."""
_SLIGHT = 0.1
"""What a network adds to a linear function at first."""
_FEW = 8
"""A group with fewer pairs in a batch is left out of it."""
_LEAST = 1e-6
_PIECE = 1024


@dataclass(frozen=True)
class KeptFunctions:
    """S functions of the observations of N pairs.

    Attributes:
        before: (S, N), their values before, in standard deviations.
        after: (S, N), their values after.
        nats: (S,), the value of what was maximised.
    """

    before: Tensor
    after: Tensor
    nats: Tensor

    @property
    def change(self) -> Tensor:
        """(S, N), their difference between the sides of a pair."""
        return self.after - self.before

    def only(self, chosen: Tensor) -> KeptFunctions:
        """Those of the functions that are chosen, (S,) bool."""
        return KeptFunctions(self.before[chosen], self.after[chosen], self.nats[chosen])


def find_kept_functions(
    before: Tensor,
    after: Tensor,
    group: Tensor,
    weights: Tensor,
    floor: Tensor,
    *,
    blur: Tensor,
    generator: torch.Generator,
    steps: int = 400,
    levelled: Sequence[int] = (),
    together: bool = False,
) -> KeptFunctions:
    """Maximise the criterion from several starts at once.

    Args:
        before: (N, k) features of similar scale.
        after: (N, k) the same features after.
        group: (N,) numbers of groups, 0 to G - 1.
        weights: (S, G), at least 0: how much each function is asked to keep each group. A row is a start.
        floor: (G,) what a pair of each group counts as at least, above 0 and below 1.
        blur: (k,) scale of the noise on each feature.
        generator: of everything random.
        steps: of the optimizer.
        levelled: the groups that a careful search begins with, two starts each at a linear function; none for a quick
            one.
        together: whether all starts are functions of one variable, which have to tell its values apart together.

    Raises:
        ValueError: if the shapes do not fit.

    >>> x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    >>> redrawn = torch.stack([x[:, 0], x[:, 1].roll(1)], 1)      # the second is another one, the first is kept
    >>> found = find_kept_functions(x, redrawn, torch.zeros(2000).long(), torch.ones(2, 1), torch.tensor([0.1]),
    ...     blur=torch.ones(2), generator=torch.Generator().manual_seed(0))
    >>> bool((found.change.abs() < 0.1).float().mean() > 0.9)
    True
    """
    if before.ndim != 2 or before.shape != after.shape or group.shape != before.shape[:1]:
        raise ValueError(
            f"group: got shape {tuple(group.shape)} for features of shapes {tuple(before.shape)} and "
            f"{tuple(after.shape)}, expected (N,), (N, k) and (N, k)"
        )
    if weights.ndim != 2 or weights.shape[1] <= int(group.max()) or floor.shape != weights.shape[1:]:
        raise ValueError(
            f"weights: got shape {tuple(weights.shape)}, and floors of shape {tuple(floor.shape)}, expected (S, G) and "
            f"(G,), G above {int(group.max())}"
        )
    networks = _Networks(len(weights), before.shape[1], generator, before.dtype)
    blurs = _BLUR
    if levelled:
        blurs = _CAREFUL_BLUR
        members = [(after - before)[group == number] for number in levelled]
        networks.begin_at_lines(*_lines(torch.cat([before, after]), members, len(weights)))
    optimizer = torch.optim.Adam(networks.parameters(), _RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _RATE * min(1.0, 2 * (1 - step / steps))
        resolution, noise = (
            first * (last / first) ** min(1.0, step / (0.6 * steps)) for first, last in (_RESOLUTION, blurs)
        )
        rows = torch.randint(len(before), (_BATCH,), generator=generator)
        with torch.enable_grad():
            x = torch.cat([before[rows], after[rows]])
            values = networks(x + noise * blur * torch.randn(x.shape, generator=generator, dtype=x.dtype))
            sd = values.std(1, keepdim=True)
            first, second = (values / sd).chunk(2, 1)
            rolls = torch.randint(1, 2 * _BATCH, (_ROLLS,), generator=generator).tolist()
            nats = _criterion(first, second, group[rows], weights, floor, resolution, rolls)
            gain = nats.sum()
            if together:
                both = torch.cat([first, second], 1)
                gain = gain - _met([_near(both - both.roll(roll, 1), resolution).prod(0).mean() for roll in rolls])
            optimizer.zero_grad()
            (1e-3 * sd.log().square().sum() - gain).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        first, second = (torch.cat([networks(part) for part in side.split(_PIECE)], 1) for side in (before, after))
        sd = torch.cat([first, second], 1).std(1, keepdim=True).clamp(min=_LEAST)
    before, after = first / sd, second / sd
    return KeptFunctions(before, after, nats_of(before, after, group, weights, floor))


def nats_of(before: Tensor, after: Tensor, group: Tensor, weights: Tensor, floor: Tensor) -> Tensor:
    """What functions are worth, (S,) nats at the best of some resolutions.

    Args:
        before: (S, N) values before, in standard deviations.
        after: (S, N) values after.
        group: (N,) numbers of groups, 0 to G - 1.
        weights: (S, G), or (1, G) if the same for all, and ``floor``: (G,) as :func:`find_kept_functions` takes them.
        floor: see there.

    >>> u = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    >>> terms = torch.zeros(1000).long(), torch.ones(1, 1), torch.tensor([0.1])
    >>> nats_of(u, u, *terms) > 1 > nats_of(u, u.roll(1), *terms)
    tensor([True])
    """
    judged = [_criterion(before, after, group, weights, floor, wide, range(1, 20)) for wide in _RESOLUTIONS]
    return torch.stack(judged).amax(0)


def _criterion(
    before: Tensor,
    after: Tensor,
    group: Tensor,
    weights: Tensor,
    floor: Tensor,
    resolution: float,
    rolls: range | list[int],
) -> Tensor:
    """The criterion (S,) of standardised values (S, B) of the sides of pairs; random partners are `rolls` away."""
    member = functional.one_hot(group, weights.shape[1]).to(before)
    count = member.sum(0)
    least = floor[group]
    kept = (least + (1 - least) * _near(before - after, resolution)).log() @ member / count.clamp(min=1)
    nats = (kept * weights * (count >= _FEW)).sum(1)
    both = torch.cat([before, after], 1)
    return nats - _met([_near(both - both.roll(roll, 1), resolution).mean(1) for roll in rolls])


def _met(shares: Sequence[Tensor]) -> Tensor:
    """Log of the mean share of observations at random that are near each other."""
    return torch.stack(list(shares)).mean(0).clamp(min=_LEAST).log()


def _near(difference: Tensor, resolution: float) -> Tensor:
    return (-(difference / resolution).square() / 2).exp()


def _lines(x: Tensor, changes: Sequence[Tensor], starts: int) -> tuple[Tensor, Tensor]:
    """Coordinates in which changes are of one size in all directions, and the linear functions that vary most in them.

    Args:
        x: (N, k) features.
        changes: of each group, (n, k).
        starts: how many functions.

    Returns:
        (k, k) the map into these coordinates, (rows times map), and (starts, k) functions of them, of unit variance.
    """
    total = x.double().T.cov().reshape(x.shape[1], x.shape[1])
    spread = torch.zeros_like(total)
    for change in changes:
        spread += change.double().T @ change.double() / max(1, len(change))
    values, vectors = torch.linalg.eigh(spread)
    turn = vectors / (values.clamp(min=0) + _SOFTENING * values.mean() + _LEAST).sqrt() @ vectors.T
    turn *= (total.diagonal().sum() / (turn @ total @ turn).diagonal().sum()).sqrt()  # features keep their scale
    variance, lines = torch.linalg.eigh(turn @ total @ turn)
    order = torch.arange(starts) // 2 % len(variance)
    best = (lines / variance.clamp(min=_LEAST).sqrt()).flip(1).T[order]
    return turn.to(x), best.to(x)


class _Networks(nn.Module):
    """S perceptrons of k numbers with two hidden layers and a linear part, evaluated together: (B, k) to (S, B)."""

    turn: Tensor

    def __init__(self, count: int, features: int, generator: torch.Generator, dtype: torch.dtype) -> None:
        super().__init__()

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, generator=generator, dtype=dtype)

        self.first = nn.Parameter(normal(features, _HIDDEN) / features**0.5)
        self.shift = nn.Parameter(0.5 * normal(1, _HIDDEN))
        self.second = nn.Parameter(normal(_HIDDEN, _HIDDEN) * (2 / _HIDDEN) ** 0.5)
        self.second_shift = nn.Parameter(torch.zeros(count, 1, _HIDDEN, dtype=dtype))
        self.last = nn.Parameter(normal(_HIDDEN, 1) / _HIDDEN**0.5)
        self.line = nn.Parameter(torch.zeros(count, features, dtype=dtype))
        self.register_buffer("turn", torch.eye(features, dtype=dtype))

    @torch.no_grad()
    def begin_at_lines(self, turn: Tensor, lines: Tensor) -> None:
        """Begin at linear functions (S, k) of coordinates that ``turn``, (k, k), maps features to."""
        self.turn.copy_(turn)
        self.line.copy_(lines)
        self.last.mul_(_SLIGHT)

    def forward(self, x: Tensor) -> Tensor:
        x = x @ self.turn
        hidden = functional.silu(x @ self.first + self.shift)
        hidden = functional.silu(torch.baddbmm(self.second_shift, hidden, self.second))
        return torch.bmm(hidden, self.last)[..., 0] + self.line @ x.T
