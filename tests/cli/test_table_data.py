"""Tables of pairs go through the commands, and their names come out again."""

import numpy as np
import pandas as pd
import pytest

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel
from tables import each_row

SIDES = ["--before", "*_t0", "--after", "*_t1"]
NAMES = ("flow $x_{$", "heat")


@pytest.fixture
def table(work):
    """A table of the pairs, with a column that is no feature; written to table.csv."""
    pairs = InterventionPairs.load("train.npz")
    sides = (("t0", pairs.x), ("t1", pairs.x_after))
    frame = pd.DataFrame({f"{name}_{side}": x[:, i] for side, x in sides for i, name in enumerate(NAMES)})
    frame.insert(0, "day", np.arange(len(frame)))
    frame.to_csv("table.csv", index=False)
    return frame


@pytest.fixture
def of_table(cli, table, small):
    assert cli("train", "table.csv", *SIDES, "--out", "of_table", *small)[0] == 0
    return LatentCausalModel.load("of_table")


def test_a_table_is_trained_on_and_encoded(cli, table, of_table, small):
    assert of_table.features == NAMES
    assert cli("check", "of_table", "--data", "table.csv", *SIDES)[0] == 0
    assert cli("encode", "of_table", "--data", "table.csv", *SIDES, "--out", "codes.npz")[0] == 0
    assert cli("encode", "of_table", "--data", "table.csv", *SIDES, "--out", "codes.csv")[0] == 0
    assert cli("encode", "of_table", "--data", "table.csv", *SIDES, "--out", "codes.parquet")[0] == 0
    found = pd.read_csv("codes.csv", keep_default_na=False)
    assert found.columns[: len(table.columns)].tolist() == table.columns.tolist()
    assert found["day"].tolist() == table["day"].tolist()
    with np.load("codes.npz") as codes:
        for name, ends in (("causal", ""), ("causal_sd", "_sd"), ("noise", "_noise"), ("noise_sd", "_noise_sd")):
            for side, end in (("", "_before"), ("_after", "_after")):
                columns = found[[f"z1{ends}{end}", f"z2{ends}{end}"]]
                np.testing.assert_allclose(columns, codes[name + side], rtol=1e-6)
        probabilities = found[["probability_none", "probability_z1", "probability_z2"]]
        np.testing.assert_allclose(probabilities, codes["target_probabilities"], rtol=1e-6)
        assert found["inferred_target"].tolist() == [("", "z1", "z2")[i] for i in codes["targets"]]
    pd.testing.assert_frame_equal(pd.read_parquet("codes.parquet"), found, check_dtype=False)
    code, _, err = cli("train", "table.csv", "--out", "none", *small)
    assert code == 2
    assert "before: got no column like '*_before'" in err


def test_columns_can_be_named_one_by_one(cli, table, small):
    """A pattern takes all that it matches, texts too; a list takes what it names."""
    table.assign(state_t0="ok", state_t1="ok").to_csv("texts.csv", index=False)
    code, _, err = cli("train", "texts.csv", *SIDES, "--out", "none", *small)
    assert code == 2
    assert "column state_t0 has 'ok' in row 1, expected a finite number; before and after (--before" in err
    sides = [[f"{name}_{side}" for name in NAMES] for side in ("t0", "t1")]
    assert cli("train", "texts.csv", "--before", *sides[0], "--after", *sides[1], "--out", "listed", *small)[0] == 0
    assert LatentCausalModel.load("listed").features == tuple(sides[0])


def test_columns_in_another_order_are_found_by_their_names(cli, table, of_table):
    table[table.columns[::-1]].to_csv("turned.csv", index=False)
    for data, out in (("table.csv", "one.npz"), ("turned.csv", "other.npz")):
        assert cli("encode", "of_table", "--data", data, *SIDES, "--out", out)[0] == 0
    with np.load("one.npz") as one, np.load("other.npz") as other:
        for key in one.files:
            np.testing.assert_array_equal(one[key], other[key])
    turned = InterventionPairs.load("turned.csv", before=SIDES[1], after=SIDES[3])
    straight = InterventionPairs.load("table.csv", before=SIDES[1], after=SIDES[3])
    assert turned.features == NAMES[::-1]
    assert of_table.elbo(turned) == of_table.elbo(straight)
    tuned = of_table.fine_tune(turned, validation=straight, budget=Budget(refine=1))
    assert tuned.features == NAMES


