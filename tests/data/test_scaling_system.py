import numpy as np
import pytest
import torch

from pyro_lcm.data import ScalingSystem, simulate_scaling
from pyro_lcm.data.mechanisms import draw_weights
from tables import each_row

FIVE_SIGMA = 5  # a normal variable is that far out with probability 6e-7


def assert_covariance(samples, expected):
    """Compare with a covariance matrix: each entry within five of its standard errors."""
    n = len(samples)
    sample = samples.T @ samples / n
    error = np.sqrt((expected**2 + np.outer(expected.diagonal(), expected.diagonal())) / n)
    assert (np.abs(sample - expected) < FIVE_SIGMA * error).all()


def test_linear_system_has_its_closed_form_covariance():
    system = ScalingSystem(5, seed=2)
    pairs = system.sample(200_000)
    weights = system.program.mechanisms.weights.numpy()
    rotation = system.program.mixing.mixing.layers[0].matrix.numpy()
    solution = np.linalg.inv(np.eye(5) - weights.T)
    assert_covariance(pairs.z, solution @ solution.T)
    assert_covariance(pairs.x, rotation @ solution @ solution.T @ rotation.T)
    assert_covariance(pairs.noise, np.eye(5))
    for target in range(6):
        cut = weights.copy()
        if target:
            cut[:, target - 1] = 0
        mutilated = np.linalg.inv(np.eye(5) - cut.T)
        assert_covariance(pairs.z_after[pairs.targets == target], mutilated @ mutilated.T)


def test_truth_is_consistent():
    system = ScalingSystem(4, seed=0)
    pairs = system.sample(500)
    program = system.program
    np.testing.assert_allclose(program.world(torch.from_numpy(pairs.noise)).x, pairs.x, atol=1e-12)
    np.testing.assert_allclose(program.world(torch.from_numpy(pairs.noise_after)).x, pairs.x_after, atol=1e-11)
    np.testing.assert_array_equal(pairs.adjacency, system.adjacency)
    assert pairs.x.dtype == np.float64


def test_edges_follow_a_fixed_order_unless_asked():
    graphs = np.stack([ScalingSystem(5, seed=seed).adjacency for seed in range(300)])
    assert not np.tril(graphs).any()
    frequency = graphs.mean(axis=0)[np.triu_indices(5, 1)]
    assert (np.abs(frequency - 0.5) < FIVE_SIGMA * 0.5 / np.sqrt(300)).all()
    assert np.tril(ScalingSystem(5, seed=0, edge_probability=1.0, random_order=True).adjacency).any()


@pytest.mark.parametrize(("probability", "edges"), [(0.0, 0), (1.0, 15)])
def test_edge_probability(probability, edges):
    assert ScalingSystem(6, seed=0, edge_probability=probability).adjacency.sum() == edges


def test_weights_are_bimodal():
    weights = draw_weights(np.ones((200, 200), np.int8), np.random.default_rng(0)).ravel()
    n = weights.size
    # E[w] = 0, E[w^2] = 1.09, E[w^4] = 1 + 6 * 0.09 + 3 * 0.0081 of sign * (1 + 0.3 N(0, 1))
    assert abs(weights.mean()) < FIVE_SIGMA * np.sqrt(1.09 / n)
    fourth = 1 + 6 * 0.09 + 3 * 0.0081
    assert abs((weights**2).mean() - 1.09) < FIVE_SIGMA * np.sqrt((fourth - 1.09**2) / n)


def test_targets_are_uniform_by_default_and_follow_their_weights():
    counts = np.bincount(simulate_scaling(4, 50_000, seed=0).targets, minlength=5)
    assert (np.abs(counts / 50_000 - 0.2) < FIVE_SIGMA * np.sqrt(0.2 * 0.8 / 50_000)).all()
    targets = simulate_scaling(2, 50_000, seed=0, target_weights=[2, 0, 6]).targets
    assert set(targets) == {0, 2}
    assert abs((targets == 0).mean() - 0.25) < FIVE_SIGMA * np.sqrt(0.25 * 0.75 / 50_000)


@pytest.mark.parametrize("noise", ["gaussian", "laplace", "uniform"])
def test_noise_has_unit_variance(noise):
    values = simulate_scaling(3, 60_000, seed=0, noise=noise).noise
    kurtosis = {"gaussian": 3.0, "laplace": 6.0, "uniform": 1.8}[noise]
    assert (np.abs(values.mean(axis=0)) < FIVE_SIGMA / np.sqrt(60_000)).all()
    assert (np.abs((values**2).mean(axis=0) - 1) < FIVE_SIGMA * np.sqrt((kurtosis - 1) / 60_000)).all()


