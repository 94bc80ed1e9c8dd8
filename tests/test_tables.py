"""Rows of one case: each is run, the one that fails is named, and what is no column stays a fixture."""

import inspect

import pytest

from tables import each_row


def test_every_row_is_run_and_the_one_that_fails_is_named():
    seen = []

    @each_row("number, least", [(1, 0), (2, 0), (3, 4), (5, 0)])
    def case(number, least, folder):
        seen.append((number, folder))
        if number < least:
            raise ValueError("too small")

    assert list(inspect.signature(case).parameters) == ["folder"]
    with pytest.raises(ValueError, match="too small") as caught:
        case(folder="here")
    assert seen == [(1, "here"), (2, "here"), (3, "here")]
    assert caught.value.__notes__ == ["in the row {'number': 3, 'least': 4}"]
