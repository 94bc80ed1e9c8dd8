"""The posterior of mechanisms: regressions against closed forms, intervals that hold the truth as often as they say."""

import numpy as np
import pytest
import torch

from pyro_lcm.reasoning import (
    LinearStructure,
    ParameterPosterior,
    Uncertainty,
    average_effects,
    counterfactual,
    intervene,
)
from pyro_lcm.reasoning.linear_posterior import draw_direction, draw_regression
from pyro_lcm.studies.true_effects import TrueAnswers

DRAWS = 4000


def test_a_drawn_regression_has_the_moments_of_its_posterior():
    rng = np.random.default_rng(0)
    design = np.column_stack([rng.normal(size=(12, 2)), np.ones(12)])
    response = design @ [1.0, -2.0, 0.5] + 0.7 * rng.normal(size=12)
    table = np.column_stack([design, response])
    drawn = [draw_regression(table.T @ table, 12, rng) for _ in range(DRAWS)]
    coefficients, sds = np.stack([each[0] for each in drawn]), np.array([each[1] for each in drawn])
    expected, squares = np.linalg.lstsq(design, response, rcond=None)[:2]
    freedom = 12 - 3
    covariance = np.linalg.inv(design.T @ design) * squares[0] / (freedom - 2)  # of Student's t
    error = np.sqrt(np.diag(covariance) / DRAWS)
    np.testing.assert_array_less(abs(coefficients.mean(0) - expected), 5 * error)
    np.testing.assert_allclose(np.cov(coefficients.T), covariance, atol=0.15 * covariance.max())
    assert (sds**2).mean() == pytest.approx(squares[0] / (freedom - 2), rel=0.1)
    mean, sd = draw_regression(table.T @ table, 12, None)
    np.testing.assert_allclose(mean, expected)
    assert sd**2 == pytest.approx(squares[0] / freedom)


def test_a_drawn_direction_errs_as_far_as_noise_lets_it():
    rng = np.random.default_rng(1)
    move, noise = rng.normal(size=200), 0.1 * rng.normal(size=(200, 3))
    noise[:, 0] = 0.0
    differences = np.outer(move, [1.0, 0.5, 0.0]) + noise
    scatter = differences.T @ differences
    drawn = np.stack([draw_direction(scatter, 200, 0, rng) for _ in range(DRAWS)])
    np.testing.assert_array_equal(drawn[:, 0], 1.0)
    np.testing.assert_allclose(drawn.std(0)[1:], 0.1 / np.sqrt(move @ move), rtol=0.25)
    np.testing.assert_allclose(draw_direction(scatter, 200, 0, None), scatter[0] / scatter[0, 0])


def test_a_linear_structure_has_total_effects(linear):
    scm, weights, sd = linear
    loadings = np.random.default_rng(0).normal(size=(3, 5))
    same = LinearStructure(weights, np.zeros(3), sd, loadings, np.arange(5.0), scm.adjacency, ["a", "b", "c"])
    found = average_effects(same, on_x=False, uncertainty=Uncertainty(draws=1, rows=3))["posterior"]["effect"][0, 0]
    np.testing.assert_allclose(found, np.linalg.inv(np.eye(3) - weights), atol=1e-12)
    x = np.random.default_rng(1).normal(size=(4, 3)) @ loadings + np.arange(5.0)
    np.testing.assert_allclose(intervene(same, {"a": lambda natural: natural}, x=x).x, x, atol=1e-12)
    with pytest.raises(ValueError, match="cannot be scored"):
        same.observation(same.solve(torch.zeros(1, 3, dtype=torch.float64)), torch.zeros(1, 5))


def test_the_mean_of_the_posterior_has_the_units_of_the_fit(fitted, system):
    """With the pairs that the fit has seen, but for those it held out, regressions come out as its own."""
    posterior = ParameterPosterior(fitted, system.sample(4000))
    mean = posterior.draw(None)
    np.testing.assert_allclose(mean.slope, 1.0, atol=0.05)
    np.testing.assert_allclose(mean.frame, np.eye(3), atol=0.01)
    drawn = [posterior.draw(np.random.default_rng(seed)) for seed in range(2)]
    assert not np.allclose(drawn[0].scm.coefficients, drawn[1].scm.coefficients)
    graph = np.zeros((3, 3), dtype=np.int8)
    assert posterior.draw(None, graph).scm.adjacency.tolist() == graph.tolist()


