"""The two programs under Pyro's handlers, and what they refuse."""

import pyro
import pytest
import torch
from pyro.contrib.autoname import scope
from pyro.infer import Predictive
from pyro.infer.autoguide import AutoNormal

from pyro_lcm.reasoning import KnownStructure, density_program, intervene, noise_draws, program
from pyro_lcm.reasoning.structure import StructuralModel
from tables import each_row

NOISE = torch.tensor([[0.1, -0.3, 0.7], [1.0, 2.0, -1.0]], dtype=torch.float64)


def observed_again(scm):
    return {"b": torch.zeros(2), "causal": torch.zeros(2, 3), "x": torch.zeros(2, 3)}


@each_row("site", ["b", "causal", "x"])
def test_conditioning_a_deterministic_site_raises(linear, site):
    scm = linear[0]
    conditioned = pyro.condition(program(scm), {site: observed_again(scm)[site]})
    with pytest.raises(ValueError, match=rf"^{site}: conditioned on, .*density_program"):
        conditioned(size=2)
    with pytest.raises(ValueError, match="conditioned on"), scope(prefix="world"):
        conditioned(size=2)
    with pytest.raises(ValueError, match="conditioned on"):
        pyro.do(conditioned, {"b": 1.0})(size=2)
    with pytest.raises(ValueError, match="conditioned on"):
        Predictive(program(scm), {site: observed_again(scm)[site].unsqueeze(0)})(size=2)


def test_conditioning_the_noise_and_intervening_do_not_raise(linear):
    scm = linear[0]
    conditioned = pyro.condition(program(scm), {"noise_b": torch.ones(2, dtype=torch.float64)})
    causal, _ = pyro.do(conditioned, {"a": 1})(size=2)  # an integer, of which Pyro makes an int64 tensor
    assert causal.dtype == torch.float64
    assert causal[:, 0].tolist() == [1.0, 1.0]


def test_do_in_a_scope_and_a_twin_world_share_the_noise(linear):
    scm = linear[0]
    world = program(scm)

    def twins():
        with scope(prefix="before"):
            before = world(NOISE)[0]
        with scope(prefix="after"):
            after = pyro.do(world, {"b": torch.tensor([1.0, 2.0])})(NOISE)[0]
        return before, after

    trace = pyro.poutine.trace(twins).get_trace()
    before, after = trace.nodes["_RETURN"]["value"]
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert after[:, 1].tolist() == [1.0, 2.0]
    torch.testing.assert_close(trace.nodes["after/causal"]["value"], after)


@pytest.mark.parametrize("value", [torch.zeros(7), torch.zeros(3, 1), torch.zeros(2, 2, 2)[..., :0]])
def test_do_with_a_wrong_shape_raises(linear, value):
    wrong = pyro.do(program(linear[0]), {"b": value})
    if value.shape == (3, 1):  # a grid of values against all observations is welcome
        assert wrong(NOISE)[0].shape == (3, 2, 3)
        return
    with pytest.raises(ValueError, match=r"^b: set to a value of shape"):
        wrong(NOISE)


def test_one_observation_does_not_hide_a_wrong_shape(linear):
    with pytest.raises(ValueError, match=r"expected \(\) or \(\.\.\., 1\)"):
        pyro.do(program(linear[0]), {"b": torch.zeros(7)})(size=1)


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_on_both_programs(linear, parallel):
    scm = linear[0]
    for make, sites in ((program, {"noise_a", "a", "causal", "x"}), (density_program, {"a", "causal", "x"})):
        drawn = Predictive(make(scm), num_samples=5, parallel=parallel)(size=4)
        assert sites <= set(drawn)
        assert drawn["causal"].shape == (5, 4, 3)
        torch.testing.assert_close(drawn["causal"][..., 1], drawn["b"].view(5, 4))
    under_do = Predictive(pyro.do(program(scm), {"b": 5.0}), num_samples=3, parallel=parallel)(size=4)
    assert bool((under_do["causal"][..., 1] == 5.0).all())


def test_predictive_with_abducted_noise_is_the_counterfactual(linear):
    scm = linear[0]
    x = torch.randn(6, 3, dtype=torch.float64)
    draws = noise_draws(scm, x, draws=2)
    found = Predictive(pyro.do(program(scm), {"a": -1.0}), draws)(size=6)
    expected = intervene(scm, {"a": -1.0}, x=x).x
    for draw in found["x"]:
        torch.testing.assert_close(draw, torch.as_tensor(expected))


def test_an_autoguide_sees_the_noise_only(linear):
    guide = AutoNormal(program(linear[0]))
    with pyro.get_param_store().scope():
        drawn = guide(size=2)
    assert sorted(drawn) == ["noise_a", "noise_b", "noise_c"]


def test_density_program_scores_observations(linear):
    scm = linear[0]
    noisy = KnownStructure(scm.mechanisms, scm.adjacency, scm.names, observation_sd=0.5)
    x = torch.randn(4, 3, dtype=torch.float64)
    trace = pyro.poutine.trace(density_program(noisy)).get_trace(x)
    causal = trace.nodes["causal"]["value"]
    expected = torch.distributions.Normal(causal, 0.5).log_prob(x).sum()
    torch.testing.assert_close(trace.nodes["x"]["fn"].log_prob(x).sum(), expected)
    with pytest.raises(ValueError, match="observation_sd"):
        density_program(scm)(x)
    with pytest.raises(ValueError, match="its argument x"):
        pyro.condition(density_program(noisy), {"x": x})(size=4)


def test_names_that_collide_and_wrong_noise_raise(linear):
    scm = linear[0]
    bad = KnownStructure(scm.mechanisms, scm.adjacency, ["a", "noise_a", "c"])
    with pytest.raises(ValueError, match="names: got 'noise_a'"):
        program(bad)
    with pytest.raises(ValueError, match="noise: got shape"):
        program(scm)(torch.zeros(3))
    with pytest.raises(ValueError, match="names: got"):
        KnownStructure(scm.mechanisms, scm.adjacency, ["a", "a", "c"])
    assert isinstance(scm, StructuralModel)
