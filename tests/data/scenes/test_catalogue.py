"""Ready scenes show their variables one to one, and hide as much as they say."""

import numpy as np
import pytest

from pyro_lcm.data.scenes import SCENES, SceneSystem, find_scene, hidden_fractions, measure_sight

OCCLUDED = [name for name in SCENES if name.endswith("-occluded")]


def test_there_are_five_scenes_and_their_occluded_variants():
    assert [name for name in SCENES if name not in OCCLUDED] == ["discs", "mixed", "colours", "plane", "eight"]
    assert [f"{name}-occluded" for name in SCENES if name not in OCCLUDED] == OCCLUDED
    for name, scene in SCENES.items():
        assert scene.name == name
        assert len(scene.variables) == (8 if name.startswith("eight") else 4)
        assert scene.variables == SCENES[name.removesuffix("-occluded")].variables
        assert scene.noise_sd == (10.0 if name in OCCLUDED else 0.0)
        assert (scene.background.texture > 0) == (name in OCCLUDED)
    with pytest.raises(ValueError, match="scene: got 'cats', expected one of discs, mixed"):
        find_scene("cats")


@pytest.mark.parametrize("name", SCENES)
def test_every_variable_shows_everywhere_on_its_arc(name):
    # Pixel noise of sd 10 has sd 10 along any one direction: the smallest change is five of these.
    sight = measure_sight(SCENES[name], 150)
    assert sight.change.min() > 50
    assert sight.far.min() > 800
    assert sight.rank > 0.6


@pytest.mark.parametrize("name", SCENES)
def test_images_that_are_alike_have_variables_that_are_alike(name):
    scene, rng = SCENES[name], np.random.default_rng(1)
    near = rng.uniform(0, 1, (250, len(scene.variables)))
    z = np.concatenate([near, np.clip(near + rng.uniform(-0.25, 0.25, near.shape), 0, 1)])
    images = scene.renderer(64).render(z).reshape(len(z), -1).astype(np.float32)
    squares = (images**2).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * images @ images.T, 0))
    apart = np.abs(z[:, None] - z).max(axis=2)
    far = apart > 0.05
    assert (distance[far] / apart[far]).min() > 1500


@pytest.mark.parametrize("name", OCCLUDED)
def test_shapes_are_hidden_often_and_never_out_of_sight(name):
    scene = SCENES[name]
    uniform = np.random.default_rng(0).uniform(0, 1, (600, len(scene.variables)))
    for z in (uniform, *(SceneSystem(scene, seed=seed).latents(300)["z"] for seed in range(3))):
        hidden = hidden_fractions(scene, z)
        assert (hidden.max(axis=1) >= 0.3).mean() >= 0.2
        assert hidden.max() < 0.8


@pytest.mark.parametrize("name", [name for name in SCENES if name not in OCCLUDED])
def test_plain_scenes_hide_nothing(name):
    z = np.random.default_rng(0).uniform(0, 1, (400, len(SCENES[name].variables)))
    assert hidden_fractions(SCENES[name], z).max() < 0.02
