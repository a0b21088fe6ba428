"""The arguments of each operation: one frozen class each, the only list of the members of requests. No I/O.

Client, handles, bulk jobs, Spark, the command line, cassettes, fallbacks and the embedded service read these lists;
where one spells a member out itself, ``tests/test_arguments.py`` compares it with them. What a value must be is
checked in :mod:`personalize_rt.operations`.
"""
# A frozen field is as good as a read-only property.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast

import attrs

from personalize_rt.redaction import describe
from personalize_rt.results import Ranking, Recommendations

if TYPE_CHECKING:  # the language is not imported before a filter is given
    from personalize_rt.actions import ActionRecommendations  # noqa: F401 - ruff does not see it within quotes
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.filters.values import FilterValue

__all__ = [
    "LISTS",
    "PERSONAL",
    "ActionsArguments",
    "Arguments",
    "Member",
    "Promotion",
    "RankingArguments",
    "RecommendationsArguments",
    "keywords",
    "members_of",
]

ResultT = TypeVar("ResultT", covariant=True)

Form: TypeAlias = Literal["as given", "integer", "mapping", "filter values", "item ids", "columns", "promotions"]
"""The form of an argument's value in a request; :mod:`personalize_rt.operations` has a function for each."""

Personal: TypeAlias = Literal["user", "context", "filter-value"]
"""The kinds of values that no message, log, ``repr`` or cassette shows."""


class Member(NamedTuple):
    """A member of a request, as its argument describes it.

    Attributes:
        name: The service's name (``"inputList"``); ``None`` for ``filter``, which is sent as two other members.
        help: What it is, with units and limits, as the docstrings of the client say it.
        form: How its value is written.
        personal: The kind of a value that nothing may show; ``None`` for one that messages may show.
        since: The first botocore whose model has it (its CHANGELOG, entries of ``personalize-runtime``); ``None``
            where every supported one has.
    """

    name: str | None
    help: str
    form: Form = "as given"
    personal: Personal | None = None
    since: str | None = None


def _shown(name: str | None, help: str, form: Form = "as given", *, since: str | None = None) -> dict[str, Member]:
    """Metadata of an argument whose value messages and cassettes may show."""
    return {"member": Member(name, help, form, since=since)}


def _personal(name: str, help: str, kind: Personal, form: Form = "as given") -> dict[str, Member]:
    """Metadata of an argument whose value nothing may show."""
    return {"member": Member(name, help, form, personal=kind)}


def _hide_personal(_kind: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    return [field.evolve(repr=False) if field.metadata["member"].personal else field for field in fields]


def _once(values: Any) -> Any:
    """Take what an iterator gives, once, since a request may be sent again. All else is left to the checks."""
    return tuple(values) if isinstance(values, Iterator) else values  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


# One for each type, since type checkers and the signatures of __init__ take the type of an argument from them. Nearly
# all values show at once that they are no iterator. What is no sequence is left to the checks, hence the ignores.
_BUILT_IN = (list, tuple, NoneType)


def _ids_once(values: Iterable[str]) -> Iterable[str]:
    return values if type(values) in _BUILT_IN else _once(values)


def _promotions_once(values: Iterable[Promotion | Mapping[str, object]]) -> Sequence[Promotion | Mapping[str, object]]:
    return values if type(values) in _BUILT_IN else _once(values)  # type: ignore[return-value]


def _columns_once(values: Iterable[str] | None) -> Sequence[str] | None:
    return values if type(values) in _BUILT_IN else _once(values)  # type: ignore[return-value]


def _shown_promotions(values: object) -> str:
    """Promotions for a ``repr``; a dict in the service's form may hold filter values."""
    shown = repr(values)
    listed: list[object] = [*cast("Any", values)] if isinstance(values, list | tuple) else []
    return describe(values) if any(isinstance(value, Mapping) for value in listed) else shown


_USER = "The user."
_CONTEXT = 'Values for contextual columns of the Interactions schema, such as ``{"DEVICE": "phone"}``.'
_FILTER_VALUES = _personal(
    "filterValues",
    "Values for the parameters of the filter, in Python types; see :mod:`personalize_rt.filters`.",
    "filter-value",
    "filter values",
)
_FILTER = _shown(None, "A ``Filter`` or ``BoundFilter``, instead of ARN and values.")
_METADATA_COLUMNS = _shown(
    "metadataColumns",
    "Item columns to return with each item, at most 10; the campaign must have enabled them.",
    "columns",
    since="1.32.7",
)


@attrs.frozen(field_transformer=_hide_personal)
class Promotion:
    """Items that the business wants seen, as part of the recommendations.

    Attributes:
        name: Shown as ``promotion_name`` on the promoted items; letters, digits, ``-`` and ``_``, at most 63.
        percent: How much of the answer may be promoted items, from 1 to 100.
        filter: The filter that says which items are promoted: a ``Filter``, or what its ``bind`` returns.
        filter_arn: The same by its ARN.
        filter_values: Values for the parameters of ``filter_arn``.
    """

    name: str = attrs.field(metadata=_shown("name", "Shown as ``promotion_name`` on the promoted items."))
    percent: int = attrs.field(
        metadata=_shown(
            "percentPromotedItems", "How much of the answer may be promoted items, from 1 to 100.", "integer"
        )
    )
    filter: BoundFilter | Filter | None = attrs.field(default=None, kw_only=True, metadata=_FILTER)
    filter_arn: str | None = attrs.field(
        default=None, kw_only=True, metadata=_shown("filterArn", "The filter that says which items are promoted.")
    )
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, kw_only=True, metadata=_FILTER_VALUES)


