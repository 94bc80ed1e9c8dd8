import importlib.util
import io
import logging
import sys

import pytest

from pyro_lcm.training.logs import MetricsTable, ProgressBar, make_loggers

ROWS = [
    {"step": 10, "phase": "a, b", "learning_rate": 0.1, "loss": 1 / 3},
    {"step": 20, "phase": 'c "d"', "learning_rate": 1e-9, "loss": float("inf"), "elbo": -2.0},
    {"step": 30, "phase": "e", "learning_rate": 0.1, "loss": 0.25},
]


def _write(path, rows):
    table = MetricsTable(path)
    for row in rows:
        table.append(row)


def test_rows_come_back_exactly(tmp_path):
    path = tmp_path / "metrics.csv"
    _write(path, ROWS)
    assert MetricsTable(path, rows=3).rows == ROWS
    assert path.read_text().splitlines()[0] == "step,phase,learning_rate,loss,elbo"


def test_each_row_is_in_the_file_at_once(tmp_path):
    path = tmp_path / "metrics.csv"
    table = MetricsTable(path)
    for number, row in enumerate(ROWS, start=1):
        table.append(row)
        assert len(path.read_text().splitlines()) == number + 1


def test_resumed_table_goes_on_after_the_rows_that_count(tmp_path):
    alone, resumed = tmp_path / "alone.csv", tmp_path / "resumed.csv"
    _write(alone, ROWS)
    _write(resumed, [ROWS[0], {**ROWS[1], "loss": -1.0}])
    with resumed.open("a") as file:
        file.write("30,e,0.")  # killed while it was writing
    table = MetricsTable(resumed, rows=1)
    for row in ROWS[1:]:
        table.append(row)
    assert resumed.read_bytes() == alone.read_bytes()


def test_missing_rows_are_an_error(tmp_path):
    path = tmp_path / "metrics.csv"
    _write(path, ROWS[:1])
    with pytest.raises(ValueError, match=r"metrics\.csv: expected at least 2 rows, got 1"):
        MetricsTable(path, rows=2)


def test_other_processes_write_nothing(tmp_path):
    table = MetricsTable(tmp_path / "metrics.csv", write=False)
    table.append(ROWS[0])
    assert table.rows == ROWS[:1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("show", "terminal", "shown"), [(None, False, False), (None, True, True), (True, False, True)])
def test_progress_bar_is_for_terminals(monkeypatch, show, terminal, shown):
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    bar = ProgressBar(total=4, done=1, show=show)
    bar.phase("pretraining")
    bar.step()
    bar.show({"loss": 0.5}, 2)
    bar.close()
    assert ("pretraining" in stderr.getvalue()) == shown
    assert ("2/4" in stderr.getvalue()) == shown
    assert ("loss=0.5" in stderr.getvalue()) == shown


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = iter([0.0, 10.0, 40.0, 60.0, 80.0])
    monkeypatch.setattr("pyro_lcm.training.logs.time.monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "pyro_lcm"):
        bar = ProgressBar(total=1100, done=100, show=None)
        bar.phase("refine")
        for step in (200, 500, 600, 800):
            bar.show({"loss": 1.25, "validation_loss": 1.5}, step)
        bar.close()
    assert caplog.messages == [
        "refine: step 500 of 1100 (45 %), loss 1.25, validation loss 1.5, about 60 s left",
        "refine: step 800 of 1100 (72 %), loss 1.25, validation loss 1.5, about 35 s left",
    ]
    assert sys.stderr.getvalue() == ""


def test_time_left_is_that_of_steps(monkeypatch, caplog):
    """What goes before the first step, minutes in which targets of images are found, is not counted with each step."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = iter([0.0, 200.0, 240.0])
    monkeypatch.setattr("pyro_lcm.training.logs.time.monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "pyro_lcm"):
        bar = ProgressBar(total=1000, done=0, show=None)
        bar.phase("code 1")
        for step in (100, 500):
            bar.show({"loss": 0.5}, step)
        bar.close()
    assert caplog.messages == [
        "code 1: step 100 of 1000 (10 %), loss 0.5",
        "code 1: step 500 of 1000 (50 %), loss 0.5, about 50 s left",
    ]


def test_no_progress_is_no_line_either(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "pyro_lcm"):
        bar = ProgressBar(total=10, done=0, show=False, every=0.0)
        bar.show({"loss": 1.0}, 5)
        bar.close()
    assert not caplog.messages


def test_loggers_are_checked(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="loggers: expected 'tensorboard'"):
        make_loggers(["wandb"], tmp_path, 0)
    with pytest.raises(ValueError, match="pass out"):
        make_loggers(["tensorboard"], None, 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        make_loggers(["tensorboard"], tmp_path, 0)
    own = object()
    assert make_loggers([own], None, 0) == [own]
