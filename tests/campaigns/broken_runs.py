"""Broken options, run folders, checkpoints and studies, generated."""

import json
import random
from collections.abc import Iterator
from dataclasses import MISSING, asdict
from importlib import import_module
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

from campaigns.cases import Case, read_by, writing
from pyro_lcm.commands import COMMANDS
from pyro_lcm.commands.parsing import options_of
from pyro_lcm.studies.study import Setting
from pyro_lcm.training.checkpoint import read_tree, write_tree

DEEP = "[" * 5000 + "]" * 5000
VALUES = (
    "hi",
    "-5",
    "1.5",
    ".nan",
    "[1, 2]",
    "{a: 1}",
    "''",
    "null",
    "99999999999999999999",
    "2020-01-01",
    "!!python/tuple [1]",
)


def _options_of(command):
    module = import_module(f"pyro_lcm.commands.{command}")
    return list(options_of(module.Options, module.POSITIONAL))


def _needed(command) -> list[str]:
    """A call of a command that is refused for want of a file, whatever else is wrong."""
    call = [command]
    for option in _options_of(command):
        if option.default is MISSING and option.key != "out":
            value = str(option.choices[0]) if option.choices else "0" if option.type is int else "none"
            call += [value] if option.positional else [option.flag, value]
    return call + {"benchmark": ["--dims", "0"], "simulate": ["--out", "train.npz"]}.get(command, [])


def configs(rng: random.Random) -> Iterator[Case]:
    """YAML files of options."""
    for name, content in {
        "a list": "- 1\n", "a text": "hi\n", "a number": "3\n", "an open list": "seed: [1\n", "a tab": "a:\n\t- b\n",
        "a tag": "seed: !!python/object/apply:os.getcwd []\n", "a tag at the top": "!!python/object/apply:os.getcwd []\n",
        "deep": f"seed: {DEEP}\n", "bytes": "\udcff\udcfe", "an unknown key": "dim_zz: 2\n", "a number for a key": "3: 4\n",
        "an open anchor": "seed: *a\n", "two documents": "seed: 1\n---\nseed: 2\n", "a key of keys": "{a: 1}: 2\n",
        "laughs": "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nseed: [*c,*c,*c,*c]\n", "a NUL": "seed: \x00\n",
        "a group that is a text": "budget: hi\n", "a group that is a list": "budget: [1]\n", "a group's group": "networks: 3\n",
        "a config in it": "config: other.yaml\n",
    }.items():  # fmt: skip
        content = content.encode("utf-8", "surrogateescape")
        call = ["train", "train.npz", "--out", "new", "--config", "bad.yaml"]
        yield Case(f"config, {name}", call, writing("bad.yaml", content), "seed" if name == "laughs" else "config")
    for command in COMMANDS:
        if command in ("demo", "completion"):
            continue
        for option in _options_of(command):
            value = rng.choice(VALUES)
            text = f"{value}\n"
            for part in reversed(option.key.split(".")):
                text = f"{part}: {text}" if "\n" not in text[:-1] else f"{part}:\n  {text}"
            text = text if "." not in option.key else "{}:\n  {}: {}\n".format(*option.key.split("."), value)
            yield Case(f"config, {command} {option.key}: {value}", [*_needed(command), "--config", "bad.yaml"],
                       writing("bad.yaml", text.encode()), "")  # fmt: skip


