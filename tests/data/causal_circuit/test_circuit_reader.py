"""The reader of the published layout, on the shipped set, and on shards that are damaged."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.causal_circuit import CausalCircuit, layout, program, tiny_set
from pyro_lcm.data.causal_circuit.tiny import FOLDER
from tables import each_row


@pytest.fixture
def arrays():
    with np.load(FOLDER / "train-0.npz") as shard:
        return {key: shard[key][:20] for key in shard.files}


def test_the_shipped_set_holds_the_published_arrays(arrays):
    assert sorted(arrays) == sorted(layout.KEYS)
    assert {key: array.shape[1:] for key, array in arrays.items()} == layout.SHAPES
    masks = arrays["intervention_labels"][:, None] == np.arange(1, 5)
    assert (arrays["intervention_masks"] == masks).all()


def test_batches_are_images_in_order_and_hold_no_truth():
    images = tiny_set()
    batch = images.batch([5, 399])
    assert sorted(batch) == ["x", "x_after"]
    assert batch["x"].shape == (2, 3, 64, 64)
    assert 0 <= batch["x"].min() < 0.1 < batch["x"].max() <= 1
    decoded = images.images([5, 399])
    np.testing.assert_allclose(batch["x_after"].permute(0, 2, 3, 1) * 255, decoded[:, 1], atol=1e-4)
    many = images.images(np.arange(40))
    np.testing.assert_array_equal(many[5], decoded[0])


def test_the_layout_is_read_as_pairs_of_images_like_any_other(tmp_path, arrays):
    np.savez(tmp_path / "train-0.npz", **arrays)
    np.savez(tmp_path / "test.npz", **{key: value[:8] for key, value in arrays.items()})
    pairs, test = InterventionPairs.load(tmp_path), InterventionPairs.load(tmp_path / "test.npz")
    assert (len(pairs), len(test), pairs.image_shape) == (20, 8, (3, 64, 64))
    decoded = CausalCircuit(tmp_path).images(np.arange(20))
    np.testing.assert_array_equal(pairs[3:18].x, np.moveaxis(decoded[3:18, 0], -1, 1))
    np.testing.assert_array_equal(test.x_after, np.moveaxis(decoded[:8, 1], -1, 1))
    np.testing.assert_array_equal(pairs.noise_after, arrays["epsilon"][:, 1])
    np.testing.assert_array_equal(test.targets, arrays["intervention_labels"][:8])
    assert InterventionPairs.load(tmp_path, size=32).image_shape == (3, 32, 32)


def test_pairs_without_an_intervention_show_the_same_image_twice():
    images = tiny_set()
    rows = np.flatnonzero(images.truth()["targets"] == 0)
    pairs = images.images(rows)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])


def test_a_linear_probe_recovers_every_variable():
    images = tiny_set()
    truth = images.truth()
    pixels = (
        images.images(np.arange(len(images))).reshape(-1, 32, 2, 32, 2, 3).mean((2, 4)).reshape(2 * len(images), -1)
    )
    causal = np.stack([truth["z"], truth["z_after"]], axis=1).reshape(-1, 4)
    probe = Ridge(1.0).fit(pixels[:600] / 255, causal[:600])
    scores = r2_score(causal[600:], probe.predict(pixels[600:] / 255), multioutput="raw_values")
    assert scores.min() > 0.95, dict(zip(program.NAMES, scores, strict=True))


def test_shards_are_read_in_their_order(tmp_path, arrays):
    for number in range(11):
        np.savez(tmp_path / f"train-{number}.npz", **{key: value[number : number + 1] for key, value in arrays.items()})
    images = CausalCircuit(tmp_path)
    assert len(images) == 11
    np.testing.assert_array_equal(images.truth()["z"], arrays["original_latents"][:11, 0])
    (tmp_path / "train-4.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-4\.npz"):
        CausalCircuit(tmp_path)


def test_a_compressed_file_is_read(tmp_path, arrays):
    np.savez_compressed(tmp_path / "val.npz", **arrays)
    assert len(CausalCircuit(tmp_path, "val")) == 20


def test_a_damaged_shard_is_named(tmp_path, arrays):
    path = tmp_path / "test.npz"
    whole = (FOLDER / "train-0.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"test\.npz"):
        CausalCircuit(tmp_path, "test")
    np.savez(path, **{key: value for key, value in arrays.items() if key != "original_latents"})
    with pytest.raises(ValueError, match=r"test\.npz: the key 'original_latents' is missing"):
        CausalCircuit(tmp_path, "test")
    np.savez(path, **(arrays | {"epsilon": arrays["epsilon"][:, :1]}))
    with pytest.raises(ValueError, match=r"test\.npz: epsilon: got shape \(20, 1, 4\), expected \(20, 2, 4\)"):
        CausalCircuit(tmp_path, "test")


@each_row("rows", [[7], list(range(20))])
def test_a_damaged_image_is_named(tmp_path, arrays, rows):
    arrays["imgs"][7, 1] = arrays["imgs"][7, 1][:200]
    np.savez(tmp_path / "test.npz", **arrays)
    images = CausalCircuit(tmp_path, "test", workers=2)
    with pytest.raises(ValueError, match=r"test\.npz: imgs\[7, 1\]: not a sound JPEG"):
        images.batch(rows)


def test_a_missing_split_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected train-0\.npz"):
        CausalCircuit(tmp_path)
