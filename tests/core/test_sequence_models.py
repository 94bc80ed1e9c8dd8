"""Models of sequences are fitted, read, scored, saved, loaded and gone on with as models of pairs are."""

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, InterventionSequences, LatentCausalModel, VoronoiSystem, simulate_scaling
from pyro_lcm.data.pong import PongSystem
from pyro_lcm.images.frame_code import fit_frame_code

FEW = Budget(fit=60, reconstruct=20, batch_size=128)
SYSTEM = VoronoiSystem(3, seed=0, mixing="linear")


@pytest.fixture(scope="module")
def sequences():
    return SYSTEM.sample(5000, episodes=50)


@pytest.fixture(scope="module")
def model(sequences, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a"
    return LatentCausalModel("citris").fit(sequences, seed=0, budget=FEW, out=folder, device="cpu", progress=False)


def test_variables_and_their_graph_in_time_are_found(model):
    scores = model.evaluate(SYSTEM.independent(3000))
    assert scores["r2_diag"] > 0.95
    assert scores["r2_sep"] < 0.05
    assert scores["temporal_shd"] <= 1
    assert scores["triplet_r2"] > 0.9
    assert model.model.assignment.tolist() == [1, 2, 3]


def test_latents_are_read_and_written_back(model, sequences):
    encoding = model.encode(sequences.x[:50])
    assert encoding.causal.shape == (50, 3)
    np.testing.assert_array_equal(encoding.noise_sd, 0)
    np.testing.assert_allclose(model.decode(encoding.noise), sequences.x[:50], atol=1e-3)


def test_a_run_is_loaded_as_it_was(model, sequences):
    again = LatentCausalModel.load(model._folder)
    np.testing.assert_array_equal(again.encode(sequences.x).causal, model.encode(sequences.x).causal)
    assert again.elbo(sequences) == pytest.approx(model.elbo(sequences))
    assert torch.equal(again.model.temporal_adjacency, model.model.temporal_adjacency)


def test_a_run_that_was_cut_off_ends_as_it_would_have(model, sequences, tmp_path):
    parts = Budget(fit=60, reconstruct=20, batch_size=128)
    whole = LatentCausalModel("citris").fit(
        sequences, seed=0, budget=parts, out=tmp_path / "b", device="cpu", progress=False
    )
    for name in ("config.yaml", "model.safetensors"):
        (tmp_path / "b" / name).unlink()
    again = LatentCausalModel("citris").fit(
        sequences, seed=0, budget=parts, out=tmp_path / "b", device="cpu", progress=False, resume=True
    )
    np.testing.assert_array_equal(again.encode(sequences.x).causal, whole.encode(sequences.x).causal)


def test_wider_observations_have_a_decoder(sequences):
    few = sequences.chosen(range(6))
    wide = np.concatenate([few.x, np.tanh(few.x)], 1)
    seen = InterventionSequences(wide, few.targets, lengths=few.lengths, z=few.z)
    short = Budget(fit=5, reconstruct=5, batch_size=64)
    model = LatentCausalModel("citris", dim_z=3).fit(seen, seed=0, budget=short, device="cpu", progress=False)
    assert model.encode(wide[:10]).causal.shape == (10, 3)
    assert model.decode(model.encode(wide[:10]).noise).shape == (10, 6)
    assert model.evaluate(seen, dci_rows=200)["r2_diag"] is not None


def test_truth_has_no_part_in_a_fit(model, sequences):
    bare = InterventionSequences(sequences.x, sequences.targets, lengths=sequences.lengths)
    again = LatentCausalModel("citris").fit(bare, seed=0, budget=FEW, device="cpu", progress=False)
    np.testing.assert_array_equal(again.encode(sequences.x).causal, model.encode(sequences.x).causal)
    assert again.evaluate(bare)["r2_diag"] is None


def test_pairs_and_sequences_are_told_apart(model, sequences):
    pairs = simulate_scaling(dim=3, n=200, seed=0)
    with pytest.raises(ValueError, match=r"^pairs: got pairs for citris, expected InterventionSequences"):
        LatentCausalModel("citris").fit(pairs, progress=False)
    with pytest.raises(ValueError, match=r"^sequences: got sequences for ilcm, expected InterventionPairs"):
        LatentCausalModel("ilcm").fit(sequences, progress=False)
    with pytest.raises(ValueError, match=r"^validation: got sequences beside pairs"):
        LatentCausalModel("ilcm").fit(pairs, validation=sequences, progress=False)
    with pytest.raises(ValueError, match=r"citris, which has no intervention targets"):
        model.infer_targets(sequences.x[:2], sequences.x[:2])


def test_what_is_for_pairs_alone_says_so(model, sequences):
    for refused in (model.check, model.fine_tune):
        with pytest.raises(ValueError, match=r"^pairs: got InterventionSequences for citris, expected pairs"):
            refused(sequences)
    with pytest.raises(ValueError, match=r"^pairs: got InterventionPairs for citris"):
        model.evaluate(sequences.transitions())


@pytest.mark.parametrize(("value", "how"), [(0, "no"), (1, "every")])
def test_a_variable_that_was_never_or_always_a_target_is_refused(sequences, value, how):
    targets = np.array(sequences.targets)
    targets[:, 1] = value
    with pytest.raises(ValueError, match=rf"^targets: got variable 2 set at {how} step to train on"):
        LatentCausalModel("citris").fit(
            InterventionSequences(sequences.x, targets, lengths=sequences.lengths), progress=False
        )


def test_pairs_are_not_drawn_from_a_model_of_sequences(model):
    with pytest.raises(ValueError, match=r"^sample: got a model of sequences"):
        model.sample(3)


def test_too_few_latents_are_refused(sequences):
    with pytest.raises(ValueError, match=r"^dim_z: got 2, expected at least 3"):
        LatentCausalModel("citris", dim_z=2).fit(sequences, progress=False)


def test_images_are_encoded_by_networks_of_their_own(tmp_path):
    system = VoronoiSystem(2, seed=0, mixing="linear", size=8)
    seen = system.sample(600, episodes=6)
    few = Budget(fit=3, reconstruct=3, batch_size=16)
    how = {"seed": 0, "budget": few, "device": "cpu", "progress": False}
    model = LatentCausalModel("citris", dim_z=2).fit(seen, out=tmp_path / "a", **how)
    found = model.encode(seen.x[:20])
    assert found.causal.shape == (20, 2)
    assert (found.noise_sd > 0).all()
    assert model.decode(found.noise).shape == (20, 3, 8, 8)
    again = LatentCausalModel.load(tmp_path / "a")
    np.testing.assert_array_equal(again.encode(seen.x[:20]).causal, found.causal)
    with pytest.raises(ValueError, match=r"^dim_z: got none for images"):
        LatentCausalModel("citris").fit(seen, **how)
    grey = np.arange(60, dtype=np.uint8)[:, None, None, None]
    tall = InterventionSequences(np.broadcast_to(grey, (60, 3, 8, 16)), np.arange(118).reshape(59, 2) // 2 % 2)
    with pytest.raises(ValueError, match=r"^x: got frames of shape \(3, 8, 16\)"):
        LatentCausalModel("citris", dim_z=2).fit(tall, **how)


def test_graphs_of_both_kinds_have_a_posterior(model, sequences):
    posterior = model.graph_posterior(sequences, rows=500, draws=50, chains=2)["posterior"]["adjacency"]
    assert posterior.parent.values.tolist() == ["z1_before", "z2_before", "z3_before", "z1", "z2", "z3"]
    edges = posterior.mean(("chain", "draw")).values
    assert not edges[:, :3].any()
    assert not edges[3:].any()  # CITRIS knows of no effect within a frame
    np.testing.assert_array_equal(edges[:3, 3:] > 0.5, SYSTEM.graphs[0])
    with pytest.raises(ValueError, match=r"^fits: got 1 beside sequences"):
        model.graph_posterior(sequences, fits=[model])
    with pytest.raises(ValueError, match=r"^rows: got 0"):
        model.graph_posterior(sequences, rows=0)


def test_the_next_frame_is_predicted_with_an_interval_that_covers(model, sequences):
    new = SYSTEM.sample(1500, episodes=15, seed=5)
    steps = new.transitions()
    predicted = model.predict_next(steps.x, seen=SYSTEM.sample(1500, episodes=15, seed=6), draws=20)
    after = model.encode(steps.x_after).causal
    runs = new.targets == 0
    covered = (predicted.causal_low <= after) & (after <= predicted.causal_high)
    assert covered[runs].mean() == pytest.approx(0.9, abs=0.03)
    # Most of the next frame is known, and the mean is right.
    residual = (after - predicted.causal)[runs]
    assert residual.std() < 0.5 * after[runs].std()
    assert abs(residual.mean()) < 0.1
    inside = (predicted.x_low <= steps.x_after) & (steps.x_after <= predicted.x_high)
    assert inside[runs.all(1)].mean() == pytest.approx(0.9, abs=0.05)


def test_what_is_set_is_set_and_nothing_else_without_effects_within_a_frame(model, sequences):
    x = sequences.x[:20]
    natural, changed = model.predict_next(x, draws=10), model.predict_next(x, {"z2": 1.5}, draws=10)
    np.testing.assert_allclose(changed.causal[:, 1], 1.5, rtol=1e-6)
    np.testing.assert_allclose(changed.causal[:, [0, 2]], natural.causal[:, [0, 2]])
    assert natural.x_low is None
    assert np.abs(changed.x - natural.x).max() > 0.1
    for wrong, message in (({"z9": 1.0}, "values: got z9"), ({"z1": np.nan}, "values: got z1=nan")):
        with pytest.raises(ValueError, match=message):
            model.predict_next(x, wrong)
    with pytest.raises(ValueError, match="draws, level: got 5"):
        model.predict_next(x, draws=5)
    with pytest.raises(ValueError, match="seen: got 39 steps, expected at least 50"):
        model.predict_next(x, seen=sequences.chosen([0]).split(0.4)[0])


def test_the_assignment_is_charged_once_however_a_data_set_is_cut(model, sequences, monkeypatch):
    whole = model.elbo(sequences)
    monkeypatch.setattr("pyro_lcm.fitting.fitted._ROWS", 700)
    assert model.elbo(sequences) == pytest.approx(whole, abs=1e-4)


def test_effects_within_a_frame_are_found(tmp_path):
    system = VoronoiSystem(3, seed=0, mixing="linear", instantaneous=0.7)
    assert system.graphs[1].sum() == 2
    short = Budget(fit=300, batch_size=128)
    model = LatentCausalModel("icitris", options={"flow_layers": 0, "solution_hidden": (16,)}).fit(
        system.sample(6000), seed=0, budget=short, out=tmp_path / "a", device="cpu", progress=False
    )
    scores = model.evaluate(system.independent(2000), dci_rows=2000)
    assert scores["r2_diag"] > 0.9
    assert scores["shd"] <= 1
    again = LatentCausalModel.load(tmp_path / "a")
    np.testing.assert_array_equal(again.adjacency(), model.adjacency())
    with pytest.raises(ValueError, match=r"^dim_z: got 2, expected at least 3"):
        LatentCausalModel("icitris", dim_z=2).fit(system.sample(600), progress=False)


def test_variables_are_found_from_actions_alone(tmp_path):
    system = VoronoiSystem(3, seed=0, mixing="linear", actions=4)
    sequences = system.sample(8000)
    assert sequences.targets.sum(1).tolist() == [1] * len(sequences)
    how = {"seed": 0, "budget": Budget(fit=150, batch_size=256), "device": "cpu", "progress": False}
    simple = {"flow_layers": 0, "solution_hidden": (16,)}
    model = LatentCausalModel("biscuit", options=simple).fit(sequences, out=tmp_path / "a", **how)
    scores = model.evaluate(system.independent(2000), dci_rows=2000)
    assert scores["r2_diag"] > 0.95
    assert scores["r2_sep"] < 0.05
    assert scores["interaction_accuracy"] == 1.0
    assert scores["temporal_shd"] <= 2
    again = LatentCausalModel.load(tmp_path / "a")
    np.testing.assert_array_equal(again.encode(sequences.x).causal, model.encode(sequences.x).causal)
    edges = model.graph_posterior(sequences, rows=300, draws=20, chains=1)["posterior"]["adjacency"]
    assert edges.sizes["parent"] == 6
    with pytest.raises(ValueError, match=r"^model: got biscuit, whose steps need an action"):
        model.predict_next(sequences.x[:3])
    with pytest.raises(ValueError, match=r"^targets: got 3 columns, expected 4 as in the fit"):
        model.evaluate(SYSTEM.independent(200))


def test_codes_of_frames_can_be_modelled_in_their_place(tmp_path):
    seen = PongSystem().sample(400, episodes=4)
    how = {"device": "cpu", "progress": False}
    code = fit_frame_code(seen, 6, seed=0, steps=30, **how)
    codes = code.encode(torch.as_tensor(seen.x) / 255).detach()
    torch.testing.assert_close(codes.std(0), torch.ones(6), atol=0.1, rtol=0)
    few = Budget(fit=5, batch_size=64)
    model = LatentCausalModel("citris", dim_z=6).fit(seen, seed=0, budget=few, code=code, out=tmp_path / "a", **how)
    found = model.encode(seen.x[:20])
    assert found.causal.shape == (20, 6)
    assert not found.noise_sd.any()  # a flow of codes, which tells latents exactly
    assert model.decode(found.noise).shape == (20, 3, 32, 32)
    again = LatentCausalModel.load(tmp_path / "a")
    np.testing.assert_allclose(again.encode(seen.x[:20]).causal, found.causal, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"^sequences: got frames of shape \(3,\), expected images"):
        fit_frame_code(SYSTEM.sample(200), 3, seed=0)
    with pytest.raises(ValueError, match=r"^dim: got 0"):
        fit_frame_code(seen, 0, seed=0)
