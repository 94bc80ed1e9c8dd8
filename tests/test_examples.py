"""Every example runs as a script in its small setting, and ends with what it is there to show."""

import importlib.util
import runpy
import sys
from pathlib import Path

import matplotlib as mpl
import pyro
import pytest
import torch

from pyro_lcm.testing import PairProgramTests

FOLDER = Path(__file__).parent.parent / "examples"
SMALL = {
    "quickstart.py": (["--pairs", "4000", "--dim", "2", "--steps", "50"], "under do(z2 = 1)"),
    "own_data.py": (["--pairs", "3000", "--out", "pump.npz", "--steps", "50"], "had the first variable been 0"),
    "causalcircuit.py": (["--steps", "40"], "inferred targets"),
    "custom_model.py": (["--pairs", "1000", "--steps", "20"], "influences found"),
    "editing.py": (["--pairs", "3000", "--steps", "100", "--out", "edited.png"], "is the green lamp"),
    "planning.py": (
        ["--pairs", "3000", "--dim", "3", "--tasks", "5", "--steps", "100"],
        "the variable that made the goal was found",
    ),
    "robustness.py": (
        ["--pairs", "3000", "--dim", "3", "--repeats", "2", "--steps", "100"],
        "gap when the mechanism changed",
    ),
    "svi_script.py": (["--pairs", "2000", "--steps", "20"], "intervention_accuracy"),
    "transfer.py": (["--pairs", "3000", "--new", "80", "--steps", "50"], "read right again"),
}


def test_every_example_is_listed():
    assert sorted(SMALL) == sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", SMALL)
def test_example(name, tmp_path, monkeypatch, capsys):
    arguments, shown = SMALL[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    mpl.use("agg")
    with pyro.get_param_store().scope():  # a script may use Pyro's global store
        runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert shown in capsys.readouterr().out


class TestCustomModel(PairProgramTests):
    """What examples/custom_model.py says about itself."""

    def make(self):
        spec = importlib.util.spec_from_file_location("custom_model", FOLDER / "custom_model.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.make()

    def batch(self):
        generator = torch.Generator().manual_seed(0)
        return {key: torch.randn(4, 5, generator=generator) for key in ("x", "x_after")}
