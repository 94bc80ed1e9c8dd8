"""Broken files of data, generated: pairs, tables and images."""

import io
import random
import struct
import zipfile
from collections.abc import Iterator

import numpy as np

from campaigns.cases import Case, read_by, writing

X = np.random.default_rng(0).normal(size=(100, 2))
Y = X + (np.arange(100) % 3 == 0)[:, None]


def _npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def _declaring(shape: str, dtype: str = "<f8", compressed: bool = False) -> bytes:
    """An .npz whose x declares a shape of its own."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name in ("x", "x_after"):
            content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + X.tobytes()
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def _flagged(place: int, value: bytes) -> bytes:
    """An .npz with a field of its members' headers, local and central, set: flags at 0, compression at 2."""
    content = bytearray(_npz(x=X, x_after=Y))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset + place : at + offset + place + len(value)] = value
            at = content.find(mark, at + 4)
    return bytes(content)


def pairs(rng: random.Random) -> Iterator[Case]:
    """Files of pairs."""
    at = lambda value: np.where(X[7, 1] == X, value, X)  # noqa: E731
    sound = _npz(x=X, x_after=Y)
    contents = {
        **{f"{value} in x": _npz(x=at(value), x_after=Y) for value in (np.nan, np.inf, 1e200, -1e300, 1e308)},
        **{f"{value} in x_after": _npz(x=X, x_after=at(value)) for value in (np.nan, -np.inf, 1e150)},
        **{f"shape {shape}": _npz(x=X.reshape(shape), x_after=Y.reshape(shape)) for shape in
           ((200,), (100, 2, 1), (50, 4), (1, 100, 2), (100, 1, 2, 1), (2, 100))},
        **{f"type {kind}": _npz(x=X.astype(kind), x_after=Y) for kind in ("U", "S", "O", "c16", "?", "M8[s]", "V8")
           if kind not in ("M8[s]", "V8")},
        "times": _npz(x=X.astype(int).astype("M8[s]"), x_after=Y),
        "records": _npz(x=np.zeros(100, [("a", "f8"), ("b", "i4")]), x_after=Y),
        "numbers": _npz(x=np.float64(1), x_after=np.float64(2)),
        "no rows": _npz(x=X[:0], x_after=Y[:0]),
        "no features": _npz(x=X[:, :0], x_after=Y[:, :0]),
        "other length": _npz(x=X, x_after=Y[:50]),
        "only x_after": _npz(x_after=Y),
        "other names": _npz(before=X, after=Y),
        "nothing": _npz(),
        "encrypted": _flagged(0, b"\x01"),
        "unknown compression": _flagged(2, b"\x63\x00"),
        "deflated, it says": _flagged(2, b"\x08\x00"),
        "lzma, it says": _flagged(2, b"\x0e\x00"),
        **{f"declares {shape}": _declaring(shape) for shape in
           ("(10**15, 2)", "(1000000000000000, 2)", "(9223372036854775807,)", "(-1, 2)", "(100, 2, 2)", "(1e3, 2)", "'ab'",
            "(100, 99999999999999999999)", "((100, 2), 3)", "None")},
        "declares much, compressed": _declaring("(1000000000000000, 2)", compressed=True),
        **{f"declares {dtype}": _declaring("(100, 2)", dtype) for dtype in ("O", "|O8", "nonsense", "<f99", "<U1000000000")},
        "a deep header": _declaring("(" * 200 + ")" * 200),
        "not a zip file": b"x,x_after\n1,2\n",
        "empty": b"",
        "zeros": bytes(1000),
        "zip of nothing": b"PK\x05\x06" + bytes(18),
        **{f"targets {name}": _npz(x=X, x_after=Y, z=X, targets=value) for name, value in {
            "too large": np.full(100, 9), "negative": np.full(100, -2), "floats": np.full(100, 0.5),
            "short": np.zeros(50, int), "texts": np.full(100, "a"), "sets of 2": np.full((100, 2), 2),
            "cube": np.zeros((100, 2, 2), int)}.items()},
        **{f"adjacency {name}": _npz(x=X, x_after=Y, z=X, adjacency=value) for name, value in {
            "cyclic": np.ones((2, 2)), "wide": np.zeros((2, 3)), "large": np.zeros((3, 3)), "of halves": np.full((2, 2), 0.5),
            "with NaN": np.full((2, 2), np.nan)}.items()},
        **{f"{key} {name}": _npz(x=X, x_after=Y, **{key: value}) for key in ("z", "noise") for name, value in {
            "short": X[:9], "flat": X[:, 0], "NaN": X * np.nan, "texts": X.astype("U")}.items()},
    }  # fmt: skip
    for step in range(40):
        contents[f"cut at {step}/40"] = sound[: len(sound) * step // 40]
    for number in range(60):
        place, bit = rng.randrange(len(sound)), 1 << rng.randrange(8)
        flipped = bytearray(sound)
        flipped[place] ^= bit
        contents[f"bit {bit} of byte {place} turned ({number})"] = bytes(flipped)
    for number, (name, content) in enumerate(contents.items()):
        for turn in (number, number + 3):
            # A shape may be what another command takes, and --mmap looks at no checksum.
            soft = name.startswith(("bit", "shape", "cut at 39", "targets", "adjacency", "z ", "noise ", "type ?"))
            yield Case(f"pairs, {name}", read_by("bad.npz", turn), writing("bad.npz", content), "bad.npz", soft)


def arrays(rng: random.Random) -> Iterator[Case]:
    """Folders of .npy files."""
    buffer = io.BytesIO()
    np.save(buffer, X)
    sound = buffer.getvalue()
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}]), allow_pickle=True)
    contents = {"empty": b"", "text": b"1,2", "pickled": pickled.getvalue(), "declares much": b""}
    contents["declares much"] = sound.replace(b"(100, 2), }      ", b"(10000000, 200)}")
    contents |= {f"cut at {step}/8": sound[: len(sound) * step // 8] for step in range(8)}
    for number, (name, content) in enumerate(contents.items()):

        def make(folder, content=content):
            (folder / "bad").mkdir()
            np.save(folder / "bad" / "x_after.npy", Y)
            (folder / "bad" / "x.npy").write_bytes(content)

        for turn in (number, number + 3):
            yield Case(f"array, {name}", read_by("bad", turn), make, "bad")
    for name, file in (("nothing in it", None), ("something else", "a.txt"), ("pairs files", "train.npz")):

        def fill(folder, file=file):
            (folder / "bad").mkdir()
            if file is not None:
                (folder / "bad" / file).write_bytes(b"")

        yield Case(f"folder, {name}", read_by("bad", rng.randrange(4)), fill, "bad")


def tables(rng: random.Random) -> Iterator[Case]:
    """Tables of pairs, of observed variables and of edges."""
    rows = "".join(f"{i},{i + i % 3}\n" for i in range(80))
    header = "p_before,p_after\n"
    contents = {
        **{f"{cell!r} in a cell": header + rows + f"{cell},2\n" for cell in
           ("", "nan", "inf", "1e200", "1e400", "-1e300", "text", "1;2", "2020-01-01", "\x00", '"', "0x10", "1_0")},
        "columns twice": f"p_before,p_after,p_after\n{rows}", "other names": f"a,b\n{rows}", "one side": f"p_before,b\n{rows}",
        "no rows": header, "nothing": "", "few rows": header + "1,2\n", "ragged": header + rows + "1\n",
        "more cells": header + rows + "1,2,3,4\n", "one column": "p_before\n1\n", "semicolons": header.replace(",", ";"),
        "a long cell": header + rows + "9" * 200_000 + ",1\n", "constant": header + "1,1\n" * 80,
        "a quote": header + '"1,2\n' + rows,
    }  # fmt: skip
    observed = ["graph", "--data", "bad.csv", "--out", "new", "--draws", "8", "--chains", "1"]
    soft = (
        "'0x10'",
        "'1_0'",
        "columns twice",
        "ragged",
        "more cells",
        "semicolons",
        "other names",
        "one side",
        "few",
        "constant",
        "a long",
    )
    for name, content in contents.items():
        text = content.encode()
        passes = name.startswith(soft)
        yield Case(f"table, {name}", read_by("bad.csv", 0), writing("bad.csv", text), "bad.csv", passes)
        yield Case(f"table, {name}, observed", observed, writing("bad.csv", text), "bad.csv", passes)
    for name, content in {
        "latin": "ü_before,ü_after\n".encode("latin-1") + rows.encode(),
        "bytes": rng.randbytes(500),
    }.items():
        yield Case(f"table, {name}", read_by("bad.csv", 0), writing("bad.csv", content), "bad.csv")
        yield Case(f"table, {name}, observed", observed, writing("bad.csv", content), "bad.csv")
    for content in (b"", b"PAR1", rng.randbytes(300), b"PAR1" + bytes(100) + b"PAR1"):
        yield Case("parquet", read_by("bad.parquet", 0), writing("bad.parquet", content), "bad.parquet")
        yield Case("parquet, observed", [*observed[:2], "bad.parquet", *observed[3:]],
                   writing("bad.parquet", content), "bad.parquet")  # fmt: skip
    good = "a,b\n" + "".join(f"{i % 7},{(i * i) % 5}\n" for i in range(60))
    for content in (
        b"",
        b"cause\n",
        b"cause,effect\n",
        b"cause,effect\na,q\n",
        b"cause\na\n",
        b"\xff\xfe",
        b"cause,effect\na\n",
    ):

        def make(folder, content=content):
            (folder / "bad.csv").write_text(good)
            (folder / "edges.csv").write_bytes(content)

        yield Case("edges", [*observed, "--truth", "edges.csv"], make, "edges.csv")


def images(rng: random.Random) -> Iterator[Case]:
    """Folders of image files."""
    from PIL import Image

    def png(size=(16, 16), mode="RGB"):
        buffer = io.BytesIO()
        Image.new(mode, size, 100).save(buffer, "png")
        return buffer.getvalue()

    sound = png()
    contents = {
        "empty": b"",
        "text": b"an image",
        "other size": png((8, 16)),
        "grey": png(mode="L"),
        "zeros": bytes(200),
    }
    contents |= {f"cut at {step}/10": sound[: len(sound) * step // 10] for step in range(1, 10)}
    contents["much declared"] = sound[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + sound[24:]
    for name, content in contents.items():

        def make(folder, content=content):
            (folder / "bad").mkdir()
            for i in range(60):
                for side in ("before", "after"):
                    (folder / "bad" / f"{i}_{side}.png").write_bytes(sound)
            (folder / "bad" / "7_after.png").write_bytes(content)

        call = ["train", "bad", "--out", "new", "--dim-z", "2"]
        yield Case(f"image, {name}", call, make, "bad")
    for text in (
        "",
        "before\n",
        "before,after\n",
        "before,after\na.txt,b.png\n",
        "before,after\na.png,b.png\n",
        "\x00",
    ):
        yield Case("table of images", ["train", "bad.csv", "--out", "new", "--dim-z", "2"],
                   writing("bad.csv", text.encode()), "bad.csv")  # fmt: skip


KINDS = (pairs, arrays, tables, images)
