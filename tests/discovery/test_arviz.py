"""The container of the installed ArviZ, below 1.0 and from 1.0: groups, dimensions, netCDF."""

import numpy as np
import pytest
import xarray as xr

from pyro_lcm.discovery.arviz_compat import (
    arviz_module,
    effective_sample_size,
    group,
    group_names,
    save_container,
    uses_data_tree,
)
from pyro_lcm.discovery.draws import GraphDraws, combine_draws
from pyro_lcm.discovery.exact import exact_posterior
from pyro_lcm.discovery.posterior import draw_graphs, graph_posterior, graph_score, to_container
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from tables import each_row


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3))
    values[:, 1] += 2 * values[:, 0]
    return GraphData(values, targets=rng.integers(0, 4, size=40), names=("raf", "mek", "erk"))


@pytest.fixture(scope="module")
def container(data):
    return graph_posterior(data, draws=250, chains=2, seed=3)


def test_native_container(container):
    expected = xr.DataTree if uses_data_tree() else arviz_module().InferenceData
    assert isinstance(container, expected)


def test_groups_and_dimensions(container, data):
    assert set(group_names(container)) == {"posterior", "sample_stats", "observed_data", "constant_data"}
    posterior = group(container, "posterior")
    assert posterior["adjacency"].dims == ("chain", "draw", "parent", "child")
    assert posterior["adjacency"].dtype == np.int8
    assert posterior["ancestors"].dims == ("chain", "draw", "ancestor", "descendant")
    assert posterior["effect"].dims == ("chain", "draw", "cause", "outcome")
    assert posterior["log_score"].dims == ("chain", "draw")
    assert posterior.sizes["chain"] == 2
    assert posterior.sizes["draw"] == 250
    assert list(posterior["child"].values) == ["raf", "mek", "erk"]
    observed = group(container, "observed_data")
    np.testing.assert_array_equal(observed["values"], data.values)
    np.testing.assert_array_equal(observed["targets"], data.targets)


def test_values_agree_with_the_engine(container, data):
    score = BGeScore(data.in_own_units()[0])
    posterior, stats = group(container, "posterior"), group(container, "sample_stats")
    adjacency = posterior["adjacency"].values
    np.testing.assert_allclose(posterior["log_score"], score.total(adjacency))
    np.testing.assert_allclose(stats["lp"], score.total(adjacency))  # uniform prior
    exact = exact_posterior(score)
    np.testing.assert_allclose(group(container, "constant_data")["edge_probability"], exact.edge_probability)
    np.testing.assert_allclose(group(container, "constant_data")["ancestor_probability"], exact.ancestor_probability)
    assert container.attrs["log_evidence"] == pytest.approx(exact.log_evidence)
    assert container.attrs["method"] == "exact"


def test_round_trip_through_netcdf(container, tmp_path):
    path = tmp_path / "posterior.nc"
    save_container(container, path)
    again = arviz_module().from_netcdf(path)
    assert type(again) is type(container)
    assert group_names(again) == group_names(container)
    for name in group_names(container):
        xr.testing.assert_identical(group(again, name), group(container, name))
        for variable in group(container, name).variables:
            assert group(again, name)[variable].dtype.kind == group(container, name)[variable].dtype.kind
    assert group(again, "posterior")["adjacency"].dtype == np.int8
    assert dict(again.attrs) == pytest.approx(dict(container.attrs))
    assert [p.name for p in tmp_path.iterdir()] == ["posterior.nc"]


def test_missing_group(container):
    with pytest.raises(ValueError, match="prior_predictive"):
        group(container, "prior_predictive")


def test_effective_sample_size_of_independent_draws():
    """1000 independent draws: within a quarter of 1000 for 20 seeds out of 20."""
    draws = np.random.default_rng(0).random((4, 250, 20)) < 0.3
    assert (np.abs(effective_sample_size(draws) - 1000) < 250).all()


def test_order_modular_prior_leaves_lp_out(data):
    found = graph_posterior(data, prior=GraphPrior(order_modular=True), draws=10, effects=False)
    assert "sample_stats" not in group_names(found)
    assert "effect" not in group(found, "posterior")


