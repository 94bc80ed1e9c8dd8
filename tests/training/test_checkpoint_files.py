import math
import random

import numpy as np
import pytest
import torch

from pyro_lcm.process import random_state
from pyro_lcm.storage import tensor_files, text_files
from pyro_lcm.training.checkpoint import CheckpointFolder, differences, read_tree, write_tree
from tables import each_row

CPU = torch.device("cpu")


def _same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(_same, one, other)) and len(one) == len(other)
    return type(one) is type(other) and one == other


def test_tree_round_trip_is_exact(tmp_path):
    shared, double = torch.randn(3, 2), torch.tensor(1.5, dtype=torch.float64)
    tree = {
        "tensors": {"a.b": shared, "same": shared, "view": shared.T, "scalar": double},
        "kinds": [torch.tensor([1, 2]), torch.tensor([True]), torch.empty(0), torch.tensor([7]).byte()],
        "numbers": {"float": 0.1, "tiny": 5e-324, "large": 1.8e308, "infinite": math.inf, "int": 2**70},
        "other": (None, True, "text / with dots.", [], {}, ()),
        "keys": {1: "integer", "1": "text"},
    }
    write_tree(tmp_path / "tree.safetensors", tree)
    assert _same(read_tree(tmp_path / "tree.safetensors"), tree)
    assert [file.name for file in tmp_path.iterdir()] == ["tree.safetensors"]


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(ValueError, match="/optimizer/1: a checkpoint cannot hold a set"):
        write_tree(tmp_path / "tree.safetensors", {"optimizer": [0, {1}]})
    assert not list(tmp_path.iterdir())


@each_row("content", [b"", b"not a checkpoint", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_unreadable_file_is_an_error_that_names_it(tmp_path, content):
    file = tmp_path / "step-000000000001.safetensors"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"step-000000000001\.safetensors: (not a readable|the key 'tree' is missing)"):
        read_tree(file)


def test_newest_checkpoints_stay(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoint", keep=2)
    assert folder.latest() is None
    paths = [folder.save(step, {"step": step}) for step in (0, 5, 20, 100)]
    assert sorted(folder.path.iterdir()) == paths[2:]
    assert folder.latest() == paths[3]
    assert read_tree(paths[3]) == {"step": 100}


@pytest.mark.parametrize("failing", ["save_file", "sync", "replace"])
def test_failed_write_leaves_what_was_there(tmp_path, monkeypatch, failing):
    folder = CheckpointFolder(tmp_path, keep=2)
    before = folder.save(1, {"step": 1, "tensor": torch.ones(3)})

    def fail(*args, **kwargs):
        (tmp_path / ".step-000000000002.1.partial.safetensors").write_bytes(b"half of a fi")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        place = {"save_file": tensor_files, "sync": text_files, "replace": text_files.os}[failing]
        patch.setattr(place, failing, fail)
        for step in (1, 2):  # over the old file, and beside it
            with pytest.raises(OSError, match="no space"):
                folder.save(step, {"step": 7})
            assert folder.latest() == before
            assert _same(read_tree(before), {"step": 1, "tensor": torch.ones(3)})
    folder.save(2, {"step": 2})
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "step-000000000001.safetensors",
        "step-000000000002.safetensors",
    ]


def test_differences_say_where():
    saved = {"seed": 0, "phases": [{"name": "a", "steps": 5}], "data": {"length": 3}, "validation": None}
    now = {"seed": 0, "phases": [{"name": "a", "steps": 6}], "data": {"length": 4}, "validation": None}
    assert differences(saved, saved) == []
    assert differences(saved, now) == [
        "phases[0].steps: 5 in the checkpoint, 6 now",
        "data.length: 3 in the checkpoint, 4 now",
    ]
    assert differences(saved, {**saved, "phases": []}) == ["phases: 1 of them in the checkpoint, 0 now"]
    assert differences(saved, {**saved, "validation": {"length": 3}})[0].startswith("validation: None in")


def test_random_state_round_trip(tmp_path):
    def draws():
        numbers = np.random.normal(size=3).tolist()  # noqa: NPY002 (the global generator is under test)
        return torch.randn(3).tolist(), numbers, random.random(), random.gauss(0, 1)

    random_state.seed_all(3)
    random.gauss(0, 1)  # leaves one number in store
    np.random.normal()  # noqa: NPY002
    write_tree(tmp_path / "state.safetensors", random_state.capture(CPU))
    expected = [draws(), draws()]
    random_state.seed_all(4)
    random_state.restore(read_tree(tmp_path / "state.safetensors"), CPU)
    assert [draws(), draws()] == expected
    with random_state.isolated(5, CPU):
        inside = draws()
    after = draws()
    random_state.restore(read_tree(tmp_path / "state.safetensors"), CPU)
    assert [draws(), draws(), draws()] == [*expected, after]
    assert inside != after
