"""Filter expressions written in Python.

::

    from personalize_rt.filters.builder import CurrentUser, Interactions, Items, exclude, include, param

    unseen = include(Items.GENRES.in_(param("GENRE")) & (Items.YEAR >= 1970)) | exclude(
        Interactions.EVENT_TYPE.in_("Watch"), only_if=CurrentUser.AGE >= 18
    )
    str(unseen)   # INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) AND Items.YEAR >= 1970 | EXCLUDE ItemID WHERE …

``&`` is AND and ``|`` is OR; put comparisons in parentheses, since Python binds ``&`` tighter than ``>=``. Between
whole expressions ``|`` chains. The language has no parentheses around conditions, so ``(a | b) & c`` is written out as
``a AND c OR b AND c``.

A type checker refuses what the language does: conditions on two datasets in one expression, ``CurrentUser`` outside
``only_if``, fields of Interactions other than EVENT_TYPE, a parameter after NOT IN. The rest is checked when the
expression is built, by the parser's rules and with its messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar, cast

from personalize_rt.errors import FilterSyntaxError, ValidationError
from personalize_rt.filters.expression import FilterExpression, checked
from personalize_rt.filters.parser import is_quoted_parameter
from personalize_rt.filters.terms import Action, Clause, Condition, Field, Operator, Param, Target, Value
from personalize_rt.filters.values import check_name, decode, encode
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from enum import Enum

__all__ = [
    "Action_Interactions",
    "Actions",
    "Column",
    "Conditions",
    "CurrentItem",
    "CurrentUser",
    "EventColumn",
    "Interactions",
    "ItemColumn",
    "Items",
    "UserConditions",
    "Users",
    "any_event",
    "exclude",
    "include",
    "param",
]

Scalar: TypeAlias = "str | int | float | Decimal | datetime | Enum"
"""A value to compare a field with; :mod:`personalize_rt.filters.values` says how each is written."""
Number: TypeAlias = "int | float | Decimal | datetime"

any_event: str = "*"
"""Any event type: ``Interactions.EVENT_TYPE.in_(any_event)``."""

# Markers of the dataset that a condition looks at, for type checkers only.


class OfItems:
    """Marks conditions on Items."""


class OfInteractions:
    """Marks conditions on Interactions."""


class OfUsers:
    """Marks conditions on Users."""


class OfActions:
    """Marks conditions on Actions."""


class OfActionInteractions:
    """Marks conditions on Action_Interactions."""


D = TypeVar("D", OfItems, OfInteractions, OfUsers, OfActions, OfActionInteractions)
C = TypeVar("C", bound="_Joined")

_LIMITS = Limits()
_NO_LIMITS = Limits.off()
_TARGETS: dict[str, Target] = {
    "Items": "ItemID",
    "Interactions": "ItemID",
    "Users": "UserID",
    "Actions": "ActionID",
    "Action_Interactions": "ActionID",
}


class _Joined:
    """Conditions in the only form that the language has: an OR of ANDs."""

    __slots__ = ("_alternatives",)

    def __init__(self, alternatives: tuple[tuple[Condition, ...], ...]) -> None:
        self._alternatives = alternatives

    @property
    def alternatives(self) -> tuple[tuple[Condition, ...], ...]:
        """The groups joined by OR, each with the conditions joined by AND."""
        return self._alternatives

    def __bool__(self) -> NoReturn:
        raise ValidationError(
            "conditions are joined with & and |, not with and, or, not or a chain such as 1970 <= Items.YEAR < 1980",
            parameter="expression",
        )

    if not TYPE_CHECKING:  # a type checker refuses it by itself

        def __invert__(self) -> NoReturn:
            raise ValidationError(
                "the filter language can negate only IN: use not_in() or !=, or swap include() and exclude()",
                parameter="expression",
            )

    def __repr__(self) -> str:
        return " OR ".join(" AND ".join(map(repr, alternative)) for alternative in self._alternatives)


class Conditions(_Joined, Generic[D]):
    """Conditions on one dataset, to be joined with ``&`` and ``|``."""

    __slots__ = ()

    def __and__(self, other: Conditions[D]) -> Conditions[D]:
        """Require both (AND)."""
        _check_joined(other, Conditions)
        return Conditions(_both(self, other))

    def __or__(self, other: Conditions[D]) -> Conditions[D]:
        """Require at least one of the two (OR)."""
        _check_joined(other, Conditions)
        return Conditions(self.alternatives + other.alternatives)


class UserConditions(_Joined):
    """Conditions on CurrentUser, to be joined with ``&`` (IF knows no OR)."""

    __slots__ = ()

    def __and__(self, other: UserConditions) -> UserConditions:
        """Require both (AND)."""
        _check_joined(other, UserConditions)
        return UserConditions(_both(self, other))

    if not TYPE_CHECKING:  # a type checker refuses it by itself

        def __or__(self, other: object) -> NoReturn:
            raise ValidationError(
                "conditions on CurrentUser are joined with &, not with |: chain two expressions", parameter="only_if"
            )


def _check_joined(other: object, kind: type[_Joined]) -> None:
    if isinstance(other, kind):
        return
    what, advice = describe(other), "compare a column with something first"
    if isinstance(other, FilterExpression):
        advice = "whole expressions are chained with | among themselves"
    elif isinstance(other, UserConditions):
        what, advice = "a condition on CurrentUser", "give it as only_if="
    elif isinstance(other, Conditions):
        what, advice = "a condition on candidates", "it stands before only_if="
    raise ValidationError(f"a condition is joined with another one, and this is {what}: {advice}", parameter="where")


def _both(left: _Joined, right: _Joined) -> tuple[tuple[Condition, ...], ...]:
    most = _LIMITS.filter_expression_length
    size = sum(map(len, left.alternatives)) * len(right.alternatives)
    size += sum(map(len, right.alternatives)) * len(left.alternatives)
    if most is not None and size > most:
        # The language has no parentheses; written out, the product would be longer than any expression may be.
        raise FilterSyntaxError(
            f"written without parentheses this takes {size:,} conditions, more than an expression of "
            f"{most:,} characters holds: join fewer alternatives with &",
            line=1,
            column=1,
            limit=most,
        )
    return tuple(one + other for one in left.alternatives for other in right.alternatives)


class CurrentItemColumn:
    """A column of the request's item: the right side of a comparison."""

    __slots__ = ("field",)

    def __init__(self, field: Field) -> None:
        self.field: Field = field


