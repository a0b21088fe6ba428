"""Evaluation of filters, candidate by candidate or on the indexes of a catalogue.

Both ways follow the rules of the guide page "Filter expressions" and, where it is silent, those of "What filters mean"
in the documentation:

* The INCLUDE expressions of a chain are united, then the EXCLUDE expressions are taken away, whatever their order.
* An expression whose IF does not hold is not applied. When no INCLUDE is applied, every candidate is included.
* In an EXCLUDE, conditions joined by AND are not applied when one of them lacks its value; in an INCLUDE that is an
  error.
* A field of several values matches when one of them does. Event types are compared without regard to case, everything
  else with it. No comparison except NOT IN holds for a missing value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress
from typing import TYPE_CHECKING, cast

import attrs

from personalize_rt.errors import FilterValuesError, ValidationError
from personalize_rt.filters.catalogue import (
    ID_COLUMN,
    INTERACTIONS_PER_TYPE,
    Catalogue,
    History,
    Row,
    Table,
    as_interaction,
    cell,
    number,
    row_id,
    texts,
)
from personalize_rt.filters.diagnostics import mask
from personalize_rt.filters.terms import (
    EVENT_DATASETS,
    ORDERING,
    Clause,
    Condition,
    Field,
    Operator,
    Param,
)
from personalize_rt.filters.values import FilterValue, decode, encode
from personalize_rt.interactions import Interaction
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from decimal import Decimal

    from personalize_rt.filters.expression import FilterExpression

__all__ = ["Allowed", "ClauseOutcome", "Explanation", "Selector", "explain", "matches"]

Given = Mapping[str, "tuple[str | int | Decimal, ...]"]
_NO_ROW: Row = {}
# The most conditions whose rows a table keeps: filters may come and go for as long as a server runs.
_MOST_CONSTANT = 1_000


def matches(
    expression: FilterExpression,
    item: Row,
    *,
    user: Row | None,
    current_item: Row | None,
    interactions: Iterable[Interaction | Row],
    values: Mapping[str, FilterValue],
) -> bool:
    """Tell whether a candidate is kept: see :meth:`FilterExpression.matches`."""
    holds = _test(expression, item, user, current_item, interactions, values)
    return _kept((clause, _outcome(clause, holds)) for clause in expression.clauses)


def explain(
    expression: FilterExpression,
    item: Row,
    *,
    user: Row | None,
    current_item: Row | None,
    interactions: Iterable[Interaction | Row],
    values: Mapping[str, FilterValue],
) -> Explanation:
    """Explain why a candidate is kept or dropped: see :meth:`FilterExpression.explain`."""
    return _explained(expression, _test(expression, item, user, current_item, interactions, values))


def _explained(expression: FilterExpression, holds: Callable[[Condition], bool | None]) -> Explanation:
    outcomes = tuple(
        ClauseOutcome(
            clause,
            _outcome(clause, holds),
            tuple((condition, holds(condition)) for condition in clause.conditions),
        )
        for clause in expression.clauses
    )
    return Explanation(_kept((outcome.clause, outcome.matched) for outcome in outcomes), outcomes)


@attrs.frozen(repr=False)
class ClauseOutcome:
    """The outcome of one expression of a chain for a candidate.

    Attributes:
        clause: The expression.
        matched: Whether its conditions hold; ``None`` when it is not applied, because its IF does not hold or a
            value is missing.
        conditions: Each condition, IF last, and whether it holds; ``None`` where a value is missing.
    """

    clause: Clause
    matched: bool | None
    conditions: tuple[tuple[Condition, bool | None], ...]

    @property
    def effect(self) -> str:
        """``"keeps"``, ``"drops"``, ``"does not keep"``, ``"does not drop"`` or ``"not applied"``."""
        if self.matched is None:
            return "not applied"
        verb = "keep" if self.clause.action == "INCLUDE" else "drop"
        return f"{verb}s" if self.matched else f"does not {verb}"

    def __repr__(self) -> str:
        return f"<ClauseOutcome {self.effect}: {mask(str(self.clause))}>"


@attrs.frozen
class Explanation:
    """The reasons why a filter keeps or drops a candidate.

    Attributes:
        kept: Whether the candidate is kept.
        clauses: The outcome of each expression of the chain, in order.
    """

    kept: bool
    clauses: tuple[ClauseOutcome, ...]


def _kept(outcomes: Iterable[tuple[Clause, bool | None]]) -> bool:
    """The union of the INCLUDEs that apply, minus the EXCLUDEs that apply."""
    restricted = included = False
    for clause, matched in outcomes:
        if clause.action == "EXCLUDE":
            if matched:
                return False
        elif matched is not None:
            restricted, included = True, included or matched
    return included or not restricted


def _outcome(clause: Clause, holds: Callable[[Condition], bool | None]) -> bool | None:
    """Tell whether a clause matches; ``None`` when it is not applied."""
    if not all(map(holds, clause.only_if)):
        return None
    applied = False
    for alternative in clause.where:
        results = [holds(condition) for condition in alternative]
        if None not in results:
            applied = True
            if all(results):
                return True
    return False if applied else None


def given_values(expression: FilterExpression, values: Mapping[str, FilterValue]) -> Given:
    """Convert the values of a request to canonical form, and check them as the service would.

    Raises:
        FilterValuesError: A value is unknown, missing in an INCLUDE, or of a kind that cannot be compared.
    """
    if not isinstance(cast(object, values), Mapping):
        raise FilterValuesError(
            f"filter values are a mapping of parameter name to value, not {describe(values)}",
            parameter="filter_values",
        )
    expression.check_values(values)
    given: dict[str, tuple[str | int | Decimal, ...]] = {}
    for name, value in values.items():
        decoded = decode(encode(value, parameter=name), parameter=name)
        expression.parameters[name].check(decoded, digits_are_numbers=True)
        given[name] = decoded if isinstance(decoded, tuple) else (decoded,)
    return given


@attrs.frozen
class _Operand:
    """The right side of a condition, ready to be compared."""

    texts: tuple[str, ...]
    numbers: tuple[int | float, ...]


def _operand(condition: Condition, given: Given, current_item: Row) -> _Operand | None:
    """The right side of a condition; ``None`` when it has no value."""
    right = condition.operand
    if isinstance(right, Field):
        value = cell(current_item, right.name)
        found = number(value)
        return _Operand(texts(value), () if found is None else (found,))
    values: list[str | int | Decimal] = []
    for value in right:
        if isinstance(value, Param):
            values += given.get(value.name, ())
        else:
            values.append(value)
    if not values:
        return None
    strings = tuple(value for value in values if isinstance(value, str))
    numbers = [cast("int | float", number(value)) for value in values if not isinstance(value, str)]
    if condition.operator in ORDERING and strings:
        numbers += [cast("int | float", number(value)) for value in strings]
    return _Operand(strings, tuple(numbers))


# Candidate by candidate.


def _test(
    expression: FilterExpression,
    item: Row,
    user: Row | None,
    current_item: Row | None,
    interactions: Iterable[Interaction | Row],
    values: Mapping[str, FilterValue],
) -> Callable[[Condition], bool | None]:
    """Make a function that tells whether a condition holds for the candidate; ``None`` when a value is missing."""
    _check_row("item", item)
    if user is not None:
        _check_row("user", user)
    if current_item is not None:
        _check_row("current_item", current_item)
    types: set[str] | None = None
    if expression.uses_interactions:
        types = _event_types(expression, item, user, interactions)
    return _conditions(given_values(expression, values), item, user or _NO_ROW, current_item or _NO_ROW, types)


def _check_row(name: str, row: object) -> None:
    # Not isinstance(Mapping), to which a row of pandas (a Series) does not belong.
    if isinstance(row, type) or not (hasattr(row, "items") and hasattr(row, "__getitem__")):
        raise ValidationError(f"{name} is {describe(row)}, not a mapping of column names to values", parameter=name)


def _conditions(
    given: Given, item: Row, user: Row, current_item: Row, types: set[str] | None
) -> Callable[[Condition], bool | None]:
    def holds(condition: Condition) -> bool | None:
        operand = _operand(condition, given, current_item)
        if operand is None:
            return None
        field = condition.field
        if field.dataset in EVENT_DATASETS:
            return _event_holds(condition.operator, types or set(), operand)
        return _holds(condition.operator, cell(user if field.dataset == "CurrentUser" else item, field.name), operand)

    return holds


def _event_types(
    expression: FilterExpression, item: Row, user: Row | None, interactions: Iterable[Interaction | Row]
) -> set[str]:
    """The types of the user's most recent events with the candidate."""
    target = expression.target
    candidate = row_id(item, target)
    if candidate is None:
        raise ValidationError(
            f"the filter looks at interactions, so the candidate needs its {ID_COLUMN[target]}", parameter="item"
        )
    user_id = candidate if target == "UserID" else None if user is None else row_id(user, "UserID")
    if not isinstance(cast(object, interactions), Iterable):
        raise ValidationError(
            f"interactions is {describe(interactions)}, not a list of Interaction or of rows", parameter="interactions"
        )
    events = map(as_interaction, interactions)
    own = (event for event in events if user_id is None or event.user_id in (user_id, ""))
    history = History(own, INTERACTIONS_PER_TYPE[target])
    return history.types(None if target == "UserID" else candidate)


