"""Orders of all items, and picking from them with and without a filter."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.filters import Catalogue, Filter
from personalize_rt.local.universe import Order, Universe

KEYS = st.lists(st.integers(0, 5), min_size=1, max_size=40)


def test_items_are_numbered_in_order_of_appearance() -> None:
    universe = Universe.of(["b", "a"], ["a", "c", "b"])
    assert list(universe.ids) == ["b", "a", "c"]
    assert universe.numbers == {"b": 0, "a": 1, "c": 2}
    assert len(universe) == 3


@given(KEYS, st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)), st.booleans())
def test_picking_gives_what_is_allowed_best_first(
    keys: Sequence[int], let_through: set[int], without: set[int], everything: bool
) -> None:
    universe = Universe.of(f"i{n}" for n in range(len(keys)))
    rows = {id: {"X": int(everything or number in let_through)} for id, number in universe.numbers.items()}
    allowed = Filter.parse("INCLUDE ItemID WHERE Items.X = 1").compile(Catalogue(rows)).allowed()
    best_first = sorted(range(len(keys)), key=lambda number: (-keys[number], number))

    order = Order(universe, keys)
    assert list(order.pick(None)) == best_first
    assert list(order.pick(allowed, without)) == [
        number for number in best_first if rows[f"i{number}"]["X"] and number not in without
    ]
