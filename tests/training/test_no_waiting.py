"""No step of a recipe waits for the device: nothing in it needs the value of a tensor on the host.

Such operations show on any device: the host's copy of a number, and those whose shape or errors depend on values.
"""

import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recipe_steps import MODELS, steps

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


@pytest.mark.parametrize(("name", "invertible"), MODELS)
def test_a_step_of_any_phase_waits_for_nothing(name, invertible):
    for phase, step in steps(name, invertible, "cpu"):
        for _ in range(2):  # an objective may look at its programs once
            with Waiting() as waiting:
                step()
        assert waiting.names == [], phase


@pytest.fixture
def numbers(monkeypatch):
    """Where numbers of the host become tensors, which elsewhere copies them there; Pyro's plates keep theirs."""
    places = []
    make = torch.tensor

    def tensor(*args, **kwargs):
        caller = sys._getframe(1).f_globals["__name__"]
        if caller != "pyro.poutine.subsample_messenger":
            places.append(caller)
        return make(*args, **kwargs)

    monkeypatch.setattr(torch, "tensor", tensor)
    return places


@pytest.mark.parametrize(("name", "invertible"), MODELS)
def test_a_step_of_any_phase_copies_no_number(name, invertible, numbers):
    for phase, step in steps(name, invertible, "cpu"):
        step()
        numbers.clear()
        step()
        assert numbers == [], phase


def test_what_waits_is_seen():
    value = torch.eye(2)
    with Waiting() as waiting:
        value.sum().item()
        torch.linalg.inv(value)
        value[value > 0]
    assert {"_local_scalar_dense", "_linalg_check_errors", "index"} <= set(waiting.names)