@each_row("command", [["check"], ["evaluate"], ["encode", "--out", "a.npz"], ["graph"]])
def test_a_feature_that_is_missing_is_named(cli, table, of_table, command):
    table.rename(columns=lambda name: name.replace("heat", "cold")).to_csv("cold.csv", index=False)
    code, _, err = cli(command[0], "of_table", "--data", "cold.csv", *SIDES, *command[1:])
    assert code == 2
    assert "cold.csv: x: got the features flow $x_{$, cold, expected 'heat' among them" in err


def test_what_becomes_of_features_has_their_names(cli, work, table, of_table):
    call = ["do", "of_table", "--set", "z1=1", "--draws", "2"]
    assert cli(*call, "--data", "table.csv", *SIDES, "--out", "do.csv")[0] == 0
    assert cli(*call, "--data", "table.csv", *SIDES, "--out", "arrays.npz")[0] == 0
    found = pd.read_csv("do.csv")
    ends = ("before", "after")
    assert found.columns.tolist() == [f"{name}_{end}" for name in (*NAMES, "z1", "z2") for end in ends]
    assert (found["z1_after"] == 1).all()
    with np.load("arrays.npz") as arrays:
        np.testing.assert_allclose(found[[f"{name}_after" for name in NAMES]], arrays["x"], rtol=1e-6)
        np.testing.assert_allclose(found[["z1_before", "z2_before"]], arrays["causal_before"], rtol=1e-6)
    assert pd.read_csv("do_effects.csv")["quantity"].tolist() == ["z1", "z2", *NAMES]
    assert (work / "do_observations.png").is_file()


def test_of_arrays_features_are_numbered(cli, work):
    assert cli("do", "run", "--data", "plain.npz", "--set", "z1=1", "--draws", "2", "--out", "do.parquet")[0] == 0
    assert pd.read_parquet("do.parquet").columns.tolist()[:4] == ["x1_before", "x1_after", "x2_before", "x2_after"]
    np.save("seen.npy", InterventionPairs.load("plain.npz").x[:5])
    assert cli("encode", "run", "--data", "seen.npy", "--out", "seen.csv")[0] == 0
    assert pd.read_csv("seen.csv").columns.tolist()[:4] == ["z1", "z2", "z1_sd", "z2_sd"]


def test_what_cannot_be_written_is_refused_first(cli, work, table, of_table, monkeypatch):
    frame = table.rename(columns={"day": "z1_before"})
    frame.to_csv("clash.csv", index=False)
    sides = ["--data", "clash.csv", *SIDES, "--out"]
    code, _, err = cli("encode", "of_table", *sides, "clash_codes.csv")
    assert code == 2
    assert "column z1_before: the table has one already" in err
    assert cli("rename", "of_table", "--name", "z1=heat")[0] == 0
    code, _, err = cli("do", "of_table", *sides, "do.csv", "--set", "heat=1", "--draws", "2")
    assert code == 2
    assert "'heat' is both a feature and a variable" in err
    monkeypatch.setattr("pyro_lcm.data.tables.find_spec", lambda name: None)
    code, _, err = cli("encode", "of_table", *sides, "codes.parquet")
    assert code == 2
    assert "pip install pyarrow" in err
    code, _, err = cli("encode", "of_table", *sides, "codes.txt")
    assert code == 2
    assert "expected a name that ends in .npz, .csv or .parquet" in err
    assert not [path for path in work.iterdir() if path.name.startswith(("clash_", "do", "codes"))]
