"""The three operations as data: typed arguments to a wire request, a wire reply to a result. No I/O.

What a member of a request must be stands here once: the client checks its arguments by it before anything is
sent, and the embedded service checks what arrives. Shapes and bounds are those of the service model
``personalize-runtime`` 2018-05-22, and of the API reference where the model has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from operator import attrgetter, index
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

import attrs

from personalize_rt import checks
from personalize_rt.arguments import (
    LISTS,
    PERSONAL,
    ActionsArguments,
    Arguments,
    Form,
    Promotion,
    RankingArguments,
    RecommendationsArguments,
    members_of,
)
from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.names import ARN, PARAMETER_NAME, RESOURCE_NAME
from personalize_rt.redaction import describe, describe_json
from personalize_rt.results import Ranking, Recommendations, ResponseInfo

if TYPE_CHECKING:  # the language is not imported before a filter is given
    from personalize_rt.filters.expression import BoundFilter
    from personalize_rt.filters.terms import Target
    from personalize_rt.results import ActionRecommendations

__all__ = [
    "GET_ACTION_RECOMMENDATIONS",
    "GET_PERSONALIZED_RANKING",
    "GET_RECOMMENDATIONS",
    "OPERATIONS",
    "Operation",
    "Promotion",
    "Request",
    "argument_name",
    "most_results",
    "request_for",
    "request_of",
]

ResultT = TypeVar("ResultT")
Spell = Callable[[str], str]


# Members that name something, none of it personal; and those that hold nothing personal by themselves.
_NAMED = ("campaignArn", "recommenderArn", "filterArn", "itemId", "inputList", "name")
_SHOWN = {*_NAMED, "metadataColumns", "numResults", "percentPromotedItems"}


def _texts(value: Any) -> Iterator[str]:
    """The texts and numbers in a value, as texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in cast("dict[str, Any]", value).values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in cast("Iterable[Any]", value):
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


@attrs.frozen(eq=False, repr=False)
class Request(Generic[ResultT]):
    """One request, checked and ready to be sent.

    Attributes:
        operation: What is asked.
        members: The members of the request as the service names them.
        filter: The filter with its expression, where the caller gave one; ``members`` hold its ARN and values.
        origin: A digest of the endpoint, region and principal that the client asks with, by which caches keep the
            answers of clients apart; empty before a client has the request.
    """

    operation: Operation[ResultT]
    members: Mapping[str, Any]
    filter: BoundFilter | None = None
    origin: str = ""

    @property
    def resource_arn(self) -> str:
        """The campaign or recommender that is asked."""
        return self.members.get("campaignArn") or self.members.get("recommenderArn") or ""

    def shown(self) -> Iterator[str]:
        """Every value that messages may show: ARNs, ids of items, and the names of members, columns and parameters."""
        yield from self.operation.checks
        for members in self._parts():
            for name in _NAMED:
                yield from _texts(members.get(name))
            for name in PERSONAL:
                yield from _texts([*members[name]] if isinstance(members.get(name), dict) else None)
        yield from _texts(self.members.get("metadataColumns"))

    def personal_values(self) -> Iterator[str]:
        """Every value that no message may show: user id, context and filter values, and members that are not known."""
        for members in self._parts():
            for name, value in members.items():
                if name in _SHOWN:
                    continue
                if name == "promotions" and members is self.members and isinstance(value, list | tuple):
                    value = [row for row in cast("Iterable[Any]", value) if not isinstance(row, dict)]
                for text in _texts(value):
                    yield text
                    if name not in ("userId", "context"):
                        yield from (part.strip('"') for part in re.findall(r'"[^"]*"|[^",]+', text))

    def _parts(self) -> Iterator[Mapping[str, Any]]:
        """The request and its promotions. One that is passed on for somebody else was not checked."""
        yield self.members
        for promotion in self.members.get("promotions") or ():
            if isinstance(promotion, dict):
                yield cast("dict[str, Any]", promotion)

    def __repr__(self) -> str:
        return f"Request({self.operation.name}, members={sorted(self.members)})"


