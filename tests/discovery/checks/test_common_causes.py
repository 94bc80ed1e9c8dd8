"""A hidden common cause is named where a DAG of the observed variables needs more edges, and only there."""

import numpy as np

from pyro_lcm.discovery.checks.climb import climb
from pyro_lcm.discovery.checks.common_causes import hidden_common_cause
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore


def best(x):
    return climb(BGeScore(GraphData(x).in_own_units()[0]), GraphPrior(sparsity=2.0))[0].astype(np.int8)


def test_one_cause_of_five():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(1000, 1))
    x = hidden * [1.0, -1.0, 0.8, 1.2, 0.9] + rng.normal(size=(1000, 5))
    found = hidden_common_cause(x, best(x))
    assert found is not None
    assert set(found.children) == {0, 1, 2, 3, 4}
    assert found.nats > 10


def test_chains_and_forks_of_observed_variables_have_none():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(1000, 5))
        direct = np.triu(rng.random((5, 5)) < 0.5, 1) * rng.uniform(0.5, 1.5, (5, 5))
        x = noise @ np.linalg.inv(np.eye(5) - direct)
        assert hidden_common_cause(x, best(x)) is None


def test_too_little_to_say():
    x = np.random.default_rng(0).normal(size=(30, 4))
    assert hidden_common_cause(x, np.triu(np.ones((4, 4), dtype=np.int8), 1)) is None
    assert hidden_common_cause(np.ones((100, 4)), np.triu(np.ones((4, 4), dtype=np.int8), 1)) is None
