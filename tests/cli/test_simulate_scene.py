"""``pyro-lcm simulate shapes`` and ``objects3d``: folders that are read back, gone on with, not mixed."""

import numpy as np
import pytest

from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.causal_circuit.render import rendering_problem
from pyro_lcm.data.scenes import SceneSystem, find_scene, simulate_objects3d

SMALL = ["--n", "120", "--n-val", "0", "--n-test", "10", "--size", "16", "--processes", "1"]


def test_shapes_are_written_read_back_and_gone_on_with(cli, tmp_path):
    command = ["simulate", "shapes", "--scene", "plane", "--seed", "3", "--out", tmp_path / "set", *SMALL]
    code, out, _ = cli(*command)
    assert code == 0
    assert "round x, round y, arrow x, arrow y" in out
    system = SceneSystem(find_scene("plane"), seed=3, size=16)
    for name, seed, n in (("train", 0, 120), ("test", 2, 10)):
        pairs = InterventionPairs.load(tmp_path / "set" / name, mmap=True)
        np.testing.assert_array_equal(pairs.x_after, system.sample(n, seed).x_after)
    assert not (tmp_path / "set" / "val").exists()
    before = (tmp_path / "set" / "train" / "x.npy").stat().st_mtime_ns
    assert cli(*command)[0] == 0
    assert (tmp_path / "set" / "train" / "x.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", "4"], "another seed"),
        (["--scene", "discs"], "another scene"),
        (["--scene", "cats"], "scene: got 'cats', expected one of discs"),
        (["--size", "600"], "size: got 600"),
        (["--edge-probability", "0.1"], "another edge_probability"),
        (["--out", "a.npz"], "--out: got a.npz, expected a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_another_set_and_bad_options_are_refused_in_one_line(cli, tmp_path, change, message):
    command = ["simulate", "shapes", "--scene", "plane", "--seed", "3", "--out", tmp_path / "set", *SMALL]
    assert cli(*command, "--n", "5")[0] == 0
    code, _, err = cli(*command, "--n", "5", *change)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_objects3d_is_written_or_names_what_to_install(cli, tmp_path, monkeypatch):
    command = ["simulate", "objects3d", "--seed", "3", *SMALL, "--n", "4", "--n-test", "0"]
    if rendering_problem() is None:
        assert cli(*command, "--out", tmp_path / "set")[0] == 0
        pairs = InterventionPairs.load(tmp_path / "set" / "train", mmap=True)
        np.testing.assert_array_equal(pairs.x_after, simulate_objects3d(4, seed=3, size=16).x_after)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    code, _, err = cli(*command, "--out", tmp_path / "other")
    assert code == 1
    assert "apt install libosmesa6" in err
