import logging
import tracemalloc
import zipfile

import numpy as np
import pytest

from pyro_lcm.data import InterventionPairs, simulate_scaling


@pytest.fixture
def pairs():
    return simulate_scaling(3, 50, seed=0)


def assert_same(first, second):
    for key in ("x", "x_after", "targets", "z", "z_after", "noise", "noise_after", "adjacency"):
        a, b = getattr(first, key), getattr(second, key)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mmap", [False, True])
def test_npz_round_trip(pairs, tmp_path, mmap):
    path = tmp_path / "pairs.npz"
    pairs.save(path)
    assert_same(InterventionPairs.load(path, mmap=mmap), pairs)
    assert_same(InterventionPairs.load(str(path), mmap=mmap), pairs)
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.npz"]


@pytest.mark.parametrize("mmap", [False, True])
def test_folder_of_npy_files(pairs, tmp_path, mmap):
    for key in ("x", "x_after", "targets"):
        np.save(tmp_path / f"{key}.npy", getattr(pairs, key))
    loaded = InterventionPairs.load(tmp_path, mmap=mmap)
    assert_same(loaded, InterventionPairs(pairs.x, pairs.x_after, targets=pairs.targets))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_other_software_are_read(pairs, tmp_path, save):
    save(tmp_path / "p.npz", x=np.asfortranarray(pairs.x, dtype=np.float32), x_after=pairs.x_after)
    loaded = InterventionPairs.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(loaded.x, pairs.x.astype(np.float32))


def test_fortran_order_is_mapped(pairs, tmp_path):
    np.savez(tmp_path / "p.npz", x=np.asfortranarray(pairs.x), x_after=pairs.x_after)
    np.testing.assert_array_equal(InterventionPairs.load(tmp_path / "p.npz", mmap=True).x, pairs.x)


def test_mapped_arrays_are_read_only(pairs, tmp_path):
    pairs.save(tmp_path / "p.npz")
    loaded = InterventionPairs.load(tmp_path / "p.npz", mmap=True)
    with pytest.raises(ValueError, match="read-only"):
        loaded.x[0] = 0.0


def test_mapped_data_are_never_read_as_a_whole(tmp_path):
    size = 2**27  # twice what is read at a time
    np.savez(
        tmp_path / "p.npz",
        x=np.zeros((size // 1024, 256), np.float32),
        x_after=np.ones((size // 1024, 256), "f4"),
    )
    tracemalloc.start()
    try:
        mapped = InterventionPairs.load(tmp_path / "p.npz", mmap=True)
        train, test = mapped.split((0.9, 0.1), seed=0)
        batch = train.batch(np.arange(100))
        again = test.split((0.5, 0.5), seed=1)[0][10:20][np.array([3])]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 2  # one of the two arrays alone is twice that
    assert batch["x"].shape == (100, 256)
    assert (batch["x_after"] == 1).all()
    assert len(again) == 1
    assert again.x.shape == (1, 256)


def test_mapped_splits_equal_splits_in_memory(pairs, tmp_path):
    pairs.save(tmp_path / "p.npz")
    mapped = InterventionPairs.load(tmp_path / "p.npz", mmap=True)
    for part, expected in zip(
        mapped.with_known_targets().split((0.6, 0.4), seed=5),
        pairs.with_known_targets().split((0.6, 0.4), seed=5),
        strict=True,
    ):
        assert_same(part, expected)
        assert_same(part[3:9], expected[3:9])
        assert_same(part[[4, 1]], expected[[4, 1]])
        for key, tensor in expected.batch([2, 7]).items():
            np.testing.assert_array_equal(part.batch([2, 7])[key], tensor)


def test_saving_replaces_and_needs_the_suffix(pairs, tmp_path):
    path = tmp_path / "p.npz"
    path.write_bytes(b"old")
    pairs.save(path)
    assert_same(InterventionPairs.load(path), pairs)
    with pytest.raises(ValueError, match=r"path: got .* expected a name that ends in \.npz"):
        pairs.save(tmp_path / "p.bin")
    pairs.save(tmp_path / "new" / "p.npz")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["p.npz"]


def _bytes(content):
    return lambda pairs, path: path.write_bytes(content)


def _arrays(save=np.savez, without=(), **changes):
    def write(pairs, path):
        arrays = {"x": pairs.x, "x_after": pairs.x_after, "z": pairs.z} | changes
        save(path, **{key: value for key, value in arrays.items() if key not in without})

    return write


def _cut_off(pairs, path):
    pairs.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_a_byte(pairs, path):
    pairs.save(path)
    damaged = bytearray(path.read_bytes())
    damaged[600] ^= 0xFF
    path.write_bytes(damaged)


def _npy(pairs, path):
    np.save(path.with_suffix(".npy"), pairs.x)
    path.with_suffix(".npy").rename(path)


def _no_array(pairs, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"not an array")


OBJECTS = np.array([{"a": 1}], dtype=object)
EITHER, READ, MAPPED = (False, True), (False,), (True,)
BAD_FILES = {
    "empty": (_bytes(b""), EITHER, r"p\.npz: not an \.npz file"),
    "csv": (_bytes(b"x,y\n1,2\n"), EITHER, r"p\.npz: not an \.npz file"),
    "pickle": (_bytes(b"\x80\x04N."), EITHER, r"p\.npz: not an \.npz file"),
    "npy": (_npy, READ, r"not an \.npz file"),
    "cut off": (_cut_off, READ, r"p\.npz: not an \.npz file"),
    "a wrong byte": (_flip_a_byte, READ, r"p\.npz: x: Bad CRC-32"),
    "objects": (_arrays(x=OBJECTS, x_after=np.zeros((1, 1))), EITHER, r"p\.npz: x: "),
    "no array": (_no_array, EITHER, r"p\.npz: x: not a plain array"),
    "compressed": (_arrays(np.savez_compressed), MAPPED, "compressed, which cannot be memory-mapped"),
    "no x": (_arrays(without=("x",)), READ, r"p\.npz: key 'x' is missing; got \["),
    "no x_after": (_arrays(without=("x_after",)), READ, r"p\.npz: key 'x_after' is missing; got \["),
    "nan": (
        _arrays(x=np.where(np.arange(150).reshape(50, 3) == 23, np.nan, 1.0)),
        EITHER,
        r"p\.npz: x: got nan at index \(7, 2\)",
    ),
    "no rows": (
        _arrays(without=("z",), x=np.zeros((0, 3)), x_after=np.zeros((0, 3))),
        MAPPED,
        r"x: got shape \(0, 3\), which is empty",
    ),
}


@pytest.mark.parametrize(
    ("write", "mmap", "message"),
    [
        pytest.param(write, mmap, message, id=f"{name}{'-mapped' if mmap else ''}")
        for name, (write, ways, message) in BAD_FILES.items()
        for mmap in ways
    ],
)
def test_bad_files_are_refused(pairs, tmp_path, write, mmap, message):
    write(pairs, tmp_path / "p.npz")
    with pytest.raises(ValueError, match=message):
        InterventionPairs.load(tmp_path / "p.npz", mmap=mmap)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        InterventionPairs.load(tmp_path / "none.npz")


def test_pickled_npy_in_a_folder_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", OBJECTS)
    with pytest.raises(ValueError, match=r"x\.npy: not a plain array"):
        InterventionPairs.load(tmp_path)


def test_other_keys_are_ignored_with_a_warning(pairs, tmp_path, caplog):
    np.savez(tmp_path / "p.npz", x=pairs.x, x_after=pairs.x_after, target=pairs.targets)
    with caplog.at_level(logging.WARNING):
        loaded = InterventionPairs.load(tmp_path / "p.npz")
    assert loaded.targets is None
    assert "ignored the keys ['target']" in caplog.text


def test_a_folder_of_pairs_files_is_told_from_one_of_arrays(tmp_path):
    pairs = InterventionPairs(np.zeros((3, 2)), np.ones((3, 2)))
    for name in ("train", "test"):
        pairs.save(tmp_path / f"{name}.npz")
    with pytest.raises(
        ValueError, match=r"got a folder of pairs files, expected one of them: .*test\.npz, .*train\.npz"
    ):
        InterventionPairs.load(tmp_path)
