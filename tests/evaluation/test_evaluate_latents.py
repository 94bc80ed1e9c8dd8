import subprocess
import sys

import numpy as np
import pytest

from pyro_lcm.data import InterventionPairs, simulate_scaling
from pyro_lcm.evaluation import METRICS, evaluate_latents
from tables import each_row


@pytest.fixture(scope="module")
def pairs():
    return simulate_scaling(4, 1500, seed=3, edge_probability=0.8)


PERMUTATION = np.array([2, 0, 3, 1])  # the learned index of each true variable
SIGNS = np.array([1, -1, -1, 1])


def permuted(pairs):
    """The truth as a model might have learned it: other order, other signs."""
    causal, noise = np.empty_like(pairs.z), np.empty_like(pairs.noise)
    causal[:, PERMUTATION], noise[:, PERMUTATION] = SIGNS * pairs.z, SIGNS * pairs.noise
    adjacency = np.empty_like(pairs.adjacency)
    adjacency[np.ix_(PERMUTATION, PERMUTATION)] = pairs.adjacency
    targets = np.concatenate([[0], PERMUTATION + 1])[pairs.targets]
    return {"causal": causal, "noise": noise, "adjacency": adjacency, "targets": targets}


def test_permuted_truth_is_perfect(pairs):
    scores = evaluate_latents(pairs, **permuted(pairs))
    assert tuple(scores) == METRICS
    assert scores["disentanglement"] > 0.99
    assert scores["completeness"] > 0.99
    assert scores["informativeness"] > 0.95
    for key in ("mcc", "mcc_spearman", "mcc_noise", "edge_f1"):
        assert scores[key] == pytest.approx(1, abs=1e-9)
    assert scores["intervention_accuracy"] == 1.0
    assert scores["shd"] == 0
    assert (scores["edge_precision"], scores["edge_recall"]) == (1.0, 1.0)


def test_one_matching_serves_all_metrics(pairs):
    learned = permuted(pairs)
    learned["targets"] = pairs.targets  # right in the true order, so wrong in the learned one
    learned["adjacency"] = pairs.adjacency
    scores = evaluate_latents(pairs, **learned, dci_rows=50)
    assert scores["mcc"] == pytest.approx(1)
    assert scores["intervention_accuracy"] == pytest.approx((pairs.targets == 0).mean())
    assert scores["shd"] > 0


def test_random_codes_score_low(pairs):
    rng = np.random.default_rng(0)
    scores = evaluate_latents(
        pairs,
        causal=rng.normal(size=(1500, 4)),
        noise=rng.normal(size=(1500, 4)),
        targets=rng.dirichlet(np.ones(5), size=1500),
        dci_rows=500,
    )
    # correlations of 1,500 rows have a standard error of 0.026, accuracies one of 0.01
    assert scores["mcc"] < 0.15
    assert scores["mcc_noise"] < 0.15
    assert scores["disentanglement"] < 0.3
    assert abs(scores["intervention_accuracy"] - 0.2) < 0.06
    assert scores["shd"] is None


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (
            ("causal",),
            {"mcc_noise", "intervention_accuracy", "shd", "edge_precision", "edge_recall", "edge_f1"},
        ),
        (("noise", "targets"), set(METRICS) - {"mcc_noise", "intervention_accuracy"}),
        (
            ("noise", "adjacency"),
            set(METRICS) - {"mcc_noise", "shd", "edge_precision", "edge_recall", "edge_f1"},
        ),
        (("targets", "adjacency"), set(METRICS)),
        ((), set(METRICS)),
    ],
)
def test_missing_estimates_give_none(pairs, given, missing):
    learned = permuted(pairs)
    scores = evaluate_latents(pairs, **{key: learned[key] for key in given}, dci_rows=50)
    assert {key for key, value in scores.items() if value is None} == missing


def test_missing_truth_gives_none(pairs):
    learned = permuted(pairs)
    bare = InterventionPairs(pairs.x, pairs.x_after)
    assert set(evaluate_latents(bare, **learned).values()) == {None}
    partial = InterventionPairs(pairs.x, pairs.x_after, noise=pairs.noise, targets=pairs.targets)
    scores = evaluate_latents(partial, **learned)
    assert {key for key, value in scores.items() if value is not None} == {
        "mcc_noise",
        "intervention_accuracy",
    }


def test_other_widths(pairs):
    learned = permuted(pairs)
    wide = evaluate_latents(
        pairs,
        causal=np.column_stack([learned["causal"], np.zeros(1500)]),
        noise=np.column_stack([learned["noise"], np.full(1500, 0.1)]),
        targets=learned["targets"],
        adjacency=np.pad(learned["adjacency"], ((0, 1), (0, 1))),
        dci_rows=300,
    )
    assert wide["mcc"] == pytest.approx(1)
    assert wide["intervention_accuracy"] == 1
    assert wide["shd"] == 0
    narrow = evaluate_latents(
        pairs,
        causal=learned["causal"][:, :2],
        noise=learned["noise"][:, :2],
        adjacency=learned["adjacency"][:2, :2],
        dci_rows=300,
    )
    assert narrow["mcc_noise"] == pytest.approx(0.5)
    assert np.isfinite([value for value in narrow.values() if value is not None]).all()


@each_row(
    ("change", "message"),
    [
        ({"causal": np.full((1500, 4), np.nan)}, "causal: got nan"),
        ({"noise": np.zeros((1499, 4))}, "noise: got 1499 rows, expected 1500"),
        ({"targets": np.full(1500, 5)}, "targets: got 5 to 5"),
        ({"adjacency": np.zeros((3, 3))}, "adjacency: got 3 variables"),
    ],
)
def test_wrong_estimates_are_named(pairs, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate_latents(pairs, **(permuted(pairs) | change), dci_rows=20)


def test_importing_stays_cheap():
    code = (
        "import sys, pyro_lcm.evaluation, pyro_lcm.data; print([m for m in ('sklearn', 'joblib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