@attrs.frozen(eq=False, repr=False)
class Operation(Generic[ResultT]):
    """One operation of the service.

    Attributes:
        name: The service's name (``"GetRecommendations"``).
        method: The name of boto3's method and of ours (``"get_recommendations"``).
        path: The path that the request is POSTed to (``"/recommendations"``).
        arguments: The class of its arguments, which lists the members of the request.
        checks: For each member of the request, what it must be.
        read: Makes the result from a reply's members.
        target: What a filter of a request has to be about.
        service: The name in boto3 of the API that has it.
        required: Members without which the service can do nothing, whatever the recipe.
    """

    name: str
    method: str
    path: str
    arguments: type[Arguments[ResultT]]
    checks: Mapping[str, Check]
    read: Callable[[Mapping[str, Any], Request[ResultT], ResponseInfo], ResultT]
    target: Target = "ItemID"
    service: str = "personalize-runtime"
    required: tuple[str, ...] = attrs.field(
        init=False, default=attrs.Factory(lambda self: _required(self.arguments), takes_self=True)
    )

    def check(self, members: Mapping[str, Any], limits: Limits, *, spell: Spell = str) -> None:
        """Check a request, member by member and as a whole.

        Args:
            members: The members of the request, as the service names them.
            limits: How much a request may carry.
            spell: How an error names a member: the service's way, unless told otherwise.

        Raises:
            ValidationError: The first member that is missing, unknown, too large or of the wrong kind.
        """
        for member in self.required:
            if not members.get(member):
                self._check_given(member, members.get(member), limits, spell)
        where = _Where("", members, limits, spell)
        for member, value in members.items():
            check = self.checks.get(member)
            if check is None:
                raise _error(f"{self.name} has no parameter {member!r}", member)
            where.name = spell(member)
            check(value, where)
        if "recommenderArn" in self.checks:
            _check_one_resource(members, spell)
        if limits.patterns and members.get("filterValues") and "filterArn" not in members:
            raise _error(
                f"{spell('filterValues')} without {spell('filterArn')}: nothing would use them", spell("filterArn")
            )

    def _check_given(self, member: str, value: Any, limits: Limits, spell: Spell) -> None:
        if value is None:
            raise _error(f"{spell(member)} is missing: {self.name} needs it", spell(member))
        # The model has no least length, so what boto3 would send is sent; in a call, it is a user without an id.
        if value == "" and member == "userId" and limits.patterns and spell is not str:
            raise _error(f"{spell(member)} is empty: {self.name} needs it", spell(member), 1)

    def __repr__(self) -> str:
        return f"Operation({self.name})"


class _Where:
    """The surroundings of a value, for its check. A plain class, of which every call makes one for all its members."""

    __slots__ = ("limits", "members", "name", "spell")

    def __init__(self, name: str, members: Mapping[str, Any], limits: Limits, spell: Spell) -> None:
        self.name: str = name
        self.members: Mapping[str, Any] = members
        self.limits: Limits = limits
        self.spell: Spell = spell

    def describe(self, value: Any) -> str:
        """Say what a value was, in the words of whoever sent it: those of Python, or those of JSON."""
        return describe_json(value) if self.spell is str else describe(value)

    def part(self, path: str) -> _Where:
        return _Where(f"{self.name}{path}", self.members, self.limits, self.spell)


Check = Callable[[Any, _Where], None]


@lru_cache(maxsize=128)
def argument_name(member: str) -> str:
    """The Python argument for a member of the wire request: ``inputList`` is ``input_list``."""
    for kind in LISTS:
        for argument, known in members_of(kind).items():
            if known.name == member:
                return argument
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", member)


def _error(message: str, parameter: str, limit: int | None = None) -> ValidationError:
    # The message says which part of it; code that reacts to an error wants the argument.
    return ValidationError(message, parameter=re.split(r"[.\[]", parameter, maxsplit=1)[0], limit=limit)


def _at_most(size: int, limit: int | None, given: Callable[[], str], source: str, where: _Where) -> None:
    if limit is not None and size > limit:
        raise _error(f"{where.name} is {given()}; the service takes at most {limit:,} ({source})", where.name, limit)


def _is_a(value: Any, kind: type | tuple[type, ...], wanted: str, where: _Where) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = _IN_JSON.get(wanted, wanted) if where.spell is str else wanted
        raise _error(f"{where.name} is {where.describe(value)}, not {wanted}", where.name)


