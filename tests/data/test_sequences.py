"""Sequences: what is accepted, what is refused by name, files, cuts, and the pairs that they are."""

import logging

import numpy as np
import pytest

from pyro_lcm import InterventionPairs, InterventionSequences

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
TARGETS = np.array([[0, 1], [1, 0], [0, 0], [1, 1], [0, 1]])


@pytest.fixture
def sequences():
    """Two episodes, of four frames and of two."""
    targets = np.delete(TARGETS, 3, axis=0)
    graph = [[1, 1], [0, 0]]
    return InterventionSequences(X, targets, lengths=[4, 2], z=Z, temporal_adjacency=graph, adjacency=[[0, 1], [0, 0]])


def test_one_episode():
    sequences = InterventionSequences(X, TARGETS)
    assert (len(sequences), sequences.dim, sequences.episodes, sequences.observation_shape) == (5, 2, 1, (2,))
    assert sequences.z is None
    np.testing.assert_array_equal(sequences.first_frames, range(5))


def test_episodes_of_one_length_may_have_an_axis_of_their_own():
    sequences = InterventionSequences(X.reshape(2, 3, 2), TARGETS[:4].reshape(2, 2, 2), z=Z.reshape(2, 3, 2))
    np.testing.assert_array_equal(sequences.lengths, [3, 3])
    np.testing.assert_array_equal(sequences.x, X)
    np.testing.assert_array_equal(sequences.z, Z)
    np.testing.assert_array_equal(sequences.first_frames, [0, 1, 3, 4])


def test_transitions_are_pairs_of_adjacent_frames_of_an_episode(sequences):
    pairs = sequences.transitions()
    np.testing.assert_array_equal(pairs.x, X[[0, 1, 2, 4]])
    np.testing.assert_array_equal(pairs.x_after, X[[1, 2, 3, 5]])
    np.testing.assert_array_equal(pairs.z_after, Z[[1, 2, 3, 5]])
    np.testing.assert_array_equal(pairs.known_targets, np.delete(TARGETS, 3, axis=0))


def test_truth_of_several_columns_a_variable_stays_behind():
    sequences = InterventionSequences(X, TARGETS, z=RNG.normal(size=(6, 3)), variables=[1, 1, 0])
    assert sequences.transitions().z is None


def test_a_pair_is_a_sequence_of_length_two(sequences):
    pairs = sequences.transitions()
    again = InterventionSequences.of_pairs(pairs)
    assert again.episodes == len(pairs)
    np.testing.assert_array_equal(again.transitions().x, pairs.x)
    np.testing.assert_array_equal(again.transitions().x_after, pairs.x_after)
    np.testing.assert_array_equal(again.targets, pairs.known_targets)
    np.testing.assert_array_equal(again.transitions().z, pairs.z)


