"""How many variables: held-out ELBO chooses the true number, and the check of a wrong one says so."""

import pytest

from pyro_lcm import Budget, LatentCausalModel, ScalingSystem, choose_dim_z
from pyro_lcm.dim_choice import Candidate, candidate_dims, chosen_dim
from tables import each_row

SMALL = Budget(refine=60)


@pytest.fixture(scope="module")
def choice():
    pairs = ScalingSystem(3, seed=1, dim_x=6, observation_noise=0.01).sample(3000)
    return choose_dim_z(pairs, budget=SMALL, seed=0, progress=False)


def test_the_true_number_is_chosen_among_the_neighbours_of_the_shared_directions(choice):
    found = choice
    assert [row.dim_z for row in found.candidates] == [2, 3, 4]
    assert found.dim_z == found.model.dim_z == 3
    assert found.candidates[1].behind <= 2 * found.candidates[1].error
    assert found.candidates[0].behind > 10 * found.candidates[0].error
    assert "chosen: 3" in found.to_text()


def test_the_check_of_a_wrong_number_names_it(choice):
    few, right, many = choice.candidates
    assert right.problems == ()
    assert any("--dim-z" in problem for problem in few.problems)
    assert any("--dim-z" in problem for problem in many.problems)


def test_without_noise_the_number_of_directions_is_the_most_and_is_chosen():
    pairs = ScalingSystem(3, seed=0).sample(3000)
    found = choose_dim_z(pairs, budget=SMALL, seed=0, progress=False)
    assert [row.dim_z for row in found.candidates] == [2, 3]
    assert found.dim_z == 3
    assert candidate_dims(pairs) == (2, 3)


def test_the_smallest_number_that_is_not_clearly_behind_is_chosen():
    rows = [Candidate(4, -1.0, 0.0, 0.0, ()), Candidate(3, -1.01, 0.01, 0.01, ()), Candidate(2, -2.0, 1.0, 0.01, ())]
    assert chosen_dim(rows).dim_z == 3


@each_row("given", [[], [0, 1], [2, 2], [3, 4]])
def test_candidates_out_of_range_are_refused(given):
    pairs = ScalingSystem(3, seed=0).sample(500)
    with pytest.raises(ValueError, match="candidates"):
        candidate_dims(pairs, given)


def test_a_linear_code_takes_no_training():
    pairs = ScalingSystem(3, seed=0, dim_x=6, observation_noise=0.01).sample(2000)
    model = LatentCausalModel(dim_z=3).fit(pairs, seed=0, budget=Budget(refine=5), progress=False)
    assert [phase.name for phase in model.result.phases if phase.steps] == ["refine"]
