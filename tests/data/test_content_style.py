"""Pairs of content and style: shared content, the law that is promised, refusals."""

import numpy as np
import pyro
import pytest
import torch

from pyro_lcm.data.content_style import ContentStyleSystem
from tables import each_row


def test_content_is_shared_and_style_changes_as_often_as_it_should():
    pairs = ContentStyleSystem(2, 3, seed=0, causal=True, change_probability=0.75).sample(4000, seed=0)
    same = pairs.z == pairs.z_after
    assert same[:, :2].all()
    np.testing.assert_allclose(1 - same[:, 2:].mean(0), 0.75, atol=0.03)
    assert not (pairs.x == pairs.x_after).all(1)[~same.all(1)].any()


def test_moments_are_those_of_the_law():
    system = ContentStyleSystem(2, 3, seed=1, statistical=True, causal=True)
    law = system.program.law
    pairs = system.sample(200_000, seed=0)
    content, style = pairs.z[:, :2], pairs.z[:, 2:]
    np.testing.assert_allclose(np.cov(content.T), law.content, atol=0.03)
    rest = style - content @ law.effects.numpy().T
    np.testing.assert_allclose(rest.mean(0), law.shift, atol=0.03)
    np.testing.assert_allclose(np.cov(rest.T), law.style, atol=0.03)
    np.testing.assert_allclose(np.cov((pairs.z_after - pairs.z)[:, 2:].T), law.change, atol=0.05)


def test_without_dependence_all_is_independent():
    law = ContentStyleSystem(2, 3, seed=1).program.law
    assert not law.effects.any()
    assert not law.shift.any()
    assert all(torch.equal(part, torch.eye(len(part), dtype=torch.float64)) for part in law[:3])


def test_the_mixing_can_be_undone():
    system = ContentStyleSystem(2, 2, seed=0)
    pairs = system.sample(50, seed=0)
    back = torch.from_numpy(pairs.x)
    for layer in reversed(system.program.mixing.layers):
        back = layer.inverse(back)
    np.testing.assert_allclose(back, pairs.z, atol=1e-9)


def test_content_can_be_set_on_both_sides():
    program = ContentStyleSystem(1, 2, seed=0, causal=True).program
    set_to = torch.full((20, 1), 2.0, dtype=torch.float64)
    with torch.no_grad():
        worlds = pyro.do(program, {"content": set_to})(20)
    assert bool((worlds.z[:, 0] == 2).all())
    assert bool((worlds.z_after[:, 0] == 2).all())


@each_row(
    ("options", "message"),
    [
        ({"content": 0}, "^content: got 0, expected at least 1"),
        ({"style": 0}, "^style: got 0"),
        ({"seed": -1}, "^seed: got -1"),
        ({"change_probability": 0.0}, "^change_probability: got 0.0"),
        ({"mixing": "none"}, "^mixing: got 'none'"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ContentStyleSystem(**({"seed": 0} | options))
