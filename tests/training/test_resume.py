"""A killed run that goes on ends bit for bit like one left alone; a wrong resume says what is wrong."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pyro_lcm.storage.folder_lock import FolderInUse, locked
from pyro_lcm.training import Phase, fit

PROGRAM = Path(__file__).with_name("killed_runs.py")
KILLED_BY_THEMSELVES = [
    "before_the_first_checkpoint",
    "while_the_first_is_written",
    "in_the_first_step",
    "in_a_step",
    "between_backward_and_checkpoint",
    "with_half_a_checkpoint_written",
    "before_the_rename",
    "after_the_rename",
    "before_a_hook",
    "at_the_end_of_a_hook",
    "after_the_hook_was_saved",
    "in_validation",
    "while_logging",
    "in_the_phase_that_keeps_the_best",
    "at_the_end_of_that_phase",
    "in_the_phase_that_keeps_the_moments",
    "at_the_last_checkpoint",
    "again_and_again",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs, and which starts of each were killed."""
    root = tmp_path_factory.mktemp("runs")
    program = subprocess.run(
        [sys.executable, str(PROGRAM), str(root)], capture_output=True, text=True, timeout=240, check=False
    )
    assert program.returncode == 0, program.stderr
    return root, json.loads(program.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [*KILLED_BY_THEMSELVES, "from_outside_2", "from_outside_9", "from_outside_15"])
def test_killed_run_ends_like_one_left_alone(runs, name):
    root, starts = runs
    assert starts[name] == [True] * (len(starts[name]) - 1) + [False]
    assert len(starts[name]) >= 2
    alone, resumed = load_file(root / "alone/final.safetensors"), load_file(root / name / "final.safetensors")
    assert alone.keys() == resumed.keys()
    assert all(torch.equal(alone[key], resumed[key]) for key in alone)
    assert (root / name / "metrics.csv").read_bytes() == (root / "alone/metrics.csv").read_bytes()
    kept = [sorted(file.name for file in (root / run / "checkpoint").iterdir()) for run in ("alone", name)]
    assert kept[0] == kept[1]


def test_the_best_came_before_a_checkpoint_and_a_kill(runs):
    assert 40 < load_file(runs[0] / "alone/final.safetensors")["best_step"].item() < 75


class Mean(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(width))

    def forward(self, tensors, *, size, index):
        return (tensors["x"] - self.mean).square().sum(-1).mean()


def _fit(out, *, objective=None, x=None, **options):
    options = {
        "phases": [Phase("a", 20, batch_size=4)],
        "seed": 0,
        "device": "cpu",
        "progress": False,
    } | options
    x = torch.arange(12.0).reshape(6, 2) if x is None else x
    return fit(objective or Mean(), {"x": x}, options.pop("phases"), out=out, checkpoint_every=7, **options)


def test_finished_run_is_left_as_it_is(tmp_path):
    first, objective = _fit(tmp_path), Mean()
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    again = _fit(tmp_path, objective=objective, resume=True)
    assert (first.resumed_at, again.resumed_at) == (None, 20)
    assert (again.history, again.phases, again.checkpoint) == (first.history, first.phases, first.checkpoint)
    assert objective.mean.abs().min() > 0
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == files


def test_resume_with_nothing_there_starts_from_scratch(tmp_path):
    assert _fit(tmp_path / "new", resume=True).resumed_at is None
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"metrics.csv", "checkpoint"}


def test_folder_with_a_checkpoint_is_not_written_over(tmp_path):
    _fit(tmp_path)
    before = (tmp_path / "metrics.csv").read_bytes()
    with pytest.raises(ValueError, match="holds a run; resume it, or give another folder"):
        _fit(tmp_path)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_folder_that_another_process_trains_into_is_left_alone(tmp_path):
    with locked(tmp_path / "new" / "checkpoint"), pytest.raises(FolderInUse, match="another process"):
        _fit(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert _fit(tmp_path / "new").steps == 20


def _changed():
    x = torch.arange(12.0).reshape(6, 2)
    x[3, 1] = 0.5
    return x


@dataclass(frozen=True)
class Shift:
    by: float

    def __call__(self, objective, source, seed):
        objective.mean.add_(self.by)


def test_options_of_a_hook_count(tmp_path):
    _fit(tmp_path, phases=[Phase("a", 5, start=Shift(1.0))])
    assert _fit(tmp_path, phases=[Phase("a", 5, start=Shift(1.0))], resume=True).resumed_at == 5
    with pytest.raises(ValueError, match=r"phases\[0\]\.start: '.*Shift\(by=1.0\)' in the .*Shift\(by=2.0\)' now"):
        _fit(tmp_path, phases=[Phase("a", 5, start=Shift(2.0))], resume=True)
    _fit(tmp_path / "partial", phases=[Phase("a", 5, start=partial(_shift, by=1.0))])
    with pytest.raises(ValueError, match=r"_shift\(by=1.0\)"):
        _fit(tmp_path / "partial", phases=[Phase("a", 5, start=partial(_shift, by=2.0))], resume=True)


def _shift(objective, source, seed, *, by):
    objective.mean.add_(by)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed: 0 in the checkpoint, 1 now"),
        ({"phases": [Phase("a", 30, batch_size=4)]}, r"phases\[0\].steps: 20 in the checkpoint, 30 now"),
        (
            {"phases": [Phase("a", 20, batch_size=4), Phase("b", 1)]},
            "phases: 1 of them in the checkpoint, 2 now",
        ),
        (
            {"phases": [Phase("a", 20, batch_size=4, start=lambda *_: None)]},
            r"phases\[0\].start: None in the",
        ),
        ({"x": torch.zeros(7, 2)}, "data.length: 6 in the checkpoint, 7 now"),
        ({"x": _changed()}, "data.sha256"),
        ({"validation": {"x": torch.zeros(7, 2)}}, "validation: None in the checkpoint"),
        ({"precision": "64-true"}, "precision: '32-true' in the checkpoint, '64-true' now"),
        (
            {"optimizer": lambda groups: torch.optim.SGD(groups)},
            "optimizer: 'by phase' in",
        ),
        (
            {"objective": Mean(3), "x": None},
            r"parameter or buffer 'mean' is \(2,\) in the checkpoint, \(3,\) now",
        ),
    ],
)
def test_resume_of_another_run_says_what_differs(tmp_path, changes, message):
    _fit(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=message):
        _fit(tmp_path, resume=True, **changes)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_other_log_and_checkpoint_cadence_may_go_on(tmp_path):
    _fit(tmp_path)
    assert _fit(tmp_path, resume=True, log_every=3).steps == 20
