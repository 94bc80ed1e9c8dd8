"""What the user's class offers is what the functions of the same names give."""

import networkx as nx
import numpy as np
import pyro
import pytest
import torch
import xarray as xr
from pyro.infer import Predictive

import pyro_lcm as lcm
from pyro_lcm import reasoning
from pyro_lcm.architecture import Architecture
from pyro_lcm.discovery.arviz_compat import make_container
from pyro_lcm.registry import build
from tables import each_row

FEW = lcm.Uncertainty(draws=2, rows=20)


def posterior_of(fitted, *graphs, names=None):
    names = list(fitted.names if names is None else names)
    draws = np.array(graphs, dtype=np.int8)[None]
    dataset = xr.Dataset(
        {"adjacency": (("chain", "draw", "parent", "child"), draws)}, coords={"parent": names, "child": names}
    )
    return make_container({"posterior": dataset}, {})


def same_outcome(one, other):
    for key in ("x", "causal", "noise", "before", "x_before"):
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))


def test_worlds(fitted, observations):
    x, values = observations, {"a": 0.5, "b": torch.linspace(-1, 1, 200), "c": lcm.Shift(by=1.0)}
    same_outcome(fitted.intervene(values, x=x), reasoning.intervene(fitted, values, x=x))
    same_outcome(fitted.intervene(values, n=200, seed=3), reasoning.intervene(fitted, values, n=200, seed=3))
    same_outcome(
        fitted.counterfactual(x, values, draws=3, seed=1), reasoning.counterfactual(fitted, x, values, draws=3, seed=1)
    )
    same_outcome(fitted.edit(x, {"a": 1.0}, effects=False), reasoning.edit(fitted, x, {"a": 1.0}, effects=False))


def test_values_of_every_kind_at_once(fitted, observations):
    found = fitted.intervene(
        {"a": np.float32(0.5), "b": lambda natural: natural.clamp(min=0), "c": lcm.Shift(by=np.ones(200), factor=2)},
        x=observations,
    )
    np.testing.assert_allclose(found.causal[:, 0], 0.5, atol=1e-6)
    assert found.causal[:, 1].min() == 0
    assert isinstance(found, lcm.Outcome)
    assert found.x.shape == found.x_before.shape == observations.shape


