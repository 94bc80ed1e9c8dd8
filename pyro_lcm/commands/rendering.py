"""What commands that render images have in common: a record of what a set is, a bar, and errors in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from pyro_lcm.commands.console import CommandFailed, progress_bar

RECORD = "simulation.yaml"
"""What a set was made with; the same command goes on with it, another one does not."""


@contextmanager
def rendering_bar(pairs: int) -> Iterator[Callable[[int], None]]:
    """Show how many pairs are rendered, and say what went wrong.

    Args:
        pairs: How many there are in all.

    Yields:
        A function that takes the number of pairs rendered since the last call.

    Raises:
        CommandFailed: If nothing can be rendered here, or a process was killed.
    """
    from pyro_lcm.data.headless import RenderingUnavailable

    try:
        with progress_bar(pairs, "rendering", "pair") as bar:

            def advance(done: int) -> None:
                bar.update(done)

            yield advance
    except RenderingUnavailable as error:
        raise CommandFailed(str(error)) from error
    except BrokenProcessPool as error:
        raise CommandFailed("a rendering process was killed; the same command goes on with the set") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on with the set") from None
