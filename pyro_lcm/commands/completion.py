"""``pyro-lcm completion``: a script that lets a shell complete commands, options and choices by the tab key."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass
from typing import Literal

from pyro_lcm.commands import COMMANDS
from pyro_lcm.commands.console import CommandFailed, say
from pyro_lcm.commands.parsing import options_of

POSITIONAL = ("shell",)

_FILES = ("data", "out", "run", "config", "validation", "start", "compare", "truth")
"""Options that are names of files or folders."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm completion``.

    Args:
        shell: Which shell. For bash: eval "$(pyro-lcm completion bash)" in ~/.bashrc; for zsh: write it to a file
            _pyro-lcm in a folder of $fpath.
    """

    shell: Literal["bash", "zsh", "tcsh"]


def run(options: Options) -> int:
    """Write the script to stdout."""
    try:
        import shtab
    except ImportError as error:
        raise CommandFailed("completion needs shtab, which is not installed: pip install shtab") from error
    say(shtab.complete(command_parser(), shell=options.shell))
    return 0


def command_parser() -> argparse.ArgumentParser:
    """All commands with their options as one parser, for what reads parsers."""
    parser = argparse.ArgumentParser(prog="pyro-lcm")
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers()
    for name, summary in COMMANDS.items():
        module = importlib.import_module(f"pyro_lcm.commands.{name}")
        command = commands.add_parser(name, help=summary, description=summary)
        for option in [*options_of(module.Options, module.POSITIONAL)]:
            text = option.help.replace("%", "%%")
            if option.type is bool:
                added = command.add_argument(option.flag, action="store_true", help=text)
            elif option.positional:
                added = command.add_argument(option.key, nargs="?", choices=option.choices or None, help=text)
            else:
                added = command.add_argument(option.flag, choices=option.choices or None, help=text)
            if option.key in _FILES:
                added.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]
        config = command.add_argument("--config", help="YAML file of options")
        config.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]
    return parser
