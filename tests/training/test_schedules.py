import math

import pytest

from pyro_lcm.training.schedules import Constant, Cosine, Linear, WarmUp, schedule_from_dict, schedule_to_dict
from tables import each_row

EVERY = [
    Constant(0.3),
    Linear(1e-3, 0.0),
    Cosine(2.0, -1.0),
    WarmUp(0.25, then=0.5),
    WarmUp(0.1, then=Cosine(1.0, 0.1)),
]


def test_values_at_known_points():
    assert Constant(2).value(0.4) == 2.0
    assert Linear(1.0, 3.0).value(0.25) == pytest.approx(1.5)
    assert Cosine(1.0, 0.0).value(1 / 3) == pytest.approx((1 + math.cos(math.pi / 3)) / 2)
    assert WarmUp(0.2, then=Linear(1.0, 0.0)).value(0.1) == pytest.approx(0.5)
    assert WarmUp(0.2, then=Linear(1.0, 0.0)).value(0.6) == pytest.approx(0.5)


@pytest.mark.parametrize("schedule", [Linear(0.1, 0.7), Cosine(0.1, 0.7)])
def test_ends_are_exact(schedule):
    assert (schedule.value(0.0), schedule.value(1.0)) == (0.1, 0.7)


@pytest.mark.parametrize("schedule", EVERY)
def test_plain_data_round_trip(schedule):
    assert schedule_from_dict(schedule_to_dict(schedule)) == schedule


@each_row("schedule", EVERY)
@each_row("progress", [-0.01, 1.01, float("nan")])
def test_progress_outside_the_phase_is_an_error(schedule, progress):
    with pytest.raises(ValueError, match="progress"):
        schedule.value(progress)


@each_row(
    ("plain", "message"),
    [
        ({"schedule": "step", "start": 0}, "expected one of constant, linear"),
        ({"start": 0, "end": 1}, "expected one of"),
        ({"schedule": "linear", "start": 0}, "expected the fields"),
        ({"schedule": "linear", "start": 0, "end": 1, "power": 2}, "power"),
        ({"schedule": "linear", "start": "a", "end": 1}, "start: expected a finite number"),
        ({"schedule": "cosine", "start": float("inf"), "end": 1}, "start: expected a finite number"),
        ({"schedule": "warm_up", "fraction": 0, "then": 1}, "fraction"),
        ({"schedule": "warm_up", "fraction": 0.5, "then": "b"}, "then"),
        ({"schedule": "constant", "constant": True}, "constant"),
    ],
)
def test_wrong_plain_data_names_the_field(plain, message):
    with pytest.raises(ValueError, match=message):
        schedule_from_dict(plain)
