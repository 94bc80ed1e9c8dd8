"""A broken input of the command line: what is called, what is done to a folder first, what the complaint names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One broken input.

    Attributes:
        name: What is broken.
        call: The command line.
        make: What is done to the folder first.
        word: What the complaint names: a file or an option.
        may_pass: Whether the input may turn out to be sound.
    """

    name: str
    call: list[str]
    make: Callable[[Path], object]
    word: str
    may_pass: bool = False


READERS = (
    ["train", "{}", "--out", "new", "--budget.refine", "5"],
    ["encode", "run", "--data", "{}", "--out", "codes.npz"],
    ["check", "run", "--data", "{}"],
    ["evaluate", "run", "--data", "{}", "--dci-rows", "50"],
    ["do", "run", "--data", "{}", "--set", "z1=1", "--draws", "2"],
    ["graph", "run", "--data", "{}", "--draws", "8", "--chains", "1", "--out", "new"],
    ["train", "{}", "--out", "new", "--budget.refine", "5", "--mmap"],
    ["encode", "run", "--data", "{}", "--out", "codes.npz", "--mmap"],
)


def read_by(file: str, number: int) -> list[str]:
    """One of the commands that read pairs, by turns."""
    return [part.format(file) for part in READERS[number % len(READERS)]]


def writing(name, content):
    """What writes a file into the folder."""

    def make(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return make
