"""The report of a run: results first, how it was made last, and captions that say what is drawn."""

from pyro_lcm.cli import main


def test_results_come_first_and_versions_last(cli, work):
    assert cli("check", "run", "--data", "test.npz")[0] == 0
    assert cli("graph", "run", "--data", "test.npz", "--draws", "50", "--chains", "1")[0] == 0
    text = (work / "run" / "report.html").read_text()
    places = [text.index(f"<h2>{heading}") for heading in ("What was fitted", "Check", "Posterior", "How it was made")]
    assert places == sorted(places)
    assert text.index("version of torch") > text.index("data:image/png")
    for words in ("pyro-lcm train", "train.npz", "--budget.refine 40", "ended (UTC)", "not a single graph"):
        assert words in text
    assert "Most probable graph" not in text


def test_rename_is_in_the_folder_and_in_the_report(cli, work):
    assert main(["rename", "run", "--name", "z2=pressure"]) == 0
    code, out, _ = cli("check", "run", "--data", "test.npz")
    assert code == 0
    assert "pressure" in out
    assert "z1, pressure" in (work / "run" / "report.html").read_text()
