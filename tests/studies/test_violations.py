"""The kinds of pairs, each with the truth that it says it has, and the study that counts what a check gets wrong."""

import csv

import numpy as np
import pytest

from pyro_lcm.cli import main
from pyro_lcm.data.violations import KINDS
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.text_files import read_json
from pyro_lcm.studies.results import FOUND, NOTHING
from pyro_lcm.studies.violations import (
    ViolationSetting,
    errors_of_check,
    run_violation_job,
    violation_jobs,
)
from tables import each_row

FEW = ["--violations.n=400", "--violations.n-test=200", "--dci-rows=100", "--budget.refine=5"]


def test_there_are_kinds_enough_and_a_third_is_sound():
    groups = [kind.group for kind in KINDS.values()]
    assert len(groups) >= 40
    assert 3 * groups.count("sound") >= len(groups)


@each_row("name", KINDS)
def test_a_kind_is_the_same_for_a_seed_and_has_its_truth(name):
    kind = KINDS[name]
    first, again, other = (kind.sample(60, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x_after, other.x_after)
    assert np.isfinite(first.x).all()
    assert first.z.shape == first.noise.shape == (60, len(first.adjacency))


def _moved(name):
    """Old and new values of the targets of variable 1, which has no causes, and of what is no target."""
    pairs = KINDS[name].sample(3000, seed=1)
    hit = pairs.targets == 1
    return pairs.z[hit, 0], pairs.z_after[hit, 0]


def test_values_are_what_the_names_say():
    old, new = _moved("shift")
    np.testing.assert_allclose(new - old, 1.5)
    old, new = _moved("mirrored")
    np.testing.assert_allclose(new, -old)
    old, new = _moved("half way")
    assert np.polyfit(old, new, 1)[0] == pytest.approx(0.5, abs=0.06)
    old, new = _moved("set to 2")
    np.testing.assert_allclose(new, 2)
    old, new = _moved("sound, wide interventions")
    assert abs(np.corrcoef(old, new)[0, 1]) < 0.15


def test_repeated_pairs_are_repeated_in_every_sample_and_new_ones_are_not():
    kind = KINDS["100 pairs, repeated"]
    train, held_out = (kind.sample(1000, seed=0, sample=sample) for sample in (0, 1))
    rows = {row.tobytes() for row in train.x}
    assert len(rows) == 100
    assert {row.tobytes() for row in held_out.x} == rows
    assert len(np.unique(kind.sample(1000, seed=0, sample=2, different=True).x, axis=0)) == 1000


def test_soft_interventions_leave_causes_their_effect():
    pairs = KINDS["soft, noise redrawn"].sample(20_000, seed=1)
    child = int(np.flatnonzero(pairs.adjacency.any(0))[0])
    hit = pairs.targets == child + 1
    cause = (pairs.z - pairs.noise)[hit, child]
    assert np.polyfit(cause, pairs.z_after[hit, child], 1)[0] == pytest.approx(1.0, abs=0.1)


def _row(kind, **changes):
    row = {"kind": kind, "group": KINDS[kind].group, "seed": 0, "dim": 3, "dim_true": 3, "edges": 2}
    return row | {"disentanglement": 0.99, "mcc": 0.9, "shd": 0, "verdict": NOTHING, "hint": ""} | changes


def test_both_errors_of_a_check_are_counted():
    soft = {"hint": "no edge found. Soft interventions give the same pairs"}
    rows = [
        _row("shift", disentanglement=0.3),
        _row("half way", disentanglement=0.3, verdict=FOUND),
        _row("set to 0", shd=1),
        _row("soft, noise redrawn", disentanglement=0.3, **soft),
        _row("soft, causes matter half", disentanglement=0.3),
        _row("mirrored", disentanglement=0.95, verdict=FOUND),
        _row("sound, 3 variables", verdict=FOUND),
        _row("sound, 4 variables", **soft),
        _row("a variable too many", dim=4, verdict=FOUND),
        _row("60 pairs", disentanglement=None),
        _row("noise of three values", disentanglement=0.5, mcc=0.9995),
    ]
    found = errors_of_check(rows)
    assert found.blind == ("shift 0", "set to 0 0")
    assert found.hidden == ("soft, causes matter half 0",)
    assert found.alarms == ("sound, 3 variables 0",)
    assert found.hints == ("sound, 4 variables 0",)
    assert (found.wrong, found.right, found.edged) == (5, 3, 2)
    assert "wrong model, nothing found: 2 of 5" in found.to_text()


def test_the_study_is_run_once_and_goes_on_with_more_kinds(tmp_path, capsys):
    study = ["benchmark", "violations", f"--out={tmp_path}", "--data-seeds", "0", "--processes=1", *FEW]
    assert main([*study, "--violations.kinds", "shift"]) == 0
    told = capsys.readouterr().out
    assert "1 of 1" in told
    assert "wrong model, nothing found: 0 of 1" in told
    assert main([*study, "--violations.kinds", "sound, 2 variables", "shift"]) == 0
    assert "2 runs, 1 of them finished before" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "violations.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows] == ["sound, 2 variables", "shift"]
    assert rows[1]["verdict"] == FOUND
    assert "keeps its old value whole" in rows[1]["message"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--violations.kinds", "nothing"], "kinds: got 'nothing'"),
        (["--violations.n=10"], "n: got 10, expected at least 50"),
        (["--n=100"], "n: got 100, expected none for violations, whose options begin with violations"),
        (["--dims", "3"], "dims: got [3], expected none for violations"),
        (["--model-seeds", "1"], "model_seeds: got [1], expected none for violations, see data_seeds"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, capsys, options, message):
    assert main(["benchmark", "violations", f"--out={tmp_path / 'study'}", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_a_check_is_seldom_wrong(tmp_path):
    """All kinds, one seed; some twenty minutes on a core."""
    budget = Budget(refine=100, fit=600, reconstruct=600)
    jobs = violation_jobs(tmp_path, ViolationSetting(), ["ilcm"], [3], dci_rows=1000, budget=budget)
    for job in jobs:
        run_violation_job(job)
    found = errors_of_check([read_json(job.folder / "result.json") for job in jobs])
    assert found.blind == ()
    assert found.hints == ()
    assert [run for run in found.alarms if run.startswith("sound")] == []
