"""Interleaved lists and outcomes as HTML and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from personalize_rt.notebook.markup import page, tag

if TYPE_CHECKING:
    from personalize_rt.experiments.interleaving import Interleaved
    from personalize_rt.experiments.table import InterleavingOutcomes, SplitOutcomes

__all__ = ["interleaved_html", "interleaved_lines", "outcomes_html", "outcomes_lines"]

_MOST_ROWS = 50


def outcomes_html(table: InterleavingOutcomes | SplitOutcomes) -> str:
    """Render the outcomes as HTML: the line, the table and the notes."""
    return _html("Outcomes", table.line, table.to_dicts(), table.notes)


def outcomes_lines(table: InterleavingOutcomes | SplitOutcomes) -> Iterator[Any]:
    """Render the outcomes for a terminal."""
    return _lines("Outcomes", table.line, table.to_dicts(), table.notes)


def interleaved_html(shown: Interleaved) -> str:
    """Render an interleaved list as HTML; at most 50 rows."""
    return _html("Interleaved", *_list(shown))


def interleaved_lines(shown: Interleaved) -> Iterator[Any]:
    """Render an interleaved list for a terminal; at most 50 rows."""
    return _lines("Interleaved", *_list(shown))


def _list(shown: Interleaved) -> tuple[str, list[dict[str, Any]], list[str]]:
    hidden = len(shown) - _MOST_ROWS
    notes = [f"{hidden:,} more not shown; to_dicts() holds all."] if hidden > 0 else []
    facts = f"{len(shown):,} items by {shown.method}" + (", one half from a fallback" if shown.degraded else "")
    return facts, shown.to_dicts()[:_MOST_ROWS], notes


def _html(title: str, line: str, rows: Sequence[dict[str, Any]], notes: Sequence[str]) -> str:
    names = list(rows[0]) if rows else []
    numbers = {name for name in names if not any(isinstance(row[name], str) for row in rows)}

    def look(name: str) -> str | None:
        return "number" if name in numbers else None

    heads = tag("tr", *(tag("th", name.replace("_", " "), scope="col", class_=look(name)) for name in names))
    body = (tag("tr", *(tag("td", _cell(value), class_=look(name)) for name, value in row.items())) for row in rows)
    caption = tag("caption", tag("strong", title), tag("small", line))
    table = tag("table", caption, tag("thead", heads), tag("tbody", *body))
    return page(table, *(tag("p", note, class_="note") for note in notes), label=title)


def _lines(title: str, line: str, rows: Sequence[dict[str, Any]], notes: Sequence[str]) -> Iterator[Any]:
    from rich.text import Text

    from personalize_rt.notebook.terminal import new_table

    table = new_table()
    for name in rows[0] if rows else ():
        text = any(isinstance(row[name], str) for row in rows)
        table.add_column(name.replace("_", " "), justify="left" if text else "right", overflow="fold")
    for row in rows:
        # Not as text, in which rich would find markup.
        table.add_row(*(Text(_printable(_cell(value))) for value in row.values()))
    yield Text.assemble((title, "bold"), f" {_printable(line)}")
    yield table
    for note in notes:
        yield Text(note, "dim")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
