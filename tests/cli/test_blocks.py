"""Content and style on the command line: from simulation to scores."""

import json

from pyro_lcm.data import InterventionPairs


def test_from_simulation_to_scores(cli, tmp_path):
    simulate = ["simulate", "content_style", "--seed", "0", "--out", tmp_path / "d", "--n", "600", "--n-val", "0"]
    simulate += ["--n-test", "300", "--content-style.content", "1", "--content-style.mixing", "linear"]
    code, out, _ = cli(*simulate)
    assert code == 0
    assert "1 variables of content, 5 of style, linear mixing" in out
    assert (InterventionPairs.load(tmp_path / "d" / "test.npz").z.shape) == (300, 6)
    train = ["train", tmp_path / "d" / "train.npz", "--model", "content_style", "--out", tmp_path / "r"]
    code, out, _ = cli(*train, "--budget.refine", "5")
    assert code == 0
    assert "  content: z1 (agreement 1.000 and more)" in out
    code, out, _ = cli("evaluate", tmp_path / "r", "--data", tmp_path / "d" / "test.npz")
    assert code == 0
    assert "R2 of content by the latents of content" in out
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["r2_content_linear"] > 0.999
    code, _, err = cli("check", tmp_path / "r", "--data", tmp_path / "d" / "test.npz")
    assert code == 2
    assert "content_style" in err


def test_what_it_cannot_do_is_said(cli, tmp_path):
    code, _, err = cli("simulate", "content_style", "--seed", "0", "--out", tmp_path / "d.npz")
    assert code == 2
    assert "expected a folder for the files of content_style" in err
    (tmp_path / "x.npz").write_bytes(b"")
    code, _, err = cli(
        "train", tmp_path / "x.npz", "--model", "content_style", "--dim-z", "auto", "--out", tmp_path / "r"
    )
    assert code == 2
    assert "--dim-z: got auto for content_style" in err
