"""BGe against the sequential predictive of the normal-Wishart model, quadrature, and score equivalence."""

import numpy as np
import pytest
from scipy import integrate, stats

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGePrior, BGeScore
from tables import each_row

RNG = np.random.default_rng(0)


def sequential_log_density(rows, *, alpha_mu, alpha_w, mean, scatter):
    """Chain rule: each row given those before it is a multivariate t (Murphy 2007, section 8.3)."""
    total, width = 0.0, rows.shape[1]
    for row in rows:
        freedom = alpha_w - width + 1
        shape = scatter * (alpha_mu + 1) / (alpha_mu * freedom)
        total += stats.multivariate_t.logpdf(row, loc=mean, shape=shape, df=freedom)
        scatter = scatter + alpha_mu / (alpha_mu + 1) * np.outer(row - mean, row - mean)
        mean = (alpha_mu * mean + row) / (alpha_mu + 1)
        alpha_mu, alpha_w = alpha_mu + 1, alpha_w + 1
    return total


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize(
    ("prior", "alpha_mu", "alpha_w", "nu"),
    [(BGePrior(), 1.0, 2.0, 0.0), (BGePrior(0.7, 0.3, 9.0), 0.3, None, 0.7)],
)
def test_complete_graph_is_the_normal_wishart_model(width, prior, alpha_mu, alpha_w, nu):
    rows = RNG.normal(1.0, 2.0, size=(12, width)) @ RNG.normal(size=(width, width))
    alpha_w = 9.0 if alpha_w is None else width + alpha_w
    scale = alpha_mu * (alpha_w - width - 1) / (alpha_mu + 1)
    complete = np.triu(np.ones((width, width)), 1)
    expected = sequential_log_density(
        rows, alpha_mu=alpha_mu, alpha_w=alpha_w, mean=np.full(width, nu), scatter=scale * np.eye(width)
    )
    assert BGeScore(GraphData(rows), prior).total(complete) == pytest.approx(expected, abs=1e-9)


