"""The files of a run folder: whole or not at all, and damage is named."""

import pytest
import torch
import yaml

from pyro_lcm.run_folder import CONFIG, FORMAT, TENSORS, load_run, read_config, save_run, write_config

SAVED = {"a.b": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "mask": torch.tensor([True, False])}


@pytest.fixture
def folder(tmp_path):
    save_run(tmp_path / "deep" / "run", {"names": ["z1"], "seed": 3, "nothing": None}, SAVED)
    return tmp_path / "deep" / "run"


def test_what_is_saved_is_loaded(folder):
    config, tensors = load_run(folder)
    assert config["names"] == ["z1"]
    assert config["nothing"] is None
    assert config["format"] == FORMAT
    assert set(config["versions"]) >= {"pyro-lcm", "pyro-ppl", "torch", "numpy"}
    assert tensors.keys() == SAVED.keys()
    for name, value in SAVED.items():
        assert torch.equal(tensors[name], value)
        assert tensors[name].dtype == value.dtype


def test_no_temporary_file_stays(folder):
    assert sorted(file.name for file in folder.iterdir()) == [CONFIG, TENSORS]


def test_tensors_that_share_memory_or_are_views_can_be_saved(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    save_run(tmp_path, {}, {"base": base, "same": base, "turned": base.T, "leaf": torch.nn.Parameter(base)})
    _, tensors = load_run(tmp_path)
    assert torch.equal(tensors["turned"], base.T)
    assert torch.equal(tensors["same"], base)


def test_saving_again_replaces(folder):
    save_run(folder, {"names": ["other"]}, {"x": torch.zeros(1)})
    config, tensors = load_run(folder)
    assert config["names"] == ["other"]
    assert list(tensors) == ["x"]


def test_a_failed_write_leaves_the_old_file(folder, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    before = (folder / TENSORS).read_bytes(), (folder / CONFIG).read_bytes()
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_run(folder, {}, {"x": torch.zeros(1)})
    assert ((folder / TENSORS).read_bytes(), (folder / CONFIG).read_bytes()) == before


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such run folder"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"config\.yaml: missing"):
        load_run(tmp_path)


def test_a_run_that_has_not_ended_is_named(tmp_path):
    write_config(tmp_path, {"names": []})
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: missing; the run has not ended"):
        load_run(tmp_path)
    assert read_config(tmp_path)["names"] == []


@pytest.mark.parametrize("damage", [b"", b"\x00" * 7, b"not tensors at all, but long enough"])
def test_damaged_tensors_are_named(folder, damage):
    (folder / TENSORS).write_bytes(damage)
    with pytest.raises(ValueError, match=r"model\.safetensors: not a readable safetensors file"):
        load_run(folder)


def test_cut_off_tensors_are_named(folder):
    whole = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(whole[:-3])
    with pytest.raises(ValueError, match=r"model\.safetensors: not a readable"):
        load_run(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: [1, 2", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"", "no format number"),
        (b"just a line", "no format number"),
        (b"format: many", "no format number"),
        (b"!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_a_damaged_configuration_is_named(folder, text, message):
    (folder / CONFIG).write_bytes(text)
    with pytest.raises(ValueError, match=message) as error:
        load_run(folder)
    assert CONFIG in str(error.value)
    assert "\n" not in str(error.value)


def test_a_newer_format_is_refused(folder):
    (folder / CONFIG).write_text(yaml.safe_dump({"format": FORMAT + 1}))
    with pytest.raises(ValueError, match=f"got format {FORMAT + 1}, this version reads up to {FORMAT}"):
        load_run(folder)