class _Fields(Generic[C]):
    """Base of all columns: builds conditions from comparisons."""

    __slots__ = ("_field", "_make")

    def __init__(self, field: Field, make: type[C]) -> None:
        self._field = field
        self._make = make

    def _condition(self, operator: Operator, operand: tuple[Value, ...] | Field) -> C:
        return self._make(((Condition(self._field, operator, operand),),))

    def _listed(self, operator: Operator, values: tuple[object, ...]) -> C:
        if len(values) == 1 and isinstance(values[0], CurrentItemColumn):
            return self._condition(operator, values[0].field)
        found: list[Value] = []
        for value in values:
            found += self._values(value)
        if not found:
            raise FilterSyntaxError(f"{self._field} {operator} needs one value at least", line=1, column=1)
        return self._condition(operator, tuple(found))

    def _compared(self, operator: Operator, value: object) -> C:
        if isinstance(value, CurrentItemColumn):
            return self._condition(operator, value.field)
        found = self._values(value)
        if len(found) != 1:
            raise FilterSyntaxError(
                f"{self._field} {operator} compares with one value, not with {len(found)}: use in_()", line=1, column=1
            )
        return self._condition(operator, tuple(found))

    def _values(self, value: object) -> list[Value]:
        if isinstance(value, Param):
            return [value]
        if isinstance(value, (list, tuple, set, frozenset, Iterator)):
            # An iterator can be read only once, and is looked at twice below.
            elements = cast("Iterable[object]", value)
            if isinstance(value, Iterator):
                value = elements = tuple(elements)
            if any(isinstance(one, Param) for one in elements):
                return [found for one in elements for found in self._values(one)]
        # Literals follow the same rules as filter values.
        decoded = decode(encode(cast(Any, value), parameter=str(self._field), limits=_NO_LIMITS))
        values = decoded if isinstance(decoded, tuple) else (decoded,)
        for text in values:
            if isinstance(text, str) and is_quoted_parameter(text):
                raise FilterSyntaxError(
                    f"the service may take this string for a parameter: write param({text[1:]!r})", line=1, column=1
                )
        return list(values)

    def __bool__(self) -> NoReturn:
        raise ValidationError(f"{self._field} is a column: compare it with something", parameter="expression")

    def __repr__(self) -> str:
        return f"<Column {self._field}>"


