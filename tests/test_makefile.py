"""What `make` would do, by a dry run: nothing is installed or built."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INDEX = "https://example.org/whl/cpu"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")


def dry_run(*arguments):
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def test_setup_takes_torch_from_the_index_that_is_given(tmp_path):
    fresh = f"VENV={tmp_path / 'venv'}"
    lines = [line for line in dry_run("setup", fresh, f"TORCH_INDEX={INDEX}").splitlines() if "pip install" in line]
    assert len(lines) == 2
    assert all(f"--extra-index-url {INDEX}" in line for line in lines)
    assert "--extra-index-url" not in dry_run("setup", fresh, "TORCH_INDEX=")


def test_setup_says_what_it_takes_and_is_not_silent(tmp_path):
    said = dry_run("setup", f"VENV={tmp_path / 'venv'}")
    assert "GB" in said
    assert "TORCH_INDEX" in said
    assert "--quiet" not in said


def test_docs_say_what_they_do_and_trust_nothing_of_an_earlier_build():
    said = dry_run("docs")
    assert "Building the manual" in said
    assert "docs/_build/html/index.html" in said
    assert said.index("rm -rf docs/api docs/_build") < said.index("sphinx-build")


def test_a_target_is_one_line_of_help():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert {line.split()[0] for line in said.splitlines()} >= {"setup", "demo", "test", "docs", "lint", "types"}
