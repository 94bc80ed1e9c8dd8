"""A figure that a notebook shows when it is the value of a cell."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that shows itself in a notebook, whether or not pyplot has been used there before.

    Notebooks learn to show matplotlib's figures when pyplot draws its first one, and figures made without pyplot are a
    line of text until then.

    >>> ShownFigure(figsize=(1, 1))._repr_png_()[1:4]
    b'PNG'
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi="figure")
        return file.getvalue()
