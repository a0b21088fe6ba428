"""The form of "rank this list for that user", read into calls, and the answers made ready to be shown.

A call is made by the client of :mod:`personalize_rt.client`, as a program would, so that faults, checks and errors are
those of programs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

import attrs

from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.filters import encode_values
from personalize_rt.filters.expression import Parameter
from personalize_rt.filters.selection import Explanation
from personalize_rt.local.console.catalogue import Group, shown
from personalize_rt.local.console.python import LOCAL, Call
from personalize_rt.local.console.saved import Form
from personalize_rt.local.engine import Resource
from personalize_rt.local.filtering import StoredFilter
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS, GET_PERSONALIZED_RANKING

__all__ = ["Answered", "Asking", "Side", "moved", "unmet", "why"]

DEFAULT_COUNT = 25
MOST = 500
# The values of a column, and the characters of one, among which the nearest are looked for.
_MOST_COMPARED = 5_000
_LONGEST_COMPARED = 100


@attrs.frozen
class Side:
    """One of the two answers.

    Attributes:
        resource: The campaign or recommender.
        rows: The rows to show.
        facts: Facts on the call, in a few words each.
        error: The error in the place of an answer, or empty.
        missing: Rows that a filter took out, each with the reasons.
        result: The answer itself, or ``None``.
    """

    resource: Resource
    rows: tuple[dict[str, Any], ...] = ()
    facts: tuple[str, ...] = ()
    error: str = ""
    missing: tuple[Mapping[str, Any], ...] = ()
    result: Any = attrs.field(default=None, repr=False)


@attrs.frozen
class Answered:
    """The answers to a request, as the page shows them.

    Attributes:
        sides: One answer, or two side by side.
        measures: How alike the two are: name and value.
        calls: The calls that were made.
        only_first: Rows of the first answer that the second does not have.
        undefined: Why measures have no value, or empty.
    """

    sides: tuple[Side, ...]
    measures: tuple[tuple[str, str], ...]
    calls: tuple[Call, ...]
    only_first: int = 0
    undefined: str = ""


class Asking:
    """One form, as it was sent.

    Args:
        group: The data.
        form: The form.

    Raises:
        ValidationError: A field cannot be read.
    """

    def __init__(self, group: Group, form: Form) -> None:
        self.group: Group = group
        self.form: Form = form
        self.resources: dict[str, Resource] = group.resources
        first = next(iter(self.resources), "")
        self.first: Resource | None = self._resource("campaign") or self.resources.get(first)
        self.second: Resource | None = self._resource("beside")
        self.filter: StoredFilter | None = self._filter("filter")
        self.promoted: StoredFilter | None = self._filter("promotion")
        self.user_id: str = form.text("user")
        self.item_id: str = form.text("item")
        self.ids: list[str] = list(dict.fromkeys(form.text("items").replace(",", " ").split()))

    def _resource(self, name: str) -> Resource | None:
        return self.resources.get(self.form.text(name))

    def _filter(self, name: str) -> StoredFilter | None:
        arn = self.form.text(name)
        return self.group.engine.filters.find(arn) if arn else None

    @property
    def unmet(self) -> list[str]:
        """A sentence for each filter value that no item has."""
        chosen = [(self.filter, "value."), (self.promoted, "promoted.")]
        return [
            sentence
            for stored, prefix in chosen
            if stored is not None
            for sentence in unmet(self.group, stored, values_of(stored.parameters, self.form.under(prefix)))
        ]

    def answer(self, runtime: Any) -> Answered:
        """Make the calls. What goes wrong is part of the result."""
        resources = [one for one in (self.first, self.second) if one is not None]
        sides, calls = list[Side](), list[Call]()
        for resource in resources:
            try:
                call = self._call(resource)
                calls.append(call)
                plain = call.on(runtime)
                call, passed_over = _fitting(call, plain)
                calls[-1] = call
                result = call.ruled(plain, self.group.local or self.group.item_rows)
            except PersonalizeError as error:
                sides.append(Side(resource, error=error.message))
            else:
                sides.append(self._side(resource, call, plain, result, runtime, passed_over))
        if len(sides) == 2 and all(side.result is not None for side in sides):
            return self._compared(sides[0], sides[1], tuple(calls))
        return Answered(tuple(sides), (), tuple(calls))

    def _call(self, resource: Resource) -> Call:
        """The call of one campaign or recommender, without what its operation does not take."""
        recipe, form = resource.recipe, self.form
        given: dict[str, Any] = {}
        if self.user_id:  # also where the recipe does not use it: a filter may
            given["user_id"] = self.user_id
        if recipe.operation is GET_PERSONALIZED_RANKING:
            method = "rank"
            given["input_list"] = self.ids or self.group.popular(DEFAULT_COUNT)
        else:
            method = "actions" if recipe.operation is GET_ACTION_RECOMMENDATIONS else "recommend"
            if method == "recommend" and self.item_id and "itemId" not in recipe.ignores:
                given["item_id"] = self.item_id
            given["num_results"] = form.number("count", DEFAULT_COUNT, 1, MOST if method == "recommend" else 100)
        if method in ("rank", "actions") and "user_id" not in given:
            raise ValidationError("choose a user: this campaign answers for one", parameter="user_id")
        if self.filter is not None:
            given["filter_arn"] = self.filter.arn
            if values := values_of(self.filter.parameters, form.under("value.")):
                given["filter_values"] = values
        rules = self._rules(resource) if method != "actions" else ()
        if method != "actions":
            if "context" not in recipe.ignores and (context := pairs(form.text("context"), "context")):
                given["context"] = context
            if columns := self._columns(resource):
                given["metadata_columns"] = columns
        if method == "recommend" and self.promoted is not None:
            given["promotions"] = [self._promotion(self.promoted)]
        return Call(recipe.resource, resource.arn, method, given, rules)

    def _columns(self, resource: Resource) -> list[str]:
        columns = self.form.several("column")
        by = self.form.text("diversify")
        if by and by not in columns and _returns_metadata(resource):
            columns.append(by)
        return columns

    def _promotion(self, stored: StoredFilter) -> dict[str, Any]:
        promotion: dict[str, Any] = {
            "name": "promotion",
            "percentPromotedItems": self.form.number("percent", 20, 1, 100),
            "filterArn": stored.arn,
        }
        if values := values_of(stored.parameters, self.form.under("promoted.")):
            promotion["filterValues"] = encode_values(values)
        return promotion

    def _rules(self, resource: Resource) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        rules = list[tuple[str, Mapping[str, Any]]]()
        if by := self.form.text("diversify"):
            arguments: dict[str, Any] = {"by": by, "at_most": self.form.number("at_most", 2, 1, MOST)}
            if self.form.text("within"):
                arguments["within"] = self.form.number("within", 10, 1, MOST)
            if not _returns_metadata(resource):
                arguments["items"] = LOCAL
            rules.append(("diversify", arguments))
        if places := pairs(self.form.text("pin"), "pin"):
            if not all(place.isascii() and place.isdecimal() and len(place) < 5 for place in places.values()):
                raise ValidationError("pin: each line is an item, =, and its place from 0: tt0111161 = 0")
            rules.append(("pin", {"places": {id: int(place) for id, place in places.items()}}))
        return tuple(rules)

    # What is shown.

    def _side(
        self, resource: Resource, call: Call, plain: Any, result: Any, runtime: Any, passed_over: Sequence[str]
    ) -> Side:
        info = result.info
        facts = [f"{len(result):,} rows"]
        if info.attempts > 1:
            facts.append(f"{info.attempts} attempts")
        if result.recommendation_id:
            facts.append(f"recommendation id {result.recommendation_id}")
        if passed_over:
            facts.append(f"not pinned, since the answer has no such item or place: {', '.join(passed_over)}")
        return Side(
            resource,
            tuple(self._rows(result, actions=call.method == "actions")),
            tuple(facts),
            missing=tuple(self._missing(call, plain, runtime)),
            result=result,
        )

    def _rows(self, result: Any, *, actions: bool) -> Iterable[dict[str, Any]]:
        scores = [score for score in result.scores if score is not None]
        chosen = self.form.several("column")
        highest = max([*scores, 1.0 if actions else 0.0], default=0.0)
        for place, row in enumerate(result):
            id = row.action_id if actions else row.item_id
            yield {
                "rank": place + 1,
                "id": id,
                "number": None if actions else self.group.number_of(id),
                "title": self.group.action_title(id) if actions else self.group.title(id),
                "about": "" if actions else about(self.group, id),
                "metadata": [] if actions else [(name, shown(row.metadata.get(name))) for name in chosen],
                "score": None if row.score is None else f"{row.score:.7f}",
                "share": round(100 * row.score / highest) if row.score is not None and highest > 0 else 0,
                "reasons": () if actions else row.reason,
                "promotion": None if actions else row.promotion_name,
                "rules": row.rules,
                "moved": None,
            }

    def _missing(self, call: Call, plain: Any, runtime: Any) -> Iterable[dict[str, Any]]:
        """The rows that the filter took out, with the reasons."""
        stored = self.filter
        if stored is None:
            return
        if call.method == "rank":
            out: Iterable[str] = plain.missing
        else:
            unfiltered = {k: v for k, v in call.arguments.items() if k not in ("filter_arn", "filter_values")}
            answer = attrs.evolve(call, arguments=unfiltered).on(runtime)
            kept = set(plain.action_ids if call.method == "actions" else plain.item_ids)
            out = [id for id in (answer.action_ids if call.method == "actions" else answer.item_ids) if id not in kept]
        values = encode_values(call.arguments.get("filter_values", {}))
        allowed = self.group.engine.filters.allowed(
            stored, "", user_id=self.user_id or None, item_id=self.item_id or None, values=values
        )
        assert allowed is not None  # since there is a filter
        for id in list(out)[:DEFAULT_COUNT]:
            explanation = allowed.explain(id)
            if not explanation.kept:
                title = self.group.action_title(id) if call.method == "actions" else self.group.title(id)
                yield {
                    "id": id,
                    "title": title,
                    "about": about(self.group, id),
                    "number": self.group.number_of(id),
                    "why": why(explanation),
                }

    def _compared(self, first: Side, second: Side, calls: tuple[Call, ...]) -> Answered:
        comparison = first.result.compare(second.result)
        before = {row["id"]: row["rank"] for row in first.rows}
        after = {row["id"] for row in second.rows}
        for row in second.rows:
            row["moved"] = moved(before.get(row["id"]), row["rank"])
        for row in first.rows:
            row["only"] = row["id"] not in after
        values = {name.replace("_", " "): value for name, value in comparison.measures().items()}
        measures = tuple((name, "–" if value is None else f"{value:.2f}") for name, value in values.items())
        undefined = ""
        if without := [name for name, value in values.items() if value is None]:
            shared = len(after.intersection(before))
            why = "the answers share no item" if shared == 0 else "the answers share one item only"
            why = "an answer has no rows" if not before or not after else why
            undefined = f"Undefined, since {why}: {', '.join(without)}. An order needs two shared items."
        return Answered((first, second), measures, calls, sum(1 for id in before if id not in after), undefined)


def _fitting(call: Call, answer: Any) -> tuple[Call, list[str]]:
    """The call without pins that an answer has no item or place for, and their items: of two, one may have it."""
    if not call.rules or call.rules[-1][0] != "pin":
        return call, []
    places: dict[str, int] = call.rules[-1][1]["places"]
    ids = set(answer.item_ids)
    fit = {id: place for id, place in places.items() if id in ids and place < len(answer)}
    kept = (("pin", {"places": fit}),) if fit else ()
    return attrs.evolve(call, rules=(*call.rules[:-1], *kept)), [id for id in places if id not in fit]


def moved(before: int | None, after: int) -> tuple[str, str, str]:
    """By how many places a row is higher in the second answer: signs, words for screen readers, and the look."""
    if before is None:
        return "new", "not in the first list", "up"
    if before == after:
        return "=", "the same place", "same"
    if before > after:
        return f"▲ {before - after}", f"{_places(before - after)} up", "up"
    return f"▼ {after - before}", f"{_places(after - before)} down", "down"


def _places(count: int) -> str:
    return "1 place" if count == 1 else f"{count} places"


def about(group: Group, item_id: str) -> str:
    """The first columns of an item beside its title, in one line."""
    row = group.row("items", item_id)
    values = (shown(row.get(name)) for name in group.item_columns[:2])
    return " · ".join(value for value in values if value)


def why(explanation: Explanation) -> list[dict[str, Any]]:
    """The reasons of a filter for one item: a line for each expression of the chain."""
    signs = {True: ("✓", "holds"), False: ("✗", "does not hold"), None: ("–", "has no value")}
    return [
        {
            "effect": outcome.effect,
            "look": "keeps" if outcome.effect == "keeps" else "drops" if "drops" in outcome.effect else "quiet",
            "decides": outcome.effect in ("drops", "does not keep"),
            "conditions": [(*signs[holds], str(condition)) for condition, holds in outcome.conditions],
        }
        for outcome in explanation.clauses
    ]


def _returns_metadata(resource: Resource) -> bool:
    return resource.with_metadata or resource.recipe.with_metadata


def values_of(parameters: Mapping[str, Parameter], given: Mapping[str, str]) -> dict[str, Any]:
    """The filter values of a form: several of one parameter have commas between them."""
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        text = given.get(name, "")
        if parameter.many and "," in text:
            values[name] = [part.strip() for part in text.split(",") if part.strip()]
        elif text:
            values[name] = text
    return values


def unmet(group: Group, stored: StoredFilter, values: Mapping[str, Any]) -> list[str]:
    """A sentence for each filter value that no item has, with the nearest that some have."""
    sentences = dict[str, None]()  # in order, each once
    for name, given in values.items():
        for field in stored.parameters[name].fields:
            dataset, _, column = field.partition(".")
            held = group.item_values(column) if dataset == "Items" else None
            if held is None:
                continue
            for value in cast("list[str]", given) if isinstance(given, list) else [str(given)]:
                if value not in held:
                    nearest = _nearest(value, held)
                    advice = f" The nearest: {', '.join(nearest)}." if nearest else ""
                    sentences[f'No item has {column} "{value}".{advice}'] = None
    return list(sentences)


def _nearest(value: str, held: Collection[str]) -> list[str]:
    """The nearest values in any case; none among so many that a search would take long."""
    if len(held) > _MOST_COMPARED or len(value) > _LONGEST_COMPARED:
        return []
    spellings = {one.casefold(): one for one in sorted(held)}
    return [spellings[one] for one in get_close_matches(value.casefold(), spellings)]


def pairs(text: str, field: str) -> dict[str, str]:
    """The lines ``name = value`` of a field.

    Raises:
        ValidationError: A line has no ``=``.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign or not name.strip():
            raise ValidationError(f"{field}: each line is a name, =, and a value", parameter=field)
        found[name.strip()] = value.strip()
    return found