def test_single_targets_of_pairs_become_rows():
    pairs = InterventionPairs(X, X + 1, targets=[0, 1, 2, 0, 2, 1]).with_known_targets()
    found = InterventionSequences.of_pairs(pairs).targets
    np.testing.assert_array_equal(found, [[0, 0], [1, 0], [0, 1], [0, 0], [0, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"^targets: got some that are unknown"):
        InterventionSequences.of_pairs(InterventionPairs(X, X + 1, targets=[1] * 6))


def test_episodes_are_chosen(sequences):
    last = sequences.episode(1)
    np.testing.assert_array_equal(last.x, X[4:])
    np.testing.assert_array_equal(last.targets, TARGETS[4:])
    np.testing.assert_array_equal(last.temporal_adjacency, sequences.temporal_adjacency)
    with pytest.raises(IndexError, match=r"^number: got 2, expected 0 to 1"):
        sequences.episode(2)


def test_the_end_of_every_episode_is_cut_off():
    sequences = InterventionSequences(np.arange(20.0)[:, None], np.ones((18, 1)), lengths=[10, 10])
    first, second = sequences.split(0.8)
    np.testing.assert_array_equal(first.x[:, 0], [*range(8), *range(10, 18)])
    np.testing.assert_array_equal(second.x[:, 0], [8, 9, 18, 19])
    assert (len(first), len(second)) == (14, 2)
    np.testing.assert_array_equal(second.transitions().x[:, 0], [8, 18])


def test_short_episodes_are_given_to_one_part_whole():
    sequences = InterventionSequences(np.arange(20.0)[:, None], np.ones((10, 1)), lengths=[2] * 10)
    first, second = sequences.split(0.8)
    np.testing.assert_array_equal(first.x[:, 0], range(16))
    np.testing.assert_array_equal(second.x[:, 0], range(16, 20))
    with pytest.raises(ValueError, match=r"^fraction: got 1.5"):
        sequences.split(1.5)
    with pytest.raises(ValueError, match="leaves a part empty"):
        InterventionSequences([[0.0], [1.0]], [[1]]).split(0.5)


def test_files_keep_everything(sequences, tmp_path):
    sequences.save(tmp_path / "a.npz")
    for mmap in (False, True):
        again = InterventionSequences.load(tmp_path / "a.npz", mmap=mmap)
        for name in ("x", "targets", "lengths", "z", "variables", "temporal_adjacency", "adjacency"):
            np.testing.assert_array_equal(getattr(again, name), getattr(sequences, name), err_msg=name)


def test_a_folder_of_arrays_is_read(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "targets.npy", TARGETS)
    np.testing.assert_array_equal(InterventionSequences.load(tmp_path).x, X)


def test_published_keys_are_read(tmp_path, caplog):
    images = RNG.integers(0, 256, (6, 8, 10, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, latents=Z, targets=TARGETS, keys=np.array(["c0", "c1"]))
    with caplog.at_level(logging.WARNING):
        sequences = InterventionSequences.load(tmp_path / "a.npz")
    assert not caplog.records
    assert sequences.observation_shape == (3, 8, 10)
    np.testing.assert_array_equal(sequences.z, Z)


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object), targets=TARGETS)
    with pytest.raises(ValueError, match="unpickled"):
        InterventionSequences.load(tmp_path / "a.npz")


def test_a_missing_key_is_named(tmp_path, caplog):
    np.savez(tmp_path / "a.npz", x=X)
    with pytest.raises(ValueError, match=r"a.npz: key 'targets' is missing; got \['x'\], expected x and targets"):
        InterventionSequences.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=X, targets=TARGETS, more=X)
    with caplog.at_level(logging.WARNING):
        InterventionSequences.load(tmp_path / "b.npz")
    assert "ignored the keys ['more']" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"targets": TARGETS[:4]}, r"^targets: got 4 rows, expected 5"),
        ({"targets": 2 * TARGETS}, r"^targets: got values 0 to 2"),
        ({"targets": TARGETS[:, 0]}, r"^targets: got shape \(5,\)"),
        ({"targets": TARGETS.astype(str)}, r"^targets: got dtype"),
        ({"targets": TARGETS[None]}, r"^x: got shape \(6, 2\), expected \(1, 6, \.\.\.\)"),
        ({"x": X[:, 0]}, r"^x: got shape \(6,\)"),
        ({"x": np.where(X > 1, np.nan, X)}, r"^x: got nan"),
        ({"lengths": [3, 4]}, r"^x: got 6 frames, expected 7"),
        ({"lengths": [6, 0]}, r"^lengths: got \[6, 0\]"),
        ({"z": Z[:5]}, r"^z: got float64 of shape \(5, 2\)"),
        ({"z": Z, "variables": [1]}, r"^variables: got shape \(1,\)"),
        ({"z": Z, "variables": [1, 3]}, r"^variables: got 1 to 3"),
        ({"variables": [1, 2]}, r"^variables: got some without z"),
        ({"temporal_adjacency": np.eye(3)}, r"^temporal_adjacency: got shape \(3, 3\)"),
        ({"adjacency": [[0, 1], [1, 0]]}, r"^adjacency: got a graph with the cycle"),
        ({"adjacency": np.zeros((3, 3))}, r"^adjacency: got shape \(3, 3\)"),
    ],
)
def test_what_is_wrong_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        InterventionSequences(**{"x": X, "targets": TARGETS} | given)
