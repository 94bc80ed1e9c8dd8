"""The notebooks of the manual run with less data, and find what their text says they find."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"
MOST_BYTES = 400_000


def read(name):
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def code_cells(name):
    return [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the code of a notebook, other values in place of its parameters; the names it leaves come back."""
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")

    def run(name, **parameters):
        names = {"__name__": name}
        for number, cell in enumerate(code_cells(name)):
            exec(compile("".join(cell["source"]), f"{name}.ipynb, code cell {number + 1}", "exec"), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                assert set(parameters) <= set(names), f"{name}.ipynb has no parameter of these: {sorted(parameters)}"
                names.update(parameters)
        return names

    yield run
    plt.close("all")


def test_sensors(run):
    names = run("sensors", PAIRS=3000, STEPS=100)
    assert names["report"].ok
    assert names["model"].dim_z == 3
    assert names["found"] == {("valve", "flow"), ("flow", "temperature")}
    assert names["right"].min() > 0.98
    assert np.abs(np.diag(names["agreement"])).min() > 0.98


def test_graphs(run):
    names = run("graphs", DRAWS=200)
    watched, edges = names["watched_edges"], names["edges"].set_index(["parent", "child"])["probability"]
    # Watching alone leaves a direction open, setting things settles it, and what is faint stays in doubt.
    assert 0.2 < watched.sel(parent="temperature", child="humidity") < 0.8
    assert edges["temperature", "humidity"] > 0.95
    assert names["untiered"]["light", "growth"] < 0.95 < edges["light", "growth"]
    assert 0.1 < edges["mildew", "growth"] < 0.9
    assert names["worst"] < 1.05
    assert names["evidence"]["linear"] > names["evidence"]["nonlinear"]


def test_pixels(run):
    """Too little of everything to find the discs, enough to go through all that the notebook does."""
    names = run("pixels", SIZE=16, PAIRS=600, BUDGET={"code": 150, "fit": 30, "refine": 20, "solutions": 20})
    assert names["world"].x.shape == (1, 3, 16, 16)
    assert names["report"].explained > 0.3
    assert {"traversals", "interventions", "counterfactuals"} <= set(names["figures"])


@pytest.mark.parametrize("name", ["sensors", "graphs", "pixels"])
def test_what_is_stored(name):
    """A notebook in the manual is small, has its parameters first and was run from the first cell to the last."""
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < MOST_BYTES
    cells = code_cells(name)
    assert cells[0]["metadata"]["tags"] == ["parameters"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output["output_type"] in ("stream", "error") for cell in cells for output in cell["outputs"])
