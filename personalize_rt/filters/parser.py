"""Recursive-descent parser of the filter language. It does not recurse, since nothing in the language nests.

The grammar is in ``grammar.md`` beside this file; each method here is one of its rules. The checks that the service
makes when a filter is created are made here too, at the token that breaks the rule. Sources: the guide pages "Filter
expression structure and elements" and "Filter expression guidelines and requirements".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

from personalize_rt.errors import FilterValuesError, ValidationError
from personalize_rt.filters.diagnostics import DATASETS, mask, near, syntax_error
from personalize_rt.filters.lexer import Token, tokenize
from personalize_rt.filters.terms import (
    EVENT_DATASETS,
    ORDERING,
    Action,
    Clause,
    Condition,
    Field,
    Operator,
    Param,
    Target,
    Value,
)
from personalize_rt.filters.values import read_number
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from decimal import Decimal

_LIMITS = Limits()
_TARGETS: dict[str, Target] = {"ITEMID": "ItemID", "ACTIONID": "ActionID", "USERID": "UserID"}
_DATASETS_OF: dict[Target, tuple[str, ...]] = {
    "ItemID": ("Items", "Interactions"),
    "ActionID": ("Actions", "Action_Interactions"),
    "UserID": ("Users", "Interactions"),
}
# The service applies these by itself (guide, "Filter expression guidelines and requirements").
_NOT_FILTERABLE = frozenset({"EXPIRATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP", "REPEAT_FREQUENCY"})
_OPERATORS = "IN, NOT IN, =, !=, <, <=, > or >="
_EVENT_HINT = "compare it with strings: IN, NOT IN, = or != and event types"
# Operators of other languages, and what to write instead.
_FOREIGN = {
    "LIKE": "there are no wildcards: IN and NOT IN compare whole values",
    "CONTAINS": "write IN: a field of several values matches when one of them is in the list",
    "HAS": "write IN: a field of several values matches when one of them is in the list",
    "BETWEEN": "write two conditions: Items.YEAR >= 1970 AND Items.YEAR <= 1979",
    "IS": "there is no test for missing values: no comparison holds for a missing value, save NOT IN",
    "EQ": "write =",
    "NE": "write !=",
    "GT": "write >",
    "GTE": "write >=",
    "LT": "write <",
    "LTE": "write <=",
}
_OPERATOR_SLIPS = {
    "==": "write = for equality",
    "=<": "write <=",
    "=>": "write >=",
    "<>": "write !=",
    "=!": "write !=",
    "><": "write !=",
    "<<": "write <",
    ">>": "write >",
}


def parse(text: str, *, limits: Limits = _LIMITS) -> tuple[Clause, ...]:
    """Parse and check a filter expression, in time linear in its length.

    Args:
        text: The expression.
        limits: The limits on its length and number of distinct fields.

    Raises:
        FilterSyntaxError: The text is not a filter expression, or breaks a rule that the service checks.
        ValidationError: *text* is not a ``str``.
    """
    if not isinstance(cast(object, text), str):
        raise ValidationError(
            f"a filter expression is a str, not {describe(text)}: "
            'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")',
            parameter="expression",
        )
    longest = limits.filter_expression_length
    if longest is not None and len(text) > longest:
        raise syntax_error(
            text,
            longest,
            longest + 1,
            f"an expression has at most {longest:,} characters, not {len(text):,} (model: FilterExpression)",
            limit=longest,
        )
    return _Parser(text, limits).chain()


class _Parser:
    def __init__(self, text: str, limits: Limits) -> None:
        self.text = text
        self.limits = limits
        self.tokens = tokenize(text)
        self.at = 0
        self.token = self.tokens[0]
        self.fields: set[tuple[str, str]] = set()

    # filter = expression { "|" expression }
    def chain(self) -> tuple[Clause, ...]:
        if self.token.kind == "end":
            self.fail(
                "the expression is empty",
                hint='it begins like this: EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")',
            )
        clauses = [self.clause(None)]
        while self.token.kind == "|":
            self.next()
            clauses.append(self.clause(clauses[0].target))
        if self.token.kind != "end":
            self.fail_after_clause(bool(clauses[-1].only_if))
        return tuple(clauses)

    # expression = ( "INCLUDE" | "EXCLUDE" ) id "WHERE" conditions [ "IF" user_conditions ]
    def clause(self, first_target: Target | None) -> Clause:
        action = self.word(("INCLUDE", "EXCLUDE"), "expected INCLUDE or EXCLUDE")
        target = self.target(first_target)
        self.word(("WHERE",), f"expected WHERE after {target}")
        dataset = self.dataset(target, None)
        alternatives = [[self.condition(dataset)]]
        while self.token.upper in ("AND", "OR"):
            joined = alternatives[-1] if self.token.upper == "AND" else []
            if not joined:
                alternatives.append(joined)
            self.next()
            dataset = self.dataset(target, dataset)
            joined.append(self.condition(dataset))
        only_if: list[Condition] = []
        if self.is_word("IF"):
            self.next()
            only_if.append(self.user_condition())
            while self.is_word("AND"):
                self.next()
                only_if.append(self.user_condition())
        return Clause(cast(Action, action), target, tuple(map(tuple, alternatives)), tuple(only_if))

    # id = "ItemID" | "ActionID" | "UserID"
    def target(self, first: Target | None) -> Target:
        token = self.token
        target = _TARGETS.get(token.upper)
        if target is None:
            joined = token.upper.replace("_", "")
            if self.tokens[self.at + 1].kind == ".":
                joined += "ID"
            near_miss = _TARGETS.get(joined) or _TARGETS.get(f"{joined.rstrip('S')}ID")
            self.fail(
                "expected ItemID, ActionID or UserID",
                hint=f"did you mean {near_miss}?" if near_miss else near(token.upper, _TARGETS.values()),
            )
        if first is not None and target != first:
            self.fail(f"all expressions of a chain select the same: the first one says {first}, this one {target}")
        self.next()
        return target

    def dataset(self, target: Target, first: str | None) -> str:
        """The dataset of the next condition, checked against the target and the dataset of the first condition."""
        name = self.dataset_name()
        if name == "CurrentUser":
            self.fail(
                "CurrentUser stands only in the IF part, which ends an expression",
                hint="move the condition: … WHERE … IF CurrentUser.AGE > 18",
            )
        if name == "CurrentItem":
            self.fail(
                "CurrentItem stands only on the right side of an operator", hint="write Items.PRICE < CurrentItem.PRICE"
            )
        if name not in _DATASETS_OF[target]:
            hint = ""
            if name == "Users":
                hint = "for the user of the request, end the expression with IF CurrentUser.…"
            elif target == "ActionID" and name in ("Items", "Interactions"):
                hint = "did you mean " + ("Actions?" if name == "Items" else "Action_Interactions?")
            self.fail(f"{target} is selected by {' or '.join(_DATASETS_OF[target])}, not by {name}", hint=hint)
        if first is not None and name != first:
            self.fail(
                f"one expression looks at one dataset: this one began with {first}, and {name} is another",
                hint="chain two expressions with |",
            )
        return name

    def dataset_name(self) -> str:
        token = self.token
        name = DATASETS.get(token.upper)
        if name is None or self.tokens[self.at + 1].kind != ".":
            self.fail_dataset(token, name)
        return name

    # condition = field operator operand
    def condition(self, dataset: str) -> Condition:
        field = self.field(dataset)
        operator = self.operator(field)
        current_item = self.current_item(field)
        if current_item is not None:
            return Condition(field, operator, current_item)
        return Condition(field, operator, self.operand(field, operator))

    # user_condition = "CurrentUser" "." name operator operand
    def user_condition(self) -> Condition:
        name = self.dataset_name()
        if name != "CurrentUser":
            self.fail(
                f"IF looks at CurrentUser only, not at {name}",
                hint="did you mean CurrentUser?" if name == "Users" else "conditions on candidates stand before IF",
            )
        field = self.field(name)
        operator = self.operator(field)
        if DATASETS.get(self.token.upper) == "CurrentItem":
            self.fail("IF compares with literals and parameters, not with CurrentItem")
        return Condition(field, operator, self.operand(field, operator))

    # field = dataset "." name
    def field(self, dataset: str) -> Field:
        self.next()
        self.next()
        token = self.token
        if token.kind != "word":
            self.fail(f"expected a field after {dataset} and the dot")
        name = token.text
        if dataset in EVENT_DATASETS:
            if token.upper != "EVENT_TYPE":
                self.fail(f"of {dataset} only EVENT_TYPE can be filtered", hint=near(name, ["EVENT_TYPE"]))
            name = "EVENT_TYPE"
        elif dataset == "Actions" and token.upper in _NOT_FILTERABLE:
            self.fail(f"Actions.{token.upper} cannot be filtered: the service applies it by itself")
        self.count(dataset, token)
        self.next()
        return Field(dataset, name)

    def count(self, dataset: str, token: Token) -> None:
        # CurrentItem and CurrentUser are rows of Items and of Users.
        dataset = {"CurrentItem": "Items", "CurrentUser": "Users"}.get(dataset, dataset)
        self.fields.add((dataset, token.upper))
        most = self.limits.filter_fields
        if most is not None and len(self.fields) > most:
            self.fail_at(token, f"a filter uses at most {most} distinct fields (guide, limits)", limit=most)

    # operator = [ "NOT" ] "IN" | "=" | "!=" | "<" | "<=" | ">" | ">="
    def operator(self, field: Field) -> Operator:
        token = self.token
        following = self.tokens[self.at + 1]
        if token.upper == "IN":
            self.next()
            return "IN"
        if token.upper == "NOT" and following.upper == "IN":
            self.next()
            self.next()
            return "NOT IN"
        if token.kind != "operator":
            self.fail_operator(token, following)
        if following.kind == "operator":
            both = token.text + following.text
            slip = self.text[token.start : following.end]
            self.fail_at(
                token,
                "two operators in a row",
                end=following.end,
                hint=_OPERATOR_SLIPS.get(both, "") or f"write {both}, without white space" * (slip != both),
            )
        if token.text in ORDERING and field.dataset in EVENT_DATASETS:
            self.fail(f"{field} holds strings: {token.text} compares numbers", hint=_EVENT_HINT)
        self.next()
        return cast(Operator, token.text)

    # operand of CurrentItem = "CurrentItem" "." name | "(" "CurrentItem" "." name ")"
    def current_item(self, compared: Field) -> Field | None:
        opened = self.token.kind == "("
        token = self.tokens[self.at + opened]
        if DATASETS.get(token.upper) != "CurrentItem" or self.tokens[self.at + opened + 1].kind != ".":
            return None
        if compared.dataset != "Items":
            self.fail_at(token, "CurrentItem is compared with fields of Items only")
        for _ in range(opened):
            self.next()
        field = self.field("CurrentItem")
        if opened:
            self.closing("CurrentItem stands alone in its parentheses")
        return field

    # operand = scalar | "(" scalar ")", or after IN and NOT IN "(" scalar { "," scalar } ")"
    def operand(self, field: Field, operator: Operator) -> tuple[Value, ...]:
        listed = operator in ("IN", "NOT IN")
        opened = self.token.kind == "("
        if listed and not opened:
            if DATASETS.get(self.token.upper) == "CurrentUser":
                self.fail_scalar(self.token, field)
            hint = f'write {operator} ("value") or {operator} ($PARAMETER)' if operator == "IN" else "write NOT IN (…)"
            self.fail(f"expected ( after {operator}", hint=hint)
        if opened:
            self.next()
        values = [self.scalar(field, operator)]
        if listed:
            first = next((value for value in values if not isinstance(value, Param)), None)
            while self.token.kind == ",":
                self.next()
                token = self.token
                value = self.scalar(field, operator)
                if not isinstance(value, Param):
                    if first is None:
                        first = value
                    elif isinstance(value, str) != isinstance(first, str):
                        self.fail_at(token, "a list holds strings or numbers, not both")
                values.append(value)
        if opened:
            self.closing("expected , or )" if listed else f"{operator} compares with one value: expected )")
        return tuple(values)

    # scalar = string | number | parameter
    def scalar(self, field: Field, operator: Operator) -> Value:
        token = self.token
        if token.kind == "number":
            value: Value = self.number(token)
            if field.dataset in EVENT_DATASETS:
                self.fail(f"{field} holds strings, and this is a number", hint="write it in quotes")
        elif token.kind == "parameter":
            value = self.parameter(token, token.text[1:], operator)
        elif token.kind == "string":
            value = self.string(token, field, operator)
        else:
            self.fail_scalar(token, field)
        self.next()
        return value

    def number(self, token: Token) -> int | Decimal:
        try:
            return read_number(token.text)
        except FilterValuesError:
            pass
        self.fail("a number with more digits than can be read")

    def parameter(self, token: Token, name: str, operator: Operator) -> Param:
        most = self.limits.filter_key_length
        if most is not None and len(name) > most:
            self.fail(f"the name of a parameter has at most {most} characters (model: FilterAttributeName)", limit=most)
        if operator == "NOT IN":
            self.fail(
                "a parameter cannot stand after NOT IN",
                hint="swap INCLUDE and EXCLUDE and write IN: INCLUDE … NOT IN ($X) is EXCLUDE … IN ($X)",
            )
        return Param(name)

    def string(self, token: Token, field: Field, operator: Operator) -> Value:
        content = token.text[1:-1]
        if not content:
            doubled = self.tokens[self.at + 1].start == token.end and self.tokens[self.at + 1].kind in (
                "word",
                "string",
            )
            self.fail(
                "an empty string, which no field holds",
                hint="two quotes stand side by side: write one" if doubled else "",
            )
        if content[0] == "$" and is_quoted_parameter(content):
            return self.parameter(token, content[1:], operator)
        if operator in ORDERING:
            self.fail(f"{operator} compares numbers, and this is a string", hint="write the number without quotes")
        if content == "*" and field.dataset not in EVENT_DATASETS:
            self.fail("* stands for any event type: only EVENT_TYPE of Interactions can be compared with it")
        return content

    # Errors: the token that was expected, and what the writer may have meant.

    def is_word(self, word: str) -> bool:
        return self.token.upper == word

    def next(self) -> None:
        self.at += 1
        self.token = self.tokens[self.at]

    def word(self, words: tuple[str, ...], expected: str) -> str:
        token = self.token
        if token.upper not in words:
            hint = near(token.upper, words)
            if token.kind == "|":
                hint = "one | chains expressions; within an expression write OR"
            elif not hint and token.upper in ("SELECT", "FILTER", "ONLY", "KEEP", "REMOVE"):
                hint = "INCLUDE keeps what matches, EXCLUDE drops it"
            self.fail(expected, hint=hint)
        self.next()
        return token.upper

    def closing(self, expected: str) -> None:
        token = self.token
        if token.kind != ")":
            hint = ""
            if token.kind == "string" and self.tokens[self.at - 1].kind == "string":
                touching = self.tokens[self.at - 1].end == token.start
                hint = "one quote too many, or a comma is missing" if touching else "put a comma between two values"
            elif token.kind in ("end", "|") or token.upper in ("AND", "OR", "IF"):
                hint = "a closing parenthesis is missing"
            elif token.kind in ("word", "string") and self.tokens[self.at - 1].kind == "string":
                hint = "a quote or a comma is missing"
            elif token.kind == "," or token.kind in ("string", "number", "parameter"):
                hint = "for several values write IN"
            self.fail(expected, hint=hint)
        self.next()

    def fail_after_clause(self, after_if: bool) -> NoReturn:
        token = self.token
        if after_if and token.upper == "OR":
            self.fail("conditions after IF are joined with AND, not with OR", hint="chain two expressions with |")
        if after_if and token.upper == "IF":
            self.fail("an expression has one IF, at its end", hint="join its conditions with AND")
        if token.kind == ")":
            self.fail("this parenthesis was not opened")
        if token.kind == ",":
            self.fail("expected AND, OR, IF, | or the end", hint="a list of values stands in parentheses after IN")
        if token.upper in ("INCLUDE", "EXCLUDE"):
            self.fail(f"expected | before another {token.upper}")
        joined = "AND, | or the end (IF comes last)" if after_if else "AND, OR, IF, | or the end"
        hint = near(token.upper, ("AND", "OR", "IF"))
        if token.kind == "number":
            hint = "times are Unix seconds: one number; the language does not calculate"
        for keyword in ("AND", "OR", "IF"):
            if token.upper.startswith(keyword) and token.upper[len(keyword) :] in DATASETS:
                hint = f"put white space after {keyword}"
        if token.upper in ("ORDER", "LIMIT", "GROUP"):
            hint = "a filter does not sort or count: it keeps or drops"
        self.fail(f"expected {joined}", hint=hint)

    def fail_dataset(self, token: Token, name: str | None) -> NoReturn:
        if token.kind == "(":
            self.fail(
                "the filter language has no parentheses around conditions",
                hint="AND binds before OR: write A AND C OR B AND C, or chain expressions with |",
            )
        if token.upper == "NOT":
            self.fail("NOT stands only before IN", hint="write Items.GENRE NOT IN (…), or swap INCLUDE and EXCLUDE")
        if token.kind in ("string", "number", "parameter"):
            self.fail("expected a field such as Items.GENRE: it stands on the left side")
        if name is not None:
            self.fail(f"expected a dot and a field after {name}")
        known = [*dict.fromkeys(DATASETS.values())]
        if self.tokens[self.at + 1].kind == ".":
            joined = token.upper.replace("_", "").removeprefix("ITEM")
            also = "Interactions" if joined == "INTERACTIONS" else ""
            also = "Action_Interactions" if joined == "ACTIONINTERACTIONS" else also
            self.fail(
                f"expected a dataset: {', '.join(known[:5])}, or CurrentUser after IF",
                hint=f"did you mean {also}?" if also else near(token.text, known),
            )
        hint = "write the dataset before the field" if token.kind == "word" else ""
        if token.upper in ("AND", "OR", "IF"):
            hint = f"a condition is missing before {token.upper}"
        self.fail("expected a dataset, a dot and a field, such as Items.GENRE", hint=hint)

    def fail_operator(self, token: Token, following: Token) -> NoReturn:
        if token.kind == "end":
            self.fail(f"expected {_OPERATORS} after the field")
        hint = _FOREIGN.get(token.upper, "")
        if token.upper == "NOT":
            hint = _FOREIGN.get(following.upper, "NOT stands only before IN")
        if token.kind == ".":
            hint = "a field is one dataset, a dot and one name"
        self.fail(f"expected {_OPERATORS}", hint=hint or near(token.upper, ("IN", "NOT IN", "NOT", *_FOREIGN)))

    def fail_scalar(self, token: Token, field: Field) -> NoReturn:
        name = DATASETS.get(token.upper)
        if name == "CurrentUser":
            self.fail("CurrentUser stands only in the IF part, on the left side of an operator")
        if name == "CurrentItem":
            self.fail("CurrentItem stands alone on the right side, with a dot and a field: IN CurrentItem.GENRE")
        if name is not None and self.tokens[self.at + 1].kind == ".":
            self.fail("a field is compared with values, not with another field", hint="only CurrentItem may stand here")
        hint = ""
        if token.upper in ("TRUE", "FALSE"):
            hint = 'boolean fields cannot be filtered: use a field of strings with "True" and "False", or of 0 and 1'
        elif token.upper == "NULL":
            hint = _FOREIGN["IS"]
        elif token.upper in ("NOW", "INTERVAL", "DATE", "TIMESTAMP", "CURRENT_TIMESTAMP", "TODAY"):
            hint = "there are no time functions: send Unix seconds as a parameter, Items.CREATION_TIMESTAMP > $SINCE"
        elif token.kind == "word":
            hint = "string values stand in double quotes, parameters begin with $"
        elif token.kind == ")":
            hint = "a comma too many" if self.tokens[self.at - 1].kind == "," else "a list holds one value at least"
        elif token.kind == "(":
            hint = "one pair of parentheses is enough"
        self.fail(f"expected a string, a number or a parameter to compare {field} with", hint=hint)

    def fail(self, problem: str, *, hint: str = "", limit: int | None = None) -> NoReturn:
        self.fail_at(self.token, problem, hint=hint, limit=limit)

    def fail_at(
        self, token: Token, problem: str, *, end: int | None = None, hint: str = "", limit: int | None = None
    ) -> NoReturn:
        if problem.startswith("expected"):
            problem += f", found {self.found(token)}"
        raise syntax_error(self.text, token.start, end or token.end, problem, hint=hint, limit=limit)

    def found(self, token: Token) -> str:
        if token.kind == "end":
            return "the end of the expression"
        if token.kind in ("string", "number", "parameter"):
            return f"a {token.kind}"
        shown = mask(self.text)[token.start : token.end]
        return "a word" if "•" in shown else shown if len(shown) <= 60 else f"a word of {len(shown)} characters"


def is_quoted_parameter(content: str) -> bool:
    """Tell whether a string is a parameter in quotes, like ``"$CATEGORY"`` of the guide's command line example.

    The name has to begin with a letter or underscore: ``"$10"`` is a price.
    """
    name = content[1:]
    return content[:1] == "$" and name.isascii() and name.isidentifier()
