"""The beta-VAE and the Ada-GVAE family on pairs: ELBO by hand, minibatches, shapes, placement."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal

from pyro_lcm.guides.ada_gvae import AdaGVAEGuide
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.models.beta_vae import BetaVAE

DIM, DIM_X, ROWS = 2, 3, 5
PAIRS = {
    "beta-vae": (BetaVAE, BetaVAEGuide, {}),
    "ada-gvae": (BetaVAE, AdaGVAEGuide, {}),
    "ada-ml-vae": (BetaVAE, AdaGVAEGuide, {"average": "ml-vae"}),
    "one changed": (BetaVAE, AdaGVAEGuide, {"changed": 1}),
}


@pytest.fixture(params=PAIRS)
def programs(request, networks, float64):
    model_class, guide_class, options = PAIRS[request.param]
    encoder, decoder = networks(DIM_X, DIM)
    return model_class(DIM, decoder), guide_class(DIM, encoder, **options)


def _pairs(rows=ROWS):
    return torch.randn(rows, DIM_X), torch.randn(rows, DIM_X)


def _by_hand(model, guide, trace, x, x_after, targets=None, weight=1.0):
    """The ELBO of these pairs for the latents in the trace, in torch alone."""
    posteriors = guide.posteriors(x, x_after, targets)
    total = torch.zeros(())
    for value, posterior, side in zip(
        (trace.nodes["noise"]["value"], trace.nodes["redrawn"]["value"]),
        posteriors,
        (x, x_after),
        strict=True,
    ):
        total = total + model.x_dist(value).log_prob(side).sum()
        total = total + weight * (Normal(0.0, 1.0).log_prob(value) - posterior.log_prob(value)).sum()
    return total


@pytest.mark.parametrize("targets", [None, torch.tensor([0, 1, 2, -1, 1])], ids=["unknown", "known"])
def test_elbo_and_gradients_are_those_by_hand(programs, guide_trace, elbo_and_gradients, assert_same, targets):
    model, guide = programs
    x, x_after = _pairs()
    index = torch.arange(ROWS)
    arguments = {"size": ROWS, "index": index, "targets": targets}
    found = elbo_and_gradients(model, guide, x, x_after, **arguments)
    trace = guide_trace(guide, x, x_after, **arguments)
    assert_same(found, _by_hand(model, guide, trace, x, x_after, targets), model, guide)


def test_beta_weighs_the_latents(programs, guide_trace, elbo_and_gradients, assert_same):
    model, guide = programs
    x, x_after = _pairs()
    index = torch.arange(ROWS)
    found = elbo_and_gradients(model, guide, x, x_after, size=ROWS, index=index, kl_weight=4.0)
    trace = guide_trace(guide, x, x_after, size=ROWS, index=index)
    assert_same(found, _by_hand(model, guide, trace, x, x_after, weight=4.0), model, guide)


def test_a_minibatch_counts_for_the_whole_data_set(programs, guide_trace, elbo_and_gradients, assert_same):
    model, guide = programs
    x, x_after = _pairs()
    index = torch.tensor([3, 8, 1, 9, 4])
    found = elbo_and_gradients(model, guide, x, x_after, size=50, index=index)
    trace = guide_trace(guide, x, x_after, size=50, index=index)
    assert_same(found, 10 * _by_hand(model, guide, trace, x, x_after), model, guide)


def test_programs_generate_with_the_sites_of_the_contract(programs):
    model, _ = programs
    trace = poutine.trace(model).get_trace(size=7)
    before, after = trace.nodes["_RETURN"]["value"]
    assert before.shape == after.shape == (7, DIM_X)
    for name in ("noise", "redrawn", "before/encoding", "before/causal", "after/causal"):
        assert trace.nodes[name]["value"].shape == (7, DIM), name
    assert {"pairs", "before/x", "after/x"} <= set(trace.nodes)
    assert not any("__CF" in name for name in trace.nodes)
    torch.testing.assert_close(trace.nodes["after/causal"]["value"], trace.nodes["redrawn"]["value"])


def test_an_intervention_on_a_latent_changes_x_alone(programs):
    model, _ = programs
    pyro.set_rng_seed(3)
    plain = poutine.trace(model).get_trace(size=4)
    pyro.set_rng_seed(3)
    changed = pyro.do(model, {"redrawn": torch.zeros(4, DIM)})(size=4)
    pyro.set_rng_seed(3)
    same = model(size=4)
    torch.testing.assert_close(plain.nodes["_RETURN"]["value"][1], same[1])
    torch.testing.assert_close(same[0], plain.nodes["_RETURN"]["value"][0])
    assert not torch.allclose(changed[1], same[1])


def test_encoding_and_targets_have_the_shapes_of_the_contract(programs):
    model, guide = programs
    x, x_after = _pairs()
    encoding = guide.encode(x)
    assert encoding.batch_shape == (ROWS,)
    assert encoding.event_shape == (DIM,)
    probabilities = guide.targets(x, x_after)
    assert probabilities.shape == (ROWS, DIM + 1)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(ROWS))
    assert model.causal(encoding.mean).shape == (ROWS, DIM)


def test_every_tensor_is_made_where_the_parameters_are(programs, on_meta):
    on_meta(*programs, DIM_X)
