"""The requests of all questions, by name; several questions may look at one answer.

Each is made of what the account has, and is ``None`` where that is not enough. All of them are read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from personalize_rt.filters.expression import FilterExpression, Parameter
from personalize_rt.operations import GET_PERSONALIZED_RANKING, GET_RECOMMENDATIONS, Operation

__all__ = [
    "NOBODY",
    "PROMOTED_OF",
    "PROMOTED_PERCENT",
    "REQUESTS",
    "UNKNOWN",
    "Setup",
    "UsedFilter",
    "operation_of",
]

NOBODY = "personalize-rt-verify-none"
UNKNOWN: tuple[str, ...] = tuple(f"{NOBODY}-{n}" for n in range(1, 4))
# 4.5 items of the answer.
PROMOTED_OF = 15
PROMOTED_PERCENT = 30

Members = dict[str, Any]


@attrs.frozen(repr=False)
class UsedFilter:
    """A filter of the account.

    Attributes:
        arn: Its ARN.
        values: Its values, encoded.
        expression: Its expression, where the caller tells it: only then is known which values it cannot do without.
    """

    arn: str
    values: Mapping[str, str]
    expression: FilterExpression | None = None

    def parameter(self, *, required: bool | None = None, quoted: bool | None = None) -> str | None:
        """A parameter that has a value, and is of some kind; ``None`` when there is none.

        Args:
            required: Whether an INCLUDE uses it, which only an expression tells.
            quoted: Whether its value is a string in quotes, or else a number.
        """
        parameters: Mapping[str, Parameter] = {} if self.expression is None else self.expression.parameters
        for name, value in self.values.items():
            known = parameters.get(name)
            if required is not None and (known is None or known.required != required):
                continue
            if quoted in (None, value.startswith('"')):
                return name
        return None


@attrs.frozen(repr=False)
class Setup:
    """The resources of the account, of which requests are made.

    Attributes:
        recommends: The member and the ARN that GetRecommendations is asked with, if any.
        ranks: The campaign that GetPersonalizedRanking is asked with, if any.
        user_id: The user.
        item_ids: Items that the model knows, best first: given, or of the first answer.
        let_through: Items that the first filter lets through, as far as an answer has told.
        seed: The item of the request, for related items.
        filters: The filters.
        columns: Columns of item metadata.
        context: Contextual metadata.
    """

    user_id: str
    recommends: tuple[str, str] | None = None
    ranks: str | None = None
    item_ids: Sequence[str] = ()
    let_through: Sequence[str] = ()
    seed: str | None = None
    filters: Sequence[UsedFilter] = ()
    columns: Sequence[str] = ()
    context: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @property
    def arn(self) -> str:
        """The ARN of a campaign or recommender that is asked."""
        return self.ranks or (self.recommends or ("", ""))[1]

    def recommendations(self, **more: Any) -> Members | None:
        """A request of GetRecommendations."""
        if self.recommends is None:
            return None
        member, arn = self.recommends
        seed = {} if self.seed is None else {"itemId": self.seed}
        return {member: arn, "userId": self.user_id, **seed, **more}

    def ranking(self, items: Sequence[str], **more: Any) -> Members | None:
        """A request of GetPersonalizedRanking."""
        if self.ranks is None:
            return None
        return {"campaignArn": self.ranks, "userId": self.user_id, "inputList": list(items), **more}

    def filter(self, *, required: bool | None = None, quoted: bool | None = None) -> tuple[UsedFilter, str] | None:
        """A filter with such a parameter, and the parameter."""
        for used in self.filters:
            name = used.parameter(required=required, quoted=quoted)
            if name is not None:
                return used, name
        return None


def _mixed(setup: Setup) -> list[str]:
    """Items that the model knows, and some between them that it cannot know."""
    known = list(setup.item_ids[:5])
    first, second, third = UNKNOWN
    return [first, *known[:1], second, *known[1:], third]


def _nobody(arn: str, kind: str) -> str:
    """The ARN of something that the account surely does not have."""
    return f"{arn.rpartition(':')[0]}:{kind}/{NOBODY}"


def _kind(arn: str) -> str:
    return arn.rpartition(":")[2].partition("/")[0]


def _unknown_resource(setup: Setup) -> Members | None:
    if setup.recommends is None:
        wanted = setup.ranking(_mixed(setup))
        return wanted and {**wanted, "campaignArn": _nobody(setup.arn, "campaign")}
    member, arn = setup.recommends
    wanted = setup.recommendations()
    return wanted and {**wanted, member: _nobody(arn, _kind(arn))}


def _either(setup: Setup, **more: Any) -> Members | None:
    """A request of whichever operation there is."""
    return setup.recommendations(**more) or setup.ranking(_mixed(setup), **more)


def _filtered(setup: Setup, used: UsedFilter, values: Mapping[str, str]) -> Members | None:
    return _either(setup, filterArn=used.arn, **({"filterValues": dict(values)} if values else {}))


def _first(setup: Setup) -> UsedFilter | None:
    return setup.filters[0] if setup.filters else None


def _with(setup: Setup, value: str, **parameter: Any) -> Members | None:
    """A request with another value of a parameter."""
    found = setup.filter(**parameter)
    return found and _filtered(setup, found[0], {**found[0].values, found[1]: value})


def _without(setup: Setup, **parameter: Any) -> Members | None:
    """A request without the value of a parameter."""
    found = setup.filter(**parameter)
    if found is None:
        return None
    used, name = found
    return _filtered(setup, used, {other: value for other, value in used.values.items() if other != name})


def _metadata(setup: Setup, columns: Sequence[str], **more: Any) -> Members | None:
    if not setup.columns:
        return None
    return _either(setup, metadataColumns={"ITEMS": list(columns)}, **more)


def _quoted_number(setup: Setup) -> Members | None:
    found = setup.filter(quoted=False)
    return found and _with(setup, f'"{found[0].values[found[1]]}"', quoted=False)


def _filter_of(used: UsedFilter) -> Members:
    return {"filterArn": used.arn, **({"filterValues": dict(used.values)} if used.values else {})}


def _filtered_recommendations(setup: Setup) -> Members | None:
    used = _first(setup)
    return None if used is None else setup.recommendations(numResults=500, **_filter_of(used))


def _filtered_ranking(setup: Setup) -> Members | None:
    used = _first(setup)
    items = dict.fromkeys([*_mixed(setup), *setup.let_through])
    return None if used is None else setup.ranking(list(items), **_filter_of(used))


def _extra_value(setup: Setup) -> Members | None:
    used = _first(setup)
    return None if used is None else _filtered(setup, used, {**used.values, "PERSONALIZE_RT_NONE": '"x"'})


def _duplicates(setup: Setup) -> Members | None:
    one, other, *_ = [*setup.item_ids[:2], "", ""]
    return setup.ranking([one, other, one, UNKNOWN[0]]) if other else None


def _empty_user(setup: Setup) -> Members | None:
    wanted = setup.ranking(_mixed(setup))
    return wanted and {**wanted, "userId": ""}


def _promotion(setup: Setup) -> Members | None:
    used = _first(setup)
    if used is None:
        return None
    promotion = {"name": NOBODY, "percentPromotedItems": PROMOTED_PERCENT, **_filter_of(used)}
    return setup.recommendations(numResults=PROMOTED_OF, promotions=[promotion])


def _context(setup: Setup, keys: Callable[[str], str]) -> Members | None:
    if not setup.context:
        return None
    return _either(setup, context={keys(name): value for name, value in setup.context.items()})


Build = Callable[[Setup], Members | None]

REQUESTS: Mapping[str, Build] = {
    "recommendations": lambda setup: setup.recommendations(),
    "500 recommendations": lambda setup: setup.recommendations(numResults=500),
    "numResults 0": lambda setup: setup.recommendations(numResults=0),
    "numResults 501": lambda setup: setup.recommendations(numResults=501),
    "numResults as text": lambda setup: setup.recommendations(numResults="25"),
    "ranking": lambda setup: setup.ranking(_mixed(setup)),
    "ranking, reversed": lambda setup: setup.ranking(_mixed(setup)[::-1]),
    "ranking with duplicates": _duplicates,
    "ranking of 501 items": lambda setup: setup.ranking([f"{NOBODY}-{n}" for n in range(501)]),
    "ranking of nothing": lambda setup: setup.ranking([]),
    "ranking for an empty user": _empty_user,
    "unknown campaign or recommender": _unknown_resource,
    "unknown filter": lambda setup: _either(setup, filterArn=_nobody(setup.arn, "filter")),
    "empty filterValues": lambda setup: _either(setup, filterValues={}),
    "filterValues without filterArn": lambda setup: _either(setup, filterValues={"X": '"x"'}),
    "filtered recommendations": _filtered_recommendations,
    "filtered ranking": _filtered_ranking,
    "value that the filter does not have": _extra_value,
    "INCLUDE without its value": lambda setup: _without(setup, required=True),
    "EXCLUDE without its value": lambda setup: _without(setup, required=False),
    "value without quotes": lambda setup: _with(setup, "personalize-rt", quoted=True),
    "value with an escaped quote": lambda setup: _with(setup, '"a\\"b"', quoted=True),
    "number in quotes": _quoted_number,
    "metadata": lambda setup: _metadata(setup, setup.columns),
    "metadata in another case": lambda setup: _metadata(setup, [column.swapcase() for column in setup.columns]),
    "metadata of an unknown column": lambda setup: _metadata(setup, ["PERSONALIZE_RT_NONE"]),
    "metadata of 51 items": lambda setup: (
        setup.recommendations(numResults=51, metadataColumns={"ITEMS": list(setup.columns)}) if setup.columns else None
    ),
    "context in another case": lambda setup: _context(setup, str.swapcase),
    "context of an unknown key": lambda setup: _context(setup, lambda name: "PERSONALIZE_RT_NONE"),
    "promotion": _promotion,
}


def operation_of(members: Mapping[str, Any]) -> Operation[Any]:
    """The operation of a request."""
    return GET_PERSONALIZED_RANKING if "inputList" in members else GET_RECOMMENDATIONS
