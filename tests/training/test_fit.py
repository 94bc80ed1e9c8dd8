"""The driver against hand-written loops and closed forms."""

import math

import pytest
import torch
from torch import nn

from pyro_lcm.process.random_state import derive_seed
from pyro_lcm.training import Cosine, Linear, Phase, TensorSource, fit
from pyro_lcm.training.batch_order import BatchOrder
from tables import each_row

SEED = 3


class Regression(nn.Module):
    """Squared error of a small network, with noise on its input in training."""

    def __init__(self, noise=0.0):
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.head = nn.Linear(4, 1)
        self.noise = noise
        self.calls = []

    def forward(self, tensors, *, size, index, weight=1.0):
        self.calls.append({"size": size, "index": index.tolist(), "weight": weight, "training": self.training})
        x = tensors["x"] + self.noise * torch.randn_like(tensors["x"])
        error = (self.head(torch.tanh(self.body(x))).squeeze(-1) - tensors["y"]).square().mean()
        return weight * error, {"error": error.detach()}


class Slope(nn.Module):
    """A loss with gradient 1 in ``moved`` and 0 in ``still``."""

    def __init__(self):
        super().__init__()
        self.moved = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.still = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, tensors, *, size, index):
        return self.moved + 0.0 * self.still


def _objective(noise=0.0):
    torch.manual_seed(0)
    return Regression(noise)


def _data(items=50):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(items, 3, generator=generator)
    return {"x": x, "y": x.sum(-1)}


def _fit(objective, data, phases, **options):
    return fit(objective, data, phases, **{"seed": SEED, "device": "cpu", "progress": False} | options)


def _values(module):
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def _equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _sgd(groups):
    return torch.optim.SGD(groups)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_equals_a_hand_written_loop_bit_for_bit(clip):
    phase = Phase("a", 40, learning_rate=Cosine(1e-2, 0.0), batch_size=16, gradient_clip=clip)
    data, driven, by_hand = _data(), _objective(), _objective()
    _fit(driven, data, [phase])
    order = BatchOrder(50, 16, seed=derive_seed(SEED, "batches", 0))
    optimizer = torch.optim.AdamW(by_hand.parameters(), weight_decay=0.0, fused=True)
    for step in range(40):
        optimizer.param_groups[0]["lr"] = phase.learning_rate_at(step / 39)
        index = order.index(step)
        optimizer.zero_grad()
        loss, _ = by_hand({name: values[index] for name, values in data.items()}, size=50, index=index)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(by_hand.parameters(), clip)
        optimizer.step()
    assert _equal(_values(driven), _values(by_hand))


def test_objective_gets_size_rows_and_settings():
    objective = _objective()
    _fit(objective, _data(), [Phase("a", 5, batch_size=7, settings={"weight": Linear(0.0, 2.0)})])
    assert [call["weight"] for call in objective.calls] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert {call["size"] for call in objective.calls} == {50}
    rows = [row for call in objective.calls for row in call["index"]]
    assert len(set(rows)) == len(rows) == 35


def test_learning_rate_follows_its_schedule():
    objective = Slope()
    phases = [Phase("a", 11, learning_rate=Linear(0.2, 0.0)), Phase("b", 4, learning_rate=0.5)]
    result = _fit(objective, _data(), phases, precision="64-true", optimizer=_sgd, log_every=1)
    assert objective.moved.item() == pytest.approx(-(11 * 0.1 + 4 * 0.5), rel=1e-12)
    rates = [row["learning_rate"] for row in result.history]
    assert rates == pytest.approx([0.2 - 0.02 * step for step in range(11)] + [0.5] * 4)
    assert [row["loss"] for row in result.history][:2] == pytest.approx([0.0, -0.2])


def test_weight_decay_by_prefix_shrinks_what_it_covers():
    objective = Slope()
    phases = [
        Phase("a", 5, learning_rate=0.1, weight_decay={"still": 0.5}),
        Phase("b", 3, learning_rate=0.1),
        Phase("c", 2, learning_rate=0.1, weight_decay=0.2),
    ]
    _fit(objective, _data(), phases, precision="64-true")
    assert objective.still.item() == pytest.approx(0.95**5 * 0.98**2, rel=1e-12)


