"""Functions that pairs keep: they are those of a variable that is not redrawn, and of none whose pairs are a group."""

import numpy as np
import pytest
import torch

from pyro_lcm.identify.kept_functions import find_kept_functions
from tables import each_row


def _pairs(n):
    """Two variables on a curved strip of the plane, each the target of a third of the pairs."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, n)
    before = rng.uniform(-1, 1, (n, 2))
    after = np.where(target[:, None] == [1, 2], rng.uniform(-1, 1, (n, 2)), before)
    sides = [np.stack([z[:, 0] * np.exp(z[:, 1] / 2), z[:, 1] + z[:, 0] ** 2], 1) for z in (before, after)]
    return [torch.tensor(side, dtype=torch.float32) for side in sides], torch.tensor(target)


def test_what_a_group_changes_is_not_found_and_what_it_keeps_is():
    sides, target = _pairs(4000)
    found = find_kept_functions(
        *sides,
        target,
        torch.tensor([[1.0, 1.0, 0.0]]).repeat(4, 1),
        torch.full((3,), 0.01),
        blur=torch.ones(2),
        generator=torch.Generator().manual_seed(0),
        steps=200,
    )
    best = found.change[found.nats.argmax()].abs()
    kept, free = (float(best[target == number].median()) for number in (1, 2))
    assert kept < 0.2
    assert free > 0.6
    # Three groups of which none may change leave nothing to be found.
    nothing = find_kept_functions(
        *sides,
        target,
        torch.ones(4, 3),
        torch.full((3,), 0.01),
        blur=torch.ones(2),
        generator=torch.Generator().manual_seed(0),
        steps=200,
    )
    assert float(nothing.nats.max()) < float(found.nats.max()) - 1


def test_a_careful_search_finds_what_is_small_beside_the_others():
    # Seven variables move an observation on waves; one adds a tenth of that to it, with noise in all directions.
    generator = torch.Generator().manual_seed(0)
    place = torch.rand(6000, 8, generator=generator)
    target = torch.randint(0, 9, (6000,), generator=generator)
    hit = torch.nn.functional.one_hot(target, 9)[:, 1:].bool()
    moved = torch.where(hit, torch.rand(6000, 8, generator=generator), place)
    mixing = torch.randn(22, 40, generator=generator)
    mixing[-1] *= 0.3

    def seen(z):
        waves = [wave(3 * z[:, :7] * (1 + k)) for k in (0, 1) for wave in (torch.sin, torch.cos)][:3]
        return torch.cat([*waves, z[:, 7:]], 1) @ mixing

    features = torch.cat([seen(place), seen(moved)])
    before, after = ((features - features.mean(0)) / features.std(0)).chunk(2)
    weights = torch.ones(4, 9)
    weights[:, 8] = 0
    search = {"blur": 0.1 * torch.ones(40), "steps": 150}
    found = [
        find_kept_functions(
            before,
            after,
            target,
            weights,
            torch.full((9,), 0.01),
            generator=torch.Generator().manual_seed(1),
            levelled=levelled,
            **search,
        )
        for levelled in ((), range(1, 8))
    ]
    assert float(found[1].nats.max()) > float(found[0].nats.max()) + 0.5
    change = found[1].change[found[1].nats.argmax()].abs()
    assert float(change[target == 8].median()) > 5 * float(change[(target > 0) & (target < 8)].median())


@each_row(
    ("group", "weights", "message"),
    [
        (torch.zeros(4).long(), torch.ones(1, 1), r"^group: got shape \(4,\)"),
        (torch.ones(5).long(), torch.ones(1, 1), r"^weights: got shape \(1, 1\), and floors of shape \(1,\), expected"),
    ],
)
def test_what_does_not_fit_is_named(group, weights, message):
    x = torch.zeros(5, 2)
    with pytest.raises(ValueError, match=message):
        find_kept_functions(
            x, x, group, weights, torch.ones(1) / 2, blur=torch.ones(2), generator=torch.Generator(), steps=1
        )
