"""The commands end to end, on two variables and little training: what they write, and what they say."""

import csv
import json

import numpy as np
import pytest
import yaml

from pyro_lcm import InterventionPairs, LatentCausalModel, ScalingSystem
from pyro_lcm.cli import main
from pyro_lcm.commands import COMMANDS
from pyro_lcm.commands.runs import holds_run
from pyro_lcm.studies.study import DATA_SETS


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_help_lists_every_command_and_every_option_has_help(cli):
    code, out, _ = cli("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in COMMANDS)
    for name in COMMANDS:
        code, out, _ = cli(name, "--help")
        assert code == 0
        options = out.split("options:")[1]
        starts = [line for line in options.splitlines() if line.startswith("  -")]
        assert len(starts) > 2
        following = options.split("\n  -")[1:]
        bare = [text for text in following if len(text.replace("\n", " ").split("  ", 1)) < 2]
        assert not bare


def test_simulate_writes_three_samples_of_one_system(cli, tmp_path):
    sizes = ["--n", "300", "--n-val", "20", "--n-test", "30"]
    code, _, _ = cli("simulate", "scaling", "--dim", "3", "--seed", "5", "--out", tmp_path / "data", *sizes)
    assert code == 0
    parts = [InterventionPairs.load(tmp_path / "data" / f"{name}.npz") for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [300, 20, 30]
    assert all((part.adjacency == parts[0].adjacency).all() for part in parts)
    mixing = [np.linalg.lstsq(part.z, part.x, rcond=None)[0] for part in parts]
    np.testing.assert_allclose(mixing[0], mixing[2], atol=1e-8)
    assert not np.isin(parts[2].x, parts[0].x).any()


def test_simulate_single_file_and_overwrite(cli, tmp_path):
    command = ["simulate", "scaling", "--seed", "5", "--out", tmp_path / "a.npz", "--n", "50"]
    assert cli(*command)[0] == 0
    assert cli(*command)[0] == 2
    assert cli(*command, "--overwrite")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_train_leaves_a_run_folder_that_loads(work):
    assert {"config.yaml", "model.safetensors", "metrics.csv", "checkpoint", "train.yaml"} <= {
        path.name for path in (work / "run").iterdir()
    }
    assert LatentCausalModel.load(work / "run").dim_z == 2
    options = yaml.safe_load((work / "run" / "train.yaml").read_text())
    assert options["budget"]["refine"] == 40


def test_train_is_repeated_by_its_recorded_options(cli, work):
    code, out, _ = cli("train", "--config", "run/train.yaml", "--out", "again", "--threads", "1")
    assert code == 0
    assert (work / "again" / "model.safetensors").read_bytes() == (work / "run" / "model.safetensors").read_bytes()
    assert "held-out ELBO" in out
    assert "graph:" in out
    assert "next:" in out


def test_truth_in_the_data_does_not_change_the_fit(cli, work, small):
    pairs = InterventionPairs.load("train.npz")
    np.savez("bare.npz", x=pairs.x, x_after=pairs.x_after)
    assert cli("train", "bare.npz", "--out", "bare", *small)[0] == 0
    assert (work / "bare" / "model.safetensors").read_bytes() == (work / "run" / "model.safetensors").read_bytes()


def test_a_finished_run_is_not_trained_again(cli, work, small):
    before = (work / "run" / "model.safetensors").stat().st_mtime_ns
    code, out, _ = cli("train", "train.npz", "--out", "run", "--resume", *small)
    assert code == 0
    assert "finished" in out
    assert (work / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_other_data_do_not_go_on_with_a_run(cli, work, small):
    (work / "run" / "model.safetensors").unlink()
    code, _, err = cli("train", "test.npz", "--out", "run", "--resume", *small)
    assert code == 2
    assert "data" in err


def test_fits_choose_by_held_out_elbo(cli, work, small):
    code, out, _ = cli("train", "train.npz", "--out", "several", "--fits", "2", *small)
    assert code == 0
    choice = json.loads((work / "several" / "fits.json").read_text())
    assert [row["fit"] for row in choice["fits"]] == ["fit-1", "fit-2"]
    assert len({row["seed"] for row in choice["fits"]}) == 2
    best = max(choice["fits"], key=lambda row: row["elbo"])["fit"]
    assert choice["chosen"] == best
    for name in ("config.yaml", "model.safetensors"):
        assert (work / "several" / name).read_bytes() == (work / "several" / best / name).read_bytes()
    assert f"best: {best}" in out
    code, out, _ = cli("check", "several", "--data", "test.npz", "--threads", "1")
    assert code == 0
    assert "agreement of fits" in out
    assert np.shape(json.loads((work / "several" / "check.json").read_text())["agreement"]) == (2, 2)


def test_check_needs_no_truth_and_strict_says_problems(cli, work, monkeypatch):
    code, out, _ = cli("check", "run", "--data", "plain.npz", "--strict", "--threads", "1")
    report = json.loads((work / "run" / "check.json").read_text())
    assert code == (0 if report["ok"] else 1)
    assert report["text"] in out
    assert "<pre>" in (work / "run" / "report.html").read_text()
    monkeypatch.setattr("pyro_lcm.evaluation.check.MIN_EXPLAINED", 2.0)
    code, out, _ = cli("check", "run", "--data", "plain.npz", "--strict", "--threads", "1", "--overwrite")
    assert code == 1
    assert "PROBLEM" in out
    assert cli("check", "run", "--data", "plain.npz", "--threads", "1", "--overwrite")[0] == 0


def test_encode_writes_both_sides(cli, work):
    assert cli("encode", "run", "--data", "plain.npz", "--out", "codes.npz", "--threads", "1")[0] == 0
    model, pairs = LatentCausalModel.load("run"), InterventionPairs.load("plain.npz")
    with np.load("codes.npz") as codes:
        for name in ("noise", "noise_sd", "causal", "causal_sd"):
            assert codes[name].shape == codes[f"{name}_after"].shape == (500, 2)
        np.testing.assert_allclose(codes["causal_after"], model.encode(pairs.x_after).causal, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(codes["target_probabilities"].sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(codes["targets"], codes["target_probabilities"].argmax(axis=1))


def test_evaluate_writes_scores_figures_and_report(cli, work):
    code, out, _ = cli("evaluate", "run", "--data", "test.npz", "--dci-rows", "300", "--threads", "1")
    assert code == 0
    scores = json.loads((work / "run" / "metrics.json").read_text())
    needed = ("disentanglement", "completeness", "mcc", "mcc_spearman", "mcc_noise")
    for name in (*needed, "intervention_accuracy", "shd", "elbo"):
        assert isinstance(scores[name], float | int)
    assert scores["mcc_noise"] > 0.95
    assert sorted(scores["learned_variable_of"].values()) == ["z1", "z2"]
    assert ">= 0.98" in out
    for name in ("learned_against_true", "graph"):
        assert (work / "run" / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    report = (work / "run" / "report.html").read_text()
    assert report.count("data:image/png;base64,") >= 2
    assert "http" not in report


def test_evaluate_without_truth_gives_nulls(cli, work):
    code, out, _ = cli("evaluate", "run", "--data", "plain.npz", "--threads", "1")
    assert code == 0
    scores = json.loads((work / "run" / "metrics.json").read_text())
    assert scores["disentanglement"] is None
    assert scores["mcc"] is None
    assert isinstance(scores["elbo"], float)
    assert "no true variables" in out


def test_do_sets_what_it_was_told(cli, work):
    command = ["do", "run", "--data", "test.npz", "--set", "z2=1.5", "--out", "g.npz", "--threads", "1"]
    code, out, _ = cli(*command)
    assert code == 0
    with np.load("g.npz") as result:
        np.testing.assert_allclose(result["causal"][:, 1], 1.5, atol=1e-3)
        assert result["x"].shape == (500, 2)
    assert "do(z2 = 1.5)" in out
    rows = rows_of(work / "g_effects.csv")
    assert [row["quantity"] for row in rows] == ["z1", "z2", "x1", "x2"]
    assert float(rows[1]["after"]) == pytest.approx(1.5, abs=1e-3)
    # z2 becomes constant: the change of its mean is as uncertain as its mean, but for what the guide leaves open.
    expected = LatentCausalModel.load("run").encode(InterventionPairs.load("test.npz").x).causal[:, 1].std() / 500**0.5
    assert float(rows[1]["error"]) == pytest.approx(expected, rel=0.7)
    assert (work / "g_variables.png").is_file()
    assert (work / "g_observations.png").is_file()
    assert cli(*command)[0] == 2
    assert cli(*command, "--overwrite")[0] == 0
    assert cli("do", "run", "--data", "test.npz", "--set", "z1=0", "--threads", "1", "--draws", "2")[0] == 0
    assert (work / "run" / "do.npz").is_file()


def test_graph_of_a_table(cli, work):
    rng = np.random.default_rng(0)
    a = rng.normal(size=300)
    b, c = 2 * a + rng.normal(size=300), rng.normal(size=300)
    hit = rng.random(300) < 0.5
    b[hit] = rng.normal(size=hit.sum())
    with open("t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "who", "note"])
        writer.writerows(zip(a, b, c, np.where(hit, "b", ""), ["text"] * 300, strict=True))
    (work / "truth.csv").write_text("Cause,Effect\na,b\n")
    command = ["graph", "--data", "t.csv", "--targets", "who", "--drop", "note", "--truth", "truth.csv"]
    code, out, _ = cli(*command, "--standardize", "--out", "g", "--draws", "200", "--threads", "1")
    assert code == 0
    assert "a -> b" in out.splitlines()[2]
    first = rows_of(work / "g" / "edges.csv")[0]
    assert (first["parent"], first["child"]) == ("a", "b")
    assert float(first["probability"]) > 0.99
    assert (work / "g" / "posterior.nc").is_file()
    assert {"edge_probability.png", "equivalence.png", "posterior_graph.png", "top_graphs.png", "effects.png"} == {
        path.name for path in (work / "g" / "figures").iterdir()
    }
    assert cli(*command, "--out", "g")[0] == 2
    code, out, _ = cli(*command, "--forbidden", "a:b", "--required", "c:a", "--out", "h", "--threads", "1")
    assert code == 0
    rows = {(row["parent"], row["child"]): row for row in rows_of(work / "h" / "edges.csv")}
    assert float(rows["a", "b"]["probability"]) == pytest.approx(0)
    assert float(rows["c", "a"]["probability"]) == pytest.approx(1)
    assert "note: required and forbidden edges" in out
    assert "note: required and forbidden edges" in (work / "h" / "graph.txt").read_text()
    unknown = ["--interventions", "unknown", "--prior", "suggested", "--draws", "50", "--threads", "1"]
    code, out, _ = cli(*command, *unknown, "--out", "u")
    assert code == 0
    assert "changed in condition 1: b 1.00" in out


def test_graph_of_a_run(cli, work):
    code, _, _ = cli("graph", "run", "--data", "train.npz", "--draws", "100", "--threads", "1")
    assert code == 0
    assert (work / "run" / "posterior.nc").is_file()
    assert "Posterior over graphs" in (work / "run" / "report.html").read_text()


def test_demo_tells_scores_and_writes_over_its_own_folder_only(cli, tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    command = ["demo", "--n", "2000", "--n-test", "300", "--dim", "2", *small]
    code, out, _ = cli(*command)
    assert code == 0
    for words in ("disentanglement", "completeness", "MCC", "intervention accuracy", "graph distance", ">= 0.98"):
        assert words in out
    assert {path.name for path in (tmp_path / "runs" / "demo" / "figures").iterdir()} >= {
        "learned_against_true.png",
        "graph.png",
    }
    code, _, err = cli(*command)
    assert (code, "demo.json exists" in err) == (2, True)
    (tmp_path / "runs" / "demo" / "graph.txt").write_text("{}")
    assert cli(*command, "--overwrite")[0] == 0
    assert not (tmp_path / "runs" / "demo" / "graph.txt").exists()
    (tmp_path / "runs" / "demo" / "demo.json").unlink()
    assert cli(*command, "--overwrite")[0] == 2
    assert holds_run(tmp_path / "runs" / "demo")


def test_benchmark_goes_on_where_it_stopped(cli, tmp_path, small):
    study = ["benchmark", "scaling", "--out", tmp_path / "s", "--data-seeds", "0", "--model-seeds", "0"]
    study += ["--n", "1000", "--n-test", "200", "--processes", "1", *small[:-2]]
    code, out, _ = cli(*study, "--dims", "2")
    assert code == 0
    assert "1 runs, 0 of them finished before" in out
    result = tmp_path / "s" / "runs" / "ilcm-d2-data0-model0" / "result.json"
    stamp = result.stat().st_mtime_ns
    code, out, _ = cli(*study, "--dims", "2", "3")
    assert code == 0
    assert "2 runs, 1 of them finished before" in out
    assert result.stat().st_mtime_ns == stamp
    rows = rows_of(tmp_path / "s" / "scaling.csv")
    assert sorted((row["dim"], row["method"]) for row in rows) == [("2", "ilcm"), ("3", "ilcm")]
    assert all(float(row["disentanglement"]) > 0 and float(row["seconds"]) > 0 for row in rows)
    # The time to a disentanglement of 0.98 is drawn if a run got there, which so few rows leave to chance.
    assert {path.name for path in (tmp_path / "s" / "figures").iterdir()} - {"seconds_to_d.png"} == {
        "disentanglement.png",
        "graph_distance.png",
        "seconds.png",
    }
    code, _, err = cli(*study, "--dims", "2", "--n-test", "100")
    assert code == 2
    assert "n_test" in err


def test_benchmark_puts_models_side_by_side(cli, tmp_path, small):
    study = ["benchmark", "models", "--out", tmp_path / "s", "--dims", "2", "--data-seeds", "0", "--model-seeds", "0"]
    study += ["--n", "600", "--n-test", "200", "--processes", "1", *small[:-2]]
    study += ["--budget.refine", "10", "--budget.solutions", "10", "--dci-rows", "100"]
    methods = ["gvae", "elcm_all", "soft_ilcm_subsets", "true_noise"]
    assert cli(*study, "--methods", *methods)[0] == 0
    rows = rows_of(tmp_path / "s" / "models.csv")
    expected = {(data, method) for data in DATA_SETS for method in methods} - {("soft_sets", "elcm_all")}
    assert {(row["data"], row["method"]) for row in rows} == expected
    assert all(0 <= float(row["disentanglement"]) <= 1 and not row["error"] for row in rows)
    assert (tmp_path / "s" / "figures" / "disentanglement.png").is_file()
    assert (tmp_path / "s" / "runs" / "soft-gvae-d2-data0-model0" / "model.safetensors").is_file()
    code, _, err = cli("benchmark", "scaling", "--out", tmp_path / "t", "--data", "soft")
    assert code == 2
    assert "data: got ['soft']" in err


def test_interrupt_says_how_to_go_on(work, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(LatentCausalModel, "fit", stop)
    assert main(["train", "train.npz", "--out", "new"]) == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--resume" in err


@pytest.mark.parametrize(("model", "targets", "graph"), [("beta_vae", False, False), ("elcm", True, True)])
def test_other_models_go_through_the_commands(cli, work, small, model, targets, graph):
    code, out, _ = cli("train", "train.npz", "--out", "other", "--model", model, *small)
    assert code == 0
    assert ("graph:" in out) == graph
    assert cli("check", "other", "--data", "plain.npz")[0] == 0
    assert cli("encode", "other", "--data", "plain.npz", "--out", "latents.npz")[0] == 0
    with np.load("latents.npz") as arrays:
        assert ("targets" in arrays) == targets
        assert arrays["causal"].shape == (500, 2)
    assert cli("evaluate", "other", "--data", "test.npz")[0] == 0
    scores = json.loads((work / "other" / "metrics.json").read_text())
    assert (scores["intervention_accuracy"] is not None) == targets
    assert (scores["shd"] is not None) == graph
    if not targets:
        code, _, err = cli("graph", "other", "--data", "test.npz")
        assert code == 2
        assert "no intervention targets" in err


def test_train_chooses_the_number_of_variables(cli, tmp_path, small):
    folder = tmp_path / "run"
    system = ScalingSystem(2, seed=0, dim_x=4, observation_noise=0.01)
    system.sample(2000).save(tmp_path / "wide.npz")
    command = ["train", tmp_path / "wide.npz", "--out", folder, "--dim-z", "auto", *small]
    code, out, _ = cli(*command, "--candidates", "2", "3")
    assert code == 0
    assert "2 variables: ELBO" in out
    assert LatentCausalModel.load(folder).dim_z == 2
    record = json.loads((folder / "dims.json").read_text())
    assert record["chosen"] == 2
    assert [row["dim_z"] for row in record["candidates"]] == [2, 3]
    assert LatentCausalModel.load(folder / "dim-3").dim_z == 3
    assert cli("check", folder, "--data", tmp_path / "wide.npz")[0] == 0
    code, _, err = cli(*command, "--candidates", "2", "3")
    assert code == 2
    assert "holds a run" in err


def test_candidates_and_fits_do_not_go_with_everything(cli, work):
    code, _, err = cli("train", "train.npz", "--out", "new", "--candidates", "2")
    assert (code, "--candidates" in err or "candidates" in err) == (2, True)
    code, _, err = cli("train", "train.npz", "--out", "new", "--dim-z", "auto", "--fits", "2")
    assert (code, "fits" in err) == (2, True)
    code, _, err = cli("train", "train.npz", "--out", "new", "--dim-z", "many")
    assert (code, "dim-z" in err or "dim_z" in err) == (2, True)
