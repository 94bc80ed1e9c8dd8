"""How results read: a line, a table in a notebook, a DataFrame to go on with; and names that can be changed."""

import numpy as np
import pandas as pd
import pytest

from pyro_lcm import Budget, DimChoice, InterventionPairs, LatentCausalModel
from pyro_lcm.dim_choice import Candidate
from pyro_lcm.discovery import graph_summary
from pyro_lcm.reasoning import Plan
from pyro_lcm.viz.training import training_curves


def shows(result, *words):
    text = result._repr_html_()
    assert "\n" not in repr(result)
    assert all(word in text for word in words), text
    return True


def test_a_model(lcm):
    assert repr(LatentCausalModel()) == "LatentCausalModel('ilcm', not fitted)"
    assert repr(lcm) == "LatentCausalModel('ilcm', fitted, variables=['z1', 'z2', 'z3'])"
    frame = lcm.to_dataframe()
    graph = lcm.adjacency()
    assert [len(list(filter(None, text.split(", ")))) for text in frame["parents"]] == graph.sum(0).tolist()
    assert [len(list(filter(None, text.split(", ")))) for text in frame["children"]] == graph.sum(1).tolist()
    assert shows(lcm, "<table", "z3")
    with pytest.raises(RuntimeError, match="not fitted"):
        LatentCausalModel().to_dataframe()


def test_its_history_is_a_table_and_a_plot(lcm, train, small, tmp_path):
    assert {"step", "phase", "loss", "validation_loss"} <= set(lcm.history.columns)
    assert len(lcm.history) == len(lcm.result.history)
    model = LatentCausalModel().fit(train[:300], budget=small, out=tmp_path / "run", progress=False)
    loaded = LatentCausalModel.load(tmp_path / "run").history
    assert loaded["loss"].dropna().tolist() == pytest.approx(model.history["loss"].dropna().tolist())
    longer = pd.DataFrame({"step": [1, 2, 3], "phase": "fit", "loss": [3.0, 2.0, np.nan], "validation_loss": 2.5})
    assert training_curves(longer).axes[0].lines[0].get_ydata().tolist() == [3.0, 2.0]
    lcm.save(tmp_path / "bare")
    with pytest.raises(RuntimeError, match=r"no metrics\.csv"):
        _ = LatentCausalModel.load(tmp_path / "bare").history


def test_latents_checks_and_summaries(lcm, held_out):
    codes = lcm.encode(held_out.x)
    frame = codes.to_dataframe()
    assert list(frame.columns[:4]) == ["z1", "z2", "z3", "z1_sd"]
    np.testing.assert_array_equal(frame["z2_noise"], codes.noise[:, 1])
    assert shows(codes, "z1_noise_sd", "of 1500 rows")
    report = lcm.check(held_out)
    assert repr(report) == "CheckReport(no problem found)"
    assert report.to_dataframe().loc["z2", "target_of"] == report.usage[2]
    assert shows(report, "leakage", "ELBO per pair")
    summary = graph_summary(lcm.graph_posterior(held_out, draws=20, chains=1))
    edges = summary.to_dataframe()
    assert len(edges) == 6
    assert edges["probability"].is_monotonic_decreasing
    assert shows(summary, "path_probability")


def test_data_plans_and_choices(held_out):
    frame = held_out.to_dataframe()
    again = InterventionPairs.from_table(frame)
    np.testing.assert_array_equal(again.x_after, held_out.x_after)
    np.testing.assert_array_equal(again.targets, held_out.targets)
    assert shows(held_out, "x3_after", "the first 5 of 1500 pairs")
    seen = np.zeros((4, 8, 8, 3), np.uint8)
    images = InterventionPairs(seen, seen + np.uint8(1))
    assert shows(images, "(3, 8, 8)")
    with pytest.raises(ValueError, match="expected vectors"):
        images.to_dataframe()
    plan = Plan(("a", "b"), np.array([[1.0, np.nan]]), np.array([0.5]), np.zeros((1, 2)), {})
    assert plan.to_dataframe().columns.tolist() == ["a", "b", "loss"]
    assert shows(plan, "loss")
    choice = DimChoice(2, None, (Candidate(2, -1.0, 0.0, 0.1, ()), Candidate(3, -1.5, 0.5, 0.1, ("off",))))
    assert choice.to_dataframe()["problems"].tolist() == [0, 1]
    assert shows(choice, "behind")


def test_names_are_changed_here_and_in_the_folder(lcm, held_out, tmp_path):
    lcm.save(tmp_path / "run")
    model = LatentCausalModel.load(tmp_path / "run")
    tensors = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert model.rename({"z2": "pressure"}).names == ("z1", "pressure", "z3")
    loaded = LatentCausalModel.load(tmp_path / "run")
    assert loaded.names == ("z1", "pressure", "z3")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == tensors
    assert loaded.intervene({"pressure": 0.5}, x=held_out.x[:3]).causal[:, 1] == pytest.approx(0.5, abs=1e-4)
    assert loaded.encode(held_out.x).names == loaded.names
    assert loaded.rename({"z1": "z3", "z3": "z1"}).names == ("z3", "pressure", "z1")
    assert lcm.names == ("z1", "z2", "z3")


def test_names_are_not_changed_in_the_folder_of_an_earlier_fit(lcm, train, tmp_path):
    lcm.save(tmp_path / "run")
    model = LatentCausalModel.load(tmp_path / "run")
    config = (tmp_path / "run" / "config.yaml").read_bytes()
    model.fine_tune(train[:400], budget=Budget(refine=1), progress=False).rename({"z1": "a"})
    assert model.names[0] == "a"
    assert (tmp_path / "run" / "config.yaml").read_bytes() == config


@pytest.mark.parametrize(
    ("names", "message"),
    [({"q": "a"}, "^names: got 'q', expected some of z1"), ({"z1": "z2"}, "different"), ({"z1": "a b"}, "identifiers")],
)
def test_names_that_do_not_fit_are_named(lcm, names, message):
    with pytest.raises(ValueError, match=message):
        lcm.rename(names)
    assert lcm.names == ("z1", "z2", "z3")
