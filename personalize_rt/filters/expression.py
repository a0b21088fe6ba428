"""Filter expressions as values, and filters with their parameters bound for a request.

::

    Filter(arn, text) ──.expression──> FilterExpression ──.clauses──> Clause ──> Condition ──> Field, Param, literals
       └──.bind(GENRE=["Comedy"])──> BoundFilter (.filter_arn, .filter_values)

An expression is a chain of clauses (joined by ``|``); each keeps or drops the candidates that match it. The language
has no brackets around conditions, so AND binds before OR and a clause is a list of alternatives, each a list of
conditions that must all hold.

Everything here is immutable and may be shared between threads. ``repr`` hides literals and values; ``str`` of an
expression is its canonical text. Decisions on points that the guide leaves open are in one table: "What filters mean"
in the documentation (``docs/explanation/filter-semantics.md``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from personalize_rt.errors import FilterValuesError, ValidationError
from personalize_rt.filters.diagnostics import mask, near
from personalize_rt.filters.terms import (
    EVENT_DATASETS,
    ORDERING,
    Clause,
    Condition,
    Field,
    Param,
    Target,
    Value,
    write,
)
from personalize_rt.filters.values import LEAVE_OUT, FilterValue, RawFilterValue, check_name, decode, encode
from personalize_rt.limits import Limits
from personalize_rt.names import ARN
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from personalize_rt.filters.catalogue import Catalogue, Row
    from personalize_rt.filters.selection import Explanation, Selector
    from personalize_rt.interactions import Interaction

__all__ = [
    "BoundFilter",
    "Clause",
    "Condition",
    "Field",
    "Filter",
    "FilterExpression",
    "Param",
    "Parameter",
]

_LIMITS = Limits()


@attrs.frozen
class Parameter:
    """A parameter of a filter, whose value comes with each request.

    Attributes:
        name: The key in ``filter_values``; its case counts.
        required: Whether an INCLUDE uses it. Without a value for an optional one, the parts of the expression
            that use it are not applied.
        kind: ``"text"``, ``"number"``, or ``"any"`` when the expression does not tell.
        many: Whether several values may be given: it is used with IN only.
        fields: The fields that it is compared with, in order.
    """

    name: str
    required: bool
    kind: Literal["text", "number", "any"]
    many: bool
    fields: tuple[str, ...]

    def check(self, value: object, *, digits_are_numbers: bool = False) -> None:
        """Refuse a value that the operators cannot use.

        Args:
            value: The canonical value, as ``decode`` gives it.
            digits_are_numbers: Whether it was encoded, perhaps by another language. Then a string of digits is accepted
                as a number, as the service is said to do, and advice is about the encoded form.

        Raises:
            FilterValuesError: With advice, and without the value.
        """
        values = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        where = " and ".join(self.fields)
        if len(values) > 1 and not self.many:
            raise FilterValuesError(
                f"the filter value {self.name} holds {len(values)} values, but {where} is compared with one: "
                "send one, or use IN in the expression",
                parameter=self.name,
            )
        texts = [value for value in values if isinstance(value, str)]
        if self.kind == "text" and len(texts) < len(values):
            raise FilterValuesError(
                f"the filter value {self.name} is a number, but {where} wants strings: "
                + ("put it in double quotes" if digits_are_numbers else "send a str"),
                parameter=self.name,
            )
        if self.kind == "number" and texts and not (digits_are_numbers and all(map(_DIGITS.fullmatch, texts))):
            raise FilterValuesError(
                f"the filter value {self.name} is a string, but {where} wants a number: send its digits"
                if digits_are_numbers
                else f"the filter value {self.name} is a str, but {where} wants a number: send an int, float, Decimal "
                "or aware datetime",
                parameter=self.name,
            )


_DIGITS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


@attrs.frozen(repr=False)
class FilterExpression:
    """A filter expression: parsed, checked, immutable.

    ``Filter.parse``, ``from_dict`` and :mod:`personalize_rt.filters.builder` make them.

    Attributes:
        clauses: The chained expressions, in order. The order has no effect on the result.
    """

    clauses: tuple[Clause, ...]
    _parameters: Mapping[str, Parameter] | None = attrs.field(default=None, init=False, eq=False)
    _datasets: frozenset[str] | None = attrs.field(default=None, init=False, eq=False)

    @property
    def target(self) -> Target:
        """The kind of id that is selected: ``"ItemID"``, ``"ActionID"`` or ``"UserID"`` (batch segments only)."""
        return self.clauses[0].target

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The placeholders by name, in the order of their first use."""
        if self._parameters is None:
            object.__setattr__(self, "_parameters", _parameters(self.clauses))
        return MappingProxyType(cast("dict[str, Parameter]", self._parameters))

    @property
    def fields(self) -> tuple[Field, ...]:
        """The distinct fields, in order, those of ``CurrentUser`` and ``CurrentItem`` included."""
        found: dict[Field, None] = {}
        for clause in self.clauses:
            for condition in clause.conditions:
                found[condition.field] = None
                if isinstance(condition.operand, Field):
                    found[condition.operand] = None
        return tuple(found)

    @property
    def datasets(self) -> frozenset[str]:
        """The datasets of the fields, ``CurrentUser`` and ``CurrentItem`` included."""
        if self._datasets is None:
            object.__setattr__(self, "_datasets", frozenset(field.dataset for field in self.fields))
        return cast("frozenset[str]", self._datasets)

    @property
    def uses_interactions(self) -> bool:
        """``True`` if the filter looks at the user's events, so that the request needs a user."""
        return not EVENT_DATASETS.isdisjoint(self.datasets)

    @property
    def uses_current_user(self) -> bool:
        """``True`` if the filter looks at the user's metadata, so that the request needs a user."""
        return "CurrentUser" in self.datasets

    @property
    def uses_current_item(self) -> bool:
        """``True`` if candidates are compared with the request's item, as only related-items recipes can."""
        return "CurrentItem" in self.datasets

    def matches(
        self,
        item: Row,
        *,
        user: Row | None = None,
        current_item: Row | None = None,
        interactions: Iterable[Interaction | Row] = (),
        values: Mapping[str, FilterValue] | None = None,
    ) -> bool:
        """Tell whether the filter keeps a candidate.

        Args:
            item: The candidate (an item, an action, or for ``UserID`` a user): column name to value, in any case.
                Several categories are one string with ``|`` between them, or a list. An expression that looks at
                interactions needs its ``ITEM_ID``, ``ACTION_ID`` or ``USER_ID``.
            user: The columns of the requesting user. Without it no IF condition holds except NOT IN.
            current_item: The columns of the request's item, for ``CurrentItem``.
            interactions: The events of the requesting user, as :class:`~personalize_rt.interactions.Interaction`
                or as rows with ``ITEM_ID`` (or ``ACTION_ID``), ``EVENT_TYPE`` and ``TIMESTAMP``. When *user* has a
                ``USER_ID``, events of other users are left out. Of each event type the 100 most recent count,
                for actions 300 (guide, limits).
            values: The values of the parameters, as for ``bind()``.

        Returns:
            ``True`` when the candidate is kept.

        Raises:
            FilterValuesError: A value is missing in an INCLUDE, unknown, or of a kind that cannot be compared.
            ValidationError: The filter looks at interactions, and the candidate has no id.
        """
        from personalize_rt.filters.selection import matches

        return matches(self, item, user=user, current_item=current_item, interactions=interactions, values=values or {})

    def explain(
        self,
        item: Row,
        *,
        user: Row | None = None,
        current_item: Row | None = None,
        interactions: Iterable[Interaction | Row] = (),
        values: Mapping[str, FilterValue] | None = None,
    ) -> Explanation:
        """Explain, clause by clause, why the filter keeps or drops a candidate.

        Args, Raises:
            As for :meth:`matches`.
        """
        from personalize_rt.filters.selection import explain

        return explain(self, item, user=user, current_item=current_item, interactions=interactions, values=values or {})

    def compile(self, catalogue: Catalogue) -> Selector:
        """Turn the expression into a selector on the indexes of a catalogue.

        Args:
            catalogue: The candidates, users and events. Its indexes are shared by all selectors.

        Returns:
            A selector that takes microseconds for a request, whatever the size of the catalogue.

        Raises:
            ValidationError: The catalogue holds another kind of candidates.
        """
        from personalize_rt.filters.selection import Selector

        return Selector(self, catalogue)

    def check_values(self, values: Mapping[str, object], *, require: bool = True) -> None:
        """Refuse unknown parameter names and, by default, missing required ones.

        Args:
            values: Parameter name to value; only the names are looked at.
            require: Whether required parameters must be there.

        Raises:
            FilterValuesError: With ``.parameter`` the name.
        """
        parameters = self.parameters
        for name in values:
            if name not in parameters:
                check_name(name)
                raise FilterValuesError(
                    f"the filter has no parameter {name!r}; {_advice(name, parameters)}", parameter=name
                )
        for name, parameter in parameters.items():
            if require and parameter.required and name not in values:
                raise FilterValuesError(
                    f"the filter value {name} is missing: an INCLUDE uses ${name} with "
                    f"{' and '.join(parameter.fields)}, and INCLUDE needs all of its values",
                    parameter=name,
                )

    def __or__(self, other: FilterExpression) -> FilterExpression:
        """Chain two expressions: ``include(…) | exclude(…)``.

        Raises:
            FilterSyntaxError: The chain breaks a rule, such as the limit on fields.
        """
        if not isinstance(cast(object, other), FilterExpression):
            return NotImplemented
        return checked(FilterExpression(self.clauses + other.clauses))

    def to_dict(self) -> dict[str, Any]:
        """The expression as plain data for JSON; :meth:`from_dict` reads it.

        Literals are strings and ints; other numbers are ``{"number": "19.5"}``, placeholders
        ``{"parameter": "GENRE"}``.
        """
        return {
            "clauses": [
                {
                    "action": clause.action,
                    "target": clause.target,
                    "where": [[_condition_to_dict(condition) for condition in group] for group in clause.where],
                    "only_if": [_condition_to_dict(condition) for condition in clause.only_if],
                }
                for clause in self.clauses
            ]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FilterExpression:
        """Read what :meth:`to_dict` wrote, with the checks of the parser.

        Raises:
            ValidationError: The data is not of that form, or (as FilterSyntaxError) breaks a rule of the language.
        """
        try:
            clauses = tuple(
                Clause(
                    clause["action"],
                    clause["target"],
                    tuple(tuple(_condition_from_dict(condition) for condition in group) for group in clause["where"]),
                    tuple(_condition_from_dict(condition) for condition in clause.get("only_if", ())),
                )
                for clause in data["clauses"]
            )
            str(cls(clauses))
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            clauses = None
        if clauses is None:
            raise ValidationError(
                "this is no filter expression as to_dict() writes it: "
                '{"clauses": [{"action", "target", "where": [[{"field", "operator", "values"}]], "only_if"}]}',
                parameter="data",
            )
        return checked(cls(clauses))

    def __str__(self) -> str:
        return write(self.clauses)

    def __repr__(self) -> str:
        return f"<FilterExpression {mask(str(self))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return FilterExpression, (self.clauses,)


def checked(expression: FilterExpression, limits: Limits = _LIMITS) -> FilterExpression:
    """Check an expression that was not parsed from text, by the parser's rules, and return it.

    Raises:
        FilterSyntaxError: The expression breaks a rule; the position is that in its canonical text.
        ValidationError: A name or a string cannot be written in the language.
    """
    from personalize_rt.filters.parser import parse

    parsed = FilterExpression(parse(str(expression), limits=limits))
    if parsed != expression:
        raise ValidationError(
            "a name or a string in this expression cannot be written in the filter language", parameter="expression"
        )
    return parsed


@attrs.frozen(repr=False, init=False)
class Filter:
    """A filter of the service: its ARN, and the expression that it was created with.

    A filter takes well under a millisecond to make. Define filters at module level, so that a wrong expression fails on
    import and not in a request.

    Attributes:
        arn: The ARN.
        expression: The expression.
        limits: The limits on values.
    """

    arn: str
    expression: FilterExpression
    limits: Limits

    def __init__(self, arn: str, expression: str | FilterExpression, *, limits: Limits = _LIMITS) -> None:
        """Check the ARN's form and parse the expression.

        Args:
            arn: The ARN that CreateFilter returned.
            expression: The text that CreateFilter was given, or the same parsed or built.
            limits: The service's limits.

        Raises:
            FilterSyntaxError: The expression does not parse, or breaks a rule that the service checks.
            ValidationError: ``arn`` is not the ARN of a filter.
        """
        if not isinstance(cast(object, arn), str) or (limits.patterns and not ARN.fullmatch(arn)):
            raise ValidationError(
                "a Filter begins with its ARN (arn:aws:personalize:region:account:filter/name), then its expression",
                parameter="filter_arn",
            )
        if limits.arn_length is not None and len(arn) > limits.arn_length:
            raise ValidationError(
                f"an ARN has at most {limits.arn_length} characters, not {len(arn)} (model: Arn)",
                parameter="filter_arn",
                limit=limits.arn_length,
            )
        if isinstance(expression, FilterExpression):
            parsed = checked(expression, limits)
        else:
            parsed = Filter.parse(expression, limits=limits)
        self.__attrs_init__(arn, parsed, limits)

    if TYPE_CHECKING:

        def __attrs_init__(self, arn: str, expression: FilterExpression, limits: Limits) -> None: ...

    @staticmethod
    def parse(text: str, *, limits: Limits = _LIMITS) -> FilterExpression:
        """Parse and check an expression.

        Args:
            text: The expression.
            limits: The limits on its length and number of fields.

        Returns:
            The expression, for checking, formatting and local evaluation.

        Raises:
            FilterSyntaxError: With line, column, a caret under the offending token, and what to write instead.
        """
        from personalize_rt.filters.parser import parse

        return FilterExpression(parse(text, limits=limits))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The placeholders by name."""
        return self.expression.parameters

    def bind(self, values: Mapping[str, FilterValue] | None = None, /, **named: FilterValue) -> BoundFilter:
        """Give the parameters their values.

        Args:
            values: Parameter name to value, for names that Python does not take as keywords.
            **named: The same, as keywords.

        Returns:
            The filter, ready for a request.

        Raises:
            FilterValuesError: A name is unknown, a value that an INCLUDE needs is missing, or a value cannot be sent or
                compared. The message never shows a value.
        """
        if values is not None and not isinstance(cast(object, values), Mapping):
            raise FilterValuesError(
                f"filter values are a mapping of parameter name to value, not {describe(values)}",
                parameter="filter_values",
            )
        given = named if not values else {**values, **named}
        if values and (twice := values.keys() & named.keys()):
            name = min(twice)
            raise FilterValuesError(f"the filter value {name} is given twice", parameter=name)
        self.expression.check_values(given)
        limits = self.limits
        if limits.filter_values is not None and len(given) > limits.filter_values:
            raise FilterValuesError(
                f"{len(given)} filter values, but a request takes at most {limits.filter_values} "
                "(model: FilterValues): write the other ones into the expression",
                parameter="filter_values",
                limit=limits.filter_values,
            )
        texts: list[tuple[str, str]] = []
        for name, value in given.items():
            text = _encoded(value, name, self.parameters[name].required, limits)
            if not isinstance(value, RawFilterValue):
                self.parameters[name].check(decode(text, parameter=name))
            texts.append((name, text))
        return BoundFilter(self, tuple(texts))

    def __repr__(self) -> str:
        return f"Filter({self.arn!r}, {mask(str(self.expression))!r})"


def _encoded(value: FilterValue, name: str, required: bool, limits: Limits) -> str:
    try:
        return encode(value, parameter=name, limits=limits)
    except FilterValuesError as error:
        refused = error
    if required and refused.message.endswith(LEAVE_OUT):
        refused = FilterValuesError(
            f"{refused.message.removesuffix(LEAVE_OUT)}an INCLUDE needs a value here: give one, "
            "or ask without this filter",
            parameter=name,
        )
    raise refused


@attrs.frozen(repr=False)
class BoundFilter:
    """A filter with its values, for ``filter=`` of a request.

    ``Filter.bind`` makes them. ``repr`` hides the values.

    Attributes:
        filter: The filter.
    """

    filter: Filter
    _values: tuple[tuple[str, str], ...] = attrs.field(alias="values")

    @property
    def filter_arn(self) -> str:
        """The request's ``filterArn``."""
        return self.filter.arn

    @property
    def filter_values(self) -> dict[str, str]:
        """The request's ``filterValues``, exactly as they are sent."""
        return dict(self._values)

    def matches(
        self,
        item: Row,
        *,
        user: Row | None = None,
        current_item: Row | None = None,
        interactions: Iterable[Interaction | Row] = (),
    ) -> bool:
        """Tell whether the filter, with these values, keeps a candidate: see :meth:`FilterExpression.matches`."""
        values = {name: RawFilterValue(text) for name, text in self._values}
        return self.filter.expression.matches(
            item, user=user, current_item=current_item, interactions=interactions, values=values
        )

    def __repr__(self) -> str:
        values = ", ".join(f"{name}=<{len(text)} characters>" for name, text in self._values)
        return f"<BoundFilter {self.filter.arn} {values}>"


def _parameters(clauses: Iterable[Clause]) -> dict[str, Parameter]:
    uses: dict[str, list[tuple[Clause, Condition]]] = {}
    for clause in clauses:
        for condition in clause.conditions:
            for param in condition.params:
                uses.setdefault(param.name, []).append((clause, condition))
    return {
        name: Parameter(
            name,
            any(clause.action == "INCLUDE" for clause, _ in found),
            _kind(condition for _, condition in found),
            all(condition.operator == "IN" for _, condition in found),
            tuple(dict.fromkeys(str(condition.field) for _, condition in found)),
        )
        for name, found in uses.items()
    }


def _kind(conditions: Iterable[Condition]) -> Literal["text", "number", "any"]:
    kind: Literal["text", "number", "any"] = "any"
    for condition in conditions:
        others = [value for value in cast("tuple[Value, ...]", condition.operand) if not isinstance(value, Param)]
        if condition.operator in ORDERING or (others and not isinstance(others[0], str)):
            return "number"
        if condition.field.dataset in EVENT_DATASETS or others:
            kind = "text"
    return kind


def _advice(name: str, parameters: Mapping[str, Parameter]) -> str:
    if not parameters:
        return "it has none"
    same = [known for known in parameters if known.upper() == name.upper()]
    if same:
        return f"did you mean {same[0]}? The case of a parameter's name counts"
    return near(name, parameters) or f"it has {', '.join(parameters)}"


def _condition_to_dict(condition: Condition) -> dict[str, Any]:
    operand = condition.operand
    written: dict[str, Any] = {"field": str(condition.field), "operator": condition.operator}
    if isinstance(operand, Field):
        written["current_item"] = operand.name
    else:
        written["values"] = [
            {"parameter": value.name}
            if isinstance(value, Param)
            else value
            if isinstance(value, (str, int))
            else {"number": format(value, "f")}
            for value in operand
        ]
    return written


def _condition_from_dict(data: Mapping[str, Any]) -> Condition:
    dataset, name = data["field"].split(".")
    if "current_item" in data:
        return Condition(Field(dataset, name), data["operator"], Field("CurrentItem", data["current_item"]))
    return Condition(Field(dataset, name), data["operator"], tuple(map(_value_from_dict, data["values"])))


def _value_from_dict(value: Any) -> Value:
    if isinstance(value, Mapping):
        content = cast("Mapping[str, Any]", value)
        if "parameter" in content:
            return Param(content["parameter"])
        number = decode(content["number"])
        if isinstance(number, (str, tuple)):
            raise TypeError
        return number
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError
    return value
