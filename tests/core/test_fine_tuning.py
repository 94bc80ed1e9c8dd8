"""Fine-tuning goes on from a fitted model; a fit starts from scratch, and says so."""

import copy
import logging

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel
from pyro_lcm.architecture import Architecture
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.registry import build
from pyro_lcm.training import Phase

TINY = Budget(refine=4, batch_size=256)
FEW = Budget(fit=40, reconstruct=10, refine=10, solutions=20, batch_size=256)


def _state(lcm):
    return lcm.fitted.model.state_dict() | lcm.fitted.guide.state_dict() | lcm.fitted.standardizer.state_dict()


def _same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def loaded(lcm, tmp_path):
    """The good fit as another process has it."""
    lcm.save(tmp_path / "run")
    return LatentCausalModel.load(tmp_path / "run")


def test_one_tiny_step_changes_next_to_nothing(loaded, train, held_out):
    before = loaded.elbo(held_out)
    step = [Phase("one", 1, 1e-9, settings={"hypotheses": 2})]
    assert loaded.fine_tune(train, phases=step, progress=False) is loaded
    assert loaded.elbo(held_out) == pytest.approx(before, abs=1e-3)


def test_weights_standardiser_names_and_graph_are_kept(lcm, loaded, train, held_out):
    loaded.fine_tune(train, budget=TINY, progress=False)
    assert _same(lcm.fitted.standardizer.state_dict(), loaded.fitted.standardizer.state_dict())
    assert loaded.names == lcm.names
    assert np.array_equal(loaded.adjacency(), lcm.adjacency())
    assert [phase.name for phase in loaded.result.phases] == ["fine tune"]
    assert loaded.result.steps == 4


def test_it_is_never_worse_on_the_held_out_pairs_and_learns_what_has_changed(lcm, loaded, train, held_out):
    def warmer(pairs):
        return InterventionPairs(1.5 * pairs.x + 1, 1.5 * pairs.x_after + 1)

    before = loaded.elbo(warmer(held_out))
    loaded.fine_tune(warmer(train), validation=warmer(held_out), budget=Budget(refine=150), progress=False)
    assert loaded.elbo(warmer(held_out)) > before + 0.3
    assert loaded.result.validation_loss <= loaded.result.history[0]["validation_loss"]


def test_a_sensor_that_has_drifted_is_taken_up(caplog):
    """Off the plane of the variables, where sensors' noise is small, each step of SVI is a short one."""
    system = ScalingSystem(2, seed=0, dim_x=4, observation_noise=0.02)
    train, test = system.sample(1000), system.sample(500, seed=1)
    model = LatentCausalModel().fit(train, budget=Budget(refine=50), progress=False)
    good, drift = model.elbo(test), np.array([0, 2 * train.x[:, 1].std(), 0, 0])

    def drifted(pairs):
        return InterventionPairs(pairs.x + drift, pairs.x_after + drift)

    assert model.elbo(drifted(test)) < good - 100
    with caplog.at_level(logging.INFO, "pyro_lcm"):
        model.fine_tune(drifted(train), budget=TINY, progress=False)
    assert model.elbo(drifted(test)) == pytest.approx(good, abs=0.1)
    assert "standard deviations (feature 2) from where it was" in caplog.text


def test_the_model_that_was_given_stays_if_it_goes_wrong(lcm, loaded, train):
    before = copy.deepcopy(_state(loaded))
    with pytest.raises(ValueError, match="batch_size"):
        loaded.fine_tune(train, phases=[Phase("bad", 1, settings={"no_such_setting": 1}, batch_size=0)])
    with pytest.raises(TypeError, match="no_such_setting"):
        loaded.fine_tune(train, phases=[Phase("bad", 1, settings={"no_such_setting": 1})], progress=False)
    assert _same(before, _state(loaded))