def _event_holds(operator: Operator, types: set[str], operand: _Operand) -> bool:
    wanted = {text.casefold() for text in operand.texts}
    found = bool(types) if "*" in wanted else not types.isdisjoint(wanted)
    if operator in ("IN", "="):
        return found
    return not found if operator == "NOT IN" else bool(types) and not found


def _holds(operator: Operator, value: object, operand: _Operand) -> bool:
    if operator in ORDERING:
        left = number(value)
        return left is not None and any(_ordered(operator, left, right) for right in operand.numbers)
    own = texts(value)
    found = any(text in operand.texts for text in own) or (
        bool(operand.numbers) and (left := number(value)) is not None and left in operand.numbers
    )
    if operator in ("IN", "="):
        return found
    if operator == "NOT IN":
        return not found
    if operand.texts:
        return bool(own) and not found
    return bool(operand.numbers) and number(value) is not None and not found


def _ordered(operator: str, left: int | float, right: int | float) -> bool:
    if operator == "<":
        return left < right
    if operator == "<=":
        return left <= right
    return left > right if operator == ">" else left >= right


# On indexes.


@attrs.frozen
class Request:
    """The arguments of one request, and the snapshot of the catalogue that it sees."""

    table: Table
    catalogue: Catalogue
    given: Given
    user_id: str | None
    user: Row
    current_item: Row


