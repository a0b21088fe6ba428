"""``NAME=VALUE`` pairs and lists of items."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt import ValidationError
from personalize_rt.cli.arguments import as_context, as_filter_values, check_text, read_item_ids

NAMES = st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.text()))
def test_context_is_what_stands_around_the_first_equals_sign(context: dict[str, str]) -> None:
    assert as_context(f"{name}={value}" for name, value in context.items()) == context


@given(st.dictionaries(NAMES, st.text()))
def test_a_filter_value_is_text_even_when_it_looks_like_a_number(values: dict[str, str]) -> None:
    assert as_filter_values(f"{name}={value}" for name, value in values.items()) == values


@given(st.dictionaries(NAMES, st.decimals(allow_nan=False, allow_infinity=False, places=3)))
def test_after_colon_and_equals_sign_a_filter_value_is_a_number(values: dict[str, Decimal]) -> None:
    assert as_filter_values(f"{name}:={value:f}" for name, value in values.items()) == values


def test_a_repeated_filter_value_is_a_list() -> None:
    assert as_filter_values(["A=x", "B:=1", "A=7", "B:=2.5"]) == {"A": ["x", "7"], "B": [1, Decimal("2.5")]}


@pytest.mark.parametrize("pair", ["secret", "=secret", ":=1", ""])
def test_a_pair_without_name_or_sign_is_refused_without_being_shown(pair: str) -> None:
    for read, option in ((as_context, "--context"), (as_filter_values, "--value")):
        if read is as_context and pair == ":=1":
            continue
        with pytest.raises(ValidationError, match=f"{option} number 2") as caught:
            read(["A=x", pair])
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["secret", "", "1e5", "nan", "0x1", "1,2", "١"])
def test_what_is_no_number_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValidationError, match="--value YEAR:= takes a number") as caught:
        as_filter_values([f"YEAR:={text}"])
    assert "secret" not in str(caught.value)


def test_a_context_column_has_one_value() -> None:
    with pytest.raises(ValidationError, match="--context A is repeated"):
        as_context(["A=1", "A=2"])


def test_surrogates_are_no_text() -> None:
    check_text(["ä", "\U0001f600"])
    with pytest.raises(ValidationError, match="argument 2"):
        check_text(["a", "\udcff"])


def test_a_file_has_one_item_in_each_line(tmp_path: Path) -> None:
    file = tmp_path / "items.txt"
    file.write_bytes("\ufeffa\r\n\n  two words \nä".encode())
    assert read_item_ids([], str(file)) == ["a", "two words", "ä"]
    assert read_item_ids(["b", "b"], None) == ["b", "b"]


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb\n")))
    assert read_item_ids([], "-") == ["a", "b"]


def test_items_come_from_one_place() -> None:
    with pytest.raises(ValidationError, match="both are given"):
        read_item_ids(["a"], "items.txt")
    with pytest.raises(ValidationError, match="neither is given"):
        read_item_ids([], None)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"\xe4")
    for file, problem in {
        str(latin): "it is not UTF-8",
        str(tmp_path / "none"): "No such file or directory",
        str(tmp_path): "Is a directory",
        "a\0b": "it is no name of a file",
    }.items():
        with pytest.raises(ValidationError, match=problem):
            read_item_ids([], file)