@pytest.mark.parametrize(("intervention", "limit"), [("normal", np.inf), ("uniform", np.sqrt(3))])
def test_an_intervention_redraws_its_target_independently_of_the_parents(intervention, limit):
    pairs = simulate_scaling(3, 60_000, seed=0, edge_probability=1.0, intervention=intervention)
    rows = pairs.targets == 3
    drawn = pairs.z_after[rows, 2]
    n = rows.sum()
    assert np.abs(drawn).max() < limit
    assert abs(drawn.mean()) < FIVE_SIGMA / np.sqrt(n)
    assert abs((drawn**2).mean() - 1) < FIVE_SIGMA * np.sqrt(2 / n)
    for other in (pairs.z[rows, 0], pairs.z[rows, 1], pairs.noise[rows, 2]):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < FIVE_SIGMA / np.sqrt(n)


def test_observation_noise_is_a_fraction_of_the_spread_of_x_and_differs_between_sides():
    system = ScalingSystem(3, seed=0, observation_noise=0.2, dim_x=6)
    pairs = system.sample(40_000)
    clean = [system.program.mixing(torch.from_numpy(z)).numpy() for z in (pairs.z, pairs.z_after)]
    noise, noise_after = pairs.x - clean[0], pairs.x_after - clean[1]
    expected = 0.2 * np.sqrt(clean[0].var(axis=0).mean())
    np.testing.assert_allclose([noise.std(), noise_after.std()], expected, rtol=0.05)
    assert abs(np.corrcoef(noise.ravel(), noise_after.ravel())[0, 1]) < FIVE_SIGMA / np.sqrt(240_000)


def test_seeds_reproduce_and_differ():
    first, again, other = (ScalingSystem(4, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.sample(100, seed=3).x, again.sample(100, seed=3).x)
    assert not np.array_equal(first.sample(100, seed=3).noise, first.sample(100, seed=4).noise)
    assert not np.array_equal(first.sample(100, seed=3).noise, other.sample(100, seed=3).noise)
    np.testing.assert_array_equal(simulate_scaling(4, 100, seed=0).x, first.sample(100, seed=0).x)


def test_samples_of_one_system_share_graph_mechanisms_and_mixing():
    system = ScalingSystem(3, seed=5)
    train, test = system.sample(50, seed=0), system.sample(50, seed=1)
    fit = np.linalg.lstsq(train.z, train.x, rcond=None)[0]
    np.testing.assert_allclose(test.z @ fit, test.x, atol=1e-10)
    np.testing.assert_array_equal(train.adjacency, test.adjacency)


def test_the_seed_fixes_the_graph_whatever_the_other_options():
    plain = ScalingSystem(6, seed=3)
    for options in ({"mixing": "coupling"}, {"mechanisms": "nonlinear"}, {"dim_x": 9}, {"noise": "laplace"}):
        np.testing.assert_array_equal(ScalingSystem(6, seed=3, **options).adjacency, plain.adjacency)


def test_sampling_leaves_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    simulate_scaling(2, 10, seed=1, observation_noise=0.1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("mixing", ["linear", "leaky_relu", "tanh_residual"])
def test_one_variable(mixing):
    pairs = simulate_scaling(1, 20, seed=0, mixing=mixing)
    assert pairs.x.shape == (20, 1)
    assert set(pairs.targets) == {0, 1}


@each_row(
    ("options", "message"),
    [
        ({"dim": 0}, "dim: got 0, expected at least 1"),
        ({"n": 0}, "n: got 0, expected at least 1"),
        ({"seed": -1}, "seed: got -1"),
        ({"edge_probability": 1.5}, "edge_probability: got 1.5"),
        ({"mechanisms": "cubic"}, "mechanisms: got 'cubic', expected one of linear, nonlinear"),
        ({"mixing": "none"}, "mixing: got 'none'"),
        ({"mixing": "coupling", "dim": 1}, "mixing: got 'coupling' for one feature"),
        ({"noise": "cauchy"}, "noise: got 'cauchy'"),
        ({"intervention": "soft"}, "intervention: got 'soft'"),
        ({"observation_noise": -0.1}, "observation_noise: got -0.1"),
        ({"observation_noise": float("nan")}, "observation_noise: got nan"),
        ({"dim_x": 3}, "dim_x: got 3, expected at least 4"),
        ({"target_weights": [1, 1]}, r"target_weights: got \(1, 1\), expected 5 numbers"),
        ({"target_weights": [-1, 1, 1, 1, 1]}, "target_weights: got"),
        ({"target_weights": [0, 0, 0, 0, 0]}, "target_weights: got only zeros"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_scaling(**({"dim": 4, "n": 10, "seed": 0} | options))
