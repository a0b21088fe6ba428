"""The terms of a filter expression: clauses, conditions, fields and placeholders, and their text.

The parser makes them, :mod:`~personalize_rt.filters.expression` holds them, and ``selection`` evaluates them. All are
immutable; ``repr`` hides literals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.filters.diagnostics import mask
from personalize_rt.limits import Limits

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Clause", "Condition", "Field", "Param"]

Action = Literal["INCLUDE", "EXCLUDE"]
Target = Literal["ItemID", "ActionID", "UserID"]
Operator = Literal["IN", "NOT IN", "=", "!=", "<", "<=", ">", ">="]

ORDERING = frozenset({"<", "<=", ">", ">="})
EVENT_DATASETS = frozenset({"Interactions", "Action_Interactions"})


@attrs.frozen
class Field:
    """A column of a dataset.

    Attributes:
        dataset: ``"Items"``, ``"Interactions"``, ``"Users"``, ``"Actions"``, ``"Action_Interactions"``,
            ``"CurrentUser"`` or ``"CurrentItem"``.
        name: The column, as the expression spells it. The service ignores its case.
    """

    dataset: str
    name: str

    def __str__(self) -> str:
        return f"{self.dataset}.{self.name}"


@attrs.frozen
class Param:
    """A placeholder, ``$GENRE``, whose value comes with each request.

    Attributes:
        name: Without ``$``; its case counts.
    """

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


Value: TypeAlias = "str | int | Decimal | Param"
"""The right side of a comparison: a literal or a placeholder."""


@attrs.frozen(repr=False)
class Condition:
    """One comparison.

    Attributes:
        field: The left side.
        operator: ``"IN"``, ``"NOT IN"``, ``"="``, ``"!="``, ``"<"``, ``"<="``, ``">"`` or ``">="``.
        operand: The values of the right side (one, unless the operator is IN or NOT IN), or the field of the
            current item.
    """

    field: Field
    operator: Operator
    operand: tuple[Value, ...] | Field

    @property
    def params(self) -> tuple[Param, ...]:
        """The placeholders, in order."""
        operand = self.operand
        return () if isinstance(operand, Field) else tuple(value for value in operand if isinstance(value, Param))

    def __str__(self) -> str:
        return "".join(_condition(self, " ", str))

    def __repr__(self) -> str:
        return f"<Condition {mask(f'WHERE {self}')[6:]}>"


@attrs.frozen(repr=False)
class Clause:
    """One expression of a chain.

    Attributes:
        action: ``"INCLUDE"`` keeps only what matches, ``"EXCLUDE"`` drops what matches.
        target: ``"ItemID"``, ``"ActionID"`` or ``"UserID"``.
        where: Alternatives (OR), each with the conditions that must hold together (AND).
        only_if: Conditions on ``CurrentUser`` that must all hold for the clause to apply.
    """

    action: Action
    target: Target
    where: tuple[tuple[Condition, ...], ...]
    only_if: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> Iterator[Condition]:
        """All conditions, those of the IF part last."""
        for alternative in self.where:
            yield from alternative
        yield from self.only_if

    def __str__(self) -> str:
        return "".join(_clause(self, " ", str))

    def __repr__(self) -> str:
        return f"<Clause {mask(str(self))}>"


# Writing. Each function yields the pieces of the text; *gap* is put where white space is optional.

_LONGEST = cast(int, Limits().filter_expression_length)
_SINGULAR = {
    "Items": "Item",
    "Interactions": "Interaction",
    "Users": "User",
    "Actions": "Action",
    "Action_Interactions": "Action_Interaction",
}


def _shortest(field: Field) -> str:
    return f"{_SINGULAR.get(field.dataset, field.dataset)}.{field.name}"


def write(clauses: tuple[Clause, ...]) -> str:
    """The canonical text of a chain of clauses."""
    text = "".join(_chain(clauses, " ", str))
    if len(text) > _LONGEST:
        # As short as possible, so that an expression within the limit has a canonical text within the limit.
        text = "".join(_chain(clauses, "", _shortest))
    return text


def _chain(clauses: tuple[Clause, ...], gap: str, name: Callable[[Field], str]) -> Iterator[str]:
    for position, clause in enumerate(clauses):
        if position:
            yield f"{gap}|{gap}"
        yield from _clause(clause, gap, name)


def _clause(clause: Clause, gap: str, name: Callable[[Field], str]) -> Iterator[str]:
    yield f"{clause.action} {clause.target} WHERE "
    previous: Condition | None = None
    for alternative in clause.where:
        word = "OR"
        for condition in alternative:
            if previous is not None:
                yield f"{_after(previous, gap)}{word} "
            yield from _condition(condition, gap, name)
            previous, word = condition, "AND"
    word = "IF"
    for condition in clause.only_if:
        yield f"{_after(cast(Condition, previous), gap)}{word} "
        yield from _condition(condition, gap, name)
        previous, word = condition, "AND"


def _condition(condition: Condition, gap: str, name: Callable[[Field], str]) -> Iterator[str]:
    operator, operand = condition.operator, condition.operand
    yield name(condition.field)
    if operator in ("IN", "NOT IN"):
        yield f" {operator}"
        if isinstance(operand, Field):
            yield f" {operand}"
        else:
            yield f"{gap}({f',{gap}'.join(map(_literal, operand))})"
    else:
        yield f"{gap}{operator}{gap}"
        yield str(operand) if isinstance(operand, Field) else _literal(operand[0])


def _after(condition: Condition, gap: str) -> str:
    """The white space between a condition and the next word; optional after a bracket or a quote."""
    operand = condition.operand
    if isinstance(operand, Field):
        return " "
    return gap if condition.operator in ("IN", "NOT IN") or isinstance(operand[0], str) else " "


def _literal(value: Value) -> str:
    if isinstance(value, str):
        if '"' not in value:
            return f'"{value}"'
        if "'" in value:
            raise ValidationError(
                "a string cannot hold both kinds of quotes: the filter language has no escape", parameter="expression"
            )
        return f"'{value}'"
    return str(value) if isinstance(value, (int, Param)) else format(value, "f")
