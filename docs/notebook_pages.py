"""Notebooks as pages of the manual: their text, their code, and the outputs that are stored in them."""

import json

from myst_parser.parsers.sphinx_ import MystParser


class NotebookParser(MystParser):
    """Reads an .ipynb as the MyST page that it amounts to; nothing is run, and Jupyter is not needed."""

    supported = ("ipynb",)

    def parse(self, inputstring, document):
        super().parse(as_myst(json.loads(inputstring)), document)


def as_myst(notebook):
    """The page of a notebook, one block for each cell and each output."""
    return "\n\n".join(block for cell in notebook["cells"] for block in _blocks(cell)) + "\n"


def _blocks(cell):
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield f"```text\n{''.join(output['text']).rstrip()}\n```"
            continue
        data = output["data"]
        if "image/png" in data:
            png = "".join(data["image/png"]).replace("\n", "")
            yield f"![what the code above draws](data:image/png;base64,{png})"
        elif "text/html" in data:
            # A blank line would end the table in the eyes of the parser.
            html = "\n".join(line for line in "".join(data["text/html"]).splitlines() if line.strip())
            html = html.replace('border="1" class="dataframe"', 'class="docutils dataframe"')
            yield f'```{{raw}} html\n<div class="table-wrapper">\n{html}\n</div>\n```'
        else:
            yield f"```text\n{''.join(data['text/plain'])}\n```"


def setup(app):
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True}
