"""Rows of observed variables, and which variable was intervened upon in which row: what graphs are scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.limits import LARGEST
from pyro_lcm.discovery.tables import UNKNOWN, read_variables

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Interventions = Literal["perfect", "soft", "unknown"]


@dataclass(frozen=True, eq=False, repr=False)
class GraphData:
    """Rows of observed variables, and which variable was intervened upon in which row.

    Attributes:
        values: (N, d) floats, finite; of a pandas DataFrame the columns are the names.
        targets: (N, d) booleans, true where the variable was the target of an intervention in that row;
            or (N,) integers with 0 = none and i = variable i (1-based), or (N,) names, empty for none and several with
            ; between, which are converted; or None.
        names: The d names; when empty those of the columns, or x1 ... xd.
        weights: None, or (N,) or (N, d) weights >= 0. Row n counts ``weights[n, j]`` times in the score of
            variable j, so that 1 - q(I = j) masks an uncertain target softly.
        imperfect: Where a target was hit imperfectly: a boolean that broadcasts to (N, d), for instance
            (N, 1) for whole rows. Such rows do not drop out of the target's score: they are scored by a
            mechanism of their own (same parents, separate parameters), one for each regime.
        regimes: (N,) integers, or names, that label the intervention of each row; imperfect rows of one variable share
            parameters within a regime, and what was changed in unknown rows is the same within one. One regime when
            None.
        unknown: None, or (N,) booleans: rows under an intervention of which it is unknown, or not all known, what it
            acted on. Scores by name then find out (:mod:`pyro_lcm.discovery.scores.unknown_targets`). Of names of
            targets, ``?`` says so.
        conditions: Names of regimes 0, 1, ...; filled in where regimes are given as names.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, or a weight is negative.

    Example:
        >>> data = GraphData(np.array([[0.0, 1.0], [2.0, 3.0]]), targets=np.array([0, 2]))
        >>> data.targets.tolist(), data.names
        ([[False, False], [False, True]], ('x1', 'x2'))
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"rain": [0.1, 0.2], "river": [1.0, 1.5], "dammed": ["", "river"]})
        >>> data = GraphData(frame[["rain", "river"]], targets=frame["dammed"])
        >>> data.targets.tolist(), data.names
        ([[False, False], [False, True]], ('rain', 'river'))
    """

    values: Any
    targets: NDArray[Any] | None = None
    names: tuple[str, ...] = ()
    weights: FloatArray | None = None
    imperfect: BoolArray | bool = False
    regimes: IntArray | None = None
    unknown: BoolArray | None = None
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns = tuple(str(name) for name in getattr(self.values, "columns", ()))
        values = np.array(self.values, dtype=np.float64)
        if values.ndim != 2 or not values.shape[1]:
            raise ValueError(f"values: got shape {values.shape}, expected (N, d) with d >= 1")
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(f"values: row {row}, column {column} is {values[row, column]}, expected finite numbers")
        if np.abs(values).max(initial=0) > LARGEST:
            row, column = np.argwhere(np.abs(values) > LARGEST)[0]
            raise ValueError(
                f"values: row {row}, column {column} is {values[row, column]:g}, expected at most {LARGEST:g} in size"
            )
        rows, width = values.shape
        names = tuple(self.names) or columns or tuple(f"x{j + 1}" for j in range(width))
        if len(names) != width or len(set(names)) != width:
            raise ValueError(f"names: got {names}, expected {width} different names, one a column of values")
        labels, conditions = _as_regimes(self.regimes, rows)
        settings = {
            "values": values,
            "names": names,
            "targets": _as_targets(self.targets, rows, names),
            "unknown": _as_unknown(self.unknown, self.targets, rows),
            "weights": _as_weights(self.weights, rows, width),
            "imperfect": _broadcast("imperfect", self.imperfect, rows, width),
            "regimes": labels,
            "conditions": conditions or tuple(self.conditions),
        }
        for name, value in settings.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        *,
        targets: str | None = None,
        drop: Sequence[str] = (),
        only: str | None = None,
        log: bool = False,
        standardize: bool = False,
        regimes: str | None = None,
        interventions: Interventions = "perfect",
    ) -> GraphData:
        """Read a table as ``pyro-lcm graph --data`` does.

        Args:
            path: CSV file with a header, or a Parquet file; a column for each variable.
            targets: Column that names the variable that was the target in each row, several with ; between, empty
                for none, ? for one that is not known.
            drop: Columns to leave out.
            only: Which rows to take, as ``"column=value"``.
            log: Whether to take logarithms.
            standardize: Whether to give each variable mean 0 and standard deviation 1, over the rows without an
                intervention if there are at least two.
            regimes: Column with the condition of each row, such as the name of an experiment; without one each set of
                targets is one.
            interventions: "perfect", targets do not depend on their causes; "soft", they have a mechanism of their own
                in each condition, with the same causes; "unknown", each condition but the first row's without a target
                may have changed any mechanism, that of declared targets for sure, and the rows say which.

        Raises:
            ValueError: If the file is not such a table, or a column that is left is not numeric.
        """
        if interventions not in ("perfect", "soft", "unknown"):
            raise ValueError(f"interventions: got {interventions!r}, expected perfect, soft or unknown")
        table = read_variables(path, targets=targets, drop=drop, only=only, log=log, regimes=regimes)
        labels, unknown = table.regimes, table.unknown
        if interventions != "perfect":
            if table.targets is None and labels is None:
                raise ValueError(f"interventions: got {interventions}, expected targets or regimes along with it")
            if labels is None:
                sets = np.asarray(table.targets)
                if unknown is not None:  # a row of an unknown target is not one without
                    sets = np.column_stack([sets, unknown])
                labels = np.unique(sets, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
            if interventions == "unknown":
                untouched = np.ones(len(labels), bool) if table.targets is None else ~table.targets.any(axis=1)
                if unknown is not None:
                    untouched &= ~unknown
                if not untouched.any():
                    raise ValueError("interventions: got no row without a target, expected some to compare with")
                changed = labels != labels[int(untouched.argmax())]
                unknown = changed if unknown is None else changed | unknown
        data = cls(
            table.values,
            targets=table.targets,
            names=table.names,
            imperfect=interventions != "perfect",
            regimes=labels,
            unknown=unknown,
            conditions=table.conditions,
        )
        if not standardize:
            return data
        untouched = data.without_intervention
        return data.standardized(untouched if untouched.sum() >= 2 else None)

    @property
    def num_variables(self) -> int:
        """Number of variables d."""
        return int(self.values.shape[1])

    @property
    def without_intervention(self) -> BoolArray:
        """(N,) booleans: rows in which nothing was a target, known or unknown."""
        untouched = np.ones(len(self.values), bool) if self.targets is None else ~self.targets.any(axis=1)
        return np.asarray(untouched if self.unknown is None else untouched & ~self.unknown, dtype=bool)

    def rows_where(self, rows: ArrayLike) -> GraphData:
        """Some of the rows, (N,) booleans."""
        chosen = np.asarray(rows, dtype=bool)
        parts: dict[str, Any] = {
            name: None if (value := getattr(self, name)) is None else np.asarray(value)[chosen]
            for name in ("values", "targets", "weights", "imperfect", "regimes", "unknown")
        }
        return replace(self, **parts)

    def __repr__(self) -> str:
        hit = 0 if self.targets is None else int(self.targets.any(axis=1).sum())
        return f"GraphData(rows={len(self.values)}, variables={list(self.names)}, rows_with_target={hit})"

    def to_dataframe(self) -> pd.DataFrame:
        """The values as a pandas DataFrame, and where there are targets a column ``target`` of their names."""
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.names))
        if self.targets is not None:
            frame["target"] = [";".join(n for n, t in zip(self.names, row, strict=True) if t) for row in self.targets]
        return frame

    def standardized(self, rows: ArrayLike | None = None) -> GraphData:
        """Give every variable mean 0 and standard deviation 1.

        Args:
            rows: (N,) booleans, the rows whose mean and standard deviation are taken; all when None. Taking
                the observational rows keeps the size of an intervention visible.

        Returns:
            New data; the rest is unchanged.

        Raises:
            ValueError: If a variable is constant over those rows.
        """
        kept = self.values if rows is None else self.values[np.asarray(rows, dtype=bool)]
        scale = kept.std(axis=0)
        if not len(kept) or (scale == 0).any():
            constant = [self.names[j] for j in np.flatnonzero(scale == 0)]
            raise ValueError(f"values: {constant} constant over {len(kept)} rows, expected some variation")
        return replace(self, values=(self.values - kept.mean(axis=0)) / scale)

    def in_own_units(self) -> tuple[GraphData, FloatArray]:
        """Give every variable the mean 0 and the standard deviation 1, so that units do not matter.

        They are taken over the rows without an intervention, where there are two at least, so that the size of an
        intervention stays visible; over all rows of a variable that is constant in these; and a variable that is
        constant in all keeps its unit.

        Returns:
            New data, and (d,) the standard deviations that one of its units is.

        Example:
            >>> data, scale = GraphData(np.array([[0.0, 1000.0], [2.0, 3000.0]])).in_own_units()
            >>> data.values.tolist(), scale.tolist()
            ([[-1.0, -1.0], [1.0, 1.0]], [1.0, 1000.0])
        """
        untouched = self.without_intervention
        rows = self.values[untouched] if untouched.sum() >= 2 else self.values
        if not len(rows):
            return self, np.ones(self.num_variables)
        mean, scale = _mean_and_scale(rows)
        overall = _mean_and_scale(self.values)
        mean, scale = (np.where(scale > 0, own, of_all) for own, of_all in zip((mean, scale), overall, strict=True))
        scale = np.where(scale > 0, scale, 1.0)
        return replace(self, values=(self.values - mean) / scale), scale

    def row_groups(self, child: int) -> list[tuple[IntArray, FloatArray]]:
        """Rows that share the parameters of one mechanism of a variable.

        Args:
            child: The variable, 0-based.

        Returns:
            Pairs of row indices and their weights, all > 0. First the rows in which the variable was left
            alone (possibly none), then one pair for each regime of imperfect interventions on it.
        """
        rows = len(self.values)
        weight = np.ones(rows) if self.weights is None else self.weights[:, child]
        hit = np.zeros(rows, dtype=bool) if self.targets is None else self.targets[:, child]
        groups = [~hit]
        known = hit & np.asarray(self.imperfect)[:, child]
        regimes = np.zeros(rows, dtype=np.int64) if self.regimes is None else self.regimes
        groups += [known & (regimes == label) for label in np.unique(regimes[known])]
        kept = [np.flatnonzero(group & (weight > 0)) for group in groups]
        return [(index, weight[index]) for index in kept]


def _mean_and_scale(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations (d,), these 0 of what is constant to rounding."""
    mean = rows.mean(axis=0)
    scale = (rows - mean).std(axis=0)
    return mean, np.where(scale > 1e-12 * np.abs(rows).max(axis=0), scale, 0.0)


