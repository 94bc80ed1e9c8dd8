"""ChiRho's do and multi-world counterfactual on our program give our numbers."""

import pyro
import pytest
import torch

from pyro_lcm.reasoning import intervene, program

pytest.importorskip("chirho", reason="needs the extra `chirho`")

from chirho.counterfactual.handlers import MultiWorldCounterfactual
from chirho.indexed.ops import IndexSet, gather
from chirho.interventional.handlers import do
from chirho.observational.handlers import condition

ACTIONS = {"a": 0.7, "b": lambda natural: natural - 2.0}


def known(scm):
    return scm, torch.randn(5, 3, dtype=torch.float64)


def theirs(scm):
    number = torch.as_tensor(ACTIONS["a"]).to(scm.zero).expand(5)
    return {"a": number, "b": ACTIONS["b"]}


def check(scm, noise, tolerance):
    given = scm.decode(scm.solve(noise)).numpy()
    expected = intervene(scm, ACTIONS, x=given)
    noise = scm.posterior(given)[0]
    natural = scm.decode(scm.solve(noise))
    causal, x = do(program(scm), theirs(scm))(noise)
    torch.testing.assert_close(causal, torch.as_tensor(expected.causal), **tolerance)
    torch.testing.assert_close(x, torch.as_tensor(expected.x), **tolerance)
    with MultiWorldCounterfactual() as worlds:
        causal, x = do(program(scm), theirs(scm))(noise)
        both = IndexSet(a={1}, b={1})
        neither = IndexSet(a={0}, b={0})
        after, before = gather(x, both, event_dim=1), gather(x, neither, event_dim=1)
        after_z = gather(causal, both, event_dim=1)
    assert worlds is not None
    torch.testing.assert_close(after.reshape(5, -1), torch.as_tensor(expected.x), **tolerance)
    torch.testing.assert_close(before.reshape(5, -1), natural, **tolerance)
    torch.testing.assert_close(after_z.reshape(5, -1), torch.as_tensor(expected.causal), **tolerance)


def test_known_structures(linear):
    check(*known(linear[0]), {})


def test_a_fitted_model(fitted):
    scm = program(fitted).scm
    check(scm, torch.randn(5, 3), {"rtol": 1e-4, "atol": 1e-4})


def test_conditioning_in_chirho_raises_too(linear):
    observed = condition(data={"b": torch.zeros(5, dtype=torch.float64)})
    with pytest.raises(ValueError, match="conditioned on"), observed:
        program(linear[0])(size=5)
    with pytest.raises(ValueError, match="conditioned on"):
        pyro.condition(do(program(linear[0]), {"a": torch.zeros(5)}), {"b": torch.zeros(5)})(size=5)
