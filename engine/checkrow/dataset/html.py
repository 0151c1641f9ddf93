"""Static HTML for notebooks: tables without script, readable in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from checkrow.expressions.types import Schema

_STYLE = "border-collapse:collapse;font-family:monospace;font-size:90%"
_CELL = "padding:2px 10px;text-align:left;border-bottom:1px solid #8884"


def table_html(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a titled table; every text is escaped."""
    head = "".join(f'<th style="{_CELL}">{escape(h)}</th>' for h in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(str(c))}</td>' for c in row) + "</tr>" for row in rows
    )
    return f'<div><b>{escape(title)}</b><table style="{_STYLE}"><tr>{head}</tr>{body}</table></div>'


def dataset_html(schema: Schema) -> str:
    """Returns a dataset's columns as a table."""
    return table_html("Dataset", ("column", "type"), ((f.name, f.dtype) for f in schema))
