"""``pyro-lcm simulate causal_circuit``: a set that is read back, gone on with, and not mixed with another."""

import pytest

from pyro_lcm.cli import main
from pyro_lcm.data.causal_circuit import CausalCircuit, render

COMMAND = ["simulate", "causal_circuit", "--pairs", "3", "--n-val", "1", "--n-test", "1", "--processes", "1"]


def test_without_an_opengl_library_it_names_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    assert main([*COMMAND, "--out", str(tmp_path / "set"), "--seed", "0"]) == 1
    assert "apt install libosmesa6" in capsys.readouterr().err


def test_a_set_is_written_and_gone_on_with(tmp_path, capsys):
    if problem := render.rendering_problem():
        pytest.skip(problem)
    out = str(tmp_path / "set")
    assert main([*COMMAND, "--out", out, "--seed", "0"]) == 0
    assert [len(CausalCircuit(out, split)) for split in ("train", "val", "test")] == [3, 1, 1]
    capsys.readouterr()
    assert main([*COMMAND, "--out", out, "--seed", "0"]) == 0
    assert "3 of them rendered before" in capsys.readouterr().out
    assert main([*COMMAND, "--out", out, "--seed", "1"]) == 2
    assert "another seed" in capsys.readouterr().err
    assert main([*COMMAND, "--out", out, "--seed", "0", "--size", "100"]) == 2
    assert "size: got 100" in capsys.readouterr().err
