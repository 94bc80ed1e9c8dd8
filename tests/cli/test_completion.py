"""Tab completion: a script for each shell that knows commands, options, choices and files."""

import shutil
import subprocess
import sys

import pytest

from pyro_lcm.commands import COMMANDS

shtab = pytest.importorskip("shtab")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_script_names_commands_options_and_choices(cli, shell):
    code, script, _ = cli("completion", shell)
    assert code == 0
    assert all(name in script for name in COMMANDS)
    assert "dim-z" in script
    assert "soft_ilcm" in script


def test_bash_takes_it(cli, tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("bash is not there")
    (tmp_path / "complete.sh").write_text(cli("completion", "bash")[1])
    ask = "COMP_WORDS=(pyro-lcm tra); COMP_CWORD=1; _shtab_pyro_lcm; echo ${COMPREPLY[@]}"
    told = subprocess.run(["bash", "-c", f"source {tmp_path / 'complete.sh'}; {ask}"], capture_output=True, text=True)
    assert "train" in told.stdout.split(), told.stderr


def test_without_its_package_it_says_what_to_install(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, _, err = cli("completion", "bash")
    assert code == 1
    assert "pip install shtab" in err
