"""The parser against expressions made from the grammar, against a second parser, and against rubbish."""

from __future__ import annotations

import json
import pickle
import re
from contextlib import suppress
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from lark import Lark, Token, Tree
from lark.exceptions import LarkError

from personalize_rt.errors import FilterSyntaxError
from personalize_rt.filters import Filter, FilterExpression
from personalize_rt.filters.diagnostics import mask
from personalize_rt.filters.expression import Clause, Condition, Field, Param
from personalize_rt.limits import Limits
from tests.growth import seconds

# The grammar of grammar.md, written down a second time for a parser generator. What is not of the grammar's kind (the
# length of an expression, the number of its fields) is checked below.
GRAMMAR = r"""
start: items_chain | actions_chain | users_chain

items_chain: items_clause ("|" items_clause)*
items_clause: action ITEMID WHERE (items_where | events_where) [if_part]
actions_chain: actions_clause ("|" actions_clause)*
actions_clause: action ACTIONID WHERE (actions_where | action_events_where) [if_part]
users_chain: users_clause ("|" users_clause)*
users_clause: action USERID WHERE (users_where | events_where) [if_part]

action: INCLUDE | EXCLUDE
joiner: AND | OR
if_part: IF user_condition (AND user_condition)*
user_condition: CURRENTUSER "." NAME compared

items_where: items_condition (joiner items_condition)*
items_condition: ITEMS "." NAME (compared | compared_with_item)
actions_where: actions_condition (joiner actions_condition)*
actions_condition: ACTIONS "." ACTION_FIELD compared
users_where: users_condition (joiner users_condition)*
users_condition: USERS "." NAME compared
events_where: events_condition (joiner events_condition)*
events_condition: INTERACTIONS "." EVENT_TYPE event_compared
action_events_where: action_events_condition (joiner action_events_condition)*
action_events_condition: ACTION_INTERACTIONS "." EVENT_TYPE event_compared

compared: IN "(" listed ")"
        | NOT IN "(" literals ")"
        | EQUALITY (equal | "(" equal ")")
        | ORDER (ordered | "(" ordered ")")
equal: STRING | NUMBER | parameter
ordered: NUMBER | parameter
compared_with_item: (IN | NOT IN | EQUALITY | ORDER) (current_item | "(" current_item ")")
current_item: CURRENTITEM "." NAME
event_compared: IN "(" event_or_parameter ("," event_or_parameter)* ")"
        | NOT IN "(" event ("," event)* ")"
        | EQUALITY (event_or_parameter | "(" event_or_parameter ")")
event: STRING | STAR
event_or_parameter: event | parameter

listed: parameters | strings | numbers
parameters: parameter | parameters "," parameter
strings: STRING | parameters "," STRING | strings "," (STRING | parameter)
numbers: NUMBER | parameters "," NUMBER | numbers "," (NUMBER | parameter)
literals: STRING ("," STRING)* | NUMBER ("," NUMBER)*
parameter: PARAMETER | QUOTED_PARAMETER

INCLUDE: /(?ai:include)(?![A-Za-z0-9_])/
EXCLUDE: /(?ai:exclude)(?![A-Za-z0-9_])/
ITEMID: /(?ai:itemid)(?![A-Za-z0-9_])/
ACTIONID: /(?ai:actionid)(?![A-Za-z0-9_])/
USERID: /(?ai:userid)(?![A-Za-z0-9_])/
WHERE: /(?ai:where)(?![A-Za-z0-9_])/
AND: /(?ai:and)(?![A-Za-z0-9_])/
OR: /(?ai:or)(?![A-Za-z0-9_])/
IF: /(?ai:if)(?![A-Za-z0-9_])/
NOT: /(?ai:not)(?![A-Za-z0-9_])/
IN: /(?ai:in)(?![A-Za-z0-9_])/
ITEMS: /(?ai:items?)(?![A-Za-z0-9_])/
ACTIONS: /(?ai:actions?)(?![A-Za-z0-9_])/
USERS: /(?ai:users?)(?![A-Za-z0-9_])/
INTERACTIONS: /(?ai:interactions?)(?![A-Za-z0-9_])/
ACTION_INTERACTIONS: /(?ai:action_interactions?)(?![A-Za-z0-9_])/
CURRENTUSER: /(?ai:currentuser)(?![A-Za-z0-9_])/
CURRENTITEM: /(?ai:currentitem)(?![A-Za-z0-9_])/
EVENT_TYPE: /(?ai:event_type)(?![A-Za-z0-9_])/
ACTION_FIELD: /(?!(?ai:repeat_frequency|(action_)?expiration_timestamp)(?![A-Za-z0-9_]))[A-Za-z_][A-Za-z0-9_]*/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
ORDER: /[<>]=?(?!\s*[=<>])/
EQUALITY: /!?=(?!\s*[=<>])/
NUMBER: /-?[0-9]+(\.[0-9]+)?(?![A-Za-z0-9_.])/
PARAMETER: /\$[A-Za-z0-9_]{1,50}(?![A-Za-z0-9_])/
QUOTED_PARAMETER: /"\$[A-Za-z_][A-Za-z0-9_]{0,49}"|'\$[A-Za-z_][A-Za-z0-9_]{0,49}'/
STAR: /"\*"|'\*'/
STRING: /"(?!\*"|\$[A-Za-z_][A-Za-z0-9_]*")[^"]+"|'(?!\*'|\$[A-Za-z_][A-Za-z0-9_]*')[^']+'/
%ignore /\s+/
"""
SECOND_PARSER = Lark(GRAMMAR, parser="lalr", lexer="contextual", maybe_placeholders=False)


