"""Sequences of Interventional Pong, with frames of 32 pixels (:mod:`pyro_lcm.data.pong_program`).

A frame has the left paddle in red, the right one in blue, the ball in green, and behind the ball, against its
direction, a smaller spot in red and blue, so that one frame shows all of the state. Everything is a smooth spot, so
that a frame changes with the state by degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.data.limits import check_memory
from pyro_lcm.data.pong_program import MARGIN, SIDE, PongProgram
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.process.process_state import alone

__all__ = ["PongSystem", "render_pong"]

_WARM_UP = 20
_PADDLE = (1.0, 3.0)
"""Standard deviations of a paddle across and along."""
_BALL, _TAIL, _REACH = 1.3, 1.5, 4.0
"""Standard deviations of ball and tail, and how far behind the ball the tail is."""
_COLUMNS = (1, 2, 3, 4, 5, 5)


@dataclass(frozen=True)
class PongSystem:
    """Interventional Pong. Draw any number of samples from it.

    Args:
        intervention_probability: Of an intervention on a variable, were there no other; at most one is set at a step.

    Raises:
        ValueError: If an option is out of range.

    >>> sequences = PongSystem().sample(200, episodes=2)
    >>> sequences.x.shape, sequences.targets.shape, sequences.variables.tolist()
    ((200, 3, 32, 32), (198, 5), [1, 2, 3, 4, 5, 5])
    """

    intervention_probability: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.intervention_probability < 1:
            raise ValueError(
                f"intervention_probability: got {self.intervention_probability}, expected a number in (0, 1)"
            )

    @property
    def temporal_adjacency(self) -> NDArray[np.int8]:
        """The graph from one frame to the next, ``[parent, child]``, (5, 5)."""
        graph = np.eye(5, dtype=np.int8)
        graph[3, :2] = 1  # paddles follow the ball
        graph[4, 2:4] = 1  # the ball flies in its direction
        graph[2:4, 4] = 1  # which changes where it bounces
        return graph

    def sample(self, frames: int, *, episodes: int | None = None, seed: int = 0) -> InterventionSequences:
        """Draw episodes.

        Args:
            frames: Number of frames in all, at least 2.
            episodes: Number of episodes of one length, by default so many that each has about 100 frames.
            seed: Seed of the sample, at least 0. Torch's own random state is left as it was.

        Returns:
            The sequences with all of the truth; frames are of bytes.

        Raises:
            ValueError: If an argument is out of range.
        """
        return self._drawn(frames, episodes, seed, every=False)

    def independent(self, frames: int, *, seed: int = 0) -> InterventionSequences:
        """Draw frames in which all variables are set, so that they are independent: what scores are made on."""
        return self._drawn(frames, None, seed, every=True)

    def _drawn(self, frames: int, episodes: int | None, seed: int, *, every: bool) -> InterventionSequences:
        episodes = max(1, round(frames / 100)) if episodes is None else episodes
        if seed < 0:
            raise ValueError(f"seed: got {seed}, expected at least 0")
        if episodes < 1 or frames < 2 * episodes:
            raise ValueError(f"frames: got {frames} in {episodes} episodes, expected at least two in each")
        check_memory("frames", frames, 4 * 3 * int(SIDE) ** 2)
        entropy = np.random.SeedSequence((7, int(every), seed)).generate_state(1, np.uint64)[0]
        with alone(), torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(int(entropy) >> 1)
            # The first frame of a game in which all is set is like any other.
            drawn = PongProgram(self.intervention_probability)(
                frames // episodes - 1, episodes, 1 if every else _WARM_UP, every=every
            )
        state = drawn.state.transpose(0, 1).numpy()
        z = np.concatenate([state[..., :4], np.cos(state[..., 4:]), np.sin(state[..., 4:])], -1)
        images = render_pong(state.reshape(-1, 5)).reshape(*state.shape[:2], 3, int(SIDE), int(SIDE))
        return InterventionSequences(
            images,
            drawn.targets.transpose(0, 1).numpy(),
            z=z,
            variables=np.array(_COLUMNS),
            temporal_adjacency=self.temporal_adjacency,
            adjacency=np.zeros((5, 5), dtype=np.int8),
        )


def render_pong(state: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Frames (N, 3, 32, 32) of states (N, 5): left and right paddle, ball across and up, direction.

    >>> frame = render_pong(np.array([[10.0, 20.0, 16.0, 16.0, 0.0]]))[0]
    >>> [np.unravel_index(channel.argmax(), channel.shape) for channel in frame[1:2]]
    [(np.int64(16), np.int64(16))]
    """
    grid = np.arange(int(SIDE)) + 0.0
    left, right, x, y, angle = (column[:, None] for column in state.T)

    def spot(across: NDArray[np.float64], up: NDArray[np.float64], wide: float, high: float) -> NDArray[np.float64]:
        columns = np.exp(-0.5 * ((grid - across) / wide) ** 2)
        rows = np.exp(-0.5 * ((grid - up) / high) ** 2)
        return rows[:, :, None] * columns[:, None, :]

    edge = np.full_like(left, MARGIN / 4)
    tail = spot(x - _REACH * np.cos(angle), y - _REACH * np.sin(angle), _TAIL, _TAIL)
    channels = [
        spot(edge, left, *_PADDLE) + tail,
        spot(x, y, _BALL, _BALL),
        spot(SIDE - 1 - edge, right, *_PADDLE) + tail,
    ]
    return np.rint(255 * np.clip(np.stack(channels, 1), 0, 1)).astype(np.uint8)