def test_intervals_hold_the_truth_as_often_as_they_say(fitted, system):
    """90 % intervals of sixty samples of 400 pairs each, of one fit, whose coordinates are what they are."""
    causal, _ = TrueAnswers(system, fitted, test=5000).effects(-0.5, 0.5)
    held = []
    for sample in range(60):
        posterior, rng = (
            ParameterPosterior(fitted, system.sample(400, seed=1000 + sample)),
            np.random.default_rng(sample),
        )
        drawn = [posterior.draw(rng) for _ in range(60)]
        total = np.stack([np.linalg.inv(np.eye(3) - each.scm.coefficients.numpy()) for each in drawn])
        slope = np.stack([each.slope for each in drawn])
        low, high = np.quantile(total * slope[:, :, None] / slope[:, None], (0.05, 0.95), axis=0)
        wide = high - low > 1e-3
        held.append(((causal >= low) & (causal <= high))[wide].mean())
    # sixty samples of three effects that hang together: the standard error of their share is about .03
    assert 0.8 <= np.mean(held) <= 0.98


def test_origins_of_uncertainty_are_told_apart(fitted, system, observations):
    pairs = system.sample(500, seed=7)
    posterior = fitted.graph_posterior(pairs, draws=50, chains=1)
    options = Uncertainty(draws=60, pairs=pairs, posterior=posterior, resample=True)
    found = average_effects(fitted, x=observations, uncertainty=options)
    assert found.attrs["intervals"] == 1
    shares = found["constant_data"]["effect_sd"]
    assert shares["origin"].values.tolist() == ["graph", "parameters", "sampling"]
    cause, outcome = np.argwhere(fitted.adjacency())[0]
    total = float(found["posterior"]["effect"][0, :, cause, outcome].std())
    of_one = shares[:, cause, outcome].values
    assert of_one[1] == pytest.approx(total, rel=0.5)  # the graph is sure, and a linear contrast is the same for all
    assert of_one[2] < 1e-6


def test_without_pairs_there_are_no_intervals(fitted):
    from pyro_lcm.reasoning import effects_frame

    found = average_effects(fitted, on_x=False, uncertainty=Uncertainty(draws=3, rows=5))
    assert found.attrs["intervals"] == 0
    assert effects_frame(found).columns.tolist() == ["cause", "outcome", "mean"]
    assert "constant_data" not in found.groups() if hasattr(found, "groups") else True


def test_counterfactuals_are_drawn_with_their_mechanisms(fitted, system, observations):
    pairs = system.sample(500, seed=8)
    x, name = observations[:5], fitted.names[int(np.argwhere(fitted.adjacency())[0][0])]
    drawn = counterfactual(fitted, x, {name: 1.0}, uncertainty=Uncertainty(draws=30, pairs=pairs))
    assert drawn.x.shape == (30, *x.shape)
    plain = counterfactual(fitted, x, {name: 1.0})
    spread = drawn.x.std(0)
    assert spread.max() > 1e-3
    assert (abs(drawn.x.mean(0) - plain.x) < 5 * spread + 0.05).all()
    np.testing.assert_allclose(drawn.causal[..., fitted.names.index(name)], 1.0, atol=1e-5)
    same = counterfactual(fitted, x, {name: lambda natural: natural}, uncertainty=Uncertainty(draws=3, pairs=pairs))
    np.testing.assert_allclose(same.x, np.broadcast_to(x, same.x.shape), atol=1e-4)
    with pytest.raises(ValueError, match="draws: got 3 beside uncertainty"):
        counterfactual(fitted, x, {name: 1.0}, draws=3, uncertainty=Uncertainty())


def test_too_few_pairs_are_refused(fitted, system):
    with pytest.raises(ValueError, match=r"pairs: \d+ have . as their target, expected at least 1\d of them"):
        ParameterPosterior(fitted, system.sample(20))
