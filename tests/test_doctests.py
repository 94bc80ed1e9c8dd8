"""The examples in docstrings, in the README and in the documentation run, and print what they say."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pyro_lcm", "pyro_lcm.models", "pyro_lcm.guides")
FENCE = re.compile(r"^```(?P<kind>python|pycon)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules():
    """Names of all modules; the models and guides are mapped folders, which a walk from pyro_lcm does not see."""
    names = set(PACKAGES)
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names.update(module.name for module in pkgutil.walk_packages(path, f"{package}."))
    return sorted(name for name in names if not name.endswith("__main__"))


def with_examples():
    """Those with an example, found in the text so that nothing is imported to collect the tests."""
    return [name for name in modules() if ">>> " in Path(importlib.util.find_spec(name).origin).read_text()]


def pages():
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path for path in found if FENCE.search(path.read_text(encoding="utf-8"))]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Examples may write files and draw figures."""
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")


@pytest.mark.parametrize("name", with_examples())
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples failed; see the output above"


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_pages(path):
    """The blocks of one page share their names, as a reader would run them; one without a prompt just runs."""
    text = path.read_text(encoding="utf-8")
    names = {"__name__": path.stem}
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for match in FENCE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        code = match["code"]
        if ">>> " in code:
            test = doctest.DocTestParser().get_doctest(code, names, path.name, str(path), line)
            runner.run(test, clear_globs=False)
            names = test.globs
        else:
            exec(compile("\n" * line + code, str(path), "exec"), names)
    assert runner.summarize(verbose=False).failed == 0


def test_the_walk_finds_what_is_mapped():
    assert {"pyro_lcm.models.ilcm", "pyro_lcm.guides.ilcm", "pyro_lcm.causal.dag"} <= set(modules())
    assert {"pyro_lcm.causal.dag", "pyro_lcm.registry"} <= set(with_examples())
