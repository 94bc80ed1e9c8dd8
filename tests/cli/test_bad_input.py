"""Bad input: one line on stderr that names what was wrong, exit code 2, and nothing written or written over."""

import hashlib

import numpy as np
import pytest

from tables import each_row

X = np.random.default_rng(0).normal(size=(100, 3))


def snapshot(folder):
    """Hash of every file, by path; folders too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def refused(cli, work, arguments, *words):
    before = snapshot(work)
    code, out, err = cli(*arguments)
    complaints = [line for line in err.splitlines() if ": error: " in line]
    assert code == 2, err
    assert len(complaints) == 1
    assert err.rstrip().endswith(complaints[0]), "the complaint is the last thing said"
    assert "Traceback" not in err
    for word in words:
        assert word in complaints[0]
    assert out == ""
    assert snapshot(work) == before


BROKEN = {
    "text": (lambda f: f.write_text("x,x_after\n1,2\n"), ["not an .npz"]),
    "empty": (lambda f: f.write_bytes(b""), ["not an .npz"]),
    "half": (lambda f: (np.savez(f, x=X, x_after=X), f.write_bytes(f.read_bytes()[:-300])), []),
    "no_x_after": (lambda f: np.savez(f, x=X), ["x_after"]),
    "other_keys": (lambda f: np.savez(f, a=X, b=X), ["'x' is missing"]),
    "other_length": (lambda f: np.savez(f, x=X, x_after=X[:50]), ["x_after", "(50, 3)", "(100, 3)"]),
    "other_width": (lambda f: np.savez(f, x=X, x_after=X[:, :2]), ["x_after", "(100, 2)"]),
    "flat": (lambda f: np.savez(f, x=X[:, 0], x_after=X[:, 0]), ["x: got shape (100,)"]),
    "no_rows": (lambda f: np.savez(f, x=X[:0], x_after=X[:0]), ["empty"]),
    "nan": (lambda f: np.savez(f, x=np.where(X[7, 1] == X, np.nan, X), x_after=X), ["x: got nan", "(7, 1)"]),
    "infinite": (lambda f: np.savez(f, x=X, x_after=np.where(X[0, 0] == X, np.inf, X)), ["x_after: got inf"]),
    "strings": (lambda f: np.savez(f, x=X.astype(str), x_after=X), ["x: got dtype"]),
    "objects": (lambda f: np.savez(f, allow_pickle=True, x=X.astype(object), x_after=X), ["x"]),
    "complex": (lambda f: np.savez(f, x=X.astype(complex), x_after=X), ["complex"]),
    "bad_targets": (
        lambda f: np.savez(f, x=X, x_after=X, z=X, targets=np.full(100, 9)),
        ["targets", "9"],
    ),
    "cyclic_graph": (
        lambda f: np.savez(f, x=X, x_after=X, adjacency=np.ones((3, 3), int)),
        ["adjacency"],
    ),
    "too_few": (lambda f: np.savez(f, x=X[:20], x_after=X[20:40]), ["20 pairs", "at least 50"]),
    "constant": (lambda f: np.savez(f, x=np.ones((100, 3)), x_after=np.ones((100, 3))), ["x"]),
}


@each_row("name", BROKEN)
def test_broken_pairs_file(cli, work, name):
    write, words = BROKEN[name]
    write(work / "bad.npz")
    refused(cli, work, ["train", "bad.npz", "--out", "new"], *words)


TRAIN = ["train", "train.npz", "--out", "new"]
OPTIONS = [
    (["train", "missing.npz", "--out", "new"], ["missing.npz", "no such file"]),
    (["train", "train.npz"], ["--out is missing"]),
    (["train", "--out", "new"], ["DATA is missing"]),
    ([*TRAIN, "--dim-z", "3"], ["dim_z: got 3, expected 1 to 2"]),
    ([*TRAIN, "--dim-z", "0"], ["dim_z: got 0"]),
    ([*TRAIN, "--dim-z", "two"], ["--dim-z: got 'two', expected an integer"]),
    ([*TRAIN, "--seed", "-1"], ["seed: got -1, expected at least 0"]),
    ([*TRAIN, "--seed", "1.5"], ["--seed: got '1.5', expected an integer"]),
    ([*TRAIN, "--fits", "0"], ["fits: got 0"]),
    ([*TRAIN, "--model", "gan"], ["--model: got 'gan', expected one of ilcm"]),
    ([*TRAIN, "--precision", "8"], ["--precision: got '8', expected one of 32-true"]),
    ([*TRAIN, "--device", "abacus"], ["abacus"]),
    ([*TRAIN, "--unknown", "1"], ["--unknown"]),
    ([*TRAIN, "--budget.refine", "-5"], ["refine: got -5"]),
    ([*TRAIN, "--names", "a"], ["names: got 1, expected 2"]),
    ([*TRAIN, "--names", "a", "a"], ["names"]),
    ([*TRAIN, "--known-targets", "--validation", "missing.npz"], ["missing.npz"]),
    (["train", "plain.npz", "--out", "new", "--known-targets"], ["targets: got none"]),
    ([*TRAIN, "--validation", "wide.npz"], ["validation", "(3,)", "(2,)"]),
    ([*TRAIN, "--networks.solution-hidden", "0"], ["solution_hidden"]),
    ([*TRAIN, "--loggers", "carrier_pigeon"], ["carrier_pigeon"]),
    ([*TRAIN, "--start", "missing"], ["missing: no such run folder"]),
    ([*TRAIN, "--start", "run", "--dim-z", "2"], ["dim_z: got one beside --start"]),
    (["train", "train.npz", "--out", "run"], ["run holds a run", "--resume"]),
    (["train", "train.npz", "--out", "run", "--resume"], ["other options", "budget.refine was 40, now"]),
    (["train", "train.npz", "--out", "test.npz"], ["test.npz is a file"]),
    ([*TRAIN, "--config", "missing.yaml"], ["missing.yaml"]),
    ([*TRAIN, "--config", "typo.yaml"], ["dim_zz"]),
    ([*TRAIN, "--config", "broken.yaml"], ["config"]),
    ([*TRAIN, "--config", "wrong.yaml"], ["--seed: got", "expected an integer"]),
    ([*TRAIN, "--config", "scalar.yaml"], ["scalar.yaml: networks.hidden: got 64, expected a list, [64]"]),
    (["evaluate", "missing", "--data", "test.npz"], ["missing: no such run folder"]),
    (["evaluate", ".", "--data", "test.npz"], ["config.yaml: missing"]),
    (["evaluate", "run"], ["--data is missing"]),
    (["evaluate", "run", "--data", "wide.npz"], ["x: got shape", "(N, 2)"]),
    (["evaluate", "unfinished", "--data", "test.npz"], ["model.safetensors: missing", "--resume"]),
    (["evaluate", "damaged", "--data", "test.npz"], ["model.safetensors: not a readable"]),
    (["evaluate", "garbled", "--data", "test.npz"], ["config.yaml: not valid YAML"]),
    (["check", "run", "--data", "test.npz", "--rows", "0"], ["rows: got 0"]),
    (["check", "run", "--data", "test.npz", "--compare", "missing"], ["missing: no such run folder"]),
    (["encode", "run", "--data", "test.npz", "--out", "train.npz"], ["train.npz exists", "--overwrite"]),
    (["encode", "run", "--data", "test.npz", "--out", "codes.txt"], ["codes.txt", ".npz"]),
    (["do", "run", "--data", "test.npz", "--out", "g.npz"], ["--set: got none"]),
    (["do", "run", "--data", "test.npz", "--out", "g.npz", "--set", "z9=1"], ["z9", "z1, z2"]),
    (["do", "run", "--data", "test.npz", "--out", "g.npz", "--set", "z1"], ["--set: got 'z1'"]),
    (["do", "run", "--data", "test.npz", "--out", "g.npz", "--set", "z1=nan"], ["--set: got 'z1=nan'"]),
    (
        ["do", "run", "--data", "test.npz", "--out", "g.npz", "--set", "z1=1", "--set", "z1=2"],
        ["--set: got z1 twice"],
    ),
    (["do", "run", "--data", "test.npz", "--out", "train.npz", "--set", "z1=1"], ["train.npz exists"]),
    (["do", "run", "--data", "test.npz", "--out", "g.npz", "--set", "z1=1", "--draws", "1"], ["draws: got 1"]),
    (["do", "run", "--data", "test.npz", "--out", "g.npz", "--set", "z1=1", "--threads", "0"], ["threads: got 0"]),
    (["rename", "run"], ["--name: got none"]),
    (["rename", "run", "--name", "z2"], ["--name: got 'z2'"]),
    (["rename", "run", "--name", "z9=a"], ["names: got 'z9', expected some of z1, z2"]),
    (["rename", "run", "--name", "z1=z2"], ["different Python identifiers"]),
    (["simulate", "scaling", "--seed", "0", "--out", "train.npz"], ["train.npz exists"]),
    (["simulate", "scaling", "--seed", "0", "--out", "."], ["train.npz exists"]),
    (["simulate", "scaling", "--seed", "-3", "--out", "new"], ["seed: got -3"]),
    (["simulate", "scaling", "--seed", "0", "--out", "new", "--dim", "0"], ["dim: got 0"]),
    (["simulate", "scaling", "--seed", "0", "--out", "new", "--mixing", "blender"], ["mixing: got 'blender'"]),
    (["simulate", "pendulum", "--seed", "0", "--out", "new"], ["SIMULATOR: got 'pendulum'"]),
    (["simulate", "scaling", "--out", "new"], ["--seed is missing"]),
    (["demo", "--out", "run"], ["holds something else than a demo"]),
    (["demo", "--out", "old_demo", "--n", "10"], ["n: got 10, expected at least 50"]),
    (["demo", "--out", "old_demo", "--threads", "0"], ["threads: got 0"]),
    ([*TRAIN[:-1], ""], ["--out: got an empty name"]),
    (["graph", "--data", "table.csv", "--drop", "kind", "--out", "."], ["edges.csv exists", "--overwrite"]),
    (["graph", "--out", "new"], ["--data is missing"]),
    (["graph", "--data", "table.csv"], ["--out is missing"]),
    (["graph", "--data", "table.csv", "--out", "new"], ["column kind has 'u' in row 1", "leave it out with drop"]),
    (["graph", "--data", "table.csv", "--drop", "b", "--out", "new"], ["kind"]),
    (["graph", "--data", "table.csv", "--drop", "q", "--out", "new"], ["drop: got 'q'"]),
    (["graph", "--data", "table.csv", "--drop", "kind", "--log", "--out", "new"], ["log: ", "row 2 of a"]),
    (["graph", "--data", "table.csv", "--targets", "kind", "--out", "new"], ["kind has 'u' in row 1"]),
    (["graph", "--data", "table.csv", "--drop", "kind", "--method", "magic", "--out", "new"], ["--method"]),
    (["graph", "--data", "test.npz", "--out", "new"], ["test.npz: not a CSV"]),
    (["graph", "--data", "ragged.csv", "--out", "new"], ["row 2 has 1 cells, expected 2"]),
    (["graph", "run", "--data", "test.npz", "--targets", "kind"], ["--targets", "table only"]),
    (["train", "train.npz", "--out", "new", "--end-to-end"], ["end_to_end: got True without --start"]),
    (["train", "train.npz", "--out", "new", "--start", "run", "--end-to-end"], ["expected it for images"]),
    (["benchmark", "scaling", "--out", "new", "--dims", "0"], ["dims: got [0]"]),
    (["benchmark", "scaling", "--out", "new", "--methods", "gan"], ["--methods", "gan"]),
    (["benchmark", "scaling", "--out", "run"], ["holds something else than a study"]),
    (["fly"], ["'fly'", "train"]),
]


@pytest.fixture
def spoilt(work):
    """The folder with files that are wrong in it, and runs that are damaged."""
    np.savez(work / "wide.npz", x=X, x_after=X)
    (work / "typo.yaml").write_text("dim_zz: 2\n")
    (work / "edges.csv").write_text("cause,effect\na,b\n")
    (work / "old_demo").mkdir()
    (work / "old_demo" / "demo.json").write_text("{}")
    (work / "broken.yaml").write_text("seed: [1\n")
    (work / "wrong.yaml").write_text("seed: many\n")
    (work / "scalar.yaml").write_text("networks: {hidden: 64}\n")
    (work / "table.csv").write_text("a,b,kind\n1,2,u\n-1,3,v\n2,2,u\n")
    (work / "ragged.csv").write_text("a,b\n1,2\n3\n")
    for name in ("unfinished", "damaged", "garbled"):
        (work / name).mkdir()
        (work / name / "config.yaml").write_bytes((work / "run" / "config.yaml").read_bytes())
    (work / "damaged" / "model.safetensors").write_bytes((work / "run" / "model.safetensors").read_bytes()[:200])
    (work / "garbled" / "config.yaml").write_text("format: [1\n")
    return work


@each_row(("arguments", "words"), OPTIONS)
def test_bad_option(cli, spoilt, arguments, words):
    refused(cli, spoilt, arguments, *words)
