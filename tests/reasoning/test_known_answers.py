"""Programs of known structures give the analytic answers; tolerance 1e-5, in fact rounding."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from pyro_lcm.reasoning import Uncertainty, average_effects, counterfactual, density_program, intervene, program

TOLERANCE = 1e-5


def total(weights):
    return np.linalg.inv(np.eye(len(weights)) - weights)


def test_observations_are_the_noise_times_total_effects(linear):
    scm, weights, sd = linear
    noise = torch.randn(50, 3, dtype=torch.float64)
    causal, x = program(scm)(noise)
    np.testing.assert_allclose(causal, (noise.numpy() * sd) @ total(weights), atol=TOLERANCE)
    torch.testing.assert_close(x, causal)
    torch.testing.assert_close(scm.invert(causal), noise)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_do_on_the_program(linear, target):
    scm, weights, sd = linear
    noise = torch.randn(50, 3, dtype=torch.float64)
    causal, _ = pyro.do(program(scm), {scm.names[target]: 1.5})(noise)
    cut, driven = weights.copy(), noise.numpy() * sd
    cut[:, target], driven[:, target] = 0.0, 1.5
    np.testing.assert_allclose(causal, driven @ total(cut), atol=TOLERANCE)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_counterfactual(linear, target):
    scm, weights, _sd = linear
    z = np.random.default_rng(0).normal(size=(20, 3))
    value = np.linspace(-1, 1, 20)
    outcome = counterfactual(scm, z, {scm.names[target]: value})
    cut, driven = weights.copy(), z - z @ weights  # abduction: own noise in the variable's units
    cut[:, target], driven[:, target] = 0.0, value
    np.testing.assert_allclose(outcome.causal, driven @ total(cut), atol=TOLERANCE)
    np.testing.assert_allclose(outcome.before, z, atol=TOLERANCE)


def test_two_targets_at_once(linear):
    scm, weights, _sd = linear
    z = np.random.default_rng(0).normal(size=(20, 3))
    outcome = intervene(scm, [("c", 0.5), ("a", lambda natural: natural**2)], x=z)
    cut, driven = weights.copy(), z - z @ weights
    cut[:, [0, 2]], driven[:, 2] = 0.0, 0.5
    driven[:, 0] = (z[:, 0]) ** 2 if not weights[:, 0].any() else np.nan
    np.testing.assert_allclose(outcome.causal, driven @ total(cut), atol=TOLERANCE)


def test_average_effects_are_total_effects(linear):
    scm, weights, _ = linear
    found = average_effects(scm, low=-1.0, high=2.0, uncertainty=Uncertainty(draws=3, rows=5))
    effect = found["posterior"]["effect"]
    assert effect.dims == ("chain", "draw", "cause", "outcome")
    np.testing.assert_allclose(effect, np.broadcast_to(3 * total(weights), effect.shape), atol=TOLERANCE)


def test_density_is_that_of_the_multivariate_normal(linear):
    scm, weights, sd = linear
    z = torch.randn(40, 3, dtype=torch.float64)
    values = dict(zip(scm.names, z.T, strict=True))
    trace = pyro.poutine.trace(pyro.condition(density_program(scm), values)).get_trace(size=40)
    covariance = total(weights).T @ np.diag(sd**2) @ total(weights)
    exact = dist.MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.as_tensor(covariance))
    trace.compute_log_prob()
    found = sum(trace.nodes[name]["log_prob"] for name in scm.names)
    torch.testing.assert_close(found, exact.log_prob(z), atol=TOLERANCE, rtol=0)


def test_conditioning_follows_bayes_rule(linear):
    """E[a | c = 3] by quadrature over the conditioned program against the normal's own formula."""
    scm, weights, sd = linear
    covariance = total(weights).T @ np.diag(sd**2) @ total(weights)
    grid = torch.linspace(-12, 12, 301, dtype=torch.float64)
    a, b = (axis.reshape(-1) for axis in torch.meshgrid(grid, grid, indexing="ij"))
    values = {"a": a, "b": b, "c": torch.full_like(a, 3.0)}
    trace = pyro.poutine.trace(pyro.condition(density_program(scm), values)).get_trace(size=len(a))
    trace.compute_log_prob()
    weight = sum(trace.nodes[name]["log_prob"] for name in scm.names).softmax(0)
    assert float((weight * a).sum()) == pytest.approx(3 * covariance[0, 2] / covariance[2, 2], abs=TOLERANCE)
