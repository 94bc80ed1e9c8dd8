"""Interventional Pong as a Pyro program: two paddles, a ball and its direction, of which one may be set at a step.

The setting of Lippe et al. (CITRIS, ICML 2022, arXiv 2202.03169): paddles follow the ball, the ball flies on in its
direction and bounces off paddles and walls, all with noise, and everything at a step depends on the step before alone.
There is no score here, and a ball that nobody caught comes back as from a wall.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.contrib.autoname import scope
from pyro.nn import PyroModule
from torch import Tensor

SIDE = 32.0
"""Width and height of the field."""
MARGIN = 5.0
"""Distance that the ball and the middle of a paddle keep from the walls."""
SPEED = 2.0
PADDLE_STEP, PADDLE_NOISE = 1.5, 0.5
BALL_NOISE, DIRECTION_NOISE = 0.2, 0.1
VARIABLES = ("left", "right", "ball_x", "ball_y", "direction")
"""Causal variables; the direction is an angle, of which a file holds cosine and sine."""


class Game(NamedTuple):
    """What the program returns; the first axis counts frames, or steps, the second episodes."""

    state: Tensor
    targets: Tensor


class PongProgram(PyroModule):  # type: ignore[misc]
    """The program, of float64 tensors.

    Args:
        probability: of an intervention on a variable, were there no other; at most one is set at a step.
    """

    def __init__(self, probability: float = 0.15) -> None:
        super().__init__()
        none = (1 - probability) ** len(VARIABLES)
        self.weights = torch.tensor([none, *[(1 - none) / len(VARIABLES)] * len(VARIABLES)], dtype=torch.float64)

    def forward(self, steps: int, episodes: int, warm_up: int = 0, *, every: bool = False) -> Game:
        """Draw games: in the scope of each step, sites ``target``, ``noise`` and ``value``.

        Args:
            steps: from the first frame to the last, at least 0.
            episodes: size of the plate ``episodes``.
            warm_up: steps before the first frame.
            every: whether all variables are set at every step.
        """
        count = len(VARIABLES)
        unit = dist.Normal(torch.zeros(count, dtype=torch.float64), 1.0).to_event(1)
        state, chosen = [], []
        with pyro.plate("episodes", episodes):
            now = self._value(pyro.sample("start", self._uniform()))
            for t in pyro.markov(range(-warm_up, steps)):
                if t >= 0:
                    state.append(now)
                with scope(prefix=f"step{t}"):
                    target = pyro.sample("target", dist.Categorical(self.weights))
                    noise = pyro.sample("noise", unit)
                    value = self._value(pyro.sample("value", self._uniform()))
                    hit = (target.unsqueeze(-1) == torch.arange(1, count + 1)) | torch.tensor(every)
                    now = torch.where(hit, value, moved(now, noise))
                if t >= 0:
                    chosen.append(hit.double())
            state.append(now)
        empty = torch.zeros(0, episodes, count, dtype=torch.float64)
        return Game(torch.stack(state), torch.stack(chosen) if chosen else empty)

    @staticmethod
    def _uniform() -> dist.Distribution:
        return dist.Uniform(torch.zeros(len(VARIABLES), dtype=torch.float64), 1.0).to_event(1)

    @staticmethod
    def _value(uniform: Tensor) -> Tensor:
        """Variables (..., 5), uniform in the field, or around the circle."""
        place = MARGIN + (SIDE - 2 * MARGIN) * uniform
        return torch.cat([place[..., :4], 2 * math.pi * uniform[..., 4:] - math.pi], -1)


def moved(before: Tensor, noise: Tensor) -> Tensor:
    """One step of the game, (..., 5), of variables (..., 5) and standard normal noise (..., 5).

    >>> still = torch.tensor([16.0, 16.0, 16.0, 16.0, 0.0])
    >>> moved(still, torch.zeros(5)).tolist()
    [16.0, 16.0, 18.0, 16.0, 0.0]
    """
    paddles, x, y, angle = before[..., :2], before[..., 2], before[..., 3], before[..., 4]
    low, high = MARGIN, SIDE - MARGIN
    follow = (y.unsqueeze(-1) - paddles).clamp(-PADDLE_STEP, PADDLE_STEP)
    paddles = (paddles + follow + PADDLE_NOISE * noise[..., :2]).clamp(low, high)
    across, up = angle.cos(), angle.sin()
    next_x = (x + SPEED * across + BALL_NOISE * noise[..., 2]).clamp(low, high)
    next_y = (y + SPEED * up + BALL_NOISE * noise[..., 3]).clamp(low, high)
    back = ((x + SPEED * across > high) & (across > 0)) | ((x + SPEED * across < low) & (across < 0))
    down = ((y + SPEED * up > high) & (up > 0)) | ((y + SPEED * up < low) & (up < 0))
    turned = torch.atan2(torch.where(down, -up, up), torch.where(back, -across, across))
    turned = turned + DIRECTION_NOISE * noise[..., 4]
    turned = torch.atan2(turned.sin(), turned.cos())
    return torch.cat([paddles, torch.stack([next_x, next_y, turned], -1)], -1)