def test_longest_prefix_decides():
    start, end = _objective(), _objective()
    decay = {"": 0.0, "body": 0.3, "body.bias": 0.0}
    _fit(end, _data(), [Phase("a", 1, learning_rate=0.1, weight_decay=decay, settings={"weight": 0.0})])
    before, after = _values(start), _values(end)
    torch.testing.assert_close(after.pop("body.weight"), before.pop("body.weight") * (1 - 0.03))
    assert _equal(after, before)


def test_frozen_parameters_stay_and_train_again_later():
    objective, seen = _objective(), []

    def look(module, source, seed):
        seen.append(_values(module))

    phases = [
        Phase("frozen", 10, freeze=["body"], weight_decay=0.1, start=look),
        Phase("free", 10, start=look),
        Phase("end", 0, start=look),
    ]
    _fit(objective, _data(), phases)
    before, frozen, free = seen
    for name in before:
        assert torch.equal(before[name], frozen[name]) == name.startswith("body")
        assert not torch.equal(frozen[name], free[name])
    assert all(parameter.requires_grad for parameter in objective.parameters())


def test_parameters_frozen_by_the_user_stay_frozen():
    objective = _objective()
    objective.head.bias.requires_grad_(False)
    before = _values(objective)
    _fit(objective, _data(), [Phase("a", 5, weight_decay=0.1), Phase("b", 5, freeze=["head.weight"])])
    assert torch.equal(objective.head.bias, before["head.bias"])
    assert not objective.head.bias.requires_grad


@pytest.mark.parametrize("reset", [True, False])
def test_moments_are_kept_between_phases_if_asked(reset):
    split, whole = _objective(), _objective()
    data = _data(16)  # the whole data set in each batch, so that batches do not depend on the phase
    second = Phase("b", 10, batch_size=16, weight_decay={"head": 0.0}, reset_optimizer=reset)
    _fit(split, data, [Phase("a", 10, batch_size=16), second])
    _fit(whole, data, [Phase("a", 20, batch_size=16)])
    assert _equal(_values(split), _values(whole)) == (not reset)


def test_hook_is_seeded_and_changes_parameters_in_place():
    found = []

    def start(module, source, seed):
        assert not torch.is_grad_enabled()
        found.append((seed, torch.rand(()).item(), len(source), len(source.batch(torch.tensor([0, 1]))["x"])))
        module.head.bias.fill_(7.0)
        return {"shift": 7.0}

    results = []
    for _ in range(2):
        objective = _objective(noise=0.1)
        results.append(_fit(objective, _data(), [Phase("a", 3), Phase("b", 0, start=start)]))
        assert objective.head.bias.item() == 7.0
    assert found[0] == found[1]
    assert found[0][2:] == (50, 2)
    assert results[0].history[-1]["start_shift"] == 7.0
    assert results[0] == results[1]


def test_seed_decides_and_the_callers_generators_are_left_alone():
    def run(seed):
        objective = _objective(noise=0.5)
        torch.manual_seed(99)
        _fit(objective, _data(), [Phase("a", 5)], seed=seed)
        return _values(objective), torch.rand(3)

    (first, after), (again, _), (other, _) = run(1), run(1), run(2)
    assert _equal(first, again)
    assert not _equal(first, other)
    torch.manual_seed(99)
    assert torch.equal(torch.rand(3), after)


def test_validation_does_not_change_training():
    def run(**options):
        objective = _objective(noise=0.5)
        objective.head.eval()
        _fit(objective, _data(), [Phase("a", 20, batch_size=8)], **options)
        assert [module.training for module in (objective, objective.head)] == [True, False]
        return _values(objective)

    alone = run()
    assert _equal(alone, run(validation=_data(30), validate_every=3, validation_batch_size=7))


def test_validation_loss_is_the_mean_over_items_under_the_last_settings():
    objective, held_out = _objective(), _data(23)
    phase = Phase("a", 4, settings={"weight": Linear(0.0, 3.0)})
    result = _fit(objective, _data(), [phase], validation=held_out, validation_batch_size=5)
    expected, _ = objective(held_out, size=23, index=torch.arange(23), weight=3.0)
    assert result.validation_loss == pytest.approx(expected.item(), rel=1e-6)
    assert result.history[-1]["validation_error"] == pytest.approx(expected.item() / 3, rel=1e-6)
    in_validation = [call for call in objective.calls if not call["training"]]
    assert sorted(row for call in in_validation for row in call["index"]) == list(range(23))
    assert max(len(call["index"]) for call in in_validation) == 5


