"""Variables are found where they are set; directions that fall together are told."""

import numpy as np

from pyro_lcm import VoronoiSystem
from pyro_lcm.identify.set_directions import set_directions


def _sides(system, frames):
    steps = system.sample(frames).transitions()
    both = np.concatenate([steps.x, steps.x_after])
    values, axes = np.linalg.eigh(np.cov(both.T))
    root = axes / np.sqrt(values)
    return (steps.x - both.mean(0)) @ root, (steps.x_after - both.mean(0)) @ root, steps


def test_effects_within_a_frame_are_no_hindrance():
    system = VoronoiSystem(4, seed=0, mixing="linear", instantaneous=0.7)
    before, after, steps = _sides(system, 20_000)
    assert system.graphs[1].any()
    found = set_directions(before, after, steps.targets)
    correlation = np.abs(np.corrcoef((after @ found).T, steps.z_after.T)[:4, 4:].diagonal())
    assert (correlation > 0.97).all()


def test_too_few_steps_and_variables_that_cannot_be_told_apart_give_none():
    before, after, steps = _sides(VoronoiSystem(2, seed=0, mixing="linear"), 100)
    assert set_directions(before, after, steps.targets) is None
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 2))  # nothing depends on the frame before
    twice = np.repeat(rng.integers(0, 2, (4000, 1)), 2, 1)
    assert set_directions(noise[:, ::-1] * 1.0, rng.normal(size=(4000, 2)), twice) is None
