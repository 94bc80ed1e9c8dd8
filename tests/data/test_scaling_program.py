import numpy as np
import pyro
import pytest
import torch
from pyro import poutine

from pyro_lcm.causal.dag import ancestors, topological_order
from pyro_lcm.data import ScalingSystem

VARIANTS = [
    ("linear", "linear"),
    ("nonlinear", "leaky_relu"),
    ("nonlinear", "tanh_residual"),
    ("linear", "coupling"),
]


def numpy_solution(program, noise, do=None):
    """Solve the SCM row by row in numpy; ``do`` maps a variable (0-based) to its value in each row."""
    z = np.zeros_like(noise)
    for i in topological_order(program.adjacency):
        parents = np.flatnonzero(program.adjacency[:, i])
        mechanisms = program.mechanisms
        w = mechanisms.weights.numpy()[parents, i]
        if hasattr(mechanisms, "phases"):
            b, c = mechanisms.phases.numpy()[parents, i], mechanisms.scale_weights.numpy()[parents, i]
            location = sum(w[k] * (np.tanh(z[:, p]) + np.sin(2 * z[:, p] + b[k]) / 2) for k, p in enumerate(parents))
            scale = np.exp(np.tanh(sum(c[k] * z[:, p] for k, p in enumerate(parents))) / 2)
        else:
            location, scale = sum(w[k] * z[:, p] for k, p in enumerate(parents)), 1.0
        z[:, i] = do[i] if do is not None and i in do else location + scale * noise[:, i]
    return z


@pytest.fixture(params=VARIANTS, ids=["-".join(variant) for variant in VARIANTS])
def system(request):
    mechanisms, mixing = request.param
    return ScalingSystem(
        6, seed=1, edge_probability=0.4, mechanisms=mechanisms, mixing=mixing, random_order=True, dim_x=8
    )


def close(first, second):
    np.testing.assert_allclose(np.asarray(first), np.asarray(second), rtol=1e-9, atol=1e-9)


def test_world_solves_the_equations(system):
    noise = torch.randn(50, 6, dtype=torch.float64)
    world = system.program.world(noise)
    close(world.causal, numpy_solution(system.program, noise.numpy()))
    close(world.x, system.program.mixing(world.causal))
    close(system.program.noise_encoding(world.causal), noise)


@pytest.mark.parametrize("variable", range(6))
def test_do_in_the_world_solves_the_mutilated_equations(system, variable):
    program = system.program
    noise = torch.randn(50, 6, dtype=torch.float64)
    value = torch.randn(50, dtype=torch.float64)
    world = pyro.do(program.world, {f"z{variable + 1}": value})(noise)
    close(world.causal, numpy_solution(program, noise.numpy(), {variable: value.numpy()}))
    changed = (world.causal != program.world(noise).causal).any(dim=0).numpy()
    expected = ancestors(program.adjacency)[variable]
    expected[variable] = True
    np.testing.assert_array_equal(changed, expected)


def test_do_accepts_a_number_and_several_variables(system):
    noise = torch.randn(50, 6, dtype=torch.float64)
    world = pyro.do(system.program.world, {"z2": 1.0, "z5": -2})(noise)
    close(world.causal, numpy_solution(system.program, noise.numpy(), {1: np.ones(50), 4: -2 * np.ones(50)}))


def test_pairs_equal_pyro_do_on_the_rows_of_each_target(system):
    program = system.program
    trace = poutine.trace(program).get_trace(300)
    drawn, value = trace.nodes["_RETURN"]["value"], trace.nodes["intervention"]["value"]
    close(drawn.before.causal, program.world(drawn.noise).causal)
    assert set(drawn.target.tolist()) == set(range(7))
    for target in range(7):
        rows = drawn.target == target
        intervention = {f"z{target}": value[rows]} if target else {}
        world = pyro.do(program.world, intervention)(drawn.noise[rows])
        close(drawn.after.causal[rows], world.causal)
        close(drawn.after.x[rows], world.x)


def test_noise_encodings_after_solve_to_the_world_after(system):
    program = system.program
    drawn = program(300)
    world = program.world(drawn.noise_after)
    close(world.causal, drawn.after.causal)
    close(world.x, drawn.after.x)
    differs = drawn.noise_after != drawn.noise
    hit = drawn.target[:, None] == torch.arange(1, 7)
    assert torch.equal(differs, hit)


def test_do_on_the_target_changes_the_target_and_its_descendants_only(system):
    program = system.program
    reach = ancestors(program.adjacency)
    for target in range(7):
        drawn = pyro.do(program, {"target": torch.tensor(target)})(40)
        assert (drawn.target == target).all()
        changed = (drawn.after.causal != drawn.before.causal).any(dim=0).numpy()
        expected = np.zeros(6, dtype=bool)
        if target:
            expected = reach[target - 1].copy()
            expected[target - 1] = True
        np.testing.assert_array_equal(changed, expected)


def test_sites_and_shared_noise(system):
    trace = poutine.trace(system.program).get_trace(20)
    names = set(trace.nodes) - {"_INPUT", "_RETURN", "pairs"}
    variables = {f"z{i}" for i in range(1, 7)}
    worlds = {f"{side}/{site}" for side in ("before", "after") for site in variables | {"causal", "x"}}
    assert names == worlds | {"target", "noise", "intervention"}
    random = {name for name in names if trace.nodes[name]["type"] == "sample" and not trace.nodes[name]["is_observed"]}
    assert random == {"target", "noise", "intervention"}
    for name in names:
        assert [frame.name for frame in trace.nodes[name]["cond_indep_stack"]] == ["pairs"]


def test_log_density_of_the_program_is_that_of_its_noise(system):
    trace = poutine.trace(system.program).get_trace(20)
    noise, value = trace.nodes["noise"]["value"], trace.nodes["intervention"]["value"]
    standard = torch.distributions.Normal(0.0, 1.0)
    expected = standard.log_prob(noise).sum() + standard.log_prob(value).sum() - 20 * np.log(7)
    close(trace.log_prob_sum(), expected)


def test_nonlinear_mechanisms_are_heteroscedastic():
    program = ScalingSystem(3, seed=0, edge_probability=1.0, mechanisms="nonlinear").program
    _, scale = program.mechanisms.location_scale(2, torch.randn(1000, 2, dtype=torch.float64))
    assert scale.min() > np.exp(-0.5)
    assert scale.max() < np.exp(0.5)
    assert scale.std() > 0.05
