"""Jobs in worker processes: named errors, and no worker outlives the process that started it."""

import math
import os
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest

from pyro_lcm.process.jobs import run_jobs

PROGRAM = """
import signal
from pyro_lcm.process.jobs import run_jobs

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
job = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
run_jobs(exec, {"a": job, "b": job, "c": job}, processes=2)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_workers_end_with_their_parent(name):
    """Parent and workers share one standard output; it ends when the last of them is gone."""
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    assert parent.pid not in workers
    try:
        parent.send_signal(getattr(signal, name))
        out, err = parent.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        raise
    assert out == b""  # the third job was not begun
    assert parent.returncode == -getattr(signal, name)
    assert err.count(b"Traceback") == (name == "SIGINT")


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_keeps_its_type_and_names_its_job(processes):
    with pytest.raises(ValueError, match="math domain error") as caught:
        run_jobs(math.sqrt, {"good": 4.0, "bad": -1.0}, processes=processes)
    assert caught.value.__notes__ == ["in bad"]


def test_a_failure_ends_the_other_jobs_at_once():
    """Were the sleeping job waited for, the test would run into its time limit."""
    jobs = {"sleeping": "import time; time.sleep(1000)", "failing": "raise OSError('no space left')"}
    with pytest.raises(OSError, match="no space left"):
        run_jobs(exec, jobs, processes=2)


def test_a_killed_worker_is_told():
    with pytest.raises(BrokenProcessPool):
        run_jobs(os._exit, {"a": 1, "b": 1}, processes=2)


def test_workers_have_one_thread_and_all_jobs_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    line = "import os; open({!r}, 'w').write(os.environ['OMP_NUM_THREADS'])"
    finished = []
    run_jobs(exec, {name: line.format(str(tmp_path / name)) for name in "abc"}, processes=2, done=finished.append)
    assert sorted(finished) == ["a", "b", "c"]
    assert [(tmp_path / name).read_text() for name in "abc"] == ["1", "1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_no_process_is_an_error():
    with pytest.raises(ValueError, match="processes: got 0"):
        run_jobs(math.sqrt, {}, processes=0)
