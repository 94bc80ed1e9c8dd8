"""Lines are searched for where there may be some, and once."""

import numpy as np
import pytest

import pyro_lcm.fitting.linearity
from pyro_lcm import ScalingSystem, simulate_scaling
from pyro_lcm.fitting.design import fit_standardizer
from pyro_lcm.fitting.linearity import judge_linearity
from pyro_lcm.identify.directions import find_directions
from pyro_lcm.identify.shared_subspace import shared_directions


@pytest.fixture
def searched(monkeypatch):
    """Numbers of directions that lines were searched for in."""
    widths = []

    def search(differences, **how):
        widths.append(differences.shape[1])
        return find_directions(differences, **how)

    monkeypatch.setattr(pyro_lcm.fitting.linearity, "find_directions", search)
    return widths


def _judged(n=4000, **how):
    pairs = simulate_scaling(n=n, seed=1, **how)
    standardizer = fit_standardizer(pairs, units="whiten")
    before, after = (standardizer.transform(side).astype(np.float64) for side in (pairs.x, pairs.x_after))
    return judge_linearity(before, after, shared_directions(before, after)).linear


@pytest.mark.parametrize(
    ("how", "linear", "widths"),
    [
        ({"dim": 4}, True, [4]),
        ({"dim": 4, "dim_x": 12}, True, [4]),
        ({"dim": 4, "dim_x": 60, "observation_noise": 0.05}, True, [4]),
        ({"dim": 4, "observation_noise": 0.001}, True, [4]),
        ({"dim": 4, "mixing": "leaky_relu", "mechanisms": "nonlinear"}, False, [4]),
    ],
)
def test_lines_are_searched_for_once_and_in_few_directions(searched, how, linear, widths):
    assert _judged(**how) is linear
    assert searched == widths


def test_of_sides_that_are_the_same_the_search_says_what_is_wrong():
    x = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.raises(ValueError, match="expected pairs that differ"):
        judge_linearity(x, x, None)


@pytest.mark.parametrize(("share", "seed"), [(0.95, 0), (0.9, 0)])
def test_pairs_without_intervention_may_be_nearly_all(share, seed):
    # Lines found without noise are lines of noise here; a class that took what is far out let them stay so.
    weights = (4 * share / (1 - share), 1, 1, 1, 1)
    pairs = ScalingSystem(4, seed=seed, observation_noise=0.01, target_weights=weights).sample(6_000)
    standardizer = fit_standardizer(pairs, units="whiten")
    before, after = (standardizer.transform(side).astype(np.float64) for side in (pairs.x, pairs.x_after))
    judged = judge_linearity(before, after, shared_directions(before, after))
    assert judged.linear
    assert judged.off_lines is None
