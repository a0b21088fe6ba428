"""The filters of an embedded service, checked against the schemas when created, and applied on indexes.

:mod:`personalize_rt.filters` evaluates expressions. This module adds the service's context: the names of filters, the
columns of the datasets and their types, the events, and the check that a filter suits the request.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal

import attrs

from personalize_rt import forks
from personalize_rt.errors import FilterSyntaxError, ValidationError
from personalize_rt.filters import Catalogue, Filter, FilterExpression, RawFilterValue, Selector, decode
from personalize_rt.filters.catalogue import INTERACTIONS_PER_TYPE, EventIndex, History
from personalize_rt.filters.diagnostics import mask, near, syntax_error
from personalize_rt.filters.expression import Parameter
from personalize_rt.filters.selection import Allowed, Explanation
from personalize_rt.filters.terms import EVENT_DATASETS, ORDERING, Condition, Field, Target
from personalize_rt.interactions import Interaction
from personalize_rt.local import schemas
from personalize_rt.local.additions import Additions, Row
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.life import Life
from personalize_rt.local.schemas import Value
from personalize_rt.local.stream import Stream
from personalize_rt.names import is_resource_name

__all__ = ["Filters", "StoredFilter", "check_fields", "parse", "why_unfit"]

# Guide, limits: distinct fields over all filters of a dataset group.
_FIELDS_OF_ALL = 20
_NUMERIC = ("long", "int", "double", "float")
_DIGITS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
# The name of a dataset in expressions, and in this package.
_OPTION = {
    "Items": "items",
    "CurrentItem": "items",
    "Users": "users",
    "CurrentUser": "users",
    "Actions": "actions",
    "Interactions": "interactions",
    "Action_Interactions": "action_interactions",
}


# Creating a filter.


def parse(text: str | FilterExpression, datasets: Datasets) -> FilterExpression:
    """Parse an expression and check its fields and their types.

    Raises:
        FilterSyntaxError: The first problem.
    """
    expression = Filter.parse(text) if isinstance(text, str) else text
    problems = check_fields(expression, text if isinstance(text, str) else str(text), datasets)
    if problems:
        raise problems[0]
    return expression


def check_fields(expression: FilterExpression, text: str, datasets: Datasets) -> list[FilterSyntaxError]:
    """Find unknown fields in an expression, and comparisons that the types of fields do not allow.

    Args:
        expression: The expression.
        text: The text of the expression.
        datasets: The datasets, for their columns.
    """
    found: dict[str, FilterSyntaxError] = {}
    for clause in expression.clauses:
        for condition in clause.conditions:
            for field, problem, hint in _problems_of(condition, datasets):
                start, end = _place(field, text)
                error = syntax_error(text, start, end, problem, hint=hint)
                found.setdefault(error.message, error)
    return list(found.values())


def _problems_of(condition: Condition, datasets: Datasets) -> Iterator[tuple[Field, str, str]]:
    """The problems of a condition, each with the field, the problem and a hint."""
    right = condition.operand
    fields = [condition.field, *([right] if isinstance(right, Field) else [])]
    if any(_OPTION[field.dataset] in datasets.unread for field in fields):
        return
    columns: list[schemas.Field] = []
    for field in fields:
        column = _column(field, datasets)
        if column is None:
            yield field, *_unknown(field, datasets)
        elif column.type == "boolean":
            hint = 'keep it as a string, "True" or "False", or as a number, 1 or 0'
            yield field, f"{field} is boolean, and boolean fields cannot be filtered", hint
        elif column.textual:
            yield field, f"{field} is textual, and textual fields cannot be filtered", ""
        else:
            columns.append(column)
    if len(columns) < len(fields):
        return
    number = columns[0].type in _NUMERIC
    if condition.operator in ORDERING and not number:
        yield condition.field, f"{condition.operator} compares numbers, and {condition.field} holds strings", ""
    elif isinstance(right, Field):
        if number != (columns[1].type in _NUMERIC):
            yield right, f"{condition.field} and {right} cannot be compared: one is a number, the other a string", ""
    else:
        texts = [value for value in right if isinstance(value, str)]
        literals = [value for value in right if isinstance(value, str | int) or type(value).__name__ == "Decimal"]
        if number and not all(map(_DIGITS.fullmatch, texts)):
            yield condition.field, f"{condition.field} is a number, and is compared with a string", ""
        elif not number and len(texts) < len(literals):
            hint = "put the value in double quotes"
            yield condition.field, f"{condition.field} holds strings, and is compared with a number", hint


def _unknown(field: Field, datasets: Datasets) -> tuple[str, str]:
    dataset = schemas.DATASETS[_OPTION[field.dataset]]
    columns = _columns(field, datasets)
    if columns is None:
        return f"there is no {dataset.file}, so {field.dataset} has no fields", ""
    return f"{dataset.file} has no column {field.name}", near(field.name, columns) or f"it has {', '.join(columns)}"


def _columns(field: Field, datasets: Datasets) -> Mapping[str, schemas.Field] | None:
    held = _held(field, datasets)
    return None if held is None else {name: column for name, column in held.fields.items() if _usable(field, name)}


def _column(field: Field, datasets: Datasets) -> schemas.Field | None:
    held = _held(field, datasets)
    column = None if held is None else held.column(field.name)
    return column if column is not None and _usable(field, column.name) else None


def _held(field: Field, datasets: Datasets) -> Table | EventLog | None:
    held: Table | EventLog | None = getattr(datasets, _OPTION[field.dataset])
    return held


def _usable(field: Field, column: str) -> bool:
    """Tell whether filters may use a column of a field's dataset."""
    if field.dataset in EVENT_DATASETS:
        return column == "EVENT_TYPE"
    return not (field.dataset.startswith("Current") and column in schemas.DATASETS[_OPTION[field.dataset]].key)


