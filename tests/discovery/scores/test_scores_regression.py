"""Evidence of linear and nonlinear regressions against sequential prediction, a dense t, and quadrature."""

import numpy as np
import pytest
from scipy import integrate, stats

from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.linear_gaussian import LinearGaussianPrior, LinearGaussianScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearPrior, NonlinearScore
from tables import each_row

RNG = np.random.default_rng(0)


def dense_evidence(y, design, precision, shape, rate):
    """The rows are one multivariate t: y ~ t_2a(0, r / a (I + X D X^T))."""
    covariance = np.eye(len(y)) + design @ np.diag(1 / precision) @ design.T
    return stats.multivariate_t.logpdf(y, np.zeros(len(y)), rate / shape * covariance, df=2 * shape)


@pytest.mark.parametrize("parents", [[], [0], [0, 2]])
def test_linear_evidence_is_a_multivariate_t(parents):
    rows = RNG.normal(size=(12, 4))
    prior = LinearGaussianPrior(0.3, 2.0, 1.2, 0.7)
    design = np.column_stack([rows[:, parents], np.ones(12)])
    expected = dense_evidence(rows[:, 3], design, np.array([0.3] * len(parents) + [2.0]), 1.2, 0.7)
    sets = np.isin(np.arange(4), parents)[None]
    assert LinearGaussianScore(GraphData(rows), prior).local(3, sets)[0] == pytest.approx(expected, abs=1e-10)


def test_linear_evidence_by_quadrature():
    x = RNG.normal(size=5)
    y = 0.5 * x + RNG.normal(size=5)
    prior = LinearGaussianPrior()
    score = LinearGaussianScore(GraphData(np.column_stack([x, y])), prior)

    def integrand(log_s2):
        s2 = np.exp(log_s2)
        covariance = np.eye(5) + 1 / prior.intercept_precision + np.outer(x, x) / prior.coefficient_precision
        density = stats.multivariate_normal.pdf(y, np.zeros(5), s2 * covariance)
        return density * stats.invgamma.pdf(s2, prior.noise_shape, scale=prior.noise_rate) * s2

    expected = np.log(integrate.quad(integrand, -8, 8)[0])
    assert score.local(1, [[1, 0]])[0] == pytest.approx(expected, abs=1e-6)


def test_linear_evidence_is_the_product_of_predictives():
    """Chain rule: the evidence with one more row over that without it is a density of the row."""
    rows = RNG.normal(size=(6, 2))
    grid = np.linspace(-60, 60, 4001)
    values = []
    for y in grid:
        extended = np.vstack([rows, [0.3, y]])
        values.append(LinearGaussianScore(GraphData(extended)).local(1, [[1, 0]])[0])
    before = LinearGaussianScore(GraphData(rows)).local(1, [[1, 0]])[0]
    assert np.trapezoid(np.exp(np.array(values) - before), grid) == pytest.approx(1.0, abs=2e-3)


def test_linear_mechanism_posterior_against_dense_algebra():
    rows = RNG.normal(size=(15, 3))
    prior = LinearGaussianPrior()
    mechanism = LinearGaussianScore(GraphData(rows), prior).mechanism_posterior(2, np.array([1, 1, 0], dtype=bool))
    design = np.column_stack([rows[:, :2], np.ones(15)])
    precision = design.T @ design + np.diag([0.5, 0.5, 1.0])
    mean = np.linalg.solve(precision, design.T @ rows[:, 2])
    np.testing.assert_allclose(mechanism.mean, mean[:2])
    np.testing.assert_allclose(np.linalg.inv(mechanism.precision), np.linalg.inv(precision)[:2, :2])
    residual = rows[:, 2] @ rows[:, 2] - mean @ precision @ mean
    assert mechanism.rate == pytest.approx(prior.noise_rate + residual / 2)
    assert mechanism.shape == pytest.approx(prior.noise_shape + 7.5)


@pytest.mark.parametrize("products", [True, False])
@pytest.mark.parametrize("parents", [[], [1], [0, 2, 4]])
def test_nonlinear_evidence_is_a_mean_of_multivariate_t(parents, products):
    rows = RNG.normal(size=(20, 5))
    prior = NonlinearPrior(features=3, products=products, signal_to_noise=(0.5, 20.0))
    x = (rows - rows.mean(0)) / rows.std(0)
    columns = [np.ones(20)]
    for i in parents:
        columns.append(x[:, i])
        ratio = x[:, i] / 1.5
        columns += [np.exp(-(ratio**2) / 2) * ratio**k / np.sqrt([1, 1, 2][k]) for k in range(3)]
    pairs = [(a, b) for n, a in enumerate(parents) for b in parents[n + 1 :]] if products else []
    columns += [x[:, a] * x[:, b] for a, b in pairs]
    each = []
    for ratio in (0.5, 20.0):
        precision = np.array([1.0] + [1 / ratio] * 4 * len(parents) + [10 / ratio] * len(pairs))
        each.append(dense_evidence(rows[:, 3], np.column_stack(columns), precision, 1.5, 0.5))
    expected = np.log(np.mean(np.exp(np.array(each) - max(each)))) + max(each)
    score = NonlinearScore(GraphData(rows), prior)
    assert score.local(3, np.isin(np.arange(5), parents)[None])[0] == pytest.approx(expected, abs=1e-8)


def test_features_approximate_the_gaussian_kernel():
    values = RNG.uniform(-1.5, 1.5, size=(30, 1))
    score = NonlinearScore(GraphData(values), NonlinearPrior(features=12))
    design = score.design(values)[:, 2:]  # without intercept and linear feature
    x = (values - values.mean()) / values.std()
    np.testing.assert_allclose(design @ design.T, np.exp(-((x - x.T) ** 2) / (2 * 1.5**2)), atol=1e-5)


def test_nonlinear_score_sees_what_the_linear_one_cannot():
    x = RNG.normal(size=200)
    rows = np.column_stack([x, x**2 + 0.2 * RNG.normal(size=200)])
    data = GraphData(rows).standardized()
    nonlinear, linear = NonlinearScore(data), LinearGaussianScore(data)
    sets = [[0, 0], [1, 0]]
    assert np.diff(nonlinear.local(1, sets))[0] > 100
    assert np.diff(linear.local(1, sets))[0] < 5


def test_products_of_parents_are_seen():
    rows = RNG.normal(size=(300, 3))
    rows[:, 2] = rows[:, 0] * rows[:, 1] + 0.3 * RNG.normal(size=300)
    score = NonlinearScore(GraphData(rows).standardized())
    one, both = score.local(2, [[1, 0, 0], [1, 1, 0]])
    assert both > one + 100


@pytest.mark.parametrize("score", [LinearGaussianScore, NonlinearScore])
def test_targets_and_weights(score):
    rows = RNG.normal(size=(20, 3))
    targets = RNG.integers(0, 4, size=20)
    found = score(GraphData(rows, targets=targets)).local(0, [[0, 1, 1]])
    kept = score(GraphData(rows[targets != 1])).local(0, [[0, 1, 1]])
    np.testing.assert_allclose(found, kept)


@each_row(
    ("build", "name"),
    [
        (lambda: LinearGaussianPrior(noise_rate=0.0), "noise_rate"),
        (lambda: NonlinearPrior(features=-1), "features"),
        (lambda: NonlinearPrior(length_scale=0.0), "length_scale"),
        (lambda: NonlinearPrior(signal_to_noise=()), "signal_to_noise"),
    ],
)
def test_hyper_parameters_out_of_range(build, name):
    with pytest.raises(ValueError, match=name):
        build()
