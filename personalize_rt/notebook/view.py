"""The content of the tables of answers, shared by HTML and terminals."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from personalize_rt.notebook.catalogue import Catalogue, title_column
from personalize_rt.notebook.compare import Comparison, Move
from personalize_rt.notebook.frames import Result, metadata_names
from personalize_rt.results import ActionRecommendations, PredictedItem, Ranking

__all__ = [
    "MOST_ROWS",
    "Row",
    "View",
    "count",
    "measure_names",
    "movement",
    "score_text",
    "steps",
    "view_of",
]

MOST_ROWS = 50


@attrs.frozen(repr=False)
class Row:
    """One item or action.

    Attributes:
        rank: Its place, from 1.
        id: Its id.
        title: Its title; empty if unknown.
        texts: The other columns.
        score: Its score, or ``None``.
        share: The score divided by the highest one, from 0 to 1; a propensity is not divided.
        promotion: The promotion that put it here, or ``None``.
        reasons: The service's reasons for it.
        rules: The rules of the caller that moved it here, in words.
        moved: The number of places that it moved up; ``None`` when not known.
    """

    rank: int
    id: str
    title: str
    texts: tuple[str, ...]
    score: float | None
    share: float
    promotion: str | None
    reasons: tuple[str, ...]
    rules: tuple[str, ...]
    moved: int | None


@attrs.frozen(repr=False)
class View:
    """An answer, ready to be shown.

    Attributes:
        name: The name of its class: ``"Ranking"``, …
        noun: The name of a row: ``"item"`` or ``"action"``.
        facts: Facts on the call, in a few words each.
        degraded: The class and message of the error for which a fallback answered, or ``None``.
        columns: The names of the columns of ``texts``.
        has_scores: Whether any row has a score.
        has_marks: Whether any row has a promotion or a reason, or was moved by a rule.
        has_moves: True when the order before is known.
        rows: The rows to show, without those of ``apart``.
        apart: The rows at the end that the model does not know.
        total: The number of rows of the answer.
        unscored: The number of rows that the model does not know.
        missing: The items that a filter took out.
    """

    name: str
    noun: str
    facts: tuple[str, ...]
    degraded: tuple[str, str] | None
    columns: tuple[str, ...]
    has_scores: bool
    has_marks: bool
    has_moves: bool
    rows: tuple[Row, ...]
    apart: tuple[Row, ...]
    total: int
    unscored: int
    missing: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes below the table, a sentence each: on an empty answer, hidden rows, and missing items."""
        notes: list[str] = []
        hidden = self.total - len(self.rows) - len(self.apart)
        if not self.total:
            notes.append(f"The answer holds no {self.noun}.")
        if hidden:
            notes.append(f"{count(hidden, 'more row')} not shown; to_pandas() and to_polars() hold all of them.")
        if self.missing:
            notes.append(f"{count(len(self.missing), self.noun)} of the request left out: {_names(self.missing)}")
        return tuple(notes)


