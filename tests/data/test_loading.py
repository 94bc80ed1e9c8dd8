"""Observations that are in no pairs."""

import numpy as np
import pytest
from PIL import Image

from pyro_lcm.data.loading import holds_observations, read_observations
from tables import each_row

IMAGES = np.random.default_rng(0).integers(0, 256, size=(6, 16, 16, 3)).astype(np.uint8)


def write(folder, kind):
    if kind == "files":
        for name, image in zip("bcadef", IMAGES[[1, 2, 0, 3, 4, 5]], strict=True):
            Image.fromarray(image).save(folder / f"{name}.png")
        return folder
    if kind == "npy":
        np.save(folder / "seen.npy", IMAGES)
    else:
        np.savez(folder / "seen.npz", x=IMAGES)
    return folder / f"seen.{kind}"


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kind", ["files", "npy", "npz"])
def test_images_from_every_place(tmp_path, kind, mmap):
    path = write(tmp_path, kind)
    rows = read_observations(path, mmap=mmap)
    assert rows.shape == (6, 3, 16, 16)
    np.testing.assert_array_equal(rows[:], IMAGES.transpose(0, 3, 1, 2))
    means = IMAGES.reshape(6, 8, 2, 8, 2, 3).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(read_observations(path, size=8)[:], means.transpose(0, 3, 1, 2), atol=1e-6)


def test_vectors_too(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3))
    np.testing.assert_array_equal(read_observations(tmp_path / "v.npy"), np.eye(3))


@each_row(
    ("name", "array", "layout", "message"),
    [
        ("a.npy", np.array([[0.0, np.nan]]), None, r"a\.npy: x: got nan at index \(0, 1\)"),
        ("a.npy", np.zeros(3), None, r"a\.npy: x: got shape \(3,\)"),
        ("a.npy", np.zeros((2, 5)), "NHWC", r"a\.npy: layout: got 'NHWC'"),
        ("a.npy", np.full((2, 8, 8, 3), 200.0), None, "expected 0 to 1; divide by 255"),
        ("a.npz", np.zeros((2, 5)), None, r"a\.npz: key 'x' is missing"),
    ],
)
def test_what_is_no_observation_is_refused(tmp_path, name, array, layout, message):
    if name.endswith("npz"):
        np.savez(tmp_path / name, y=array)
    else:
        np.save(tmp_path / name, array)
    with pytest.raises(ValueError, match=message):
        read_observations(tmp_path / name, layout=layout)


def test_paths_without_observations(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npy: no such file"):
        read_observations(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="key 'x' is missing"):
        read_observations(tmp_path)
    with pytest.raises(ValueError, match="layout: got 'NHWC' for image files"):
        read_observations(write(tmp_path, "files"), layout="NHWC")


def test_a_single_image_file(tmp_path):
    folder = write(tmp_path, "files")
    rows = read_observations(folder / "c.png", size=8)
    assert holds_observations(folder / "c.png")
    assert not holds_observations(folder / "missing.png")
    np.testing.assert_allclose(rows[:], read_observations(folder, size=8)[2:3])
    assert [file.rsplit("/", 1)[-1] for file in rows.files] == ["c.png"]
