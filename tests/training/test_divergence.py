"""A loss, gradient or parameter that is not finite ends the run with the last good parameters."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pyro_lcm.process.random_state import derive_seed
from pyro_lcm.training import Linear, Phase, TrainingDiverged, fit
from pyro_lcm.training.batch_order import BatchOrder
from pyro_lcm.training.checkpoint import read_tree
from pyro_lcm.training.monitor import StepWindow

SEED = 2


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))
        self.other = nn.Parameter(torch.zeros(2))

    def forward(self, tensors, *, size, index):
        part = (tensors["x"] - self.mean).square().mean()
        return part + self.other.square().mean(), {"part": part.detach()}


class HiddenGradient(nn.Module):
    """From the step on at which ``late`` is positive, the loss is finite and its gradient is not."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.ones(2))

    def forward(self, tensors, *, size, index, late):
        hidden = torch.where(self.mean > -1e9, torch.ones(2), torch.sqrt(self.mean - 1e9)).sum()
        return self.mean.square().sum() + (hidden if late > 0 else 0.0)


def _fit(objective, x, phase, **options):
    options = {"seed": SEED, "device": "cpu", "progress": False} | options
    return fit(objective, {"x": x}, [phase], **options)


@pytest.mark.parametrize(("log_every", "checkpoint_every"), [(1, 10), (100, 10), (7, 3), (100, 100)])
def test_the_first_bad_step_is_found(tmp_path, log_every, checkpoint_every):
    x = torch.randn(100, 2)
    x[41] = float("inf")
    order = BatchOrder(100, 4, seed=derive_seed(SEED, "batches", 0))
    bad = next(step for step in range(25) if 41 in order.index(step).tolist()) + 1
    assert bad > 3
    objective = Mean()
    cadence = {"log_every": log_every, "checkpoint_every": checkpoint_every}
    with pytest.raises(TrainingDiverged) as caught:
        _fit(objective, x, Phase("soft", 60, batch_size=4), out=tmp_path, **cadence)
    error = caught.value
    assert (error.step, error.phase) == (bad, "soft")
    assert error.culprits[:3] == ("loss", "part", "mean")
    good = (bad - 1) // checkpoint_every * checkpoint_every
    assert error.restored_step == good
    assert error.checkpoint == tmp_path / "checkpoint" / f"step-{good:012d}.safetensors"
    saved = read_tree(error.checkpoint)["tensors"]
    assert torch.equal(saved["mean"], objective.mean.detach())
    assert objective.mean.isfinite().all()
    for text in ("'soft'", f"step {bad}", "loss", str(error.checkpoint), "64-true", "another seed"):
        assert text in str(error)
    assert not any(tensor.isnan().any() for tensor in load_file(error.checkpoint).values())


def test_resumed_run_diverges_in_the_same_step(tmp_path):
    x = torch.randn(100, 2)
    x[41] = float("nan")
    errors = []
    for resume in (False, True):
        with pytest.raises(TrainingDiverged) as caught:
            _fit(Mean(), x, Phase("a", 60, batch_size=4), out=tmp_path, resume=resume, checkpoint_every=3)
        errors.append((caught.value.step, caught.value.checkpoint, (tmp_path / "metrics.csv").read_text()))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("checkpoint_every", [1, 5, 6, 50])
def test_hidden_gradient_never_becomes_a_checkpoint(tmp_path, clip, checkpoint_every):
    # the gradient of step 6 is the first that is not finite; the loss only is in step 7
    phase = Phase("a", 20, settings={"late": Linear(-4.9, 14.1)}, gradient_clip=clip)
    objective = HiddenGradient()
    with pytest.raises(TrainingDiverged) as caught:
        _fit(objective, torch.zeros(4, 2), phase, out=tmp_path, checkpoint_every=checkpoint_every, log_every=50)
    error = caught.value
    assert error.step == 6 if clip or checkpoint_every in (1, 6) else error.step == 7
    assert "gradient_norm" in error.culprits if clip else "mean" in error.culprits
    assert error.restored_step == 5 // checkpoint_every * checkpoint_every
    assert objective.mean.isfinite().all()
    assert torch.equal(read_tree(error.checkpoint)["tensors"]["mean"], objective.mean.detach())


def test_last_step_of_a_run_is_checked_too():
    objective = HiddenGradient()
    with pytest.raises(TrainingDiverged, match="mean") as caught:
        _fit(objective, torch.zeros(4, 2), Phase("a", 1, settings={"late": 1}))
    assert (caught.value.restored_step, caught.value.checkpoint) == (0, None)
    assert torch.equal(objective.mean.detach(), torch.ones(2))


def test_infinite_moments_count_as_divergence():
    class Steep(Mean):
        def forward(self, tensors, *, size, index):
            return 1e25 * self.mean.sum()

    with pytest.raises(TrainingDiverged, match="exp_avg_sq of mean"):
        _fit(Steep(), torch.zeros(4, 2), Phase("a", 3))


def test_validation_that_is_not_finite_is_never_the_best():
    class Odd(Mean):
        def forward(self, tensors, *, size, index):
            loss, _ = super().forward(tensors, size=size, index=index)
            return loss if self.training else loss * float("nan")

    objective = Odd()
    held_out = {"x": torch.ones(4, 2)}
    result = _fit(objective, torch.ones(4, 2), Phase("a", 20, keep="best"), validation=held_out, validate_every=5)
    assert result.phases[0].best_step is None
    assert objective.mean.abs().min() > 0


def test_window_reports_the_first_bad_step_and_forgets_it():
    window = StepWindow()
    for loss, norm in [(1.0, 2.0), (float("nan"), 2.0), (float("inf"), float("inf"))]:
        window.append({"loss": torch.tensor(loss), "gradient_norm": torch.tensor(norm, dtype=torch.float64)})
    summary = window.read()
    assert (summary.steps, summary.first_bad, summary.culprits) == (3, 1, ("loss",))
    window.append({"loss": torch.tensor(3.0), "other": torch.tensor(float("nan"))})
    summary = window.read()
    assert (summary.means["loss"], summary.first_bad) == (3.0, None)
    assert window.read().steps == 0