class Selector:
    """A filter expression compiled for a catalogue by :meth:`FilterExpression.compile`.

    Immutable, and safe to share between threads.

    Attributes:
        expression: The expression.
        catalogue: The catalogue.
    """

    def __init__(self, expression: FilterExpression, catalogue: Catalogue) -> None:
        if expression.target != catalogue.target:
            raise ValidationError(
                f"the expression selects by {expression.target}, the catalogue holds candidates for {catalogue.target}",
                parameter="catalogue",
            )
        self.expression = expression
        self.catalogue = catalogue

    def allowed(
        self,
        *,
        user_id: str | None = None,
        current_item: str | None = None,
        values: Mapping[str, FilterValue] | None = None,
    ) -> Allowed:
        """The candidates that the filter lets through for one request.

        Args:
            user_id: The requesting user. Unknown users, or ``None``, have no events and no metadata.
            current_item: The item of the request, for ``CurrentItem``. Unknown items have no metadata.
            values: The values of the parameters. Wrap values in wire form in ``RawFilterValue``.

        Returns:
            The candidates, to iterate over or to filter a ranked list with.

        Raises:
            FilterValuesError: A value is unknown, missing in an INCLUDE, or of a kind that cannot be compared.
        """
        catalogue, table = self.catalogue, self.catalogue.table
        request = Request(
            table,
            catalogue,
            given_values(self.expression, values or {}),
            user_id,
            catalogue.users.get(user_id, _NO_ROW) if user_id is not None else _NO_ROW,
            table.rows.get(current_item, _NO_ROW) if current_item is not None else _NO_ROW,
        )
        included: int | None = None
        excluded = 0
        for clause in self.expression.clauses:
            if clause.only_if and not self._applies(clause, request):
                continue
            found = self._found(clause, request)
            if clause.action == "EXCLUDE":
                excluded |= found
            else:
                included = found if included is None else included | found
        kept = table.everything if included is None else included
        return Allowed(self, request, _without(kept, excluded), table.everything)

    def _applies(self, clause: Clause, request: Request) -> bool:
        return all(
            (operand := _operand(condition, request.given, _NO_ROW)) is not None
            and _holds(condition.operator, cell(request.user, condition.field.name), operand)
            for condition in clause.only_if
        )

    def _found(self, clause: Clause, request: Request) -> int:
        found = 0
        for alternative in clause.where:
            both: int | None = None
            for condition in alternative:
                rows = self._rows(condition, request)
                if rows is None:  # a value is missing
                    both = None
                    break
                both = rows if both is None else both & rows
            found |= both or 0
        return found

    def _rows(self, condition: Condition, request: Request) -> int | None:
        """The rows for which a condition holds; ``None`` when a value is missing."""
        table = request.table
        constant = not (
            condition.params or condition.field.dataset in EVENT_DATASETS or isinstance(condition.operand, Field)
        )
        if constant and condition in table.constant:
            return table.constant[condition]
        operand = _operand(condition, request.given, request.current_item)
        if operand is None:
            return None
        if condition.field.dataset in EVENT_DATASETS:
            return self._with_events(condition.operator, operand, request)
        rows = _compared(condition, operand, table)
        if constant and len(table.constant) < _MOST_CONSTANT:
            table.constant[condition] = rows
        return rows

    def _with_events(self, operator: Operator, operand: _Operand, request: Request) -> int:
        table, events = request.table, request.catalogue.events
        wanted = {text.casefold() for text in operand.texts}
        types = None if "*" in wanted else wanted
        if self.expression.target == "UserID":

            def having(kinds: set[str] | None) -> int:
                return table.bits(user_id for user_id in table.ids if events.items(user_id, kinds))
        else:

            def having(kinds: set[str] | None) -> int:
                return 0 if request.user_id is None else table.bits(events.items(request.user_id, kinds))

        found = having(types)
        if operator in ("IN", "="):
            return found
        return _without(table.everything if operator == "NOT IN" else having(None), found)

    def judges(self, candidate: str, request: Request) -> bool:
        """Tell whether a candidate is let through. One outside the catalogue may have events, but has no metadata."""
        holds = self._test(candidate, request)
        return _kept((clause, _outcome(clause, holds)) for clause in self.expression.clauses)

    def explains(self, candidate: str, request: Request) -> Explanation:
        """The reasons for :meth:`judges`."""
        return _explained(self.expression, self._test(candidate, request))

    def _test(self, candidate: str, request: Request) -> Callable[[Condition], bool | None]:
        target = self.expression.target
        types: set[str] = set()
        if target == "UserID":
            types = request.catalogue.events.types(candidate, None)
        elif request.user_id is not None:
            types = request.catalogue.events.types(request.user_id, candidate)
        row: Row = {**request.table.rows.get(candidate, _NO_ROW), ID_COLUMN[target]: candidate}
        return _conditions(request.given, row, request.user, request.current_item, types)

    def __repr__(self) -> str:
        return f"<Selector {mask(str(self.expression))}>"


