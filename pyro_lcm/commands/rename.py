"""``pyro-lcm rename``: give the causal variables of a run other names, once one has seen which is which."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pyro_lcm.commands.console import say
from pyro_lcm.commands.parsing import REPEATED
from pyro_lcm.lcm import LatentCausalModel

POSITIONAL = ("run",)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``pyro-lcm rename``.

    Args:
        run: Run folder.
        name: A variable and its new name, as z2=pressure; once for each.
    """

    run: str
    name: tuple[str, ...] = field(default=(), metadata=REPEATED)


def run(options: Options) -> int:
    """Rename, and say what the variables are called now."""
    names: dict[str, str] = {}
    for text in options.name:
        old, equals, new = (part.strip() for part in text.partition("="))
        if not equals or not new:
            raise ValueError(f"--name: got {text!r}, expected the present name, = and the new one, as z2=pressure")
        if old in names:
            raise ValueError(f"--name: got {old} twice, expected each variable once")
        names[old] = new
    if not names:
        raise ValueError("--name: got none, expected at least one, as z2=pressure")
    model = LatentCausalModel.load(options.run).rename(names)
    say(f"{options.run}: the variables are {', '.join(model.names)}")
    if (Path(options.run) / "report.html").is_file():
        say("what was drawn before has the names of before; check, evaluate and graph draw it anew")
    return 0