_IN_JSON = {"a str": "a string", "an int": "a whole number", "a mapping of names to values": "an object"}


def _check_text(value: Any, where: _Where, limit: int | None, source: str) -> None:
    if isinstance(value, str) and (limit is None or len(value) <= limit):
        return  # at once: most members are texts
    _is_a(value, str, "a str", where)
    _at_most(len(value), limit, lambda: where.describe(value), source, where)


def _check_id(value: Any, where: _Where) -> None:
    _check_text(value, where, where.limits.id_length, "model: UserID, ItemID, ActionID")


def _check_arn(value: Any, where: _Where) -> None:
    _check_text(value, where, where.limits.arn_length, "model: Arn")
    if where.limits.patterns and not _is_arn(value):
        raise _error(
            f"{where.name} is not an ARN of Personalize: it should look like "
            f"arn:aws:personalize:<region>:<account>:<kind>/<name>, and is {where.describe(value)}",
            where.name,
        )


@lru_cache(maxsize=128)  # most programs ask the same few resources
def _is_arn(text: str) -> bool:
    return ARN.fullmatch(text) is not None


def _check_count(value: Any, where: _Where, limit: int | None, source: str) -> None:
    if where.spell is str and _is_digits(value):
        raise _error(f"{where.name} is a string of digits: send the number itself, without quotes", where.name)
    _is_a(value, int, "an int", where)
    if where.limits.patterns and value < 0:
        raise _error(f"{where.name} is negative; the service takes 0 or more (model: NumResults)", where.name, 0)
    _at_most(value, limit, lambda: f"{value:,}", source, where)


def _is_digits(value: object) -> bool:
    return isinstance(value, str) and value.isdecimal()


def most_results(limits: Limits, *, with_metadata: bool) -> int | None:
    """The most items that one request of GetRecommendations gives; ``None`` for no limit."""
    return limits.num_results_with_metadata if with_metadata else limits.num_results


def _check_num_results(value: Any, where: _Where) -> None:
    with_metadata = "metadataColumns" in where.members
    source = "API reference: 50 with metadata columns" if with_metadata else "API reference: numResults"
    _check_count(value, where, most_results(where.limits, with_metadata=with_metadata), source)


def _check_num_actions(value: Any, where: _Where) -> None:
    _check_count(value, where, where.limits.num_actions, "API reference: numResults of GetActionRecommendations")


def _check_input_list(value: Any, where: _Where) -> None:
    _is_a(value, (list, tuple), "a list of item ids", where)
    limits = where.limits
    if limits.patterns and not value:
        raise _error(f"{where.name} is empty: there is nothing to rank", where.name, 1)
    if "metadataColumns" in where.members:
        limit, source = limits.input_list_with_metadata, "API reference: 50 with metadata columns"
    else:
        limit, source = limits.input_list, "API reference: inputList"
    _at_most(len(value), limit, lambda: where.describe(value), source, where)
    # The common case in two passes at C speed; the slow look only says which item is wrong.
    try:
        "".join(value)  # texts, every one
        if max(map(len, value), default=0) <= (limits.id_length or 0):
            return
    except TypeError:
        pass
    for n, id in enumerate(value):
        _check_id(id, where.part(f"[{n}]"))


def _check_map(value: Any, where: _Where) -> None:
    _is_a(value, dict, "a mapping of names to values", where)
    for name in value:
        if not isinstance(name, str):
            raise _error(f"{where.name} has a name that is {describe(name)}, not a str", where.name)


def _check_name(name: str, where: _Where, limit: int | None, source: str) -> None:
    _at_most(len(name), limit, lambda: f"a mapping with a name of {len(name):,} characters", source, where)
    if where.limits.patterns and not re.fullmatch(PARAMETER_NAME, name):
        raise _error(f"{where.name} has a name with other than letters, digits and _ ({source})", where.name)


def _check_context(value: Any, where: _Where) -> None:
    _check_map(value, where)
    limits = where.limits
    _at_most(len(value), limits.context_entries, lambda: where.describe(value), "model: Context", where)
    for name, text in value.items():
        _check_name(name, where, limits.context_key_length, "model: keys of Context")
        _check_text(text, where.part(f"[{name!r}]"), limits.context_value_length, "model: values of Context")


