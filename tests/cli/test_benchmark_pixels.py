"""``pyro-lcm benchmark pixels`` on few small images: stages, resuming, table, report, refusals."""

import csv
import json

import numpy as np
import pytest

from pyro_lcm.cli import main
from pyro_lcm.data.causal_circuit import tiny_set
from pyro_lcm.data.files import read_arrays, write_arrays
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.storage.run_folder import load_run
from tables import each_row

FEW = [f"--budget.{name}=2" for name in ("reconstruct", "fit", "refine", "solutions", "code")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "study"
    command = ["benchmark", "pixels", f"--out={folder}", "--processes=1", "--data-seeds", "0", "--dci-rows=50"]
    command += ["--pixels.scenes", "discs", "--pixels.n=80", "--pixels.n-test=50", "--pixels.size=16"]
    command += ["--methods", "ilcm", "beta_vae", *FEW]
    assert main(command) == 0
    return folder, command


def _rows(folder):
    return list(csv.DictReader((folder / "pixels.csv").read_text().splitlines()))


def test_a_study_leaves_codes_runs_table_and_report(study):
    folder, _ = study
    rows = _rows(folder)
    assert [(row["scene"], row["method"], row["seed"]) for row in rows] == [
        ("discs", "ilcm", "0"),
        ("discs", "beta_vae", "0"),
    ]
    for row in rows:
        assert row["error"] == ""
        assert 0 <= float(row["disentanglement"]) <= 1
        assert float(row["cpu_seconds"]) > float(row["code_cpu_seconds"]) > 0
        assert 0.05 < float(row["peak_gb"]) < 20
        assert (row["verdict"] == "problem") == bool(row["message"])
    report = (folder / "report.html").read_text()
    assert report.count("data:image/png;base64,") >= 6
    assert "What discs-ilcm-0 has found" in report
    assert (folder / "figures" / "disentanglement.png").is_file()


def test_all_methods_see_the_same_code_of_the_pairs_they_train_on(study):
    folder, _ = study
    _, tensors = load_run(folder / "codes" / "discs-0" / "code")
    for method in ("ilcm", "beta_vae"):
        assert not (folder / "runs" / f"discs-{method}-0" / "code").exists()
        code = LatentCausalModel.load(folder / "runs" / f"discs-{method}-0").fitted.standardizer.code.state_dict()
        assert all((code[name] == tensors[name]).all() for name in tensors)
    made = load_run(folder / "codes" / "discs-0" / "code")[0]["made"]
    assert made["pairs"] == 72  # of 80, as a tenth is held out


def test_a_study_goes_on_does_nothing_twice_and_one_more_method_joins(study, capsys):
    folder, command = study
    files = [*folder.glob("*/*/model.safetensors"), *folder.glob("images/*/*/x.npy"), *folder.glob("runs/*/figures/*")]
    before = {path: path.stat().st_mtime_ns for path in files}
    (folder / "runs" / "discs-beta_vae-0" / "result.json").unlink()
    place = command.index("--methods") + 1
    assert main([*command[:place], "dvae", *command[place:]]) == 0
    assert "3 runs, 1 of them finished before" in capsys.readouterr().out
    first = folder / "runs" / "discs-beta_vae-0"
    assert all(path.stat().st_mtime_ns == then for path, then in before.items() if first not in path.parents)
    rows = _rows(folder)
    assert [row["method"] for row in rows] == ["ilcm", "dvae", "beta_vae"]
    assert rows[2]["cpu_seconds"] == ""  # what was spent before is not known


def test_a_code_that_failed_is_told_by_its_runs(study, tmp_path):
    folder, command = study
    other = tmp_path / "study"
    (other / "codes" / "discs-0").mkdir(parents=True)
    (other / "study.yaml").write_bytes((folder / "study.yaml").read_bytes())
    spent = {"cpu_seconds": 1.0, "peak_gb": 1.0, "error": "pairs: too few"}
    (other / "codes" / "discs-0" / "spent.json").write_text(json.dumps(spent))
    assert main([part.replace(str(folder), str(other)) for part in command]) == 1
    assert [row["error"] for row in _rows(other)] == ["pairs: too few"] * 2


def test_a_given_set_of_causal_circuit_is_one_more_scene(tmp_path):
    arrays = read_arrays(next(tiny_set().folder.glob("train*.npz")), mmap=False)
    write_arrays(tmp_path / "set" / "train-0.npz", {key: value[:80] for key, value in arrays.items()})
    write_arrays(tmp_path / "set" / "test.npz", {key: value[80:130] for key, value in arrays.items()})
    command = ["benchmark", "pixels", f"--out={tmp_path / 'study'}", "--processes=1", "--data-seeds", "0"]
    command += ["--pixels.scenes", "causal_circuit", f"--pixels.circuit={tmp_path / 'set'}", "--methods", "beta_vae"]
    assert main([*command, "--dci-rows=50", *FEW]) == 0
    (row,) = _rows(tmp_path / "study")
    assert (row["scene"], row["dim"], row["error"]) == ("causal_circuit", "4", "")
    assert np.isfinite(float(row["mcc"]))


@each_row(
    ("options", "message"),
    [
        (["--n=500"], "n: got 500, expected none for pixels"),
        (["--model-seeds", "0"], "model_seeds: got [0], expected none for pixels, see data_seeds"),
        (["--methods", "gvae"], "methods: got gvae"),
        (["--pixels.n=1"], "n: got 1, expected at least 50"),
        (["--pixels.size=8"], "size: got 8, expected 16 to 512 pixels"),
        (["--pixels.scenes", "cubes"], "scenes: got 'cubes', expected some of discs"),
        (["--pixels.scenes", "discs", "discs"], "scenes: got ['discs', 'discs'], expected different ones"),
        (["--pixels.scenes", "causal_circuit", "--pixels.size=100"], "size: got 100, expected one of 64, 128, 512"),
        (["--pixels.circuit=nowhere"], "--pixels.circuit: nowhere"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, capsys, options, message):
    assert main(["benchmark", "pixels", f"--out={tmp_path / 'study'}", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "study").exists()


def test_options_of_scenes_are_none_of_other_studies(tmp_path, capsys):
    assert main(["benchmark", "scaling", f"--out={tmp_path / 'study'}", "--pixels.n=100"]) == 2
    assert "pixels: got options of it" in capsys.readouterr().err
