"""The recipes as data, and their objectives."""

import pyro
import pytest
import torch
from torch.distributions import Normal

from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.encodings import EncodeOnce
from pyro_lcm.recipes.implicit import OF_CODES, identify, of_codes
from pyro_lcm.recipes.objective import AUTOENCODER, IMPLICIT, ImplicitFirst, RecipeObjective
from pyro_lcm.recipes.published import annealed, published
from pyro_lcm.recipes.readouts import FindFeatureReadouts
from pyro_lcm.recipes.structure import FindGraph
from pyro_lcm.registry import build
from pyro_lcm.training.phases import Phase
from tables import each_row

ROWS = 30


def _names(**options):
    return [phase.name for phase in identify(**options)]


def test_linear_data_need_no_flow_and_no_phase_for_solution_functions():
    assert _names(linear=True) == ["lines", "calibrate", "refine", "graph"]


def test_what_is_not_linear_is_found_by_svi_of_one_program():
    assert _names() == ["fit", "order", "parents", "graph"]
    assert _names(causal=False) == ["fit"]
    wide = ["reconstruct", "fit", "order", "parents", "decoder", "refine", "graph"]
    assert _names(wide=True, invertible=False) == wide
    assert _names(wide=True, flat=True, invertible=False)[0] == "fit"


def test_codes_stand_for_observations_until_the_decoder_is_fitted():
    phases = {phase.name: phase for phase in identify(wide=True, invertible=False)}
    through = [name for name, phase in phases.items() if phase.settings.get("through_encoder")]
    assert through == ["fit", "order", "parents"]
    assert not any(phase.settings.get("through_encoder") for phase in identify())


@pytest.mark.parametrize("invertible", [True, False])
def test_mechanisms_are_fitted_on_encodings_that_stay(invertible):
    phases = {phase.name: phase for phase in identify(dim=4, invertible=invertible)}
    assert [phases[name].steps for name in ("fit", "order", "parents")] == [1600, 160, 480]
    for name in ("order", "parents"):
        assert phases[name].freeze == ("model.decoder" if invertible else "guide.encoder",)
        assert phases[name].data == EncodeOnce()


@pytest.mark.parametrize("invertible", [True, False])
def test_fits_to_codes_take_smaller_steps_and_read_features(invertible):
    phases = identify(dim=4, invertible=invertible)
    changed = of_codes(phases)
    for before, after in zip(phases, changed, strict=True):
        smaller = before.name == "fit"  # where the encoder moves
        for progress in (0.0, 0.5, 1.0):
            expected = before.learning_rate_at(progress) * (OF_CODES if smaller else 1)
            assert after.learning_rate_at(progress) == pytest.approx(expected)
    order = next(phase.start for phase in changed if phase.name == "order")
    assert isinstance(getattr(order, "readouts", None), FindFeatureReadouts) == invertible


def test_hidden_layers_of_mechanisms_decay_where_there_are_some():
    for hidden, expected in ((True, {"model.solution.networks.weights": 0.1}), (False, {})):
        decays = {phase.name: phase.weight_decay for phase in identify(hidden=hidden)}
        assert decays["parents"] == expected
        assert not decays["fit"]


@pytest.mark.parametrize("left_out", ["reconstruct", "refine"])
def test_no_steps_leave_a_phase_out(left_out):
    options = {"wide": True, "invertible": False}
    kept = _names(**options, budget=Budget(**{left_out: 0}))
    assert set(_names(**options)) - set(kept) == {left_out}


def test_an_older_budget_of_the_flow_is_one_of_the_fit():
    assert identify(Budget(unmix=10)) == identify(Budget(fit=10))


def test_the_budget_sets_steps_and_batches():
    budget = Budget(reconstruct=1, refine=3, batch_size=7, fit=20)
    phases = {phase.name: phase for phase in identify(budget, wide=True, invertible=False)}
    assert [phases[name].steps for name in ("reconstruct", "fit", "order", "parents", "refine")] == [1, 20, 2, 6, 3]
    assert [phases[name].batch_size for name in ("fit", "order", "refine")] == [7, 14, 7]


@each_row("field", ["reconstruct", "unmix", "refine", "solutions", "batch_size", "fit"])
def test_a_budget_out_of_range_is_named(field):
    with pytest.raises(ValueError, match=f"^{field}: got -1"):
        Budget(**{field: -1})
    if field == "batch_size":
        with pytest.raises(ValueError, match="batch_size: got 0"):
            Budget(batch_size=0)


@pytest.mark.parametrize("recipe", [identify(wide=True), identify(linear=True), annealed(100)])
def test_recipes_survive_as_plain_data(recipe):
    for phase in recipe:
        assert Phase.from_dict(phase.to_dict(), start=phase.start, data=phase.data) == phase


