"""Tables of pairs go through the commands."""

import numpy as np
import pandas as pd

from pyro_lcm import InterventionPairs


def test_a_table_is_trained_on_checked_and_encoded(cli, work, small):
    pairs = InterventionPairs.load("train.npz")
    columns = {f"s{i}_{side}": x[:, i] for side, x in (("t0", pairs.x), ("t1", pairs.x_after)) for i in (0, 1)}
    pd.DataFrame(columns).to_csv("table.csv", index=False)
    sides = ["--before", "*_t0", "--after", "*_t1"]
    assert cli("train", "table.csv", *sides, "--out", "of_table", *small)[0] == 0
    assert cli("check", "of_table", "--data", "table.csv", *sides)[0] == 0
    assert cli("encode", "of_table", "--data", "table.csv", *sides, "--out", "codes.npz")[0] == 0
    with np.load("codes.npz") as codes:
        assert codes["causal"].shape == (2000, 2)
    code, _, err = cli("train", "table.csv", "--out", "none", *small)
    assert code == 2
    assert "before: got no column like '*_before'" in err