def _check_filter_values(value: Any, where: _Where) -> None:
    _check_map(value, where)
    limits = where.limits
    _at_most(len(value), limits.filter_values, lambda: where.describe(value), "model: FilterValues", where)
    for name, text in value.items():
        _check_name(name, where, limits.filter_key_length, "model: keys of FilterValues")
        _check_text(text, where.part(f"[{name!r}]"), limits.filter_value_length, "model: values of FilterValues")


def _check_promotions(value: Any, where: _Where) -> None:
    _is_a(value, (list, tuple), "a list of promotions", where)
    _at_most(len(value), where.limits.promotions, lambda: where.describe(value), "model: PromotionList", where)
    for n, promotion in enumerate(value):
        _check_promotion(promotion, where.part(f"[{n}]"))


def _check_promotion(value: Any, where: _Where) -> None:
    _check_map(value, where)
    for member, part in value.items():
        check = _PROMOTION.get(member)
        if check is None:
            raise _error(f"{where.name} has no member {member!r}", where.name)
        check(part, where.part(f".{where.spell(member)}"))
    if where.limits.patterns and "filterValues" in value and "filterArn" not in value:
        raise _error(
            f"{where.name} has {where.spell('filterValues')} without {where.spell('filterArn')}: nothing uses them",
            f"{where.name}.{where.spell('filterArn')}",
        )


def _check_promotion_name(value: Any, where: _Where) -> None:
    _check_text(value, where, where.limits.promotion_name_length, "model: PromotionName")
    if where.limits.patterns and not re.fullmatch(RESOURCE_NAME, value):
        raise _error(f"{where.name} must be letters, digits, - and _, and start with a letter or digit", where.name)


def _check_percent(value: Any, where: _Where) -> None:
    _is_a(value, int, "an int", where)
    if where.limits.patterns and value < 1:
        raise _error(f"{where.name} is below 1 (model: PercentPromotedItems, 1 to 100)", where.name, 1)
    _at_most(value, where.limits.promotion_percent, lambda: f"{value:,}", "model: PercentPromotedItems", where)


def _check_metadata_columns(value: Any, where: _Where) -> None:
    _check_map(value, where)
    if where.limits.patterns and set(value) - {"ITEMS"}:
        raise _error(f"{where.name} has a key other than ITEMS (API reference)", where.name)
    for columns in value.values():
        _check_column_names(columns, where)


def _check_column_names(value: Any, where: _Where) -> None:
    _is_a(value, (list, tuple), "a list of column names", where)
    _at_most(len(value), where.limits.metadata_columns, lambda: f"{len(value):,} columns", "API reference", where)
    for n, column in enumerate(value):
        _check_text(column, where.part(f"[{n}]"), where.limits.metadata_column_length, "model: ColumnName")


def _check_one_resource(members: Mapping[str, Any], spell: Spell) -> None:
    given = [member for member in ("campaignArn", "recommenderArn") if members.get(member) is not None]
    if len(given) != 1:
        campaign, recommender = spell("campaignArn"), spell("recommenderArn")
        both = "both are given" if given else "neither is given"
        raise _error(f"give exactly one of {campaign} and {recommender}: {both}", campaign)


_PROMOTION: Mapping[str, Check] = {
    "name": _check_promotion_name,
    "percentPromotedItems": _check_percent,
    "filterArn": _check_arn,
    "filterValues": _check_filter_values,
}
_COMMON: Mapping[str, Check] = {
    "campaignArn": _check_arn,
    "userId": _check_id,
    "filterArn": _check_arn,
    "filterValues": _check_filter_values,
}


def _required(arguments: Any) -> tuple[str, ...]:
    members = members_of(arguments)
    return tuple(str(members[field.name].name) for field in attrs.fields(arguments) if field.default is attrs.NOTHING)


def _read_ranking(reply: Mapping[str, Any], request: Request[Ranking], info: ResponseInfo) -> Ranking:
    return Ranking.from_response(reply, input_list=request.members["inputList"], info=info)


def _read_actions(
    reply: Mapping[str, Any], _: Request[ActionRecommendations], info: ResponseInfo
) -> ActionRecommendations:
    from personalize_rt.actions import ActionRecommendations

    return ActionRecommendations.from_response(reply, info=info)