def _place(field: Field, text: str) -> tuple[int, int]:
    """Find the span of a field in a text, where it may be singular, in any case, and with white space at the dot."""
    dataset = re.escape(field.dataset)
    dataset = f"{dataset[:-1]}s?" if dataset.endswith("s") else dataset
    found = re.search(rf"(?<!\w){dataset}\s*\.\s*{re.escape(field.name)}(?!\w)", mask(text), re.IGNORECASE)
    return found.span() if found else (0, 1)


@attrs.frozen(eq=False, repr=False)
class StoredFilter:
    """One filter.

    Attributes:
        name: Its name.
        arn: Its ARN.
        expression: Its expression.
        parameters: The parameters, with their kinds by the schemas.
        text: The expression as it was written.
        life: When it was created, and whether it is being deleted.
        selectors: The compiled expression, by the automatic filter that it is chained with. They go with the filter, so
            that one of the same name that takes its place has its own.
    """

    name: str
    arn: str
    expression: FilterExpression
    parameters: Mapping[str, Parameter]
    text: str = ""
    life: Life = attrs.field(factory=Life)
    selectors: dict[str, Selector] = attrs.field(factory=dict[str, Selector], init=False)


def _fields_of(expression: FilterExpression) -> set[tuple[str, str]]:
    return {(_OPTION[field.dataset], field.name.upper()) for field in expression.fields}


def _with_kinds(expression: FilterExpression, datasets: Datasets) -> dict[str, Parameter]:
    kinds: dict[str, set[Literal["text", "number"]]] = {}
    for clause in expression.clauses:
        for condition in clause.conditions:
            column = _column(condition.field, datasets)
            for param in condition.params:
                kind: Literal["text", "number"] = "number" if column and column.type in _NUMERIC else "text"
                kinds.setdefault(param.name, set()).add(kind)
    return {
        name: attrs.evolve(parameter, kind=next(iter(kinds[name])) if len(kinds[name]) == 1 else "any")
        for name, parameter in expression.parameters.items()
    }


# Applying filters.


