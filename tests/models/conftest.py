"""Oracles for the programs of pairs: traces of an enumerated guide, and the ELBO summed by hand."""

import pyro
import pytest
import torch
from pyro import poutine

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
