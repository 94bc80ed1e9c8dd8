"""Pairs that change the functions of two variables go to the variable whose rival can keep them."""

import numpy as np
import torch

from pyro_lcm.identify.disputes import most_disputed, settle_disputes
from pyro_lcm.identify.found_variables import FoundVariables
from pyro_lcm.identify.kept_functions import KeptFunctions
from pyro_lcm.identify.target_search import TargetSearch


def test_the_greatest_share_comes_first_and_what_is_settled_is_left_out():
    moved = torch.zeros(3, 100)
    moved[0, :50] = moved[1, 20:60] = moved[2, 55:] = 1.0
    first = most_disputed(moved, (), 0.05)
    assert (first.first, first.second, int(first.pairs.sum())) == (1, 2, 30)
    second = most_disputed(moved, {(1, 2)}, 0.05)
    assert (second.first, second.second, int(second.pairs.sum())) == (2, 3, 5)
    assert most_disputed(moved, {(1, 2)}, 0.2) is None


def test_an_answer_that_agrees_with_itself_is_given_up_for_one_that_holds_everywhere():
    """The second variable is hard to see where the first is low, and a function of it that is the first there."""
    rng = np.random.default_rng(0)
    noise, redrawn = rng.normal(size=(2, 2000, 2))
    truth = rng.integers(0, 3, 2000)
    sides = noise, np.where(truth[:, None] == [1, 2], redrawn, noise)
    places = np.linspace(-3, 3, 7)

    def seen(e):
        bumps = np.exp(-((e[:, :, None] - places) ** 2))
        bumps[:, 1] *= np.where(e[:, :1] < -1, 0.4, 1.0)
        return torch.tensor(bumps.reshape(len(e), -1), dtype=torch.float32)

    def wrong(e):
        return np.stack([e[:, 0], np.where(e[:, 0] < -1, e[:, 0] - 2, e[:, 1])])

    search = TargetSearch(*(seen(side) for side in sides), 2, seed=0, steps=150)
    values = [torch.tensor(wrong(side), dtype=torch.float32) for side in sides]
    changed = (values[1] - values[0]).abs() > 1e-6
    target = torch.where(changed[1], 2, torch.where(changed[0], 1, 0))
    functions = {
        number: search.judged(
            target, number, KeptFunctions(values[0][[number - 1]], values[1][[number - 1]], torch.zeros(1))
        )
        for number in (1, 2)
    }
    variables = FoundVariables(target, None, 0, {}, {}).with_functions(functions)
    assert (variables.target.numpy() == truth).mean() < 0.9
    assert (settle_disputes(search, variables).target.numpy() == truth).mean() > 0.97
