"""Pairs in groups: by what they change, and where numbers fall into two."""

import numpy as np
import torch

from pyro_lcm.identify.target_groups import infer_single_targets, two_groups, unchanged


def test_pairs_that_differ_are_some_variables_where_it_is_known_which_do():
    # The third pair changes so little that without it being known it counts as unchanged.
    change = torch.tensor([[[1.0, 0.0, 0.0, 0.0]], [[0.0, 1.0, 4e-4, 0.0]]])
    so_far = torch.tensor([1, 2, 0, 0])
    assert infer_single_targets(change, so_far).tolist() == [1, 2, 0, 0]
    still = torch.tensor([False, False, False, True])
    assert infer_single_targets(change, so_far, still).tolist() == [1, 2, 2, 0]


def test_pairs_that_nothing_has_changed_are_told_through_noise_or_not_at_all():
    generator = torch.Generator().manual_seed(0)
    before, after, noise = torch.randn(3, 2000, 4, generator=generator)
    after[:500] = before[:500]
    found = unchanged(before, after + 0.02 * noise)
    assert found is not None
    assert int((found != (torch.arange(2000) < 500)).sum()) <= 5
    assert unchanged(before, after + 2 * noise) is None


def test_a_pair_is_of_the_target_whose_function_it_changes_while_it_keeps_the_others():
    # Two functions of each of two variables; the last function folds and misses one of its changes.
    kept, moved = 1e-4, 1.0
    change = torch.tensor(
        [
            [[moved, kept, kept, kept], [moved, kept, kept, kept]],
            [[kept, moved, moved, kept], [kept, moved, kept, kept]],
        ]
    )
    target = torch.tensor([1, 2, 1, -1])
    assert infer_single_targets(change, target).tolist() == [1, 2, 2, 0]
    change[0, 1] = torch.nan  # a function that does not count
    assert infer_single_targets(change, target).tolist() == [1, 2, 2, 0]


def test_two_groups_are_parted_between_them():
    values = np.concatenate([np.linspace(0, 1, 50), np.linspace(9, 10, 30)])
    cut, apart = two_groups(values)
    assert 1 <= cut < 9
    assert apart > 10
    assert two_groups(np.ones(5))[1] == 0
