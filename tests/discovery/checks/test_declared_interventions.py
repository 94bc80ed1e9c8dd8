"""Interventions that do not act as declared are named, those that do are not."""

import numpy as np
import pytest

from pyro_lcm.discovery import GraphData
from pyro_lcm.discovery.checks.declared_interventions import confounded_pairs, odd_interventions
from pyro_lcm.discovery.scores.bge import BGeScore

GRAPH = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.int8)
ROWS = 120


def table(act):
    """A chain a, b, c; in the last third something is done that is declared a perfect intervention on b."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(ROWS, 3))
    hit = np.arange(ROWS) >= 80
    hidden = rng.normal(size=ROWS) * 1.5 * (act == "hidden")
    a = noise[:, 0]
    b = np.where(hit, (0.5 * a if act == "soft" else 0) + noise[:, 1] * 1.2, a + noise[:, 1] + hidden)
    c = b + noise[:, 2] + (3.0 * hit if act == "elsewhere" else 0) + hidden
    return GraphData(np.stack([a, b, c], 1), targets=np.where(hit, 2, 0)).in_own_units()[0]


def test_sound_interventions_are_left_alone():
    assert odd_interventions(BGeScore, table("perfect"), GRAPH) == ()
    assert confounded_pairs(BGeScore, table("perfect"), GRAPH) == ()


def test_a_target_that_still_depends_on_its_causes():
    rng = np.random.default_rng(1)
    a = rng.normal(size=300)
    hit = np.arange(300) >= 150
    b = np.where(hit, 0.6, 1.0) * a + rng.normal(size=300)
    data = GraphData(np.stack([a, b, b + rng.normal(size=300)], 1), targets=np.where(hit, 2, 0))
    (found,) = odd_interventions(BGeScore, data, GRAPH)
    assert (found.targets, found.depends) == ((1,), (1,))
    soft = GraphData(data.values, targets=data.targets, imperfect=True)
    assert odd_interventions(BGeScore, soft, GRAPH) == ()


def test_an_intervention_that_acts_elsewhere_too():
    (found,) = odd_interventions(BGeScore, table("elsewhere"), GRAPH)
    assert (found.targets, found.depends, found.changed) == ((1,), (), (2,))


def test_a_hidden_common_cause_of_target_and_child():
    """Without the edge they go together where nothing acts on b, and not where it is set."""
    rng = np.random.default_rng(0)
    hit = np.arange(300) >= 150
    hidden, first, second = rng.normal(size=(3, 300))
    b = np.where(hit, first, hidden + 0.5 * first)
    data = GraphData(np.stack([b, hidden + 0.5 * second], 1), targets=np.where(hit, 1, 0))
    for graph in ([[0, 1], [0, 0]], [[0, 0], [0, 0]]):
        (found,) = confounded_pairs(BGeScore, data, np.array(graph, dtype=np.int8))
        assert found.targets == (0, 1)
        assert found.nats > 10


@pytest.mark.parametrize("targets", [None, np.zeros(ROWS, int)])
def test_without_interventions_there_is_nothing_to_say(targets):
    data = GraphData(table("perfect").values, targets=targets)
    assert odd_interventions(BGeScore, data, GRAPH) == ()
    assert confounded_pairs(BGeScore, data, GRAPH) == ()
