"""What filters cost: ``python -m benchmarks.filters``.

Prints, in one run: parsing the longest example of the guide and an expression of the longest allowed length, making a
module-level filter, binding values, and a compiled filter on 100,000 made-up items against two scans: a naive
evaluator of the parsed expression, and a loop written by hand for each filter. Ends with status 1 when a figure is
worse than what the project promises.
"""

from __future__ import annotations

import random
import sys
import timeit
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from personalize_rt.filters import Catalogue, Filter, FilterExpression
from personalize_rt.filters.expression import Condition, Field, Param
from personalize_rt.filters.values import encode
from personalize_rt.interactions import Interaction

ITEMS = 100_000
EXAMPLE_MS = 0.2
LONGEST_MS = 5.0
TIMES_FASTER = 50.0

ARN = "arn:aws:personalize:eu-west-1:000000000000:filter/benchmark"
# The longest expression of the guide's examples.
EXAMPLE = (
    'INCLUDE ItemID WHERE Items.GENRE IN ("drama") | '
    'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click", "stream")'
)
GENRES = [f"genre {n}" for n in range(25)]
Row = dict[str, Any]


def best(call: Callable[[], object], calls: int, rounds: int = 5) -> float:
    """Seconds that a call takes at best."""
    return min(timeit.repeat(call, number=calls, repeat=rounds)) / calls


