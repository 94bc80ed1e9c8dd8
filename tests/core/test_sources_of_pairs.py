"""Standardised pairs as the driver reads them, in memory or from a memory map."""

import numpy as np
import pytest
import torch

from pyro_lcm.data import sources
from pyro_lcm.data.lazy import LazyRows
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import StandardizedPairs, fits_in_memory, sides, standardized_tensors
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.training.sources import DataSource, TensorSource


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)) * [1.0, 1e3, 1e-3] + [0.0, 1e6, 1.0]
    return InterventionPairs(x, x + rng.normal(size=(50, 3)) * [1.0, 1e3, 1e-3], targets=rng.integers(0, 4, 50))


@pytest.fixture
def standardizer(pairs):
    return Standardizer.fit(pairs, "whiten")


INDEX = torch.tensor([7, 0, 49, 7])


def test_batches_are_standardised_rows(pairs, standardizer):
    source = StandardizedPairs(pairs, standardizer)
    batch = source.batch(INDEX)
    assert isinstance(source, DataSource)
    assert len(source) == 50
    assert set(batch) == {"x", "x_after"}, "truth must not enter a batch"
    for name, side in (("x", pairs.x), ("x_after", pairs.x_after)):
        assert batch[name].dtype == torch.float32
        np.testing.assert_array_equal(batch[name].numpy(), standardizer.transform(side[INDEX.numpy()]))


def test_known_targets_are_in_the_batch(pairs, standardizer):
    mask = np.arange(50) % 7 == 0
    batch = StandardizedPairs(pairs.with_known_targets(mask), standardizer).batch(INDEX)
    assert batch["targets"].dtype == torch.int64
    assert batch["targets"].tolist() == [pairs.targets[7], pairs.targets[0], pairs.targets[49], pairs.targets[7]]
    batch = StandardizedPairs(pairs.with_known_targets(mask), standardizer).batch(torch.tensor([1, 2]))
    assert batch["targets"].tolist() == [-1, -1]


def test_in_memory_and_from_a_map_are_the_same(pairs, standardizer, tmp_path):
    pairs.save(tmp_path / "pairs.npz")
    mapped = StandardizedPairs(InterventionPairs.load(tmp_path / "pairs.npz", mmap=True), standardizer)
    kept = TensorSource(standardized_tensors(pairs, standardizer))
    for index in (INDEX, torch.arange(50), torch.tensor([3])):
        for name, tensor in kept.batch(index).items():
            assert torch.equal(tensor, mapped.batch(index)[name])


def test_batches_can_be_written_to(pairs, standardizer):
    batch = StandardizedPairs(pairs.with_known_targets(), standardizer).batch(INDEX)
    before = pairs.targets.copy()
    for tensor in batch.values():
        tensor.zero_()
    assert np.array_equal(pairs.targets, before)


def test_what_fits_in_memory_counts_both_sides_as_float32(pairs):
    size = 50 * 3 * 2 * 4
    assert fits_in_memory(pairs, size + 1)
    assert not fits_in_memory(pairs, size)
    assert fits_in_memory(pairs)


def test_sides_of_images_are_read_when_asked_for(pairs, tmp_path):
    assert sides(pairs)[1] is pairs.x_after
    seen = np.random.default_rng(0).integers(0, 256, size=(2, 9, 3, 8, 8)).astype(np.uint8)
    InterventionPairs(*seen).save(tmp_path / "pairs.npz")
    chosen = InterventionPairs.load(tmp_path / "pairs.npz", mmap=True)[[7, 2, 5]]
    before, after = sides(chosen)
    assert isinstance(before, LazyRows)
    assert (before.shape, before.dtype) == ((3, 3, 8, 8), np.uint8)
    np.testing.assert_array_equal(after[1:], seen[1, [2, 5]])


def test_tensors_are_made_in_pieces(pairs, standardizer, monkeypatch):
    whole = standardized_tensors(pairs.with_known_targets(), standardizer)
    monkeypatch.setattr(sources, "CHUNK_BYTES", 8 * 3 * 7)
    for name, tensor in standardized_tensors(pairs.with_known_targets(), standardizer).items():
        torch.testing.assert_close(tensor, whole[name])


def test_what_fits_is_told_by_what_is_kept(pairs):
    assert not fits_in_memory(pairs, 8 * 50 * 3)
    assert fits_in_memory(pairs, 8 * 50 * 3, shape=(2,))
