import itertools

import numpy as np
import pytest

from pyro_lcm.evaluation import align, align_latents, correlation_matrix, match, mean_correlation
from tables import each_row


def latents(n=400, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim))


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_matching_equals_trying_every_permutation(dim, extra):
    rng = np.random.default_rng([dim, dim + extra])
    for _ in range(20):
        if dim + extra == 0:
            continue
        similarity = rng.uniform(-1, 1, size=(dim + extra, dim))
        padded = np.zeros((dim + 1, dim))  # a row of zeros is "no partner"
        padded[: dim + extra] = np.abs(similarity)
        best = max(sum(padded[i, j] for j, i in enumerate(p)) for p in itertools.permutations(range(dim + 1), dim))
        assert match(similarity).scores.sum() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("dim", [1, 4, 30])
def test_permuted_and_flipped_truth_is_recognised(dim):
    true = latents(dim=dim)
    rng = np.random.default_rng(1)
    permutation, signs = rng.permutation(dim), rng.choice([-1, 1], size=dim)
    learned = np.empty_like(true)
    learned[:, permutation] = true * signs * rng.uniform(0.1, 10, size=dim) + 3
    alignment = align(learned, true)
    np.testing.assert_array_equal(alignment.permutation, permutation)
    np.testing.assert_array_equal(alignment.signs, signs)
    np.testing.assert_allclose(alignment.scores, 1)
    assert mean_correlation(learned, true, alignment) == pytest.approx(1)


def test_correlations_are_those_of_numpy():
    learned, true = latents(dim=3), latents(dim=2, seed=1) * 1e-200
    expected = np.corrcoef(learned.T, latents(dim=2, seed=1).T)[:3, 3:]
    np.testing.assert_allclose(correlation_matrix(learned, true), expected)
    np.testing.assert_allclose(correlation_matrix(learned * 1e200, true + 0), expected)


def test_spearman_is_blind_to_monotone_maps():
    true = latents()
    np.testing.assert_allclose(correlation_matrix(np.exp(3 * true), true, "spearman").diagonal(), 1)
    assert correlation_matrix(np.exp(3 * true), true).diagonal().max() < 0.9
    with_ties = np.round(true)
    expected = np.corrcoef(
        [np.searchsorted(np.sort(c), c, "left") + np.searchsorted(np.sort(c), c, "right") for c in with_ties.T]
    )
    np.testing.assert_allclose(correlation_matrix(with_ties, with_ties, "spearman"), expected)


def test_independent_codes_have_little_correlation():
    learned, true = latents(10_000, seed=1), latents(10_000, seed=2)
    # sixteen correlations with a standard error of 0.01; none beyond 0.05 but with probability 1e-5
    assert mean_correlation(learned, true, align(learned, true)) < 0.05


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e6 / 3])
def test_a_constant_code_correlates_with_nothing(constant):
    learned = latents(dim=2)
    learned[:, 1] = constant
    correlation = correlation_matrix(learned, latents(dim=2))
    np.testing.assert_array_equal(correlation[1], 0)
    assert correlation[0, 0] == pytest.approx(1)
    assert mean_correlation(learned, latents(dim=2), align(learned, latents(dim=2))) == pytest.approx(0.5, abs=0.01)


def test_extra_learned_variables_are_left_over():
    true = latents(dim=2)
    learned = np.column_stack([latents(seed=5, dim=1), -true[:, 1], true[:, 0]])
    alignment = align(learned, true)
    np.testing.assert_array_equal(alignment.permutation, [2, 1])
    np.testing.assert_array_equal(alignment.relabel_targets([0, 1, 2, 3]), [0, -1, 2, 1])
    adjacency = np.array([[0, 1, 1], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(alignment.relabel_adjacency(adjacency), [[0, 1], [0, 0]])


def test_missing_learned_variables_count_as_zero():
    true = latents(dim=4)
    learned = true[:, [3, 1]]
    alignment = align(learned, true)
    np.testing.assert_array_equal(alignment.permutation == -1, [True, False, True, False])
    np.testing.assert_array_equal(alignment.matched, [False, True, False, True])
    assert mean_correlation(learned, true, alignment) == pytest.approx(0.5)
    np.testing.assert_array_equal(alignment.relabel_targets([0, 1, 2]), [0, 4, 2])
    relabelled = alignment.relabel_adjacency([[0, 1], [0, 0]])
    assert relabelled.sum() == 1
    assert relabelled[3, 1] == 1


def test_noise_decides_where_causal_variables_are_ambiguous():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2000, 2))
    z = np.column_stack([noise[:, 0], 50 * noise[:, 0] + noise[:, 1]])  # correlated at 0.9998
    learned_z = np.column_stack([z[:, 1] / 50 + 0.05 * rng.normal(size=2000), z[:, 0]])
    learned_noise = noise[:, ::-1] + 0.1 * rng.normal(size=(2000, 2))
    together = align_latents(causal=(learned_z, z), noise=(learned_noise, noise))
    np.testing.assert_array_equal(together.permutation, [1, 0])
    total = mean_correlation(learned_z, z, together) + mean_correlation(learned_noise, noise, together)
    other = align_latents(causal=(learned_z[:, ::-1], z), noise=(learned_noise[:, ::-1], noise))
    assert other.scores.sum() == pytest.approx(together.scores.sum())
    assert together.scores.mean() == pytest.approx(total / 2)


def test_align_latents_uses_what_is_there():
    z, noise = latents(seed=0), latents(seed=1)
    assert align_latents() is None
    np.testing.assert_array_equal(align_latents(causal=(z[:, ::-1], z)).permutation, [3, 2, 1, 0])
    np.testing.assert_array_equal(align_latents(noise=(-noise, noise)).signs, -1)


@each_row(
    ("call", "message"),
    [
        (lambda: align(np.full((5, 2), np.nan), latents(5, 2)), r"learned: got nan at index \(0, 0\)"),
        (lambda: align(latents(5, 2), np.full((5, 2), np.inf)), r"true: got inf at index \(0, 0\)"),
        (lambda: align(latents(5, 2), latents(6, 2)), "learned: got 5 rows, expected 6"),
        (lambda: align(np.zeros(5), latents(5, 2)), r"learned: got shape \(5,\)"),
        (lambda: align(latents(1, 2), latents(1, 2)), r"learned: got shape \(1, 2\).*N >= 2"),
        (lambda: align(np.full((5, 2), "a"), latents(5, 2)), "learned: got dtype"),
        (lambda: align(latents(5, 2), latents(5, 2), "kendall"), "method: got 'kendall'"),
        (lambda: match([[np.nan]]), "similarity: got"),
        (lambda: match([1.0]), r"similarity: got shape \(1,\)"),
        (lambda: align(latents(5, 2), latents(5, 2)).relabel_targets([3]), "targets: got 3 to 3"),
        (lambda: align(latents(5, 2), latents(5, 2)).relabel_targets([0.5]), "targets: got shape"),
        (lambda: align(latents(5, 2), latents(5, 2)).relabel_adjacency(np.zeros((3, 3))), "adjacency: got 3"),
        (
            lambda: mean_correlation(latents(5, 3), latents(5, 2), match(np.eye(2))),
            r"alignment: got .*\(2, 2\)",
        ),
        (
            lambda: align_latents(causal=(latents(5, 2),) * 2, noise=(latents(5, 3),) * 2),
            "noise: got correlations of shapes",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
