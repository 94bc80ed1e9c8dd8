"""What new values tell, on latents of which it is known how the targets' were made."""

import numpy as np
import pytest

from pyro_lcm.evaluation.new_values import (
    FEWEST,
    hint_of_new_values,
    new_values,
    problems_of_new_values,
    problems_of_soft,
)

ROWS, DIM = 4000, 3
CHAIN = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.int8)
NAMES = ("a", "b", "c")


def told(new, *, rows=ROWS, adjacency=CHAIN, solution=1.0, seed=0, weight=1.0, **given):
    """z_i = w z_{i-1} + e_i; new(z_i, cause of z_i, rng) is what a target becomes; the model sees a share of causes."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(rows, DIM))
    causal = noise.copy()
    for i in range(1, DIM):
        causal[:, i] += weight * causal[:, i - 1]
    cause = causal - noise
    target = rng.integers(0, DIM + 1, rows)
    values = np.stack([new(causal[:, i], cause[:, i], rng) for i in range(DIM)], 1)
    redrawn = values - cause
    return new_values(
        noise, redrawn, redrawn + solution * cause, target, causal=causal, adjacency=adjacency, linear=True, **given
    )


def perfect(old, cause, rng):
    return rng.normal(size=old.shape)


def test_perfect_interventions_have_no_problem_and_no_hint():
    found = told(perfect)
    assert problems_of_new_values(found, NAMES) == []
    assert hint_of_new_values(found, CHAIN) is None
    assert found.caused[1] > 0.3
    assert np.abs(found.memory).max() < 0.15


@pytest.mark.parametrize(
    ("new", "slope", "words"),
    [
        (lambda old, cause, rng: old + 1.5, 1.0, "keeps its old value whole"),
        (lambda old, cause, rng: old + rng.normal(size=old.shape), 1.0, "keeps its old value whole"),
        (lambda old, cause, rng: 0.5 * old + 0.5 * rng.normal(size=old.shape), 0.5, "partial_ilcm is for it"),
        (lambda old, cause, rng: -old, -1.0, "partial_ilcm is for it"),
        (lambda old, cause, rng: 2 * old, 2.0, "partial_ilcm is for it"),
    ],
)
def test_values_that_keep_a_part_of_the_old_one_are_named(new, slope, words):
    found = told(new)
    np.testing.assert_allclose(found.slope, slope, atol=0.12)
    problems = problems_of_new_values(found, NAMES)
    assert [problem.split()[0] for problem in problems[:DIM]] == list(NAMES)
    assert all(words in problem for problem in problems[:DIM])


def test_what_a_model_knows_to_be_kept_is_no_problem_unless_it_is_all():
    rng = np.random.default_rng(0)
    noise, target = rng.normal(size=(ROWS, DIM)), rng.integers(0, DIM + 1, ROWS)
    redrawn = rng.normal(size=(ROWS, DIM))
    found = new_values(noise, redrawn, redrawn, target, kept=np.array([0.5, -1.0, 0.98]))
    np.testing.assert_allclose(found.slope, [0.5, -1.0, 0.98], atol=0.1)
    problems = problems_of_new_values(found, NAMES)
    assert len(problems) == 1
    assert problems[0].startswith("c keeps its old value whole")


def test_soft_interventions_are_a_hint_and_nothing_else():
    empty = np.zeros_like(CHAIN)
    found = told(lambda old, cause, rng: cause + rng.normal(size=old.shape), solution=0.0, adjacency=empty)
    assert problems_of_new_values(found, NAMES) == []
    hint = hint_of_new_values(found, empty)
    assert hint.startswith("no edge found. Soft interventions")
    assert "soft_ilcm" in hint
    assert hint_of_new_values(found, CHAIN).startswith("2 weak edges found")


def test_a_soft_model_needs_interventions_that_change_what_causes_do():
    whole = told(lambda old, cause, rng: cause + rng.normal(size=old.shape))
    assert "on b, c: then nothing tells the order" in problems_of_soft(whole, CHAIN, NAMES)[0]
    assert problems_of_soft(told(lambda old, cause, rng: 0.3 * cause + rng.normal(size=old.shape)), CHAIN, NAMES) == []


def test_a_solution_function_that_leaves_something_of_its_causes_is_named():
    problems = problems_of_new_values(told(perfect, solution=0.6), NAMES)
    assert [problem[:23] for problem in problems] == ["the new values of b dep", "the new values of c dep"]
    assert problems_of_new_values(told(perfect, solution=0.6), NAMES, exact=False) == []


def test_an_edge_that_pairs_do_not_show_is_doubtful():
    false = CHAIN.copy()
    false[0, 2] = 1
    found = told(perfect, adjacency=false)
    assert found.doubtful == ((0, 2),)
    assert "a -> c" in problems_of_new_values(found, NAMES)[0]


@pytest.mark.parametrize(
    ("weight", "fitted_to", "doubtful"),
    [
        (0.2, None, ((0, 1), (1, 2))),  # 40 pairs of each target show neither edge
        (0.2, 40_000, ()),  # believed: so many show it, and these say nothing against it
        (0.2, 200, ((0, 1), (1, 2))),  # not so many
    ],
)
def test_what_a_larger_fit_shows_is_believed_where_few_pairs_do_not_contradict(weight, fitted_to, doubtful):
    assert told(perfect, rows=160, weight=weight, seed=3, fitted_to=fitted_to).doubtful == doubtful


def test_a_claim_that_pairs_contradict_is_not_believed():
    false = CHAIN.copy()
    false[0, 2] = 1
    # Of an edge that is not there nothing is claimed that many pairs would show.
    assert told(perfect, rows=160, adjacency=false, fitted_to=400).doubtful == ((0, 2),)


def test_values_set_to_a_constant_remember_nothing():
    assert problems_of_new_values(told(lambda old, cause, rng: 1e-6 * old), NAMES) == []


def test_repeated_pairs_count_once_and_few_are_said():
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.normal(size=(FEWEST - 1, DIM)), 100, axis=0)
    redrawn = np.repeat(rng.normal(size=(FEWEST - 1, DIM)), 100, axis=0)
    found = new_values(noise, redrawn, redrawn, np.ones(len(noise), dtype=int))
    assert found.pairs.tolist() == [FEWEST - 1, 0, 0]
    assert np.isnan(found.memory).all()
    assert problems_of_new_values(found, NAMES)[0].startswith(
        f"only {FEWEST - 1} different pairs of these have a as target"
    )


def test_values_that_change_sign_at_random_are_remembered_by_their_size():
    found = told(lambda old, cause, rng: old * rng.choice([-1.0, 1.0], size=old.shape))
    assert found.memory[0] > 0.9
    assert "a keeps" in problems_of_new_values(found, NAMES)[0]


@pytest.mark.parametrize(("kept", "ok"), [(0.0, True), (0.5, False), (-0.5, False)])
def test_that_short_moves_hide_is_no_memory(kept, ok):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(8000, 2))
    redrawn = kept * noise + np.sqrt(1 - kept**2) * rng.normal(size=noise.shape)
    target = rng.integers(1, 3, len(noise))
    moved = np.take_along_axis(np.abs(redrawn - noise), target[:, None] - 1, 1)[:, 0]
    found = new_values(noise, redrawn, redrawn, np.where(moved > 0.7, target, 0))
    assert (problems_of_new_values(found, NAMES[:2]) == []) == ok
    if ok:
        assert found.memory.max() < -0.2
        np.testing.assert_allclose(found.memory, found.expected, atol=0.08)


def _weak_edges(claimed, *, rows=300):
    """e~_4 = f(z) + r, f a weak wave of z_1 and of z_2, where the graph has an edge from z_3 too."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(rows, 4))
    part = 0.3 * np.sin(3 * noise[:, :3])
    redrawn = np.column_stack([noise[:, :3], part[:, :2].sum(1) + rng.normal(size=rows)])
    values = redrawn.copy()
    values[:, 3] -= part.sum(1)
    before = noise.copy()
    before[:, 3] -= part.sum(1)
    edges = np.zeros((4, 4), dtype=np.int8)
    edges[:3, 3] = 1
    told = {"causal": before, "adjacency": edges}
    claim = (lambda parent, child, rows: part[rows, parent]) if claimed else None
    return new_values(noise, redrawn, values, np.full(rows, 4), claim=claim, **told).doubtful


def test_what_a_solution_function_says_of_a_parent_shows_an_edge_that_a_few_functions_do_not():
    assert _weak_edges(claimed=False) == ((0, 3), (1, 3), (2, 3))
    assert _weak_edges(claimed=True) == ((2, 3),)
