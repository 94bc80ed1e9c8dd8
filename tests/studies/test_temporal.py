"""The study of sequences: its runs, its table, and what it refuses."""

import csv

import pytest

from pyro_lcm.cli import main
from pyro_lcm.studies.temporal import TemporalSetting, by_system, temporal_jobs


def test_a_study_is_run_and_gone_on_with(tmp_path, capsys):
    few = ["--dims", "2", "--data-seeds", "0", "--processes", "1", "--temporal.frames", "400", "--budget.fit", "5"]
    study = ["benchmark", "temporal", "--out", str(tmp_path / "s"), "--temporal.mixings", "linear", *few]
    assert main(study) == 0
    assert "wrote" in capsys.readouterr().out
    with (tmp_path / "s" / "temporal.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["method"], row["dim"], row["mixing"], row["error"]) == ("citris", "2", "linear", "")
    assert 0 <= float(row["r2_diag"]) <= 1
    assert main(study) == 0
    assert "1 runs, 1 of them finished before" in capsys.readouterr().out


def test_all_kinds_of_systems_are_run(tmp_path):
    setting = TemporalSetting(mixings=("linear", "coupling"), instantaneous=(0.0, 0.5))
    jobs = temporal_jobs(tmp_path, setting, (2, 3), (0, 1), budget=None)
    assert len(jobs) == len({job.folder for job in jobs}) == 16


def test_ranges_of_scores():
    row = {"method": "citris", "dim": 2, "mixing": "linear", "instantaneous": 0.0, "frames": 9, "temporal_shd": 1}
    header, (cells,) = by_system([row | {"r2_sep": 0.1}, row | {"r2_sep": None}, row | {"r2_sep": 0.2}])
    assert dict(zip(header, cells, strict=True)) | {"runs": "3", "r2_sep": "0.100 to 0.200", "r2_diag": "-"} == dict(
        zip(header, cells, strict=True)
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"models": ("ilcm",)}, r"^models: got 'ilcm', expected models of sequences"),
        ({"frames": 10}, r"^frames: got 10"),
        ({"mixings": ("blender",)}, r"^mixing: got 'blender'"),
        ({"mixings": ()}, r"expected at least one of each"),
    ],
)
def test_options_are_checked(given, message):
    with pytest.raises(ValueError, match=message):
        TemporalSetting(**given)


def test_options_of_other_studies_are_refused(tmp_path, capsys):
    assert main(["benchmark", "temporal", "--out", str(tmp_path / "s"), "--methods", "ilcm"]) == 2
    assert "methods: got ['ilcm'], expected none for temporal" in capsys.readouterr().err
    assert main(["benchmark", "scaling", "--out", str(tmp_path / "s"), "--temporal.frames", "500"]) == 2
    assert "temporal: got options of it" in capsys.readouterr().err
