"""Filters as objects: parameters, values, canonical text, plain data."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from personalize_rt.errors import FilterSyntaxError, FilterValuesError, ValidationError
from personalize_rt.filters import BoundFilter, Filter, FilterExpression, RawFilterValue
from personalize_rt.filters.expression import Clause, Condition, Field, Param
from personalize_rt.limits import Limits

ARN = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen-by-genre"
UNSEEN = (
    'INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch", $SEEN)'
)


def test_parameters_of_an_include_are_required_and_others_optional() -> None:
    parameters = Filter(ARN, UNSEEN).parameters
    assert list(parameters) == ["GENRE", "SEEN"]
    assert parameters["GENRE"].required
    assert not parameters["SEEN"].required
    both = Filter.parse("EXCLUDE ItemID WHERE Items.A IN ($X) | INCLUDE ItemID WHERE Items.B = 1 IF CurrentUser.C = $X")
    assert both.parameters["X"].required
    assert both.parameters["X"].fields == ("Items.A", "CurrentUser.C")


@pytest.mark.parametrize(
    ("where", "kind", "many"),
    [
        ("Items.A IN ($P)", "any", True),
        ('Items.A IN ("x", $P)', "text", True),
        ("Items.A IN (1, $P)", "number", True),
        ("Items.A = $P", "any", False),
        ("Items.A < $P", "number", False),
        ("Items.A IN ($P) AND Items.B >= $P", "number", False),
        ("Interactions.EVENT_TYPE IN ($P)", "text", True),
        ("Interactions.EVENT_TYPE = $P", "text", False),
    ],
)
def test_operators_say_what_a_parameter_takes(where: str, kind: str, many: bool) -> None:
    parameter = Filter.parse(f"EXCLUDE ItemID WHERE {where}").parameters["P"]
    assert (parameter.kind, parameter.many) == (kind, many)


def test_parameters_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Filter(ARN, UNSEEN).parameters["X"] = None  # type: ignore[index]  # what is tested


def test_bind_gives_what_is_sent() -> None:
    bound = Filter(ARN, UNSEEN).bind(GENRE=["Comedy", "Drama"], SEEN="Click")
    assert isinstance(bound, BoundFilter)
    assert bound.filter_arn == ARN
    assert bound.filter_values == {"GENRE": '"Comedy","Drama"', "SEEN": '"Click"'}
    assert Filter(ARN, UNSEEN).bind(GENRE="Comedy").filter_values == {"GENRE": '"Comedy"'}


def test_bind_takes_names_that_are_no_keywords() -> None:
    filter = Filter(ARN, "INCLUDE ItemID WHERE Items.A IN ($1990S, $class, $self, $values)")
    bound = filter.bind({"1990S": "x", "class": "y"}, self="s", values="v")
    assert bound.filter_values == {"1990S": '"x"', "class": '"y"', "self": '"s"', "values": '"v"'}


def test_raw_values_are_sent_as_they_are() -> None:
    bound = Filter(ARN, "INCLUDE ItemID WHERE Items.A < $P").bind(P=RawFilterValue('"5"'))
    assert bound.filter_values == {"P": '"5"'}


def test_an_aware_datetime_is_a_number() -> None:
    bound = Filter(ARN, "INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > $SINCE").bind(
        SINCE=datetime(2021, 10, 3, 6, 0, 24, tzinfo=UTC)
    )
    assert bound.filter_values == {"SINCE": "1633240824"}


@pytest.mark.parametrize(
    ("expression", "values", "parameter", "said"),
    [
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {}, "GENRE", "missing"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"genre": "secret"}, "genre", "did you mean GENRE? The case"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRES": "secret"}, "GENRES", "did you mean GENRE?"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"Q": "secret"}, "Q", "it has GENRE"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"$GENRE": "secret"}, "filter_values", "the $ belongs"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": None}, "GENRE", "an INCLUDE needs a value"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": []}, "GENRE", "an INCLUDE needs a value"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": ""}, "GENRE", "an INCLUDE needs a value"),
        ("EXCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": None}, "GENRE", "leave the parameter out"),
        ("EXCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": []}, "GENRE", "leave the parameter out"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": ["secret", 1]}, "GENRE", "mixes"),
        ("INCLUDE ItemID WHERE Items.A IN ($GENRE)", {"GENRE": "secret" * 200}, "GENRE", "1,202 characters"),
        ("EXCLUDE ItemID WHERE Items.A = 1", {"GENRE": "secret"}, "GENRE", "it has none"),
        ("EXCLUDE ItemID WHERE Items.PRICE < $P", {"P": "secret"}, "P", "Items.PRICE wants a number"),
        ("EXCLUDE ItemID WHERE Items.PRICE < $P", {"P": "5"}, "P", "wants a number"),
        ("EXCLUDE ItemID WHERE Items.PRICE < $P", {"P": [1, 2]}, "P", "2 values"),
        ("EXCLUDE ItemID WHERE Items.GENRE = $P", {"P": ["secret", "x"]}, "P", "2 values"),
        ("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($P)", {"P": 5}, "P", "wants strings"),
        ('EXCLUDE ItemID WHERE Items.A IN ("x", $P)', {"P": [5]}, "P", "wants strings"),
    ],
)
def test_wrong_values_never_reach_a_request(expression: str, values: dict[str, Any], parameter: str, said: str) -> None:
    with pytest.raises(FilterValuesError) as caught:
        Filter(ARN, expression).bind(values)
    assert caught.value.parameter == parameter
    assert said in str(caught.value)
    assert ("leave the parameter out" in str(caught.value)) is (said == "leave the parameter out")
    assert caught.value.__context__ is None
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("values", [[("GENRE", "secret")], "secret", 5, {"secret"}], ids=repr)
def test_values_are_a_mapping(values: Any) -> None:
    filter = Filter(ARN, "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")
    with pytest.raises(FilterValuesError, match="mapping of parameter name to value") as caught:
        filter.bind(values)
    assert caught.value.parameter == "filter_values"
    assert "secret" not in str(caught.value)


def test_a_value_is_given_once() -> None:
    with pytest.raises(FilterValuesError, match="twice"):
        Filter(ARN, "INCLUDE ItemID WHERE Items.A IN ($X)").bind({"X": "a"}, X="b")


def test_a_request_takes_25_values() -> None:
    names = [f"P{n}" for n in range(26)]
    filter = Filter(ARN, "EXCLUDE ItemID WHERE Items.A IN (" + ", ".join(f"${name}" for name in names) + ")")
    assert len(filter.bind(dict.fromkeys(names[:25], "x")).filter_values) == 25
    with pytest.raises(FilterValuesError, match="at most 25") as caught:
        filter.bind(dict.fromkeys(names, "x"))
    assert caught.value.limit == 25


def test_limits_can_be_moved() -> None:
    wide = Limits(filter_value_length=5000, filter_fields=20, filter_expression_length=5000)
    where = " AND ".join(f"Items.F{n} > 1" for n in range(11))
    filter = Filter(ARN, f"INCLUDE ItemID WHERE {where} AND Items.G IN ($G)", limits=wide)
    assert len(filter.bind(G="x" * 2000).filter_values["G"]) == 2002
    assert Filter(ARN, filter.expression, limits=wide) == filter
    with pytest.raises(FilterSyntaxError, match="10 distinct fields"):
        Filter(ARN, filter.expression)


@pytest.mark.parametrize("arn", ["unseen", "", None, 5, "arn:aws:s3:::bucket", ARN + "x" * 256, ARN + "\n", " " + ARN])
def test_a_filter_begins_with_its_arn(arn: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Filter(arn, UNSEEN)
    assert caught.value.parameter == "filter_arn"


@pytest.mark.parametrize("text", [None, 5, b"INCLUDE", ["INCLUDE"]])
def test_an_expression_is_text(text: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Filter(ARN, text)
    assert caught.value.parameter == "expression"


def test_a_wrong_expression_fails_where_the_filter_is_made() -> None:
    with pytest.raises(FilterSyntaxError):
        Filter(ARN, "INCLUDE ItemID")
    with pytest.raises(FilterSyntaxError):
        Filter(ARN, FilterExpression((Clause("INCLUDE", "ItemID", ((Condition(Field("Users", "A"), "=", (1,)),),)),)))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("include itemid where item.genre in('a',\"b\")", 'INCLUDE ItemID WHERE Items.genre IN ("a", "b")'),
        ("INCLUDE ActionID WHERE Actions.VALUE > ($VALUE)", "INCLUDE ActionID WHERE Actions.VALUE > $VALUE"),
        ("INCLUDE ItemID WHERE Items.A<007.50", "INCLUDE ItemID WHERE Items.A < 7.5"),
        ("INCLUDE ItemID WHERE Items.A in (CURRENTITEM.b)", "INCLUDE ItemID WHERE Items.A IN CurrentItem.b"),
        (
            "EXCLUDE ItemID WHERE interactions.event_type not\nin('say \"x\"')if currentuser.A!=-1",
            "EXCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ('say \"x\"') IF CurrentUser.A != -1",
        ),
        ('EXCLUDE ItemID WHERE Items.C IN ("$CATEGORY", "$10")', 'EXCLUDE ItemID WHERE Items.C IN ($CATEGORY, "$10")'),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(Filter.parse(text)) == canonical
    assert Filter.parse(canonical) == Filter.parse(text)


def test_plain_data_of_an_expression() -> None:
    expression = Filter.parse(
        'INCLUDE ItemID WHERE Items.A IN ("x", $P) AND Items.B < CurrentItem.B OR Items.C = 1.5 IF CurrentUser.D > 1'
    )
    data = expression.to_dict()
    assert data == {
        "clauses": [
            {
                "action": "INCLUDE",
                "target": "ItemID",
                "where": [
                    [
                        {"field": "Items.A", "operator": "IN", "values": ["x", {"parameter": "P"}]},
                        {"field": "Items.B", "operator": "<", "current_item": "B"},
                    ],
                    [{"field": "Items.C", "operator": "=", "values": [{"number": "1.5"}]}],
                ],
                "only_if": [{"field": "CurrentUser.D", "operator": ">", "values": [1]}],
            }
        ]
    }
    assert FilterExpression.from_dict(json.loads(json.dumps(data))) == expression


CONDITION = {"field": "Items.A", "operator": "IN", "values": ["x"]}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"clauses": []},
        {"clauses": 5},
        [],
        None,
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": []}]},
        {"clauses": [{"action": "KEEP", "target": "ItemID", "where": [[CONDITION]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "field": "A"}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "field": "A.B.C"}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "field": "Users.A"}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": []}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": [None]}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": [True]}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": [1.5]}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": ["'\""]}]]}]},
        {"clauses": [{"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": ["$X"]}]]}]},
        {
            "clauses": [
                {
                    "action": "INCLUDE",
                    "target": "ItemID",
                    "where": [[{**CONDITION, "field": 'Items.A = "x" OR Items.B'}]],
                }
            ]
        },
        {
            "clauses": [
                {
                    "action": "INCLUDE",
                    "target": "ItemID",
                    "where": [[{**CONDITION, "values": [{"parameter": 'P) OR Items.B IN ("y"'}]}]],
                }
            ]
        },
        {
            "clauses": [
                {"action": "INCLUDE", "target": "ItemID", "where": [[{**CONDITION, "values": [{"number": '"x"'}]}]]}
            ]
        },
    ],
)
def test_plain_data_is_checked_like_text(data: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        FilterExpression.from_dict(data)
    assert caught.value.__context__ is None


def test_filters_are_values() -> None:
    filter = Filter(ARN, UNSEEN)
    bound = filter.bind(GENRE="secret")
    for value in (filter, filter.expression, bound):
        assert value == copy.deepcopy(value) == pickle.loads(pickle.dumps(value))
        assert hash(value) == hash(copy.deepcopy(value))
    assert filter.bind(GENRE="a") != filter.bind(GENRE="b")
    assert filter != Filter(ARN, "INCLUDE ItemID WHERE Items.A = 1")
    for name in ("arn", "expression"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(filter, name, None)
    bound.filter_values["GENRE"] = "changed"
    assert bound.filter_values["GENRE"] == '"secret"'


def test_no_repr_shows_a_value() -> None:
    filter = Filter(ARN, 'INCLUDE ItemID WHERE Items.A IN ("secret", $P) IF CurrentUser.AGE = 4711')
    bound = filter.bind(P="secret")
    shown = f"{filter!r} {filter.expression!r} {bound!r} {filter.expression.clauses!r}"
    shown += f"{[condition for clause in filter.expression.clauses for condition in clause.conditions]!r}"
    assert "secret" not in shown
    assert "4711" not in shown
    assert "unseen-by-genre" in repr(bound)
    assert "P=<8 characters>" in repr(bound)


def test_what_a_request_needs_can_be_asked() -> None:
    expression = Filter.parse(
        "INCLUDE ItemID WHERE Items.A < CurrentItem.A IF CurrentUser.B = 1 "
        '| EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("x")'
    )
    assert expression.uses_interactions
    assert expression.uses_current_user
    assert expression.uses_current_item
    assert expression.target == "ItemID"
    assert [str(field) for field in expression.fields] == [
        "Items.A",
        "CurrentItem.A",
        "CurrentUser.B",
        "Interactions.EVENT_TYPE",
    ]
    plain = Filter.parse("INCLUDE ActionID WHERE Actions.A = 1")
    assert plain.datasets == {"Actions"}
    assert not any((plain.uses_interactions, plain.uses_current_user, plain.uses_current_item))


def test_expressions_are_chained() -> None:
    first = Filter.parse("INCLUDE ItemID WHERE Items.A = 1")
    second = Filter.parse("EXCLUDE ItemID WHERE Items.B = 1")
    assert first | second == Filter.parse(f"{first} | {second}")
    with pytest.raises(FilterSyntaxError, match="select the same"):
        first | Filter.parse("INCLUDE ActionID WHERE Actions.A = 1")
    with pytest.raises(TypeError):
        first | 5  # type: ignore[operator]  # what is tested


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ('EXCLUDE ItemID WHERE Interactons.EVENT_TYPE IN ("x")', 1, 22, "did you mean Interactions?"),
        ('EXCLUDE ItemID WHERE Item_Interactions.EVENT_TYPE IN ("x")', 1, 22, "did you mean Interactions?"),
        ("INCLUD ItemID WHERE Items.A = 1", 1, 1, "did you mean INCLUDE?"),
        ("INCLUDE Items WHERE Items.A = 1", 1, 9, "did you mean ItemID?"),
        ("INCLUDE ItemID WHEE Items.A = 1", 1, 16, "did you mean WHERE?"),
        ("INCLUDE ItemID WHERE Items.A == 1", 1, 30, "write = for equality"),
        ("INCLUDE ItemID WHERE Items.A <> 1", 1, 30, "write !="),
        ("INCLUDE ItemID WHERE Items.A < = 1", 1, 30, "write <=, without white space"),
        ("INCLUDE ItemID\n WHERE Items.A IN (\n  'x)", 3, 3, "missing"),
        ('INCLUDE ItemID\r\nWHERE Items.A IN ("x" "y")', 2, 23, "comma"),
        ('INCLUDE ItemID WHERE Items.A LIKE "x%"', 1, 30, "no wildcards"),
        ("INCLUDE ItemID WHERE Items.A BETWEEN 1 AND 2", 1, 30, "two conditions"),
        ("INCLUDE ItemID WHERE Items.A IS NULL", 1, 30, "missing values"),
        ("INCLUDE ItemID WHERE Items.A IS NOT NULL", 1, 30, "missing values"),
        ('INCLUDE ItemID WHERE Items.A IN "x"', 1, 33, 'IN ("value")'),
        ("INCLUDE ItemID WHERE Items.A IN (x)", 1, 34, "double quotes"),
        ("INCLUDE ItemID WHERE Items.A IN (\u201cx\u201d)", 1, 34, "straight double quotes"),
        ('INCLUDE ItemID WHERE Items.A IN (\\"x\\")', 1, 34, "backslash"),
        ('INCLUDE ItemID WHERE (Items.A = 1 OR Items.B = 2) AND Items.C = "x"', 1, 22, "AND binds before OR"),
        ('INCLUDE ItemID WHERE NOT Items.A IN ("x")', 1, 22, "before IN"),
        ('INCLUDE ItemID WHERE GENRE IN ("x")', 1, 22, "write the dataset before the field"),
        ("INCLUDE ItemID WHERE Items.A = 1 || INCLUDE ItemID WHERE Items.A = 1", 1, 35, "write OR"),
        ("INCLUDE ItemID WHERE Items.A = 1e5", 1, 32, "without an exponent"),
        ("INCLUDE ItemID WHERE Items.A > 2021-01-01", 1, 36, "Unix seconds"),
        ('INCLUDE ItemID WHERE Items.A IN ("x") ORItems.B = 1', 1, 39, "white space after OR"),
        ("INCLUDE ItemID WHERE Items.A = 1;", 1, 33, "semicolon"),
        ("INCLUDE ItemID WHERE Items.A = 1 ~", 1, 34, "'~' has no meaning"),
        ("INCLUDE ItemID WHERE Items.A = 1 \u20ac", 1, 34, "U+20AC has no meaning"),
        ("INCLUDE ItemID WHERE Items.A = 1 ADN Items.B = 1", 1, 34, "did you mean AND?"),
        ("INCLUDE ItemID WHERE Items.A = 1 FI CurrentUser.B = 1", 1, 34, "did you mean IF?"),
        ("INCLUDE ItemID WHERE Items.A = 1 OR IF CurrentUser.B = 1", 1, 37, "a condition is missing before IF"),
        ("INCLUDE ItemID WHERE Items.1A = 1", 1, 28, "begins with a letter"),
        ("INCLUDE ItemID WHERE Items.A IN ($ X)", 1, 34, "$NAME"),
        ("INCLUDE ItemID WHERE Items.A IN ($" + "x" * 51 + ")", 1, 34, "at most 50"),
        ("INCLUDE ItemID WHERE Items.A = " + "9" * 2000 + " AND", 1, 2036, "found the end"),
        ("", 1, 1, "empty"),
        (" \n ", 2, 2, "empty"),
    ],
)
def test_a_syntax_error_shows_where_and_what_to_write(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        Filter.parse(text)
    error = caught.value
    assert (error.line, error.column, error.parameter) == (line, column, "expression")
    assert said in str(error)
    assert pickle.loads(pickle.dumps(error)).column == column


def test_the_caret_stands_under_the_token_and_literals_are_hidden() -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        Filter.parse('INCLUDE ItemID WHERE Items.GENRE IN ("Comedy", "Film購")\n  AND Itens.YEAR > 1970')
    assert str(caught.value) == (
        "line 2, column 7: expected a dataset: Interactions, Items, Users, Actions, Action_Interactions, "
        "or CurrentUser after IF, found Itens\n"
        "    AND Itens.YEAR > ••••\n"
        "        ^^^^^\n"
        "did you mean Items?"
    )


@pytest.mark.parametrize(
    "text",
    [
        "EXCLUDE ItemID WERE Items.OWNER IN (alice)",
        "EXCLUDE ItemID Items.OWNER = alice",
        "EXCLUDE ItemID = alice",
        "EXCLUDE ItemID IN (alice)",
        "EXCLUDE ItemID (alice)",
        "EXCLUDE ItemID WHERE alice = Items.OWNER",
        "EXCLUDE ItemID WHERE alice",
        "EXCLUDE ItemID WHERE (alice) IN Items.OWNER",
        "EXCLUDE ItemID WHERE Items.OWNER alice",
        "EXCLUDE ItemID WHERE Items.OWNER LIKE alice",
        "EXCLUDE ItemID WHERE Items.OWNER == alice",
        "EXCLUDE ItemID WHERE Items.OWNER = alice@example.org",
        "EXCLUDE ItemID WHERE Items.OWNER IN (alice, bob",
        "EXCLUDE ItemID WHERE Items.OWNER IN [alice]",
        "EXCLUDE ItemID WHERE Items.OWNER IN ('x' alice)",
        'EXCLUDE ItemID WHERE Items.OWNER = "alice',
        'EXCLUDE ItemID WHERE Items.OWNER = "x" alice',
        'EXCLUDE ItemID WHERE Items.OWNER = "x" IF CurrentUser.NAME = alice',
    ],
)
def test_no_message_shows_a_value_whatever_else_is_wrong(text: str) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        Filter.parse(text)
    _, source, caret, *_ = str(caught.value).split("\n")
    assert "alice" not in str(caught.value)
    assert "•••••" in source
    assert len(caret) <= len(source)  # what is hidden keeps its length


def test_a_long_line_is_shown_around_the_caret() -> None:
    text = "INCLUDE ItemID WHERE " + "Items.A = 1 AND " * 20 + "Items.B == 1 AND " + "Items.A = 1 AND " * 20
    with pytest.raises(FilterSyntaxError) as caught:
        Filter.parse(text)
    _, source, caret, _ = str(caught.value).split("\n")
    assert source.startswith("  …")
    assert source.endswith("…")
    assert source[caret.index("^") :].startswith("== •")


def test_numbers_are_exact() -> None:
    expression = Filter.parse("INCLUDE ItemID WHERE Items.A = 0.1 AND Items.B = 12345678901234567890")
    assert [condition.operand for condition in expression.clauses[0].conditions] == [
        (Decimal("0.1"),),
        (12345678901234567890,),
    ]
    assert Filter.parse("INCLUDE ItemID WHERE Items.A IN ($P)").clauses[0].where[0][0].params == (Param("P"),)


def test_names_are_found_without_importing_what_is_not_used() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"  # a child whose coverage is measured begins with some
        "import personalize_rt.filters as f\n"
        "assert not [m for m in sys.modules if m.startswith('personalize_rt.filters.')]\n"
        "f.encode('x', parameter='P')\n"
        "assert 'personalize_rt.filters.parser' not in sys.modules\n"
        "assert set(f.__all__) <= set(dir(f)) and all(getattr(f, name) is not None for name in f.__all__)\n"
        "f.Filter.parse('INCLUDE ItemID WHERE Items.A = 1')\n"
        "assert not {'decimal', 'difflib', 'numpy', 'pandas', 'asyncio', 'boto3'} & (set(sys.modules) - before)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_misspelt_name_is_an_attribute_error() -> None:
    import personalize_rt.filters

    with pytest.raises(AttributeError, match="Fliter"):
        personalize_rt.filters.Fliter  # type: ignore[attr-defined]  # noqa: B018  # what is tested