def options(rng: random.Random) -> Iterator[Case]:
    """Options on the command line."""
    nothing = writing("unused", b"")
    for command in COMMANDS:
        if command == "completion":
            continue
        for option in _options_of(command):
            if option.key == "out":  # whatever is given may be the name of a file
                continue
            values = rng.sample([value for value in VALUES if value != "null"], 2)
            for value in values:
                given = [value] if option.positional else [option.flag, value]
                needed = [command] if option.positional else _needed(command)
                if command == "demo":
                    needed = ["demo", "--out", "train.npz"]
                yield Case(f"option, {command} {option.flag} {value}", [*needed, *given], nothing, "")
    out = ["--out", "new"]
    for call, word in (
        (["train", "train.npz", *out, "--device", "tpu"], "tpu"),
        (["train", "train.npz", *out, "--device", "cuda:99"], "cuda:99"),
        (["train", "train.npz", *out, "--device", "tpu:x"], "tpu:x"),
        (["train", "train.npz", *out, "--threads", "99999999999"], "threads"),
        (["train", "train.npz", *out, "--dim-z", "99999999"], "dim_z"),
        (["train", "train.npz", *out, "--candidates", "0", "--dim-z", "auto"], "candidates"),
        (["train", "train.npz", *out, "--budget.batch-size", "0"], "batch_size"),
        (["train", "train.npz", *out, "--networks.hidden", "-1"], "hidden"),
        (["train", "run", *out], "run"),
        (["train", "run/model.safetensors", *out], "model.safetensors"),
        (["train", "\x00", *out], ""),
        (["train", "a" * 5000, *out], ""),
        (["train", "train.npz", "--out", "a" * 300], ""),
        (["train", "train.npz", "--out", "test.npz/new"], "test.npz"),
        (["simulate", "scaling", "--seed", "0", *out, "--n", "99999999999999999"], "n: got"),
        (["simulate", "scaling", "--seed", "0", *out, "--dim", "99999999"], "dim"),
        (["simulate", "shapes", "--seed", "0", *out, "--n", "99999999999999999"], "n: got"),
        (["simulate", "shapes", "--seed", "0", *out, "--scene", "moon"], "moon"),
        (["demo", *out, "--n", "99999999999999999"], "n: got"),
        (["demo", *out, "--threads", "0"], "threads"),
        (["benchmark", "scaling", *out, "--n", "99999999999999999", "--processes", "1", "--dims", "2"], "n: got"),
        (["encode", "run", "--data", "test.npz", "--out", "test.npz/a.npz"], "test.npz"),
        (["graph", "run", "--data", "test.npz", "--required", "z1:z2", "--forbidden", "z1:z2", *out], "required"),
        (["graph", "run", "--data", "test.npz", "--tiers", "z1", "z1", *out], "tier"),
        (["graph", "run", "--data", "test.npz", "--edge-probability", "7", *out], "edge_probability"),
    ):
        yield Case(f"option, {' '.join(call)[:80]}", call, nothing, word)


def run_configs(rng: random.Random) -> Iterator[Case]:
    """Configurations of runs in which one field is gone or of another type."""

    def edit(folder, path, value):
        file = folder / "run" / "config.yaml"
        config = yaml.safe_load(file.read_text())
        place = config
        for key in path[:-1]:
            place = place[key]
        if value is MISSING:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        file.write_text(yaml.safe_dump(config, sort_keys=False))

    top = ("model", "names", "pairs", "held_out", "architecture", "standardizer", "phases", "seed", "device", "precision",
           "data", "validation", "date", "format", "versions", "known_targets", "parameters")  # fmt: skip
    inner = [("architecture", name) for name in (
        "model", "dim_x", "dim_z", "hidden", "flow_layers", "flow_hidden", "solution_hidden", "spline_bins", "min_scale",
        "min_sd", "graph", "edge_penalty", "invertible", "activation")]  # fmt: skip
    inner += [("standardizer", name) for name in ("shape", "mode", "width", "dtype")]
    values = (MISSING, None, "text", -1, 3.5, [], {}, [1, "a"], True)
    calls = (["encode", "run", "--data", "plain.npz", "--out", "codes.npz"], ["check", "run", "--data", "plain.npz"])
    for number, path in enumerate([*((name,) for name in top), *inner]):
        for value in values:
            shown = "gone" if value is MISSING else repr(value)
            yield Case(f"config.yaml, {'.'.join(path)} {shown}", calls[number % 2],
                       lambda folder, path=path, value=value: edit(folder, path, value), "run", True)  # fmt: skip


def parameters(rng: random.Random) -> Iterator[Case]:
    """Parameters of runs."""

    def change(function):
        def make(folder):
            file = folder / "run" / "model.safetensors"
            save_file(function(load_file(file)), file)

        return make

    def turn(share, bit):
        def make(folder):
            file = folder / "run" / "model.safetensors"
            content = bytearray(file.read_bytes())
            content[int(share * len(content))] ^= bit
            file.write_bytes(bytes(content))

        return make

    def cut(share):
        def make(folder):
            file = folder / "run" / "model.safetensors"
            file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

        return make

    first = lambda tensors: next(iter(sorted(tensors)))  # noqa: E731
    changes = {
        "NaN": change(lambda t: t | {first(t): torch.full_like(t[first(t)], torch.nan)}),
        "infinite": change(lambda t: t | {first(t): torch.full_like(t[first(t)], torch.inf)}),
        "one gone": change(lambda t: {name: value for name, value in t.items() if name != first(t)}),
        "one more": change(lambda t: t | {"more": torch.zeros(3)}),
        "nothing": change(lambda t: {}),
        "another shape": change(lambda t: t | {first(t): torch.zeros(7, 7, 7)}),
        "integers": change(lambda t: {name: value.long() for name, value in t.items()}),
        "half": change(lambda t: {name: value.half() for name, value in t.items()}),
        **{f"cut at {step}/20": cut(step / 20) for step in range(20)},
        **{f"bit turned {n}": turn(rng.random(), 1 << rng.randrange(8)) for n in range(60)},
    }
    for number, (name, make) in enumerate(changes.items()):
        yield Case(f"model.safetensors, {name}", read_by("plain.npz", 1 + number % 4), make, "run")