@each_row(
    ("values", "message"),
    [
        ({"d": 1.0}, "values: got the variable 'd', expected some of a, b, c"),
        ([("a", 1.0), ("a", 2.0)], "values: got the variable 'a' twice"),
        ({"a": "1.0"}, r"values\['a'\]: got a str, expected real numbers"),
        ({"a": np.zeros(3)}, r"values\['a'\]: got shape \(3,\), expected \(\) or \(200,\)"),
        ({"a": True}, r"values\['a'\]: got dtype torch.bool"),
        ({"a": lambda natural: natural[:3]}, r"values\['a'\]\(natural\): got shape \(3,\)"),
    ],
)
def test_wrong_values_raise(fitted, observations, values, message):
    for call in (
        lambda: fitted.intervene(values, x=observations),
        lambda: fitted.counterfactual(observations, values),
        lambda: fitted.edit(observations, values),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_programs(fitted, observations):
    few = observations[:4]
    draws = fitted.noise_draws(few, draws=1)
    found = Predictive(pyro.do(fitted.program(), {"a": 0.3}), draws)(size=4)["causal"]
    assert bool((found[..., 0] == 0.3).all())
    drawn = Predictive(pyro.condition(fitted.density_program(), {"b": torch.ones(4)}), num_samples=5)(size=4)
    assert bool((drawn["causal"][..., 1] == 1).all())
    with pytest.raises(ValueError, match="density_program"):
        pyro.condition(fitted.program(), {"b": torch.ones(4)})(size=4)


def test_effects(fitted, observations):
    few = observations[:10]
    pairs = [
        (fitted.average_effects, reasoning.average_effects, (), {"x": few, "causes": ["b"], "high": 2.0}),
        (fitted.individual_effects, reasoning.individual_effects, (few, "a"), {"low": -1.0, "on_x": False}),
        (fitted.dose_response, reasoning.dose_response, ("a", [0.0, 1.0]), {"x": few}),
    ]
    for method, function, arguments, options in pairs:
        found = method(*arguments, uncertainty=FEW, **options)["posterior"]
        expected = function(fitted, *arguments, uncertainty=FEW, **options)["posterior"]
        assert set(found.data_vars) == set(expected.data_vars)
        for name in found.data_vars:
            np.testing.assert_array_equal(found[name], expected[name])
        assert {"chain", "draw"} <= set(found.dims)


def test_plan(fitted, observations):
    now = observations[:3]
    goal = fitted.intervene({"b": 0.7}, x=now).x
    allowed = {"a": [0.0, 1.0], "b": lcm.Range(-2, 2)}
    found = fitted.plan(now, goal, allowed, points=17)
    np.testing.assert_array_equal(found.values, reasoning.plan(fitted, now, goal, allowed, points=17).values)
    assert found.intervention(0)["b"] == pytest.approx(0.7, abs=0.01)


def test_exchange(fitted):
    adjacency = fitted.adjacency()
    graph = fitted.causal_graph()
    assert tuple(graph.nodes) == fitted.names
    np.testing.assert_array_equal(nx.to_numpy_array(graph), adjacency)
    assert fitted.edge_list() == [(fitted.names[i], fitted.names[j]) for i, j in np.argwhere(adjacency)]
    cut = fitted.causal_graph(do=["b"])
    assert sorted(set(graph.edges) - set(cut.edges)) == sorted(graph.in_edges("b"))
    assert set(cut.edges) <= set(graph.edges)
    with pytest.raises(ValueError, match="do: got 'd', expected some of a, b, c"):
        fitted.causal_graph(do=["d"])


def test_exchange_with_probabilities(fitted):
    full, part = np.triu(np.ones((3, 3)), 1), np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    posterior = posterior_of(fitted, full, full, full, part)
    graph = fitted.causal_graph(posterior=posterior)
    probabilities = {(parent, child): data["probability"] for parent, child, data in graph.edges(data=True)}
    assert probabilities == {("a", "b"): 1.0, ("a", "c"): 0.75, ("b", "c"): 0.75}
    assert fitted.edge_list(posterior=posterior, threshold=0.9) == [("a", "b")]
    assert '"a" -> "c" [label="0.75"];' in fitted.to_dot(posterior=posterior)
    assert '"c"' not in fitted.to_dot(posterior=posterior, do=["c"]).split("->")[-1]
    with pytest.raises(ValueError, match="posterior: got one over u, v, w, expected one over a, b, c"):
        fitted.causal_graph(posterior=posterior_of(fitted, full, names=("u", "v", "w")))


@pytest.mark.filterwarnings("ignore")  # of DoWhy and what it imports
def test_dowhy(fitted):
    pytest.importorskip("dowhy", reason="needs the extra `dowhy`")
    assert sorted(fitted.to_dowhy().graph.nodes) == ["a", "b", "c"]


class TestModelsWithoutRelations:
    """A dVAE has solution functions of their own noise alone; a beta-VAE has none."""

    def fitted(self, name):
        model, guide = build(Architecture(name, dim_x=3, dim_z=3, flow_layers=0), seed=0)
        rng = np.random.default_rng(0)
        pairs = lcm.InterventionPairs(rng.normal(size=(100, 3)), rng.normal(size=(100, 3)))
        phases = (lcm.Phase("one", 1, batch_size=10),)
        return lcm.LatentCausalModel(model, guide).fit(pairs, phases=phases, progress=False), pairs

    def test_no_variable_moves_another(self):
        model, pairs = self.fitted("dvae")
        found = model.intervene({"z1": 1.0}, x=pairs.x)
        np.testing.assert_array_equal(found.causal[:, 1:], found.before[:, 1:])

    def test_without_solution_functions_it_raises(self):
        model, pairs = self.fitted("beta_vae")
        for ask in (model.program, lambda: model.intervene({"z1": 1.0}, x=pairs.x), model.average_effects):
            with pytest.raises(ValueError, match="solution functions"):
                ask()


def test_before_the_fit_it_says_so():
    model = lcm.LatentCausalModel("ilcm")
    for ask in (model.program, model.density_program, lambda: model.intervene({"z1": 1.0}), model.causal_graph):
        with pytest.raises(RuntimeError, match="not fitted"):
            ask()
