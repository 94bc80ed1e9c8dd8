"""Pong: the ball flies and bounces, paddles follow it, interventions set one variable, frames show all of it."""

import numpy as np
import pyro
import pytest
import torch

from pyro_lcm.data.pong import PongSystem, render_pong
from pyro_lcm.data.pong_program import MARGIN, SIDE, PongProgram, moved

STILL = torch.zeros(5, dtype=torch.float64)


def test_steps_by_hand():
    far = torch.tensor([10.0, 25.0, 16.0, 20.0, np.pi / 2], dtype=torch.float64)
    np.testing.assert_allclose(moved(far, STILL), [11.5, 23.5, 16.0, 22.0, np.pi / 2])
    wall = torch.tensor([16.0, 16.0, 26.5, 16.0, 0.0], dtype=torch.float64)
    after = moved(wall, STILL)
    np.testing.assert_allclose(after[:4], [16.0, 16.0, SIDE - MARGIN, 16.0])
    assert abs(float(after[4])) == pytest.approx(np.pi)
    np.testing.assert_allclose(moved(after, STILL)[2], SIDE - MARGIN - 2)


def test_noise_moves_its_own_variable_alone():
    state = torch.tensor([10.0, 20.0, 16.0, 14.0, 0.3], dtype=torch.float64)
    for variable in range(5):
        noise = torch.zeros(5, dtype=torch.float64)
        noise[variable] = 1.0
        changed = moved(state, noise) != moved(state, STILL)
        assert changed.tolist() == [i == variable for i in range(5)]


def test_at_most_one_variable_is_set_and_as_often_as_said():
    sequences = PongSystem().sample(4000, episodes=40)
    hits = sequences.targets.sum(1)
    assert hits.max() == 1
    assert 1 - hits.mean() == pytest.approx(0.85**5, abs=0.03)


def test_what_is_not_a_target_follows_from_the_step_before():
    with torch.random.fork_rng(), pyro.get_param_store().scope():
        torch.manual_seed(0)
        trace = pyro.poutine.trace(PongProgram()).get_trace(3, 50)
        game = trace.nodes["_RETURN"]["value"]
    for t in range(3):
        expected = moved(game.state[t], trace.nodes[f"step{t}/noise"]["value"])
        free = game.targets[t] == 0
        torch.testing.assert_close(game.state[t + 1][free], expected[free])
        assert (game.state[t + 1][~free] != expected[~free]).all()


def test_independent_frames_have_variables_that_are_independent():
    frames = PongSystem().independent(3000)
    assert frames.targets.all()
    correlation = np.corrcoef(frames.z.T) - np.eye(6)
    assert np.abs(correlation).max() < 0.1


def test_frames_show_where_everything_is():
    frame = render_pong(np.array([[10.0, 22.0, 18.0, 14.0, np.pi / 2]]))[0].astype(float)
    assert frame[0, :, 0].argmax() == 10
    assert frame[2, :, 31].argmax() == 22
    assert np.unravel_index(frame[1].argmax(), (32, 32)) == (14, 18)
    assert np.unravel_index(frame[0, :, 5:].argmax(), (32, 27)) == (10, 13)  # four below the ball


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PongSystem(1.0), "intervention_probability: got 1.0"),
        (lambda: PongSystem().sample(3, episodes=2), "frames: got 3 in 2 episodes"),
        (lambda: PongSystem().sample(100, seed=-1), "seed: got -1"),
    ],
)
def test_what_is_out_of_range_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
