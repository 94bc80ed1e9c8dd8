"""Holding out: sizes, and data that no fit should start with."""

import numpy as np
import pytest

from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.pairs import InterventionPairs
from tables import each_row


def _pairs(rows, width=2, seed=0):
    rng = np.random.default_rng(seed)
    return InterventionPairs(rng.normal(size=(rows, width)), rng.normal(size=(rows, width)))


def test_the_parts_are_the_whole():
    pairs = _pairs(200)
    training, held_out = hold_out(pairs, 0.25, seed=3)
    both = np.concatenate([training.x, held_out.x])
    assert (len(training), len(held_out)) == (150, 50)
    assert np.array_equal(np.sort(both[:, 0]), np.sort(pairs.x[:, 0]))


def test_at_most_ten_thousand_are_held_out():
    assert len(hold_out(_pairs(150_000, width=1), 0.5, seed=0)[1]) == 10_000


def test_given_pairs_are_taken_as_they_are():
    pairs, given = _pairs(60), _pairs(20, seed=1)
    assert hold_out(pairs, given, seed=0) == (pairs, given)


@each_row("validation", [0.1, _pairs(60, seed=1)])
def test_too_few_or_equal_pairs_are_refused(validation):
    with pytest.raises(ValueError, match=r"^pairs: got 49 pairs, expected at least 50"):
        hold_out(_pairs(49), validation, seed=0)
    same = InterventionPairs(_pairs(60).x, _pairs(60).x)
    with pytest.raises(ValueError, match=r"^x_after: got the same as x"):
        hold_out(same, validation, seed=0)


@each_row("validation", [0.0, 1.0, _pairs(60, width=3)])
def test_a_validation_set_that_does_not_fit_is_named(validation):
    with pytest.raises(ValueError, match=r"^validation: got"):
        hold_out(_pairs(60), validation, seed=0)
