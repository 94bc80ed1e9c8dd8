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
    command += ["--budget.refine", "600", "--budget.solutions", "20"]
    table, deadline = tmp_path / "killed" / "metrics.csv", time.monotonic() + 250
    with start([*command, "--out", "killed"], tmp_path) as killed:
        try:
            while _steps(table) < 200:
                assert time.monotonic() < deadline
                assert killed.poll() is None, killed.communicate()
                time.sleep(0.02)
        finally:
            killed.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    for arguments in (["--out", "killed", "--resume"], ["--out", "whole"]):
        with start([*command, *arguments], tmp_path) as process:
            _, err = process.communicate()
        assert process.returncode == 0, err
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "whole" / "metrics.csv").read_text() == (tmp_path / "killed" / "metrics.csv").read_text()


def _steps(table):
    """The step of the last whole row of a table of metrics."""
    rows = table.read_text().splitlines()[1:-1] if table.is_file() else []
    return int(rows[-1].split(",")[0]) if rows else 0
