"""Two processes on the CPU: the same as one, and resumable."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

PROGRAM = Path(__file__).with_name("two_processes.py")
OF_A_MODEL = Path(__file__).with_name("two_processes_of_a_model.py")


def _torchrun(folder, *, noise=0.0, kill_at=0, resume=0):
    return _started(PROGRAM, folder, noise, kill_at, resume)


def _started(program, *given):
    arguments = ["--standalone", "--nproc-per-node", "2", str(program), *map(str, given)]
    command = [sys.executable, "-m", "torch.distributed.run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def _finals(folder):
    return [load_file(folder / f"final-{rank}.safetensors") for rank in (0, 1)]


def _program(path=PROGRAM):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    run = _torchrun(tmp_path)
    assert run.returncode == 0, run.stderr
    objective, result = _program().train()
    losses = torch.tensor([row.get("loss", 0.0) for row in result.history])
    expected = {**dict(objective.named_parameters()), "losses": losses}
    for final in _finals(tmp_path):
        torch.testing.assert_close(final, {name: tensor.detach() for name, tensor in expected.items()})
        assert torch.equal(final["first.weight"], _finals(tmp_path)[0]["first.weight"])
    assert (tmp_path / "diverged-0").exists()
    assert (tmp_path / "diverged-1").exists()


@pytest.mark.slow
def test_killed_processes_end_like_those_left_alone(tmp_path):
    for name in ("alone", "killed"):
        (tmp_path / name).mkdir()
    assert _torchrun(tmp_path / "alone", noise=0.3).returncode == 0
    assert _torchrun(tmp_path / "killed", noise=0.3, kill_at=39).returncode != 0
    resumed = _torchrun(tmp_path / "killed", noise=0.3, resume=1)
    assert resumed.returncode == 0, resumed.stderr
    for alone, again in zip(_finals(tmp_path / "alone"), _finals(tmp_path / "killed"), strict=True):
        assert alone.keys() == again.keys()
        assert all(torch.equal(alone[name], again[name]) for name in alone)


@pytest.mark.slow
def test_two_processes_fit_a_model_as_one_does(tmp_path):
    run = _started(OF_A_MODEL, tmp_path)
    assert run.returncode == 0, run.stderr
    first, second = _finals(tmp_path)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (tmp_path / "run" / "model.safetensors").is_file()
    alone = _program(OF_A_MODEL).fitted()
    assert first["edges"] == alone["edges"]
    torch.testing.assert_close(first["noise"], alone["noise"], atol=0.05, rtol=0)
