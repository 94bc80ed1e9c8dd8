"""Observed variables from pandas and from files: names are kept, and targets are told by name."""

import numpy as np
import pandas as pd
import pytest

from pyro_lcm.discovery import GraphData, graph_posterior, graph_summary

rng = np.random.default_rng(1)
RAIN = rng.normal(size=200)
FRAME = pd.DataFrame({"rain": RAIN, "river": 0.9 * RAIN + rng.normal(size=200)})
TARGETS = pd.Series(["", "river", None, "rain;river"] * 50)


def test_a_frame_keeps_its_names_all_the_way():
    assert GraphData(FRAME).names == ("rain", "river")
    summary = graph_summary(graph_posterior(FRAME, draws=50, chains=1))
    assert summary.names == ("rain", "river")


def test_targets_by_name():
    data = GraphData(FRAME, targets=TARGETS)
    assert data.targets[:4].tolist() == [[False, False], [False, True], [False, False], [True, True]]
    with pytest.raises(ValueError, match="targets: got 'lake' in row 1, expected empty or one of rain, river"):
        GraphData(FRAME, targets=["lake"] * 200)


def test_errors_name_the_argument(tmp_path):
    FRAME.assign(note="dry").to_csv(tmp_path / "t.csv", index=False)
    for wrong in ({"drop": ["lake"]}, {"targets": "lake"}, {"only": "lake=1"}, {"log": True, "drop": ["note"]}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: "):
            GraphData.from_csv(tmp_path / "t.csv", **wrong)
    with pytest.raises(ValueError, match="column note has 'dry' in row 1, expected a number; leave it out with drop"):
        GraphData.from_csv(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_files_give_what_the_frame_gives(tmp_path, name):
    table = FRAME.assign(hit=TARGETS, note="dry")
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
        table.to_parquet(tmp_path / name)
    else:
        table.to_csv(tmp_path / name, index=False)
    data = GraphData.from_csv(tmp_path / name, targets="hit", drop=["note"])
    np.testing.assert_allclose(data.values, FRAME)
    assert data.names == ("rain", "river")
    assert np.array_equal(data.targets, GraphData(FRAME, targets=TARGETS).targets)
    standard = GraphData.from_csv(tmp_path / name, targets="hit", drop=["note"], standardize=True)
    assert standard.values[~standard.targets.any(1)].std(0) == pytest.approx([1, 1])
    with pytest.raises(ValueError, match="column note has 'dry' in row 1"):
        GraphData.from_csv(tmp_path / name, targets="hit")


def test_it_is_shown_and_goes_back_to_a_frame():
    data = GraphData(FRAME, targets=TARGETS)
    assert repr(data) == "GraphData(rows=200, variables=['rain', 'river'], rows_with_target=100)"
    assert data.to_dataframe()["target"].tolist()[:4] == ["", "river", "", "rain;river"]


def test_conditions_of_a_file(tmp_path):
    """Perfect, soft and unknown interventions, by targets or by a column of conditions."""
    condition = np.repeat(["calm", "dam", "flood", "calm"], 50)
    table = FRAME.assign(condition=condition, hit=np.where(condition == "dam", "river", ""))
    table.to_csv(tmp_path / "t.csv", index=False)
    read = {
        kind: GraphData.from_csv(tmp_path / "t.csv", targets="hit", regimes="condition", interventions=kind)
        for kind in ("perfect", "soft", "unknown")
    }
    assert read["perfect"].conditions == ("calm", "dam", "flood")
    assert not read["perfect"].imperfect.any()
    assert read["soft"].imperfect.all()
    assert read["soft"].unknown is None
    assert read["unknown"].unknown.tolist() == (condition != "calm").tolist()
    alone = GraphData.from_csv(tmp_path / "t.csv", targets="hit", drop=["condition"], interventions="unknown")
    assert alone.unknown.tolist() == (condition == "dam").tolist()
    told = table.assign(hit=np.where(condition == "flood", "?", table["hit"]))
    told.to_csv(tmp_path / "told.csv", index=False)
    for options in ({"drop": ["condition"]}, {"regimes": "condition"}):
        both = GraphData.from_csv(tmp_path / "told.csv", targets="hit", interventions="unknown", **options)
        assert both.unknown.tolist() == (condition != "calm").tolist()
    with pytest.raises(ValueError, match="interventions: got soft, expected targets or regimes"):
        GraphData.from_csv(tmp_path / "t.csv", drop=["hit", "condition"], interventions="soft")
    with pytest.raises(ValueError, match="interventions: got 'hard'"):
        GraphData.from_csv(tmp_path / "t.csv", drop=["hit", "condition"], interventions="hard")


def test_rows_where():
    data = GraphData(FRAME, targets=TARGETS, regimes=np.arange(200) % 2).rows_where(np.arange(200) < 3)
    assert data.values.shape == (3, 2)
    assert data.targets.tolist() == [[False, False], [False, True], [False, False]]
    assert data.regimes.tolist() == [0, 1, 0]
    assert data.without_intervention.tolist() == [True, False, True]
