"""From simulated images to pictures under an intervention, by commands alone."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pyro_lcm import InterventionPairs, LatentCausalModel

TINY = ["--budget.fit", "10", "--budget.refine", "5", "--budget.solutions", "5", "--budget.code", "80"]
TRAIN = ["train", "set/train", "--dim-z", "4", "--device", "cpu", "--threads", "1", *TINY]
SETS = ["--n", "600", "--n-val", "0", "--n-test", "60", "--size", "16", "--processes", "1", "--seed", "0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the set ``set``, the run ``run`` and images ``photographs``."""
    from pyro_lcm.cli import main

    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["simulate", "shapes", "--scene", "discs", "--out", "set", *SETS]) == 0
        assert main([*TRAIN, "--out", "run", "--mmap"]) == 0
    (folder / "photographs").mkdir()
    for i, image in enumerate(InterventionPairs.load(folder / "set" / "test").x[:3]):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / "photographs" / f"seen-{i}.png")
    return folder


@pytest.fixture(autouse=True)
def _there(place, monkeypatch):
    monkeypatch.chdir(place)


def test_each_command_reads_images(cli, place):
    assert cli("encode", "run", "--data", "set/test", "--mmap", "--out", "codes.npz")[0] == 0
    test = InterventionPairs.load("set/test")
    with np.load("codes.npz") as codes:
        expected = LatentCausalModel.load("run").encode(test.x).causal
        np.testing.assert_allclose(codes["causal"], expected, atol=1e-5)
    code, out, _ = cli("check", "run", "--data", "set/test", "--threads", "1")
    assert code == 0
    assert "of the variance of all pixels" in out
    assert "of the pairs without a target" in out
    assert cli("evaluate", "run", "--data", "set/test", "--threads", "1")[0] == 0
    assert (place / "run" / "metrics.json").is_file()
    assert cli("graph", "run", "--data", "set/test", "--draws", "4", "--threads", "1")[0] == 0
    assert (place / "run" / "edges.csv").is_file()


def test_a_run_goes_on_end_to_end(cli, place):
    options = ["--device", "cpu", "--threads", "1", "--budget.refine", "40", "--budget.batch-size", "32"]
    command = ["train", "set/train", "--start", "run", "--end-to-end", "--out", "on", *options]
    assert cli(*command)[0] == 0
    old, new = (LatentCausalModel.load(name).fitted.standardizer.code for name in ("run", "on"))
    assert not (old.encoder[0].weight == new.encoder[0].weight).all()
    assert "end to end" in (place / "on" / "metrics.csv").read_text()


def test_do_paints_what_it_was_given(cli, place):
    lcm = LatentCausalModel.load("run")
    do = ["do", "run", "--set", "z2=1", "--draws", "2", "--threads", "1"]
    assert cli(*do, "--data", "photographs", "--out", "changed")[0] == 0
    assert sorted(file.name for file in (place / "changed").iterdir()) == ["seen-0.png", "seen-1.png", "seen-2.png"]
    assert cli(*do, "--data", "photographs/seen-1.png", "--out", "one.png")[0] == 0
    expected = lcm.intervene({"z2": 1.0}, x=InterventionPairs.load("set/test").x[:3]).x
    for file, image in (("changed/seen-0.png", expected[0]), ("one.png", expected[1])):
        painted = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(painted, image, atol=0.5 / 255 + 1e-4)
    effects = pd.read_csv(place / "one_effects.csv")
    assert effects["change_in_sd"].isna().all()  # one image has no spread
    assert effects["change"].notna().all()
    assert cli(*do, "--data", "set/test", "--out", "all.npz")[0] == 0
    with np.load("all.npz") as arrays:
        np.testing.assert_allclose(arrays["x"][:3], expected, atol=1e-4)
        assert arrays["x_before"].max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["do", "run", "--set", "z1=0", "--data", "photographs", "--out", "a.png"], "got 'a.png' for 3 images"),
        (["do", "run", "--set", "z1=0", "--data", "photographs", "--out", "a.txt"], "ends in .npz"),
        (["train", "set/train", "--out", "other"], "dim_z: got none for images"),
        (["train", "set/train", "--out", "other", "--dim-z", "auto"], "dim_z: got auto for images"),
        (["train", "set/train", "--out", "run", "--dim-z", "4"], "holds a run"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(cli, place, arguments, message):
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert not (place / "other").exists()


def test_several_fits_share_a_code(cli, place):
    assert cli(*TRAIN, "--out", "fits", "--fits", "2")[0] == 0
    assert (place / "fits" / "code" / "model.safetensors").is_file()
    assert not (place / "fits" / "fit-1" / "code").exists()
    first, second = (LatentCausalModel.load(place / "fits" / f"fit-{k}").fitted.standardizer for k in (1, 2))
    x = InterventionPairs.load("set/test").x
    np.testing.assert_array_equal(first.transform(x), second.transform(x))