class Filters:
    """The filters of one dataset group, and the indexes that they share. Safe to share between threads.

    Args:
        prefix: Their ARNs without the name (``"arn:aws:personalize:eu-west-1:000000000000:filter/"``).
        datasets: The data.
        items: The events with items that were put.
        actions: The events with actions that were put.
        added: The items, users and actions that were put.
        clock: Returns the Unix time in seconds.
    """

    _lock = forks.PerProcess(lambda: threading.RLock())

    def __init__(
        self,
        prefix: str,
        datasets: Datasets,
        items: Stream,
        actions: Stream,
        added: Additions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._prefix = prefix
        self._clock = clock
        self._added = added or Additions()
        self._datasets = datasets
        self._streams: Mapping[Target, Stream] = {"ItemID": items, "ActionID": actions}
        self._logs: Mapping[Target, EventLog] = {
            "ItemID": datasets.interactions or EventLog(),
            "ActionID": datasets.action_interactions or EventLog(),
        }
        self._stored: dict[str, StoredFilter] = {}
        self._fields: Counter[tuple[str, str]] = Counter()  # by the number of filters that use them
        self._catalogues: dict[Target, Catalogue] = {}
        self._automatic: dict[str, Selector] = {}

    def over(self, datasets: Datasets) -> Filters:
        """The same filters over other datasets."""
        items, actions = self._streams["ItemID"], self._streams["ActionID"]
        new = Filters(self._prefix, datasets, items, actions, self._added, self._clock)
        with self._lock:
            new._fields = Counter(self._fields)
            new._stored = {
                arn: attrs.evolve(one, parameters=_with_kinds(one.expression, datasets))
                for arn, one in self._stored.items()
            }
        return new

    @property
    def arns(self) -> dict[str, str]:
        """The ARN of each filter, by name."""
        return {stored.name: stored.arn for stored in self}

    def __iter__(self) -> Iterator[StoredFilter]:
        """The filters, in the order of their creation."""
        now = self._clock()
        return (stored for stored in tuple(self._stored.values()) if stored.life.exists(now))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, name: str, expression: FilterExpression, text: str = "", life: Life | None = None) -> str:
        """Add a filter whose fields were checked.

        Args:
            name: Its name.
            expression: Its expression.
            text: The expression as it was written; by default as this package writes it.
            life: When it is created, and how long that takes.

        Returns:
            Its ARN.

        Raises:
            ValidationError: The name is not valid, or taken; or too many fields are in use.
        """
        if not is_resource_name(name):
            raise ValidationError(
                f"{name!r} is no name of a filter: letters, digits, - and _, at most 63", parameter="name"
            )
        with self._lock:
            self._bury()
            arn = self._prefix + name
            if arn in self._stored:
                raise ValidationError(f"there is a filter {name!r} already: filters never change", parameter="name")
            fields = _fields_of(expression).union(self._fields)
            if len(fields) > _FIELDS_OF_ALL:
                raise ValidationError(
                    f"the filters use {len(fields)} different fields; a dataset group may use {_FIELDS_OF_ALL} "
                    "(guide, limits)",
                    parameter="expression",
                    limit=_FIELDS_OF_ALL,
                )
            kinds = _with_kinds(expression, self._datasets)
            self._fields.update(_fields_of(expression))
            self._stored[arn] = StoredFilter(name, arn, expression, kinds, text or str(expression), life or Life())
            return arn

    def trial(self, expression: FilterExpression) -> StoredFilter:
        """A filter that can be applied and explained, and is not added."""
        return StoredFilter("", "", expression, _with_kinds(expression, self._datasets))

    def find(self, arn: str) -> StoredFilter | None:
        """The filter of an ARN, or ``None``."""
        stored = self._stored.get(arn)
        return stored if stored is None or stored.life.exists(self._clock()) else None

    def delete(self, arn: str, pace: float = 0.0) -> None:
        """Begin to delete a filter. A request that uses it at this moment is answered with it.

        Args:
            arn: The filter, which exists.
            pace: Seconds that the deletion takes.
        """
        with self._lock:
            stored = self._stored[arn]
            life = attrs.evolve(stored.life, deleted=self._clock(), pace=pace)
            self._stored[arn] = attrs.evolve(stored, life=life)
            self._bury()

    def _bury(self) -> None:
        """Forget the filters whose deletion is complete, so that their names are free."""
        now = self._clock()
        for stored in tuple(self._stored.values()):
            if stored.life.deleted is not None and not stored.life.exists(now):
                del self._stored[stored.arn]
                self._fields -= Counter(_fields_of(stored.expression))  # which drops those that nobody uses

    def allowed(
        self,
        stored: StoredFilter | None,
        automatic: str,
        *,
        user_id: str | None,
        item_id: str | None,
        values: Mapping[str, str],
    ) -> Allowed | None:
        """The candidates that pass the filters of a request.

        Args:
            stored: Its filter, or ``None``.
            automatic: The expression that the use case adds, or an empty string.
            user_id: The requesting user.
            item_id: The item of the request.
            values: The encoded values of the filter's parameters.

        Returns:
            The candidates, or ``None`` without any filter.

        Raises:
            FilterValuesError: A value is missing, unknown, malformed, or of a kind that its column cannot be compared
                with.
        """
        if stored is None and not automatic:
            return None
        if stored is not None:
            self._check_values(stored, values)
        given = {name: RawFilterValue(text) for name, text in values.items()}
        return self._selector(stored, automatic).allowed(user_id=user_id, current_item=item_id, values=given)

    def explain(
        self,
        stored: StoredFilter,
        candidate: str,
        *,
        user_id: str | None,
        item_id: str | None,
        values: Mapping[str, str],
    ) -> Explanation:
        """Explain why a filter keeps or drops one candidate.

        Raises:
            FilterValuesError: See :meth:`allowed`.
        """
        allowed = self.allowed(stored, "", user_id=user_id, item_id=item_id, values=values)
        assert allowed is not None  # since there is a filter
        return allowed.explain(candidate)

    def candidates(self, stored: StoredFilter) -> Sequence[str]:
        """All candidates of a filter, in the order of the data."""
        return self._catalogue(stored.expression.target).table.ids

    def _check_values(self, stored: StoredFilter, values: Mapping[str, str]) -> None:
        stored.expression.check_values(values)
        for name, text in values.items():
            stored.parameters[name].check(decode(text, parameter=name), digits_are_numbers=True)

    def prepare(self) -> None:
        """Build the indexes that the filters use."""
        for stored in tuple(self._stored.values()):
            target = stored.expression.target
            if target == "UserID":
                continue
            self._logs[target].by_user()
            table = self._catalogue(target).table
            for clause in stored.expression.clauses:
                for condition in clause.conditions:
                    field = condition.field
                    if field.dataset in ("Items", "Actions"):
                        column = _column(field, self._datasets)
                        if column is not None and column.type in _NUMERIC:
                            table.numbers(field.name)
                        else:
                            table.texts(field.name)

    def put_rows(self, dataset: str, rows: Mapping[str, Row]) -> None:
        """Add items, users or actions (``"items"``, ``"users"``, ``"actions"``), or replace them."""
        with self._lock:
            self._added.put(dataset, rows)
            for target, catalogue in self._catalogues.items():
                if dataset == "users":
                    catalogue.put_users(rows)
                elif dataset == _ROWS_OF[target]:
                    catalogue.put_rows(rows)

    def tell(self, target: Target, event: Interaction) -> None:
        """Add an event that was put to the indexes."""
        catalogue = self._catalogues.get(target)
        if catalogue is not None:
            catalogue.add_interaction(event)

    def _selector(self, stored: StoredFilter | None, automatic: str) -> Selector:
        selectors = self._automatic if stored is None else stored.selectors
        selector = selectors.get(automatic)
        if selector is None:
            clauses = () if stored is None else stored.expression.clauses
            # The automatic filter is one more EXCLUDE expression, so it can be chained.
            clauses += Filter.parse(automatic).clauses if automatic else ()
            expression = FilterExpression(clauses)
            selector = selectors[automatic] = expression.compile(self._catalogue(expression.target))
        return selector

    def _catalogue(self, target: Target) -> Catalogue:
        with self._lock:
            catalogue = self._catalogues.get(target)
            if catalogue is None:
                catalogue = _catalogue_of(
                    target, self._datasets, self._logs[target], self._streams[target], self._added
                )
                self._catalogues[target] = catalogue
            return catalogue


