"""Answers as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from personalize_rt.cli.output import as_json, can_show, printable, rendered
from personalize_rt.rerank import LongRanking
from personalize_rt.results import ActionRecommendations, PredictedItem, Ranking, Recommendations, ResponseInfo

__all__ = [
    "actions_table",
    "answer_json",
    "as_dict",
    "items_table",
    "moved",
    "new_table",
    "score",
    "shown",
]

# What rich itself would take in place of SIMPLE_HEAD has a bar after each cell.
_ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)

Answer = Recommendations | Ranking | ActionRecommendations


# As JSON.


def as_dict(answer: Answer) -> dict[str, Any]:
    """The members of the service's reply, and ``info``: how the answer came about.

    A row that a rule moved has ``rules``; of a long list, ``info`` says how exact it is.
    """
    info = answer.info
    more: dict[str, Any] = {}
    if isinstance(answer, LongRanking):
        # JSON has no infinity.
        bound = answer.error_bound if isfinite(answer.error_bound) else None
        more = {"requests": answer.requests, "errorBound": bound, "unscaled": list(answer.unscaled)}
    response = answer.to_response()
    rows: Any = next(value for name, value in response.items() if name != "recommendationId")
    for place in range(len(answer)):
        if rules := answer[place].rules:
            rows[place]["rules"] = list(rules)
    return response | {
        "info": {
            "requestId": info.request_id,
            "attempts": info.attempts,
            "elapsed": round(info.elapsed, 6),
            "source": info.source,
            **more,
        }
    }


def answer_json(answer: Answer) -> str:
    """The same as text."""
    return as_json(as_dict(answer))


# As tables.


def items_table(
    answer: Recommendations | Ranking, *, input_list: Sequence[str] = (), columns: Sequence[str] = ()
) -> str:
    """Items as a table, with a line on how the answer came about.

    Args:
        answer: What to show.
        input_list: The items of a ranking as they were given, to show how far each moved.
        columns: The metadata columns to show.
    """
    extras: list[tuple[str, Callable[[PredictedItem], str]]] = [
        *((name, lambda item, name=name: item.metadata.get(name, "")) for name in columns),
        ("promotion", lambda item: item.promotion_name or ""),
        ("reason", lambda item: ", ".join(item.reason)),
        ("rule", lambda item: ", ".join(item.rules)),
    ]
    extras = [(name, text) for name, text in extras if name in columns or any(map(text, answer))]
    places = {id: place for place, id in reversed(list(enumerate(input_list)))}
    table = new_table()
    table.add_column("", justify="right")
    if places:
        table.add_column("moved", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("score", justify="right")
    for name, _ in extras:
        table.add_column(name, overflow="fold")
    for place, item in enumerate(answer):
        movement = [moved(places.get(item.item_id, place) - place)] if places else []
        texts = (shown(text(item)) for _, text in extras)
        table.add_row(str(place + 1), *movement, shown(item.item_id), score(item.score), *texts)
    notes: list[str] = []
    if isinstance(answer, Ranking) and answer.unscored:
        notes.append(f"{len(answer.unscored)} unknown to the model, without a score")
    if isinstance(answer, Ranking) and answer.missing:
        notes.append(f"{len(answer.missing)} left out")
    if isinstance(answer, LongRanking) and answer.requests > 1:
        notes.append(f"{answer.requests} requests, logits within {answer.error_bound:.2g}")
    return _with_footer(table, answer.info, notes)


def actions_table(answer: ActionRecommendations) -> str:
    """Actions as a table, with a line on how the answer came about."""
    table = new_table()
    table.add_column("", justify="right")
    table.add_column("action", overflow="fold")
    table.add_column("score", justify="right")
    for place, action in enumerate(answer):
        table.add_row(str(place + 1), shown(action.action_id), score(action.score))
    return _with_footer(table, answer.info, [])


def _with_footer(table: Table, info: ResponseInfo, notes: Sequence[str]) -> str:
    facts = [*notes, f"{info.attempts} attempt{'' if info.attempts == 1 else 's'}", f"{info.elapsed * 1000:.0f} ms"]
    if info.request_id:
        facts.append(f"request id {printable(info.request_id)}")
    body = table if table.row_count else Text("nothing to recommend")
    return rendered(body, Text(", ".join(facts), style="dim"))


# Their parts.


def new_table() -> Table:
    """A table as all of ours look: nothing but a line below its head."""
    line = box.SIMPLE_HEAD if can_show("─") else _ASCII_HEAD
    return Table(box=line, show_edge=False, pad_edge=False, header_style="bold")


def shown(text: str) -> Text:
    """A cell with somebody else's text: no markup, no control characters."""
    return Text(printable(text))


def score(value: float | None) -> str:
    """A score with the service's 7 decimals; empty where there is none."""
    return "" if value is None else f"{value:.7f}"


def moved(places: int) -> Text:
    """How far an item moved; up when positive."""
    if places == 0:
        return Text("=", style="dim")
    up, down = "▲▼" if can_show("▲▼") else "+-"
    return Text(f"{up}{places}", style="green") if places > 0 else Text(f"{down}{-places}", style="red")
