"""``pyro-lcm benchmark causalcircuit`` on the shipped images: stages, resuming, table, report, refusals."""

import csv

import numpy as np
import pytest

from pyro_lcm.cli import main
from pyro_lcm.data.causal_circuit import tiny_set
from pyro_lcm.data.files import read_arrays, write_arrays
from pyro_lcm.images.reduction import ImageReduction
from tables import each_row

FEW = [f"--budget.{name}=6" for name in ("reconstruct", "unmix", "refine", "solutions")]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The shipped pairs as a set with the splits train and test."""
    folder = tmp_path_factory.mktemp("images")
    arrays = read_arrays(next(tiny_set().folder.glob("train*.npz")), mmap=False)
    write_arrays(folder / "train-0.npz", {key: value[:300] for key, value in arrays.items()})
    write_arrays(folder / "test.npz", {key: value[300:] for key, value in arrays.items()})
    return folder


@pytest.fixture(scope="module")
def study(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "study"
    command = ["benchmark", "causalcircuit", f"--out={folder}", f"--circuit.images={images}", "--processes=1"]
    command += ["--circuit.reduce-steps=30", "--methods", "ilcm", "beta_vae", *FEW]
    assert main(command) == 0
    return folder, command


def test_a_study_leaves_codes_runs_table_and_report(study):
    folder, _ = study
    rows = list(csv.DictReader((folder / "causalcircuit.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["beta_vae", "ilcm"]
    assert all(row["error"] == "" and 0 <= float(row["disentanglement"]) <= 1 for row in rows)
    assert ImageReduction.load(folder / "reduction").dim == 4
    assert (folder / "runs" / "ilcm-model0" / "config.yaml").is_file()
    report = (folder / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 6
    assert "<img" in report
    assert 'src="data:' in report
    assert 'src="http' not in report
    assert "href" not in report.split("<body>")[0]


def test_the_same_command_goes_on_and_does_nothing_twice(study, capsys):
    folder, command = study
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/model.safetensors")}
    codes = (folder / "codes" / "train.npz").stat().st_mtime_ns
    assert main(command) == 0
    assert "2 runs, 2 of them finished before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/model.safetensors")} == before
    assert (folder / "codes" / "train.npz").stat().st_mtime_ns == codes


def test_a_study_cut_off_between_its_stages_goes_on_and_one_more_method_joins(study):
    folder, command = study
    codes = (folder / "codes" / "test.npz").read_bytes()
    (folder / "codes" / "test.npz").unlink()  # as after a kill between the two files
    (folder / "runs" / "beta_vae-model0" / "result.json").unlink()
    kept = [folder / name / "model.safetensors" for name in ("reduction", "runs/ilcm-model0")]
    before = [path.stat().st_mtime_ns for path in kept]
    place = command.index("--methods") + 1
    assert main([*command[:place], "dvae", *command[place + 1 :]]) == 0
    assert (folder / "codes" / "test.npz").read_bytes() == codes
    assert [path.stat().st_mtime_ns for path in kept] == before
    methods = [row["method"] for row in csv.DictReader((folder / "causalcircuit.csv").read_text().splitlines())]
    assert methods == ["beta_vae", "dvae", "ilcm"]
    assert (folder / "report.html").read_text().count("data:image/png;base64,") == 6


def test_codes_have_the_truth_of_their_images(study, images):
    folder, _ = study
    codes = np.load(folder / "codes" / "test.npz")
    np.testing.assert_array_equal(codes["targets"], np.load(images / "test.npz")["intervention_labels"])


@each_row(
    ("options", "message"),
    [
        (["--n=500"], "n: got 500, expected none for causalcircuit"),
        (["--dims", "4"], "dims: got [4], expected none for causalcircuit"),
        (["--methods", "gvae"], "methods: got gvae"),
        (["--circuit.pairs=1"], "pairs: got 1, expected at least 50"),
        (["--circuit.size=100"], "size: got 100, expected one of 64, 128, 512 pixels"),
        (["--circuit.images=nowhere", "--circuit.size=128"], "size: got 128, expected none beside images"),
        (["--circuit.images=nowhere"], "--circuit.images: nowhere"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, capsys, options, message):
    assert main(["benchmark", "causalcircuit", f"--out={tmp_path / 'study'}", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "study").exists()


def test_options_of_images_are_none_of_other_studies(tmp_path, capsys):
    assert main(["benchmark", "scaling", f"--out={tmp_path / 'study'}", "--circuit.pairs=100"]) == 2
    assert "circuit: got options of it" in capsys.readouterr().err


def test_another_setting_does_not_go_into_the_same_folder(study, images, capsys):
    _, command = study
    assert main([*command, "--circuit.components=16"]) == 2
    assert "holds a study with another circuit.components" in capsys.readouterr().err