def unfinished(folder: Path) -> None:
    """Make of the finished run one that was cut off."""
    for name in ("config.yaml", "model.safetensors"):
        (folder / "run" / name).unlink()


def resumes(rng: random.Random) -> Iterator[Case]:
    """Runs that were cut off, with checkpoints, tables and options that are broken."""
    call = ["train", "train.npz", "--out", "run", "--resume", "--budget.refine", "40", "--budget.solutions", "20",
            "--budget.unmix", "20", "--budget.batch-size", "128"]  # fmt: skip

    def newest(folder):
        return max((folder / "run" / "checkpoint").iterdir())

    def in_tree(function):
        def make(folder):
            unfinished(folder)
            tree = read_tree(newest(folder))
            write_tree(newest(folder), function(tree))

        return make

    def in_bytes(name, function):
        def make(folder):
            unfinished(folder)
            file = newest(folder) if name == "checkpoint" else folder / "run" / name
            file.write_bytes(function(file.read_bytes()))

        return make

    keys = ("identity", "position", "tensors", "optimizer", "precision", "best", "last", "finished", "random", "rows")
    for key in keys:
        yield Case(f"checkpoint without {key}", call, in_tree(lambda t, key=key: {k: v for k, v in t.items() if k != key}),
                   "step-")  # fmt: skip
        for value in (None, "text", -3, [1], {"a": 1}):
            # Of some, nothing is a value like another.
            yield Case(
                f"checkpoint, {key} {value!r}", call, in_tree(lambda t, k=key, v=value: t | {k: v}), "step-", True
            )
    for step in range(10):
        yield Case(f"checkpoint cut at {step}/10", call, in_bytes("checkpoint", lambda c, s=step: c[: len(c) * s // 10]),
                   "step-")  # fmt: skip
    for content in (
        b"",
        b"a,b\n1,2\n",
        b"step,phase\n1,a\n",
        b"\xff\xfe",
        b"step,phase,learning_rate,loss\nx,y,z,w\n" * 9,
    ):
        yield Case("metrics.csv", call, in_bytes("metrics.csv", lambda c, new=content: new), "metrics.csv")
    for content in (
        b"",
        b"- 1\n",
        b"seed: [",
        b"\xff\xfe",
        b"!!python/tuple [1]\n",
        f"seed: {DEEP}\n".encode(),
        b"3\n",
    ):
        yield Case("train.yaml", call, in_bytes("train.yaml", lambda c, new=content: new), "train.yaml")
    for content in (b"seed: 3\n", b"budget: hi\n", b"model: [elcm]\n"):
        yield Case("train.yaml of other options", call, in_bytes("train.yaml", lambda c, new=content: new), "run")


def records(rng: random.Random) -> Iterator[Case]:
    """Files beside a run that are read again: choices among fits."""
    call = ["check", "run", "--data", "plain.npz"]
    for content in (b"", b"{", b"[]", b"{}", b'{"fits": 3}', b'{"fits": [3], "chosen": "a"}', b"\xff",
                    b'{"fits": [{"fit": "fit-1"}], "chosen": "fit-2"}', b'{"fits": [{"fit": null}], "chosen": 3}',
                    b"[" * 5000):  # fmt: skip
        yield Case(f"fits.json {content[:20]!r}", call, writing("run/fits.json", content), "run")


def studies(rng: random.Random) -> Iterator[Case]:
    """Folders of studies."""
    call = ["benchmark", "scaling", "--out", "study", "--dims", "2", "--data-seeds", "0", "--model-seeds", "0",
            "--n", "300", "--n-test", "100", "--processes", "1"]  # fmt: skip
    for content in (
        b"",
        b"- 1\n",
        b"n: [",
        b"\xff\xfe",
        b"!!python/tuple [1]\n",
        b"n: 3\n",
        f"n: {DEEP}\n".encode(),
        b"hi\n",
    ):
        yield Case(f"study.yaml {content[:20]!r}", call, writing("study/study.yaml", content), "study")
    row = {"data": "scaling", "method": "ilcm", "dim": 2, "data_seed": 0, "model_seed": 0, "error": None, "mcc": 0.5}
    for content in (b"", b"[]", b"{", b"{}", b"\xff", b"[" * 5000, *(
        json.dumps(row | {key: value}).encode() for key in ("dim", "mcc", "shd", "seconds") for value in ("text", [1], {})
    )):  # fmt: skip

        def make(folder, content=content):
            place = folder / "study" / "runs" / "ilcm-d2-data0-model0"
            place.mkdir(parents=True)
            made = asdict(Setting(n=300, n_test=100))
            (folder / "study" / "study.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
            (place / "result.json").write_bytes(content)

        yield Case(f"result.json {content[-40:]!r}", call, make, "result.json")


KINDS = (configs, options, run_configs, parameters, resumes, records, studies)
