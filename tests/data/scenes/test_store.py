"""Samples on disk are those in memory, whatever was cut off before and however many processes render."""

import numpy as np
import pytest

from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.scenes import SceneSystem, find_scene, store
from pyro_lcm.data.scenes.store import plan_sample, write_samples
from tables import each_row

KEYS = ("x", "x_after", "targets", "z", "z_after", "noise", "noise_after", "adjacency")


@pytest.fixture(scope="module")
def system():
    return SceneSystem(find_scene("mixed-occluded"), seed=2, size=16)


def assert_same(folder, pairs):
    loaded = InterventionPairs.load(folder, mmap=True)
    for key in KEYS:
        np.testing.assert_array_equal(getattr(loaded, key), getattr(pairs, key))
    assert loaded.x.dtype == np.uint8
    assert sorted(path.stem for path in folder.iterdir()) == sorted(KEYS)


def test_a_written_sample_is_the_one_in_memory(system, tmp_path):
    counted = []
    samples = [plan_sample(system, tmp_path / "train", 250), plan_sample(system, tmp_path / "test", 30, seed=2)]
    assert write_samples(samples, progress=counted.append) == [tmp_path / "train", tmp_path / "test"]
    assert_same(tmp_path / "train", system.sample(250))
    assert_same(tmp_path / "test", system.sample(30, seed=2))
    assert sum(counted) == 280
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test", "train"]
    assert write_samples(samples, progress=counted.append) == []
    assert sum(counted) == 560


@pytest.mark.parametrize("rendered", [0, 2])
def test_a_sample_that_was_cut_off_is_gone_on_with(system, tmp_path, monkeypatch, rendered):
    sample, calls = plan_sample(system, tmp_path / "train", 250), []
    whole = store.render_chunk

    def breaks(chunk):
        if len(calls) == rendered:
            raise OSError("no space left")
        calls.append(chunk.number)
        whole(chunk)

    monkeypatch.setattr(store, "render_chunk", breaks)
    with pytest.raises(OSError, match="no space left"):
        write_samples([sample])
    assert not sample.done
    with pytest.raises(ValueError, match="missing"):
        InterventionPairs.load(tmp_path)
    again, counted = [], []
    monkeypatch.setattr(store, "render_chunk", lambda chunk: (again.append(chunk.number), whole(chunk)))
    write_samples([sample], progress=counted.append)
    assert calls + again == [0, 1, 2]
    assert sum(counted) == 250
    assert_same(tmp_path / "train", system.sample(250))


def test_a_folder_that_was_left_before_it_was_ready_is_made_anew(system, tmp_path):
    sample = plan_sample(system, tmp_path / "train", 20)
    sample.partial.mkdir(parents=True)
    np.save(sample.partial / "z.npy", np.zeros(3))
    write_samples([sample])
    assert_same(tmp_path / "train", system.sample(20))


def test_several_processes_write_the_same(system, tmp_path):
    write_samples([plan_sample(system, tmp_path / "train", 250)], processes=2)
    assert_same(tmp_path / "train", system.sample(250))


@each_row("call", [lambda s, p: plan_sample(s, p, 0), lambda s, p: plan_sample(s, p, 5, seed=-1)])
def test_arguments_out_of_range_are_refused(system, tmp_path, call):
    with pytest.raises(ValueError, match="got"):
        call(system, tmp_path)


def test_processes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="processes: got 0"):
        write_samples([], processes=0)
