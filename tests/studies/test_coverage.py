"""The study of coverage: maps of coordinates, the answers of a system, and one small study."""

import csv

import numpy as np
import pytest

from pyro_lcm.cli import main
from pyro_lcm.studies.coverage import by_quantity
from pyro_lcm.studies.true_effects import MonotoneMap, fit_monotone

FEW = ["--coverage.pairs=600", "--coverage.rows=60", "--coverage.draws=40", "--coverage.plans=4", "--budget.refine=5"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_monotone_map_is_found_and_inverted(sign):
    x = np.random.default_rng(0).normal(size=20_000)
    found = fit_monotone(x, sign * np.sinh(x), straight=False)
    at = np.linspace(-1.5, 1.5, 7)
    np.testing.assert_allclose(found(at), sign * np.sinh(at), atol=0.02)
    np.testing.assert_allclose(found.inverse()(found(at)), at, atol=0.02)
    far = found(np.array([-9.0, 9.0]))
    assert (far * sign > 0).tolist() == [False, True]


def test_a_line_goes_on_for_ever():
    line = MonotoneMap(np.array([0.0, 1.0]), np.array([1.0, -1.0]))
    np.testing.assert_allclose(line(np.array([-3.0, 5.0])), [7.0, -9.0])
    np.testing.assert_allclose(line.inverse()(np.array([7.0, -9.0])), [-3.0, 5.0])


def test_what_has_no_width_and_is_wrong_is_a_miss():
    intervals = [["effect", 1.0, 0.0, 0.0, 0.0], ["effect", 0.0, 0.0, 0.0, 0.0]]
    rows = [{"kind": "linear", "dim": 2, "n": 9, "problem": 0, "intervals": intervals}]
    (cells,) = by_quantity(rows)[1]
    assert cells[5:7] == ("1", "0 %")
    assert cells[-1] == "1"


def test_the_study_is_run_once_and_goes_on_with_more_kinds(tmp_path, capsys):
    study = ["benchmark", "coverage", f"--out={tmp_path}", "--data-seeds", "1", "--dims=3", "--processes=1", *FEW]
    assert main([*study, "--coverage.kinds", "table"]) == 0
    assert "table effect" in capsys.readouterr().out
    assert main([*study, "--coverage.kinds", "table", "noisy"]) == 0
    out = capsys.readouterr().out
    assert "2 runs, 1 of them finished before" in out
    rows = list(csv.DictReader((tmp_path / "coverage.csv").read_text().splitlines()))
    of_model = {"effect", "effect on x", "loss of a plan", "counterfactual x"}
    assert {row["quantity"] for row in rows} == {"table effect", *of_model}
    assert all(float(row["low"]) <= float(row["high"]) for row in rows)
    effects = [row for row in rows if row["quantity"] == "effect" and float(row["high"]) - float(row["low"]) > 1e-3]
    assert all(abs(float(row["mean"]) - float(row["truth"])) < 0.5 for row in effects)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--coverage.kinds", "nothing"], "kinds: got 'nothing'"),
        (["--coverage.pairs=10"], "pairs: got [10]"),
        (["--coverage.noise=0"], "noise: got 0"),
        (["--coverage.draws=1"], "draws: got 1, expected at least 2"),
        (["--n=100"], "n: got 100, expected none for coverage, whose options begin with coverage"),
        (["--methods", "ilcm"], "methods: got ['ilcm'], expected none for coverage"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, capsys, options, message):
    assert main(["benchmark", "coverage", f"--out={tmp_path / 'study'}", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
