"""Over a thousand inputs that are broken: one line that names what is, exit code 2, and nothing written or replaced."""

import random
import shutil

import pytest

from campaigns import broken_files, broken_runs
from campaigns.calls import contents

KINDS = [*broken_files.KINDS, *broken_runs.KINDS]
FEW = 5
"""Cases of each kind in the fast part."""


def campaign(cli, made, place, cases):
    """What is wrong with the answers to some cases."""
    wrong = []
    for case in cases:
        folder = place / "case"
        shutil.copytree(made, folder)
        case.make(folder)
        before = contents(folder)
        code, _, err = cli(*case.call, folder=folder)
        complaints = [line for line in err.splitlines() if ": error: " in line]
        if code == 2 and (len(complaints) != 1 or case.word not in complaints[0] or "Traceback" in err):
            wrong.append((case.name, complaints))
        elif code == 2 and contents(folder) != before:
            wrong.append((case.name, "something was written"))
        elif code != 2 and not (case.may_pass and code in (0, 1)):
            wrong.append((case.name, f"exit code {code}"))
        shutil.rmtree(folder)
    return wrong


@pytest.fixture
def call(cli, monkeypatch):
    """Run a command in a folder."""

    def run(*arguments, folder):
        monkeypatch.chdir(folder)
        return cli(*arguments)

    return run


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_few_of_each_kind(call, made, tmp_path, kind):
    cases = list(kind(random.Random(0)))
    assert not campaign(call, made, tmp_path, random.Random(1).sample(cases, min(FEW, len(cases))))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_all_of_each_kind(call, made, tmp_path, kind):
    assert not campaign(call, made, tmp_path, kind(random.Random(0)))


def test_there_are_a_thousand():
    assert sum(len(list(kind(random.Random(0)))) for kind in KINDS) > 1000
