"""Tests between two worlds: p-values are uniform where nothing changed, whatever the law, and small where it did."""

import numpy as np
import pytest

from pyro_lcm.identify.changed_parts import changed_regression, larger_than, relearned_effects


@pytest.mark.parametrize("law", ["normal", "heavy"])
def test_p_values_are_uniform_without_a_change(law):
    rng = np.random.default_rng(0)
    p_values = []
    for trial in range(150):
        causes = rng.normal(size=(120, 2))
        noise = rng.normal(size=120) if law == "normal" else rng.standard_t(3, size=120)
        y = causes @ [1.0, -2.0] + noise
        p_values.append(changed_regression(y[:40], causes[:40], y[40:], causes[40:], permutations=99, seed=trial)[1])
    assert 0.01 <= np.mean(np.array(p_values) <= 0.1) <= 0.17
    assert 0.38 <= np.mean(p_values) <= 0.62


def test_the_statistic_is_the_likelihood_ratio():
    rng = np.random.default_rng(1)
    causes, y = rng.normal(size=(60, 2)), rng.normal(size=60)

    def half_deviance(rows):
        design = np.column_stack([causes[rows], np.ones(len(y[rows]))])
        residual = y[rows] - design @ np.linalg.lstsq(design, y[rows], rcond=None)[0]
        return len(residual) * np.log(np.square(residual).mean())

    exact = half_deviance(slice(None)) - half_deviance(slice(20)) - half_deviance(slice(20, None))
    found, _ = changed_regression(y[:20], causes[:20], y[20:], causes[20:], permutations=9, seed=0)
    assert found == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("change", ["slope", "mean", "variance"])
def test_each_kind_of_change_is_seen(change):
    rng = np.random.default_rng(2)
    causes, noise = rng.normal(size=(300, 1)), rng.normal(size=300)
    now = np.arange(300) < 100
    slope = np.where(now & (change == "slope"), 2.0, 1.0)
    sd = np.where(now & (change == "variance"), 2.0, 1.0)
    y = slope * causes[:, 0] + sd * noise + (now & (change == "mean"))
    assert changed_regression(y[:100], causes[:100], y[100:], causes[100:], permutations=499, seed=0)[1] == 1 / 500


def test_ties_are_no_evidence():
    assert larger_than(np.zeros(20), np.zeros(30), permutations=99, seed=0) == 1
    assert larger_than(np.full(20, -1.0), np.zeros(30), permutations=99, seed=0) == 1


def test_slopes_are_exact_from_a_handful_of_pairs_that_share_noise():
    rng = np.random.default_rng(3)
    causes, noise = rng.normal(size=(6, 2)), 5 * rng.normal(size=6)
    after = causes.copy()
    after[:3, 0] = rng.normal(size=3)
    after[3:5, 1] = rng.normal(size=2)
    slopes = np.array([1.0, -0.5])
    y, y_after = (side @ slopes + 2 + noise for side in (causes, after))
    y_after[5] += 3.0  # it was the target itself; its causes have not moved
    found, intercept, sd = relearned_effects(y, causes, y_after, after)
    np.testing.assert_allclose(found, slopes, atol=0.05)
    assert abs(intercept - 2 - noise.mean()) < 0.5
    assert sd == pytest.approx(noise.std(ddof=1), rel=0.05)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="n and m above p"):
        changed_regression(np.zeros(4), np.zeros((4, 2)), np.zeros(9), np.zeros((9, 2)), permutations=9, seed=0)
