"""Every test starts from the same state: float32, seeded, Pyro's checks on, no stray parameters."""

import pyro
import pytest
import torch


@pytest.fixture(autouse=True)
def _clean_state():
    pyro.enable_validation(True)
    pyro.set_rng_seed(0)
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float32)  # fixtures of a session are made between two tests
    left = list(pyro.get_param_store().keys())
    pyro.clear_param_store()
    assert not left, "a test left parameters in Pyro's global store"
