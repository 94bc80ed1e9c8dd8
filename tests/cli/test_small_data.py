"""Few pairs: a fit that nobody can judge says so, before and after."""

from pyro_lcm import InterventionPairs, LatentCausalModel


def test_too_few_held_out_pairs_give_no_verdict(cli, work, small, caplog):
    InterventionPairs.load("train.npz")[:120].save("few.npz")
    code, out, err = cli("train", "few.npz", "--out", "few", *small)
    assert code == 0
    assert "12 pairs are held out, fewer than the 50" in err + caplog.text
    assert "check: none, of 12 held-out pairs" in out
    assert LatentCausalModel.load("few").dim_z == 2


def test_a_posterior_is_not_written_over_unasked(cli, work):
    command = ["graph", "run", "--data", "test.npz", "--draws", "20", "--chains", "1"]
    assert cli(*command)[0] == 0
    before = (work / "run" / "posterior.nc").read_bytes()
    code, _, err = cli(*command, "--seed", "1")
    assert code == 2
    assert "posterior.nc exists" in err
    assert (work / "run" / "posterior.nc").read_bytes() == before
    assert cli(*command, "--seed", "1", "--overwrite")[0] == 0
    assert (work / "run" / "posterior.nc").read_bytes() != before
