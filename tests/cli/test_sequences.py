"""Sequences on the command line: simulated, trained on, encoded and scored by the words that pairs have."""

import json

import numpy as np
import pytest

from pyro_lcm.cli import main

FEW = ["--budget.fit", "30", "--budget.batch-size", "128", "--threads", "1", "--device", "cpu"]
SYSTEM = ["--dim", "2", "--seed", "0", "--n", "1500", "--n-val", "0", "--n-test", "400", "--voronoi.mixing", "linear"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data of two variables, and a run."""
    folder = tmp_path_factory.mktemp("sequences")
    assert main(["simulate", "voronoi", "--out", str(folder), *SYSTEM]) == 0
    assert main(["train", str(folder / "train.npz"), "--model", "citris", "--out", str(folder / "run"), *FEW]) == 0
    return folder


def test_files_are_written(folder):
    assert sorted(file.name for file in folder.glob("*.npz")) == ["independent.npz", "test.npz", "train.npz"]
    assert np.load(folder / "independent.npz")["targets"].all()


def test_several_files_go_into_a_folder(tmp_path, capsys):
    assert main(["simulate", "voronoi", "--out", str(tmp_path / "a.npz"), *SYSTEM]) == 2
    assert "expected a folder for the files of voronoi" in capsys.readouterr().err
    assert not (tmp_path / "a.npz").exists()


def test_training_says_what_was_found(folder, tmp_path, capsys):
    assert main(["train", str(folder / "train.npz"), "--model", "citris", "--out", str(tmp_path / "a"), *FEW]) == 0
    said = capsys.readouterr().out
    assert "2 causal variables in 2 latents" in said
    assert "variable 1: z1; depends on the frame before by" in said
    assert main(["train", str(folder / "train.npz"), "--model", "citris", "--out", str(tmp_path / "a"), *FEW]) == 2
    assert "holds a run" in capsys.readouterr().err


def test_scores_are_written_and_shown(folder, capsys):
    run = folder / "run"
    how = ["--data", str(folder / "independent.npz"), "--threads", "1", "--overwrite"]
    assert main(["evaluate", str(run), *how]) == 0
    assert "R2 of a variable by its own latents" in capsys.readouterr().out
    scores = json.loads((run / "metrics.json").read_text())
    assert np.array(scores["r2"]).shape == (3, 2)
    assert scores["assignment"] == [1, 2]
    assert "R2 of a variable" in (run / "report.html").read_text()


def test_frames_are_encoded(folder, tmp_path):
    out = tmp_path / "codes.npz"
    assert main(["encode", str(folder / "run"), "--data", str(folder / "test.npz"), "--out", str(out)]) == 0
    assert np.load(out)["causal"].shape == (400, 2)


def test_frames_in_other_files_are_encoded_alike(folder, tmp_path):
    """Episodes with an axis of their own, as they are trained on; the published keys; and frames without targets."""
    with np.load(folder / "test.npz") as data:
        x, lengths, targets = data["x"], data["lengths"], data["targets"]
    episodes = x.reshape(len(lengths), -1, 2)
    files = {
        "episodes.npz": {"x": episodes, "targets": targets.reshape(len(lengths), -1, 2)},
        "published.npz": {"images": x[: lengths[0]], "targets": targets[: lengths[0] - 1]},
        "frames.npz": {"x": x},
        "apart.npz": {"x": episodes},
    }
    expected = None
    for name, arrays in files.items():
        np.savez(tmp_path / name, **arrays)
        out = tmp_path / f"codes-{name}"
        assert main(["encode", str(folder / "run"), "--data", str(tmp_path / name), "--out", str(out)]) == 0
        found = np.load(out)["causal"]
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-4, atol=1e-5)
    assert len(expected) == len(x)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model", "citris", "--fits", "2"], "fits: got 2 for citris"),
        (["--model", "citris", "--dim-z", "auto"], "dim_z: got auto for citris"),
        (["--model", "citris", "--dim-z", "1"], "dim_z: got 1, expected at least 2"),
        (["--model", "ilcm"], "expected x and x_after; sequences, frames with targets, take a model of theirs, citris"),
    ],
)
def test_what_is_wrong_is_named(folder, tmp_path, capsys, given, message):
    assert main(["train", str(folder / "train.npz"), "--out", str(tmp_path / "b"), *given, *FEW]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "b" / "options.yaml").exists()


def test_pairs_are_no_sequences(folder, tmp_path, capsys):
    np.savez(tmp_path / "pairs.npz", x=np.zeros((60, 2)), x_after=np.ones((60, 2)))
    train = ["train", str(tmp_path / "pairs.npz"), "--model", "citris", "--out", str(tmp_path / "b"), *FEW]
    assert main(train) == 2
    assert "key 'targets' is missing" in capsys.readouterr().err
    assert main(["check", str(folder / "run"), "--data", str(tmp_path / "pairs.npz")]) == 2
    assert "citris, a model of sequences, expected one of pairs" in capsys.readouterr().err


def test_graphs_in_time_are_inferred_and_reported(folder, capsys):
    run = folder / "run"
    how = ["--data", str(folder / "train.npz"), "--rows", "300", "--draws", "20", "--chains", "1", "--threads", "1"]
    assert main(["graph", str(run), *how, "--overwrite"]) == 0
    assert "z1_before" in capsys.readouterr().out
    assert (run / "posterior.nc").is_file()
    assert "z1_before" in (run / "edges.csv").read_text()
    assert main(["graph", str(run), *how, "--overwrite", "--forbidden", "z1_before:z1"]) == 0
    edges = (run / "edges.csv").read_text()
    assert "z1_before,z1,0.0," in edges
    assert main(["graph", str(run), *how, "--overwrite", "--forbidden", "z1:nothing"]) == 2


def test_the_next_frame_is_written(folder, capsys):
    out = folder / "next.npz"
    how = ["--data", str(folder / "test.npz"), "--out", str(out), "--draws", "10"]
    assert main(["do", str(folder / "run"), "--set", "z2=1.5", *how]) == 0
    assert "do(z2 = 1.5), means over 400 frames" in capsys.readouterr().out
    written = np.load(out)
    np.testing.assert_allclose(written["causal"][:, 1], 1.5, rtol=1e-5)
    assert (written["x_low"] <= written["x_high"]).all()
    assert main(["do", str(folder / "run"), "--set", "z9=1.5", *how, "--overwrite"]) == 2
    assert "values: got z9=1.5" in capsys.readouterr().err
    assert main(["do", str(folder / "run"), "--set", "z1=1", *how]) == 2