def longest() -> str:
    """An expression of 2,500 characters with many tokens."""
    clause = 'INCLUDE ItemID WHERE Items.A<1 AND Items.B IN("x","y",$P) OR Items.C!=-2.5 IF CurrentUser.D>=$Q|'
    text = clause * (2500 // len(clause) - 1) + clause[:-1]
    return text + " " * (2500 - len(text))


def parsing() -> bool:
    """Parse, make and bind filters."""
    example, long = best(lambda: Filter.parse(EXAMPLE), 500) * 1e3, best(lambda: Filter.parse(longest()), 20) * 1e3
    genres = ["Comedy", "Drama", "Horror", "War", "Short"]
    made = Filter(ARN, "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")
    print(f"parse the guide's longest example ({len(EXAMPLE)} characters): {example:.3f} ms (promised {EXAMPLE_MS} ms)")
    print(f"parse {len(longest()):,} characters: {long:.2f} ms (promised {LONGEST_MS} ms)")
    print(f"make a module-level filter: {best(lambda: Filter(ARN, EXAMPLE), 500) * 1e3:.3f} ms")
    print(f"bind one parameter to 5 strings: {best(lambda: made.bind(GENRE=genres), 500) * 1e6:.1f} µs")
    print(f"encode one str: {best(lambda: encode('Comedy', parameter='GENRE'), 5000) * 1e6:.2f} µs")
    print(f"encode a list of 5 str: {best(lambda: encode(genres, parameter='GENRE'), 5000) * 1e6:.2f} µs")
    return example <= EXAMPLE_MS and long <= LONGEST_MS


def naive(
    expression: FilterExpression, rows: Mapping[str, Row], user: Row, events: Mapping[str, set[str]], values: Row
) -> list[str]:
    """Every row through every condition."""

    def holds(condition: Condition, item: str, row: Row) -> bool:
        operand = condition.operand
        assert not isinstance(operand, Field)
        wanted: list[Any] = []
        for value in operand:
            given = values[value.name] if isinstance(value, Param) else value
            wanted += given if isinstance(given, list) else [given]
        if condition.field.dataset == "Interactions":
            return any(item in events.get(kind, ()) for kind in wanted)
        own = (user if condition.field.dataset == "CurrentUser" else row).get(condition.field.name)
        if condition.operator == "IN":
            return own is not None and any(element in wanted for element in own.split("|"))
        if own is None:
            return False
        return own <= wanted[0] if condition.operator == "<=" else own > wanted[0]

    kept = []
    for item, row in rows.items():
        included, restricted, excluded = False, False, False
        for clause in expression.clauses:
            if all(holds(condition, item, row) for condition in clause.only_if):
                found = any(all(holds(condition, item, row) for condition in group) for group in clause.where)
                if clause.action == "INCLUDE":
                    restricted, included = True, included or found
                else:
                    excluded = excluded or found
        if (included or not restricted) and not excluded:
            kept.append(item)
    return kept


def selecting(chance: random.Random) -> bool:
    """A compiled filter and two scans, on the same items."""
    rows: dict[str, Row] = {
        f"item-{n}": {
            "GENRES": "|".join(chance.sample(GENRES, 3)),
            "YEAR": chance.randint(1920, 2025),
            "PRICE": round(chance.uniform(1, 100), 2),
        }
        for n in range(ITEMS)
    }
    ids = list(rows)
    watched = set(chance.sample(ids, 80))
    user = {"AGE": 30}
    events = [Interaction("user-1", item, n, "Watch") for n, item in enumerate(watched)]
    ranked = chance.sample(ids, ITEMS)
    begun = perf_counter()
    catalogue = Catalogue(rows, users={"user-1": user}, interactions=events)
    print(f"\n{ITEMS:,} items, taken in within {perf_counter() - begun:.2f} s")
    wanted = set(GENRES[:2])

    def unseen_of_genres() -> list[str]:
        return [
            item
            for item, row in rows.items()
            if item not in watched and not wanted.isdisjoint(row["GENRES"].split("|"))
        ]

    def cheap() -> list[str]:
        return [item for item, row in rows.items() if row["PRICE"] <= 19.99]

    def cheap_and_new() -> list[str]:
        return [item for item, row in rows.items() if row["PRICE"] <= 19.99 and row["YEAR"] > 2000]

    cases: list[tuple[str, Row, Callable[[], list[str]]]] = [
        (
            'INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")',
            {"GENRE": GENRES[:2]},
            unseen_of_genres,
        ),
        ("INCLUDE ItemID WHERE Items.PRICE <= $PRICE", {"PRICE": 19.99}, cheap),
        ("INCLUDE ItemID WHERE Items.PRICE <= 19.99 AND Items.YEAR > 2000 IF CurrentUser.AGE > 18", {}, cheap_and_new),
    ]
    kept = True
    for text, values, by_hand in cases:
        expression = Filter.parse(text)
        selector = expression.compile(catalogue)

        def allowed(selector: Any = selector, values: Row = values) -> Any:
            return selector.allowed(user_id="user-1", values=values)

        def top(allowed: Callable[[], Any] = allowed) -> list[str]:
            found, first = allowed(), []
            for item in ranked:
                if item in found:
                    first.append(item)
                    if len(first) == 25:
                        break
            return first

        begun = perf_counter()
        allowed()
        built = perf_counter() - begun
        begun = perf_counter()
        expected = naive(expression, rows, user, {"Watch": watched}, values)
        scan = perf_counter() - begun
        assert list(allowed()) == expected == by_hand()
        hand = best(by_hand, 1, 3)
        select, first, every = best(allowed, 200), best(top, 100), best(lambda: list(allowed()), 5)
        print(
            f"\n{text}\n  keeps {len(expected):,}; indexes built by the first request: {built * 1e3:.0f} ms\n"
            f"  naive evaluator {scan * 1e3:.0f} ms, loop by hand {hand * 1e3:.0f} ms\n"
            f"  compiled: {select * 1e6:.0f} µs a request; with the first 25 of a ranked list {first * 1e6:.0f} µs; "
            f"with all ids listed {every * 1e3:.2f} ms\n"
            f"  times faster than the naive evaluator: {scan / select:,.0f}, all ids listed {scan / every:,.0f} "
            f"(promised {TIMES_FASTER:.0f}); than the loop by hand: {hand / select:,.0f}, all ids {hand / every:,.0f}"
        )
        kept &= scan / every >= TIMES_FASTER
    return kept


def main() -> int:
    """Print all figures."""
    results = [parsing(), selecting(random.Random(20250101))]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
