"""Rows that are put into a catalogue: filters give what they give on a catalogue that is made anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt.filters import Catalogue, Filter

FILTERS = [
    Filter.parse(text)
    for text in (
        'INCLUDE ItemID WHERE Items.GENRE IN ("a")',
        'INCLUDE ItemID WHERE Items.GENRE IN ("a", "b", "c")',
        'INCLUDE ItemID WHERE Items.GENRE NOT IN ("b")',
        'EXCLUDE ItemID WHERE Items.GENRE != "a"',
        "INCLUDE ItemID WHERE Items.PRICE < 3",
        "INCLUDE ItemID WHERE Items.PRICE >= 2",
        "INCLUDE ItemID WHERE Items.PRICE = 4",
        "EXCLUDE ItemID WHERE Items.PRICE != 1",
        'INCLUDE ItemID WHERE Items.ITEM_ID IN ("i1", "i7")',
    )
]
ROWS = st.fixed_dictionaries(
    {
        "GENRE": st.sampled_from([None, "", "a", "b", "a|b", "c|a|c", "d"]),
        "PRICE": st.sampled_from([None, 1, 2, 2.5, 3, 4]),
    }
)
TABLES = st.dictionaries(st.sampled_from([f"i{n}" for n in range(9)]), ROWS, max_size=9)


def answers(catalogue: Catalogue) -> list[list[str]]:
    return [[*expression.compile(catalogue).allowed()] for expression in FILTERS]


@settings(max_examples=150, deadline=None)
@given(TABLES, st.lists(TABLES, min_size=1, max_size=4), st.booleans())
def test_filters_on_changed_rows_are_those_on_rows_loaded_at_once(
    first: dict[str, Any], changes: list[dict[str, Any]], asked_before: bool
) -> None:
    catalogue = Catalogue(first)
    before = answers(catalogue)
    old = catalogue.table
    rows = dict(first)
    for change in changes:
        if asked_before:
            answers(catalogue)
        catalogue.put_rows(change)
        rows |= change
    assert answers(catalogue) == answers(Catalogue(rows))
    # A request that began before the change still sees all of the old table.
    catalogue.table = old
    assert answers(catalogue) == before


def test_many_rows_of_one_value_and_many_numbers() -> None:
    rows = {f"i{n}": {"GENRE": "a" if n % 3 else "b", "PRICE": n % 7} for n in range(2_000)}
    catalogue = Catalogue(rows)
    answers(catalogue)
    change = {f"i{n}": {"GENRE": "c" if n % 2 else "a", "PRICE": n % 5} for n in range(1_500, 2_600)}
    catalogue.put_rows(change)
    assert answers(catalogue) == answers(Catalogue({**rows, **change}))
