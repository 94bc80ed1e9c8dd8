"""Small pairs files and one small run, made once; every test gets a folder of its own to run in."""

import shutil

import numpy as np
import pytest

from pyro_lcm import ScalingSystem
from pyro_lcm.cli import main

SMALL = ["--budget.refine", "40", "--budget.solutions", "20", "--budget.unmix", "20", "--budget.batch-size", "128"]


@pytest.fixture(scope="session")
def small():
    """Options that make a fit take a second or two."""
    return [*SMALL, "--threads", "1"]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with train.npz, test.npz, plain.npz (no truth) and the finished run ``run``."""
    folder = tmp_path_factory.mktemp("made")
    system = ScalingSystem(2, seed=3)
    system.sample(2000, seed=0).save(folder / "train.npz")
    test = system.sample(500, seed=1)
    test.save(folder / "test.npz")
    np.savez(folder / "plain.npz", x=test.x, x_after=test.x_after)
    code = main(["train", str(folder / "train.npz"), "--out", str(folder / "run"), *SMALL, "--threads", "1"])
    assert code == 0
    return folder


@pytest.fixture
def work(made, tmp_path, monkeypatch):
    """A fresh copy of that folder, as the working directory."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def cli(capsys):
    """Run a command; returns exit code, stdout and stderr."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call
