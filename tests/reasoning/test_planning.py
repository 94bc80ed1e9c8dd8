"""Plans on known structures, against exhaustive search and against the intervention that made the goal."""

import numpy as np
import pytest

from pyro_lcm.reasoning import Range, Uncertainty, intervene, plan
from tables import each_row

Z = np.random.default_rng(4).normal(size=(8, 3))
ANY = Range(-3.0, 3.0)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_the_intervention_that_made_the_goal_is_found(linear, name):
    value = np.linspace(-2.5, 2.5, 8)
    goal = intervene(linear[0], {name: value}, x=Z).x
    found = plan(linear[0], Z, goal, {"a": ANY, "b": ANY, "c": ANY}, zooms=5)
    assert found.loss.max() < 1e-6
    np.testing.assert_allclose(found.x, goal, atol=1e-2)
    for row in range(8):
        assert list(found.intervention(row)) == [name]
        assert found.intervention(row)[name] == pytest.approx(value[row], abs=1e-2)


def test_choices_are_searched_exhaustively(linear):
    goal = np.random.default_rng(5).normal(size=(8, 3))
    levels = [-1.0, 0.0, 1.0]
    found = plan(linear[0], Z, goal, {"b": levels, "c": levels}, at_most=2)
    sets = [{}] + [{n: v} for n in "bc" for v in levels] + [{"b": v, "c": w} for v in levels for w in levels]
    losses = np.array([((intervene(linear[0], values, x=Z).x - goal) ** 2).mean(1) for values in sets])
    np.testing.assert_allclose(found.loss, losses.min(0))
    for row in range(8):
        assert found.intervention(row) == sets[losses[:, row].argmin()]
    np.testing.assert_allclose(found.losses["b",], losses[1:4].min(0))


def test_nothing_is_done_where_nothing_helps(linear):
    found = plan(linear[0], Z, Z, {"a": [5.0]})
    assert np.isnan(found.values).all()
    assert found.intervention(0) == {}


def test_a_loss_of_ones_own(linear):
    found = plan(linear[0], Z, lambda x: (x[:, 2] - 1.0).square(), {"c": ANY, "a": [0.0]}, at_most=2)
    np.testing.assert_allclose(found.x[:, 2], 1.0, atol=1e-2)


def test_the_probability_of_success_is_what_is_known_of_the_outcome(linear, fitted, system, observations):
    sure = plan(linear[0], Z, np.zeros(3), {"a": ANY}, uncertainty=Uncertainty(draws=3))
    np.testing.assert_allclose(sure.drawn, np.broadcast_to(sure.loss, (3, 8)), rtol=1e-5)
    assert sure.success(float(sure.loss.max()) * 1.001).tolist() == [1.0] * 8
    assert sure.success(0.0).tolist() == [0.0] * 8
    goal, pairs = observations[1], system.sample(400, seed=3)
    unsure = plan(fitted, observations[:4], goal, {"a": ANY, "b": ANY}, uncertainty=Uncertainty(draws=80, pairs=pairs))
    assert ((unsure.success(-1.0) == 0) & (unsure.success(1e9) == 1)).all()
    table = unsure.to_dataframe()
    assert (table["loss_low"] <= table["loss_high"]).all()
    np.testing.assert_allclose(unsure.success(float(np.median(unsure.drawn[:, 0])))[0], 0.5)
    with pytest.raises(ValueError, match=r"uncertainty: got draws that do not hold .* expected Uncertainty\(pairs"):
        plan(fitted, observations[:4], goal, {"a": ANY}, uncertainty=Uncertainty(draws=2))
    with pytest.raises(ValueError, match="within: asked of a plan without draws"):
        plan(linear[0], Z, Z, {"a": ANY}).success(1.0)


@each_row(
    ("changes", "message"),
    [
        ({"allowed": {"d": ANY}}, "allowed: got 'd'"),
        ({"allowed": {"a": []}}, r"allowed\['a'\]: got shape \(0,\)"),
        ({"at_most": 2}, "at_most: got 2, expected 1 to 1"),
        ({"points": 2}, "points, zooms: got 2"),
        ({"goal": np.zeros(4)}, r"goal: got shape \(4,\), expected \(8, 3\) or \(3,\)"),
        ({"goal": lambda x: x}, r"goal: returned shape"),
        ({"allowed": {"a": [0.0] * 200, "b": [0.0] * 200}, "at_most": 2}, "got 40000 candidates"),
    ],
)
def test_wrong_arguments_raise(linear, changes, message):
    arguments = {"goal": np.zeros(3), "allowed": {"a": ANY}} | changes
    with pytest.raises(ValueError, match=message):
        plan(linear[0], Z, **arguments)


def test_a_range_needs_its_bounds_in_order():
    with pytest.raises(ValueError, match=r"low, high: got 1\.0, 0\.0"):
        Range(1.0, 0.0)
