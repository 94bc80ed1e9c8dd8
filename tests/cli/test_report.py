"""The report of a run: results first, how it was made last, and captions that say what is drawn."""

from pyro_lcm.cli import main
from pyro_lcm.commands.report import write_report


def test_results_come_first_and_versions_last(cli, work):
    assert cli("check", "run", "--data", "test.npz")[0] == 0
    assert cli("graph", "run", "--data", "test.npz", "--draws", "50", "--chains", "1")[0] == 0
    text = (work / "run" / "report.html").read_text()
    places = [text.index(f"<h2>{heading}") for heading in ("What was found", "Check", "Posterior", "How it was made")]
    assert places == sorted(places)
    assert text.index("version of torch") > text.index("data:image/png")
    for words in ("pyro-lcm train", "train.npz", "--budget.refine 40", "ended (UTC)", "not a single graph"):
        assert words in text
    assert "Most probable graph" not in text
    found = text[: text.index("<h2>Check")]
    for words in ("2: z1, z2", "<td>z2 -&gt; z1</td>", "z2 -&gt; z1 (", "no problem found"):
        assert words in found


def test_what_was_not_looked_at_is_said_with_the_command_for_it(work):
    text = write_report(work / "run").read_text()
    assert "not made yet: pyro-lcm check run --data FILE" in " ".join(text.split()).replace(str(work) + "/", "")


def test_damaged_files_are_told_and_the_rest_is_there(cli, work):
    assert cli("check", "run", "--data", "test.npz")[0] == 0
    (work / "run" / "check.json").write_text("{")
    text = write_report(work / "run").read_text()
    assert "check.json: not a readable JSON file" in text
    assert "version of torch" in text


def test_rename_is_in_the_folder_and_in_the_report(cli, work):
    assert main(["rename", "run", "--name", "z2=pressure"]) == 0
    code, out, _ = cli("check", "run", "--data", "test.npz")
    assert code == 0
    assert "pressure" in out
    assert "z1, pressure" in (work / "run" / "report.html").read_text()
