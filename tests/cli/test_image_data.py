"""What the commands read: images from every place with their options, and observations that are in no pairs."""

import numpy as np
import pytest
from PIL import Image

from pyro_lcm.commands.encode import encode_observations
from pyro_lcm.commands.files import load_observations, load_pairs
from pyro_lcm.commands.options import Images
from pyro_lcm.data.files import read_arrays
from pyro_lcm.fitting.fitted import Encoding
from tables import each_row

SEEN = np.random.default_rng(0).integers(0, 256, size=(2, 5, 16, 32, 3)).astype(np.uint8)
SMALL = SEEN.reshape(2, 5, 8, 2, 16, 2, 3).mean(axis=(3, 5)).transpose(0, 1, 4, 2, 3) / 255


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    for name in ("named", "arrays", "single"):
        (folder / name).mkdir()
    rows = ["before,after"]
    for i, images in enumerate(SEEN.swapaxes(0, 1)):
        names = [f"named/{i}_{side}.png" for side in ("before", "after")]
        for name, image in zip(names, images, strict=True):
            Image.fromarray(image).save(folder / name)
        Image.fromarray(images[0]).save(folder / "single" / f"{i}.png")
        rows.append(",".join(names))
    (folder / "table.csv").write_text("\n".join(rows))
    np.savez(folder / "pairs.npz", x=SEEN[0], x_after=SEEN[1])
    np.savez(folder / "single.npz", x=SEEN[0])
    np.save(folder / "single.npy", SEEN[0])
    for key, side in zip(("x", "x_after"), SEEN, strict=True):
        np.save(folder / "arrays" / f"{key}.npy", side)
    return folder


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ["named", "table.csv", "pairs.npz", "arrays"])
def test_pairs_of_images_from_every_place(places, name, mmap):
    assert load_observations(str(places / name)) is None
    pairs = load_pairs(str(places / name), mmap=mmap, images=Images(size=(8,)))
    batch = pairs.batch(slice(None))
    np.testing.assert_allclose([batch["x"].numpy(), batch["x_after"].numpy()], SMALL, atol=1e-6)
    assert load_pairs(str(places / name), images=Images(size=(4, 4))).image_shape == (3, 4, 4)


@pytest.mark.parametrize("name", ["single", "single.npy", "single.npz"])
def test_observations_in_no_pairs(places, name):
    rows = load_observations(str(places / name), images=Images(size=(8, 16)))
    np.testing.assert_allclose(rows[:], SMALL[0], atol=1e-6)


class Sums:
    """Stands for a model: its latents are sums of pixels."""

    def encode(self, x):
        sums = np.asarray(x).sum(axis=(2, 3))
        return Encoding(sums, sums + 1, sums + 2, sums + 3)


def test_latents_of_a_folder_of_images_come_with_their_names(places):
    arrays = encode_observations(Sums(), load_observations(str(places / "single"), images=Images(size=(8,))))
    assert arrays["files"].tolist() == [f"{i}.png" for i in range(5)]
    np.testing.assert_allclose(arrays["causal"], SMALL[0].sum(axis=(2, 3)) + 2, rtol=1e-5)
    assert sorted(arrays) == ["causal", "causal_sd", "files", "noise", "noise_sd"]


def test_encode_takes_observations_in_no_pairs(cli, work):
    pairs = load_pairs("test.npz")
    np.save("seen.npy", pairs.x)
    assert cli("encode", "run", "--data", "test.npz", "--out", "pairs_codes.npz")[0] == 0
    code, out, _ = cli("encode", "run", "--data", "seen.npy", "--out", "codes.npz")
    assert (code, "500 observations" in out) == (0, True)
    both, single = (read_arrays(work / name, mmap=False) for name in ("pairs_codes.npz", "codes.npz"))
    assert sorted(single) == ["causal", "causal_sd", "noise", "noise_sd"]
    for key, values in single.items():
        np.testing.assert_array_equal(values, both[key])


def test_options_of_images_are_recorded(cli, work, small):
    config = cli("train", "train.npz", "--out", "new", "--size", "48", "64", "--layout", "NHWC", "--print-config")[1]
    assert "layout: NHWC\nsize:\n- 48\n- 64\n" in config


BAD = [
    (["--size", "0"], ["size: got [0]"]),
    (["--size", "1", "2", "3"], ["size: got [1, 2, 3]"]),
    (["--size", "large"], ["--size: got 'large', expected an integer"]),
    (["--layout", "HWC"], ["--layout: got 'HWC', expected one of NCHW, NHWC"]),
    (["--size", "8"], ["size: got one for observations of shape (2,)"]),
    (["--layout", "NHWC"], ["layout: got 'NHWC' for x of shape"]),
]


@each_row(("arguments", "words"), BAD)
@pytest.mark.parametrize(
    "command",
    [
        ["train", "test.npz", "--out", "new"],
        ["check", "run", "--data", "test.npz"],
        ["encode", "run", "--data", "test.npz", "--out", "new.npz"],
        ["evaluate", "run", "--data", "test.npz"],
        ["graph", "run", "--data", "test.npz"],
        ["do", "run", "--data", "test.npz", "--out", "new.npz", "--set", "z1=0"],
    ],
    ids=lambda command: command[0],
)
def test_options_that_do_not_fit_are_one_line(cli, work, command, arguments, words):
    code, out, err = cli(*command, *arguments)
    assert (code, out) == (2, "")
    complaints = [line for line in err.splitlines() if ": error: " in line]
    assert len(complaints) == 1
    assert all(word in complaints[0] for word in words), complaints


def _unpaired(folder):
    (folder / "data").mkdir()
    for name in ("a_before.png", "a_after.png", "b_before.png"):
        Image.new("RGB", (8, 8)).save(folder / "data" / name)
    return "data"


def _unreadable(folder):
    path = _unpaired(folder)
    (folder / path / "b_after.png").write_bytes(b"no image")
    return path


def _lost(folder):
    (folder / "data.csv").write_text("before,after\nhere.png,there.png\n")
    return "data.csv"


def _of_vectors(folder):
    (folder / "data.csv").write_text("a,b\n1,2\n")
    return "data.csv"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_unpaired, ["data: 1 image files are without their other side: b_before.png"]),
        (_unreadable, ["1 of 4 image files cannot be read", "b_after.png"]),
        (_lost, ["2 of 2 image files are missing", "here.png"]),
        (_of_vectors, ["data.csv: before: got no column like '*_before'", "image files", "the table has a, b"]),
    ],
)
def test_files_that_do_not_fit_are_one_line(cli, work, make, words):
    path = make(work)
    for command in (["train", path, "--out", "new"], ["encode", "run", "--data", path, "--out", "new.npz"]):
        code, out, err = cli(*command)
        assert (code, out) == (2, "")
        assert all(word in err.splitlines()[-1] for word in words), err
    assert not (work / "new").exists()
