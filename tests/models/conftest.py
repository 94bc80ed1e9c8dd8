"""Oracles for the programs of pairs: traces of an enumerated guide, and the ELBO summed by hand."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import config_enumerate
from pyro.infer.mcmc.util import initialize_model
from torch.distributions import MultivariateNormal, Normal

from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.training.objective import PairObjective


@pytest.fixture(autouse=True)
def _own_parameters():
    with pyro.get_param_store().scope():
        yield


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)


@pytest.fixture
def networks():
    """Makes an encoder and a decoder with random weights in every layer."""

    def make(dim_x, dim_z):
        encoder = VectorEncoder(dim_x, dim_z, (8,), initial_sd=0.4)
        decoder = VectorDecoder(dim_z, dim_x, (8,), initial_sd=0.5)
        shake(encoder)
        shake(decoder)
        return encoder, decoder

    return make


@pytest.fixture
def shaken():
    """Moves every parameter of a module a little."""
    return shake


def shake(module, by=0.2):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module


@pytest.fixture
def guide_trace():
    """The enumerated guide's trace, with the random numbers that the ELBO of the same seed uses."""

    def trace(guide, x, x_after, **arguments):
        pyro.set_rng_seed(1)
        with poutine.enum(first_available_dim=-2):
            return poutine.trace(guide).get_trace(x, x_after, **arguments)

    return trace


@pytest.fixture
def elbo_and_gradients():
    """The ELBO summed over the data set, and its gradients by name, from the objective that training uses."""

    def compute(model, guide, x, x_after, *, size, index, targets=None, **settings):
        objective = PairObjective(model, guide)
        tensors = {"x": x, "x_after": x_after}
        if targets is not None:
            tensors["targets"] = targets
        pyro.set_rng_seed(1)
        loss, _ = objective(tensors, size=size, index=index, **settings)
        value = -loss * size
        return value, gradients(value, model, guide)

    return compute


def gradients(value, *modules):
    parameters = {
        f"{place}.{name}": parameter
        for place, module in enumerate(modules)
        for name, parameter in module.named_parameters()
    }
    grads = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if grad is None else grad
        for (name, parameter), grad in zip(parameters.items(), grads, strict=True)
    }


@pytest.fixture
def assert_same():
    """Equality of a value and its gradients with those of the oracle, to 1e-8 of the largest."""

    def check(found, expected_value, *modules):
        value, grads = found
        torch.testing.assert_close(value, expected_value, rtol=1e-9, atol=1e-9)
        expected = gradients(expected_value, *modules)
        assert any(grad.abs().max() > 1e-3 for grad in expected.values())
        for name, grad in expected.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-8, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")

    return check


@pytest.fixture
def on_meta():
    """Trace, score and differentiate on the meta device, where a tensor from elsewhere raises."""

    def run(model, guide, dim_x, *, targets=None):
        pyro.enable_validation(False)
        model, guide = model.to("meta"), guide.to("meta")
        x, x_after = torch.empty(5, dim_x, device="meta"), torch.empty(5, dim_x, device="meta")
        index = torch.empty(5, dtype=torch.long, device="meta")
        arguments = {"size": 10, "index": index, "targets": targets}
        with pyro.get_param_store().scope():
            with poutine.enum(first_available_dim=-2):
                guided = poutine.trace(guide).get_trace(x, x_after, **arguments)
                replayed = poutine.trace(poutine.replay(model, guided)).get_trace(x, x_after, **arguments)
            total = torch.zeros((), device="meta")
            for traced in (guided, replayed):
                traced.compute_log_prob()
                for site in traced.nodes.values():
                    if site["type"] == "sample" and "log_prob_sum" in site:
                        total = total + site["log_prob_sum"]
        total.backward()
        assert total.device.type == "meta"

    return run


@pytest.fixture
def linear_posterior():
    """Means of the noise encodings and log evidence of each pair, where all is Gaussian given the target.

    Outcomes and observations are affine in noise encodings, of constant spread; targets are as probable as each other.
    """

    def compute(redrawn_dist, x_dist, x, x_after):
        dim = x.shape[1]
        origin, eye = torch.zeros(1, dim), torch.eye(dim)
        outcomes, observed = redrawn_dist(origin), x_dist(origin)
        # (e, r) = centre + latent @ standard normals; x = constant + weight @ e + noise
        latent = torch.eye(2 * dim)
        latent[dim:, :dim] = (redrawn_dist(eye).mean - outcomes.mean).T
        latent[dim:, dim:] = torch.diag(outcomes.stddev[0])
        centre = torch.cat([torch.zeros(dim), outcomes.mean[0]])
        constant, weight = observed.mean[0], (x_dist(eye).mean - observed.mean).T
        covariance = latent @ latent.T
        means, log_evidence = [], []
        for target in range(dim + 1):
            hit = torch.arange(1, dim + 1) == target
            before = torch.cat([weight, torch.zeros_like(weight)], 1)
            seen = torch.cat([before, torch.cat([weight * ~hit, weight * hit], 1)])
            of_x = seen @ covariance @ seen.T + torch.diag(observed.variance[0].repeat(2))
            error = torch.cat([x, x_after], 1) - seen @ centre - constant.repeat(2)
            gain = covariance @ seen.T @ torch.linalg.inv(of_x)
            means.append((centre + error @ gain.T)[:, :dim])
            log_evidence.append(MultivariateNormal(torch.zeros(2 * dim), of_x).log_prob(error))
        log_evidence = torch.stack(log_evidence)
        weights = log_evidence.softmax(0).unsqueeze(-1)
        return (weights * torch.stack(means)).sum(0), log_evidence.logsumexp(0) - torch.tensor(dim + 1.0).log()

    return compute


@pytest.fixture
def mcmc_density():
    """The log density of a program that HMC and NUTS climb, at given latents."""

    def compute(program, pairs, latents):
        enumerated = config_enumerate(program)
        _, potential, _, _ = initialize_model(enumerated, pairs, {"size": len(pairs[0])}, max_plate_nesting=1)
        return -potential(latents)

    return compute


@pytest.fixture
def summed_density():
    """log p(e, r, x, x~) of each pair, summed by hand over targets, which are as probable as each other."""

    def compute(redrawn_dist, x_dist, x, x_after, noise, redrawn):
        dim = noise.shape[1]
        given = [x_dist(noise).log_prob(x), Normal(0.0, 1.0).log_prob(noise).sum(-1)]
        given.append(redrawn_dist(noise).log_prob(redrawn).sum(-1))
        after = [
            x_dist(torch.where(torch.arange(1, dim + 1) == target, redrawn, noise)).log_prob(x_after)
            for target in range(dim + 1)
        ]
        return sum(given) + torch.stack(after).logsumexp(0) - torch.tensor(dim + 1.0).log()

    return compute