@pytest.mark.parametrize("name", ["elcm", "dvae", "ada_gvae", "beta_vae", "soft_ilcm", "soft_elcm"])
def test_every_model_by_name_goes_on_from_what_it_was(name):
    system = ScalingSystem(2, seed=0)
    train, test = system.sample(400), system.sample(100, seed=1)
    model = LatentCausalModel(name).fit(train, budget=FEW, progress=False)
    before = model.elbo(test)
    model.fine_tune(train, phases=None, budget=Budget(refine=1, batch_size=64), progress=False)
    assert model.elbo(test) == pytest.approx(before, abs=0.5)


@pytest.mark.parametrize(("width", "mechanisms"), [(2, "nonlinear"), (4, "nonlinear")])
def test_flows_and_wide_data_go_on_too(width, mechanisms):
    system = ScalingSystem(2, seed=0, dim_x=width, mechanisms=mechanisms, mixing="leaky_relu")
    train, test = system.sample(400), system.sample(100, seed=1)
    model = LatentCausalModel(dim_z=2).fit(train, budget=FEW, progress=False)
    before = model.elbo(test)
    model.fine_tune(train, budget=Budget(refine=1, batch_size=64), progress=False)
    assert model.elbo(test) == pytest.approx(before, abs=0.5)
    assert [phase.name for phase in model.result.phases] == ["fine tune"]


def test_a_model_of_ones_own_goes_on_from_a_folder(train, tmp_path):
    def own():
        return build(Architecture("ilcm", dim_x=3, dim_z=3, flow_layers=2, flow_hidden=8), seed=0)

    LatentCausalModel(*own()).fit(train[:200], budget=FEW, out=tmp_path / "a", progress=False)
    model = LatentCausalModel.load(tmp_path / "a", model=own()[0], guide=own()[1])
    before = model.elbo(train[:100])
    model.fine_tune(train[:200], budget=TINY, out=tmp_path / "b", progress=False)
    again = LatentCausalModel.load(tmp_path / "b", model=own()[0], guide=own()[1])
    assert again.elbo(train[:100]) == model.elbo(train[:100]) > before - 1


def test_a_run_of_it_is_a_run_like_others(lcm, loaded, train, held_out, tmp_path):
    with pytest.raises(ValueError, match="holds a run"):
        loaded.fine_tune(train, budget=TINY, out=tmp_path / "run", progress=False)
    loaded.fine_tune(train, budget=TINY, out=tmp_path / "on", progress=False)
    assert LatentCausalModel.load(tmp_path / "on").elbo(held_out) == loaded.elbo(held_out)
    again = LatentCausalModel.load(tmp_path / "run")
    again.fine_tune(train, budget=TINY, out=tmp_path / "on", resume=True, progress=False)
    assert _same(_state(again), _state(loaded))
    with torch.no_grad():
        next(loaded.model.parameters()).add_(0.1)
    with pytest.raises(ValueError, match="started_from"):
        loaded.fine_tune(train, budget=TINY, out=tmp_path / "on", resume=True, progress=False)


def test_double_precision_is_kept(train, small):
    model = LatentCausalModel().fit(train[:300], budget=small, precision="64-true", progress=False)
    model.fine_tune(train[:300], budget=TINY, progress=False)
    assert model.fitted.dtype == torch.float64


def test_what_does_not_fit_is_named(loaded, train):
    with pytest.raises(ValueError, match=r"^pairs: got observations of shape \(2,\), expected \(3,\)"):
        loaded.fine_tune(ScalingSystem(2, seed=0).sample(100))
    with pytest.raises(ValueError, match=r"^budget: got one beside phases"):
        loaded.fine_tune(train, budget=TINY, phases=[Phase("on", 1)])
    with pytest.raises(RuntimeError, match="not fitted"):
        LatentCausalModel().fine_tune(train)


def test_fit_says_that_it_starts_from_scratch(loaded, train, small, caplog):
    with caplog.at_level(logging.WARNING, "pyro_lcm"):
        LatentCausalModel().fit(train[:300], budget=small, progress=False)
        assert not caplog.messages
        loaded.fit(train[:300], budget=small, progress=False)
    assert any("fine_tune keeps it" in message for message in caplog.messages)