def test_plain_array_and_score_by_name(data):
    found = graph_posterior(data.values, score="linear", draws=10, chains=1)
    assert list(group(found, "posterior")["parent"].values) == ["x1", "x2", "x3"]
    assert graph_score("nonlinear", data).names == data.names


def test_same_seed_same_draws(data):
    a, b, c = (graph_posterior(data, draws=50, seed=seed) for seed in (1, 1, 2))
    first, second, third = (group(x, "posterior") for x in (a, b, c))
    xr.testing.assert_identical(first, second)
    assert not first["adjacency"].equals(third["adjacency"])


@each_row(
    ("settings", "message"),
    [
        ({"score": "aic"}, "score"),
        ({"score": 3}, "LocalScore"),
        ({"method": "magic"}, "method"),
        ({"draws": 0}, "draws"),
        ({"chains": 0}, "chains"),
        ({"prior": GraphPrior(required=((0, 7),))}, "prior"),
    ],
)
def test_bad_arguments(data, settings, message):
    with pytest.raises(ValueError, match=message):
        graph_posterior(data, **settings)


def test_score_of_other_variables(data):
    with pytest.raises(ValueError, match="is about"):
        graph_posterior(data, score=BGeScore(GraphData(data.values)))


def test_exact_beyond_its_reach_says_so():
    with pytest.raises(ValueError, match=r"method: exact .* with 20 variables, expected at most 14; use mcmc"):
        graph_posterior(np.random.default_rng(0).normal(size=(30, 20)), method="exact")


def parts(count, names=("a", "b")):
    rng = np.random.default_rng(0)
    return [
        GraphDraws(
            adjacency=np.stack([np.triu(rng.integers(0, 2, (2, 2)), 1) for _ in range(6)])[None],
            log_score=rng.normal(size=(1, 6)),
            method="mcmc",
            names=names,
            edge_probability=np.full((2, 2), float(i)),
            stats={"accepted": rng.normal(size=(1, 6))},
        )
        for i in range(count)
    ]


def test_fits_become_chains_and_target_draws_become_draws():
    three = parts(3)
    chains, draws = combine_draws(three, "chain"), combine_draws(three, "draw")
    assert chains.adjacency.shape == (3, 6, 2, 2)
    assert draws.adjacency.shape == (1, 18, 2, 2)
    assert chains.stats["accepted"].shape == (3, 6)
    np.testing.assert_array_equal(draws.log_score[0, 6:12], three[1].log_score[0])
    np.testing.assert_allclose(chains.edge_probability, 1.0)
    assert combine_draws(three[:1], "chain") is three[0]
    assert group(to_container(chains), "posterior").sizes["chain"] == 3


@each_row(
    ("given", "along", "message"),
    [
        ([], "chain", "parts"),
        (parts(1) + parts(1, names=("a", "c")), "chain", "names"),
        (parts(2), "row", "along"),
        ([parts(1)[0], combine_draws(parts(2), "draw")], "chain", "differ only"),
    ],
)
def test_draws_that_do_not_go_together(given, along, message):
    with pytest.raises(ValueError, match=message):
        combine_draws(given, along)


@each_row(
    ("settings", "message"),
    [
        ({"adjacency": np.zeros((4, 2, 2))}, "adjacency"),
        ({"adjacency": np.full((1, 4, 2, 2), 2)}, "0 and 1"),
        ({"log_score": np.zeros(4)}, "log_score"),
        ({"stats": {"lp": np.zeros((2, 4))}}, "lp"),
        ({"edge_probability": np.zeros(2)}, "edge_probability"),
    ],
)
def test_draws_of_a_wrong_shape(settings, message):
    good = {"adjacency": np.zeros((1, 4, 2, 2)), "log_score": np.zeros((1, 4))}
    with pytest.raises(ValueError, match=message):
        GraphDraws(**{**good, **settings}, method="vi", names=("a", "b"))


def test_auto_is_exact_for_few_variables(data):
    assert draw_graphs(BGeScore(data), GraphPrior(), draws=5, chains=1).method == "exact"
