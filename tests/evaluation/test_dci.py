import numpy as np
import pytest

from pyro_lcm.evaluation import completeness, dci, disentanglement
from tables import each_row


def entropy(*shares):
    return -sum(p * np.log(p) for p in shares)


# Importance matrices (codes, factors) with D and C worked out by hand.
BY_HAND = {
    "identity": (np.eye(3), 1.0, 1.0),
    "scaled permutation": (np.array([[0, 5.0], [1.0, 0]]), 1.0, 1.0),
    "uniform": (np.ones((3, 3)), 0.0, 0.0),
    "two codes for one factor": (
        np.array([[0.5, 0], [0.5, 0], [0, 1.0]]),
        1.0,
        1 - 0.5 * np.log(2) / np.log(3),
    ),
    "one code for two factors": (np.array([[1.0, 1.0], [0, 0]]), 0.0, 1.0),
    "a dead code": (np.array([[1.0, 0], [0, 1.0], [0, 0]]), 1.0, 1.0),
    "mixed": (
        np.array([[0.75, 0.1], [0.25, 0.9]]),
        1 - (0.85 * entropy(0.75 / 0.85, 0.1 / 0.85) + 1.15 * entropy(0.25 / 1.15, 0.9 / 1.15)) / (2 * np.log(2)),
        1 - (entropy(0.75, 0.25) + entropy(0.1, 0.9)) / (2 * np.log(2)),
    ),
    "one factor": (np.array([[0.5], [0.5]]), 1.0, 0.0),
    "one code and one factor": (np.array([[1.0]]), 1.0, 1.0),
    "nothing": (np.zeros((2, 2)), 0.0, 0.0),
}


@pytest.mark.parametrize(("importance", "d", "c"), BY_HAND.values(), ids=BY_HAND.keys())
def test_scores_worked_out_by_hand(importance, d, c):
    assert disentanglement(importance) == pytest.approx(d, abs=1e-12)
    assert completeness(importance) == pytest.approx(c, abs=1e-12)


def test_scores_do_not_depend_on_order_or_sign():
    importance = np.random.default_rng(0).exponential(size=(4, 3))
    shuffled = -importance[[2, 0, 3, 1]][:, [1, 2, 0]]
    assert disentanglement(shuffled) == pytest.approx(disentanglement(importance))
    assert completeness(shuffled) == pytest.approx(completeness(importance))


@each_row("bad", [[[np.nan]], [1.0, 2.0], np.zeros((0, 2))])
def test_importances_must_be_a_finite_matrix(bad):
    with pytest.raises(ValueError, match="importance: got"):
        disentanglement(bad)


@pytest.fixture(scope="module")
def factors():
    return np.random.default_rng(0).normal(size=(1200, 3))


def test_a_permuted_reparameterised_code_is_perfect(factors):
    result = dci(np.tanh(-factors[:, [2, 0, 1]]), factors)
    assert result.disentanglement > 0.99
    assert result.completeness > 0.99
    assert result.informativeness > 0.97
    np.testing.assert_array_equal(result.importance.argmax(axis=0), [1, 2, 0])
    np.testing.assert_allclose(result.importance.sum(axis=0), 1)


def test_a_rotated_code_is_entangled_but_informative(factors):
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    result = dci(factors @ rotation, factors)
    assert result.disentanglement < 0.6
    assert result.informativeness > 0.8


def test_an_independent_code_is_uninformative(factors):
    result = dci(np.random.default_rng(1).normal(size=(1200, 3)), factors)
    assert result.disentanglement < 0.1
    assert result.informativeness < 0.05


def test_importances_are_those_of_default_gradient_boosting(factors):
    from sklearn.ensemble import GradientBoostingRegressor

    code = factors + 0.5 * factors[:, [1, 2, 0]]
    order = np.random.default_rng(7).permutation(1200)[:200]
    test, train = order[:20], order[20:]
    result = dci(code, factors, rows=200, seed=7)
    for j in range(3):
        model = GradientBoostingRegressor(random_state=7).fit(code[train], factors[train, j])
        np.testing.assert_allclose(result.importance[:, j], model.feature_importances_)
    assert result.disentanglement == pytest.approx(disentanglement(result.importance))
    assert result.informativeness == pytest.approx(
        np.mean(
            [
                GradientBoostingRegressor(random_state=7)
                .fit(code[train], factors[train, j])
                .score(code[test], factors[test, j])
                for j in range(3)
            ]
        )
    )


def test_jobs_and_seeds(factors):
    one, two = (dci(factors @ np.ones((3, 3)) + factors, factors, rows=300, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one.importance, two.importance)
    other = dci(factors @ np.ones((3, 3)) + factors, factors, rows=300, seed=1)
    assert not np.array_equal(one.importance, other.importance)


def test_constant_codes_and_factors_are_zeros_not_nan(factors):
    constant = np.column_stack([factors[:, 0], np.full(1200, 0.1)])
    dead_code = dci(constant, factors[:, :2], rows=300)
    np.testing.assert_array_equal(dead_code.importance[1], 0)
    everything = (dead_code.disentanglement, dead_code.completeness, dead_code.informativeness)
    dead_factor = dci(factors[:, :2], constant, rows=300)
    np.testing.assert_array_equal(dead_factor.importance[:, 1], 0)
    everything += (dead_factor.disentanglement, dead_factor.completeness, dead_factor.informativeness)
    assert np.isfinite(everything).all()


def test_one_variable(factors):
    result = dci(-factors[:, :1], factors[:, :1], rows=500)
    assert (result.disentanglement, result.completeness) == (1.0, 1.0)


@each_row(("n", "rows"), [(9, 100), (100, 9)])
def test_few_rows_are_refused(factors, n, rows):
    with pytest.raises(ValueError, match="rows: got 9, expected at least 10"):
        dci(factors[:n], factors[:n], rows=rows)