def test_family_of_a_larger_graph_keeps_the_number_of_variables():
    """Local score of 3 given 1 among 4 variables: ratio of marginals with alpha_w - d + subset size."""
    rows = RNG.normal(size=(15, 4))
    score = BGeScore(GraphData(rows))
    scale = 0.5

    def marginal(subset):
        freedom = 6.0 - 4 + len(subset)
        scatter = scale * np.eye(len(subset))
        return sequential_log_density(
            rows[:, subset], alpha_mu=1.0, alpha_w=freedom, mean=np.zeros(len(subset)), scatter=scatter
        )

    expected = marginal([1, 3]) - marginal([1])
    assert score.local(3, [[0, 1, 0, 0]])[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("parents", [0, 1])
def test_local_score_is_the_integral_over_the_stated_parameter_prior(parents):
    """d = 2 by quadrature over noise variance; intercept and coefficient are integrated as a normal."""
    rows = RNG.normal(size=(6, 2))
    score = BGeScore(GraphData(rows))
    y, count, scale = rows[:, 1], 6, 0.5
    shape, rate = (4 - 2 + parents + 1) / 2, scale / 2
    if not parents:
        covariance = np.eye(count) + np.ones((count, count))  # mu ~ N(0, s2 / alpha_mu)

        def integrand(s2):
            likelihood = stats.multivariate_normal.pdf(y, np.zeros(count), s2 * covariance)
            return likelihood * stats.invgamma.pdf(s2, shape, scale=rate)

        expected = np.log(integrate.quad(integrand, 0, np.inf)[0])
        assert score.local(1, [[0, 0]])[0] == pytest.approx(expected, abs=1e-6)
        return
    # y = b x + noise with the intercept N(0, s2 / alpha_mu) and the slope N(0, s2 / t), given mu_x = 0 prior.
    # mu_x itself is shared with the parent's marginal, so compare joints: p(x, y) over p(x).
    joint = score.total([[0, 1], [0, 0]])
    reverse = score.total([[0, 0], [1, 0]])
    assert joint == pytest.approx(reverse, abs=1e-10)
    x = rows[:, 0]
    design = np.column_stack([x, np.ones(count)])
    covariance = np.eye(count) + design @ np.diag([1 / scale, 1.0]) @ design.T

    def integrand(s2):
        likelihood = stats.multivariate_normal.pdf(y, np.zeros(count), s2 * covariance)
        return likelihood * stats.invgamma.pdf(s2, shape, scale=rate)

    # Given mu_y - b mu_x =: intercept ~ N(0, s2 / alpha_mu) independent of b and mu_x: the same regression
    expected = np.log(integrate.quad(integrand, 0, np.inf)[0])
    assert score.local(1, [[1, 0]])[0] == pytest.approx(expected, abs=1e-6)


def test_markov_equivalent_graphs_score_the_same():
    rows = RNG.normal(size=(30, 4)) @ RNG.normal(size=(4, 4))
    graphs = all_dags(4)
    scores = BGeScore(GraphData(rows)).total(graphs)
    classes: dict[tuple, list[float]] = {}
    for graph, value in zip(graphs != 0, scores, strict=True):
        classes.setdefault(_equivalence_class(graph), []).append(value)
    assert len(classes) == 185  # equivalence classes on four variables (Gillispie & Perlman 2002)
    assert max(np.ptp(values) for values in classes.values()) < 1e-9


def _equivalence_class(graph):
    skeleton = graph | graph.T
    size = len(graph)
    colliders = tuple(
        (a, c, b)
        for c in range(size)
        for a in range(size)
        for b in range(a + 1, size)
        if graph[a, c] and graph[b, c] and not skeleton[a, b]
    )
    return skeleton.tobytes(), colliders


def test_rows_in_which_the_child_was_the_target_do_not_count():
    rows = RNG.normal(size=(40, 3))
    targets = RNG.integers(0, 4, size=40)
    score = BGeScore(GraphData(rows, targets=targets))
    for child in range(3):
        kept = BGeScore(GraphData(rows[targets != child + 1]))
        sets = [[0, 0, 0], np.arange(3) == (child + 1) % 3]
        np.testing.assert_allclose(score.local(child, sets), kept.local(child, sets), rtol=1e-12)


def test_whole_weights_repeat_rows():
    rows = RNG.normal(size=(10, 3))
    times = RNG.integers(0, 3, size=10)
    weighted = BGeScore(GraphData(rows, weights=times)).local(0, [[0, 1, 1]])
    repeated = BGeScore(GraphData(np.repeat(rows, times, axis=0))).local(0, [[0, 1, 1]])
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_no_rows_give_evidence_one():
    score = BGeScore(GraphData(RNG.normal(size=(5, 2)), targets=np.full(5, 1)))
    np.testing.assert_allclose(score.local(0, [[0, 0], [0, 1]]), 0.0, atol=1e-12)


def test_mechanism_posterior_matches_the_wishart_draws():
    """Coefficients of 2 given 0 and 1 from the joint precision posterior: means within 5 standard errors."""
    rows = RNG.normal(size=(20, 3)) @ np.array([[1, 0.5, 1], [0, 1, -1], [0, 0, 1.0]])
    score = BGeScore(GraphData(rows))
    mechanism = score.mechanism_posterior(2, np.array([True, True, False]))
    draws = mechanism.draw(40_000, np.random.default_rng(1))
    _, scatter = score.row_statistics(2)[0]
    precision = stats.wishart(df=5 + 20, scale=np.linalg.inv(scatter)).rvs(40_000, random_state=2)
    expected = -precision[:, :2, 2] / precision[:, 2, 2:]
    error = np.hypot(draws.std(0), expected.std(0)) / np.sqrt(40_000)
    assert (np.abs(draws.mean(0) - expected.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(np.cov(draws.T), np.cov(expected.T), rtol=0.1)


@each_row(
    ("prior", "name"),
    [
        (BGePrior(mean_precision=0.0), "mean_precision"),
        (BGePrior(degrees_of_freedom=0.5), "degrees_of_freedom"),
        (BGePrior(degrees_of_freedom=3.0), "scale"),
    ],
)
def test_hyper_parameters_out_of_range(prior, name):
    with pytest.raises(ValueError, match=name):
        BGeScore(GraphData(np.zeros((3, 2))), prior)
