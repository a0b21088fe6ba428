"""Expressions written in Python."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import reduce
from operator import and_
from typing import Any, cast

import pytest

from personalize_rt.errors import FilterSyntaxError, FilterValuesError, ValidationError
from personalize_rt.filters import Filter, FilterExpression
from personalize_rt.filters.builder import (
    Action_Interactions,
    Actions,
    CurrentItem,
    CurrentUser,
    Interactions,
    Items,
    Users,
    any_event,
    exclude,
    include,
    param,
)


class Genre(Enum):
    DRAMA = "Drama"


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (
            include(Items.GENRES.in_(param("GENRE")) & (Items.YEAR >= 1970)),
            "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) AND Items.YEAR >= 1970",
        ),
        (include(Items.A.in_("x", "y")), 'INCLUDE ItemID WHERE Items.A IN ("x", "y")'),
        (include(Items.A.in_(["x", param("P")], Genre.DRAMA)), 'INCLUDE ItemID WHERE Items.A IN ("x", $P, "Drama")'),
        (include(Items.A.in_(1970, 1980)), "INCLUDE ItemID WHERE Items.A IN (1970, 1980)"),
        (include(Items.A.not_in({"y", "x"})), 'INCLUDE ItemID WHERE Items.A NOT IN ("x", "y")'),
        (include(Items["odd name".replace(" ", "_")] == "x"), 'INCLUDE ItemID WHERE Items.odd_name = "x"'),
        (include(Items.A != 5.50), "INCLUDE ItemID WHERE Items.A != 5.5"),
        (include(Decimal("19.50") > Items.A), "INCLUDE ItemID WHERE Items.A < 19.5"),
        (include(datetime(2021, 10, 3, 6, 0, 24, tzinfo=UTC) < Items.A), "INCLUDE ItemID WHERE Items.A > 1633240824"),
        (include(Items.A <= CurrentItem.B), "INCLUDE ItemID WHERE Items.A <= CurrentItem.B"),
        (include(Items.A.in_(CurrentItem.A)), "INCLUDE ItemID WHERE Items.A IN CurrentItem.A"),
        (include(Items.A.not_in(CurrentItem["A"])), "INCLUDE ItemID WHERE Items.A NOT IN CurrentItem.A"),
        (include((Items.A == 1) | (Items.B == 2)), "INCLUDE ItemID WHERE Items.A = 1 OR Items.B = 2"),
        (
            include(((Items.A == 1) | (Items.B == 2)) & ((Items.C == 3) | (Items.D == 4))),
            "INCLUDE ItemID WHERE Items.A = 1 AND Items.C = 3 OR Items.A = 1 AND Items.D = 4 "
            "OR Items.B = 2 AND Items.C = 3 OR Items.B = 2 AND Items.D = 4",
        ),
        (
            exclude(
                Interactions.EVENT_TYPE.in_("Watch", any_event), only_if=(CurrentUser.AGE >= 18) & (CurrentUser.B < 9)
            ),
            'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch", "*") '
            "IF CurrentUser.AGE >= 18 AND CurrentUser.B < 9",
        ),
        (
            exclude(Interactions.EVENT_TYPE.not_in(["Watch"]), target="UserID"),
            'EXCLUDE UserID WHERE Interactions.EVENT_TYPE NOT IN ("Watch")',
        ),
        (include(Users.AGE.in_(param("AGE"))), "INCLUDE UserID WHERE Users.AGE IN ($AGE)"),
        (exclude(param("V") > Actions.VALUE), "EXCLUDE ActionID WHERE Actions.VALUE < $V"),
        (
            include(Action_Interactions.EVENT_TYPE.in_(param("E"))),
            "INCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ($E)",
        ),
        (
            include(Items.A == 1) | exclude(Interactions.EVENT_TYPE.in_("x")),
            'INCLUDE ItemID WHERE Items.A = 1 | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("x")',
        ),
    ],
)
def test_python_operators_write_the_language(built: FilterExpression, text: str) -> None:
    assert str(built) == text
    assert built == Filter.parse(text)


def test_a_built_expression_makes_a_filter() -> None:
    filter = Filter("arn:aws:personalize:eu-west-1:1:filter/f", include(Items.A.in_(param("X"))))
    assert filter.bind(X=["a"]).filter_values == {"X": '"a"'}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: include((Items.A == 1) & cast(Any, Interactions.EVENT_TYPE.in_("x"))), "one dataset"),
        (lambda: include(Items.A.not_in(cast(Any, param("X")))), "swap INCLUDE and EXCLUDE"),
        (lambda: include(cast(Any, Items.A) < "x"), "compares numbers"),
        (lambda: include(Items.A.in_("*")), "EVENT_TYPE"),
        (lambda: include(Items.A.in_()), "one value at least"),
        (lambda: include(cast(Any, Items.A) == ["a", "b"]), "in_()"),
        (lambda: include(Items.A.in_("$GENRE")), "param('GENRE')"),
        (lambda: include(Items.A.in_("x", 1)), "strings or numbers"),
        (lambda: include(Items["A B"] == 1), "expected"),
        (lambda: include(cast(Any, Actions.A) < CurrentItem.A), "Items only"),
        (lambda: include(Items.A == 1, target="ActionID"), "not by Items"),
        (lambda: include(Actions.REPEAT_FREQUENCY == 1), "applies it by itself"),
    ],
)
def test_the_rules_of_the_language_hold_for_the_builder(build: Any, said: str) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        build()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: include(cast(Any, CurrentUser.AGE > 5)),
        lambda: include(Items.A == 1, only_if=cast(Any, Items.A == 1)),
        lambda: include(cast(Any, True)),
        lambda: 1970 <= Items.YEAR < 1980,
        lambda: (Items.A == 1) and (Items.B == 2),
        lambda: not Items.A,
        lambda: include(Items["A = 1 OR Items.B"] == 1),
        lambda: ~cast(Any, Items.A == 1),
        lambda: cast(Any, CurrentUser.A == 1) | (CurrentUser.B == 2),
        lambda: (Items.A == 1) & cast(Any, 5),
        lambda: (Items.A == 1) | cast(Any, None),
        lambda: (Items.A == 1) & cast(Any, Items.B),
        lambda: (Items.A == 1) & cast(Any, CurrentUser.B == 2),
        lambda: (CurrentUser.B == 2) & cast(Any, Items.A == 1),
        lambda: (Items.A == 1) | cast(Any, include(Items.B == 1)),
    ],
)
def test_python_that_means_something_else_is_refused(build: Any) -> None:
    with pytest.raises(ValidationError):
        build()


def test_what_is_joined_wrongly_is_told_where_it_belongs() -> None:
    with pytest.raises(ValidationError, match="give it as only_if="):
        (Items.A == 1) & cast(Any, CurrentUser.B == 2)
    with pytest.raises(ValidationError, match=r"chained with \| among themselves"):
        (Items.A == 1) | cast(Any, include(Items.B == 1))


def test_another_column_of_events_is_an_error_that_names_event_type() -> None:
    with pytest.raises(AttributeError, match=r"of Interactions only EVENT_TYPE can be filtered, not EVENT_VALUE"):
        cast(Any, Interactions).EVENT_VALUE  # noqa: B018


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda values: (value for value in values)])
def test_any_iterable_may_hold_placeholders(kind: Any) -> None:
    assert str(include(Items.A.in_(kind([param("X"), "a"])))) == 'INCLUDE ItemID WHERE Items.A IN ($X, "a")'


@pytest.mark.parametrize("value", [None, True, "", 'a"b', float("nan"), datetime(2021, 10, 3), ["a", 1], [[1]]])
def test_literals_follow_the_rules_of_filter_values(value: Any) -> None:
    with pytest.raises(FilterValuesError) as caught:
        Items.A.in_(value)
    assert caught.value.parameter == "Items.A"


def test_a_product_of_alternatives_stops_at_the_longest_expression() -> None:
    either = (Items.A == 1) | (Items.B == 2)
    with pytest.raises(FilterSyntaxError, match="without parentheses") as caught:
        reduce(and_, [either] * 20)
    assert caught.value.limit == 2500


def test_parameter_names_are_checked() -> None:
    with pytest.raises(FilterValuesError, match="the \\$ belongs"):
        param("$GENRE")


def test_columns_show_themselves_and_hide_values() -> None:
    assert repr(Items.A) == "<Column Items.A>"
    assert "secret" not in repr((Items.A == "secret") | (Items.B == 1))
    assert "Items.A" in repr((Items.A == "secret") | (Items.B == 1))
    # Tools ask datasets for such names.
    with pytest.raises(AttributeError):
        Items._repr_html_  # noqa: B018
    assert copy.copy(Actions) is not None
    with pytest.raises(TypeError):
        hash(Items.A)
