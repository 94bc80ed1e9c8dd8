"""The likelihood of noisy linear pairs: against densities and regressions in closed form, and how often it holds."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from pyro_lcm.reasoning.linear_posterior import LinearPosterior
from pyro_lcm.reasoning.marginal import LinearMarginal, LinearParameters

GRAPH = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])


def parameters(noise, coefficients=((0, 0.8, -0.5), (0, 0, 0.7), (0, 0, 0))):
    rng = np.random.default_rng(3)
    axes = np.eye(3) + 0.1 * rng.normal(size=(3, 3))
    coefficients = np.array(coefficients, dtype=float)
    return LinearParameters(
        0.1 * rng.normal(size=3),
        axes,
        noise * (np.eye(3) + 0.2),
        np.array([0.1, -0.2, 0.3]),
        np.array([0.9, 0.7, 1.1]),
        coefficients,
        np.array([0.1, 0.3, 0.2, 0.4]),
    )


def after(of, e, target, new):
    """Noise encodings after, one pair after the other, variable by variable: what the module's formulas say at once."""
    z = np.zeros_like(e)
    shift = np.zeros_like(e)
    for i in range(3):
        shift[:, i] = of.intercepts[i] + z @ of.coefficients[:, i]
        z[:, i] = (e[:, i] - shift[:, i]) / of.scales[i]
    hit = target[:, None] == np.arange(1, 4)
    return np.where(hit, shift + of.scales * new, e)


def sample(of, n, seed):
    rng = np.random.default_rng(seed)
    e, new, target = of.mean + rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), rng.choice(4, n, p=of.shares)
    root = np.linalg.cholesky(of.noise).T
    sides = [part @ of.axes + rng.normal(size=(n, 3)) @ root for part in (e, after(of, e, target, new))]
    return sides, target


def test_the_density_is_that_of_a_mixture_of_linear_maps():
    """Each class is a linear map of standard normal numbers, read off the simulator one number at a time."""
    of = parameters(0.1)
    marginal = LinearMarginal(GRAPH)
    (before, later), _ = sample(of, 20, 0)
    pairs = np.hstack([before, later])
    logs = []
    for target in range(4):

        def codes(numbers, target=target):
            e, new, eta, eta_after = np.split(numbers, 4, axis=1)
            root = np.linalg.cholesky(of.noise).T
            e = of.mean + e
            moved = after(of, e, np.full(len(e), target), new)
            return np.hstack([e @ of.axes + eta @ root, moved @ of.axes + eta_after @ root])

        centre = codes(np.zeros((1, 12)))[0]
        slopes = codes(np.eye(12)) - centre
        logs.append(np.log(of.shares[target]) + multivariate_normal(centre, slopes.T @ slopes).logpdf(pairs))
    found = marginal.log_density(marginal.pack(of), torch.as_tensor(pairs))
    np.testing.assert_allclose(found, logsumexp(logs, axis=0), rtol=1e-10)


def test_parameters_come_back_from_their_vector():
    of, marginal = parameters(0.1), LinearMarginal(GRAPH)
    again = marginal.unpack(marginal.pack(of).numpy())
    for name in vars(of):
        np.testing.assert_allclose(getattr(again, name), getattr(of, name), atol=1e-12, err_msg=name)
    constant, matrix = of.causal
    e = np.random.default_rng(0).normal(size=(5, 3))
    z = constant + e @ matrix
    np.testing.assert_allclose(of.intercepts + z @ of.coefficients + of.scales * z, e, atol=1e-12)


def test_with_next_to_no_noise_it_is_the_posterior_of_regressions():
    """These are exact there: mean and standard deviation of each effect agree, which the units of e have no part in."""

    def direct(each):
        return (each.coefficients / each.scales)[GRAPH != 0]

    of = parameters(1e-5)
    (before, later), target = sample(of, 1000, 1)
    rows = [np.flatnonzero(target == i) for i in (1, 2, 3)]
    posterior = LinearPosterior(before, later, rows, np.vstack([before, later]))
    assert not posterior.noisy
    rng = np.random.default_rng(0)
    exact = np.stack([direct(posterior.draw(GRAPH, rng)) for _ in range(400)])
    marginal = LinearMarginal(GRAPH)
    theta, root = marginal.fit(torch.as_tensor(np.hstack([before, later])), posterior.draw(GRAPH, None))
    found = np.stack([direct(marginal.unpack(theta + root @ rng.standard_normal(len(theta)))) for _ in range(400)])
    np.testing.assert_allclose(found.mean(0), exact.mean(0), atol=0.3 * exact.std(0).max())
    np.testing.assert_allclose(found.std(0), exact.std(0), rtol=0.2)


def test_noise_does_not_turn_coefficients_and_intervals_hold():
    """Regressions on codes are off by many standard errors where the likelihood is not."""
    of = parameters(0.15)
    marginal = LinearMarginal(GRAPH)
    truth, errors, plain = marginal.pack(of).numpy(), [], []
    for seed in range(8):
        (before, later), target = sample(of, 1500, 10 + seed)
        rows = [np.flatnonzero(target == i) for i in (1, 2, 3)]
        posterior = LinearPosterior(before, later, rows, np.vstack([before, later]))
        assert posterior.noisy
        start = posterior._regressions(GRAPH, None)
        theta, root = marginal.fit(torch.as_tensor(np.hstack([before, later])), start)
        sd = np.sqrt(np.square(root).sum(1))
        errors.append((theta - truth) / sd)
        plain.append((marginal.pack(start).numpy() - truth) / sd)
    held, without = ((abs(np.array(part)) < 1.645).mean() for part in (errors, plain))
    assert 0.84 <= held <= 0.95  # of 8 times 33 numbers
    assert without < 0.65


def test_a_graph_with_fewer_edges_is_this_one_where_they_are_zero():
    of = parameters(0.1, ((0, 0.8, 0), (0, 0, 0.7), (0, 0, 0)))
    chain = GRAPH.copy()
    chain[0, 2] = 0
    (before, later), target = sample(of, 3000, 2)
    pairs = torch.as_tensor(np.hstack([before, later]))
    whole, part = LinearMarginal(GRAPH), LinearMarginal(chain)
    found = whole.without(*whole.fit(pairs, of), chain)
    assert found is not None
    near, (theta, root) = whole.unpack(found[0]), part.fit(pairs, of)
    assert near.coefficients[0, 2] == pytest.approx(0, abs=1e-12)
    sd = np.sqrt(np.square(root).sum(1))
    assert (abs(part.pack(near).numpy() - theta) < 0.4 * sd).all()
    assert whole.without(*whole.fit(pairs, of), np.zeros((3, 3))) is None  # far from zero
    assert part.without(theta, root, GRAPH) is None
    rows = [np.flatnonzero(target == i) for i in (1, 2, 3)]
    posterior = LinearPosterior(before, later, rows, np.vstack([before, later]))
    assert posterior.draw(chain, np.random.default_rng(0)).coefficients[0, 2] == pytest.approx(0, abs=1e-12)
