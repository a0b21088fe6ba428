"""Rendering of results as HTML, for JupyterLab, VS Code and plain pages, in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from personalize_rt.notebook.catalogue import Catalogue, read_catalogue, title_column
from personalize_rt.notebook.compare import Comparison, Move, check_answer
from personalize_rt.notebook.frames import Result
from personalize_rt.notebook.markup import Html, escaped, page, tag
from personalize_rt.notebook.view import (
    MOST_ROWS,
    Row,
    View,
    count,
    measure_names,
    movement,
    score_text,
    view_of,
)
from personalize_rt.results import ActionRecommendations

__all__ = ["Shown", "comparison_html", "html_of", "show"]


def show(result: Result | Comparison, *, items: object = None) -> Shown:
    """Make an answer or a comparison that shows titles.

    A notebook shows it as the value of a cell; on a terminal, use ``rich.print``. The output has titles and metadata
    and is not meant for logs; the ``repr`` has neither.

    Args:
        result: The answer or comparison.
        items: Titles and other columns: a mapping of id to title or to a mapping of columns; a pandas, Polars or Arrow
            frame with a column ``ITEM_ID`` (or ``ACTION_ID``, ``ID``); or an object with an attribute ``items``, like
            ``LocalPersonalize``. By default, a comparison shows the titles that it has.

    Raises:
        ValidationError: ``result`` is not an answer; ``items`` is something else, or a frame without an id column.
        ModuleNotFoundError: ``items`` is a frame, and narwhals is not installed.
    """
    if not isinstance(result, Comparison):
        check_answer(result, "result")
    if isinstance(result, Comparison):
        if items is None:
            return Shown(result, result.catalogue)
        ids: Sequence[str] = [move.item_id for move in result.moves]
    else:
        ids = _ids(result)
    return Shown(result, read_catalogue(items, ids[:MOST_ROWS]))


@attrs.frozen(repr=False)
class Shown:
    """An answer with titles, made by :func:`show`: HTML in a notebook, a table for ``rich.print``."""

    _result: Result | Comparison
    _catalogue: Catalogue

    def _repr_html_(self) -> str:
        if isinstance(self._result, Comparison):
            return comparison_html(self._result, self._catalogue)
        return html_of(self._result, self._catalogue)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from personalize_rt.notebook import terminal

        if isinstance(self._result, Comparison):
            return terminal.comparison_lines(self._result, options, self._catalogue)
        return terminal.result_lines(self._result, options, self._catalogue)

    def __repr__(self) -> str:
        return f"<Shown({type(self._result).__name__}): HTML in a notebook; on a terminal, rich.print(…) shows it>"


# An answer.


def html_of(result: Result, catalogue: Catalogue | None = None) -> str:
    """Render an answer as HTML: at most 50 rows, with a note on the others."""
    view = view_of(result, catalogue or Catalogue())
    title = tag("strong", view.name)
    caption = tag("caption", title, f" of {count(view.total, view.noun)}", tag("small", " · ".join(view.facts)))
    heads = [
        tag("th", "#", scope="col", class_="rank"),
        tag("th", view.noun, scope="col"),
        *(tag("th", name, scope="col") for name in view.columns),
        *([tag("th", "score", scope="col")] if view.has_scores else []),
        *([tag("th", "why", scope="col")] if view.has_marks else []),
    ]
    bodies = [tag("tbody", *(_row(row, view) for row in view.rows))] if view.rows else []
    if view.apart:
        words = f"{count(view.unscored, view.noun)} unknown to the model, in the order of the request"
        apart = tag("tr", tag("th", words, scope="rowgroup", colspan=len(heads)))
        bodies.append(tag("tbody", apart, *(_row(row, view) for row in view.apart), class_="apart"))
    table = tag("table", caption, *([tag("thead", tag("tr", *heads)), *bodies] if view.total else []))
    return page(
        _banner(view),
        table,
        *(tag("p", note, class_="note") for note in view.notes),
        label=f"{view.name} of {count(view.total, view.noun)}",
    )


def _row(row: Row, view: View) -> Html:
    cells = [
        tag("td", str(row.rank), class_="rank"),
        _item(row.id, row.title),
        *(tag("td", _breakable(text), dir="auto") for text in row.texts),
    ]
    if view.has_scores:
        cells.append(_score(row))
    if view.has_marks:
        promoted = None if row.promotion is None else tag("span", f"promoted: {row.promotion}", class_="mark promoted")
        reasons = (tag("span", reason, class_="mark") for reason in row.reasons)
        rules = (tag("span", rule, class_="mark rule") for rule in row.rules)
        cells.append(tag("td", promoted, *reasons, *rules, class_="why"))
    return tag("tr", *cells)


def _item(id: str, title: str) -> Html:
    name = tag("span", title, class_="title", dir="auto") if title else None
    return tag("th", name, tag("code", id, dir="auto"), scope="row")


def _score(row: Row) -> Html:
    if row.score is None:
        return tag("td", "–", class_="score quiet")
    part = tag("span", style=f"width:{row.share:.1%}")
    return tag("td", score_text(row.score), tag("span", part, class_="bar", aria_hidden="true"), class_="score")


def _breakable(text: str) -> Html:
    """Allow line breaks in a text after each ``|`` between categories."""
    return Html("|<wbr/>".join(map(escaped, text.split("|"))))


def _banner(view: View) -> Html | None:
    if view.degraded is None:
        return None
    kind, message = view.degraded
    cause = (" because of ", tag("code", kind), f": {message}") if kind else (".",)
    return tag("p", tag("strong", "Degraded answer. "), "A fallback answered", *cause, class_="degraded", role="note")


def _ids(result: Result) -> Sequence[str]:
    return result.action_ids if isinstance(result, ActionRecommendations) else result.item_ids


# A comparison.


def comparison_html(comparison: Comparison, catalogue: Catalogue | None = None) -> str:
    """Render a comparison as HTML: the measures, and a table of the moves; at most 50 rows."""
    known = comparison.catalogue if catalogue is None else catalogue
    before, after = comparison.labels
    total, shared = len(comparison.moves), len(comparison.shared)
    counts = [
        f"{shared:,} in both",
        f"{len(comparison.entered):,} only {after}",
        f"{len(comparison.left):,} only {before}",
    ]
    title = tag("strong", f"{before} → {after}")
    caption = tag("caption", title, f" of {count(total, 'item')}", tag("small", " · ".join(counts)))
    heads = [
        tag("th", "item", scope="col"),
        tag("th", before, scope="col", class_="number"),
        tag("th", after, scope="col", class_="number"),
        tag("th", "moved", scope="col", class_="number"),
    ]
    shown = comparison.moves[:MOST_ROWS]
    ruled = any(move.rules for move in shown)
    if ruled:
        heads.append(tag("th", "why", scope="col"))
    rows = [_move(move, known, ruled) for move in shown]
    table = tag("table", caption, *([tag("thead", tag("tr", *heads)), tag("tbody", *rows)] if rows else []))
    measures = (
        tag("div", tag("dt", name), tag("dd", "undefined" if value is None else f"{value:.3f}"))
        for name, value in measure_names(comparison)
    )
    hidden = total - len(rows)
    note = tag("p", f"{count(hidden, 'more row')} not shown; to_dicts() holds all.", class_="note") if hidden else None
    return page(tag("dl", *measures), table, note, label=f"Comparison of {count(total, 'item')}")


def _move(move: Move, catalogue: Catalogue, ruled: bool) -> Html:
    title = title_column(catalogue.columns)
    text, look = movement(move)
    return tag(
        "tr",
        _item(move.item_id, "" if title is None else catalogue.text(move.item_id, title)),
        *(
            tag("td", "–" if place is None else str(place + 1), class_="number quiet")
            for place in (move.before, move.after)
        ),
        tag("td", text, class_=f"number {look}"),
        *([tag("td", *(tag("span", rule, class_="mark rule") for rule in move.rules), class_="why")] if ruled else []),
    )
