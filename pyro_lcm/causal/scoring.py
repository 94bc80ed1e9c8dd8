"""Whether a program is run for its density alone.

A training step scores observations and reads no other value, so a program may leave out sites that are functions of
others and cost time. :class:`Scoring` announces such a run; :func:`only_scoring` asks.
"""

from __future__ import annotations

from typing import Any

from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import effectful


@effectful(type="only_scoring")
def only_scoring() -> bool:
    """True inside :class:`Scoring`, when values that carry no density need not be computed.

    Example:
        >>> only_scoring()
        False
        >>> with Scoring():
        ...     only_scoring()
        True
    """
    return False


class Scoring(Messenger):
    """Announce that the program inside is run for its density alone."""

    def _pyro_only_scoring(self, msg: dict[str, Any]) -> None:
        msg["value"] = True
        msg["done"] = True
