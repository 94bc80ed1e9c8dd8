"""Every model of pairs that has a name can be fitted, read, checked, scored, saved and loaded."""

import numpy as np
import pytest
import torch

from pyro_lcm import InterventionPairs, LatentCausalModel, simulate_scaling
from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS, build, spec_of
from tables import each_row

WITHOUT_GRAPH = {"ada_gvae", "ada_ml_vae", "gvae", "ml_vae", "beta_vae"}
CASES = {name: {} for name, spec in SPECS.items() if not (spec.temporal or spec.blocks)} | {
    f"elcm, {graph}": {"graph": graph} for graph in ("permutations", "edges", "all")
}
CASES["soft_elcm, all"] = {"graph": "all"}


@pytest.fixture(scope="module", params=CASES)
def named(request, train):
    """A name and a short fit."""
    name = request.param.split(",")[0]
    pairs = train.with_known_targets() if spec_of(name).known_targets else train
    budget = Budget(unmix=60, refine=40, solutions=200, batch_size=256)
    model = LatentCausalModel(name, options=CASES[request.param])
    return name, model.fit(pairs, budget=budget, seed=0, progress=False)


def test_latents_are_read(named, held_out):
    _, model = named
    encoding = model.encode(held_out.x)
    for part in (encoding.noise, encoding.noise_sd, encoding.causal, encoding.causal_sd):
        assert part.shape == held_out.z.shape
        assert np.isfinite(part).all()
    assert (encoding.noise_sd > 0).all()
    assert model.decode(encoding.noise).shape == held_out.x.shape


def test_targets_are_inferred_where_there_are_any(named, held_out):
    name, model = named
    if name == "beta_vae":
        with pytest.raises(ValueError, match="beta_vae, which has no intervention targets"):
            model.infer_targets(held_out.x, held_out.x_after)
        return
    probabilities = model.infer_targets(held_out.x, held_out.x_after)
    assert probabilities.shape == (len(held_out), 4)
    if name == "soft_ilcm_subsets":  # column i says whether variable i is a target, perhaps among others
        assert ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all()
        return
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-4)


def test_pairs_are_sampled(named):
    name, model = named
    pairs = model.sample(200, seed=1)
    moved = ~np.isclose(pairs.noise, pairs.noise_after)
    if name in WITHOUT_GRAPH:
        assert pairs.targets is None
        assert moved.all()
        with pytest.raises(ValueError, match="targets: got some for a model without"):
            model.sample(2, targets=[0, 1])
    else:
        several = name == "soft_ilcm_subsets"
        hit = pairs.targets == 1 if several else pairs.targets[:, None] == np.arange(1, 4)
        np.testing.assert_array_equal(moved, hit)
        assert several == (hit.sum(1) > 1).any()
        expected = [0, 1, 0] if several else 2
        assert (model.sample(5, targets=[2] * 5).targets == expected).all()
    np.testing.assert_allclose(model.fitted.model.dim_z, pairs.z.shape[1])
    again = model.sample(200, seed=1)
    np.testing.assert_array_equal(pairs.x_after, again.x_after)


def test_the_graph_is_acyclic_or_an_error(named):
    name, model = named
    if name in WITHOUT_GRAPH:
        with pytest.raises(ValueError, match=f"{name}, which has no graph"):
            model.adjacency()
        return
    adjacency = model.adjacency()
    assert adjacency.dtype == np.int8
    assert not np.linalg.matrix_power(adjacency.astype(int), 3).any()
    assert name != "dvae" or not adjacency.any()


def test_variables_are_set_where_there_are_mechanisms(named, held_out):
    name, model = named
    if name in WITHOUT_GRAPH:
        with pytest.raises(ValueError, match="expected a model with solution functions or mechanisms"):
            model.intervene({"z1": 0.5}, x=held_out.x[:4])
        return
    result = model.intervene({"z1": 0.5, "z3": -1.0}, x=held_out.x[:4])
    np.testing.assert_allclose(result.causal[:, [0, 2]], [[0.5, -1.0]] * 4, atol=1e-4)