def test_best_parameters_are_kept():
    data, seen = _data(), []

    def look(module, source, seed):
        seen.append(_values(module))

    ascent = Phase("up", 20, learning_rate=0.1, settings={"weight": -1.0}, keep="best")
    phases = [
        Phase("down", 200, learning_rate=0.05, batch_size=50),
        Phase("noise", 30, learning_rate=0.5, batch_size=50, keep="best", start=look),
        Phase("end", 0, start=look),
    ]
    objective = _objective()
    result = _fit(objective, data, phases, validation=data, validate_every=5)
    validated = [
        row["validation_loss"] for row in result.history if row["phase"] == "noise" and "validation_loss" in row
    ]
    assert result.phases[1].validation_loss == min(validated) < max(validated)
    loss, _ = objective(data, size=50, index=torch.arange(50))
    assert loss.item() == pytest.approx(min(validated), rel=1e-6)
    assert _fit(_objective(), data, [ascent], validation=data).phases[0].best_step == 20
    assert result.phases[0].best_step is None


def test_the_last_of_those_that_are_no_worse_is_kept():
    data = _data()

    def ascend(groups):
        return torch.optim.SGD([{**group, "maximize": True} for group in groups])

    def steps_kept(slack):
        phase = Phase("a", 20, learning_rate=1e-3, batch_size=50, keep="best", slack=slack)
        result = _fit(_objective(), data, [phase], validation=data, optimizer=ascend, validate_every=5)
        losses = [row["validation_loss"] for row in result.history if "validation_loss" in row]
        return result.phases[0], losses

    _, (start, first, second, *_) = steps_kept(0.0)
    assert start < first < second
    kept, _ = steps_kept((first + second) / 2 - start)
    assert (kept.best_step, kept.validation_loss) == (5, first)
    assert [steps_kept(slack)[0].best_step for slack in (0.0, 1e6)] == [0, 20]


def test_start_counts_among_the_best():
    objective = _objective()
    before = _values(objective)
    data = _data()

    def worse(groups):
        return torch.optim.SGD([{**group, "maximize": True} for group in groups])

    result = _fit(objective, data, [Phase("a", 10, keep="best")], validation=data, optimizer=worse)
    assert result.phases[0].best_step == 0
    assert _equal(_values(objective), before)


def test_history_means_and_result():
    result = _fit(_objective(), _data(), [Phase("a", 25), Phase("b", 10)], log_every=10, checkpoint_every=15)
    assert [(row["step"], row["phase"]) for row in result.history] == [
        (10, "a"),
        (15, "a"),
        (20, "a"),
        (25, "a"),
        (30, "b"),
        (35, "b"),
    ]
    assert result.steps == 35
    assert result.loss == result.history[-1]["loss"] == result.phases[1].loss
    assert result.checkpoint is None
    every = _fit(_objective(), _data(), [Phase("a", 25), Phase("b", 10)], log_every=1).history
    assert result.history[0]["loss"] == pytest.approx(math.fsum(row["loss"] for row in every[:10]) / 10)


def test_loggers_get_what_the_table_gets():
    class Logger:
        def __init__(self):
            self.rows, self.status = [], None

        def log_metrics(self, metrics, step):
            self.rows.append({"step": step, **metrics})

        def finalize(self, status):
            self.status = status

    logger = Logger()
    result = _fit(_objective(), _data(), [Phase("a", 20)], log_every=10, loggers=[logger])
    assert logger.rows == [{key: row[key] for key in row if key != "phase"} for row in result.history]
    assert logger.status == "finished"


def test_words_are_settings_too():
    class Staged(Slope):
        def forward(self, tensors, *, size, index, stage):
            return self.moved if stage == "up" else -self.moved

    objective = Staged()
    phases = [Phase("a", 3, 0.1, settings={"stage": "up"}), Phase("b", 1, 0.1, settings={"stage": "down"})]
    _fit(objective, _data(), phases, optimizer=_sgd, precision="64-true")
    assert objective.moved.item() == pytest.approx(-0.2)