class EventColumn(_Fields[C]):
    """EVENT_TYPE of Interactions or Action_Interactions: the events that the user has with a candidate.

    Case is ignored. ``"*"`` (``any_event``) stands for any type.
    """

    __slots__ = ()

    def in_(self, *types: str | Param | Iterable[str | Param]) -> C:
        """Match candidates with which the user has an event of one of these types."""
        return self._listed("IN", types)

    def not_in(self, *types: str | Iterable[str]) -> C:
        """Match candidates with which the user has no event of these types. The language takes no parameter here."""
        return self._listed("NOT IN", types)


class Column(_Fields[C]):
    """A column that holds strings or numbers."""

    __slots__ = ()

    def in_(self, *values: Scalar | Param | Iterable[Scalar | Param]) -> C:
        """Match when the column has one of these: ``in_("a", "b")``, ``in_(["a", "b"])``, ``in_(param("X"))``."""
        return self._listed("IN", values)

    def not_in(self, *values: Scalar | Iterable[Scalar]) -> C:
        """Match when the column has none of these values. The language takes no parameter here."""
        return self._listed("NOT IN", values)

    def __eq__(self, value: Scalar | Param) -> C:  # type: ignore[override]  # object's __eq__ answers a bool
        return self._compared("=", value)

    def __ne__(self, value: Scalar | Param) -> C:  # type: ignore[override]  # object's __ne__ answers a bool
        return self._compared("!=", value)

    def __lt__(self, value: Number | Param) -> C:
        return self._compared("<", value)

    def __le__(self, value: Number | Param) -> C:
        return self._compared("<=", value)

    def __gt__(self, value: Number | Param) -> C:
        return self._compared(">", value)

    def __ge__(self, value: Number | Param) -> C:
        return self._compared(">=", value)


class ItemColumn(_Fields[Conditions[OfItems]]):
    """A column of Items, which can also be compared with the request's item."""

    __slots__ = ()

    def in_(self, *values: Scalar | Param | CurrentItemColumn | Iterable[Scalar | Param]) -> Conditions[OfItems]:
        """Match when the column has one of these values, or one of the current item's."""
        return self._listed("IN", values)

    def not_in(self, *values: Scalar | CurrentItemColumn | Iterable[Scalar]) -> Conditions[OfItems]:
        """Match when the column has none of these values. The language takes no parameter here."""
        return self._listed("NOT IN", values)

    def __eq__(  # type: ignore[override]  # object's __eq__ answers a bool
        self, value: Scalar | Param | CurrentItemColumn
    ) -> Conditions[OfItems]:
        return self._compared("=", value)

    def __ne__(  # type: ignore[override]  # object's __ne__ answers a bool
        self, value: Scalar | Param | CurrentItemColumn
    ) -> Conditions[OfItems]:
        return self._compared("!=", value)

    def __lt__(self, value: Number | Param | CurrentItemColumn) -> Conditions[OfItems]:
        return self._compared("<", value)

    def __le__(self, value: Number | Param | CurrentItemColumn) -> Conditions[OfItems]:
        return self._compared("<=", value)

    def __gt__(self, value: Number | Param | CurrentItemColumn) -> Conditions[OfItems]:
        return self._compared(">", value)

    def __ge__(self, value: Number | Param | CurrentItemColumn) -> Conditions[OfItems]:
        return self._compared(">=", value)


class _Items:
    """The Items dataset: ``Items.GENRES``, or ``Items["GENRES"]``."""

    def __getattr__(self, column: str) -> ItemColumn:
        return self[_public(column)]

    def __getitem__(self, column: str) -> ItemColumn:
        return ItemColumn(Field("Items", column), Conditions[OfItems])


