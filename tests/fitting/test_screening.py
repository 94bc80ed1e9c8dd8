"""Pairs that no intervention explains are left out of a fit, those of sound data are not."""

import logging

import numpy as np
import pytest

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel, ScalingSystem
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.fitting.design import choose_design, fit_standardizer
from pyro_lcm.fitting.screening import without_unrelated, without_wrong_readings
from pyro_lcm.registry import spec_of

PAIRS = 8000
SYSTEM = ScalingSystem(3, seed=0, observation_noise=0.01)


def _spoilt(kind, share=0.05):
    pairs, rng = SYSTEM.sample(PAIRS), np.random.default_rng(1)
    x, x_after = pairs.x.copy(), pairs.x_after.copy()
    if kind == "wrong pairs":
        rows = rng.permutation(PAIRS)[: int(share * PAIRS)]
        x_after[rows] = x_after[np.roll(rows, 1)]
    elif kind == "wrong readings":
        for side in (x, x_after):
            wrong = rng.random(side.shape) < share
            side += wrong * rng.uniform(-100, 100, side.shape) * side.std(0)
    elif kind == "one reading":
        x[5, 1] = 1e12
    return InterventionPairs(x, x_after)


@pytest.mark.parametrize("kind", ["wrong pairs", "wrong readings", "one reading"])
def test_a_fit_does_without_them_and_says_so(kind, caplog):
    with caplog.at_level(logging.WARNING):
        model = LatentCausalModel("ilcm").fit(_spoilt(kind), budget=Budget(refine=50), progress=False)
    assert "left out" in caplog.text
    assert sum(model.left_out.values()) >= (1 if kind == "one reading" else 0.04 * PAIRS)
    report = model.check(_spoilt(kind))
    assert report.ok
    assert any("not looked at" in hint for hint in report.hints)
    scores = model.evaluate(SYSTEM.sample(2000, seed=1), dci_rows=2000)
    assert scores["disentanglement"] > 0.97
    assert scores["mcc_noise"] > 0.99


def _left_out(pairs):
    training, held_out = hold_out(pairs, seed=0)
    training, held_out, wrong = without_wrong_readings(training, held_out, seed=0)
    standardizer = fit_standardizer(training, units="whiten")
    design = choose_design(spec_of("ilcm"), training, standardizer)
    training, held_out, unrelated = without_unrelated(training, held_out, standardizer, design.off_lines)
    assert wrong + unrelated + len(training) + len(held_out) == len(pairs)
    return wrong, unrelated


@pytest.mark.parametrize("how", [{}, {"mechanisms": "nonlinear"}, {"mechanisms": "nonlinear", "mixing": "leaky_relu"}])
def test_nothing_is_left_out_of_sound_pairs(how):
    for noise in (0.0, 0.05):
        wrong, unrelated = _left_out(ScalingSystem(4, seed=2, observation_noise=noise, **how).sample(PAIRS))
        assert wrong <= 4  # 10 standard deviations away; too few to be believed
        assert unrelated == 0


def test_how_many_are_left_out():
    wrong, unrelated = _left_out(_spoilt("wrong pairs"))
    assert wrong == 0
    assert unrelated == pytest.approx(0.05 * PAIRS, rel=0.1)
