"""What is to be seen of an answer, before it becomes HTML or a terminal's table."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from personalize_rt.notebook.catalogue import Catalogue
from personalize_rt.notebook.compare import Comparison, Move
from personalize_rt.notebook.frames import Result, metadata_names
from personalize_rt.results import ActionRecommendations, PredictedItem, Ranking

__all__ = ["MOST_ROWS", "Row", "View", "count", "measure_names", "movement", "score_text", "title_column", "view_of"]

MOST_ROWS = 50

_TITLES = frozenset({"name", "title"})


@attrs.frozen(repr=False)
class Row:
    """One item or action.

    Attributes:
        rank: Its place, from 1.
        id: Its id.
        title: Its title, where one is known.
        texts: The other columns.
        score: Its score, or ``None``.
        share: The score as a part of the highest one, from 0 to 1; a propensity as it is.
        promotion: The promotion that put it here, or ``None``.
        reasons: Why it is here.
        rules: Why a rule of the caller moved it here.
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


@attrs.frozen(repr=False)
class View:
    """An answer, ready to be shown.

    Attributes:
        name: What it is: ``"Ranking"``, …
        noun: What a row is: ``"item"`` or ``"action"``.
        facts: How the answer came about, in a few words each.
        degraded: Why a fallback answered: the kind of error and its message; ``None`` when none did.
        columns: The names of the columns of ``texts``.
        has_scores: Whether any row has a score.
        has_marks: Whether any row has a promotion, a reason, or was moved by a rule.
        rows: The rows to show, those of ``apart`` left out.
        apart: The rows at the end that the model does not know.
        total: How many rows the answer has.
        unscored: How many of them the model does not know.
        missing: What a filter took out.
    """

    name: str
    noun: str
    facts: tuple[str, ...]
    degraded: tuple[str, str] | None
    columns: tuple[str, ...]
    has_scores: bool
    has_marks: bool
    rows: tuple[Row, ...]
    apart: tuple[Row, ...]
    total: int
    unscored: int
    missing: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not in the table, in a sentence each."""
        notes: list[str] = []
        hidden = self.total - len(self.rows) - len(self.apart)
        if not self.total:
            notes.append(f"The answer holds no {self.noun}.")
        if hidden:
            notes.append(f"{count(hidden, 'more row')} not shown; to_pandas() and to_polars() hold all of them.")
        if self.missing:
            notes.append(f"{count(len(self.missing), self.noun)} of the request left out: {_names(self.missing)}")
        return tuple(notes)


def view_of(result: Result, catalogue: Catalogue) -> View:
    """Choose what to show of an answer, and in which words.

    A title comes from a column called title or name; of a column that both the answer and the catalogue have, the
    answer's value counts.
    """
    known = _end_of_scored(result)
    metadata = [] if isinstance(result, ActionRecommendations) else metadata_names(result)
    lower = {name.lower() for name in metadata}
    columns = [*metadata, *(name for name in catalogue.columns if name.lower() not in lower)]
    title = title_column(columns)
    others = [name for name in columns if name != title]
    highest = max((score for score in result.scores if score is not None), default=0.0)
    if isinstance(result, ActionRecommendations):
        highest = max(highest, 1.0)  # a propensity is a part of 1, whatever the other actions have
    rows: list[Row] = []
    for place in range(min(len(result), MOST_ROWS)):
        row = result[place]
        item = row if isinstance(row, PredictedItem) else PredictedItem(row.action_id, row.score)
        texts = {name: _text(item, name, catalogue) for name in columns}
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
        rows=tuple(rows[:known]),
        apart=tuple(rows[known:]),
        total=len(result),
        unscored=len(result) - known,
        missing=result.missing if isinstance(result, Ranking) else (),
    )


def title_column(columns: Sequence[str]) -> str | None:
    """The column that holds titles: the first that is called so, or ``None``."""
    return next((name for name in columns if name.lower() in _TITLES), None)


def _end_of_scored(result: Result) -> int:
    """Where the items begin that a ranking model does not know; the end where there are none."""
    scored = [place for place, score in enumerate(result.scores) if score is not None]
    # An answer without any score is one of a recipe, or a fallback, that gives none.
    return scored[-1] + 1 if scored and isinstance(result, Ranking) else len(result)


def _text(item: PredictedItem, column: str, catalogue: Catalogue) -> str:
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
    """A score with the service's 7 decimals; empty where there is none."""
    return "" if score is None else f"{score:.7f}"


def _names(ids: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most:,} more"


# Of a comparison.


def measure_names(comparison: Comparison) -> list[tuple[str, float | None]]:
    """The measures, named for people."""
    return [
        ("Kendall τ-b", comparison.kendall_tau),
        ("Spearman ρ", comparison.spearman),
        (f"rank-biased overlap (p {comparison.p:g})", comparison.rank_biased_overlap),
        (f"top-{comparison.k} overlap", comparison.top_k_overlap),
    ]


def movement(move: Move) -> tuple[str, str]:
    """How far an item moved, in words and signs, and how that looks: ``"up"``, ``"down"`` or ``"quiet"``."""
    if move.before is None:
        return "new", "up"
    if move.after is None:
        return "left out", "down"
    places = move.before - move.after
    if places == 0:
        return "=", "quiet"
    return (f"▲ {places:,}", "up") if places > 0 else (f"▼ {-places:,}", "down")
