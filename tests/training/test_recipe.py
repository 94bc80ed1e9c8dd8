"""The recipes as data, and the objectives of their stages."""

import pyro
import pytest
import torch
from torch.distributions import Normal

from pyro_lcm.networks import Architecture, build
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recipe import Budget, annealed, identify, published
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.structure import FindGraph

ROWS = 30


def _names(**options):
    return [phase.name for phase in identify(**options)]


def test_linear_data_need_no_flow_and_no_phase_for_solution_functions():
    assert _names(linear=True) == ["lines", "names", "calibrate", "refine", "graph"]


def test_what_is_not_linear_is_found_by_svi_of_one_program():
    assert _names() == ["fit", "order", "parents"]
    assert _names(causal=False) == ["fit"]
    assert _names(wide=True, invertible=False) == ["reconstruct", "fit", "order", "decoder", "refine", "parents"]
    assert _names(wide=True, flat=True, invertible=False)[0] == "fit"


def test_codes_stand_for_observations_until_the_decoder_is_fitted():
    phases = {phase.name: phase for phase in identify(wide=True, invertible=False)}
    assert [name for name, phase in phases.items() if phase.settings.get("through_encoder")] == ["fit", "order"]
    assert not any(phase.settings.get("through_encoder") for phase in identify())


def test_the_rate_goes_on_over_the_order():
    first, second = (phase for phase in identify(dim=4) if phase.steps)
    assert first.steps + second.steps == 1680
    assert first.learning_rate_at(1.0) == second.learning_rate_at(0.0)
    assert not second.reset_optimizer


@pytest.mark.parametrize("left_out", ["reconstruct", "refine"])
def test_no_steps_leave_a_phase_out(left_out):
    options = {"wide": True, "invertible": False}
    kept = _names(**options, budget=Budget(**{left_out: 0}))
    assert set(_names(**options)) - set(kept) == {left_out}


def test_an_older_budget_of_the_flow_is_one_of_the_fit():
    first, second = (phase.steps for phase in identify(Budget(unmix=10)) if phase.steps)
    assert first + second == 10


def test_the_budget_sets_steps_and_batches():
    budget = Budget(reconstruct=1, refine=3, batch_size=7, fit=20)
    phases = {phase.name: phase for phase in identify(budget, wide=True, invertible=False)}
    assert [phases[name].steps for name in ("reconstruct", "fit", "order", "refine")] == [1, 6, 14, 3]
    assert phases["fit"].batch_size == 7


@pytest.mark.parametrize("field", ["reconstruct", "unmix", "refine", "solutions", "batch_size", "fit"])
def test_a_budget_out_of_range_is_named(field):
    with pytest.raises(ValueError, match=f"^{field}: got -1"):
        Budget(**{field: -1})
    if field == "batch_size":
        with pytest.raises(ValueError, match="batch_size: got 0"):
            Budget(batch_size=0)


@pytest.mark.parametrize("recipe", [identify(wide=True), identify(linear=True), annealed(100)])
def test_recipes_survive_as_plain_data(recipe):
    for phase in recipe:
        assert Phase.from_dict(phase.to_dict(), start=phase.start) == phase


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


def _loss(objective, batch, stage, **settings):
    pyro.set_rng_seed(0)
    return objective(batch, size=ROWS, index=torch.arange(ROWS), stage=stage, **settings)[0]


@pytest.mark.parametrize(
    ("stage", "learns"),
    [
        ("reconstruct", ("guide.encoder", "model.decoder")),
        ("unmix", ("guide.encoder.flow", "guide.target_encoder")),
        ("solutions", ("model.solution",)),
    ],
)
def test_a_stage_trains_its_own_parts_alone(objective, batch, stage, learns):
    _loss(objective, batch, stage).backward()
    for name, parameter in objective.named_parameters():
        trained = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        assert trained == name.startswith(learns), name


def test_the_pairs_stage_is_the_elbo(objective, batch):
    pyro.set_rng_seed(0)
    with torch.no_grad():
        expected = super(RecipeObjective, objective).forward(batch, size=ROWS, index=torch.arange(ROWS))[0]
    torch.testing.assert_close(_loss(objective, batch, "pairs").detach(), expected)


def test_reconstruction_is_the_elbo_of_single_observations(objective, batch):
    x = torch.cat([batch["x"], batch["x_after"]])
    found = _loss(objective, batch, "reconstruct", kl_weight=0.3)
    pyro.set_rng_seed(0)
    mean, sd = objective.guide.encoder(x)
    fit = objective.model.x_dist(mean + sd * torch.randn_like(sd)).log_prob(x)
    kl = 0.5 * (mean**2 + sd**2 - 1 - (sd**2).log()).sum(1)
    torch.testing.assert_close(found, (0.3 * kl - fit).mean(), rtol=1e-5, atol=1e-5)


def test_the_unmixing_likelihood_counts_both_sides(objective, batch):
    encoder, target_encoder = objective.guide.encoder, objective.guide.target_encoder
    found = -_loss(objective, batch, "unmix")
    codes = [encoder.code(batch[side]) for side in ("x", "x_after")]
    noise = [encoder.flow.image(code) for code in codes]
    log_dets = [
        torch.stack(
            [torch.linalg.slogdet(torch.autograd.functional.jacobian(encoder.flow.image, row))[1] for row in code]
        )
        for code in codes
    ]
    evidence = target_encoder.log_evidence(noise[1] - noise[0], shared=True)
    expected = Normal(0.0, 1.0).log_prob(noise[0]).sum(1) + evidence + sum(log_dets)
    torch.testing.assert_close(found, expected.mean(), rtol=1e-4, atol=1e-4)


def test_the_unmixing_likelihood_uses_known_targets(objective, batch):
    free = _loss(objective, batch, "unmix")
    torch.testing.assert_close(_loss(objective, batch | {"targets": torch.full((ROWS,), -1)}, "unmix"), free)
    assert _loss(objective, batch | {"targets": torch.full((ROWS,), 1)}, "unmix") > free


def test_solution_functions_are_scored_on_the_pairs_whose_target_they_are(objective, batch):
    targets = torch.arange(ROWS) % 4
    found = _loss(objective, batch | {"targets": targets}, "solutions")
    before, after = objective.guide.encoder(torch.cat([batch["x"], batch["x_after"]]))[0].chunk(2)
    densities = []
    for row in range(ROWS):
        i = int(targets[row]) - 1
        if i >= 0:
            shift, scale = objective.model.solution.all_coefficients(before[row])
            densities.append(Normal(shift[i], scale[i]).log_prob(after[row, i]))
    torch.testing.assert_close(-found, torch.stack(densities).mean(), rtol=1e-4, atol=1e-4)


def test_without_any_target_the_solution_stage_is_silent(objective, batch):
    loss = _loss(objective, batch | {"targets": torch.zeros(ROWS, dtype=torch.long)}, "solutions")
    assert loss == 0
    loss.backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in objective.parameters())
