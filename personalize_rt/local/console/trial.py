"""A filter expression while it is typed: where it breaks, and for each item why it is in or out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs

from personalize_rt.errors import FilterSyntaxError, PersonalizeError
from personalize_rt.filters import encode_values
from personalize_rt.filters.selection import Allowed
from personalize_rt.local.console.asking import about, unmet, values_of, why
from personalize_rt.local.console.catalogue import PAGE, Group
from personalize_rt.local.console.saved import Form
from personalize_rt.local.filtering import StoredFilter, parse, why_unfit

__all__ = ["Break", "Trial", "tried"]


@attrs.frozen
class Break:
    """The place where an expression breaks.

    Attributes:
        problem: What is wrong, and what was expected.
        hint: What to write instead, or empty.
        line: The line, from 1.
        column: The column, from 1.
        before: That line up to the place.
        wrong: What is wrong there.
        after: The rest of the line.
        caret: White space and signs that point at the place from the line below.
    """

    problem: str
    hint: str
    line: int
    column: int
    before: str
    wrong: str
    after: str
    caret: str

    @classmethod
    def of(cls, error: FilterSyntaxError, text: str) -> Break:
        """The place that an error names. Its own text hides values, which the reader has just typed."""
        lines = error.message.split("\n")
        line, column = error.line or 1, error.column or 1
        source = (text.splitlines() or [""])[min(line, len(text.splitlines()) or 1) - 1]
        width = max(1, lines[2].count("^")) if len(lines) > 2 else 1
        start, hint = min(column - 1, len(source)), " ".join(lines[3:])
        problem = lines[0].partition(": ")[2] or lines[0]
        return cls(
            _sentence(problem),
            _sentence(hint),
            line,
            column,
            source[:start],
            source[start : start + width],
            source[start + width :],
            " " * start + "^" * width,
        )


def _sentence(text: str) -> str:
    """A text with a capital letter and an end, so that another sentence may follow it."""
    return text[:1].upper() + text[1:] + ("." if text and text[-1] not in ".?!…" else "")


@attrs.frozen
class Trial:
    """The outcome of an expression.

    Attributes:
        broken: Where it breaks, or ``None``.
        problem: Why it cannot be tried although it parses, or empty.
        stored: The filter; ``None`` if the expression is broken or empty.
        rows: The items of the page, each with the reasons.
        kept: The number of items that are in; ``None`` if it was not tried.
        total: The number of items.
        page: The number of the page.
        more: Whether a page follows.
        values: The values of its parameters.
        unmet: A sentence for each of these that no item has.
    """

    broken: Break | None = None
    problem: str = ""
    stored: StoredFilter | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    kept: int | None = None
    total: int = 0
    page: int = 1
    more: bool = False
    values: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    unmet: Sequence[str] = ()

    @property
    def parameters(self) -> Sequence[str]:
        """The names of the parameters."""
        return () if self.stored is None else tuple(self.stored.parameters)


def tried(group: Group, form: Form) -> Trial:
    """Try the expression of a form on the items or actions of the data."""
    text = form.text("expression")
    if not text:
        return Trial()
    filters, user_id, item_id = group.engine.filters, form.text("user") or None, form.text("item") or None
    try:
        stored = filters.trial(parse(text, group.engine.datasets))
    except FilterSyntaxError as error:
        return Trial(Break.of(error, text))
    except PersonalizeError as error:
        return Trial(problem=error.message)
    target = stored.expression.target
    if target == "UserID":
        return Trial(problem="This expression selects users, which only batch jobs do.", stored=stored)
    if unfit := why_unfit(stored, target, user_id=user_id, seeded=True):
        reason = "The filter looks at the user: choose one." if user_id is None else unfit
        return Trial(problem=reason, stored=stored)
    values = values_of(stored.parameters, form.under("value."))
    try:
        encoded = encode_values(values)
        allowed = filters.allowed(stored, "", user_id=user_id, item_id=item_id, values=encoded)
        assert allowed is not None
        ids = filters.candidates(stored)
        page = form.number("page", 1, 1, 1_000_000)
        wanted = list(islice(_chosen(group, form, ids, allowed), (page - 1) * PAGE, page * PAGE + 1))
        rows = tuple(
            {
                "id": id,
                "title": group.title(id) if target == "ItemID" else group.action_title(id),
                "about": about(group, id),
                "number": group.number_of(id),
                "kept": explanation.kept,
                "why": why(explanation),
            }
            for id in wanted[:PAGE]
            for explanation in [allowed.explain(id)]
        )
    except PersonalizeError as error:
        return Trial(problem=error.message, stored=stored, values=values)
    return Trial(
        None, "", stored, rows, len(allowed), len(ids), page, len(wanted) > PAGE, values, unmet(group, stored, values)
    )


def _chosen(group: Group, form: Form, ids: Sequence[str], allowed: Allowed) -> Iterator[str]:
    """The items to show, in the order of the data: all, or those that are in, or out; of these, those searched for."""
    show, words = form.text("show"), form.text("words")
    for id in group.matching(ids, words) if words else ids:
        if show not in ("in", "out") or (id in allowed) == (show == "in"):
            yield id
