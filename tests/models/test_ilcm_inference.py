"""The implicit model is a proper joint density, so that any of Pyro's inference methods may be used on it."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Predictive, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoNormal
from pyro.infer.inspect import get_model_relations

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import VectorDecoder

DIM = 2


@pytest.fixture
def model():
    """z1 -> z2, linear, with noise on x: everything about it has a closed form."""
    solution = SolutionFunctions(DIM, hidden=())
    decoder = VectorDecoder(DIM, DIM, (), initial_sd=0.5)
    with torch.no_grad():
        solution.networks.affine[1, 0, 0] = 0.8
        solution.networks.bias[0, 0, :] = torch.tensor([0.5, -0.3])
        decoder.body.affine.weight.copy_(torch.tensor([[1.0, 0.4], [-0.3, 0.9]]))
    for part in (solution, decoder):
        part.requires_grad_(False)
    solution.context.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    return ILCM(DIM, decoder, solution).eval()


@pytest.fixture
def pairs(model):
    pyro.set_rng_seed(1)
    with torch.no_grad(), pyro.get_param_store().scope():
        x, x_after = model(size=3)
    return x, x_after


def test_the_density_that_mcmc_climbs_is_the_sum_over_targets(model, pairs, mcmc_density, summed_density):
    noise, redrawn = torch.randn(2, 3, DIM)
    found = mcmc_density(model, pairs, {"noise": noise, "redrawn": redrawn})
    torch.testing.assert_close(found, summed_density(model.redrawn_dist, model.x_dist, *pairs, noise, redrawn).sum())


@pytest.mark.slow
def test_nuts_agrees_with_enumeration(model, pairs, linear_posterior):
    pyro.set_rng_seed(0)
    kernel = NUTS(config_enumerate(model), max_plate_nesting=1, max_tree_depth=4)
    chain = MCMC(kernel, num_samples=300, warmup_steps=100, disable_progbar=True)
    with pyro.get_param_store().scope():
        chain.run(*pairs, size=3)
    draws = chain.get_samples()["noise"]
    expected, _ = linear_posterior(model.redrawn_dist, model.x_dist, *pairs)
    # At 100 effective draws of 300 or more, five standard errors are half a posterior standard deviation.
    torch.testing.assert_close(draws.mean(0), expected, rtol=0, atol=float(0.5 * draws.std(0).max()))
    assert draws.std(0).max() < 1.0


def test_the_scales_of_an_automatic_guide_stay_bounded(model, pairs):
    """Outcomes without a density would raise its entropy for ever."""
    pyro.set_rng_seed(0)
    enumerated = config_enumerate(model)
    guide = AutoNormal(poutine.block(enumerated, hide=["target"]))
    with pyro.get_param_store().scope():
        svi = SVI(enumerated, guide, pyro.optim.Adam({"lr": 0.05}), TraceEnum_ELBO(max_plate_nesting=1))
        losses = [svi.step(*pairs, size=3) for _ in range(150)]
        scales = torch.stack([guide.scales.noise.detach(), guide.scales.redrawn.detach()])
    early, late = (sum(losses[part]) / 50 for part in (slice(50, 100), slice(100, 150)))
    assert abs(early - late) < 0.05 * abs(late)
    assert scales.min() > 0.05
    assert scales.max() < 1.5


def test_predictive_draws_every_outcome(model):
    with pyro.get_param_store().scope():
        drawn = Predictive(model, num_samples=500, parallel=True)(size=4)
    assert drawn["redrawn"].shape == (500, 4, DIM)
    # r_1 ~ N(shift, scale), whatever the target.
    shift, scale = (part[0, 0] for part in model.solution.all_coefficients(torch.zeros(1, DIM)))
    first = drawn["redrawn"][..., 0].flatten()
    assert abs(first.mean() - shift) < 5 * scale / len(first) ** 0.5
    torch.testing.assert_close(first.std(), scale, rtol=0.1, atol=0.0)


def test_its_structure_can_be_drawn(model, pairs):
    with pyro.get_param_store().scope():
        relations = get_model_relations(model, model_args=pairs, model_kwargs={"size": 3})
    assert {"before/x", "after/x"} <= set(relations["observed"])
    assert {"target", "noise", "redrawn"} <= set(relations["sample_sample"]["after/x"])
    assert set(relations["plate_sample"]["pairs"]) >= {"target", "noise", "redrawn", "before/x", "after/x"}
