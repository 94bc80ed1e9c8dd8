"""What a frozen encoder makes of pairs, computed once, changes no number."""

import pyro
import pytest
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.nn.flow import Flow
from pyro_lcm.recipes.encodings import EncodeOnce
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.registry import build
from pyro_lcm.training.sources import PlacedSource, TensorSource

PAIRS = 50


@pytest.fixture(params=["inverse", "code"])
def case(request):
    """An objective whose decoder is the encoder's inverse, or whose encoder has a code, and its settings."""
    inverse = request.param == "inverse"
    width = 3 if inverse else 5
    how = {"invertible": True} if inverse else {"hidden": (7,)}
    torch.manual_seed(0)
    objective = RecipeObjective(*build(Architecture("ilcm", width, 3, flow_layers=3, flow_hidden=6, **how)))
    objective.double()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tensors = {name: torch.randn(PAIRS, width).double() for name in ("x", "x_after")}
    return objective, tensors, {} if inverse else {"through_encoder": True}


def _run(objective, batch, settings):
    objective.zero_grad()
    pyro.set_rng_seed(0)
    loss, _ = objective(batch, size=PAIRS, index=torch.arange(len(batch["x"])), hypotheses=2, **settings)
    loss.backward()
    return loss, [parameter.grad.clone() for parameter in objective.model.solution.parameters()]


def test_loss_and_gradients_are_those_of_the_encoder(case, monkeypatch):
    objective, tensors, settings = case
    source = PlacedSource(TensorSource(tensors), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"^freeze: .* of the encoder is trained"):
        EncodeOnce()(objective, source)
    objective.guide.encoder.requires_grad_(False)
    with torch.no_grad():
        columns = EncodeOnce(rows=16)(objective, source)
        objective.readouts.set_linear(torch.randn(3, 3), torch.randn(3))
    rows = torch.randperm(PAIRS)[:20]
    expected, expected_gradients = _run(objective, source.batch(rows), settings)
    monkeypatch.setattr(Flow, "forward", lambda *_: pytest.fail("the flow was run again"))
    found, gradients = _run(objective, columns.batch(rows), settings)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, expected_gradients)


def test_pairs_that_are_not_in_memory_stay_as_they_are(case):
    objective, tensors, _ = case
    objective.guide.encoder.requires_grad_(False)

    class Lazy:
        def __len__(self):
            return PAIRS

        def batch(self, index):
            return {name: value[index] for name, value in tensors.items()}

    source = PlacedSource(Lazy(), torch.device("cpu"))
    assert EncodeOnce()(objective, source) is source


def test_columns_are_beside_those_of_the_source():
    source = PlacedSource(TensorSource({"x": torch.arange(4.0)}), torch.device("cpu"), torch.float64)
    more = source.with_columns({"y": torch.arange(4) * 2})
    assert {name: value.tolist() for name, value in more.batch(torch.tensor([3, 1])).items()} == {
        "x": [3.0, 1.0],
        "y": [6, 2],
    }
    assert set(source.batch(torch.tensor([0]))) == {"x"}
