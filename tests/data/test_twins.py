"""Pairs from a system that can be put back: shared noise, held quantities, one-way effects, batches gone on with."""

import numpy as np
import pytest

from pyro_lcm.data.twins import pairs_from
from tables import each_row


class Chain:
    """Three quantities, each drawn to the one before; a mixture of them is seen."""

    quantities = {name: (lambda rng: rng.normal()) for name in ("a", "b", "c")}  # noqa: RUF012
    mixing = np.array([[1.0, 0.4, -0.3], [0.2, 1.0, 0.5], [-0.6, 0.1, 1.0]])

    def __init__(self):
        self.values, self.steps = np.zeros(3), 0

    def snapshot(self):
        return self.values.copy()

    def restore(self, state):
        self.values = state.copy()

    def read(self):
        return dict(zip("abc", self.values, strict=True))

    def set(self, name, value):
        self.values["abc".index(name)] = value

    def step(self, rng):
        self.steps += 1
        a, b, _ = self.values
        self.values = 0.5 * self.values + 0.5 * np.array([0.0, a, -b]) + 0.5 * rng.normal(size=3)

    def observe(self):
        return self.mixing @ self.values


def test_the_two_sides_share_their_noise_and_effects_go_one_way():
    pairs = pairs_from(Chain(), 600, steps=4, seed=1)
    moved = np.abs(pairs.z_after - pairs.z) > 1e-12
    assert not moved[pairs.targets == 0].any()
    for target, expected in ((1, [1, 1, 1]), (2, [0, 1, 1]), (3, [0, 0, 1])):
        np.testing.assert_array_equal(moved[pairs.targets == target].all(0), np.array(expected, dtype=bool))
        np.testing.assert_array_equal(moved[pairs.targets == target].any(0), np.array(expected, dtype=bool))
    shares = np.bincount(pairs.targets, minlength=4) / len(pairs)
    np.testing.assert_allclose(shares, 0.25, atol=0.07)
    np.testing.assert_allclose(pairs.x, pairs.z @ Chain.mixing.T)
    held = pairs.z_after[pairs.targets == 2, 1]
    assert abs(np.corrcoef(held, pairs.z[pairs.targets == 2, 0])[0, 1]) < 0.2  # of its law, whatever its causes


def test_the_system_is_put_back():
    system = Chain()
    system.values = np.array([1.0, 2.0, 3.0])
    pairs_from(system, 3)
    np.testing.assert_array_equal(system.values, [1.0, 2.0, 3.0])


def test_a_run_that_was_cut_off_ends_with_the_same_pairs(tmp_path):
    seen = []
    whole = pairs_from(Chain(), 1100, steps=1, between=1, burn_in=5, out=tmp_path, on_batch=lambda *n: seen.append(n))
    assert seen == [(500, 1100), (1000, 1100), (1100, 1100)]
    (tmp_path / "batch-00001.npz").unlink()
    system = Chain()
    again = pairs_from(system, 1100, steps=1, between=1, burn_in=5, out=tmp_path)
    np.testing.assert_array_equal(again.x_after, whole.x_after)
    assert system.steps == 5 + 500 * 3  # one batch alone was made again
    with pytest.raises(ValueError, match=r"^out: got .* other options"):
        pairs_from(Chain(), 1100, steps=2, out=tmp_path)


class Stiff(Chain):
    """Its quantity c cannot be set."""

    def set(self, name, value):
        if name != "c":
            super().set(name, value)


class Empty(Chain):
    """Nothing of it can be set."""

    quantities = {}  # noqa: RUF012


@each_row(
    ("system", "options", "message"),
    [
        (Chain, {"n": 0}, "^n: got 0"),
        (Chain, {"steps": 0}, "^steps: got 0"),
        (Chain, {"none_share": 1.0}, "^none_share: got 1.0"),
        (Empty, {}, "^system: got no quantities"),
        (Stiff, {}, "^system: 'c' reads .* after it was set to"),
    ],
)
def test_what_is_wrong_is_named(system, options, message):
    with pytest.raises(ValueError, match=message):
        pairs_from(system(), **({"n": 50} | options))
