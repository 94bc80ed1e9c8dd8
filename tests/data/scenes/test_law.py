"""The program of a scene's variables against its formulas in NumPy."""

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine

from pyro_lcm.causal.dag import ancestors, topological_order
from pyro_lcm.data.scenes import SceneSystem, find_scene


@pytest.fixture(scope="module")
def program():
    return SceneSystem(find_scene("eight"), seed=1, edge_probability=0.6).program


def noise_of(n, dim=8):
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def curve(p, b):
    return np.tanh(2 * p) + 0.5 * np.sin(3 * p + b)


def numpy_solution(program, noise, do=None):
    """Solve the formulas of the docstring; ``do`` maps a variable (0-based) to its value in each row."""
    law = program.mechanisms
    w, b, mean, c = (getattr(law, key).numpy() for key in ("weights", "phases", "means", "scale_weights"))
    z = np.zeros_like(noise)
    for i in topological_order(program.adjacency):
        parents = np.flatnonzero(program.adjacency[:, i])
        p = 2 * z - 1
        m = sum(w[j, i] * (curve(p[:, j], b[j, i]) - mean[j, i]) for j in parents)
        s = 0.6 * np.exp(0.25 * np.tanh(sum(c[j, i] * p[:, j] for j in parents))) if len(parents) else 1.0
        z[:, i] = 1 / (1 + np.exp(-1.7 * (m + s * noise[:, i])))
        if do and i in do:
            z[:, i] = do[i]
    return z


def test_world_and_do_solve_the_formulas(program):
    noise = noise_of(60)
    world = program.world(noise).causal
    np.testing.assert_allclose(world, numpy_solution(program, noise.numpy()), rtol=1e-12)
    for variable in range(8):
        value = torch.rand(60, dtype=torch.float64)
        changed = pyro.do(program.world, {f"z{variable + 1}": value})(noise).causal
        np.testing.assert_allclose(changed, numpy_solution(program, noise.numpy(), {variable: value}), rtol=1e-12)
        reach = ancestors(program.adjacency)[variable]
        reach[variable] = True
        np.testing.assert_array_equal((changed != world).any(dim=0).numpy(), reach)


def test_noise_encodings_invert_the_world_far_into_the_tails(program):
    noise = 2 * noise_of(2000)  # up to 8 standard deviations
    world = program.world(noise).causal
    assert 0 < world.min() < world.max() < 1
    np.testing.assert_allclose(program.noise_encoding(world), noise, atol=1e-7)


def test_pairs_are_pyro_do_on_the_rows_of_each_target(program):
    trace = poutine.trace(program).get_trace(400)
    drawn, value = trace.nodes["_RETURN"]["value"], trace.nodes["intervention"]["value"]
    assert set(drawn.target.tolist()) == set(range(9))
    for target in range(9):
        rows = drawn.target == target
        world = pyro.do(program.world, {f"z{target}": value[rows]} if target else {})(drawn.noise[rows])
        np.testing.assert_allclose(drawn.after.causal[rows], world.causal, rtol=1e-12)
    assert torch.equal(drawn.noise_after != drawn.noise, drawn.target[:, None] == torch.arange(1, 9))
    np.testing.assert_allclose(program.world(drawn.noise_after).causal, drawn.after.causal, rtol=1e-9)


def test_interventions_are_uniform_and_free_of_parents():
    system = SceneSystem(find_scene("mixed"), seed=3, graph=np.triu(np.ones((4, 4)), 1))
    drawn = system.latents(40_000)
    assert np.abs(np.bincount(drawn["targets"]) / 40_000 - 0.2).max() < 0.01
    hit = drawn["targets"] == 4
    after, before = drawn["z_after"][hit], drawn["z"][hit]
    quantiles = np.quantile(after[:, 3], [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(quantiles, [0.01, 0.255, 0.5, 0.745, 0.99], atol=0.02)
    assert np.abs(np.corrcoef(after.T)[3, :3]).max() < 0.05
    assert np.abs(np.corrcoef(before.T)[3, :3]).max() > 0.3


@pytest.mark.parametrize("seed", range(5))
def test_every_parent_matters_and_locations_explain_what_they_should(seed):
    program = SceneSystem(find_scene("eight"), seed=seed, edge_probability=0.7).program
    parents = torch.rand(20_000, 8, dtype=torch.float64)
    for i in range(8):
        of = program.parents[i]
        if not of:
            continue
        location, scale = program.mechanisms.location_scale(i, parents[:, of])
        assert abs(location.mean()) < 0.03
        assert abs(location.var() - 0.64) < 0.04
        assert 0.6 * np.exp(-0.25) < scale.min() < scale.max() < 0.6 * np.exp(0.25)
        for column in range(len(of)):
            moved = parents[:, of].clone()
            moved[:, column] = torch.rand(20_000, dtype=torch.float64)
            share = (program.mechanisms.location_scale(i, moved)[0] - location).var() / (2 * location.var())
            assert share > 0.4 / len(of)


def test_variables_without_parents_are_nearly_uniform():
    z = SceneSystem(find_scene("mixed"), seed=0, edge_probability=0.0).latents(50_000)["z"]
    deciles = np.quantile(z, np.linspace(0.1, 0.9, 9), axis=0)
    np.testing.assert_allclose(deciles, np.tile(np.linspace(0.1, 0.9, 9)[:, None], 4), atol=0.02)