def test_checks_and_scores(named, held_out):
    name, model = named
    assert np.isfinite(model.check(held_out).elbo)
    scores = model.evaluate(held_out, dci_rows=300)
    assert (scores["shd"] is None) == (name in WITHOUT_GRAPH)
    assert (scores["intervention_accuracy"] is None) == (name == "beta_vae")
    assert scores["disentanglement"] is not None


def test_a_loaded_model_is_the_saved_one(named, held_out, tmp_path):
    _, model = named
    model.save(tmp_path)
    loaded = LatentCausalModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.encode(held_out.x).causal, model.encode(held_out.x).causal)
    assert loaded.has_graph == model.has_graph
    if model.has_graph:
        np.testing.assert_array_equal(loaded.adjacency(), model.adjacency())
    assert loaded.elbo(held_out[:100]) == model.elbo(held_out[:100])


@pytest.mark.parametrize("options", [{}, {"graph": "all"}])
def test_the_explicit_model_finds_a_chain(train, held_out, options):
    budget = Budget(refine=100, solutions=800, batch_size=256)
    model = LatentCausalModel("elcm", options=options).fit(train, budget=budget, seed=0, progress=False)
    scores = model.evaluate(held_out, dci_rows=500)
    assert scores["mcc"] > 0.99
    assert scores["shd"] == 0
    outcome = model.intervene({"z2": 1.0}, x=held_out.x[:50])
    assert np.allclose(outcome.causal[:, 1], 1.0)
    assert np.abs(model.encode(outcome.x).causal - outcome.causal).max() < 0.1
    child = model.adjacency()[1].argmax() if model.adjacency()[1].any() else None
    changed = np.abs(outcome.causal - outcome.before).max(0) > 1e-3
    assert child is None or changed[child]
    roots = model.adjacency().sum(0) == 0
    assert not changed[roots & (np.arange(3) != 1)].any()


def test_known_targets_are_asked_for(train):
    with pytest.raises(ValueError, match=r"^targets: got none that are known, expected some for gvae"):
        LatentCausalModel("gvae").fit(train, progress=False)


def test_sets_of_targets_are_for_models_that_take_them(train):
    sets = np.zeros(train.z.shape, dtype=int)
    pairs = InterventionPairs(train.x, train.x_after, targets=sets).with_known_targets()
    with pytest.raises(ValueError, match=r"^targets: got sets of variables, expected single ones for ilcm"):
        LatentCausalModel("ilcm").fit(pairs, progress=False)


@each_row(
    ("fields", "message"),
    [
        ({"model": "elcm", "graph": "tree"}, "^graph: got 'tree'"),
        ({"model": "elcm", "graph": "all", "dim_z": 6, "dim_x": 6}, "^graph: got 'all' for 6 variables"),
        ({"model": "elcm", "edge_penalty": -1.0}, "^edge_penalty: got -1.0"),
        ({"model": "soft_ilcm_subsets", "dim_x": 9, "dim_z": 9}, "^dim_z: got 9, expected at most 8"),
        ({"model": "soft_ilcm", "dim_x": 5}, "^dim_z: got 3, expected 5"),
        ({"model": "soft_elcm", "graph": "edges", "dim_z": 6, "dim_x": 6}, "^graph: got 'edges' for 6 variables"),
        ({"model": "soft_elcm", "dim_x": 5}, "^dim_z: got 3, expected 5: soft_elcm"),
        ({"model": "soft_ilcm", "spline_bins": 4}, "^spline_bins: got 4"),
    ],
)
def test_options_that_do_not_suit_a_model_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        build(Architecture(**({"dim_x": 3, "dim_z": 3} | fields)))


def test_the_same_seed_gives_the_same_model_whatever_was_drawn_before():
    pairs = simulate_scaling(dim=2, n=1500, seed=0, mixing="leaky_relu", mechanisms="nonlinear")
    codes = []
    for before in (1, 2):
        torch.manual_seed(before)
        model = LatentCausalModel("ada_gvae").fit(pairs, budget=Budget(fit=5, refine=2), seed=0, progress=False)
        codes.append(model.encode(pairs.x[:20]).noise)
    np.testing.assert_array_equal(*codes)
