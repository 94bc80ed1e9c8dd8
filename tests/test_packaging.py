"""The wheel holds every module under the name it is imported by; version and types are told."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {
    "pyro_lcm": ROOT / "pyro_lcm",
    "pyro_lcm/models": ROOT / "models",
    "pyro_lcm/guides": ROOT / "guides",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: a build folder of old would put stale files into it."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for path in SOURCES.values():
        shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", "dist", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def _module_files():
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for prefix, folder in SOURCES.items()
        for path in folder.rglob("*.py")
    }


def test_the_wheel_holds_every_module_and_nothing_else(wheel):
    inside = {name for name in wheel.namelist() if name.endswith(".py")}
    assert inside == _module_files()


def test_the_wheel_holds_the_type_marker_the_license_and_the_command(wheel):
    names = wheel.namelist()
    assert "pyro_lcm/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    assert "pyro-lcm = pyro_lcm.cli:main" in wheel.read(entry_points).decode()


def test_pyproject_lists_every_package_folder():
    folders = {Path(name).parent.as_posix().replace("/", ".") for name in _module_files()}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(folders)


def test_importing_uses_the_installed_names_and_leaves_what_is_heavy_alone():
    code = (
        "import sys, pyro_lcm, pyro_lcm.models.ilcm, pyro_lcm.guides.ilcm, pyro_lcm.cli\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "pyro_lcm" in imported
    assert not imported & {"models", "guides", "tests"}
    assert not imported & {"arviz", "matplotlib", "sklearn", "pytest", "lightning_fabric"}


def test_the_version_is_told_once():
    import pyro_lcm

    assert metadata.version("pyro-lcm") == PROJECT["project"]["version"]
    assert getattr(pyro_lcm, "__version__", PROJECT["project"]["version"]) == PROJECT["project"]["version"]


@pytest.mark.parametrize("folder", ["models", "guides"])
def test_a_model_or_guide_is_one_page_of_maths(folder):
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).glob("*.py")}
    assert lines
    assert {name: count for name, count in lines.items() if count >= 150} == {}
