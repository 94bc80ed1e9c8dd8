import dataclasses

import pytest
import yaml

from pyro_lcm.training import Cosine, Linear, Phase, WarmUp
from pyro_lcm.training.phases import describe
from tables import each_row


def _phase(**changes):
    fields = {"name": "soft", "steps": 10, "settings": {"kl_weight": Linear(0.1, 1.0), "hypotheses": None}}
    return Phase(**(fields | changes))


def test_settings_follow_the_progress():
    phase = _phase(steps=5)
    assert [phase.progress(step) for step in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert phase.settings_at(0.0) == {"kl_weight": 0.1, "hypotheses": None}
    assert phase.settings_at(1.0) == {"kl_weight": 1.0, "hypotheses": None}
    assert Phase("one", 1).progress(0) == 0.0
    assert _phase(learning_rate=Linear(1.0, 0.0)).learning_rate_at(0.5) == 0.5


def test_yaml_round_trip():
    phase = _phase(
        learning_rate=WarmUp(0.1, then=Cosine(1e-3, 0.0)),
        weight_decay={"model.solution": 0.1},
        freeze=["guide.encoder"],
        gradient_clip=1.0,
        keep="best",
        slack=0.01,
        reset_optimizer=False,
    )
    assert Phase.from_dict(yaml.safe_load(yaml.safe_dump(phase.to_dict()))) == phase


def test_hooks_are_not_part_of_plain_data():
    def hook(objective, source, seed):
        return None

    phase = _phase(start=hook, data=hook)
    assert not {"start", "data"} & set(phase.to_dict())
    assert Phase.from_dict(phase.to_dict(), start=hook, data=hook) == phase


def test_phase_does_not_change_with_what_it_was_made_from():
    settings, decay, freeze = {"a": 1.0}, {"b": 0.1}, ["c"]
    phase = _phase(settings=settings, weight_decay=decay, freeze=freeze)
    settings["a"], decay["b"] = 2.0, 0.2
    freeze.append("d")
    assert (phase.settings, phase.weight_decay, phase.freeze) == ({"a": 1.0}, {"b": 0.1}, ("c",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        phase.steps = 3


@each_row(
    ("changes", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"steps": -1}, "steps"),
        ({"slack": -1.0}, "slack"),
        ({"steps": 1.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"gradient_clip": 0}, "gradient_clip"),
        ({"keep": "first"}, "keep"),
        ({"reset_optimizer": 1}, "reset_optimizer"),
        ({"start": "hook"}, "start"),
        ({"settings": [1]}, "settings"),
        ({"settings": {"kl_weight": [1.0]}}, r"settings\['kl_weight'\]"),
        ({"settings": {"size": 3}}, "settings"),
        ({"settings": {"kl-weight": 3}}, "settings"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"weight_decay": {"model": -0.1}}, r"weight_decay\['model'\]"),
        ({"freeze": "guide"}, "freeze"),
        ({"freeze": [""]}, "freeze"),
    ],
)
def test_errors_name_the_field(changes, message):
    with pytest.raises(ValueError, match=message):
        _phase(**changes)


@each_row(
    ("plain", "message"),
    [
        ({"name": "a"}, "'steps' is missing"),
        ({"name": "a", "steps": 1, "epochs": 2}, "unknown field 'epochs'"),
        ({"name": "a", "steps": 1, "start": "hook"}, "unknown field 'start'"),
        ({"name": "a", "steps": 1, "learning_rate": {"schedule": "spline"}}, "expected one of"),
    ],
)
def test_wrong_plain_data(plain, message):
    with pytest.raises(ValueError, match=message):
        Phase.from_dict(plain)


@dataclasses.dataclass(frozen=True)
class _Hook:
    size: int = 2
    inner: object = None

    def __call__(self, objective, source, seed):
        return None


def test_hooks_are_told_apart_by_the_hooks_within():
    plain, nested = (describe(_Hook(inner=inner)) for inner in (None, _Hook(size=3)))
    assert plain.endswith("_Hook(size=2)")
    assert nested.endswith("_Hook(size=2, inner=" + describe(_Hook(size=3)) + ")")
