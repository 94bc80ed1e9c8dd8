"""Fits are what they are under whatever modes of torch the caller has set, and in several threads at a time."""

import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

from pyro_lcm import LatentCausalModel


@contextmanager
def double_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64 by default": double_by_default,
}


def fitted(train, small, seed=0):
    return LatentCausalModel().fit(train, budget=small, seed=seed, progress=False)


def answers(model, pairs):
    x, x_after = pairs.x[:50], pairs.x_after[:50]
    return {
        "encode": model.encode(x).causal,
        "targets": model.infer_targets(x, x_after),
        "sample": model.sample(20, seed=3).x,
        "intervene": model.intervene({"z1": 0.5}, x=x).x,
        "counterfactual": model.counterfactual(x, {"z1": 0.5}, draws=2).x,
        "elbo": model.elbo(pairs[:50]),
    }


@pytest.fixture(scope="module")
def usual(train, small):
    return answers(fitted(train, small), train)


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_the_caller_change_nothing(train, small, usual, mode):
    with MODES[mode]():
        model = fitted(train, small)
        for name, found in answers(model, train).items():
            np.testing.assert_allclose(found, usual[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert torch.get_default_dtype() == torch.float32
    for name, found in answers(model, train).items():
        np.testing.assert_array_equal(found, usual[name], err_msg=name)


def test_threads_take_turns(train, small, usual):
    found, errors = {}, []

    def work(seed):
        try:
            with nullcontext() if seed else torch.no_grad():
                model = fitted(train, small, seed=seed)
                found[seed] = [answers(model, train) for _ in range(3)]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    alone = answers(fitted(train, small, seed=1), train)
    for seed, expected in ((0, usual), (1, alone)):
        for one in found[seed]:
            for name, value in one.items():
                np.testing.assert_array_equal(value, expected[name], err_msg=f"{name}, seed {seed}")
