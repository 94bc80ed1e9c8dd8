"""The front end: what it computes on known structures, and that wrong arguments are errors that say so."""

import numpy as np
import pytest
import torch

from pyro_lcm.reasoning import KnownStructure, Shift, counterfactual, edit, intervene
from tables import each_row

Z = np.random.default_rng(3).normal(size=(10, 3))


def test_numbers_tensors_and_functions_agree(linear):
    scm = linear[0]
    expected = intervene(scm, {"b": 1.5}, x=Z).causal
    for same in (np.full(10, 1.5), torch.full((10,), 1.5), [1.5] * 10, lambda natural: 0 * natural + 1.5, np.int64(1)):
        value = Shift(by=1.5, factor=0.0) if isinstance(same, np.int64) else same
        np.testing.assert_allclose(intervene(scm, {"b": value}, x=Z).causal, expected)


def test_a_function_sees_what_was_set_upstream(linear):
    scm, weights, _ = linear
    seen = {}
    intervene(scm, {"c": lambda natural: seen.setdefault("c", natural), "a": 2.0, "b": -1.0}, x=Z)
    own = Z[:, 2] - Z @ weights[:, 2]
    np.testing.assert_allclose(seen["c"], own + 2.0 * weights[0, 2] - weights[1, 2])


def test_a_soft_shift_still_listens_to_its_parents(linear):
    scm, weights, _ = linear
    outcome = intervene(scm, {"a": Shift(by=1.0), "b": Shift(by=np.arange(10.0), factor=2.0)}, x=Z)
    natural = Z[:, 1] + weights[0, 1]
    np.testing.assert_allclose(outcome.causal[:, 1], 2 * natural + np.arange(10.0))


def test_doing_what_is_already_so_changes_nothing(linear):
    scm = linear[0]
    outcome = counterfactual(scm, Z, {"b": Z[:, 1], "c": lambda natural: natural})
    np.testing.assert_allclose(outcome.x, Z, atol=1e-12)


def test_a_population_shares_its_noise_between_the_worlds(linear):
    scm = linear[0]
    outcome = intervene(scm, {"b": 1.0}, n=50, seed=1)
    assert outcome.x.shape == (50, 3)
    again = intervene(scm, {"b": lambda natural: natural}, n=50, seed=1)
    np.testing.assert_allclose(again.causal, outcome.before)
    assert not np.allclose(intervene(scm, {"b": 1.0}, n=50, seed=2).before, outcome.before)


def test_the_counterfactual_keeps_what_the_decoder_cannot_explain(linear):
    scm = linear[0]
    rounded = KnownStructure(scm.mechanisms, scm.adjacency, scm.names, decoder=lambda z: z, encoder=lambda x: x.round())
    still = {"a": lambda natural: natural}
    np.testing.assert_allclose(counterfactual(rounded, Z, still).x, Z)
    np.testing.assert_allclose(intervene(rounded, still, x=Z).x, Z.round(), atol=1e-12)


def test_draws_add_an_axis(linear):
    outcome = counterfactual(linear[0], Z, {"a": np.arange(10.0)}, draws=4)
    assert outcome.x.shape == (4, 10, 3)
    np.testing.assert_allclose(outcome.causal[2], intervene(linear[0], {"a": np.arange(10.0)}, x=Z).causal)


def test_editing_without_effects_changes_the_targets_only(linear):
    scm = linear[0]
    edited = edit(scm, Z, {"a": Shift(by=1.0), "c": lambda natural: natural.clamp(min=0)}, effects=False)
    np.testing.assert_allclose(edited.x[:, 0], Z[:, 0] + 1)
    np.testing.assert_allclose(edited.x[:, 1], Z[:, 1], atol=1e-12)
    np.testing.assert_allclose(edited.x[:, 2], Z[:, 2].clip(0), atol=1e-12)
    with_effects = edit(scm, Z, {"a": Shift(by=1.0)})
    np.testing.assert_allclose(with_effects.x, counterfactual(scm, Z, {"a": Shift(by=1.0)}).x)


@each_row(
    ("values", "message"),
    [
        ({"d": 1.0}, r"got the variable 'd', expected some of a, b, c"),
        ([("a", 1.0), ("a", 2.0)], r"got the variable 'a' twice"),
        ({"a": np.zeros(7)}, r"values\['a'\]: got shape \(7,\), expected \(\) or \(10,\)"),
        ({"a": np.zeros((10, 1))}, r"values\['a'\]: got shape \(10, 1\)"),
        ({"a": "high"}, r"values\['a'\]: got a str, expected real numbers"),
        ({"a": True}, r"values\['a'\]: got dtype torch.bool"),
        ({"a": 1j}, r"values\['a'\]: got dtype torch.complex128"),
        ({"a": None}, r"values\['a'\]: got a NoneType"),
        ({"a": float("nan")}, r"values\['a'\]: got values that are not finite"),
        ({"a": Shift(by=np.zeros(3))}, r"values\['a'\].by: got shape \(3,\)"),
        ({"a": lambda natural: natural[:3]}, r"values\['a'\]\(natural\): got shape \(3,\)"),
        ({1: 1.0}, r"values: got \(1, 1.0\), expected the name"),
        (["a"], r"values: got 'a', expected the name"),
    ],
)
def test_wrong_values_raise(linear, values, message):
    for call in (
        lambda: intervene(linear[0], values, x=Z),
        lambda: counterfactual(linear[0], Z, values),
        lambda: edit(linear[0], Z, values, effects=False),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_other_wrong_arguments_raise(linear):
    scm = linear[0]
    with pytest.raises(ValueError, match="n: got 0"):
        intervene(scm, {"a": 1.0}, n=0)
    with pytest.raises(ValueError, match="draws: got 0"):
        counterfactual(scm, Z, {"a": 1.0}, draws=0)
    with pytest.raises(ValueError, match=r"expected \(N, 3\)"):
        intervene(scm, {"a": 1.0}, x=Z[:, :2])
    one_way = KnownStructure(scm.mechanisms, scm.adjacency, decoder=torch.tanh)
    with pytest.raises(ValueError, match="without an encoder"):
        intervene(one_way, {"z1": 1.0}, x=Z)
