"""The command ``pyro-lcm``: finds the subcommand, and turns what goes wrong into one line and an exit code.

Nothing heavy is imported before a subcommand is chosen. Exit codes: 0 all is well, 1 a run failed (or a check
found problems and was asked to say so), 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from pyro_lcm.commands import COMMANDS

logger = logging.getLogger(__name__)

_LONGEST = 1000
"""Signs of a line of error, which may quote what was given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the name of the program; those of the process by default.

    Returns:
        The exit code.

    >>> main(["--version"])
    pyro-lcm 0.1.0
    0
    """
    _make_writable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"pyro-lcm {version('pyro-lcm')}\n")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        return _fail("pyro-lcm", f"got the command {name!r}, expected one of {', '.join(COMMANDS)}")
    try:
        return _run(importlib.import_module(f"pyro_lcm.commands.{name}"), name, arguments[1:])
    except KeyboardInterrupt as interrupt:
        _fail(f"pyro-lcm {name}", f"interrupted{f'; {interrupt}' if str(interrupt) else ''}")
        return 130


def _make_writable() -> None:
    """Let whatever is said be written: to nowhere if a stream is closed, and any sign in any locale."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for the rest of the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(module: ModuleType, name: str, arguments: list[str]) -> int:
    from pyro_lcm.commands.console import CommandFailed, logging_to_stderr
    from pyro_lcm.commands.parsing import UsageError, parse

    program = f"pyro-lcm {name}"
    with logging_to_stderr():
        try:
            options = parse(program, COMMANDS[name], module.Options, module.POSITIONAL, arguments)
            return int(module.run(options))
        except SystemExit as leaving:  # --help and --print-config
            return int(leaving.code or 0)
        except UsageError as error:
            return _fail(program, f"{error} (see {program} --help)")
        except (ValueError, OSError) as error:
            logger.debug("bad input", exc_info=True)
            return _fail(program, _said(error))
        except MemoryError as error:
            return _fail(program, f"not enough memory: {_said(error)}")
        except RuntimeError as error:
            from pyro_lcm.training.monitor import TrainingDiverged

            if "allocate memory" in str(error) or "out of memory" in str(error):  # torch's, of CPUs and GPUs
                return _fail(program, f"not enough memory: {_said(error)}")
            if not isinstance(error, TrainingDiverged | CommandFailed):
                raise
            _fail(program, _said(error))
            return 1


def _said(error: Exception) -> str:
    """What an error says, and its notes: which of several runs it is of."""
    return ", ".join([str(error), *getattr(error, "__notes__", [])])


def _fail(program: str, message: str) -> int:
    """Write one line to stderr, whatever and however long the message; return the exit code of bad input."""
    line = " ".join(message.split())
    sys.stderr.write(f"{program}: error: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]} ...'}\n")
    return 2


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pyro-lcm COMMAND [options]",
            "",
            "Latent causal models in Pyro: causal variables and a graph from pairs of observations before and",
            "after an unknown intervention.",
            "",
            "commands:",
            *lines,
            "",
            "pyro-lcm COMMAND --help lists the options of a command. Each is also a key of the YAML file that",
            "--config names, with _ for -; options after --config win.",
            "",
        ]
    )
