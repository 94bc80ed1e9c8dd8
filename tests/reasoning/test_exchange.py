"""Graphs for other tools, and DoWhy's answers on our mechanisms."""

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from pyro_lcm.causal.dag import ancestors, random_dag
from pyro_lcm.data.mechanisms import LinearMechanisms
from pyro_lcm.discovery.arviz_compat import make_container
from pyro_lcm.reasoning import (
    KnownStructure,
    causal_graph,
    edge_list,
    edge_probabilities,
    intervene,
    mutilated,
    to_dot,
    to_dowhy,
)

NAMES = ["a", "b", "c"]
ADJACENCY = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])


@pytest.fixture
def posterior():
    draws = np.stack([ADJACENCY, ADJACENCY, ADJACENCY, np.triu(ADJACENCY, 2)])[None].astype(np.int8)
    dataset = xr.Dataset(
        {"adjacency": (("chain", "draw", "parent", "child"), draws)}, coords={"parent": NAMES, "child": NAMES}
    )
    return make_container({"posterior": dataset}, {})


def test_mutilated_cuts_edges_into_the_targets():
    assert mutilated(ADJACENCY, [0]).tolist() == ADJACENCY.tolist()
    assert mutilated(ADJACENCY, [2, 3]).tolist() == np.zeros((3, 3)).tolist()
    with pytest.raises(ValueError, match=r"targets: got 4, expected 0 \(none\) to 3"):
        mutilated(ADJACENCY, [4])


def test_probabilities_are_on_the_edges(posterior):
    probability, names = edge_probabilities(posterior)
    assert names == ("a", "b", "c")
    assert probability.tolist() == [[0, 0.75, 1], [0, 0, 0.75], [0, 0, 0]]
    graph = causal_graph(posterior=posterior, threshold=0.8)
    assert list(graph.edges(data="probability")) == [("a", "c", 1.0)]
    assert list(graph.nodes) == NAMES
    whole = causal_graph(ADJACENCY, posterior=posterior)
    assert nx.is_directed_acyclic_graph(whole)
    assert edge_list(whole) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert '"a" -> "b" [label="0.75"];' in to_dot(whole)


def test_names_are_quoted_in_dot():
    assert '"say \\"hi\\"";' in to_dot(causal_graph([[0]], ['say "hi"']))


def test_wrong_arguments_raise(posterior):
    with pytest.raises(ValueError, match="neither a graph nor a posterior"):
        causal_graph()
    with pytest.raises(ValueError, match="names: got"):
        causal_graph(ADJACENCY, ["a", "a", "b"])
    with pytest.raises(ValueError, match="posterior: is over 3 variables, expected 2"):
        causal_graph([[0, 1], [0, 0]], ["a", "b"], posterior=posterior)
    with pytest.raises(ValueError, match="expected 'adjacency'"):
        edge_probabilities(make_container({"posterior": xr.Dataset({"other": ("chain", [1.0])})}, {}))


def test_columns_of_any_strides_are_taken():
    """DoWhy hands over views, of columns in reverse order too: what [[0,0,0],[1,0,0],[1,1,0]] made it do."""
    from pyro_lcm.reasoning.dowhy_gcm import _given

    adjacency = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    scm = KnownStructure(LinearMechanisms(adjacency, np.random.default_rng(0)), adjacency)
    values = np.random.default_rng(1).normal(size=(4, 2))
    for view in (values[:, ::-1], values[::-1], values.T[::-1].T, np.asfortranarray(values)):
        expected = view @ scm.mechanisms.weights[[1, 2], 0].numpy()
        np.testing.assert_allclose(_given(scm, 0, [1, 2], view).location, expected)


def random_structures(number):
    rng = np.random.default_rng(2)
    for _ in range(number):
        adjacency = random_dag(int(rng.integers(1, 7)), float(rng.uniform()), rng)
        yield adjacency, KnownStructure(LinearMechanisms(adjacency, rng), adjacency)


def test_networkx_graphs_are_those_of_the_adjacency():
    for adjacency, scm in random_structures(200):
        graph = causal_graph(adjacency, scm.names)
        np.testing.assert_array_equal(nx.to_numpy_array(graph, nodelist=scm.names), adjacency)
        assert set(edge_list(graph)) == {(scm.names[i], scm.names[j]) for i, j in np.argwhere(adjacency)}
        pairs = {(scm.names[i], scm.names[j]) for i, j in np.argwhere(ancestors(adjacency))}
        assert set(nx.transitive_closure_dag(graph).edges) == pairs


@pytest.mark.filterwarnings("ignore")  # of DoWhy and what it imports
def test_dowhy_takes_random_graphs():
    pytest.importorskip("dowhy", reason="needs the extra `dowhy`")
    import pandas as pd
    from dowhy import gcm

    for adjacency, scm in random_structures(200):
        z = np.random.default_rng(0).normal(size=(5, scm.dim))
        name = scm.names[-1]
        expected = intervene(scm, {name: 0.5}, x=z).causal
        frame = pd.DataFrame(z, columns=scm.names)
        found = gcm.counterfactual_samples(to_dowhy(scm), {name: lambda natural: 0.5}, observed_data=frame)
        np.testing.assert_allclose(found[list(scm.names)], expected, atol=1e-9, err_msg=str(adjacency))


@pytest.mark.filterwarnings("ignore")  # of pgmpy and what it imports
def test_pgmpy_takes_random_graphs():
    pgmpy = pytest.importorskip("pgmpy.base", reason="pgmpy is not installed")
    for adjacency, scm in random_structures(200):
        dag = pgmpy.DAG(edge_list(causal_graph(adjacency, scm.names)))
        assert {tuple(edge) for edge in dag.edges()} == set(edge_list(causal_graph(adjacency, scm.names)))


@pytest.mark.filterwarnings("ignore")  # of DoWhy and what it imports
def test_dowhy_gives_our_answers(linear):
    pytest.importorskip("dowhy", reason="needs the extra `dowhy`")
    import pandas as pd
    from dowhy import gcm

    scm = linear[0]
    z = np.random.default_rng(0).normal(size=(20, 3))
    expected = intervene(scm, {"b": lambda natural: natural + 1.0, "a": 0.5}, x=z).causal
    actions = {"b": lambda natural: natural + 1.0, "a": lambda natural: 0.5}
    model = to_dowhy(scm)
    found = gcm.counterfactual_samples(model, actions, observed_data=pd.DataFrame(z, columns=scm.names))
    np.testing.assert_allclose(found[list(scm.names)], expected, atol=1e-9)
    drawn = gcm.draw_samples(model, 5000)
    # five standard errors of a standard deviation from 5,000 draws
    truth = scm.solve(scm.zero.new_tensor(np.random.default_rng(1).normal(size=(100_000, 3)))).causal.numpy().std(0)
    np.testing.assert_allclose(drawn[list(scm.names)].std(), truth, rtol=0.05)
