"""Pairs from tables: columns find their other side, and what is wrong is named by column and row."""

import numpy as np
import pandas as pd
import pytest

from pyro_lcm import InterventionPairs
from tables import each_row

rng = np.random.default_rng(0)
X, X_AFTER = rng.normal(size=(2, 30, 2))


def frame(**more):
    columns = {"id": range(30), "b_after": X_AFTER[:, 1], "a_before": X[:, 0], "b_before": X[:, 1]}
    return pd.DataFrame({**columns, "a_after": X_AFTER[:, 0], **more})


def test_columns_are_matched_by_the_name_of_the_feature():
    pairs = InterventionPairs.from_table(frame())
    np.testing.assert_array_equal(pairs.x, X)
    np.testing.assert_array_equal(pairs.x_after, X_AFTER)
    assert pairs.targets is None


@pytest.mark.parametrize(
    ("before", "after"),
    [("*_before", "*_after"), (["a_before", "b_before"], ["a_after", "b_after"]), ("*_before", ["a_after", "b_after"])],
)
def test_patterns_and_lists(before, after):
    pairs = InterventionPairs.from_table(frame(), before=before, after=after)
    np.testing.assert_array_equal(pairs.x_after, X_AFTER)


def test_other_patterns_and_the_target():
    table = frame(target=[0, 1, 2] * 10).rename(columns=lambda name: name.replace("a_", "t1 a ").replace("b_", "t1 b "))
    pairs = InterventionPairs.from_table(table, before="t1 * before", after="t1 * after")
    np.testing.assert_array_equal(pairs.x, X)
    assert pairs.targets.tolist() == [0, 1, 2] * 10


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_files(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
        frame().to_parquet(tmp_path / name)
    else:
        frame().to_csv(tmp_path / name, index=False)
    for pairs in (InterventionPairs.from_table(tmp_path / name), InterventionPairs.load(tmp_path / name)):
        np.testing.assert_allclose(pairs.x, X)
        np.testing.assert_allclose(pairs.x_after, X_AFTER)
    only = InterventionPairs.load(tmp_path / name, before=["a_before"], after=["a_after"])
    np.testing.assert_allclose(only.x, X[:, :1])


def test_parquet_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError("pyarrow is not there")

    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(ValueError, match="pip install pyarrow"):
        InterventionPairs.load(tmp_path / "t.parquet")


@each_row(
    ("table", "how", "message"),
    [
        (frame().drop(columns="b_after"), {}, "without their other side: b_before"),
        (frame(), {"before": "*_pre"}, r"^before: got no column like '\*_pre'"),
        (frame(), {"before": "a_before"}, r"^before: got 'a_before', expected one \*"),
        (frame(), {"before": ["q"]}, "^before: got 'q', expected columns of the table"),
        (frame(), {"before": ["a_before"], "after": ["a_after", "b_after"]}, "^after: got 2 columns, expected 1"),
        (frame(a_before=["high"] * 30), {}, "column a_before has 'high' in row 1, expected a finite number"),
        (frame(a_after=[1.0, None] * 15), {}, "column a_after has nan in row 2"),
        (frame(target=[0.5] * 30), {}, "column target has 0.5 in row 1, expected integers"),
    ],
)
def test_what_is_wrong_is_named(table, how, message):
    with pytest.raises(ValueError, match=message):
        InterventionPairs.from_table(table, **how)


def test_files_that_are_wrong_are_named(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "semicolons.csv").write_text("a_before;a_after\n1,5;2\n")
    np.savez(tmp_path / "x.npz", x=X, x_after=X_AFTER)
    with pytest.raises(ValueError, match=r"empty\.csv: not a readable table"):
        InterventionPairs.load(tmp_path / "empty.csv")
    with pytest.raises(ValueError, match=r"other\.csv: before: got no column like .*image files"):
        InterventionPairs.load(tmp_path / "other.csv")
    with pytest.raises(ValueError, match=r"semicolons\.csv: got one column 'a_before;a_after', expected .*commas"):
        InterventionPairs.load(tmp_path / "semicolons.csv")
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        InterventionPairs.load(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="expected them for a table"):
        InterventionPairs.load(tmp_path / "x.npz", before="*_before")


@each_row("wrong", [{"layout": "NHWC"}, {"size": 8}, {"mmap": True}])
def test_options_of_images_and_arrays_are_refused(tmp_path, wrong):
    frame().to_csv(tmp_path / "pairs.csv", index=False)
    with pytest.raises(ValueError, match=rf"pairs.csv: got {next(iter(wrong))}=.* for a table of numbers, expected"):
        InterventionPairs.load(tmp_path / "pairs.csv", **wrong)
