"""The guides that share unchanged factors, against hand-computed averages."""

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch.distributions import kl_divergence

from pyro_lcm.guides.ada_gvae import AdaGVAEGuide, divergence
from pyro_lcm.nn import VectorEncoder
from tables import each_row

DIM = 3


@pytest.fixture(autouse=True)
def _own_parameters():
    with pyro.get_param_store().scope():
        yield


@pytest.fixture
def sides():
    before = Normal(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1.0, 0.5, 0.2]]))
    after = Normal(torch.tensor([[0.1, 3.0, 2.0]]), torch.tensor([[1.0, 0.5, 0.4]]))
    return before, after


class _Fixed(torch.nn.Module):
    """An encoder that knows both sides' posteriors."""

    def __init__(self, before, after):
        super().__init__()
        self.mean, self.sd = torch.cat([before.loc, after.loc]), torch.cat([before.scale, after.scale])

    def forward(self, x):
        return self.mean, self.sd


def _guide(sides, **options):
    return AdaGVAEGuide(DIM, _Fixed(*sides), **options)


def test_divergence_is_twice_kl(sides):
    torch.testing.assert_close(divergence(*sides), 2 * kl_divergence(*sides))


def test_the_threshold_is_the_middle_of_largest_and_smallest(sides):
    changed = _guide(sides).changed_factors(*sides)
    delta = divergence(*sides)
    expected = delta >= (delta.max() + delta.min()) / 2
    assert changed.tolist() == expected.tolist() == [[False, True, False]]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_known_number_of_changed_factors_takes_the_largest(sides, number):
    changed = _guide(sides, changed=number).changed_factors(*sides)[0]
    order = divergence(*sides)[0].argsort(descending=True).tolist()
    assert {i for i in range(DIM) if changed[i]} == set(order[:number])


def test_gvae_averages_means_and_variances(sides):
    before, after = _guide(sides).posteriors(torch.zeros(1, DIM), torch.zeros(1, DIM))
    torch.testing.assert_close(before.loc, torch.tensor([[0.05, 1.0, 2.0]]))
    torch.testing.assert_close(before.variance, torch.tensor([[1.0, 0.25, 0.1]]))
    torch.testing.assert_close(after.loc, torch.tensor([[0.05, 3.0, 2.0]]))


def test_ml_vae_weighs_by_precision(sides):
    before, after = _guide(sides, average="ml-vae").posteriors(torch.zeros(1, DIM), torch.zeros(1, DIM))
    v, w = 0.2**2, 0.4**2
    torch.testing.assert_close(before.variance[0, 2], torch.tensor(2 * v * w / (v + w)))
    torch.testing.assert_close(before.loc[0, 0], torch.tensor(0.05))
    torch.testing.assert_close(after.scale[0, 1], torch.tensor(0.5))


@pytest.mark.parametrize(
    "targets", [torch.tensor([3]), torch.tensor([[0, 0, 1]])], ids=["a target", "a set of targets"]
)
def test_known_targets_decide_what_changed(sides, targets):
    assert _guide(sides).changed_factors(*sides, targets).tolist() == [[False, False, True]]


def test_unknown_targets_leave_the_threshold(sides):
    assert _guide(sides).changed_factors(*sides, torch.tensor([-1])).tolist() == [[False, True, False]]


def test_targets_of_the_guide_are_probabilities_and_point_at_what_moved(sides):
    probabilities = _guide(sides).targets(torch.zeros(1, DIM), torch.zeros(1, DIM))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1))
    assert probabilities.argmax(-1).tolist() == [2]


@each_row(("option", "value"), [("average", "median"), ("changed", 4), ("changed", -1)])
def test_wrong_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"{option}: got"):
        AdaGVAEGuide(DIM, VectorEncoder(DIM, DIM), **{option: value})


def test_wrong_shape_of_targets_is_named(sides):
    with pytest.raises(ValueError, match="targets: got shape"):
        _guide(sides).changed_factors(*sides, torch.zeros(1, 5))
