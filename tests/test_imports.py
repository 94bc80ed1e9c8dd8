"""Imports go one way: a room may use those before it in this list, none after it, and no two modules each other."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pyro_lcm
import pyro_lcm.guides
import pyro_lcm.models

ROOMS = (
    "process",
    "storage",
    "frames",
    "nn",
    "causal",
    "models",
    "guides",
    "data",
    "discovery",
    "identify",
    "training",
    "recipes",
    "architecture",
    "build",
    "registry",
    "images",
    "fitting",
    "transfer",
    "evaluation",
    "reasoning",
    "assessment",
    "lcm",
    "dim_choice",
    "viz",
    "testing",
    "studies",
    "commands",
    "cli",
    "__main__",
)
GENERIC = {
    "training": {"nn", "causal", "storage", "process"},
    "identify": {"causal", "discovery"},
}
"""Rooms that use less than their place allows: the driver knows no model, estimators know no module."""


def _modules():
    """Each module's dotted name, and its syntax tree."""
    for package in (pyro_lcm, pyro_lcm.models, pyro_lcm.guides):
        root = Path(package.__path__[0])
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            if package is pyro_lcm and parts[0] in ("models", "guides"):
                continue
            yield ".".join([package.__name__, *parts]), ast.parse(file.read_text())


def _imported(tree, known):
    """Modules of the package that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyro_lcm"):
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("pyro_lcm."))


def _room(module):
    return module.split(".")[1]


def test_imports_go_one_way():
    modules = dict(_modules())
    assert len(modules) > 150
    wrong = []
    for module, tree in modules.items():
        room = _room(module)
        if room == "__init__":  # it hands out the names of all rooms, when they are asked for
            continue
        assert room in ROOMS, f"{module}: give {room!r} a place among the rooms"
        for other in _imported(tree, modules):
            used = _room(other) if "." in other else None
            if used is None or used == room:
                continue
            late = ROOMS.index(used) > ROOMS.index(room)
            if late or used not in GENERIC.get(room, {used}):
                wrong.append(f"{module} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other():
    """Not in a circle of any length either, nor from within functions."""
    modules = dict(_modules())
    uses = {}
    for module, tree in modules.items():
        if module == "pyro_lcm.__init__":
            continue
        others = {f"{other}.__init__" if other not in modules else other for other in _imported(tree, modules)}
        uses[module] = others & set(modules) - {"pyro_lcm.__init__", module}
    tuple(TopologicalSorter(uses).static_order())  # raises CycleError, which names them


def test_every_room_says_what_belongs_there():
    for package in (pyro_lcm, pyro_lcm.models, pyro_lcm.guides):
        for init in Path(package.__path__[0]).rglob("__init__.py"):
            assert ast.get_docstring(ast.parse(init.read_text())), init