def view_of(result: Result, catalogue: Catalogue, *, most: int | None = MOST_ROWS, before: Sequence[str] = ()) -> View:
    """Make the view of an answer.

    Titles come from a column called title or name. If both the answer and the catalogue have a column, the answer's
    value is shown.

    Args:
        result: The answer.
        catalogue: More columns.
        most: The number of rows to show; ``None`` for all.
        before: The ids in the order before, to show how far each moved.
    """
    known = _end_of_scored(result)
    metadata = [] if isinstance(result, ActionRecommendations) else metadata_names(result)
    lower = {name.lower() for name in metadata}
    columns = [*metadata, *(name for name in catalogue.columns if name.lower() not in lower)]
    title = title_column(columns)
    others = [name for name in columns if name != title]
    highest = max((score for score in result.scores if score is not None), default=0.0)
    if isinstance(result, ActionRecommendations):
        highest = max(highest, 1.0)  # propensities are probabilities, so they are not divided
    rows: list[Row] = []
    places = {id: place for place, id in reversed(list(enumerate(before)))}
    for place in range(len(result) if most is None else min(len(result), most)):
        row = result[place]
        item = row if isinstance(row, PredictedItem) else PredictedItem(row.action_id, row.score)
        texts = {name: _cell(item, name, catalogue) for name in columns}
        rows.append(
            Row(
                rank=place + 1,
                id=item.item_id,
                title="" if title is None else texts[title],
                texts=tuple(texts[name] for name in others),
                score=item.score,
                share=max(0.0, item.score / highest) if item.score is not None and highest > 0 else 0.0,
                promotion=item.promotion_name,
                reasons=item.reason,
                rules=row.rules,
                moved=places[item.item_id] - place if item.item_id in places else None,
            )
        )
    return View(
        name=type(result).__name__,
        noun="action" if isinstance(result, ActionRecommendations) else "item",
        facts=_facts(result),
        degraded=_degraded(result),
        columns=tuple(others),
        has_scores=any(score is not None for score in result.scores),
        has_marks=any(row.promotion is not None or row.reasons or row.rules for row in rows),
        has_moves=bool(places),
        rows=tuple(rows[:known]),
        apart=tuple(rows[known:]),
        total=len(result),
        unscored=len(result) - known,
        missing=result.missing if isinstance(result, Ranking) else (),
    )


def _end_of_scored(result: Result) -> int:
    """The place of the first item that a ranking model does not know, or the length of the answer."""
    scored = [place for place, score in enumerate(result.scores) if score is not None]
    # An answer without any score is from a recipe or fallback that gives none.
    return scored[-1] + 1 if scored and isinstance(result, Ranking) else len(result)


def _cell(item: PredictedItem, column: str, catalogue: Catalogue) -> str:
    text = item.metadata.get(column)
    if text is not None:
        return text
    name = next((name for name in catalogue.columns if name.lower() == column.lower()), None)
    return "" if name is None else catalogue.text(item.item_id, name)


def _facts(result: Result) -> tuple[str, ...]:
    info = result.info
    facts = [f"from the {info.source}" if info.source != "local" else "computed locally"]
    if info.attempts:
        facts.append(count(info.attempts, "attempt"))
    if info.elapsed:
        facts.append(f"{info.elapsed * 1000:,.0f} ms" if info.elapsed >= 0.001 else "under 1 ms")
    if result.recommendation_id is not None:
        facts.append(f"recommendation id {result.recommendation_id}")
    if info.request_id is not None:
        facts.append(f"request id {info.request_id}")
    return tuple(facts)


def _degraded(result: Result) -> tuple[str, str] | None:
    if not result.degraded:
        return None
    return ("", "") if result.cause is None else (type(result.cause).__name__, str(result.cause))


def count(number: int, noun: str) -> str:
    """``"1 item"``, ``"2 items"``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def score_text(score: float | None) -> str:
    """A score with the service's 7 decimals; empty for ``None``."""
    return "" if score is None else f"{score:.7f}"


def _names(ids: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most:,} more"


# Comparisons.


def measure_names(comparison: Comparison) -> list[tuple[str, float | None]]:
    """The measures with their names for people."""
    return [
        ("Kendall τ-b", comparison.kendall_tau),
        ("Spearman ρ", comparison.spearman),
        (f"rank-biased overlap (p {comparison.p:g})", comparison.rank_biased_overlap),
        (f"top-{comparison.k} overlap", comparison.top_k_overlap),
    ]


def movement(move: Move) -> tuple[str, str]:
    """The text for a move, and its style: ``"up"``, ``"down"`` or ``"quiet"``."""
    if move.before is None:
        return "new", "up"
    if move.after is None:
        return "left out", "down"
    return steps(move.before - move.after)


def steps(places: int) -> tuple[str, str]:
    """By how many places an item is higher now, in signs, and how that looks."""
    if places == 0:
        return "=", "quiet"
    return (f"▲ {places:,}", "up") if places > 0 else (f"▼ {-places:,}", "down")