def is_accepted_by_the_grammar(text: str) -> bool:
    if len(text) > 2500:
        return False
    try:
        tree = SECOND_PARSER.parse(text)
    except LarkError:
        return False
    fields: set[tuple[str, str]] = set()
    for node in tree.iter_subtrees():
        names = [child for child in node.children if isinstance(child, Token)]
        if len(names) >= 2 and names[0].type in DATASETS and names[1].type in ("NAME", "ACTION_FIELD", "EVENT_TYPE"):
            fields.add((DATASETS[names[0].type], names[1].upper()))
    return len(fields) <= 10


DATASETS = {
    **{name: name for name in ("ITEMS", "ACTIONS", "USERS", "INTERACTIONS", "ACTION_INTERACTIONS")},
    "CURRENTUSER": "USERS",
    "CURRENTITEM": "ITEMS",
}


def error_of(text: str) -> FilterSyntaxError | None:
    try:
        Filter.parse(text)
    except FilterSyntaxError as error:
        return error
    return None


def is_accepted(text: str) -> bool:
    error = error_of(text)
    if error is None:
        return True
    lines = re.split(r"\r\n|\r|\n", text)
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert error.__context__ is None
    return False


# Expressions from the grammar.

NAMES = st.sampled_from(["GENRE", "genre", "Price_2", "_x", "IN", "and", "If", "CurrentUser", "ITEM_ID"])
USER_NAMES = st.sampled_from(["AGE", "not", "Country"])
PARAMS = st.sampled_from(["P", "p", "1990S", "IN", "_", "x" * 50]).map(Param)
CHARACTERS = st.characters(blacklist_categories=["Cs"])
STRINGS = st.one_of(
    st.sampled_from(
        ["Comedy", "a, b", "it's", 'say "x"', "x|y", "\\", "$10", "$$$", "Japan購入", " ", "*x", "(", "\n"]
    ),
    st.text(CHARACTERS, min_size=1, max_size=8),
).filter(
    lambda text: (
        text != "*" and not ('"' in text and "'" in text) and not re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_]*", text)
    )
)
EVENTS = STRINGS | st.just("*")
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.sampled_from([Decimal("19.5"), Decimal("-0.25"), Decimal("0.00000001")]),
)
Listed = tuple[Any, ...]


def listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Listed]:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


def one(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Listed]:
    return values.map(lambda value: (value,))


def conditions(dataset: str, names: st.SearchStrategy[str], with_item: bool = False) -> st.SearchStrategy[Condition]:
    field = st.builds(Field, st.just(dataset), names)
    ordering = st.sampled_from(["<", "<=", ">", ">="])
    kinds = [
        st.builds(Condition, field, st.just("IN"), listed(STRINGS | PARAMS) | listed(NUMBERS | PARAMS)),
        st.builds(Condition, field, st.just("NOT IN"), listed(STRINGS) | listed(NUMBERS)),
        st.builds(Condition, field, st.sampled_from(["=", "!="]), one(STRINGS | NUMBERS | PARAMS)),
        st.builds(Condition, field, ordering, one(NUMBERS | PARAMS)),
    ]
    if with_item:
        item = st.builds(Field, st.just("CurrentItem"), names)
        operators = st.sampled_from(["IN", "NOT IN", "=", "!=", "<", "<=", ">", ">="])
        kinds.append(st.builds(Condition, field, operators, item))
    return st.one_of(kinds)


