"""Image files: exact round trips, what is listed when files do not belong together, and what is read when."""

import numpy as np
import pytest
from PIL import Image

from pyro_lcm.data import image_files
from pyro_lcm.data.image_files import ImageFiles
from tables import each_row

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, size=(20, 16, 24, 3)).astype(np.uint8)


def write(folder, images=COLOURS, mode="RGB", suffix="png", **options):
    files = [folder / f"{i:02d}.{suffix}" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).convert(mode).save(file, **options)
    return files


@pytest.mark.parametrize("workers", [1, 4])
def test_png_comes_back_exactly(tmp_path, workers):
    images = ImageFiles(write(tmp_path), workers=workers)
    assert (images.shape, images.dtype) == ((20, 3, 16, 24), np.uint8)
    np.testing.assert_array_equal(np.asarray(images), COLOURS.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(images[[7, 2]], COLOURS[[7, 2]].transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("RGBA", 3), ("LA", 1), ("P", 3)])
def test_other_modes_are_read_as_what_they_show(tmp_path, mode, channels):
    grey = np.repeat(COLOURS[:3, :, :, :1], 3, axis=3)
    shown = [Image.fromarray(image).convert(mode).convert("RGB") for image in grey]
    expected = np.stack([np.asarray(image) for image in shown]).transpose(0, 3, 1, 2)[:, :channels]
    np.testing.assert_array_equal(np.asarray(ImageFiles(write(tmp_path, grey, mode))), expected)


def test_jpeg_is_what_pillow_decodes(tmp_path):
    files = write(tmp_path, suffix="JPG", format="JPEG", quality=90)
    expected = np.stack([np.asarray(Image.open(file)) for file in files]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(np.asarray(ImageFiles(files)), expected)


def test_only_rows_asked_for_are_decoded(tmp_path, monkeypatch):
    decoded = []
    decode = image_files.decode_image
    monkeypatch.setattr(image_files, "decode_image", lambda file, shape: decoded.append(file) or decode(file, shape))
    files = write(tmp_path)
    chosen = ImageFiles([*files, files[0]]).select(slice(5, None)).select([15, 0])
    assert decoded == []
    assert chosen.files == [str(files[0]), str(files[5])]
    chosen[1]
    assert decoded == [str(files[5])]


def _spoil(kind, file):
    if kind == "missing":
        file.unlink()
    elif kind == "text":
        file.write_text("not an image")
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "gif":
        Image.fromarray(COLOURS[0]).save(file, format="GIF")
    elif kind == "small":
        Image.fromarray(COLOURS[0, :8]).save(file)
    elif kind == "grey":
        Image.fromarray(COLOURS[0, :, :, 0]).save(file)
    elif kind == "deep":
        Image.fromarray(COLOURS[0, :, :, 0].astype(np.uint16)).save(file)
    elif kind == "cmyk":
        Image.fromarray(COLOURS[0]).convert("CMYK").save(file, format="JPEG")


HEADS = {
    "missing": "2 of 20 image files are missing: .*03.png, .*11.png",
    "text": r"2 of 20 image files cannot be read: .*03.png \(no PNG or JPEG\), .*11.png",
    "empty": "2 of 20 image files cannot be read: .*03.png .*11.png",
    "gif": "2 of 20 image files cannot be read: .*03.png .*11.png",
    "deep": "2 of 20 image files cannot be read: .*03.png .*mode I;16, expected 8 bits",
    "cmyk": "2 of 20 image files cannot be read: .*03.png .*mode CMYK",
    "small": "2 of 20 images are not 16 by 24 as most are: .*03.png 8 by 24, .*11.png 8 by 24",
    "grey": "2 of 20 images are grey, most are in colours: .*03.png, .*11.png",
}


@pytest.mark.parametrize("kind", HEADS)
def test_files_that_do_not_belong_are_listed_at_once(tmp_path, kind):
    files = write(tmp_path)
    for place in (3, 11):
        _spoil(kind, files[place])
    with pytest.raises(ValueError, match=HEADS[kind]):
        ImageFiles(files)


def _cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def _see_through(file):
    pixels = np.dstack([COLOURS[0], np.full((16, 24), 254, np.uint8)])
    Image.fromarray(pixels).save(file)


LATER = {
    "cut": (_cut, "03.png: not a sound image file"),
    "gone": (lambda file: file.unlink(), "03.png: no such file"),
    "see-through": (_see_through, "03.png: got pixels that are not opaque"),
    "other size": (lambda file: _spoil("small", file), "03.png: got 8 by 24 pixels, expected 16 by 24"),
}


@pytest.mark.parametrize("kind", LATER)
def test_what_is_wrong_with_pixels_is_named_when_they_are_decoded(tmp_path, kind):
    spoil, message = LATER[kind]
    files = write(tmp_path)
    images = ImageFiles(files)
    spoil(files[3])
    assert images[:3].shape == (3, 3, 16, 24)
    with pytest.raises(ValueError, match=message):
        images[:]


@each_row(("files", "workers", "message"), [([], None, "files: got none"), (["a.png"], 0, "workers: got 0")])
def test_arguments_are_checked(files, workers, message):
    with pytest.raises(ValueError, match=message):
        ImageFiles(files, workers=workers)
