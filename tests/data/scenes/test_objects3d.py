"""The scene in space: six variables that its images show one to one; skipped where nothing renders."""

import numpy as np
import pytest

from pyro_lcm.data.causal_circuit.render import rendering_problem
from pyro_lcm.data.scenes import Objects3D, SceneSystem, measure_sight, simulate_objects3d

PROBLEM = rendering_problem()
rendering = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


def images_along(variable, steps=5, size=64, ground=0.5):
    z = np.full((steps, 6), 0.5)
    z[:, 5] = ground
    z[:, variable] = np.linspace(0, 1, steps)
    with Objects3D().renderer(size) as renderer:
        return renderer.render(z).astype(float)


@rendering
def test_every_variable_shows_everywhere_on_its_arc():
    sight = measure_sight(Objects3D(), 25)
    assert sight.change.min() > 50
    assert sight.far.min() > 800
    assert sight.rank > 0.25


@rendering
def test_images_that_are_alike_have_variables_that_are_alike():
    rng = np.random.default_rng(1)
    near = rng.uniform(0, 1, (60, 6))
    z = np.concatenate([near, np.clip(near + rng.uniform(-0.25, 0.25, near.shape), 0, 1)])
    with Objects3D().renderer(64) as renderer:
        images = renderer.render(z).reshape(len(z), -1).astype(float)
    distance = np.linalg.norm(images[:, None] - images, axis=2)
    apart = np.abs(z[:, None] - z).max(axis=2)
    far = apart > 0.05
    assert (distance[far] / apart[far]).min() > 800


@rendering
def test_object_and_pool_of_light_move_to_the_right():
    columns = np.arange(64)
    images = images_along(0, ground=1.0)  # a green object on purple ground
    object_at = images[..., 1] > images[..., 2] + 20
    centres = (object_at * columns).sum(axis=(1, 2)) / object_at.sum(axis=(1, 2))
    assert centres[-1] > centres[0] + 20
    assert np.abs(np.diff(centres) / np.diff(centres).mean() - 1).max() < 0.1
    bright = images_along(3)[:, 48:].sum(axis=(1, 3))  # the ground in front of the object
    assert (np.diff((bright * columns).sum(axis=1) / bright.sum(axis=1)) > 0).all()


@rendering
def test_the_hue_of_the_ground_is_that_of_a_corner_and_no_other_variable_is():
    corner = images_along(5)[:, -2:, :2].mean(axis=(1, 2))
    assert corner[0].argmax() == 1
    assert corner[-1, 1] == corner[-1].min()
    for variable in (0, 1, 2):
        other = images_along(variable)[:, -2:, :2].mean(axis=(1, 2))
        assert np.ptp(other, axis=0).max() < 2


@rendering
def test_pairs_come_with_truth_and_noise():
    pairs = simulate_objects3d(6, seed=0, size=32, noise_sd=10.0)
    clean = np.moveaxis(SceneSystem(Objects3D(), seed=0, size=32).render(pairs.z), -1, 1)
    assert pairs.x.shape == (6, 3, 32, 32)
    assert pairs.dim == 6
    assert abs((pairs.x - clean.astype(float)).std() - 10) < 0.5


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="noise_sd: got -1"):
        Objects3D(noise_sd=-1)
    with pytest.raises(ValueError, match="size: got 8"):
        Objects3D().renderer(8)
