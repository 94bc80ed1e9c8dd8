"""No command replaces a file unasked: one test over all commands, and over all that they write."""

import shutil
import subprocess
import sys

import pytest
import yaml

from campaigns import calls
from pyro_lcm.commands import COMMANDS
from pyro_lcm.commands.files import claim_folder, is_empty, refuse_existing
from pyro_lcm.storage.folder_lock import FolderInUse, locked

MINE = b"the user's own"


@pytest.mark.parametrize("name", calls.CALLS)
def test_nothing_that_is_there_is_replaced_unasked(cli, made, tmp_path, monkeypatch, name):
    arguments = calls.CALLS[name]
    fresh = tmp_path / "fresh"
    shutil.copytree(made, fresh)
    calls.write_table(fresh)
    work = shutil.copytree(fresh, tmp_path / "work")
    monkeypatch.chdir(work)
    assert cli(*arguments)[0] == 0
    before, after = calls.contents(fresh), calls.contents(work)
    assert not [path for path in after if ".partial" in path]

    code, _, err = cli(*arguments)
    assert code == (0 if name in calls.GOES_ON else 2), err
    assert calls.contents(work) == after, "a second call"

    written = [path for path in after if path not in before]
    if name not in ("rename", "completion"):
        assert written
    for number, path in enumerate(written):
        place = shutil.copytree(fresh, tmp_path / f"mine-{number}")
        monkeypatch.chdir(place)
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(MINE)
        code, _, err = cli(*arguments)
        assert code == 2, path
        assert len([line for line in err.splitlines() if ": error: " in line]) == 1
        assert calls.contents(place) == {**before, path: MINE}, path
        shutil.rmtree(place)


@pytest.mark.parametrize("name", ["check", "evaluate", "graph", "encode", "do", "simulate", "demo"])
def test_what_is_there_is_replaced_if_asked(cli, made, tmp_path, monkeypatch, name):
    work = shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(work)
    arguments = calls.CALLS[name]
    assert cli(*arguments)[0] == 0
    before = {path: (work / path).stat().st_mtime_ns for path in calls.contents(work)}
    assert cli(*arguments, "--overwrite")[0] == 0
    changed = [path for path, stamp in before.items() if (work / path).stat().st_mtime_ns != stamp]
    first = {"check": "run/check.json", "evaluate": "run/metrics.json", "graph": "run/posterior.nc"}
    rest = {"encode": "codes.npz", "do": "run/do.npz", "simulate": "new/train.npz", "demo": "new/model.safetensors"}
    assert (first | rest)[name] in changed
    assert (
        not [path for path in changed if path.startswith("run/model") or path.endswith("config.yaml")] or name == "demo"
    )


@pytest.mark.parametrize("name", ["train", "train several", "benchmark", "demo", "simulate", "simulate images"])
def test_of_two_in_one_folder_the_second_writes_nothing(cli, made, tmp_path, monkeypatch, name):
    work = shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(work)
    before = calls.contents(work)
    with locked(work / "new"):
        code, out, err = cli(*calls.CALLS[name])
        assert (code, out) == (2, "")
        assert "new: another process writes into this folder" in err
        assert calls.contents(work) == before
    assert not (work / "new").exists()


@pytest.mark.slow
def test_of_two_trains_at_once_one_is_the_run(made, tmp_path):
    work = shutil.copytree(made, tmp_path / "work")
    program = "import sys; from pyro_lcm.cli import main; sys.exit(main())"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, *calls.CALLS["train"], "--seed", str(seed)],
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    said = [process.communicate() for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 2], said
    assert "Traceback" not in said[codes.index(2)][1]
    options = yaml.safe_load((work / "new" / "train.yaml").read_text())
    config = yaml.safe_load((work / "new" / "config.yaml").read_text())
    assert options["seed"] == config["seed"] == codes.index(0) + 1


def test_a_lock_goes_with_its_owner(tmp_path):
    with locked(tmp_path / "a" / "b"):
        with pytest.raises(FolderInUse, match="another process"), locked(tmp_path / "a" / "b"):
            pass
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with locked(tmp_path / "a"):
        (tmp_path / "a" / "file").touch()
    assert (tmp_path / "a" / "file").exists()


def test_empty_names_of_outputs_are_refused(cli, made, tmp_path, monkeypatch):
    work = shutil.copytree(made, tmp_path / "work")
    calls.write_table(work)
    monkeypatch.chdir(work)
    before = calls.contents(work)
    with_out = [name for name, call in calls.CALLS.items() if "--out" in call]
    assert len(with_out) > 7
    for name in with_out:
        call = list(calls.CALLS[name])
        call[call.index("--out") + 1] = ""
        code, _, err = cli(*call)
        assert (code, "--out: got an empty name" in err) == (2, True), name
    assert calls.contents(work) == before


def test_the_rule(tmp_path):
    report, mine = tmp_path / "report.html", tmp_path / "mine.html"
    report.write_text('<meta name="generator" content="made by pyro-lcm">')
    mine.write_text("<p>mine</p>")
    refuse_existing([tmp_path / "new"], False, views=[report, tmp_path / "none.png"])
    refuse_existing([report], True, views=[mine])
    for paths, views in (([report], []), ([], [mine])):
        with pytest.raises(ValueError, match="exists; give another name, or --overwrite"):
            refuse_existing(paths, False, views=views)
    with pytest.raises(ValueError, match="exists; give another folder"):
        refuse_existing([report], None)


def test_every_command_has_calls():
    assert {name.split()[0] for name in calls.CALLS} == set(COMMANDS)


def test_half_a_file_of_a_killed_process_does_not_fill_a_folder(tmp_path):
    how = {"holds": "a study", "kind": "a study"}
    (tmp_path / ".study.17.partial.yaml").write_text("dims: [2")
    assert is_empty(tmp_path)
    claim_folder(tmp_path, "study.yaml", {"dims": [2]}, **how)
    assert yaml.safe_load((tmp_path / "study.yaml").read_text()) == {"dims": [2]}
    assert not is_empty(tmp_path)
    (tmp_path / "study.yaml").rename(tmp_path / "notes.yaml")
    with pytest.raises(ValueError, match="something else than a study"):
        claim_folder(tmp_path, "study.yaml", {"dims": [2]}, **how)
