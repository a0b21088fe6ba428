"""Rendering of results on a terminal, for ``rich.print(result)``.

Signatures say ``Any`` for rich's ``ConsoleOptions`` and renderables, since rich's types are not complete.
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

from personalize_rt.notebook.catalogue import Catalogue, title_column
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
    steps,
    view_of,
)

__all__ = ["ResultTable", "comparison_lines", "moved", "new_table", "result_lines"]

_BAR = 12
# Below these widths, an item is in one column, with its title and other columns, if any, below it.
_NARROW, _NARROW_WITH_MORE = 48, 80
_LOOKS = {"up": "green", "down": "red", "quiet": "dim"}
_ASCII = str.maketrans({"▲": "+", "▼": "-", "τ": "tau", "ρ": "rho", "·": "|", "–": "-", "→": "->"})


@attrs.frozen
class ResultTable:
    """An answer that rich can print, whole if need be.

    Attributes:
        result: The answer.
        most: The number of rows to show; ``None`` for all.
        before: The ids in the order before, to show how far each moved.
    """

    result: Result
    most: int | None = MOST_ROWS
    before: Sequence[str] = ()

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield from result_lines(self.result, options, most=self.most, before=self.before)


def result_lines(
    result: Result,
    options: Any,
    catalogue: Catalogue | None = None,
    *,
    most: int | None = MOST_ROWS,
    before: Sequence[str] = (),
) -> Iterator[Any]:
    """Render an answer as a table, with a note on the rows that are not shown; see :class:`ResultTable`."""
    view = view_of(result, catalogue or Catalogue(), most=most, before=before)
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
    """Render a comparison: the measures, and a table of the moves; at most 50 rows."""
    writer = _Writer(options)
    for name, value in measure_names(comparison):
        yield writer.text(f"{name}: ") + writer.text("undefined" if value is None else f"{value:.3f}", "bold")
    if comparison.moves:
        yield writer.moves(comparison.moves[:MOST_ROWS], comparison.labels, catalogue or comparison.catalogue)
    hidden = len(comparison.moves) - MOST_ROWS
    if hidden > 0:
        yield writer.text(f"{count(hidden, 'more row')} not shown; to_dicts() holds all.", "dim")


# Rich's own substitute for SIMPLE_HEAD has a bar after each cell.
_ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def new_table(*, ascii_only: bool = False) -> Any:
    """Make an empty table in the style of this package: its only line is the one below its head."""
    line = _ASCII_HEAD if ascii_only else box.SIMPLE_HEAD
    return Table(box=line, show_edge=False, pad_edge=False, header_style="bold")


def moved(places: int, *, ascii_only: bool = False) -> Text:
    """Render the number of places that an item moved up."""
    text, look = steps(places)
    return Text(text.translate(_ASCII) if ascii_only else text, style=_LOOKS[look])


@attrs.frozen
class _Writer:
    """Writes untrusted texts in the characters of a terminal."""

    options: ConsoleOptions

    def text(self, text: str, style: str = "") -> Text:
        """Make a text without rich's markup, control characters and characters that the terminal cannot show."""
        if not text.isprintable():
            text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if self.options.ascii_only:
            text = text.translate(_ASCII)
            text = text.encode(self.options.encoding, "backslashreplace").decode(self.options.encoding)
        return Text(text, style=style)

    def view(self, view: View) -> Table:
        titled = any(row.title for row in (*view.rows, *view.apart))
        narrow = self.options.max_width < (_NARROW_WITH_MORE if titled or view.columns else _NARROW)
        bars = view.has_scores and not self.options.ascii_only and not narrow
        table: Table = new_table(ascii_only=self.options.ascii_only)
        table.add_column("#", justify="right", style="dim", no_wrap=True)
        if view.has_moves:
            table.add_column("moved", justify="right", no_wrap=True)
        beside = () if narrow else (*(["title"] if titled else []), *view.columns)
        for name in (view.noun, *beside):
            table.add_column(self.text(name), overflow="fold")
        if view.has_scores:
            table.add_column("score", justify="right", no_wrap=narrow)
        if bars:
            table.add_column("", width=_BAR)
        if view.has_marks and not narrow:
            table.add_column("why", overflow="fold")

        def add(row: Row, style: str | None = None) -> None:
            cells: list[RenderableType] = [str(row.rank)]
            if view.has_moves:
                cells.append("" if row.moved is None else moved(row.moved, ascii_only=self.options.ascii_only))
            if narrow:
                cells.append(self.stacked(row, marked=view.has_marks))
            else:
                cells.append(self.text(row.id))
                cells += [self.text(row.title, "bold")] if titled else []
                cells += map(self.text, row.texts)
            cells += [score_text(row.score)] if view.has_scores else []
            cells += [Bar(1, 0, row.share, width=_BAR, color="blue")] if bars else []
            cells += [self.marks(row)] if view.has_marks and not narrow else []
            table.add_row(*cells, style=style)

        for row in view.rows:
            add(row)
        if view.apart:
            table.add_section()
            indent = [""] * (2 if view.has_moves else 1)
            table.add_row(*indent, self.text(f"{count(view.unscored, view.noun)} unknown to the model:", "dim italic"))
        for row in view.apart:
            add(row, "dim")
        return table

    def stacked(self, row: Row, *, marked: bool) -> Text:
        """The cells of a row below each other, for a narrow terminal."""
        lines = [self.text(row.id), self.text(row.title, "bold"), *(self.text(text, "dim") for text in row.texts)]
        return Text("\n").join(line for line in (*lines, *([self.marks(row)] if marked else [])) if line)

    def marks(self, row: Row) -> Text:
        promoted = [] if row.promotion is None else [self.text(f"promoted: {row.promotion}", "yellow")]
        return Text(", ").join([*promoted, *map(self.text, row.reasons), *map(self.text, row.rules)])

    def moves(self, moves: Sequence[Move], labels: Sequence[str], catalogue: Catalogue) -> Table:
        title = title_column(catalogue.columns)
        table: Table = new_table(ascii_only=self.options.ascii_only)
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
