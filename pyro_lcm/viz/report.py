"""A report as one HTML file that needs nothing else: text, tables, and figures inside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyro_lcm.storage.text_files import DRAWN_BY

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #e6e6e6 }
table { border-collapse: collapse } th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; vertical-align: top }
th { color: #666; font-weight: 500 } td { font-variant-numeric: tabular-nums }
pre { background: #f6f6f6; padding: .8rem; white-space: pre-wrap; font-size: 13px }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto } figcaption { color: #666; font-size: 13px }
"""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        heading: Its heading.
        table: A header and rows, or nothing.
        text: Lines as they are, or nothing.
        figures: PNG files with their captions.
    """

    heading: str
    table: Sequence[Sequence[str]] = ()
    text: str = ""
    figures: Sequence[tuple[Path, str]] = ()


def report_html(title: str, sections: Sequence[Section]) -> str:
    """Lay out a report.

    Args:
        title: Its title.
        sections: Its parts, in order.

    Returns:
        The HTML.

    >>> "<td>0.99</td>" in report_html("run", [Section("Scores", [("score", "value"), ("mcc", "0.99")])])
    True
    """
    body = "\n".join(_section(section) for section in sections)
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="generator" content="{DRAWN_BY}"><title>{name}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{name}</h1>\n{body}\n</body></html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.heading)}</h2>"]
    if section.table:
        header, *rows = section.table
        parts.append("<table>" + _row(header, "th") + "".join(_row(row, "td") for row in rows) + "</table>")
    if section.text:
        parts.append(f"<pre>{html.escape(section.text)}</pre>")
    for path, caption in section.figures:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        text = html.escape(caption)
        parts.append(
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
        )
    return "\n".join(parts)


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