def _as_targets(targets: ArrayLike | None, rows: int, names: tuple[str, ...]) -> BoolArray | None:
    if targets is None:
        return None
    array, width = np.asarray(targets), len(names)
    if array.ndim == 1 and array.dtype.kind in "OUST":
        array = _named_targets(array, names)
    if array.ndim == 1 and np.issubdtype(array.dtype, np.integer):
        if len(array) and not (array.min() >= 0 and array.max() <= width):
            raise ValueError(f"targets: got {array.min()} ... {array.max()}, expected 0 (none) or 1 ... {width}")
        array = array[:, None] == np.arange(1, width + 1)
    if array.shape != (rows, width):
        raise ValueError(f"targets: got shape {array.shape}, expected ({rows}, {width}) or ({rows},) integers or names")
    return np.array(array, dtype=bool)


def _named_targets(texts: NDArray[Any], names: tuple[str, ...]) -> BoolArray:
    """(N, d) targets of (N,) names, several with ; between, empty or missing (None, nan) for none."""
    hit = np.zeros((len(texts), len(names)), dtype=bool)
    for row, text in enumerate(texts.tolist()):
        for name in filter(None, (part.strip() for part in text.split(";"))) if isinstance(text, str) else ():
            if name == UNKNOWN:
                continue
            if name not in names:
                raise ValueError(f"targets: got {name!r} in row {row + 1}, expected empty or one of {', '.join(names)}")
            hit[row, names.index(name)] = True
    return hit


