"""Wrong readings are found, and what variables do to their sensors is not among them."""

import numpy as np

from pyro_lcm.identify.wrong_readings import reading_limits

ROWS = 4000


def _pairs(map_of=lambda value: value):
    """Two sensors of two variables, one of which is redrawn in each pair."""
    rng = np.random.default_rng(0)
    before = rng.normal(size=(ROWS, 2))
    after = before.copy()
    target = rng.integers(2, size=ROWS)
    after[np.arange(ROWS), target] = rng.normal(size=ROWS)
    return map_of(before), map_of(after), rng


def test_what_a_variable_does_is_believed_however_long_its_tails_are():
    for map_of in (np.asarray, np.sinh, lambda value: np.exp(2 * value), lambda value: value**3):
        before, after, _ = _pairs(map_of)
        assert reading_limits(before, after).wrong(before, after).sum() <= 4


def test_wrong_readings_are_found_where_they_are():
    before, after, rng = _pairs()
    wrong = rng.random((ROWS, 2)) < 0.05
    wrong[:, 1] = False
    before[wrong] += rng.choice([-1, 1], wrong.sum()) * rng.uniform(15, 100, wrong.sum())
    found = reading_limits(before, after).wrong(before, after)
    assert (found == wrong).all()


def test_a_single_one_is_enough():
    before, after, _ = _pairs()
    after[17, 0] = 1e9
    assert np.argwhere(reading_limits(before, after).wrong(before, after)).tolist() == [[17, 0]]


def test_a_sensor_that_hardly_ever_changes_has_no_limits():
    before, after, _ = _pairs()
    before[:, 1], after[:, 1] = 0.0, (np.arange(ROWS) % 10 == 0)
    assert not reading_limits(before, after).wrong(before, after)[:, 1].any()


def _cancelling():
    """Two sensors of two variables whose effects on the second nearly cancel until one of them is set."""
    before, after, rng = _pairs()
    for side in (before, after):
        side[:, 1] = 0.05 * rng.normal(size=ROWS)
    after[:, 1] += np.where(np.arange(ROWS) % 20 == 0, 0.5 * rng.normal(size=ROWS), 0.0)
    return before, after, rng


def test_what_only_interventions_bring_about_is_believed():
    before, after, _ = _cancelling()
    limits = reading_limits(before, after)
    assert (np.abs(after[:, 1]) > 0.6).sum() > 20
    assert not limits.wrong(before, after).any()
    after[17, 1] = 1e9
    assert np.argwhere(limits.wrong(before, after)).tolist() == [[17, 1]]


def test_far_readings_of_one_side_that_do_not_fade_out_are_wrong():
    before, after, rng = _pairs()
    wrong = rng.permutation(ROWS)[:100]
    after[wrong, 1] += rng.choice([-1, 1], 100) * rng.uniform(15, 100, 100)
    found = reading_limits(before, after).wrong(before, after)
    assert set(np.flatnonzero(found[:, 1])) == set(wrong)
