"""The gallery lists every plotting function, and shows pictures that are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")


def plotting_functions():
    """Public functions of pyro_lcm.viz that return a Figure, or figures by name."""
    for file in sorted((ROOT / "pyro_lcm" / "viz").glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if public and node.returns is not None and "Figure" in ast.unparse(node.returns):
                yield node.name


def test_every_plotting_function_is_listed():
    names = set(plotting_functions()) - {"new_figure"}
    assert len(names) > 12
    assert {name for name in names if f"{name}`" not in PAGE} == set()


def test_pictures_are_there():
    pictures = re.findall(r"\]\((images/[^)]+)\)", PAGE)
    assert len(pictures) >= 8
    assert [name for name in pictures if not (ROOT / "docs" / name).is_file()] == []
