"""Results on a terminal: what ``rich.print(result)`` shows.

Signatures say ``Any`` for what is rich's (``ConsoleOptions``, renderables): its types are not complete, and those of
this package are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from rich import box
from rich.bar import Bar
from rich.console import ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from personalize_rt.notebook.catalogue import Catalogue
from personalize_rt.notebook.compare import Comparison, Move
from personalize_rt.notebook.frames import Result
from personalize_rt.notebook.view import (
    MOST_ROWS,
    Row,
    View,
    count,
    measure_names,
    movement,
    score_text,
    title_column,
    view_of,
)

__all__ = ["comparison_lines", "new_table", "result_lines"]

_BAR = 12
_LOOKS = {"up": "green", "down": "red", "quiet": "dim"}
_ASCII = str.maketrans({"▲": "+", "▼": "-", "τ": "tau", "ρ": "rho", "·": "|", "–": "-", "→": "->"})


def result_lines(result: Result, options: Any, catalogue: Catalogue | None = None) -> Iterator[Any]:
    """An answer as a table: at most 50 rows, with a note on the others."""
    view = view_of(result, catalogue or Catalogue())
    writer = _Writer(options)
    if view.degraded is not None:
        kind, message = view.degraded
        cause = f" because of {kind}: {message}" if kind else "."
        yield writer.text("Degraded answer. ", "bold yellow") + writer.text(f"A fallback answered{cause}", "yellow")
    yield writer.text(view.name, "bold") + writer.text(f" of {count(view.total, view.noun)}")
    yield writer.text(" · ".join(view.facts), "dim")
    if view.total:
        yield writer.view(view)
    for note in view.notes:
        yield writer.text(note, "dim")


def comparison_lines(comparison: Comparison, options: Any, catalogue: Catalogue | None = None) -> Iterator[Any]:
    """A comparison: the measures, and a table of the moves; at most 50 rows."""
    writer = _Writer(options)
    for name, value in measure_names(comparison):
        yield writer.text(f"{name}: ") + writer.text("undefined" if value is None else f"{value:.3f}", "bold")
    if comparison.moves:
        yield writer.moves(comparison.moves[:MOST_ROWS], comparison.labels, catalogue or Catalogue())
    hidden = len(comparison.moves) - MOST_ROWS
    if hidden > 0:
        yield writer.text(f"{count(hidden, 'more row')} not shown; to_dicts() holds all.", "dim")


def new_table() -> Any:
    """A table as all of ours look."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")


@attrs.frozen
class _Writer:
    """Writes texts, which may be anybody's, in the characters that a terminal has."""

    options: ConsoleOptions

    def text(self, text: str, style: str = "") -> Text:
        """A text: no markup of rich, nothing that would steer a terminal or that it cannot show."""
        if not text.isprintable():
            text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if self.options.ascii_only:
            text = text.translate(_ASCII)
            text = text.encode(self.options.encoding, "backslashreplace").decode(self.options.encoding)
        return Text(text, style=style)

    def view(self, view: View) -> Table:
        titled = any(row.title for row in (*view.rows, *view.apart))
        bars = view.has_scores and not self.options.ascii_only
        table: Table = new_table()
        table.add_column("#", justify="right", style="dim")
        for name in (view.noun, *(["title"] if titled else []), *view.columns):
            table.add_column(self.text(name), overflow="fold")
        if view.has_scores:
            table.add_column("score", justify="right")
        if bars:
            table.add_column("", width=_BAR)
        if view.has_marks:
            table.add_column("why", overflow="fold")

        def add(row: Row, style: str | None = None) -> None:
            cells: list[RenderableType] = [str(row.rank), self.text(row.id)]
            cells += [self.text(row.title, "bold")] if titled else []
            cells += map(self.text, row.texts)
            cells += [score_text(row.score)] if view.has_scores else []
            cells += [Bar(1, 0, row.share, width=_BAR, color="blue")] if bars else []
            cells += [self.marks(row)] if view.has_marks else []
            table.add_row(*cells, style=style)

        for row in view.rows:
            add(row)
        if view.apart:
            table.add_section()
            table.add_row("", self.text(f"{count(view.unscored, view.noun)} unknown to the model:", "dim italic"))
        for row in view.apart:
            add(row, "dim")
        return table

    def marks(self, row: Row) -> Text:
        promoted = [] if row.promotion is None else [self.text(f"promoted: {row.promotion}", "yellow")]
        return Text(", ").join([*promoted, *map(self.text, row.reasons), *map(self.text, row.rules)])

    def moves(self, moves: Sequence[Move], labels: Sequence[str], catalogue: Catalogue) -> Table:
        title = title_column(catalogue.columns)
        table: Table = new_table()
        table.add_column("item", overflow="fold")
        if title is not None:
            table.add_column("title", overflow="fold")
        for label in (*labels, "moved"):
            table.add_column(self.text(label), justify="right")
        ruled = any(move.rules for move in moves)
        if ruled:
            table.add_column("why", overflow="fold")
        for move in moves:
            text, look = movement(move)
            titles = [] if title is None else [self.text(catalogue.text(move.item_id, title))]
            places = ("" if place is None else str(place + 1) for place in (move.before, move.after))
            why = [Text(", ").join(map(self.text, move.rules))] if ruled else []
            table.add_row(self.text(move.item_id), *titles, *places, self.text(text, _LOOKS[look]), *why)
        return table