GET_RECOMMENDATIONS: Operation[Recommendations] = Operation(
    name="GetRecommendations",
    method="get_recommendations",
    path="/recommendations",
    arguments=RecommendationsArguments,
    checks={
        **_COMMON,
        "recommenderArn": _check_arn,
        "itemId": _check_id,
        "numResults": _check_num_results,
        "context": _check_context,
        "promotions": _check_promotions,
        "metadataColumns": _check_metadata_columns,
    },
    read=lambda reply, request, info: Recommendations.from_response(reply, info=info),
)

GET_PERSONALIZED_RANKING: Operation[Ranking] = Operation(
    name="GetPersonalizedRanking",
    method="get_personalized_ranking",
    path="/personalize-ranking",
    arguments=RankingArguments,
    checks={
        **_COMMON,
        "inputList": _check_input_list,
        "context": _check_context,
        "metadataColumns": _check_metadata_columns,
    },
    read=_read_ranking,
)

GET_ACTION_RECOMMENDATIONS: Operation[ActionRecommendations] = Operation(
    name="GetActionRecommendations",
    method="get_action_recommendations",
    path="/action-recommendations",
    arguments=ActionsArguments,
    checks={**_COMMON, "numResults": _check_num_actions},
    read=_read_actions,
    target="ActionID",
)

OPERATIONS: Mapping[str, Operation[Any]] = {
    operation.name: operation
    for operation in (GET_RECOMMENDATIONS, GET_PERSONALIZED_RANKING, GET_ACTION_RECOMMENDATIONS)
}


# From Python arguments to members. What is None or empty is not sent.


def request_for(arguments: Arguments[ResultT], limits: Limits) -> Request[ResultT]:
    """Check the arguments of a call, and make the request of them.

    Raises:
        ValidationError: The first argument that is missing, too large or of the wrong kind.
    """
    operation: Operation[ResultT] = OPERATIONS[arguments.operation]
    members, bound = _encoded(arguments, operation.target, limits)
    operation.check(members, limits, spell=argument_name)
    return Request(operation, MappingProxyType(members), bound)


def request_of(operation: Operation[ResultT], members: Mapping[str, Any], limits: Limits) -> Request[ResultT]:
    """Check members as boto3 takes them, and make the request of them.

    Raises:
        ValidationError: The first member that is missing, unknown, too large or of the wrong kind.
    """
    operation.check(members, limits)
    return Request(operation, MappingProxyType({name: value for name, value in members.items() if value not in _EMPTY}))


# What says nothing, and is not sent.
_EMPTY: tuple[Any, ...] = ({}, [], ())


def _encoded(
    arguments: Any, target: Target, limits: Limits, within: str = ""
) -> tuple[dict[str, Any], BoundFilter | None]:
    """Arguments as members, and the filter that they have.

    Args:
        arguments: Those of a call, or a promotion.
        target: What a filter has to be about.
        limits: How much a request may carry.
        within: How an error names what they are a part of: ``"promotions[0]."``.
    """
    bound = None
    if arguments.filter is not None:
        bound = _bound(arguments.filter, arguments.filter_values, f"{within}filter", target)
        if arguments.filter_arn is not None or arguments.filter_values is not None:
            name = f"{within}filter"
            raise _error(f"give {name}, or {name}_arn and {name}_values, not both", name)
    values, steps = _steps(arguments.__class__)
    members: dict[str, Any] = {}
    for (argument, member, default, encode), given in zip(steps, values(arguments), strict=True):
        if given is default:
            continue
        value = given if encode is None else encode(given, within + argument, limits)
        if value is not None or given is None:  # None where it means nothing is for the checks to refuse
            members[member] = value
    if bound is not None:
        members["filterArn"] = bound.filter_arn
        if bound.filter_values:
            members["filterValues"] = bound.filter_values
    return members, bound


@cache
def _steps(kind: type[Any]) -> tuple[attrgetter[Any], tuple[tuple[str, str, Any, _Encode | None], ...]]:
    """The arguments of a class that are sent: how to read their values, and for each what to do with one."""
    members = members_of(kind)
    fields = [field for field in attrs.fields(kind) if field.name in members and members[field.name].name is not None]
    steps = ((f.name, str(members[f.name].name), f.default, _ENCODE[members[f.name].form]) for f in fields)
    return attrgetter(*(field.name for field in fields)), tuple(steps)


