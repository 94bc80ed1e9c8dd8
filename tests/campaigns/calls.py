"""A call of every command that is quick, and what it writes: what is tested of all commands is tested of these."""

from pathlib import Path

from pyro_lcm.commands import COMMANDS

BUDGET = ["--budget.refine", "20", "--budget.solutions", "10", "--budget.unmix", "10", "--budget.batch-size", "128"]
FIT = [*BUDGET, "--threads", "1"]
STUDY = ["--dims", "2", "--data-seeds", "0", "--model-seeds", "0", "--n", "300", "--n-test", "100", "--processes", "1"]
SCENE = ["--size", "16", "--n", "20", "--n-val", "0", "--n-test", "0", "--processes", "1", "--seed", "0"]
DRAWS = ["--draws", "20", "--chains", "1", "--threads", "1"]

CALLS = {
    "demo": ["demo", "--out", "new", "--dim", "2", "--n", "300", "--n-test", "100", *FIT],
    "simulate": ["simulate", "scaling", "--seed", "0", "--out", "new", "--n", "60", "--n-val", "50", "--n-test", "50"],
    "simulate a file": ["simulate", "scaling", "--seed", "0", "--out", "new.npz", "--n", "60"],
    "simulate images": ["simulate", "shapes", "--out", "new", "--scene", "plane", *SCENE],
    "train": ["train", "train.npz", "--out", "new", *FIT],
    "train several": ["train", "train.npz", "--out", "new", "--fits", "2", *FIT],
    "check": ["check", "run", "--data", "plain.npz", "--threads", "1"],
    "encode": ["encode", "run", "--data", "plain.npz", "--out", "codes.npz", "--threads", "1"],
    "encode a table": ["encode", "run", "--data", "plain.npz", "--out", "codes.csv", "--threads", "1"],
    "evaluate": ["evaluate", "run", "--data", "test.npz", "--dci-rows", "100", "--threads", "1"],
    "graph": ["graph", "run", "--data", "test.npz", *DRAWS],
    "graph of a table": ["graph", "--data", "table.csv", "--out", "new", *DRAWS],
    "graph here": ["graph", "--data", "table.csv", "--out", ".", *DRAWS],
    "do": ["do", "run", "--data", "plain.npz", "--set", "z1=1", "--draws", "2", "--threads", "1"],
    "rename": ["rename", "run", "--name", "z1=a"],
    "benchmark": ["benchmark", "scaling", "--out", "new", *STUDY, *BUDGET],
    "completion": ["completion", "bash"],
}
"""By the name of the command, and more calls of some."""
GOES_ON = {"simulate images", "benchmark", "completion"}
"""Calls that do what is left to do, and nothing when they are repeated."""

assert {name.split()[0] for name in CALLS} == set(COMMANDS), "every command has a call here"


def write_table(folder):
    """The table of observed variables that two of the calls read."""
    rows = [f"{a},{a + 0.3 * (i % 7)},{(7 * i) % 5}" for i, a in enumerate((j * 37 % 101) / 50 for j in range(60))]
    (folder / "table.csv").write_text("\n".join(["a,b,c", *rows]) + "\n")


def contents(folder):
    """Bytes of every file by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }
