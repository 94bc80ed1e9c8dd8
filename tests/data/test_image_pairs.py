"""Pairs of images: the same batches from every place and layout, in units of 0 to 1, and nothing read unasked."""

import csv
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pyro_lcm.data import InterventionPairs, Standardizer, image_files
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.sources import standardized_tensors
from pyro_lcm.training import Phase, fit
from pyro_lcm.training.sources import fingerprint

N, H, W = 60, 16, 24
RNG = np.random.default_rng(0)
SEEN = RNG.integers(0, 256, size=(2, N, H, W, 3)).astype(np.uint8)
FIRST = SEEN.transpose(0, 1, 4, 2, 3)
TARGETS = RNG.integers(0, 3, size=N)
Z = RNG.normal(size=(N, 2))


def write_files(folder):
    """Pairs as named PNG files, in a folder, and a table of the same with the truth."""
    folder.mkdir()
    rows = []
    for i in range(N):
        names = [f"{i:02d}_{side}.png" for side in ("before", "after")]
        for name, image in zip(names, SEEN[:, i], strict=True):
            Image.fromarray(image).save(folder / name)
        rows.append([*names, TARGETS[i], *Z[i]])
    with (folder.parent / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["before", "after", "target", "z1", "z2"])
        writer.writerows([[f"files/{a}", f"files/{b}", *rest] for a, b, *rest in rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_files(folder / "files")
    np.savez(folder / "last.npz", x=SEEN[0], x_after=SEEN[1])
    np.savez(folder / "first.npz", x=FIRST[0], x_after=FIRST[1])
    np.savez(folder / "floats.npz", x=SEEN[0] / np.float32(255), x_after=SEEN[1] / np.float32(255))
    (folder / "arrays").mkdir()
    for key, side in zip(("x", "x_after"), SEEN, strict=True):
        np.save(folder / "arrays" / f"{key}.npy", side)
    return folder


PLACES = ["last.npz", "first.npz", "floats.npz", "arrays", "files", "table.csv"]


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_every_place_gives_the_same_batches(folder, place, mmap):
    pairs = InterventionPairs.load(folder / place, mmap=mmap)
    assert pairs.is_images
    assert (len(pairs), pairs.image_shape, pairs.observation_shape) == (N, (3, H, W), (3, H, W))
    expected = torch.from_numpy(FIRST.copy()).float().div_(255)
    for index in (slice(3, 9), [5, 0, 59], torch.tensor([7]), np.arange(N)):
        batch = pairs.batch(index)
        for key, side in zip(("x", "x_after"), expected, strict=True):
            assert torch.equal(batch[key], side[index])
            assert batch[key].is_contiguous()
    assert fingerprint(pairs) == fingerprint(InterventionPairs(*FIRST))


@pytest.mark.parametrize("place", PLACES)
def test_selections_of_every_place_are_the_same(folder, place):
    chosen = [
        pairs.split((0.7, 0.3), seed=1)[0][4:][np.arange(38) % 2 == 0]
        for pairs in (InterventionPairs(*SEEN), InterventionPairs.load(folder / place, mmap=True))
    ]
    assert torch.equal(chosen[0].batch(slice(None))["x"], chosen[1].batch(slice(None))["x"])


class Mean(nn.Module):
    """Fits a mean image, and notes the rows of each step; interrupted before a step if told so."""

    def __init__(self, interrupted_at=None):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(3, H, W))
        self.interrupted_at, self.rows = interrupted_at, []

    def forward(self, tensors, *, size, index):
        if len(self.rows) == self.interrupted_at:
            raise KeyboardInterrupt
        self.rows.append(index.tolist())
        return (tensors["x"] - self.mean).square().mean()


def test_a_run_on_files_that_was_cut_off_goes_on_with_the_same_rows(folder, tmp_path):
    phases = [Phase("all", 12, learning_rate=0.1, batch_size=16)]
    options = {"seed": 4, "device": "cpu", "progress": False, "checkpoint_every": 4}
    alone = Mean()
    fit(alone, InterventionPairs(*SEEN), phases, **options)
    cut, resumed = Mean(interrupted_at=6), Mean()
    with pytest.raises(KeyboardInterrupt):
        fit(cut, InterventionPairs.load(folder / "files"), phases, out=tmp_path, **options)
    result = fit(resumed, InterventionPairs.load(folder / "files"), phases, out=tmp_path, resume=True, **options)
    assert (cut.rows, resumed.rows) == (alone.rows[:6], alone.rows[result.resumed_at :])
    assert result.resumed_at > 0
    assert torch.equal(resumed.mean, alone.mean)


def test_a_table_brings_the_truth(folder):
    pairs = InterventionPairs.from_files(folder / "table.csv")[[5, 2]]
    np.testing.assert_array_equal(pairs.targets, TARGETS[[5, 2]])
    np.testing.assert_array_equal(pairs.z, Z[[5, 2]])
    assert pairs.with_known_targets().batch([1])["targets"].tolist() == [TARGETS[2]]


@pytest.mark.parametrize("place", PLACES)
def test_smaller_images_are_means_of_larger_ones(folder, place):
    pairs = InterventionPairs.load(folder / place, mmap=True, size=8)
    assert pairs.image_shape == (3, 8, 12)
    expected = (FIRST[0] / 255).reshape(N, 3, 8, 2, 12, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(pairs.batch(slice(None))["x"], expected, atol=1e-6)
    np.testing.assert_allclose(pairs[3:][[2]].x[0], expected[5], atol=1e-6)
    np.testing.assert_allclose(pairs[[9, 4]].resized((4, 6)).x[1].mean(), expected[4].mean(), atol=1e-6)
    assert pairs.resized((8, 12)) is pairs


@pytest.mark.parametrize("size", [None, 8])
def test_images_are_saved_as_they_are_kept(folder, tmp_path, size):
    pairs = InterventionPairs.load(folder / "table.csv", size=size)
    part = pairs.split((0.5,), seed=0)[0]
    part.save(tmp_path / "part.npz")
    again = InterventionPairs.load(tmp_path / "part.npz", mmap=True)
    assert again.x.dtype == (np.uint8 if size is None else np.float32)
    np.testing.assert_array_equal(again.targets, part.targets)
    assert fingerprint(again) == fingerprint(part) == fingerprint(part.in_memory())


def test_in_memory_decodes_once(folder, decoded):
    pairs = InterventionPairs.load(folder / "files")[:4].in_memory()
    assert len(decoded) == 8
    pairs.batch([0, 1])
    assert len(decoded) == 8
    assert pairs.x.dtype == np.uint8
    assert pairs.in_memory().x is pairs.x


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded, in order."""
    names = []
    decode = image_files.decode_image

    def count(file, shape):
        names.append(file.rsplit("/", 1)[1])
        return decode(file, shape)

    monkeypatch.setattr(image_files, "decode_image", count)
    return names


def test_only_the_files_of_a_batch_are_decoded(folder, decoded):
    pairs = InterventionPairs.load(folder / "files", size=8)
    training, held_out = pairs.split((0.9, 0.1), seed=0)
    pairs[10:20][[1, 3]].resized(4)
    repr(training.x)
    assert decoded == []
    pairs.batch([7])
    assert decoded == ["07_before.png", "07_after.png"]
    decoded.clear()
    held_out.batch([0, 1])
    assert len(decoded) == 4
    decoded.clear()
    fingerprint(training[:30])
    assert len(decoded) == 60


def test_holding_out_reads_a_few(folder, decoded):
    training, held_out = hold_out(InterventionPairs.load(folder / "files"), 0.2, seed=0)
    assert len(decoded) == 2 * N  # the first 64 of the pairs at most
    assert (len(training), len(held_out)) == (48, 12)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_mapped_set_is_never_read_as_a_whole(tmp_path, layout):
    count, side = 1500, 128  # 74 MB a side
    shape = (count, 3, side, side) if layout == "NCHW" else (count, side, side, 3)
    (tmp_path / "big").mkdir()
    for key in ("x", "x_after"):
        mapped = np.lib.format.open_memmap(tmp_path / "big" / f"{key}.npy", mode="w+", dtype=np.uint8, shape=shape)
        mapped[5] = 255
        del mapped
    tracemalloc.start()
    try:
        pairs = InterventionPairs.load(tmp_path / "big", mmap=True)
        training, _ = pairs.split((0.9, 0.1), seed=0)
        opened = tracemalloc.get_traced_memory()[1]
        batch = pairs.batch([5, 6])
        for start in range(0, len(training), 100):
            training.batch(slice(start, start + 10))
            training[start : start + 100].resized(32).batch(slice(0, 10))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert batch["x"][:, 0, 0, 0].tolist() == [1.0, 0.0]
    assert opened < 2e6
    assert peak < 2e7


def test_a_folder_larger_than_its_memory_is_iterated(tmp_path):
    """Resident memory of a process that decodes 100 MB of images, batch by batch."""
    (tmp_path / "files").mkdir()
    flat = Image.new("RGB", (512, 512), (10, 20, 30))
    for i in range(64):
        for name in ("before", "after"):
            flat.save(tmp_path / "files" / f"{i:02d}_{name}.png")
    program = f"""
import resource
from pyro_lcm.data import InterventionPairs
pairs = InterventionPairs.load({str(tmp_path / "files")!r})
pairs.batch([0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for start in range(0, 64, 4):
    assert pairs.batch(slice(start, start + 4))["x"].shape == (4, 3, 512, 512)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 6e7  # all of them take 100 MB as bytes, 400 MB as floats


def test_units_of_images_are_one_however_they_are_kept(folder):
    standardizers = [Standardizer.fit(InterventionPairs.load(folder / place), "image") for place in PLACES]
    for standardizer in standardizers[1:]:
        for name, value in standardizers[0].state_dict().items():
            torch.testing.assert_close(standardizer.state_dict()[name], value)
    files = InterventionPairs.load(folder / "files")
    tensors = standardized_tensors(files, standardizers[0])
    torch.testing.assert_close(standardizers[0](files.batch(slice(None))["x"]), tensors["x"])


def test_other_observations_are_no_images():
    pairs = InterventionPairs(np.zeros((4, 2)), np.zeros((4, 2)))
    assert not pairs.is_images
    with pytest.raises(ValueError, match=r"x: got observations of shape \(2,\), expected images"):
        _ = pairs.image_shape
    with pytest.raises(ValueError, match=r"size: got one for observations of shape \(2,\)"):
        pairs.resized(8)


def test_images_in_other_units_are_refused_unless_they_were_standardised():
    floats = FIRST[0].astype(np.float32)
    with pytest.raises(ValueError, match=r"x: got images of floats from 0 to 255, expected 0 to 1; divide by 255"):
        InterventionPairs(floats, floats)
    unit = InterventionPairs(floats / 255, floats / 255)
    assert unit.with_observations(floats - 128, floats - 128).image_shape == (3, H, W)


def test_layouts_are_said_where_both_could_be(tmp_path):
    narrow = SEEN[0, :, :, :3]  # (N, 16, 3, 3)
    tall = narrow.transpose(0, 3, 1, 2)  # (N, 3, 16, 3)
    with pytest.raises(ValueError, match=r"x: got shape .*layout=\"NCHW\" or layout=\"NHWC\""):
        InterventionPairs(tall, tall)
    pairs = InterventionPairs(tall, tall, layout="NCHW")
    pairs.save(tmp_path / "p.npz")
    with pytest.raises(ValueError, match=r"p\.npz: x: got shape .*layout="):
        InterventionPairs.load(tmp_path / "p.npz")
    again = InterventionPairs.load(tmp_path / "p.npz", layout="NCHW", mmap=True)
    assert torch.equal(again.batch([1])["x"], InterventionPairs(narrow, narrow).batch([1])["x"])


def test_layout_is_for_arrays(folder):
    with pytest.raises(ValueError, match="layout: got 'NHWC' for image files"):
        InterventionPairs.load(folder / "files", layout="NHWC")
