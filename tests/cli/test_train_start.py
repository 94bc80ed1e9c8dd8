"""``train --start``: a run that goes on from another one, with other pairs."""

import yaml

from pyro_lcm import InterventionPairs, LatentCausalModel


def test_a_run_goes_on_from_another_one_which_stays(cli, work, small):
    before = (work / "run" / "model.safetensors").read_bytes()
    pairs = InterventionPairs.load("train.npz")
    InterventionPairs(1.5 * pairs.x + 1, 1.5 * pairs.x_after + 1).save("warmer.npz")
    held_out = InterventionPairs.load("warmer.npz")
    code, out, _ = cli("train", "warmer.npz", "--start", "run", "--out", "on", "--seed", "3", *small)
    assert code == 0
    assert "held-out ELBO" in out
    old, new = LatentCausalModel.load("run"), LatentCausalModel.load("on")
    assert new.elbo(held_out) > old.elbo(held_out)
    assert new.names == old.names
    assert (work / "run" / "model.safetensors").read_bytes() == before
    assert yaml.safe_load((work / "on" / "train.yaml").read_text())["start"] == "run"
    again = ["train", "warmer.npz", "--start", "run", "--out", "on", "--seed", "3", "--resume", *small]
    assert cli(*again)[:2] == (0, "on: the run is finished; nothing to do\n")
