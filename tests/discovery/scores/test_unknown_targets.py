"""Unknown targets: the sum over what changed, against every pattern of declared changes."""

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from pyro_lcm.discovery import GraphData, graph_posterior, graph_summary
from pyro_lcm.discovery.scores import unknown_targets
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.unknown_targets import UnknownTargetsScore

CHANCE = 0.3
SETS = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1]], bool)


@pytest.fixture(scope="module")
def rows():
    """a -> b; b is set in condition 2, nothing happens in conditions 1 and 3."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 3))
    label = np.repeat(np.arange(4), 40)
    x[label != 2, 1] += x[label != 2, 0]
    return x, label


def by_declaring(x, label, child):
    """Log evidence of every pattern of changes of a variable in conditions 1 to 3, declared, with its prior."""
    found = {}
    for changed in itertools.product((0, 1), repeat=3):
        targets = np.zeros((len(x), 3), bool)
        for condition, change in enumerate(changed, start=1):
            targets[label == condition, child] = bool(change)
        score = BGeScore(GraphData(x, targets=targets, imperfect=True, regimes=label))
        prior = sum(np.log(CHANCE if change else 1 - CHANCE) for change in changed)
        found[changed] = score.local(child, SETS) + prior
    return found


def test_sum_over_all_patterns(rows):
    x, label = rows
    score = UnknownTargetsScore(BGeScore, GraphData(x, regimes=label, unknown=label > 0), change_probability=CHANCE)
    found = by_declaring(x, label, 1)
    total = logsumexp(list(found.values()), axis=0)
    np.testing.assert_allclose(score.local(1, SETS), total, atol=1e-9)
    graph = np.zeros((1, 3, 3))
    graph[0, 0, 1] = 1
    second = np.exp(logsumexp([v[1] for pattern, v in found.items() if pattern[1]]) - total[1])
    assert score.change_probabilities(graph)[1, 1] == pytest.approx(second)


def test_many_conditions_give_a_lower_bound_close_to_the_sum(rows, monkeypatch):
    x, label = rows
    data = GraphData(x, regimes=label, unknown=label > 0)
    whole = UnknownTargetsScore(BGeScore, data).local(1, SETS)
    monkeypatch.setattr(unknown_targets, "MOST_SUMMED", 1)
    bound = UnknownTargetsScore(BGeScore, data).local(1, SETS)
    assert (bound <= whole + 1e-9).all()
    assert (whole - bound < 0.1).all()


def test_the_changed_variable_is_named(rows):
    x, label = rows
    data = GraphData(
        x, names=("a", "b", "c"), regimes=np.array(["rest", "heat", "salt", "dark"])[label], unknown=label > 0
    )
    container = graph_posterior(data, draws=100)
    chance = container["constant_data"]["target_probability"]
    assert float(chance.sel(regime="salt", variable="b")) > 0.95
    assert float(chance.sel(regime=["heat", "dark"]).max()) < 0.3
    assert "changed in condition salt: b 0.98" in graph_summary(container).to_text()


def test_declared_targets_have_changed_for_sure(rows):
    x, label = rows
    targets = np.where(label == 2, 2, 0)
    data = GraphData(x, targets=targets, imperfect=True, regimes=label, unknown=label > 0)
    score = UnknownTargetsScore(BGeScore, data, change_probability=CHANCE)
    found = by_declaring(x, label, 1)
    known = [value - np.log(CHANCE) for pattern, value in found.items() if pattern[1]]
    np.testing.assert_allclose(score.local(1, SETS), logsumexp(known, axis=0), atol=1e-9)


def test_question_marks_stand_for_unknown_targets():
    data = GraphData(np.zeros((4, 2)), targets=np.array(["", "x1", "?", "x2;?"]))
    assert data.unknown.tolist() == [False, False, True, True]
    assert data.targets.tolist() == [[False, False], [True, False], [False, False], [False, True]]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (GraphData(np.zeros((4, 2))), {}, "unknown"),
        (GraphData(np.zeros((4, 2)), unknown=np.ones(4, bool)), {"change_probability": 1.0}, "change_probability"),
    ],
)
def test_refusals(data, options, message):
    with pytest.raises(ValueError, match=message):
        UnknownTargetsScore(BGeScore, data, **options)
