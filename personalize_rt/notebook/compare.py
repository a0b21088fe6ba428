"""Comparison of two answers: the moves of items, and the agreement of the orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.notebook.agreement import kendall_tau, rank_biased_overlap, spearman, top_k_overlap
from personalize_rt.notebook.catalogue import Catalogue, read_catalogue, title_column
from personalize_rt.notebook.frames import Column, Framed, Result, metadata_names
from personalize_rt.redaction import describe
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["Comparison", "Move", "check_answer", "compare"]


@attrs.frozen
class Move:
    """The places of one item in two answers. Places count from 0, like ``result.position(id)``.

    Attributes:
        item_id: The item, or the action.
        before: Its place in the first answer, or ``None``.
        after: Its place in the second answer, or ``None``.
        score_before: Its score in the first answer, or ``None``.
        score_after: Its score in the second answer, or ``None``.
        rules: Why rules of the caller moved it in the second answer.
    """

    item_id: str
    before: int | None
    after: int | None
    score_before: float | None = None
    score_after: float | None = None
    rules: tuple[str, ...] = ()

    @property
    def places(self) -> int | None:
        """The number of places that it went up (positive) or down; ``None`` when one answer lacks it."""
        return None if self.before is None or self.after is None else self.before - self.after


@attrs.frozen(repr=False)
class Comparison(Framed):
    """The outcome of :func:`compare`. The two answers may hold different items.

    Comparisons with the same moves, measures and labels are equal, whatever titles they show.

    Attributes:
        moves: The items of the second answer in its order, then those that only the first one has, in its order.
        kendall_tau: Kendall's tau-b of the order of the shared items, from -1 (reversed) to 1 (the same); ``None``
            for fewer than two shared items.
        spearman: Spearman's rho of the order of the shared items, likewise.
        rank_biased_overlap: The agreement of the whole lists, in which the top counts most, from 0 (no shared item) to
            1 (the same list); see :func:`~personalize_rt.notebook.agreement.rank_biased_overlap`.
        p: The patience of the rank-biased overlap.
        top_k_overlap: The share of items that the first ``k`` places have in common, in whatever order.
        k: The number of places of the top-k overlap.
        labels: The names of the two answers.
        catalogue: The titles that it shows.
    """

    moves: tuple[Move, ...]
    kendall_tau: float | None
    spearman: float | None
    rank_biased_overlap: float
    p: float
    top_k_overlap: float
    k: int
    labels: tuple[str, str] = ("before", "after")
    catalogue: Catalogue = attrs.field(factory=Catalogue, eq=False, kw_only=True)

    @property
    def shared(self) -> tuple[str, ...]:
        """The items that both answers have, in the order of the second."""
        return tuple(move.item_id for move in self.moves if move.places is not None)

    @property
    def entered(self) -> tuple[str, ...]:
        """The items that only the second answer has, in its order."""
        return tuple(move.item_id for move in self.moves if move.before is None)

    @property
    def left(self) -> tuple[str, ...]:
        """The items that only the first answer has, in its order."""
        return tuple(move.item_id for move in self.moves if move.after is None)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The moves as dicts of plain values: ``item_id``, ``before``, ``after``, ``places`` and both scores."""
        return [
            {
                "item_id": move.item_id,
                "before": move.before,
                "after": move.after,
                "places": move.places,
                "score_before": move.score_before,
                "score_after": move.score_after,
            }
            for move in self.moves
        ]

    def _columns(self) -> list[Column]:
        moves = self.moves
        title = title_column(self.catalogue.columns)
        titles = [] if title is None else [[self.catalogue.text(move.item_id, title) or None for move in moves]]
        return [
            Column("item_id", "string", [move.item_id for move in moves]),
            *(Column("title", "string", texts) for texts in titles),
            Column("before", "places", [move.before for move in moves]),
            Column("after", "places", [move.after for move in moves]),
            Column("places", "places", [move.places for move in moves]),
            Column("score_before", "float64", [move.score_before for move in moves]),
            Column("score_after", "float64", [move.score_after for move in moves]),
        ]

    def measures(self) -> dict[str, float | None]:
        """The measures by name."""
        return {
            "kendall_tau": self.kendall_tau,
            "spearman": self.spearman,
            "rank_biased_overlap": self.rank_biased_overlap,
            f"top_{self.k}_overlap": self.top_k_overlap,
        }

    def plot(self, *, items: object = None, rows: int = 25, ax: Any = None) -> Any:
        """Draw a slope chart; see :func:`personalize_rt.notebook.plots.slope_chart`."""
        from personalize_rt.notebook.plots import draw_slopes

        return draw_slopes(self, items=items, rows=rows, ax=ax)

    def _repr_html_(self) -> str:
        from personalize_rt.notebook.html import comparison_html

        return comparison_html(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from personalize_rt.notebook.terminal import comparison_lines

        return comparison_lines(self, options)

    def __repr__(self) -> str:
        measures = ", ".join(f"{name}={_short(value)}" for name, value in self.measures().items())
        return f"Comparison({len(self.moves)} items, {len(self.shared)} shared, {measures})"


def compare(
    first: Result,
    second: Result,
    *,
    k: int = 10,
    p: float = 0.9,
    labels: tuple[str, str] = ("before", "after"),
    items: object = None,
) -> Comparison:
    """Compare two answers: of two campaigns, with and without a filter, of the service and a fallback.

    A repeated item counts at its first place. Kendall's tau and Spearman's rho look only at the order of the items that
    both answers have; the overlaps look at all items.

    Args:
        first: The answer that items move from.
        second: The answer that items move to.
        k: The number of places of the top-k overlap.
        p: The patience of the rank-biased overlap, between 0 and 1.
        labels: The names of the two answers in pictures.
        items: Titles that the comparison, its plot and its frames show, as :func:`~personalize_rt.notebook.show` takes
            them; by default those in the metadata of the answers.

    Raises:
        ValidationError: One of the two is not an answer, ``k`` is not an int of at least 1, ``p`` is not between 0
            and 1, or ``items`` cannot be read.
        ModuleNotFoundError: ``items`` is a frame, and narwhals is not installed.
    """
    check_answer(first, "first")
    check_answer(second, "second")
    before, after = _places(first), _places(second)
    moves = [
        Move(
            id,
            before.get(id),
            after.get(id),
            _score(first, before.get(id)),
            _score(second, after.get(id)),
            second[after[id]].rules if id in after else (),
        )
        for id in [*after, *(id for id in before if id not in after)]
    ]
    shared = [id for id in after if id in before]
    places = [before[id] for id in shared], [after[id] for id in shared]
    one, other = labels
    return Comparison(
        moves=tuple(moves),
        kendall_tau=kendall_tau(*places),
        spearman=spearman(*places),
        rank_biased_overlap=rank_biased_overlap(before, after, p),
        p=p,
        top_k_overlap=top_k_overlap(before, after, k),
        k=k,
        labels=(one, other),
        catalogue=_own_titles(first, second)
        if items is None
        else read_catalogue(items, [move.item_id for move in moves]),
    )


def _own_titles(*answers: Result) -> Catalogue:
    """The titles in the metadata of answers."""
    titles: dict[str, dict[str, str]] = {}
    for answer in answers:
        if isinstance(answer, ActionRecommendations):
            continue
        name = title_column(metadata_names(answer))
        for item in answer if name is not None else ():
            text = item.metadata.get(name or "")
            if text:
                titles.setdefault(item.item_id, {"title": text})
    return Catalogue(("title",), titles) if titles else Catalogue()


def check_answer(answer: object, parameter: str) -> None:
    """Refuse a value that is not an answer.

    Raises:
        ValidationError: The message says how to make an answer of a list of ids.
    """
    if not isinstance(answer, Ranking | Recommendations | ActionRecommendations):
        raise ValidationError(
            f"{parameter} is {describe(answer)}, not a Ranking, Recommendations or ActionRecommendations; of a list of "
            "ids make Ranking(ids, scores=[None] * len(ids))",
            parameter=parameter,
        )


def _places(result: Result) -> Mapping[str, int]:
    ids: Iterable[str] = result.action_ids if isinstance(result, ActionRecommendations) else result.item_ids
    places: dict[str, int] = {}
    for place, id in enumerate(ids):
        places.setdefault(id, place)
    return places


def _score(result: Result, place: int | None) -> float | None:
    return None if place is None else result.scores[place]


def _short(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
