"""The time to disentanglement is that of the first checkpoint which is good, and scoring changes nothing."""

import os

import pytest
import torch

from pyro_lcm import Budget, LatentCausalModel, ScalingSystem
from pyro_lcm.studies.study import fit_and_score
from pyro_lcm.studies.time_to_d import Snapshots, seconds_to_d
from pyro_lcm.training.checkpoint import CheckpointFolder, copy_tensors


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit of linear data with the checkpoints it left."""
    folder = tmp_path_factory.mktemp("fit")
    system = ScalingSystem(2, seed=0)
    snapshots = Snapshots(folder / "run", folder)
    model = LatentCausalModel().fit(
        system.sample(3000),
        seed=0,
        out=folder / "run",
        budget=Budget(refine=50),
        progress=False,
        loggers=(snapshots,),
    )
    return model, snapshots, system.sample(500, seed=1)


def test_checkpoints_are_kept_in_the_order_they_were_written(fitted):
    _, snapshots, _ = fitted
    times = [when for _, when in snapshots.by_time()]
    assert len(times) >= 3
    assert times == sorted(set(times))
    assert len(CheckpointFolder(snapshots.run / "checkpoint")._files()) <= 2


def test_the_time_lies_between_a_bad_checkpoint_and_the_end(fitted):
    model, snapshots, test = fitted
    before = copy_tensors(model.fitted.objective)
    files = snapshots.by_time()
    started = files[0][1] - 1.0
    found = seconds_to_d(model, snapshots, test, started=started, seconds=1e6)
    # The first checkpoint is of fresh parameters, and the lines already give a linear system away.
    assert found is not None
    assert files[1][1] - started <= found <= files[-1][1] - started or found == 1e6
    after = copy_tensors(model.fitted.objective)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_fit_that_never_gets_there_has_no_time(tmp_path):
    system = ScalingSystem(3, seed=1, mixing="leaky_relu", mechanisms="nonlinear")
    budget = Budget(unmix=5, refine=5, solutions=5)
    row = fit_and_score(
        LatentCausalModel(),
        system.sample(500),
        system.sample(200, seed=1),
        out=tmp_path / "run",
        seed=0,
        budget=budget,
        dci_rows=100,
    )
    assert row["seconds_to_d"] is None
    assert row["seconds"] > 0
    assert not [name for name in os.listdir(tmp_path) if name != "run"]
