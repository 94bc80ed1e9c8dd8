"""A scaling system with one part changed: that part is another one, and nothing else."""

import numpy as np
import pytest

from pyro_lcm import ScalingSystem
from pyro_lcm.data.changed import ChangedSystem
from tables import each_row

SYSTEM = ScalingSystem(3, seed=0, edge_probability=1.0)


def _residuals(pairs, weights):
    return pairs.z - pairs.z @ weights


def test_one_mechanism_has_other_effects():
    weights = SYSTEM.program.mechanisms.weights.numpy().copy()
    pairs = ChangedSystem(SYSTEM, 3, (2.0, -3.0)).sample(500, seed=1)
    weights[:2, 2] = [2.0, -3.0]
    np.testing.assert_allclose(_residuals(pairs, weights), pairs.noise, atol=1e-9)


def test_one_noise_is_wider():
    pairs = ChangedSystem(SYSTEM, 2, noise=3.0).sample(500, seed=1)
    residuals = _residuals(pairs, SYSTEM.program.mechanisms.weights.numpy())
    np.testing.assert_allclose(residuals, pairs.noise * [1.0, 3.0, 1.0], atol=1e-9)


def test_one_sensor_reads_otherwise_on_both_sides():
    same, other = ChangedSystem(SYSTEM), ChangedSystem(SYSTEM, sensor=1, gain=-2.0, offset=1.0)
    before, now = same.sample(50, seed=1), other.sample(50, seed=1)
    for side in ("x", "x_after"):
        old, new = getattr(before, side), getattr(now, side)
        np.testing.assert_allclose(new[:, 1], -2 * old[:, 1] + 1)
        np.testing.assert_array_equal(new[:, [0, 2]], old[:, [0, 2]])


def test_the_system_before_stays_as_it_was():
    weights = SYSTEM.program.mechanisms.weights.clone()
    before = SYSTEM.sample(20, seed=0)
    ChangedSystem(SYSTEM, 3, (2.0, -3.0), noise=2.0).sample(20)
    np.testing.assert_array_equal(SYSTEM.program.mechanisms.weights, weights)
    np.testing.assert_array_equal(SYSTEM.sample(20, seed=0).x, before.x)


@each_row(
    ("options", "message"),
    [
        ({"variable": 4}, "^variable: got 4, expected 1 to 3"),
        ({"variable": 0}, "^variable: got 0"),
        ({"sensor": 3}, "^sensor: got 3, expected 0 to 2"),
        ({"variable": 1, "noise": 0.0}, "^noise: got 0.0"),
        ({"variable": 3, "effects": (1.0,)}, "^effects: got 1, expected 2"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ChangedSystem(SYSTEM, **options)
