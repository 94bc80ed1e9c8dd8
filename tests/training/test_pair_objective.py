"""What the objective of pairs adds to the ELBO, and what it leaves alone."""

import pyro
import pytest
import torch
from pyro import poutine

from pyro_lcm.architecture import Architecture
from pyro_lcm.causal.graph_sites import TableLogits, TablePrior
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.registry import build
from pyro_lcm.training.handlers import TopHypotheses
from pyro_lcm.training.objective import PairObjective
from tables import each_row

ROWS = 12


@pytest.fixture
def objective():
    return PairObjective(*build(Architecture("ilcm", dim_x=3, dim_z=3, flow_layers=2), seed=1))


@pytest.fixture
def batch():
    return {"x": torch.randn(ROWS, 3), "x_after": torch.randn(ROWS, 3)}


def _loss(objective, batch, **settings):
    pyro.set_rng_seed(5)
    return objective(batch, size=ROWS, index=torch.arange(ROWS), **settings)


def test_the_loss_is_the_negative_elbo(objective, batch):
    loss, metrics = _loss(objective, batch)
    assert loss.shape == ()
    assert set(metrics) == {"elbo"}
    assert metrics["elbo"] == -loss
    assert not metrics["elbo"].requires_grad


@pytest.mark.parametrize("hypotheses", [None, 1, 2])
def test_without_gradients_the_value_is_the_same(objective, batch, hypotheses):
    with torch.no_grad():
        silent, _ = _loss(objective, batch, hypotheses=hypotheses)
    loud, _ = _loss(objective, batch, hypotheses=hypotheses)
    torch.testing.assert_close(silent, loud.detach(), rtol=1e-5, atol=1e-5)
    assert loud.requires_grad
    assert not silent.requires_grad


def test_the_entropy_of_the_aggregate_targets_is_rewarded(objective, batch):
    plain, _ = _loss(objective, batch)
    loss, metrics = _loss(objective, batch, entropy=0.7)
    usage = objective.guide.targets(batch["x"], batch["x_after"]).mean(0)
    expected = torch.distributions.Categorical(probs=usage).entropy()
    torch.testing.assert_close(metrics["target_entropy"], expected.detach())
    torch.testing.assert_close(loss, plain - 0.7 * expected)


def test_consistency_is_the_squared_error_of_the_reconstruction(objective, batch):
    plain, _ = _loss(objective, batch)
    loss, metrics = _loss(objective, batch, consistency=0.3)
    x = torch.cat([batch["x"], batch["x_after"]])
    decoded = objective.model.decoder(objective.guide.encoder(x)[0])[0]
    expected = (x - decoded).square().sum(1).mean()
    torch.testing.assert_close(metrics["consistency"], expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss, plain + 0.3 * expected)


def test_gradients_reach_model_and_guide(objective, batch):
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    _loss(objective, batch)[0].backward()
    log_determinant_only = {name for name, parameter in objective.named_parameters() if parameter.grad is None}
    assert log_determinant_only == set()


def test_known_targets_reach_both_programs(objective, batch):
    targets = torch.arange(ROWS) % 4
    known, _ = _loss(objective, batch | {"targets": targets}, hypotheses=1)
    with torch.no_grad(), pyro.get_param_store().scope():
        pyro.set_rng_seed(5)
        drawn = poutine.trace(TopHypotheses(1)(objective.guide)).get_trace(**batch, targets=targets, size=ROWS)
        scored = poutine.trace(poutine.replay(objective.model, drawn)).get_trace(**batch, targets=targets, size=ROWS)
    assert torch.equal(scored.nodes["target"]["value"], targets)
    assert scored.nodes["target"]["fn"].log_prob(targets).abs().max() < 1e-6
    by_hand = (scored.log_prob_sum() - drawn.log_prob_sum()) / ROWS
    torch.testing.assert_close(-known.detach(), by_hand, rtol=1e-5, atol=1e-5)


def test_unknown_targets_are_as_if_none_were_given(objective, batch):
    unknown, _ = _loss(objective, batch | {"targets": torch.full((ROWS,), -1)})
    torch.testing.assert_close(unknown, _loss(objective, batch)[0])


def test_the_global_store_and_its_contents_are_left_alone(objective, batch):
    pyro.param("mine", torch.tensor(2.0))
    _loss(objective, batch)[0].backward()
    assert list(pyro.get_param_store().keys()) == ["mine"]
    pyro.clear_param_store()


@each_row(
    ("settings", "message"),
    [({"hypotheses": 0}, "hypotheses: got 0"), ({"kl_weight": 0.0}, "weight: got 0.0")],
)
def test_settings_out_of_range_are_named(objective, batch, settings, message):
    with pytest.raises(ValueError, match=message):
        _loss(objective, batch, **settings)


def test_a_latent_graph_is_summed_over_with_one_hypothesis_too():
    """A graph that is enumerated in the guide, and hard targets: the mean over graphs, each with its own run."""
    dim = 2
    model = ELCM(dim, VectorDecoder(dim, 3, ()), TablePrior(dim, penalty=0.5), Mechanisms(dim, (3,)))
    guide = ELCMGuide(dim, VectorEncoder(3, dim, ()), TableLogits(dim), redrawn_dist=model.redrawn_dist)
    torch.nn.init.normal_(guide.graphs.logits)
    for parameter in model.mechanisms.parameters():
        torch.nn.init.normal_(parameter)
    objective = PairObjective(model, guide)
    batch = {"x": torch.randn(ROWS, 3), "x_after": torch.randn(ROWS, 3)}
    with pyro.get_param_store().scope():
        found, _ = _loss(objective, batch, hypotheses=1)
        assert torch.equal(_loss(objective, batch, hypotheses=1)[0], found)
        found.backward()
        assert guide.graphs.logits.grad.abs().max() > 0
        weights = guide.graphs.logits.softmax(0)
        parts = []
        for graph in range(len(guide.graphs.table)):
            pyro.set_rng_seed(5)
            fixed = [
                poutine.condition(part, {"graph": torch.tensor(graph)}) for part in (TopHypotheses(1)(guide), model)
            ]
            drawn = poutine.trace(fixed[0]).get_trace(**batch, size=ROWS)
            scored = poutine.trace(poutine.replay(fixed[1], drawn)).get_trace(**batch, size=ROWS)
            parts.append(drawn.log_prob_sum() - scored.log_prob_sum())
    torch.testing.assert_close(found, (weights * torch.stack(parts)).sum() / ROWS)
