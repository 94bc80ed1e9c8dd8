"""The Voronoi simulator: variables follow their parents one frame before, interventions cut them off."""

import numpy as np
import pyro
import pytest
import torch

from pyro_lcm import InterventionSequences, VoronoiSystem


@pytest.fixture(scope="module")
def system():
    return VoronoiSystem(4, seed=1, instantaneous=0.5)


@pytest.fixture(scope="module")
def sequences(system):
    return system.sample(3000, episodes=60)


def test_shapes_and_truth(system, sequences):
    assert sequences.x.shape == sequences.z.shape == (3000, 4)
    np.testing.assert_array_equal(sequences.lengths, 50)
    np.testing.assert_array_equal(sequences.temporal_adjacency, system.graphs[0])
    np.testing.assert_array_equal(sequences.adjacency, system.graphs[1])
    assert (system.graphs[0].sum(0) >= 1).all()
    assert system.graphs[1].any()


def test_variables_are_of_about_unit_variance(sequences):
    assert np.all((sequences.z.std(0) > 0.7) & (sequences.z.std(0) < 1.4))
    assert np.abs(sequences.z.mean(0)).max() < 0.3


def test_observations_are_mixed_invertibly(system, sequences):
    again = system.program.mixing.inverse(torch.from_numpy(sequences.x)).numpy()
    np.testing.assert_allclose(again, sequences.z, atol=1e-9)


def test_seeds_decide(system, sequences):
    again = VoronoiSystem(4, seed=1, instantaneous=0.5).sample(3000, episodes=60)
    np.testing.assert_array_equal(again.x, sequences.x)
    assert not np.allclose(system.sample(3000, episodes=60, seed=1).x, sequences.x)


def test_a_variable_depends_on_its_parents_alone(system):
    program, (temporal, instant) = system.program, system.graphs
    before, noise = torch.randn(200, 4, dtype=torch.float64), torch.randn(200, 4, dtype=torch.float64)
    none = torch.zeros(200, 4)
    base = program.step(before, noise, none, none.double())
    for parent in range(4):
        moved = before.clone()
        moved[:, parent] += 1
        changed = (program.step(moved, noise, none, none.double()) != base).any(0).numpy()
        # Children one frame later, and what these move within that frame.
        reached = temporal[parent].astype(bool)
        for _ in range(4):
            reached = reached | (reached @ instant > 0)
        np.testing.assert_array_equal(changed, reached)


def test_a_target_takes_its_value_and_its_children_follow(system):
    program, (_, instant) = system.program, system.graphs
    parent = int(instant.sum(1).argmax())
    before, noise = torch.randn(100, 4, dtype=torch.float64), torch.randn(100, 4, dtype=torch.float64)
    targets, value = torch.zeros(100, 4), torch.full((100, 4), 3.0, dtype=torch.float64)
    base = program.step(before, noise, targets, value)
    targets[:50, parent] = 1
    found = program.step(before, noise, targets, value)
    assert (found[:50, parent] == 3.0).all()
    assert torch.equal(found[50:], base[50:])
    children = np.flatnonzero(instant[parent])
    assert (found[:50, children] != base[:50, children]).all()


def test_interventions_are_pyro_do_on_nodes(system):
    before = torch.randn(10, 4, dtype=torch.float64)
    with pyro.poutine.trace() as trace:
        system.program.step(before, torch.zeros_like(before), torch.zeros(10, 4), torch.zeros_like(before))
    assert {f"z{i}" for i in range(1, 5)} <= set(trace.trace.nodes)


def test_targets_are_as_frequent_as_asked_for():
    several = VoronoiSystem(3, seed=0, intervention_probability=0.3).sample(4000).targets
    assert np.abs(several.mean(0) - 0.3).max() < 0.05
    assert several.sum(1).max() > 1
    single = VoronoiSystem(3, seed=0, intervention_probability=0.6, single=True).sample(4000).targets
    assert single.sum(1).max() == 1
    assert np.abs(single.mean(0) - 0.2).max() < 0.05


def test_independent_frames_are_independent(system):
    frames = system.independent(4000)
    assert frames.targets.all()
    assert len(frames.x) == 4000
    correlation = np.corrcoef(frames.z.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.08
    assert np.abs(frames.z.std(0) - 0.75).max() < 0.05


def test_torch_keeps_its_state(system):
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    system.sample(100)
    assert torch.equal(torch.randn(2), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 1}, r"^dim: got 1, expected at least 2"),
        ({"seed": -1}, r"^seed: got -1"),
        ({"edge_probability": 1.5}, r"^edge_probability: got 1.5"),
        ({"noise_sd": 0.0}, r"^noise_sd: got 0.0"),
        ({"mixing": "blender"}, r"^mixing: got 'blender', expected one of linear"),
    ],
)
def test_options_are_checked(given, message):
    with pytest.raises(ValueError, match=message):
        VoronoiSystem(**{"seed": 0} | given)


def test_numbers_of_frames_are_checked(system):
    with pytest.raises(ValueError, match=r"^frames: got 10 in 6 episodes, expected at least two in each"):
        system.sample(10, episodes=6)
    with pytest.raises(ValueError, match=r"^seed: got -2"):
        system.sample(100, seed=-2)


def test_actions_act_on_what_their_table_says():
    system = VoronoiSystem(3, seed=0, mixing="linear", actions=4, noise_sd=0.1)
    sequences = system.sample(8000, episodes=80)
    table = system.interactions
    assert not table[0].any()
    assert len(np.unique(table, axis=1).T) == 3
    np.testing.assert_array_equal(sequences.interactions, table)
    assert (sequences.targets.sum(1) == 1).all()
    # What is acted on no longer depends on the frame before: its spread is that of an intervention.
    first, action = sequences.first_frames, sequences.targets.argmax(1)
    before, after = sequences.z[first], sequences.z[first + 1]
    for number, variable in zip(*np.nonzero(table), strict=True):
        drawn = after[action == number, variable]
        assert drawn.std() == pytest.approx(0.75, abs=0.06)
        assert np.abs(np.corrcoef(drawn, before[action == number].T)[0, 1:]).max() < 0.1
    with pytest.raises(ValueError, match=r"^actions: got 2, expected enough for 3 variables"):
        VoronoiSystem(3, seed=0, actions=2)
    with pytest.raises(ValueError, match=r"^interactions: got shape \(3, 3\), expected zeros and ones \(4, K\)"):
        InterventionSequences(sequences.x, sequences.targets, lengths=sequences.lengths, interactions=np.eye(3))


def test_few_actions_tell_many_variables_apart():
    table = VoronoiSystem(31, actions=6, seed=0).interactions
    assert table.shape == (6, 31)
    assert not table[0].any()
    assert len(np.unique(table, axis=1).T) == 31
