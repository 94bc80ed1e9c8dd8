"""Distributions of intervention targets, and which variable they hit."""

import pytest
import torch

from pyro_lcm.causal.scoring import Scoring, only_scoring
from pyro_lcm.causal.targets import UNKNOWN, hit_mask, target_distribution


def test_unknown_targets_keep_their_probabilities_and_known_ones_are_certain():
    probabilities = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]])
    found = target_distribution(probabilities, torch.tensor([UNKNOWN, 0, 2])).probs
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.3, 0.5], [1.0, 0, 0], [0, 0, 1.0]]))


def test_a_prior_is_shared_by_all_pairs():
    prior = torch.tensor([0.5, 0.25, 0.25])
    assert target_distribution(prior).batch_shape == ()
    found = target_distribution(prior, torch.tensor([UNKNOWN, 1]))
    torch.testing.assert_close(found.probs, torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]))


def test_a_known_target_is_free_of_charge():
    """log p of a known target is 0 in model and guide alike, also where its probability was tiny."""
    probabilities = torch.tensor([[1 - 1e-30, 1e-30]], requires_grad=True)
    known = target_distribution(probabilities, torch.tensor([1]))
    assert known.log_prob(torch.tensor([1])).abs() < 1e-6
    known.log_prob(torch.tensor([1])).sum().backward()
    assert probabilities.grad.abs().max() == 0


@pytest.mark.parametrize("shape", [(), (4,), (3, 1)])
def test_the_hit_is_the_target_and_nothing_else(shape):
    for dim in (1, 3):
        for target in range(dim + 1):
            mask = hit_mask(torch.full(shape, target), dim)
            expected = torch.zeros(*shape, dim, dtype=torch.bool)
            if target:
                expected[..., target - 1] = True
            assert torch.equal(mask, expected)


def test_programs_know_when_they_are_only_scored():
    assert not only_scoring()
    with Scoring():
        assert only_scoring()
    assert not only_scoring()


def test_scored_programs_leave_out_values_without_density():
    import pyro

    from pyro_lcm.architecture import Architecture
    from pyro_lcm.registry import build

    model, _ = build(Architecture("ilcm", dim_x=2, dim_z=2))

    def sites():
        with pyro.get_param_store().scope():
            return set(pyro.poutine.trace(model).get_trace(None, None, size=3).nodes)

    free = sites()
    with Scoring():
        scored = sites()
    assert free - scored == {"before/causal", "after/causal"}