class Arguments(Generic[ResultT]):
    """The arguments of one call, not checked yet.

    Attributes:
        operation: The operation that takes them, by the service's name.
    """

    __slots__ = ()

    operation: ClassVar[str]

    if TYPE_CHECKING:  # what all three have

        @property
        def campaign_arn(self) -> str | None:
            """The campaign."""

        @property
        def user_id(self) -> str | None:
            """The user."""

    # Here, not written by attrs for each class, which takes each new process longer than all it does with them.
    def __eq__(self, other: object) -> bool:
        return _values_of(self) == _values_of(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self) -> int:
        return hash((self.__class__, *_values_of(self)))

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={(field.repr if callable(field.repr) else repr)(getattr(self, field.name))}"
            for field in attrs.fields(cast("Any", self.__class__))
            if field.repr
        )
        return f"{self.__class__.__name__}({', '.join(shown)})"


def _values_of(arguments: Any) -> tuple[Any, ...]:
    return tuple(getattr(arguments, field.name) for field in attrs.fields(arguments.__class__))


@attrs.frozen(kw_only=True, eq=False, repr=False, field_transformer=_hide_personal)
class RecommendationsArguments(Arguments[Recommendations]):
    """The arguments of GetRecommendations."""

    operation: ClassVar[str] = "GetRecommendations"

    campaign_arn: str | None = attrs.field(
        default=None, metadata=_shown("campaignArn", "The campaign to ask; give this or ``recommender_arn``.")
    )
    recommender_arn: str | None = attrs.field(
        default=None, metadata=_shown("recommenderArn", "The recommender to ask.")
    )
    user_id: str | None = attrs.field(default=None, metadata=_personal("userId", _USER, "user"))
    item_id: str | None = attrs.field(
        default=None, metadata=_shown("itemId", "The item that others should be related to.")
    )
    num_results: int | None = attrs.field(
        default=None,
        metadata=_shown(
            "numResults", "How many items, at most 500 (50 with metadata); the service's default is 25.", "integer"
        ),
    )
    context: Mapping[str, str] | None = attrs.field(
        default=None, metadata=_personal("context", _CONTEXT, "context", "mapping")
    )
    filter_arn: str | None = attrs.field(default=None, metadata=_shown("filterArn", "A filter to apply."))
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, metadata=_FILTER_VALUES)
    filter: BoundFilter | Filter | None = attrs.field(default=None, metadata=_FILTER)
    promotions: Sequence[Promotion | Mapping[str, object]] = attrs.field(
        default=(),
        converter=_promotions_once,
        repr=_shown_promotions,
        metadata=_shown(
            "promotions",
            "At most one :class:`Promotion`, or a dict in the service's form.",
            "promotions",
            since="1.27.51",
        ),
    )
    metadata_columns: Sequence[str] | None = attrs.field(
        default=None, converter=_columns_once, metadata=_METADATA_COLUMNS
    )


@attrs.frozen(kw_only=True, eq=False, repr=False, field_transformer=_hide_personal)
class RankingArguments(Arguments[Ranking]):
    """The arguments of GetPersonalizedRanking."""

    operation: ClassVar[str] = "GetPersonalizedRanking"

    campaign_arn: str = attrs.field(metadata=_shown("campaignArn", "A campaign of a personalized-ranking recipe."))
    user_id: str = attrs.field(metadata=_personal("userId", _USER, "user"))
    input_list: Iterable[str] = attrs.field(
        converter=_ids_once,
        repr=describe,
        metadata=_shown("inputList", "The items, at most 500 (50 with metadata).", "item ids"),
    )
    context: Mapping[str, str] | None = attrs.field(
        default=None, metadata=_personal("context", _CONTEXT, "context", "mapping")
    )
    filter_arn: str | None = attrs.field(
        default=None,
        metadata=_shown("filterArn", "A filter to apply; what it takes out is in :attr:`Ranking.missing`."),
    )
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, metadata=_FILTER_VALUES)
    filter: BoundFilter | Filter | None = attrs.field(default=None, metadata=_FILTER)
    metadata_columns: Sequence[str] | None = attrs.field(
        default=None, converter=_columns_once, metadata=_METADATA_COLUMNS
    )


@attrs.frozen(kw_only=True, eq=False, repr=False, field_transformer=_hide_personal)
class ActionsArguments(Arguments["ActionRecommendations"]):
    """The arguments of GetActionRecommendations."""

    operation: ClassVar[str] = "GetActionRecommendations"

    campaign_arn: str = attrs.field(metadata=_shown("campaignArn", "A campaign of the next-best-action recipe."))
    user_id: str = attrs.field(metadata=_personal("userId", _USER, "user"))
    num_results: int | None = attrs.field(
        default=None,
        metadata=_shown("numResults", "How many actions, at most 100; the service's default is 5.", "integer"),
    )
    filter_arn: str | None = attrs.field(default=None, metadata=_shown("filterArn", "A filter to apply."))
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, metadata=_FILTER_VALUES)
    filter: BoundFilter | Filter | None = attrs.field(default=None, metadata=_FILTER)


LISTS: tuple[type[Any], ...] = (RecommendationsArguments, RankingArguments, ActionsArguments, Promotion)
"""All classes of arguments, and that of their parts."""


def members_of(kind: type[Any]) -> Mapping[str, Member]:
    """The arguments of a class by their names, each as a member of the request. A class may have fields of its own."""
    return {field.name: field.metadata["member"] for field in attrs.fields(kind) if "member" in field.metadata}


PERSONAL: Mapping[str, Personal] = {
    member.name: member.personal
    for kind in LISTS
    for member in members_of(kind).values()
    if member.name is not None and member.personal is not None
}
"""The members of requests whose values nothing may show, with their kinds."""


def keywords(arguments: Arguments[Any]) -> dict[str, Any]:
    """Arguments as the keywords of a call."""
    return {name: getattr(arguments, name) for name in members_of(type(arguments))}
