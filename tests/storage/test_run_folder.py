"""The files of a run folder: whole or not at all, and damage is named."""

import shutil

import pytest
import torch

from pyro_lcm.storage.run_folder import CONFIG, FORMAT, TENSORS, load_run, read_config, save_run, versions, write_config

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


def test_versions_are_those_of_the_installed_distributions(folder):
    recorded = read_config(folder)["versions"]
    assert recorded == versions()
    # A wheel may add its build to the version that the module tells: 2.13.0 and 2.13.0+cu130 are one version.
    assert recorded["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


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


def test_the_configuration_of_a_run_that_has_not_ended_is_read(tmp_path):
    write_config(tmp_path, {"names": []})
    assert read_config(tmp_path)["names"] == []


def _cut_off(folder):
    (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-3])


def _write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (shutil.rmtree, FileNotFoundError, "run: no such run folder"),
        (lambda folder: (folder / CONFIG).unlink(), FileNotFoundError, r"config\.yaml: missing"),
        (
            lambda folder: (folder / TENSORS).unlink(),
            FileNotFoundError,
            r"model\.safetensors: missing; the run has not ended",
        ),
        (_cut_off, ValueError, r"model\.safetensors: not a readable"),
        *(
            (_write(TENSORS, content), ValueError, r"model\.safetensors: not a readable safetensors file")
            for content in (b"", b"\x00" * 7, b"not tensors at all, but long enough")
        ),
        *(
            (_write(CONFIG, content), ValueError, rf"config\.yaml: .*{message}")
            for content, message in (
                (b"a: [1, 2", "not valid YAML"),
                (b"\xff\xfe\x00", "not valid YAML"),
                (b"", "got NoneType, expected plain values"),
                (b"just a line", "got str, expected plain values"),
                (b"format: many", "no format number"),
                (b"!!python/object/apply:os.getcwd []", "not valid YAML"),
                (b"format: %d" % (FORMAT + 1), f"got format {FORMAT + 1}, this version reads up to {FORMAT}"),
            )
        ),
    ],
)
def test_what_is_missing_or_damaged_is_named_in_one_line(folder, damage, error, message):
    damage(folder)
    with pytest.raises(error, match=message) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
