"""A group of two variables' pairs is parted, one variable's is not."""

import numpy as np
import torch

from pyro_lcm.identify.merged_groups import split_group
from pyro_lcm.identify.target_search import UNSURE, TargetSearch


def test_the_pairs_of_two_variables_come_apart_and_those_of_one_stay_together():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 3000)
    noise, redrawn = rng.normal(size=(2, 3000, 3))
    sides = noise, np.where(truth[:, None] == [1, 2, 3], redrawn, noise)
    places, mixing = np.linspace(-3, 3, 6), rng.normal(size=(18, 18))
    seen = [
        torch.tensor(np.exp(-((side[:, :, None] - places) ** 2)).reshape(3000, -1) @ mixing, dtype=torch.float32)
        for side in sides
    ]
    search = TargetSearch(*seen, 3, seed=0, steps=150)
    merged = torch.from_numpy(np.array([0, 1, 1, 2])[truth])
    parted = split_group(search, merged, 1, 3)
    assert parted is not None
    assert bool((parted[truth == 3] == 2).all() and (parted[truth == 0] == 0).all())
    sure = parted != UNSURE
    assert sure.double().mean() > 0.9
    parts = [np.bincount(parted[sure].numpy()[truth[sure.numpy()] == j], minlength=4)[[1, 3]] for j in (1, 2)]
    wrong = min(parts[0][1] + parts[1][0], parts[0][0] + parts[1][1])
    assert wrong < 0.1 * sum(map(sum, parts))
    assert split_group(search, merged, 2, 3) is None
