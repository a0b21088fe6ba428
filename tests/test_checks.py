"""Checks of arguments: each names the parameter, shows numbers, and shows nothing else."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from typing import Any

import attrs
import pytest

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.budget import RetryBudget
from personalize_rt.resilience.cache import Cache, MemoryStore
from personalize_rt.resilience.hedge import Hedge

HUGE = 10**400  # no float


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (-HUGE, "an int"), (1.0, "1.0"), (True, "True"), (None, "None"), ("secret", "a str of 6 characters")],
)
def test_a_whole_number_is_no_bool_and_not_below_the_least(value: Any, shown: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checks.whole(value, "k")
    assert caught.value.message == f"k must be a whole number from 1, not {shown}"
    assert (caught.value.parameter, caught.value.limit) == ("k", 1)
    assert checks.whole(0, "k", least=0) == 0


@pytest.mark.parametrize("value", [-0.1, nan, True, "1", None, HUGE, Decimal("NaN"), Decimal("1e999")])
def test_a_number_is_one_that_a_float_can_hold(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^share must be a number from 0, not ") as caught:
        checks.number(value, "share", "a number from 0", lambda it: it >= 0)
    assert caught.value.parameter == "share"


@pytest.mark.parametrize("value", [1, 1.0, Decimal(1), Fraction(1)])
def test_a_number_of_any_library_is_taken_as_a_float(value: Any) -> None:
    number = checks.number(value, "share", "a number from 0", lambda it: it >= 0)
    assert (type(number), number) == (float, 1.0)


def test_seconds_may_be_infinite_unless_they_must_not() -> None:
    assert checks.seconds(inf, "cap") == inf
    assert checks.seconds(0, "cap") == 0
    wrong: list[tuple[Any, dict[str, Any]]] = [(inf, {"finite": True}), (0, {"above_0": True})]
    for value, options in [*wrong, (nan, {}), (Decimal(1), {}), (True, {})]:
        with pytest.raises(ValidationError, match=r"^cap must be a (finite )?number of seconds"):
            checks.seconds(value, "cap", **options)


@pytest.mark.parametrize("value", ["up", None, ["on"]])
def test_a_choice_is_one_of_those_named(value: Any) -> None:
    with pytest.raises(ValidationError, match=r'^mode must be "on" or "off", not '):
        checks.one_of(value, "mode", "on", "off")
    checks.one_of("on", "mode", "on", "off")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("alien", r"^items is a str of 5 characters: it takes a list of item ids; for a single one write \[item_id\]$"),
        (b"alien", "^items is a bytes of 5 bytes: it takes a list"),
        (7, "^items is an int, not a list of item ids$"),
        (["a", 7], r"^items\[1\] is an int, not a str; turn ids into text as the data set spells them$"),
    ],
)
def test_ids_are_a_list_of_texts(value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        checks.ids(value, "items")
    assert caught.value.parameter == "items"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert checks.ids(iter(["a", "b"]), "items") == ("a", "b")


def test_a_validator_names_the_field() -> None:
    @attrs.frozen
    class Settings:
        count: int = attrs.field(default=1, validator=checks.validator(checks.whole, least=0))

    assert Settings(0).count == 0
    with pytest.raises(ValidationError, match=r"^count must be a whole number from 0, not -1$"):
        Settings(-1)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda it: Cache(ttl=it), "ttl"),
        (lambda it: MemoryStore(it), "max_entries"),
        (lambda it: Hedge(it), "after"),
        (lambda it: Hedge(percent=it), "percent"),
        (lambda it: Hedge(min_samples=it), "min_samples"),
        (lambda it: CircuitBreaker(failure_rate=it), "failure_rate"),
        (lambda it: CircuitBreaker(min_calls=it), "min_calls"),
        (lambda it: CircuitBreaker(window=it), "window"),
        (lambda it: CircuitBreaker(open_for=it), "open_for"),
        (lambda it: CircuitBreaker(probes=it), "probes"),
        (lambda it: RetryBudget(it), "tokens"),
    ],
)
@pytest.mark.parametrize("value", ["5", -1, nan, True])
def test_policies_name_the_parameter_that_is_no_number(make: Any, parameter: str, value: Any) -> None:
    """A text ended in a TypeError about ``<``, of which nobody could tell the parameter."""
    with pytest.raises(ValidationError, match=f"^{parameter} must be "):
        make(value)
