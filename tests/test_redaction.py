"""What messages may say of values: kind and size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.redaction import describe, shown_number


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "None"),
        ("x" * 300, "a str of 300 characters"),
        ("x", "a str of 1 character"),
        ("", "a str of 0 characters"),
        (b"xy", "a bytes of 2 bytes"),
        (["x"] * 501, "a list of 501 items"),
        (("x",), "a tuple of 1 item"),
        ({"x": 1, "y": 2}, "a dict of 2 items"),
        (["x"] * 12345, "a list of 12,345 items"),
        (5, "an int"),
        (0.5, "a float"),
        (object(), "an object"),
        (True, "a bool"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a") else type(value).__name__,
)
def test_a_value_is_described_by_kind_and_size(value: Any, said: str) -> None:
    assert describe(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (-1.5, "-1.5"), (True, "True"), ("secret", "a str of 6 characters"), (None, "None")]
)
def test_of_settings_numbers_are_shown_and_nothing_else(value: Any, said: str) -> None:
    assert shown_number(value) == said


@given(st.text())
def test_a_description_depends_on_the_size_alone(value: str) -> None:
    assert describe(value) == describe("…" * len(value))
    assert describe([value]) == describe(["…"])
    assert describe({value: value}) == describe({"…": "…"})