def test_double_precision():
    objective = _objective()
    _fit(objective, _data(), [Phase("a", 2)], precision="64-true", validation=_data(5))
    assert {parameter.dtype for parameter in objective.parameters()} == {torch.float64}


def test_a_source_of_ones_own():
    class Squares:
        def __len__(self):
            return 50

        def batch(self, index):
            x = torch.stack([index, index**2, index**3], -1) / 50.0
            return {"x": x, "y": x.sum(-1)}

    own, tensors = _objective(), _objective()
    _fit(own, Squares(), [Phase("a", 5)])
    _fit(tensors, TensorSource(Squares().batch(torch.arange(50))), [Phase("a", 5)])
    assert _equal(_values(own), _values(tensors))


def test_reads_the_device_as_often_for_many_steps_as_for_few(monkeypatch):
    reads = []
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda *args, _original=original, **kwargs: (reads.append(1), _original(*args, **kwargs))[1],
        )

    class Plain(Slope):
        def forward(self, tensors, *, size, index):
            return (self.moved * self.still).square(), {"moved": self.moved.detach()}

    counts = []
    for steps in (5, 100):
        reads.clear()
        phase = Phase("a", steps, gradient_clip=1.0, learning_rate=Linear(0.1, 0.0), weight_decay={"still": 0.1})
        _fit(Plain(), _data(1000), [phase], log_every=200)
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0


class _Wrong(Slope):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, tensors, *, size, index):
        return self.output(self.moved)


@each_row(
    ("call", "message"),
    [
        (lambda: _fit(lambda tensors: 0, _data(), [Phase("a", 1)]), "objective: expected a torch module"),
        (lambda: _fit(Slope(), _data(), []), "phases: expected a sequence of at least one Phase"),
        (lambda: _fit(Slope(), _data(), [{"name": "a"}]), "phases"),
        (lambda: _fit(Slope(), _data(), [Phase("a", 1)], seed=-1), "seed"),
        (lambda: _fit(Slope(), _data(), [Phase("a", 1)], seed=0.5), "seed"),
        (lambda: _fit(Slope(), _data(), [Phase("a", 1)], resume=True), "resume: expected a run folder"),
        (lambda: _fit(Slope(), _data(), [Phase("a", 1)], log_every=0), "log_every"),
        (lambda: _fit(Slope(), _data(), [Phase("a", 1)], checkpoint_every=2.5), "checkpoint_every"),
        (
            lambda: _fit(Slope(), _data(), [Phase("a", 1, keep="best")]),
            "'a': keep: 'best' needs validation data",
        ),
        (
            lambda: _fit(Slope(), _data(), [Phase("a", 1, freeze=["stil"])]),
            "'a': freeze: no parameter starts with",
        ),
        (
            lambda: _fit(Slope(), _data(), [Phase("a", 1, weight_decay={"x": 1})]),
            "weight_decay: no parameter starts",
        ),
        (
            lambda: _fit(Slope(), _data(), [Phase("a", 1, freeze=["still", "moved"])]),
            "leaves no parameter to train",
        ),
        (lambda: _fit(Slope(), {}, [Phase("a", 1)]), "expected at least one named tensor"),
        (lambda: _fit(Slope(), [1, 2], [Phase("a", 1)]), "data: expected a mapping of tensors or an object"),
        (
            lambda: _fit(Slope(), {"x": torch.zeros(2), "y": torch.zeros(3)}, [Phase("a", 1)]),
            "expected one length",
        ),
        (lambda: _fit(Slope(), {"x": torch.zeros(0)}, [Phase("a", 1)]), "at least one item"),
        (lambda: _fit(Slope(), _data(), [Phase("a", 1)], device="tpux"), "device 'tpux' with precision"),
        (
            lambda: _fit(Slope(), _data(), [Phase("a", 1)], precision="12-true"),
            "precision '12-true' cannot be used",
        ),
        (lambda: _fit(_Wrong(lambda p: p.expand(3)), _data(), [Phase("a", 1)]), r"scalar loss .* got \(3,\)"),
        (lambda: _fit(_Wrong(lambda p: 1.0), _data(), [Phase("a", 1)]), "scalar loss .* got float"),
        (
            lambda: _fit(_Wrong(lambda p: (p, p)), _data(), [Phase("a", 1)]),
            "mapping of metrics, got Parameter",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
