"""Samples of a system: what is fixed by which seed, and that images are those of the variables."""

import numpy as np
import pytest

from pyro_lcm.data.scenes import SceneSystem, find_scene, simulate_shapes
from pyro_lcm.data.scenes.system import with_noise
from tables import each_row

MIXED = find_scene("mixed")


def test_a_sample_is_repeated_by_its_seed_and_others_are_independent():
    system = SceneSystem(MIXED, seed=4, size=32)
    first, again, other = (
        system.sample(120, seed=0),
        SceneSystem(MIXED, seed=4, size=32).sample(120),
        system.sample(120, 1),
    )
    for key in ("x", "x_after", "targets", "z", "z_after", "noise", "noise_after", "adjacency"):
        np.testing.assert_array_equal(getattr(first, key), getattr(again, key))
    assert not np.isin(first.z, other.z).any()
    np.testing.assert_array_equal(first.adjacency, other.adjacency)


def _channels_first(images):
    """As pairs keep them."""
    return np.moveaxis(images, -1, 1)


def test_images_are_rendered_from_the_variables():
    system = SceneSystem(MIXED, seed=4, size=32)
    pairs = system.sample(120)
    np.testing.assert_array_equal(pairs.x, _channels_first(system.render(pairs.z)))
    np.testing.assert_array_equal(pairs.x_after, _channels_first(system.render(pairs.z_after)))
    assert pairs.x.shape == (120, 3, 32, 32)
    assert pairs.x.dtype == np.uint8


def test_the_graph_is_the_seeds_or_the_one_that_was_given():
    graphs = {SceneSystem(MIXED, seed=seed).adjacency.tobytes() for seed in range(10)}
    assert len(graphs) > 7
    assert any(np.tril(SceneSystem(MIXED, seed=seed).adjacency).any() for seed in range(3))
    chain = np.eye(4, k=1)
    pairs = simulate_shapes("mixed", 10, seed=0, size=16, graph=chain)
    np.testing.assert_array_equal(pairs.adjacency, chain)


def test_pixel_noise_is_fresh_normal_and_of_the_scenes_size():
    scene = find_scene("discs-occluded")
    pairs = SceneSystem(scene, seed=0).sample(110)
    clean = _channels_first(SceneSystem(scene, seed=0).render(pairs.z))
    middle = (clean > 60) & (clean < 195)
    residual = pairs.x.astype(float) - clean
    assert abs(residual[middle].mean()) < 0.05
    assert abs(residual[middle].std() - 10) < 0.1
    after = pairs.x_after.astype(float) - _channels_first(SceneSystem(scene, seed=0).render(pairs.z_after))
    assert abs(np.corrcoef(residual.ravel(), after.ravel())[0, 1]) < 0.01
    assert not np.array_equal(residual[0], residual[100])


def test_noise_is_cut_off_at_the_ends():
    images = np.array([[0, 255]] * 1000, np.uint8)
    noisy = with_noise(images, 50.0, np.random.default_rng(0))
    assert (noisy[:, 0] == 0).mean() > 0.4
    assert (noisy[:, 1] == 255).mean() > 0.4


def test_target_weights():
    system = SceneSystem(MIXED, seed=0, target_weights=(0, 1, 0, 0, 3))
    share = np.bincount(system.latents(20_000)["targets"], minlength=5) / 20_000
    np.testing.assert_allclose(share, [0, 0.25, 0, 0, 0.75], atol=0.02)


REFUSED = {
    "seed": {"seed": -1},
    "edge_probability": {"edge_probability": 1.5},
    "graph: got shape": {"graph": np.zeros((3, 3))},
    "cycle": {"graph": np.roll(np.eye(4), 1, axis=1)},
    "size": {"size": 8},
    "target_weights": {"target_weights": (1, 1)},
}


@each_row(("message", "options"), REFUSED.items())
def test_options_out_of_range_are_refused(message, options):
    with pytest.raises(ValueError, match=message):
        SceneSystem(MIXED, **({"seed": 0} | options))


@each_row("arguments", [(0,), (10, -1)])
def test_samples_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="got"):
        SceneSystem(MIXED, seed=0).sample(*arguments)
