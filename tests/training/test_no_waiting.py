"""No step of a recipe waits for the device: nothing in it needs the value of a tensor on the host.

Such operations show on any device: the host's copy of a number, and those whose shape or errors depend on values.
"""

import pyro
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS, build
from pyro_lcm.training.optimizers import optimizer_of
from pyro_lcm.training.sources import PlacedSource, TensorSource

DIM, PAIRS = 3, 400
WAITING = (
    "_local_scalar_dense",
    "_linalg_check_errors",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "equal",
    "is_nonzero",
)


class Waiting(TorchDispatchMode):
    """Collects the operations for which a device would have to be waited for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::").split(".")[0]
        flags = name == "index" and any(part is not None and part.dtype == torch.bool for part in args[1])
        if name in WAITING or flags:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def _tensors():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(PAIRS, DIM, generator=generator)
    targets = torch.randint(DIM + 1, (PAIRS,), generator=generator)
    hit = torch.nn.functional.one_hot(targets, DIM + 1)[:, 1:].bool()
    after = torch.where(hit, torch.randn(PAIRS, DIM, generator=generator), noise)
    return {"x": noise, "x_after": after}, targets


@pytest.mark.parametrize(
    ("name", "invertible"),
    [(name, invertible) for name, spec in SPECS.items() for invertible in {False, spec.invertible}],
)
def test_a_step_of_any_phase_waits_for_nothing(name, invertible):
    spec = SPECS[name]
    tensors, targets = _tensors()
    if spec.known_targets:
        tensors["targets"] = targets
    architecture = Architecture(name, DIM, DIM, invertible=invertible, flow_layers=2, flow_hidden=4)
    objective = spec.objective(*build(architecture))
    source = PlacedSource(TensorSource(tensors), torch.device("cpu"))
    index = torch.arange(64)
    with pyro.validation_enabled(False):
        for phase in spec.phases(architecture, Budget(fit=10, reconstruct=1, refine=1, solutions=1), False):
            if phase.start is not None:
                with torch.no_grad():
                    phase.start(objective, source, 0)
            if not phase.steps:
                continue
            optimizer = optimizer_of(phase, scaled=False)([{"params": list(objective.parameters()), "lr": 1e-4}])
            for _ in range(2):  # an objective may look at its programs once
                with Waiting() as waiting:
                    batch = source.batch(index)
                    loss, _ = objective(batch, size=PAIRS, index=index, **phase.settings_at(0.0))
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(objective.parameters(), 10.0)
                    optimizer.step()
            assert waiting.names == [], phase.name


def test_what_waits_is_seen():
    value = torch.eye(2)
    with Waiting() as waiting:
        value.sum().item()
        torch.linalg.inv(value)
        value[value > 0]
    assert {"_local_scalar_dense", "_linalg_check_errors", "index"} <= set(waiting.names)
