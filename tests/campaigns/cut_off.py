"""A program that cuts commands off: killed, or refused by the disk, before each thing that they do to a file.

    python cut_off.py MADE PLACE HOW NAME...

HOW is kill, full or limit; NAMEs are of :data:`CALLS`. What is done to files is seen by an audit hook, which needs no help
from the code: opening for writing, renaming, removing, making folders. After each cut the command is called again, with
what its own help says to go on with, and must leave what a call that was left alone leaves. With HOW limit no file may
grow beyond a size, as on a disk that is full, whoever writes it, C code included. What is wrong is printed as JSON.
Children are forked from a process that has imported everything and computed nothing.
"""

import contextlib
import csv
import io
import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import yaml

import pyro_lcm.commands.benchmark
import pyro_lcm.commands.graph
import pyro_lcm.commands.train  # noqa: F401 (imported before the forks)
from campaigns.calls import CALLS, write_table
from pyro_lcm.cli import main

AGAIN = {
    "train": ["--resume"],
    "train several": ["--resume"],
    "benchmark": [],
    "simulate images": [],
    "rename": None,
}
"""What is added to a call that was cut off; --overwrite for all others, None for nothing if it is done."""
CLOCK = ("date", "seconds", "seconds_to_d", "pairs_per_second", "steps")
"""What depends on the clock, or on whether a run was cut off."""


class Cut:
    """An audit hook that does something before the file operation of a number, within a folder."""

    def __init__(self, folder, number, act):
        self.folder, self.left, self.act, self.seen = str(folder), number, act, 0

    def __call__(self, event, arguments):
        if event == "open":
            path, _, flags = arguments
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            path = arguments[0]
        else:
            return
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | Path) or not os.path.abspath(path).startswith(self.folder):
            return
        # What is there is not made, and what is not there is not removed, however often that is asked for.
        if os.path.exists(path) == (event == "os.mkdir") and event != "open":
            return
        self.seen += 1
        if self.seen == self.left:
            self.act(str(path))


def kill(path):
    os.kill(os.getpid(), signal.SIGKILL)


def full(path):
    raise OSError(28, "No space left on device", path)


def child(folder, call, hook=None, limit=None):
    """Fork a child that runs a call; return its exit code, what it said last, and how many operations it did."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        said, code = io.StringIO(), 70
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                os.chdir(folder)
                if hook is not None:
                    sys.addaudithook(hook)
                if limit is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                code = main(call)
            except BaseException as error:
                said.write(f"Traceback {type(error).__name__}: {error}")
        os.write(writer, json.dumps([said.getvalue()[-3000:], 0 if hook is None else hook.seen]).encode())
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    said, seen = json.loads(answer) if answer else ("", 0)
    return code, said, seen


def result(folder):
    """What a command has left behind, without what depends on the clock."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or ".partial" in name:
            continue
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays.files}
        elif path.name in ("config.yaml", "result.json", "metrics.json"):
            found[name] = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key not in CLOCK}
        elif path.name == "scaling.csv":
            rows = list(csv.DictReader(path.open(newline="")))
            found[name] = [{key: value for key, value in row.items() if key not in CLOCK} for row in rows]
        elif path.suffix in (".nc", ".png", ".html"):
            found[name] = path.stat().st_size > 500
        else:
            found[name] = path.read_bytes()
    # Times are drawn where they are known.
    return {name: value for name, value in found.items() if not name.endswith(("seconds.png", "seconds_to_d.png"))}


def differences(one, other):
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def go_on(folder, name, call):
    """Call a command again after it was cut off; what is wrong with that."""
    added = AGAIN.get(name, ["--overwrite"])
    code, said, _ = child(folder, [*call, *(added or [])])
    if code == 0 or (added is None and "expected some of" in said):
        return None
    return f"going on: exit code {code}: {said[-300:]}"


def campaign(made, place, how, name):
    """Cut a call off at each operation; what was wrong, and how many cuts there were."""

    def fresh(which):
        shutil.rmtree(place / which, ignore_errors=True)
        folder = shutil.copytree(made, place / which)
        write_table(folder)
        return folder

    call, wrong = CALLS[name], []
    folder = fresh("whole")
    code, said, count = child(folder, call, Cut(folder, 0, None))
    if code:
        return [f"{name}: exit code {code}: {said}"], 0
    whole = result(folder)
    written = [folder / path for path in result(folder) if not (made / path).is_file()]
    sizes = sorted({path.stat().st_size for path in written})
    cuts = range(1, count + 1) if how != "limit" else [0, 1, *(size - 1 for size in sizes)]
    for number in cuts:
        folder = fresh("cut")
        if how == "limit":
            code, said, _ = child(folder, call, limit=number)
        else:
            code, said, _ = child(folder, call, Cut(folder, number, kill if how == "kill" else full))
        where = f"{name}, {how} {number} of {count}"
        if how == "kill" and code != -signal.SIGKILL:
            wrong.append(f"{where}: was not killed but ended with {code}")
        elif how != "kill" and code:
            lines = [line for line in said.splitlines() if ": error: " in line]
            if code not in (1, 2) or len(lines) != 1 or "Traceback" in said:
                wrong.append(f"{where}: exit code {code}: {said[-600:]}")
            elif "/" not in lines[0] and "new" not in lines[0] and "codes" not in lines[0]:
                wrong.append(f"{where}: names no file: {lines[0]}")
            if any(".partial" in path.name for path in folder.rglob("*") if path.is_file()) and how == "limit":
                wrong.append(f"{where}: left {[p.name for p in folder.rglob('*.partial*')]}")
        if problem := go_on(folder, name, call):
            wrong.append(f"{where}: {problem}")
        elif changed := differences(whole, result(folder)):
            wrong.append(f"{where}: differs in {changed[:5]}")
        print(where, wrong[-1:], file=sys.stderr, flush=True)  # noqa: T201 (how far it is)
    return wrong, len(list(cuts))


if __name__ == "__main__":
    made_, place_, how_, *names = sys.argv[1:]
    outcome = {}
    for name_ in names:
        outcome[name_] = campaign(Path(made_).resolve(), Path(place_).resolve(), how_, name_)
    print(json.dumps(outcome))  # noqa: T201
