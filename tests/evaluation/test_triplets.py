"""Frames that are put together show what they should where latents are right, and something else where they are not."""

import numpy as np
import pytest

from pyro_lcm.evaluation.triplets import triplet_scores

MIXING = np.array([[1.0, 0.5, 0.0], [-0.5, 1.0, 0.3], [0.0, -0.3, 1.0]])


def _system(rows=3000):
    z = np.random.default_rng(0).normal(size=(rows, 3))
    return z, z @ MIXING


def test_right_latents_reach_what_frames_themselves_tell():
    z, x = _system()
    scores = triplet_scores(x, 2 * z, [1, 2, 0], z, [1, 2, 0], lambda code: code / 2 @ MIXING)
    assert scores.ceiling > 0.95
    assert scores.r2 == pytest.approx(scores.ceiling, abs=0.03)


def test_latents_that_tell_of_two_variables_do_not():
    z, x = _system()
    turn = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    scores = triplet_scores(x, z @ turn, [1, 2, 3], z, [1, 2, 3], lambda code: code @ turn.T @ MIXING)
    assert scores.ceiling > 0.95
    assert scores.r2 < 0.8


def test_a_variable_of_several_columns_is_taken_as_a_whole():
    z, x = _system()
    turn = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    scores = triplet_scores(x, z @ turn, [1, 1, 2], z, [1, 1, 2], lambda code: code @ turn.T @ MIXING)
    assert scores.r2 == pytest.approx(scores.ceiling, abs=0.03)


def test_what_does_not_fit_is_refused():
    z, x = _system(300)
    with pytest.raises(ValueError, match=r"^x, latents, z: got shapes \(300, 3\), \(299, 3\)"):
        triplet_scores(x, z[1:], [1, 2, 3], z, [1, 2, 3], lambda code: code)
    with pytest.raises(ValueError, match=r"^x, latents, z: .* N of at least 200"):
        triplet_scores(x[:9], z[:9], [1, 2, 3], z[:9], [1, 2, 3], lambda code: code)
    with pytest.raises(ValueError, match=r"^assignment, variables: got shapes \(2,\) and \(3,\)"):
        triplet_scores(x, z, [1, 2], z, [1, 2, 3], lambda code: code)
