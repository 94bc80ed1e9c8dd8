"""The command as a process: how long its help takes, and a training run that is killed and goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "pyro", "sklearn", "matplotlib", "arviz", "scipy", "jsonargparse")


def start(arguments, folder):
    program = "import sys; from pyro_lcm.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_imports_nothing_heavy(tmp_path):
    program = (
        "import sys; from pyro_lcm.cli import main; main(['--help'])\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "usage: pyro-lcm" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_parameters(made, tmp_path):
    command = ["train", made / "train.npz", "--threads", "1", "--budget.batch-size", "64"]
    command += ["--budget.refine", "3000", "--budget.solutions", "20"]
    whole = start([*command, "--out", "whole"], tmp_path)
    killed = start([*command, "--out", "killed"], tmp_path)
    table, deadline = tmp_path / "killed" / "metrics.csv", time.monotonic() + 200
    while not (table.is_file() and ",refine," in table.read_text().replace("\n", ",") and _steps(table) >= 1200):
        assert time.monotonic() < deadline
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    again = start([*command, "--out", "killed", "--resume"], tmp_path)
    for process in (whole, again):
        _, err = process.communicate(timeout=280)
        assert process.returncode == 0, err
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "whole" / "metrics.csv").read_text() == (tmp_path / "killed" / "metrics.csv").read_text()


def _steps(table):
    last = table.read_text().splitlines()[-1].split(",")[0]
    return int(last) if last.isdecimal() else 0
