"""Options that several commands share; each takes them by a field of its own that is inlined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pyro_lcm.data.pixels import Layout
else:  # the same, without waiting for the data layer
    Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """How data are read and with how many threads.

    Args:
        threads: CPU threads; by default OMP_NUM_THREADS if set, else all cores.
        mmap: Whether to map the data into memory instead of reading it; checksums in the file are then not looked at.

    Raises:
        ValueError: If there is less than one thread.
    """

    threads: int | None = None
    mmap: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads: got {self.threads}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images.

    Args:
        layout: Order of the axes of arrays of images, where the numbers of channels do not tell it.
        size: Pixels that larger images are averaged to, height and width or the shorter side; by default as they are.

    Raises:
        ValueError: If the size is neither.
    """

    layout: Layout | None = None
    size: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (len(self.size) > 2 or min(self.size) < 1):
            raise ValueError(f"size: got {list(self.size)}, expected one number or height and width, at least 1")

    @property
    def sides(self) -> int | tuple[int, int] | None:
        """The size as the data layer takes it."""
        if self.size is None or len(self.size) == 1:
            return None if self.size is None else self.size[0]
        return self.size[0], self.size[1]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Tables of pairs.

    Args:
        before: Columns of a table (.csv, .parquet) with the side before, * for the name of a feature; by default
            '*_before'. Or their names, one after the other.
        after: Those of the side after; by default '*_after'. Names are in the order of those of the other side.
    """

    before: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None

    @property
    def sides(self) -> tuple[str | tuple[str, ...] | None, str | tuple[str, ...] | None]:
        """Both as the data layer takes them: a text with * is a pattern."""
        before, after = (
            given[0] if given is not None and len(given) == 1 and "*" in given[0] else given
            for given in (self.before, self.after)
        )
        return before, after