def _integer(value: Any) -> Any:
    """A NumPy integer is one, but JSON does not know it."""
    try:
        return value if isinstance(value, bool) else index(value)
    except TypeError:
        return value


def _mapping(values: Any, parameter: str) -> dict[str, Any] | None:
    if not isinstance(values, Mapping):
        raise _error(f"{parameter} is {describe(values)}, not a mapping of names to values", parameter)
    return dict(cast("Mapping[str, Any]", values)) or None


def _filter_values(values: Any, parameter: str, limits: Limits) -> dict[str, str] | None:
    mapping = _mapping(values, parameter)
    if mapping is None:
        return None
    # Imported when used: a new process answers without it.
    from personalize_rt.filters.values import encode_values

    return encode_values(mapping, limits=limits)


def _bound(filter: Any, values: Any, parameter: str, target: str) -> BoundFilter | None:
    """A filter with its values; one without required parameters needs none."""
    if filter is None:
        return None
    from personalize_rt.filters.expression import BoundFilter, Filter

    if isinstance(filter, Filter):
        if values is not None and filter.parameters:
            name = next(iter(filter.parameters))
            raise _error(
                f"{parameter}_values are for {parameter}_arn; bind the values of a Filter to it: "
                f"filter=name.bind({name}=…)",
                parameter,
            )
        filter = filter.bind()
    if not isinstance(filter, BoundFilter):
        raise _error(f"{parameter} is {describe(filter)}, not a Filter or what Filter.bind() returns", parameter)
    given = filter.filter.expression.target
    if given != target:
        raise _error(f"{parameter} is a filter of {given}, and this request wants one of {target}", parameter)
    return filter


def _columns(columns: Any, parameter: str) -> dict[str, list[str]] | None:
    if isinstance(columns, Mapping):
        raise _error(
            f"{parameter} is a mapping: it takes a list of column names, and adds the ITEMS key itself", parameter
        )
    names = checks.listed(columns, parameter, "column names", "name")
    return {"ITEMS": names} if names else None


def _promotions(promotions: Any, parameter: str, limits: Limits) -> list[dict[str, Any]] | None:
    if isinstance(promotions, Promotion):
        raise _error(
            f"{parameter} is a Promotion: it takes a list of them; for a single one write [promotion]", parameter
        )
    members: list[dict[str, Any]] = []
    for n, promotion in enumerate(checks.listed(promotions, parameter, "promotions", "promotion")):
        name = f"{parameter}[{n}]"
        if isinstance(promotion, Mapping):
            members.append(_of_the_service(cast("Mapping[str, Any]", promotion), name))
        elif isinstance(promotion, Promotion):
            members.append(_encoded(promotion, "ItemID", limits, f"{name}.")[0])
        else:
            raise _error(f"{name} is {describe(promotion)}, not a Promotion, nor a dict in the service's form", name)
    return members or None


def _of_the_service(promotion: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A promotion in the form of the service, as boto3 takes it; its values are encoded already."""
    for member in promotion:
        if member not in _PROMOTION:
            raise _error(f"{name} has no member {member!r}: the service's form has {', '.join(_PROMOTION)}", name)
    members = {member: value for member, value in promotion.items() if value is not None and value != {}}
    if "percentPromotedItems" in members:
        members["percentPromotedItems"] = _integer(members["percentPromotedItems"])
    if isinstance(members.get("filterValues"), Mapping):
        members["filterValues"] = dict(members["filterValues"])
    return members


_Encode: TypeAlias = Callable[[Any, str, Limits], Any]
_ENCODE: Mapping[Form, _Encode | None] = {
    "as given": None,
    "integer": lambda value, _parameter, _limits: _integer(value),
    "mapping": lambda value, parameter, _limits: _mapping(value, parameter),
    "filter values": _filter_values,
    "item ids": lambda value, parameter, _limits: checks.listed(value, parameter),
    "columns": lambda value, parameter, _limits: _columns(value, parameter),
    "promotions": _promotions,
}