def _catalogue_of(target: Target, datasets: Datasets, log: EventLog, stream: Stream, added: Additions) -> Catalogue:
    held: Mapping[str, Row] = (getattr(datasets, _ROWS_OF[target]) or Table()).lasting_rows()
    # Items with only interactions are candidates without metadata. They come first, as in the models; what was put at
    # run time comes last, so that it moves no number of the models.
    known = dict.fromkeys(log.targets, _NOTHING) if target == "ItemID" else {}
    users = {} if datasets.users is None else datasets.users.lasting_rows()
    catalogue = Catalogue(
        {**known, **held, **added.of(_ROWS_OF[target])}, target=target, users={**users, **added.of("users")}
    )
    catalogue.events = _Histories(log, stream, INTERACTIONS_PER_TYPE[target])
    return catalogue


_ROWS_OF: Mapping[Target, str] = {"ItemID": "items", "ActionID": "actions", "UserID": "users"}
_NOTHING: Mapping[str, Value] = {}


class _Histories(EventIndex):
    """The histories of all users, read from the log and the stream on first use.

    So a log of a million events does not become a million objects.
    """

    def __init__(self, log: EventLog, stream: Stream, most: int) -> None:
        super().__init__((), most)
        self._of_user: Sequence[Callable[[str], Sequence[Interaction]]] = (log.of_user, stream.of_user)

    def add(self, event: Interaction) -> None:
        # A history that is built later is read from the stream, which already has the event.
        with self._lock:
            history = self._histories.get(event.user_id)
            if history is not None:
                history.add(event)

    def _history(self, user_id: str) -> History:
        history = self._histories.get(user_id)
        if history is None:
            events = [*chain.from_iterable(of_user(user_id) for of_user in self._of_user)]
            history = History(events, self._most)
            # Empty histories are not kept, since a client may ask for any number of unknown users.
            if events:
                self._histories[user_id] = history
        return history


def why_unfit(stored: StoredFilter, target: Target, *, user_id: str | None, seeded: bool) -> str | None:
    """The reason why a filter does not suit a request, or ``None``.

    Args:
        stored: The filter.
        target: The kind of the request's candidates.
        user_id: The requesting user.
        seeded: Whether the recipe takes an item of the request.
    """
    expression = stored.expression
    if expression.target == "UserID":
        return f"the filter {stored.name} selects users, for batch segments only"
    if expression.target != target:
        kind = {"ItemID": "items", "ActionID": "actions"}
        return f"the filter {stored.name} selects {kind[expression.target]}, not {kind[target]}"
    if expression.uses_current_item and not seeded:
        return f"the filter {stored.name} compares with CurrentItem, and only related items have one"
    if (expression.uses_interactions or expression.uses_current_user) and not user_id:
        return f"the filter {stored.name} looks at the user, and the request names none"
    return None