def event_conditions(dataset: str) -> st.SearchStrategy[Condition]:
    field = st.just(Field(dataset, "EVENT_TYPE"))
    return st.one_of(
        st.builds(Condition, field, st.just("IN"), listed(EVENTS | PARAMS)),
        st.builds(Condition, field, st.just("NOT IN"), listed(EVENTS)),
        st.builds(Condition, field, st.sampled_from(["=", "!="]), one(EVENTS | PARAMS)),
    )


def clauses(target: str, *where: st.SearchStrategy[Condition]) -> st.SearchStrategy[Clause]:
    alternatives = st.one_of(
        [
            st.lists(st.lists(kind, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
            for kind in where
        ]
    )
    only_if = st.lists(conditions("CurrentUser", USER_NAMES), max_size=2).map(tuple)
    return st.builds(Clause, st.sampled_from(["INCLUDE", "EXCLUDE"]), st.just(target), alternatives, only_if)


def chains(clause: st.SearchStrategy[Clause]) -> st.SearchStrategy[FilterExpression]:
    return st.lists(clause, min_size=1, max_size=3).map(lambda found: FilterExpression(tuple(found)))


EXPRESSIONS = st.one_of(
    chains(clauses("ItemID", conditions("Items", NAMES, with_item=True), event_conditions("Interactions"))),
    chains(clauses("ActionID", conditions("Actions", NAMES), event_conditions("Action_Interactions"))),
    chains(clauses("UserID", conditions("Users", NAMES), event_conditions("Interactions"))),
).filter(lambda expression: len(_fields(expression)) <= 10)


def _fields(expression: FilterExpression) -> set[tuple[str, str]]:
    same = {"CurrentUser": "Users", "CurrentItem": "Items"}
    return {(same.get(field.dataset, field.dataset), field.name.upper()) for field in expression.fields}


@given(EXPRESSIONS)
def test_what_is_printed_is_read_back(expression: FilterExpression) -> None:
    text = str(expression)
    assume(len(text) <= 2500)
    read = Filter.parse(text)
    assert read == expression
    assert hash(read) == hash(expression)
    assert str(read) == text
    assert is_accepted_by_the_grammar(text)
    assert FilterExpression.from_dict(json.loads(json.dumps(expression.to_dict()))) == expression
    assert pickle.loads(pickle.dumps(read)) == expression


@given(EXPRESSIONS, st.integers(0, 10**6))
def test_spelling_does_not_change_the_meaning(expression: FilterExpression, seed: int) -> None:
    text = str(expression)
    respelt = _respelt(text, Random(seed))
    assume(len(text) <= 2500 and len(respelt) <= 2500)
    assert Filter.parse(respelt) == expression
    assert is_accepted_by_the_grammar(respelt)


_PIECES = re.compile(r"\"[^\"]*\"|'[^']*'|\$?[A-Za-z0-9_]+|\s+|.", re.DOTALL)
_SINGULAR = {"Items": "Item", "Interactions": "Interaction", "Users": "User", "Actions": "Action"}


def _respelt(text: str, random: Random) -> str:
    """Other case, white space and quotes of the same expression."""
    pieces: list[str] = _PIECES.findall(text)
    for at, piece in enumerate(pieces):
        first = piece[0]
        before = pieces[at - 1] if at else ""
        if piece.isspace():
            joins_words = before[-1] not in "\"')(,<>=|" and pieces[at + 1][0] not in "\"')(,<>=!|"
            pieces[at] = random.choice([" ", "\n\t", "\u00a0"] if joins_words else ["", " ", "\r\n"])
        elif first in "\"'":
            other = "'" if first == '"' else '"'
            if other not in piece and random.random() < 0.3:
                pieces[at] = f"{other}{piece[1:-1]}{other}"
        elif piece == "EVENT_TYPE":
            pieces[at] = random.choice([piece, "event_type"])
        elif first.isalpha() and before != ".":
            pieces[at] = random.choice([piece, piece.lower(), piece.upper(), _SINGULAR.get(piece, piece)])
    return "".join(pieces)


@given(EXPRESSIONS, st.data())
@settings(max_examples=3 * settings.default.max_examples)
def test_a_second_grammar_accepts_and_rejects_the_same(expression: FilterExpression, data: st.DataObject) -> None:
    text = str(expression)
    for _ in range(data.draw(st.integers(1, 3))):
        text = _mutated(text, data)
        assert is_accepted(text) == is_accepted_by_the_grammar(text), text


_MARKS = st.one_of(
    st.sampled_from("\"'()$|.,<>=!*-+;\\_5aA \n\u017f\u212a購"),
    st.sampled_from([" AND ", " OR ", " IF ", " NOT ", "IN", " INCLUDE ItemID WHERE ", "Items.", "CurrentUser.A = 1"]),
    st.sampled_from(['""', "==", "<>", "$P", '"*"', "'$P'", "1.5", "ItemID", "CurrentItem.X", "(CurrentItem.X)"]),
    st.text(CHARACTERS, min_size=1, max_size=3),
)


def _mutated(text: str, data: st.DataObject) -> str:
    kind = data.draw(st.sampled_from(["insert", "delete", "replace", "word", "swap"]))
    if not text:
        return data.draw(_MARKS)
    at = data.draw(st.integers(0, len(text) - 1))
    if kind == "insert":
        return text[:at] + data.draw(_MARKS) + text[at:]
    if kind == "delete":
        return text[:at] + text[at + data.draw(st.integers(1, 6)) :]
    if kind == "replace":
        return text[:at] + data.draw(_MARKS) + text[at + 1 :]
    words = _PIECES.findall(text)
    first, second = (data.draw(st.integers(0, len(words) - 1)) for _ in range(2))
    if kind == "word":
        words[first] = ""
    else:
        words[first], words[second] = words[second], words[first]
    return "".join(words)


@example("\r")
@given(st.text() | st.text(st.sampled_from("INCLUDEXTMWHRVA iteaonsd.()|\"'$<>=!,0123456789*")))
@settings(max_examples=3 * settings.default.max_examples)
def test_rubbish_is_a_syntax_error(text: str) -> None:
    assert is_accepted(text) == is_accepted_by_the_grammar(text)


@pytest.mark.parametrize(
    "text",
    [
        'INCLUDE ItemID WHERE Items.A IN ("a") ORItems.B IN ("b")',
        "INCLUDE ItemID WHEREItems.A = 1",
        "INCLUDE ItemID WHERE Items.A = 1AND Items.B = 2",
        "INCLUDE ItemID WHERE Items.A = 1 ANDItems.B = 2",
        'INCLUDE ItemID WHERE Items.A NOTIN ("a")',
        'INCLUDEItemID WHERE Items.A IN ("a")',
        'INCLUDE ItemID WHERE Items.A INSIDE ("a")',
    ],
)
def test_words_are_words(text: str) -> None:
    assert not is_accepted(text)
    assert not is_accepted_by_the_grammar(text)


@pytest.mark.parametrize(
    "text",
    [
        'EXCLUDE ItemID WHERE INTERACTIONS.event_type IN ("Purchase")|include itemid where items.genre in(\'a\',"b")',
        "INCLUDE ItemID WHERE Items.A<5AND Items.B>1".replace("5AND", "5 AND"),
        'INCLUDE ItemID WHERE Items.A IN("x")AND Items.B>=-1.5OR Items.C="y"IF CurrentUser.D!=1'.replace("5OR", "5 OR"),
        "include\nitemid\r\nwhere\titem . a\u00a0in\u3000( 'Japan購入' )",
        "EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ('watched','favorited')",
        "EXCLUDE UserId WHERE users.country IN ('DE')",
        "INCLUDE ItemID WHERE Items.IN IN ($IN) AND Items.AND NOT IN ('IN')",
        "INCLUDE ItemID WHERE ITEMS.CATEGORY_L1 IN CurrentItem.CATEGORY_L1",
        "INCLUDE ItemID WHERE ITEMS.CATEGORY_L1 IN (CURRENTITEM.CATEGORY_L1) AND Items.PRICE<(CurrentItem.price)",
        "INCLUDE ItemID WHERE Items.PRICE<($P)OR Items.PRICE=(1)",
        "INCLUDE ItemID WHERE Items.A IN ($A, $B, 'c')",
        'INCLUDE ItemID WHERE Items.A IN ("a") IF CurrentUser.GENDER = "F"',
        'INCLUDE ItemID WHERE Items.A IN ("a") IF CURRENTUSER.COUNTRY IN ("DE", $X) AND currentuser.B NOT IN ("x")',
    ],
)
def test_the_language_as_people_write_it(text: str) -> None:
    assert is_accepted(text)
    assert is_accepted_by_the_grammar(text)
    assert Filter.parse(str(Filter.parse(text))) == Filter.parse(text)


SECRET = "zqxzqx"


@given(EXPRESSIONS, st.data())
@settings(max_examples=2 * settings.default.max_examples)
def test_no_literal_shows_in_an_error(expression: FilterExpression, data: st.DataObject) -> None:
    text = re.sub(r"\"[^\"]*\"|'[^']*'", f'"{SECRET} {SECRET}"', str(expression))
    at = data.draw(st.integers(0, len(text) - 1))
    kind = data.draw(st.sampled_from(["quote", "mark", "cut"]))
    if kind == "quote":
        quotes = [match.start() for match in re.finditer('"', text)]
        assume(quotes)
        at = data.draw(st.sampled_from(quotes))
        text = text[:at] + text[at + 1 :]
    elif kind == "mark":
        text = text[:at] + data.draw(st.sampled_from('"(){},;*!=|%')) + text[at:]
    else:
        text = text[:at]
    assert SECRET not in mask(text)
    assert len(mask(text)) == len(text)
    error = error_of(text)
    assert SECRET not in (repr(Filter.parse(text)) if error is None else f"{error} {error!r}")


@example("INCLUDE ItemID WHERE Items.A IN (" + '"a",' * 700)
@example("INCLUDE ItemID WHERE Items.A = 1 " + "AND Items.A = 1 " * 300)
@given(st.text(min_size=1, max_size=5))
@settings(max_examples=50)
def test_any_repetition_is_accepted_or_a_syntax_error(piece: str) -> None:
    is_accepted((piece * 2500)[:2500])


@pytest.mark.parametrize(
    "piece",
    [
        *("(", '"', "'a", " ", "$", "9", "a", "Items.", "Items.A ", "INCLUDE ", "| ", "-", "\n", "a.", '"a",', "購"),
        *("AND ", "INCLUDE ItemID WHERE Items.A < 1 | ", "Items.A IN (x) AND "),
    ],
)
@pytest.mark.parametrize("start", ["", 'INCLUDE ItemID WHERE Items.A IN ("a", '])
def test_time_grows_with_the_length_only(piece: str, start: str) -> None:
    def parsed(text: str) -> None:
        with suppress(FilterSyntaxError):
            Filter.parse(text, limits=Limits.off())

    def taken(size: int) -> float:
        return seconds(partial(parsed, start + piece * (size // len(piece))))

    # Ten times the length: 100 times the time would be quadratic, 10 times is linear.
    assert taken(100_000) < 40 * max(taken(10_000), 0.002)


def test_the_canonical_text_of_an_expression_within_the_limit_is_within_it_too() -> None:
    condition = 'Item.A IN("x")AND '
    text = "INCLUDE ItemID WHERE " + condition * ((2500 - 40) // len(condition)) + "Item.A<1"
    assert len(text) <= 2500
    expression = Filter.parse(text)
    assert len(str(expression)) <= 2500
    assert Filter.parse(str(expression)) == expression


@given(EXPRESSIONS)
def test_the_shortest_spelling_reads_the_same(expression: FilterExpression) -> None:
    from personalize_rt.filters import terms

    text = "".join(terms._chain(expression.clauses, "", terms._shortest))
    assume(len(text) <= 2500)
    assert Filter.parse(text) == expression
    assert len(text) <= len(str(expression))


def test_the_second_grammar_is_no_rubber_stamp() -> None:
    tree = SECOND_PARSER.parse('INCLUDE ItemID WHERE Items.A IN ("a", $B) IF CurrentUser.C > 1')
    assert isinstance(tree, Tree)
    assert {token.type for token in tree.scan_values(lambda value: isinstance(value, Token))} >= {"ITEMS", "PARAMETER"}
    assert not is_accepted_by_the_grammar("")
