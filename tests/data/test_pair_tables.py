"""Which files make a pair: tables, names, and messages that list what is left over."""

import logging

import numpy as np
import pytest

from pyro_lcm.data.pair_tables import find_pairs
from tables import each_row


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names(files):
    return [file.name for file in files]


def test_names_are_sorted_into_pairs(tmp_path):
    touch(tmp_path, "b_after.jpg", "b_before.PNG", "a_b_before.png", "a_b_after.png", "notes.txt", ".c_before.png")
    found = find_pairs(tmp_path)
    assert names(found.before) == ["a_b_before.png", "b_before.PNG"]
    assert names(found.after) == ["a_b_after.png", "b_after.jpg"]
    assert found.truth == {}


@pytest.mark.parametrize("place", ["pairs.csv", "other.csv"])
def test_a_table_says_the_pairs_their_order_and_the_truth(tmp_path, place, caplog):
    text = "\ufeffbefore, after ,target,z2,z1,z1_after,z2_after,noise1,day\n1.png,sub/2.png,2,0.5,-1,3,4,7,mon\n"
    (tmp_path / place).write_text(text + "sub/2.png,0.png,0,1e3,2,5,6,8,tue\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        found = find_pairs(tmp_path if place == "pairs.csv" else tmp_path / place)
    assert found.before == (tmp_path / "1.png", tmp_path / "sub" / "2.png")
    assert found.after == (tmp_path / "sub" / "2.png", tmp_path / "0.png")
    assert found.truth["targets"].tolist() == [2, 0]
    np.testing.assert_array_equal(found.truth["z"], [[-1, 0.5], [2, 1e3]])
    np.testing.assert_array_equal(found.truth["z_after"], [[3, 4], [5, 6]])
    np.testing.assert_array_equal(found.truth["noise"], [[7], [8]])
    assert sorted(found.truth) == ["noise", "targets", "z", "z_after"]
    assert "ignored the columns ['day']" in caplog.text


FOLDERS = {
    "nothing": ([], "got no image files"),
    "unpaired": (
        [*(f"{i}_before.png" for i in range(7)), "x_after.png"],
        "8 image files are without their other side: 0_before.png, .* and 3 more; expected NAME_before.png",
    ),
    "otherwise": (["a_before.png", "a_after.png", "b.png"], "1 image files are named otherwise: b.png"),
    "twice": (
        ["a_before.png", "a_before.jpg", "a_after.png"],
        "2 files stand for the same image: a_before.jpg, a_before.png",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_that_are_refused(tmp_path, kind):
    files, message = FOLDERS[kind]
    touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        find_pairs(tmp_path)


TABLES = {
    "": "got an empty file",
    "x,x_after\n": "column 'before' is missing; got x, x_after",
    "before,then\n": "column 'after' is missing",
    "before,after\n": "got no rows",
    "before,after,before\n": "expected each name once",
    "before,after\na.png\n": "row 1 has 1 cells, expected 2",
    "before,after\na.png,b.png\na.png,\n": "column after: got '' in row 2, expected files .png",
    "before,after\n1.5,2\n": "column before: got '1.5' in row 1",
    "before,after,target\na.png,b.png,1.5\n": "column target: got '1.5' in row 1, expected an integer",
    "before,after,z1\na.png,b.png,?\n": "column z1: got '\\?' in row 1, expected a number",
    "before,after,z1,z3\na.png,b.png,1,2\n": "got the columns z1, z3, expected all numbers from 1 on",
}


@each_row("text", TABLES)
def test_tables_that_are_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"t\.csv: .*{TABLES[text]}"):
        find_pairs(tmp_path / "t.csv")


def test_other_paths_are_refused(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "latin.csv").write_bytes(b"before,after\n\xe4.png,b.png\n")
    for name, message in (("a.png", "got a single file"), ("latin.csv", "not a CSV file")):
        with pytest.raises(ValueError, match=message):
            find_pairs(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_pairs(tmp_path / "none.csv")