def _compared(condition: Condition, operand: _Operand, table: Table) -> int:
    operator, column = condition.operator, condition.field.name
    found = 0
    if operator in ORDERING:
        for value in operand.numbers:
            found |= table.numbers(column).compared(operator, value)
        return found
    if operand.texts:
        found = table.texts(column).having(operand.texts)
    for value in operand.numbers:
        found |= table.numbers(column).compared("=", value)
    if operator in ("IN", "="):
        return found
    if operator == "NOT IN":
        return _without(table.everything, found)
    if operand.texts:
        return _without(table.texts(column).present, found)
    return _without(table.numbers(column).present, found) if operand.numbers else 0


def _without(rows: int, others: int) -> int:
    # Not rows & ~others, which takes several times as long: ~ makes a negative int.
    return rows ^ (rows & others)


class Allowed:
    """The candidates that a filter lets through for a request.

    Iterating gives the ids in the order of the catalogue. ``in`` also works for ids outside the catalogue, as
    candidates without metadata.
    """

    def __init__(self, selector: Selector, request: Request, rows: int, everything: int) -> None:
        self._selector = selector
        self._request = request
        self._rows = rows
        self._everything = everything
        self._bytes: bytes | None = None

    @property
    def rows(self) -> int:
        """A bit for each candidate that is let through, the lowest for the first of the catalogue."""
        return self._rows

    @property
    def everything(self) -> bool:
        """``True`` if the whole catalogue is let through."""
        return self._rows == self._everything

    def first(self, count: int) -> Allowed:
        """The same of the first so many candidates of the catalogue, as if there were no others in it."""
        if count >= len(self._request.table.ids):
            return self
        everything = (1 << count) - 1
        return Allowed(self._selector, self._request, self._rows & everything, everything)

    def explain(self, candidate: str) -> Explanation:
        """The reasons why a candidate is let through, or is not. Takes microseconds, however long the history is."""
        return self._selector.explains(candidate, self._request)

    def keep(self, ids: Iterable[str]) -> list[str]:
        """The given ids that are let through, in the given order."""
        return list(filter(self.__contains__, ids))

    def __contains__(self, candidate: object) -> bool:
        if not isinstance(candidate, str):
            return False
        table = self._request.table
        row = table.row_of.get(candidate)
        if row is None:
            return self._selector.judges(candidate, self._request)
        flags = self._bytes
        if flags is None:
            flags = self._bytes = self._rows.to_bytes((len(table.ids) + 7) >> 3, "little")
        return bool(flags[row >> 3] >> (row & 7) & 1)

    def __iter__(self) -> Iterator[str]:
        ids = self._request.table.ids
        # bin() writes the last row first; compress() takes one byte of 0 or 1 for each row.
        flags = bin(self._rows)[2:].encode().translate(_FLAGS)[::-1]
        return compress(ids, flags)

    def __len__(self) -> int:
        return self._rows.bit_count()

    def __repr__(self) -> str:
        return f"<Allowed {len(self):,} of {len(self._request.table.ids):,}>"


_FLAGS = bytes.maketrans(b"01", b"\0\1")
