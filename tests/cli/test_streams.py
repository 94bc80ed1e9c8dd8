"""What is said may have no reader: a pipe that is closed, a stream that is none, a locale that has no such sign."""

import os
import subprocess
import sys

import pytest

PROGRAM = f"{sys.executable} -c 'import sys; from pyro_lcm.cli import main; sys.exit(main())'"
CHECK = f"{PROGRAM} check run --data plain.npz --threads 1"


def shell(command, **environment):
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        env=plain | {"OMP_NUM_THREADS": "1"} | environment,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{CHECK} | true; exit ${{PIPESTATUS[0]}}", 0),
        pytest.param(f"{CHECK} >&-", 0, marks=pytest.mark.slow),
        (f"{CHECK} >&- 2>&-", 0),
    ],
)
def test_a_reader_that_has_gone_costs_nothing(work, command, code):
    done = shell(command)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert (work / "run" / "check.json").is_file()
    assert (work / "run" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_what_cannot_be_said_is_an_error_of_one_line(work):
    done = shell(f"{CHECK} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].endswith("[Errno 28] No space left on device: 'stdout'")
    assert b"Traceback" not in done.stderr
    assert (work / "run" / "check.json").is_file()


@pytest.mark.slow
def test_names_are_told_in_any_locale(work):
    assert shell(f"{PROGRAM} rename run --name z1=größe", LC_ALL="C.UTF-8").returncode == 0
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = shell(CHECK, **ascii_only)
    assert done.returncode == 0, done.stderr
    assert b"gr\\xf6\\xdfe" in done.stdout
    assert "größe" in (work / "run" / "check.json").read_text(encoding="utf-8") + (
        work / "run" / "config.yaml"
    ).read_text(encoding="utf-8").encode().decode("unicode_escape")
    done = shell(f"{PROGRAM} encode run --data größe.npz --out codes.npz", **ascii_only)
    assert done.returncode == 2
    assert b"no such file" in done.stderr
    assert b"Traceback" not in done.stderr
