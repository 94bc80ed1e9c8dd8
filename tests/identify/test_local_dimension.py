"""The dimension of neighbourhoods: of flat and bent sheets, and whatever the number of rows."""

import numpy as np
import pytest

from pyro_lcm.identify.local_dimension import filled_share, local_dimension


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_bent_sheet_has_the_dimension_of_what_it_was_bent_from(dim):
    rng = np.random.default_rng(dim)
    flat = rng.normal(size=(3000, dim))
    bent = np.tanh(flat @ rng.normal(size=(dim, 6))) @ rng.normal(size=(6, 6))
    assert local_dimension(flat) == pytest.approx(dim, abs=0.15)
    assert local_dimension(bent) == pytest.approx(dim, abs=0.3)


def test_full_directions_are_full_and_a_sheet_is_not():
    rng = np.random.default_rng(0)
    full = rng.normal(size=(2500, 4))
    assert filled_share(full) == pytest.approx(1, abs=0.1)
    sheet = np.c_[full[:, :2], full[:, :2] ** 2]
    assert filled_share(sheet) < 0.75


def test_points_that_coincide_tell_nothing():
    assert np.isnan(local_dimension(np.zeros((100, 2))))
