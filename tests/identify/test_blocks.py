"""Shared directions of codes: exact where the mixture is linear, and how many are content."""

import numpy as np
import pytest

from pyro_lcm.data.content_style import ContentStyleSystem
from pyro_lcm.identify.blocks import shared_blocks, suggest_content
from tables import each_row


@pytest.mark.parametrize("dependent", [False, True])
def test_of_a_linear_mixture_content_is_exact(dependent):
    system = ContentStyleSystem(2, 3, seed=0, statistical=dependent, causal=dependent, mixing="linear")
    pairs = system.sample(2000, seed=0)
    found = shared_blocks(pairs.x, pairs.x_after)
    assert found.disagreement[1] < 1e-12 < 0.01 < found.disagreement[2]
    assert suggest_content(found.disagreement, tolerance=0.1) == 2
    latents = (pairs.x - found.mean) @ found.weight[:, :2]
    residual = np.linalg.lstsq(np.column_stack([pairs.z[:, :2], np.ones(2000)]), latents, rcond=None)[1]
    assert (residual < 1e-18).all()


def test_disagreement_is_one_minus_the_correlation_and_codes_have_unit_covariance():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(50_000, 2))
    agreement = np.array([0.9, 0.5])
    after = before * agreement + rng.normal(size=before.shape) * np.sqrt(1 - agreement**2)
    turn = np.array([[1.0, 2.0], [-0.5, 1.0]])
    found = shared_blocks(before @ turn + 3, after @ turn + 3)
    np.testing.assert_allclose(found.disagreement, 1 - agreement, atol=0.01)
    both = (np.concatenate([before, after]) @ turn + 3 - found.mean) @ found.weight
    np.testing.assert_allclose(np.cov(both.T), np.eye(2), atol=1e-9)


@each_row(
    ("values", "number"),
    [
        ([0.0, 0.0, 0.3], 2),
        ([0.3, 0.4], 0),
        ([0.001, 0.002, 0.003], 3),
        ([0.001, 0.002, 0.06, 0.4], 2),
        ([0.001], 1),
    ],
)
def test_the_widest_gap_parts_content_from_style(values, number):
    assert suggest_content(np.array(values), tolerance=0.1) == number


@each_row(
    ("before", "after", "message"),
    [
        (np.zeros((5, 2)), np.zeros((4, 2)), "^before, after: got shapes"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "^before, after: got shapes"),
        (np.zeros((5, 2)), np.zeros((5, 2)), "without variance"),
    ],
)
def test_codes_that_do_not_fit_are_refused(before, after, message):
    with pytest.raises(ValueError, match=message):
        shared_blocks(before, after)
