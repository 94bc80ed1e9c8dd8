"""The simulator writes what the reader reads, the same whatever was there before; skipped where nothing renders."""

import numpy as np
import pytest

from pyro_lcm.data.causal_circuit import CausalCircuit, render, tiny_set
from pyro_lcm.data.causal_circuit.simulate import draw_latents, plan_shards, render_shards

PROBLEM = render.rendering_problem()
rendering = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


@rendering
def test_a_simulated_set_is_read_back_and_resumed(tmp_path):
    shards = plan_shards(tmp_path, 5, n_test=2, seed=4, shard=3)
    counted = []
    written = render_shards(shards, progress=counted.append)
    assert [path.name for path in written] == ["train-0.npz", "train-1.npz", "test.npz"]
    assert sum(counted) == 7
    images = CausalCircuit(tmp_path)
    np.testing.assert_array_equal(images.truth()["z"][:3], draw_latents(shards[0])["original_latents"][:, 0])
    before = (tmp_path / "train-1.npz").read_bytes()
    (tmp_path / "train-1.npz").unlink()
    assert [path.name for path in render_shards(shards)] == ["train-1.npz"]
    assert (tmp_path / "train-1.npz").read_bytes() == before


@rendering
def test_the_shipped_set_is_what_the_simulator_makes_now(tmp_path):
    (shard,) = plan_shards(tmp_path, 400, seed=0)
    shipped = tiny_set()
    latents = draw_latents(shard)["original_latents"]
    np.testing.assert_allclose(shipped.truth()["z"], latents[:, 0], rtol=0, atol=1e-9)
    with render.Renderer(64) as renderer:
        for row in range(3):
            difference = renderer.render(latents[row, 1]).astype(float) - shipped.images([row])[0, 1]
            assert np.abs(difference).mean() < 4  # JPEG, and another OpenGL library's rounding


@rendering
def test_brightness_grows_with_the_variable_and_the_arm_moves():
    with render.Renderer(64) as renderer:
        for lamp in range(3):
            values = np.tile([0.0, 0.0, 0.0, 0.5], (3, 1))
            values[:, lamp] = [0.1, 0.5, 0.9]
            sums = [renderer.render(value)[..., lamp].sum(dtype=float) for value in values]
            assert sums[0] < sums[1] < sums[2]
        left, right = (renderer.render([0.2, 0.2, 0.2, arm]).astype(float) for arm in (0.0, 1.0))
    half = left.shape[1] // 2
    assert left[:, :half].sum() > right[:, :half].sum()


def test_sizes_and_values_out_of_range_are_named(tmp_path):
    with pytest.raises(ValueError, match="size: got 100, expected one of 64, 128, 512"):
        render.Renderer(100)
    with pytest.raises(ValueError, match="pairs: got 0"):
        plan_shards(tmp_path, 0)


def test_a_missing_library_names_what_to_install(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(render.RenderingUnavailable, match=r"pip install mujoco.*apt install libosmesa6"):
        render.Renderer(64)