class _CurrentItem:
    """The request's item: ``CurrentItem.GENRES``, or ``CurrentItem["GENRES"]``."""

    def __getattr__(self, column: str) -> CurrentItemColumn:
        return self[_public(column)]

    def __getitem__(self, column: str) -> CurrentItemColumn:
        return CurrentItemColumn(Field("CurrentItem", column))


class _Dataset(Generic[C]):
    """A dataset with columns of any name: ``Actions.VALUE``, or ``Actions["VALUE"]``."""

    def __init__(self, name: str, make: type[C]) -> None:
        self._name = name
        self._make = make

    def __getattr__(self, column: str) -> Column[C]:
        return self[_public(column)]

    def __getitem__(self, column: str) -> Column[C]:
        return Column(Field(self._name, column), self._make)


class _Events(Generic[C]):
    """A dataset of events. EVENT_TYPE is the only column that can be filtered."""

    def __init__(self, name: str, make: type[C]) -> None:
        self._name = name
        self._make = make

    if not TYPE_CHECKING:  # a type checker refuses it by itself

        def __getattr__(self, column: str) -> NoReturn:
            raise AttributeError(f"of {self._name} only EVENT_TYPE can be filtered, not {_public(column)}")

    @property
    def EVENT_TYPE(self) -> EventColumn[C]:  # noqa: N802  # the dataset's own name
        """The type of the events."""
        return EventColumn(Field(self._name, "EVENT_TYPE"), self._make)


def _public(column: str) -> str:
    # Python and its tools look for attributes such as __deepcopy__ and _repr_html_, which are not columns.
    if column.startswith("_"):
        raise AttributeError(column)
    return column


Items: _Items = _Items()
Users: _Dataset[Conditions[OfUsers]] = _Dataset("Users", Conditions[OfUsers])
Actions: _Dataset[Conditions[OfActions]] = _Dataset("Actions", Conditions[OfActions])
Interactions: _Events[Conditions[OfInteractions]] = _Events("Interactions", Conditions[OfInteractions])
Action_Interactions: _Events[Conditions[OfActionInteractions]] = _Events(
    "Action_Interactions", Conditions[OfActionInteractions]
)
CurrentUser: _Dataset[UserConditions] = _Dataset("CurrentUser", UserConditions)
CurrentItem: _CurrentItem = _CurrentItem()


def param(name: str) -> Param:
    """A placeholder whose value comes with each request: ``param("GENRE")`` is ``$GENRE``.

    Raises:
        FilterValuesError: The name is not valid.
    """
    check_name(name)
    return Param(name)


def include(
    where: Conditions[D], *, only_if: UserConditions | None = None, target: Target | None = None
) -> FilterExpression:
    """Keep only what meets the conditions.

    Args:
        where: The conditions.
        only_if: Conditions on CurrentUser that must hold for the expression to apply.
        target: What is selected; needed only for ``"UserID"`` by Interactions (user segments).

    Returns:
        The checked expression; ``|`` chains it with others.

    Raises:
        FilterSyntaxError: The expression breaks a rule of the service.
    """
    return _expression("INCLUDE", where, only_if, target)


def exclude(
    where: Conditions[D], *, only_if: UserConditions | None = None, target: Target | None = None
) -> FilterExpression:
    """Drop what meets the conditions: see :func:`include`."""
    return _expression("EXCLUDE", where, only_if, target)


def _expression(
    action: Action, where: _Joined, only_if: UserConditions | None, target: Target | None
) -> FilterExpression:
    if not isinstance(cast(object, where), Conditions):
        raise ValidationError(
            f"conditions on candidates are wanted, such as Items.YEAR >= 1970, not {describe(where)}",
            parameter="where",
        )
    if only_if is not None and not isinstance(cast(object, only_if), UserConditions):
        raise ValidationError(f"only_if takes conditions on CurrentUser, not {describe(only_if)}", parameter="only_if")
    users = only_if.alternatives[0] if only_if is not None else ()
    selected = target or _TARGETS[where.alternatives[0][0].field.dataset]
    return checked(FilterExpression((Clause(action, selected, where.alternatives, users),)))
