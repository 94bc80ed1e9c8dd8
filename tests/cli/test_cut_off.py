"""Commands that are killed, or refused by the disk, before each thing that they do to a file: nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from campaigns.calls import CALLS

PROGRAM = Path(__file__).parents[1] / "campaigns" / "cut_off.py"
QUICK = ("simulate a file", "encode")
REST = tuple(name for name in CALLS if name not in (*QUICK, "completion", "graph here"))


def cut_off(made, place, how, names):
    """What was wrong with each call, and how many cuts there were."""
    command = [sys.executable, str(PROGRAM), str(made), str(place), how, *names]
    environment = os.environ | {"PYTHONPATH": str(PROGRAM.parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("how", ["kill", "full", "limit"])
def test_quick_commands(made, tmp_path, how):
    for name, (wrong, cuts) in cut_off(made, tmp_path, how, QUICK).items():
        assert not wrong, name
        assert cuts >= 2, name


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("how", ["kill", "full", "limit"])
@pytest.mark.parametrize("name", REST)
def test_every_command(made, tmp_path, how, name):
    for wrong, cuts in cut_off(made, tmp_path, how, [name]).values():
        assert not wrong
        assert cuts >= 2