def test_the_linear_recipe_composes_linear_mechanisms():
    assert [phase.start for phase in identify(linear=True) if phase.name == "graph"] == [FindGraph(linear=True)]


def test_the_published_schedule_has_three_cycles_of_soft_and_hard_targets():
    phases = published(6400, epochs=9)
    assert [phase.steps for phase in phases] == [100, 100, 100, 300, 300]
    assert [phase.settings.get("intervention_term", True) for phase in phases[1:]] == [False, False, True, True]
    assert phases[-1].settings["hypotheses"] == 1
    assert phases[1].learning_rate_at(1.0) == phases[2].learning_rate_at(0.0)
    objective = RecipeObjective(*build(Architecture("ilcm", dim_x=4, dim_z=3, hidden=(8,))))
    batch = {name: torch.randn(8, 4) for name in ("x", "x_after")}
    for phase in phases:
        loss, _ = objective(batch, size=8, index=torch.arange(8), **phase.settings_at(0.5))
        assert torch.isfinite(loss)
    with pytest.raises(ValueError, match="at least 9 steps"):
        published(10, epochs=1)


def test_annealing_goes_from_soft_targets_to_hard_ones():
    phases = annealed(1000)
    assert sum(phase.steps for phase in phases) == 1000
    assert [phase.settings.get("hypotheses") for phase in phases] == [None, None, 1]
    assert phases[0].settings_at(0.0)["kl_weight"] < phases[0].settings_at(1.0)["kl_weight"] == 1.0


@pytest.fixture
def objective():
    objective = RecipeObjective(*build(Architecture("ilcm", dim_x=4, dim_z=3, flow_layers=2, flow_hidden=6), seed=2))
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return objective


@pytest.fixture
def batch():
    return {"x": torch.randn(ROWS, 4), "x_after": torch.randn(ROWS, 4)}


def _loss(objective, batch, **settings):
    pyro.set_rng_seed(0)
    return objective(batch, size=ROWS, index=torch.arange(ROWS), **settings)[0]


def test_an_autoencoder_trains_encoder_and_decoder_alone(objective, batch):
    _loss(objective, batch, program=AUTOENCODER).backward()
    for name, parameter in objective.named_parameters():
        trained = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        assert trained == name.startswith(("guide.encoder", "model.decoder")), name


def test_an_autoencoder_has_the_elbo_of_single_observations(objective, batch):
    found = _loss(objective, batch, program=AUTOENCODER, kl_weight=0.3)
    pyro.set_rng_seed(0)
    mean, sd = objective.guide.encoder(torch.cat([batch["x"], batch["x_after"]]))
    noise = torch.cat([m + s * torch.randn_like(s) for m, s in zip(mean.chunk(2), sd.chunk(2), strict=True)])
    fit = objective.model.x_dist(noise).log_prob(torch.cat([batch["x"], batch["x_after"]]))
    log_q = Normal(mean, sd).log_prob(noise).sum(1)
    log_p = Normal(0.0, 1.0).log_prob(noise).sum(1)
    expected = 2 * (0.3 * (log_q - log_p) - fit).mean()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_without_readouts_it_is_the_elbo(objective, batch):
    pyro.set_rng_seed(0)
    expected = super(RecipeObjective, objective).forward(batch, size=ROWS, index=torch.arange(ROWS))[0]
    torch.testing.assert_close(_loss(objective, batch), expected)


def test_shared_factors_begin_with_the_implicit_model(batch):
    architecture = Architecture("ada_gvae", dim_x=4, dim_z=4, flow_layers=2, flow_hidden=6)
    objective = ImplicitFirst(*build(architecture, seed=2))
    how = {"program": IMPLICIT, "hypotheses": 2, "through_encoder": True}
    _loss(objective, batch, **how).backward()
    trained = {name for name, parameter in objective.named_parameters() if parameter.grad is not None}
    assert {name.split(".flow")[0] for name in trained if ".flow" in name} == {"guide.encoder"}
    assert any(name.startswith("implicit.solution") for name in trained)
    own, _ = objective(batch, size=ROWS, index=torch.arange(ROWS))
    assert torch.isfinite(own)


def test_the_implicit_program_takes_single_ones_of_known_sets():
    objective = ImplicitFirst(*build(Architecture("gvae", dim_x=3, dim_z=3, flow_layers=2, flow_hidden=6)))
    batch = {name: torch.randn(ROWS, 3) for name in ("x", "x_after")} | {"targets": torch.randint(0, 2, (ROWS, 3))}
    for how in ({"program": IMPLICIT, "hypotheses": 2, "through_encoder": True}, {"hypotheses": 1}):
        assert torch.isfinite(_loss(objective, batch, **how))