def _as_unknown(unknown: ArrayLike | None, targets: ArrayLike | None, rows: int) -> BoolArray | None:
    if unknown is not None:
        array = np.asarray(unknown)
        if array.shape != (rows,) or array.dtype != bool:
            raise ValueError(f"unknown: got {array.dtype} of shape {array.shape}, expected ({rows},) booleans")
        return array.copy() if array.any() else None
    names = np.asarray(targets) if targets is not None else np.zeros(0)
    if names.ndim != 1 or names.dtype.kind not in "OUST":
        return None
    marked = np.array(
        [isinstance(t, str) and UNKNOWN in (p.strip() for p in t.split(";")) for t in names.tolist()], bool
    )
    return marked if marked.any() else None


def _as_weights(weights: ArrayLike | None, rows: int, width: int) -> FloatArray | None:
    if weights is None:
        return None
    array = np.asarray(weights, dtype=np.float64)
    if array.shape not in ((rows,), (rows, width)):
        raise ValueError(f"weights: got shape {array.shape}, expected ({rows},) or ({rows}, {width})")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"weights: smallest {array.min()}, largest {array.max()}, expected finite and >= 0")
    return np.broadcast_to(array[:, None] if array.ndim == 1 else array, (rows, width)).copy()


def _as_regimes(regimes: ArrayLike | None, rows: int) -> tuple[IntArray | None, tuple[str, ...]]:
    """Labels, and what they are called where they were given as names."""
    if regimes is None:
        return None, ()
    array = np.asarray(regimes)
    if array.shape == (rows,) and array.dtype.kind in "OUST":
        names = [str(label) for label in array.tolist()]
        conditions = tuple(dict.fromkeys(names))
        number = {name: k for k, name in enumerate(conditions)}
        return np.array([number[name] for name in names], dtype=np.int64), conditions
    if array.shape != (rows,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"regimes: got {array.dtype} of shape {array.shape}, expected ({rows},) integers or names")
    return array.astype(np.int64), ()


def _broadcast(name: str, value: ArrayLike | bool, rows: int, width: int) -> BoolArray:
    array = np.asarray(value, dtype=bool)
    try:
        return np.broadcast_to(array, (rows, width)).copy()
    except ValueError:
        raise ValueError(f"{name}: got shape {array.shape}, expected ({rows}, {width}) or (N, 1)") from None
