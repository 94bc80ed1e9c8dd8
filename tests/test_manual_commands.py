"""Commands of the README and the manual are ones: each option is there, takes what it is given, and none is missing."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from pyro_lcm.commands import COMMANDS
from pyro_lcm.commands.parsing import parse

ROOT = Path(__file__).parent.parent
COMMAND = re.compile(r"^(?:\$ |    )(pyro-lcm (?:[^\\\n]|\\\n)*)$", re.MULTILINE)
TARGET = re.compile(r"^\$ make ([a-z-]+)", re.MULTILINE)


def texts():
    return {path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}


def commands():
    """Each command of a page as its arguments, alternatives such as ``demo | train`` left out."""
    for name, text in sorted(texts().items()):
        for match in COMMAND.finditer(text):
            arguments = shlex.split(match[1].replace("\\\n", " "), comments=True)[1:]
            if "|" not in arguments and not arguments[0].startswith("-"):
                yield pytest.param(arguments, id=f"{name}-{' '.join(arguments)[:60]}")


@pytest.mark.parametrize("arguments", list(commands()))
def test_a_command_of_the_manual_is_one(arguments):
    name, *rest = arguments
    module = importlib.import_module(f"pyro_lcm.commands.{name}")
    options = parse(f"pyro-lcm {name}", COMMANDS[name], module.Options, module.POSITIONAL, rest)
    data = str(getattr(options, "data", ""))
    if name == "train" and data.startswith(("scenes", "circuit")) and options.start is None:
        assert options.dim_z is not None, "images need a number of variables"


def test_each_command_is_in_the_manual():
    shown = {parameter.values[0][0] for parameter in commands()}
    assert {"train", "check", "encode", "evaluate", "graph", "do", "simulate", "benchmark"} <= shown


def test_targets_of_make_are_there():
    named = {target for text in texts().values() for target in TARGET.findall(text)}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"setup", "demo"} <= named
    assert [target for target in named if f"\n{target}:" not in makefile] == []


def test_no_line_of_code_is_skipped():
    """What would keep a block of the manual from being run as the others are, by tests/test_doctests.py."""
    assert [name for name, text in texts().items() if "+SKIP" in text] == []
    # Indented code that looks like a session or an import would not be found there.
    indented = re.compile(r"^    (>>> |import |from \w+ import )", re.MULTILINE)
    outside = {
        name: re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL) for name, text in texts().items()
    }
    assert [name for name, text in outside.items() if indented.search(text)] == []
