"""What results have in common when they are shown: pandas tables, in a notebook with a heading above them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def shown_in_notebook(heading: str, frame: pd.DataFrame, notes: Sequence[str] = (), *, rows: int = 20) -> str:
    """A table with a heading and notes, as HTML.

    Args:
        heading: Above the table.
        frame: The table; of a long one the first rows.
        notes: Lines below it.
        rows: Rows that are shown at most.

    >>> import pandas as pd
    >>> text = shown_in_notebook("A <b>", pd.DataFrame({"n": [1, 2]}), ["one & two"], rows=1)
    >>> "A &lt;b&gt;" in text, "one &amp; two" in text, "1 of 2 rows" in text
    (True, True, True)
    """
    below = [*notes, f"{rows} of {len(frame)} rows"] if len(frame) > rows else list(notes)
    return "\n".join(
        [
            f"<div><strong>{html.escape(heading)}</strong>",
            frame.head(rows).to_html(float_format="{:.3g}".format),
            *(f"<div>{html.escape(line)}</div>" for line in below),
            "</div>",
        ]
    )
