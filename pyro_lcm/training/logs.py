"""Logs of a run: the table of metrics as CSV, the progress bar, and other loggers.

The table depends on steps alone, never on the clock: a run that was killed and resumed leaves the same file
as one that was left alone.
"""

from __future__ import annotations

import csv
import importlib.util
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from pyro_lcm.storage.text_files import reading, replacing, sync, writing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FitResult", "MetricsTable", "PhaseResult", "ProgressBar", "Row", "history_frame", "make_loggers"]

logger = logging.getLogger(__name__)

Row = dict[str, float | int | str]
_TEXT = ("phase",)
_INTEGER = ("step",)


class MetricsTable:
    """Rows of metrics, kept in memory and, where there is a path, in a CSV file that grows row by row.

    A column appears when a row first has it; rows without it are empty there.

    Args:
        path: The file, or None.
        rows: How many rows of an existing file to keep; what comes after them is of steps that will be
            repeated.
        write: Whether this process writes the file, or only reads what it is to keep.

    Raises:
        ValueError: If the file has fewer rows than that.
    """

    def __init__(self, path: Path | None = None, rows: int = 0, *, write: bool = True) -> None:
        self.path = path if write else None
        self.rows: list[Row] = []
        self._columns: list[str] = ["step", "phase", "learning_rate", "loss"]
        if path is not None and rows:
            self.rows = _read(path)[:rows]
            if len(self.rows) < rows:
                raise ValueError(f"{path}: expected at least {rows} rows, got {len(self.rows)}")
        self._extend_columns(self.rows)
        self._rewrite()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def append(self, row: Row) -> None:
        """Add a row; the file has it when this returns."""
        self.rows.append(row)
        if self._extend_columns([row]):
            self._rewrite()
        elif self.path is not None:
            with writing(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
                self._writer(file).writerow(_to_text(row))

    def sync(self) -> None:
        """Flush the file to the disk."""
        if self.path is not None:
            sync(self.path)

    def _extend_columns(self, rows: Iterable[Row]) -> bool:
        before = len(self._columns)
        for row in rows:
            self._columns.extend(name for name in row if name not in self._columns)
        return len(self._columns) > before

    def _writer(self, file: TextIO) -> csv.DictWriter[str]:
        return csv.DictWriter(file, self._columns, restval="", lineterminator="\n")

    def _rewrite(self) -> None:
        """Write the whole table, atomically."""
        if self.path is None:
            return
        with replacing(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(_to_text(row) for row in self.rows)


class ProgressBar:
    """A bar over the steps of all phases: phase, loss, steps a second, time left; without a terminal, lines in the log.

    Args:
        total: Steps of the whole run.
        done: Steps done before.
        show: Whether to show the bar; None shows it where stderr is a terminal, and elsewhere logs a line now and then.
            False does neither.
        every: Seconds between two lines in the log, and before the first one.
    """

    def __init__(self, total: int, done: int, show: bool | None, *, every: float = 30.0) -> None:
        hidden = not (sys.stderr.isatty() if show is None else show)
        self._bar = tqdm(total=total, initial=done, disable=hidden, unit="step", dynamic_ncols=True, file=sys.stderr)
        self.step = self._bar.update
        self._logs = hidden and show is None
        self._every = every
        self._total, self._first = total, done
        self._phase = ""
        self._told = time.monotonic()
        # Where the time of a step is counted from: the first reading, as what comes before it is not of steps alone.
        self._read: tuple[float, int] | None = None

    def phase(self, name: str) -> None:
        """Show the name of the phase."""
        self._phase = name
        self._bar.set_description(name)

    def show(self, values: Mapping[str, float], step: int) -> None:
        """Show numbers after the bar, or log them if the last line was long ago.

        Args:
            values: Numbers by name.
            step: Steps of the whole run that are done.
        """
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
        now = time.monotonic()
        begun, first = self._read = self._read or (now, step)
        if not self._logs or now - self._told < self._every or not self._first < step < self._total:
            return
        self._told = now
        left = (now - begun) * (self._total - step) / max(1, step - first)
        logger.info(
            "%s: step %d of %d (%d %%), %s%s",
            self._phase,
            step,
            self._total,
            100 * step // max(1, self._total),
            ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items()),
            f", about {duration_text(left)} left" if step > first else "",
        )

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def duration_text(seconds: float) -> str:
    """A time in words.

    >>> duration_text(8), duration_text(200), duration_text(9000)
    ('8 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def make_loggers(loggers: Sequence[Any], out: Path | None, step: int) -> list[Any]:
    """Return Lightning Fabric loggers; ``"tensorboard"`` becomes one that writes to ``out/tensorboard``.

    Args:
        loggers: Loggers, or names of them.
        out: The run folder.
        step: The step a resumed run goes on at; TensorBoard forgets what came later.

    Raises:
        ValueError: If a name is unknown, its package is not installed, or there is no folder.
    """
    return [_make_logger(logger, out, step) if isinstance(logger, str) else logger for logger in loggers]


def _make_logger(name: str, out: Path | None, step: int) -> Any:
    if name != "tensorboard":
        raise ValueError(f"loggers: expected 'tensorboard' or a Lightning Fabric logger, got {name!r}")
    if out is None:
        raise ValueError("loggers: 'tensorboard' needs a folder; pass out")
    if not any(importlib.util.find_spec(package) for package in ("tensorboard", "tensorboardX")):
        raise ValueError("loggers: 'tensorboard' is not installed; pip install tensorboard")
    from lightning_fabric.loggers import TensorBoardLogger

    return TensorBoardLogger(root_dir=out, name="tensorboard", version="", purge_step=step + 1)


def _to_text(row: Row) -> dict[str, str]:
    return {name: repr(value) if isinstance(value, float) else str(value) for name, value in row.items()}


def _read(path: Path) -> list[Row]:
    """Read the complete lines of a table."""
    if not path.is_file():
        return []
    with reading(path, "a table of metrics"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        complete = [line for line in lines if line.endswith("\n")]
        return [{name: _parse(name, text) for name, text in row.items() if text} for row in csv.DictReader(complete)]


def _parse(name: str, text: str) -> float | int | str:
    if name in _TEXT:
        return text
    return int(text) if name in _INTEGER else float(text)


@dataclass(frozen=True)
class PhaseResult:
    """How one phase ended.

    Args:
        name: Its name.
        steps: Its number of steps.
        loss: Mean training loss of the last logged window, or None without steps.
        validation_loss: Validation loss of the parameters it ended with, or None without validation data.
        best_step: With ``keep="best"``, the step of the run whose parameters were kept, else None.
    """

    name: str
    steps: int
    loss: float | None
    validation_loss: float | None
    best_step: int | None


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    Args:
        steps: Optimizer steps of the whole run.
        phases: One result a phase.
        history: The rows of the metrics table: step, phase, learning_rate, loss, and the metrics of the
            objective.
        resumed_at: The step at which a resumed run went on, or None.
        checkpoint: Path of the last checkpoint, or None.
    """

    steps: int
    phases: tuple[PhaseResult, ...]
    history: tuple[Row, ...]
    resumed_at: int | None = None
    checkpoint: Path | None = None

    @property
    def loss(self) -> float | None:
        """Return the training loss at the end of the last phase that had steps."""
        return next((phase.loss for phase in reversed(self.phases) if phase.loss is not None), None)

    @property
    def validation_loss(self) -> float | None:
        """Return the validation loss of the parameters at the end."""
        return self.phases[-1].validation_loss if self.phases else None


def history_frame(result: FitResult | None, folder: Path | None) -> pd.DataFrame:
    """How a training went, as a table with a row for each reading.

    Args:
        result: What the training gave, or None.
        folder: Run folder whose ``metrics.csv`` is read if there is no result.

    Raises:
        RuntimeError: If there is neither.
    """
    import pandas as pd

    if result is not None:
        return pd.DataFrame(result.history)
    table = None if folder is None else folder / "metrics.csv"
    if table is None or not table.is_file():
        raise RuntimeError("no training to tell of: the model is not fitted, or its folder has no metrics.csv")
    return pd.read_csv(table)
