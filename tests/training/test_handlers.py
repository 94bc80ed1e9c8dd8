"""Effect handlers that make the variants of an objective."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Categorical, Normal
from pyro.infer import Trace_ELBO, TraceEnum_ELBO

from pyro_lcm.architecture import Architecture
from pyro_lcm.causal.scoring import Scoring
from pyro_lcm.registry import build
from pyro_lcm.training.handlers import LatentWeight, MaskSite, TopHypotheses
from pyro_lcm.training.objective import PairObjective
from tables import each_row

PROBABILITIES = torch.tensor([[0.1, 0.6, 0.25, 0.05], [0.4, 0.2, 0.1, 0.3]])


def _guide():
    with pyro.plate("pairs", 2):
        return pyro.sample("target", Categorical(probs=PROBABILITIES), infer={"enumerate": "parallel"})


def _enumerated(number, guide=_guide):
    with poutine.enum(first_available_dim=-2):
        return poutine.trace(TopHypotheses(number)(guide)).get_trace()


def test_one_hypothesis_is_the_most_probable_target_for_certain():
    trace = poutine.trace(TopHypotheses(1)(_guide)).get_trace()
    assert trace.nodes["target"]["value"].tolist() == [1, 0]
    trace.compute_log_prob()
    assert trace.nodes["target"]["log_prob"].tolist() == [0.0, 0.0]
    assert "target_hypothesis" not in trace.nodes


@pytest.mark.parametrize("number", [2, 3])
def test_hypotheses_are_the_most_probable_targets_with_renormalised_mass(number):
    trace = _enumerated(number)
    values = trace.nodes["target"]["value"]
    assert values.shape == (number, 2)
    best = PROBABILITIES.topk(number).indices
    assert torch.equal(values.T, best)
    trace.compute_log_prob()
    mass = (trace.nodes["target_hypothesis"]["log_prob"] + trace.nodes["target"]["log_prob"]).exp()
    expected = PROBABILITIES.gather(1, best)
    torch.testing.assert_close(mass.T, expected / expected.sum(1, keepdim=True))


@pytest.mark.parametrize("number", [4, 5, 100])
def test_with_as_many_hypotheses_as_targets_nothing_changes(number):
    trace = _enumerated(number)
    assert "target_hypothesis" not in trace.nodes
    assert isinstance(trace.nodes["target"]["fn"], Categorical)
    assert trace.nodes["target"]["value"].squeeze().tolist() == [0, 1, 2, 3]


def test_observed_targets_and_other_sites_stay():
    def guide():
        pyro.sample("other", Categorical(probs=PROBABILITIES).to_event(1))
        return pyro.sample("target", Categorical(probs=PROBABILITIES).to_event(1), obs=torch.tensor([3, 3]))

    nodes = poutine.trace(TopHypotheses(1)(guide)).get_trace().nodes
    assert nodes["target"]["value"].tolist() == [3, 3]
    assert isinstance(nodes["other"]["fn"].base_dist, Categorical)


@each_row("number", [0, -1])
def test_fewer_hypotheses_than_one_are_an_error(number):
    with pytest.raises(ValueError, match=f"hypotheses: got {number}"):
        TopHypotheses(number)


@each_row("weight", [0.0, -1.0, float("nan")])
def test_weights_are_positive(weight):
    with pytest.raises(ValueError, match="weight: got"):
        LatentWeight(weight)


@pytest.mark.parametrize("subsample", [None, 2])
def test_a_weight_scales_latents_and_leaves_observations(subsample):
    data = torch.tensor([0.3, -1.0, 2.0, 0.5])

    def model():
        with pyro.plate("pairs", 4, subsample_size=subsample) as index:
            z = pyro.sample("z", Normal(0.0, 1.0))
            pyro.sample("x", Normal(z, 0.5), obs=data[index])

    plain = poutine.trace(model).get_trace()
    weighted = poutine.trace(LatentWeight(0.3)(poutine.replay(model, plain))).get_trace()
    for trace in (plain, weighted):
        trace.compute_log_prob()
    for site, factor in (("z", 0.3), ("x", 1.0)):
        torch.testing.assert_close(weighted.nodes[site]["log_prob_sum"], factor * plain.nodes[site]["log_prob_sum"])


def test_the_weighted_elbo_is_the_beta_elbo():
    """E_q log p(x | z) - beta KL, both parts by hand for the one draw of z."""
    x = torch.tensor(1.3)

    def model():
        pyro.sample("x", Normal(pyro.sample("z", Normal(0.0, 1.0)), 0.5), obs=x)

    def guide():
        pyro.sample("z", Normal(0.4, 0.2))

    pyro.set_rng_seed(3)
    z = torch.distributions.Normal(0.4, 0.2).rsample()
    prior, posterior = Normal(0.0, 1.0).log_prob(z), Normal(0.4, 0.2).log_prob(z)
    pyro.set_rng_seed(3)
    found = -Trace_ELBO().loss(LatentWeight(0.3)(model), LatentWeight(0.3)(guide))
    expected = Normal(z, 0.5).log_prob(x) + 0.3 * (prior - posterior)
    assert found == pytest.approx(float(expected), rel=1e-6)


def test_a_masked_site_keeps_its_value_and_loses_its_density():
    def model():
        z = pyro.sample("z", Normal(torch.zeros(3), 1.0).to_event(1))
        pyro.sample("x", Normal(z, 1.0).to_event(1), obs=torch.ones(3))

    plain = poutine.trace(model).get_trace()
    masked = poutine.trace(MaskSite("z")(poutine.replay(model, plain))).get_trace()
    plain.compute_log_prob()
    masked.compute_log_prob()
    assert torch.equal(masked.nodes["z"]["value"], plain.nodes["z"]["value"])
    assert masked.nodes["z"]["log_prob_sum"] == 0
    assert masked.nodes["x"]["log_prob_sum"] == plain.nodes["x"]["log_prob_sum"]


def test_masking_a_site_does_not_reach_the_other_program():
    """Only the model's density of the redrawn component goes; the guide's log q stays in the objective."""
    model, guide = build(Architecture("ilcm", dim_x=2, dim_z=2))
    batch = {"x": torch.randn(8, 2), "x_after": torch.randn(8, 2)}
    objective = PairObjective(model, guide)
    values = []
    for term in (True, False):
        pyro.set_rng_seed(0)
        loss = objective(batch, size=8, index=torch.arange(8), intervention_term=term, hypotheses=1)[0]
        values.append(float(loss.detach()) * 8)
    with torch.no_grad(), pyro.get_param_store().scope(), Scoring():
        pyro.set_rng_seed(0)
        drawn = poutine.trace(TopHypotheses(1)(guide)).get_trace(**batch, size=8, index=torch.arange(8))
        scored = poutine.trace(poutine.replay(model, drawn)).get_trace(**batch, size=8, index=torch.arange(8))
        scored.compute_log_prob()
    assert values[1] - values[0] == pytest.approx(float(scored.nodes["redrawn"]["log_prob_sum"]), rel=1e-4, abs=1e-4)


def test_enumeration_over_hypotheses_is_exact():
    """With all the mass on the hypotheses the bound is the full sum."""
    sparse = torch.tensor([[0.7, 0.0, 0.3, 0.0], [0.0, 0.2, 0.0, 0.8]])
    values = torch.tensor([0.1, -2.0, 0.7, 1.5])

    def model():
        with pyro.plate("pairs", 2):
            target = pyro.sample("target", Categorical(probs=torch.full((2, 4), 0.25)))
            pyro.sample("x", Normal(values[target], 1.0), obs=torch.tensor([0.0, 1.0]))

    def guide():
        with pyro.plate("pairs", 2):
            pyro.sample("target", Categorical(probs=sparse), infer={"enumerate": "parallel"})

    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    log_joint = Normal(values, 1.0).log_prob(torch.tensor([[0.0], [1.0]])) + torch.tensor(0.25).log()
    expected = (sparse * (log_joint - sparse.clamp(min=1e-30).log())).sum()
    for number in (2, 3, 4):
        assert -elbo.loss(model, TopHypotheses(number)(guide)) == pytest.approx(float(expected), rel=1e-5)
