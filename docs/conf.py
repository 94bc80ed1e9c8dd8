"""The manual: MyST pages, and an API reference made from the docstrings."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for notebook_pages

project = "pyro_lcm"
author = "The pyro_lcm authors"
release = metadata.version("pyro-lcm")

extensions = [
    "myst_parser",
    "notebook_pages",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_title = f"pyro_lcm {release}"

autosummary_generate = True
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Docstrings are written to be read in a terminal; what is not quite reStructuredText in them is no error.
# Two classes of one short name in two packages make a link in a signature ambiguous, which is none either.
suppress_warnings = ["docutils", "ref.python"]


def _equations_as_literals(app, what, name, obj, options, lines):
    """Turn paragraphs that are indented for the eye, equations mostly, into literal blocks."""
    result = []
    last_indent, blank, literal = 0, True, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip():
            if literal and indent <= last_indent:
                literal = False
            if not literal and blank and result and indent > last_indent and _may_be_followed(result):
                literal = True
                result += [" " * last_indent + "::", ""]
            if not literal:
                last_indent = indent
            blank = False
        else:
            blank = True
        result.append(line)
    lines[:] = result


def _may_be_followed(lines):
    before = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return bool(before) and not before.endswith("::") and not before.startswith((".. ", ":", "- ", "* ", ">>>"))


def setup(app):
    app.connect("autodoc-process-docstring", _equations_as_literals, priority=100)
