"""What filters let through: decided questions one by one, and three evaluators on random data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt.errors import FilterValuesError, ValidationError
from personalize_rt.filters import Catalogue, Filter, FilterExpression, RawFilterValue
from personalize_rt.filters.expression import Clause, Condition, Field, Param
from personalize_rt.interactions import Interaction


def keeps(text: str, item: Mapping[str, object], **given: Any) -> bool:
    """What both evaluators say; they have to agree."""
    expression = Filter.parse(text)
    row = {"ITEM_ID": "i", **item}
    one = expression.matches(row, **given)
    interactions = given.get("interactions", ())
    catalogue = Catalogue(
        {"i": row, "current": given.get("current_item") or {}},
        users={"u": given.get("user") or {}},
        interactions=interactions,
    )
    allowed = expression.compile(catalogue).allowed(user_id="u", current_item="current", values=given.get("values"))
    assert ("i" in allowed) is one
    assert ("i" in list(allowed)) is one
    return one


MISSING: list[dict[str, object]] = [{}, *({"A": value} for value in (None, "", float("nan"), True, [], "|"))]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('IN ("x")', False),
        ("IN (1)", False),
        ('NOT IN ("x")', True),
        ("NOT IN (1)", True),
        ('= "x"', False),
        ("= 1", False),
        ('!= "x"', False),
        ("!= 1", False),
        ("< 1", False),
        (">= 1", False),
        ("< CurrentItem.A", False),
        ("IN CurrentItem.A", False),
        ("NOT IN CurrentItem.A", True),
        ("!= CurrentItem.A", False),
    ],
)
def test_no_comparison_holds_for_a_missing_value_save_not_in(condition: str, holds: bool) -> None:
    for missing in MISSING:
        assert keeps(f"INCLUDE ItemID WHERE Items.A {condition}", missing, current_item={"A": 1}) is holds, missing
        assert keeps(f"EXCLUDE ItemID WHERE Items.A {condition}", missing, current_item={"A": 1}) is not holds, missing


@pytest.mark.parametrize(
    ("value", "condition", "holds"),
    [
        ("Crime|Film-Noir|Mystery", 'IN ("Film-Noir")', True),
        ("Crime|Film-Noir|Mystery", 'IN ("Film")', False),
        ("Crime|Film-Noir|Mystery", 'IN ("film-noir")', False),
        ("Crime|Film-Noir|Mystery", 'NOT IN ("Mystery", "Drama")', False),
        ("Crime|Film-Noir|Mystery", 'NOT IN ("Drama")', True),
        ("Crime|Film-Noir|Mystery", '= "Crime"', True),
        ("Crime|Film-Noir|Mystery", '!= "Crime"', False),
        (["Crime", "Drama"], 'IN ("Drama")', True),
        ("Crime", '!= "Drama"', True),
        (19.99, "<= 19.99", True),
        (19.99, ">= 19.99", True),
        (19.99, "= 19.99", True),
        (Decimal("19.99"), "= 19.99", True),
        ("19.99", "= 19.99", True),
        (20, "> 19.99", True),
        (20, "!= 20", False),
        (20, "IN (19, 20)", True),
        (20, 'IN ("20")', True),
        ("1999", "> 1998", True),
        ("1999|2000", "> 1998", False),
        (10**30, "> 5", True),
        (float("inf"), "> 5", False),
        ("abc", "!= 5", False),
        (5, "< -5", False),
    ],
)
def test_values_are_compared_by_element_and_by_number(value: object, condition: str, holds: bool) -> None:
    assert keeps(f"INCLUDE ItemID WHERE Items.A {condition}", {"a": value}) is holds


def test_numpy_cells_are_numbers() -> None:
    np = pytest.importorskip("numpy")
    assert keeps("INCLUDE ItemID WHERE Items.A = 5", {"A": np.int64(5)})
    assert keeps("INCLUDE ItemID WHERE Items.A < 5", {"A": np.float64(4.5)})
    assert not keeps("INCLUDE ItemID WHERE Items.A = 1", {"A": np.bool_(True)})


def test_a_number_of_32_bits_is_what_its_digits_say() -> None:
    np = pytest.importorskip("numpy")
    assert keeps("INCLUDE ItemID WHERE Items.A = 0.1", {"A": np.float32(0.1)})
    assert keeps("INCLUDE ItemID WHERE Items.A = $P", {"A": np.float32(0.1)}, values={"P": np.float32(0.1)})
    assert not keeps("INCLUDE ItemID WHERE Items.A > 0.1", {"A": np.float32(0.1)})


def test_arrays_hold_several_categories() -> None:
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    for several in (np.array(["a", "b"]), np.array(["a", "b"], dtype=object), pd.Series(["a", "b"])):
        assert keeps('INCLUDE ItemID WHERE Items.A IN ("b")', {"A": several})
        assert not keeps('INCLUDE ItemID WHERE Items.A NOT IN ("b")', {"A": several})


def test_a_row_of_a_data_frame_is_a_row() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"ITEM_ID": ["i"], "GENRES": ["a|b"], "YEAR": [1999]})
    expression = Filter.parse('INCLUDE ItemID WHERE Items.GENRES IN ("b") AND Items.YEAR > 1990')
    assert expression.matches(frame.iloc[0])
    assert expression.matches(frame.to_dict("records")[0])


@pytest.mark.parametrize(
    "value", [Decimal("1E+999999999"), Decimal("9" * 400 + ".5"), Decimal("sNaN"), "9" * 400 + ".5"]
)
def test_numbers_beyond_all_measure_are_compared_without_an_error(value: object) -> None:
    for condition in ("> 5", "= 5", 'IN ("a")', 'NOT IN ("5")'):
        keeps(f"INCLUDE ItemID WHERE Items.A {condition}", {"A": value})
    assert keeps(f"INCLUDE ItemID WHERE Items.A < {'9' * 400}.5", {"A": 5})


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        *((name, wrong) for name in ("item", "user", "current_item") for wrong in (5, "secret", ["secret"], dict)),
        *(("interactions", wrong) for wrong in (5, "secret", ["secret"], None)),
        *(("values", wrong) for wrong in (5, "secret", ["secret"])),
        ("item", None),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(argument: str, wrong: Any) -> None:
    expression = Filter.parse('INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("a") IF CurrentUser.A = 1')
    given: dict[str, Any] = {"item": {"ITEM_ID": "i"}, argument: wrong}
    with pytest.raises(ValidationError) as caught:
        expression.matches(**given)
    assert caught.value.parameter == ("filter_values" if argument == "values" else argument)
    assert "secret" not in str(caught.value)


def test_a_whole_data_frame_of_interactions_is_refused_with_advice() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"ITEM_ID": ["i"], "EVENT_TYPE": ["a"], "TIMESTAMP": [1]})
    expression = Filter.parse('INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("a")')
    with pytest.raises(ValidationError, match="mappings with ITEM_ID") as caught:
        expression.matches({"ITEM_ID": "i"}, interactions=frame)
    assert caught.value.parameter == "interactions"
    assert expression.matches({"ITEM_ID": "i"}, interactions=frame.to_dict("records"))


@pytest.mark.parametrize(
    ("value", "current", "condition", "holds"),
    [
        ("a|b", "b|c", "IN CurrentItem.A", True),
        ("a|b", "c", "IN CurrentItem.A", False),
        ("a|b", "c", "NOT IN CurrentItem.A", True),
        ("a", None, "IN CurrentItem.A", False),
        ("a", None, "NOT IN CurrentItem.A", True),
        ("a|b", "b", "= CurrentItem.A", True),
        ("a", "b", "!= CurrentItem.A", True),
        ("a", None, "!= CurrentItem.A", False),
        (5, 6, "< CurrentItem.A", True),
        (5, 5.0, "= CurrentItem.A", True),
        (5, "a", "< CurrentItem.A", False),
    ],
)
def test_candidates_are_compared_with_the_current_item(
    value: object, current: object, condition: str, holds: bool
) -> None:
    assert keeps(f"INCLUDE ItemID WHERE Items.A {condition}", {"A": value}, current_item={"A": current}) is holds


def watched(*types: str | None, item: str = "i") -> list[Interaction]:
    return [Interaction("u", item, time, kind) for time, kind in enumerate(types)]


@pytest.mark.parametrize(
    ("condition", "events", "holds"),
    [
        ('IN ("Watch")', watched("wATCH"), True),
        ('IN ("watch")', watched("Watch", item="other"), False),
        ('IN ("watch", "*")', watched(None), True),
        ('NOT IN ("watch")', watched("click"), True),
        ('NOT IN ("watch")', watched("click", "Watch"), False),
        ('NOT IN ("*")', watched(), True),
        ('NOT IN ("*")', watched("x"), False),
        ('= "watch"', watched("Watch"), True),
        ('!= "watch"', watched(), False),
        ('!= "watch"', watched("click"), True),
        ('!= "watch"', watched("click", "watch"), False),
        ('IN ("stra\u00dfe")', watched("STRASSE"), True),
    ],
)
def test_event_types_ask_for_the_users_events_with_the_candidate(
    condition: str, events: list[Interaction], holds: bool
) -> None:
    assert keeps(f"INCLUDE ItemID WHERE Interactions.EVENT_TYPE {condition}", {}, interactions=events) is holds


def test_both_kinds_of_events_with_one_candidate() -> None:
    text = 'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("a") AND Interactions.EVENT_TYPE IN ("b")'
    assert keeps(text, {}, interactions=watched("a", "b"))
    assert not keeps(text, {}, interactions=watched("a"))


def test_events_of_other_users_do_not_count() -> None:
    events = [Interaction("someone", "i", 1, "watch")]
    expression = Filter.parse('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")')
    assert expression.matches({"ITEM_ID": "i"}, user={"USER_ID": "u"}, interactions=events)
    assert not expression.matches({"ITEM_ID": "i"}, user={"USER_ID": "someone"}, interactions=events)
    selector = expression.compile(Catalogue({"i": {}}, interactions=events))
    assert list(selector.allowed(user_id="u")) == ["i"]
    assert list(selector.allowed(user_id="someone")) == []
    assert list(selector.allowed()) == ["i"]


def test_events_may_be_rows() -> None:
    expression = Filter.parse('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")')
    event = {"USER_ID": "u", "ITEM_ID": "i", "EVENT_TYPE": "Watch", "TIMESTAMP": "17"}
    assert not expression.matches({"itemId": "i"}, interactions=[event])
    assert expression.matches({"item_id": "j"}, interactions=[event])
    with pytest.raises(ValidationError, match="ITEM_ID"):
        expression.matches({"ITEM_ID": "i"}, interactions=[{"EVENT_TYPE": "Watch"}])


def test_a_candidate_without_its_id_cannot_be_looked_up_in_events() -> None:
    with pytest.raises(ValidationError, match="ITEM_ID") as caught:
        Filter.parse('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("a")').matches({"GENRE": "x"})
    assert caught.value.parameter == "item"


@pytest.mark.parametrize(("target", "most"), [("ItemID", 100), ("ActionID", 300)])
def test_the_most_recent_events_of_each_type_are_considered(target: Any, most: int) -> None:
    dataset = "Interactions" if target == "ItemID" else "Action_Interactions"
    column = "ITEM_ID" if target == "ItemID" else "ACTION_ID"
    events = [Interaction("u", f"i{n}", n, "view") for n in range(most + 5)] + [Interaction("u", "i0", 0.5, "buy")]
    rows: dict[str, dict[str, object]] = {f"i{n}": {} for n in range(most + 5)}
    expression = Filter.parse(f'INCLUDE {target} WHERE {dataset}.EVENT_TYPE IN ("VIEW")')
    expected = [f"i{n}" for n in range(5, most + 5)]
    for order in (events, events[::-1]):
        selector = expression.compile(Catalogue(rows, target=target, interactions=order))
        assert list(selector.allowed(user_id="u")) == expected
    assert [item for item in rows if expression.matches({column: item}, interactions=events)] == expected
    # Types are counted each for itself.
    bought = Filter.parse(f'INCLUDE {target} WHERE {dataset}.EVENT_TYPE IN ("buy")')
    assert bought.matches({column: "i0"}, interactions=events)


@pytest.mark.parametrize(
    "other",
    [
        Interaction("u", "b", 2, "view", 9.0),
        Interaction("u", "b", 1, "view", 5.0),
        Interaction("u", "c", 2, "view", 5.0),
    ],
    ids=["value", "time", "item"],
)
def test_events_that_differ_in_time_item_or_value_are_two(other: Interaction) -> None:
    events = [Interaction("u", "a", 0, "view"), Interaction("u", "b", 2, "view", 5.0), other]
    viewed = Filter.parse('INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("view")')
    rows: dict[str, dict[str, object]] = {"a": {}, "b": {}, "c": {}}
    for order in (events, events[::-1]):
        # Two events are considered: were these one, the first item would be among them.
        catalogue = Catalogue(rows, interactions=order, interactions_per_type=2)
        assert "a" not in viewed.compile(catalogue).allowed(user_id="u")


def test_an_event_that_comes_twice_is_one_event() -> None:
    first = [Interaction("u", f"i{n}", n, "view") for n in range(100)]
    catalogue = Catalogue({"i0": {}}, interactions=[*first, *[Interaction("u", "i99", 99, "View")] * 200])
    assert "i0" in Filter.parse('INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("view")').compile(catalogue).allowed(
        user_id="u"
    )


def test_new_events_count_from_the_next_request_on() -> None:
    catalogue = Catalogue({"a": {}, "b": {}})
    selector = Filter.parse('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")').compile(catalogue)
    catalogue.add_interaction(Interaction("u", "a", 1, "watch"))
    before = selector.allowed(user_id="u")
    catalogue.add_interaction(Interaction("u", "b", 2, "watch"))
    assert list(before) == ["b"]
    assert list(selector.allowed(user_id="u")) == []
    assert list(selector.allowed(user_id="v")) == ["a", "b"]


def test_new_rows_and_users_count_from_the_next_request_on() -> None:
    catalogue = Catalogue({"a": {"G": "x"}})
    selector = Filter.parse('INCLUDE ItemID WHERE Items.G IN ("x") IF CurrentUser.AGE > 18').compile(catalogue)
    assert list(selector.allowed(user_id="u")) == ["a"]
    catalogue.put_rows({"b": {"G": "y"}, "c": {"G": "x"}})
    assert list(selector.allowed(user_id="u")) == ["a", "b", "c"]
    catalogue.put_users({"u": {"AGE": 20}})
    before = selector.allowed(user_id="u")
    assert list(before) == ["a", "c"]
    catalogue.put_rows({"a": {"G": "y"}})
    assert list(before) == ["a", "c"]
    assert list(selector.allowed(user_id="u")) == ["c"]


@pytest.mark.parametrize(
    ("text", "user", "kept"),
    [
        # IF does not hold: nothing is dropped, and an INCLUDE does not restrict.
        ('EXCLUDE ItemID WHERE Items.A IN ("x") IF CurrentUser.AGE > 18', {"AGE": 5}, True),
        ('EXCLUDE ItemID WHERE Items.A IN ("x") IF CurrentUser.AGE > 18', {"AGE": 50}, False),
        ('INCLUDE ItemID WHERE Items.A IN ("y") IF CurrentUser.AGE > 18', {"AGE": 5}, True),
        ('INCLUDE ItemID WHERE Items.A IN ("y") IF CurrentUser.AGE > 18', {"AGE": 50}, False),
        # No user: a missing value each.
        ('INCLUDE ItemID WHERE Items.A IN ("y") IF CurrentUser.AGE > 18', None, True),
        ('INCLUDE ItemID WHERE Items.A IN ("y") IF CurrentUser.C NOT IN ("DE")', None, False),
        # An INCLUDE that is not applied adds nothing to one that is.
        (
            'INCLUDE ItemID WHERE Items.A IN ("x") IF CurrentUser.AGE > 18 | INCLUDE ItemID WHERE Items.A = "y"',
            {},
            False,
        ),
        (
            'INCLUDE ItemID WHERE Items.A IN ("x") IF CurrentUser.AGE > 18 | INCLUDE ItemID WHERE Items.A = "x"',
            {},
            True,
        ),
        # Union minus union, in any order.
        ('EXCLUDE ItemID WHERE Items.A = "z" | INCLUDE ItemID WHERE Items.A = "x"', {}, True),
        ('EXCLUDE ItemID WHERE Items.A = "x" | INCLUDE ItemID WHERE Items.A = "x"', {}, False),
        ('INCLUDE ItemID WHERE Items.A = "y" | INCLUDE ItemID WHERE Items.A = "x"', {}, True),
        ('EXCLUDE ItemID WHERE Items.A = "y" | EXCLUDE ItemID WHERE Items.A = "x"', {}, False),
        # AND binds before OR.
        ('INCLUDE ItemID WHERE Items.A = "x" OR Items.A = "y" AND Items.A = "z"', {}, True),
        ('INCLUDE ItemID WHERE Items.A = "y" AND Items.A = "z" OR Items.A = "x"', {}, True),
    ],
)
def test_chains_and_if(text: str, user: Mapping[str, object] | None, kept: bool) -> None:
    assert keeps(text, {"A": "x"}, user=user) is kept


@pytest.mark.parametrize(
    ("text", "values", "kept"),
    [
        # The conditions that AND joins with the missing one are not applied; alternatives are.
        ("EXCLUDE ItemID WHERE Items.A IN ($X)", {}, True),
        ("EXCLUDE ItemID WHERE Items.A IN ($X) AND Items.N > 1", {}, True),
        ("EXCLUDE ItemID WHERE Items.A IN ($X) OR Items.N > 1", {}, False),
        ("EXCLUDE ItemID WHERE Items.N > 1 IF CurrentUser.AGE = $AGE", {}, True),
        ("EXCLUDE ItemID WHERE Items.A IN ($X, $Y)", {"Y": "x"}, False),
        ('EXCLUDE ItemID WHERE Items.A IN ("x", $Y)', {}, False),
        ("EXCLUDE ItemID WHERE Items.A IN ($X, $Y)", {"Y": "y"}, True),
        ('EXCLUDE ItemID WHERE Items.N > $N | INCLUDE ItemID WHERE Items.A = "x"', {}, True),
        ("EXCLUDE ItemID WHERE Items.N > $N", {"N": 1}, False),
        ("EXCLUDE ItemID WHERE Items.N > $N", {"N": RawFilterValue('"1"')}, False),
        ("EXCLUDE ItemID WHERE Items.N = $N", {"N": RawFilterValue('"5"')}, False),
        ("EXCLUDE ItemID WHERE Items.A IN ($X)", {"X": RawFilterValue('"y", "x"')}, False),
        ("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($E)", {"E": "*"}, True),
    ],
)
def test_an_exclude_without_a_value_leaves_out_the_part_that_needs_it(
    text: str, values: dict[str, Any], kept: bool
) -> None:
    assert keeps(text, {"A": "x", "N": 5}, values=values) is kept


def test_an_include_needs_all_of_its_values() -> None:
    expression = Filter.parse("INCLUDE ItemID WHERE Items.A IN ($X) OR Items.N > 1 | EXCLUDE ItemID WHERE Items.A = $Y")
    for evaluate in (
        lambda: expression.matches({"N": 5}, values={"Y": "a"}),
        lambda: expression.compile(Catalogue({})).allowed(values={"Y": "a"}),
    ):
        with pytest.raises(FilterValuesError, match=r"\$X") as caught:
            evaluate()
        assert caught.value.parameter == "X"


@pytest.mark.parametrize(
    ("values", "said"),
    [({"x": "a"}, "did you mean X"), ({"X": 5}, "is a number"), ({"X": "a", "N": "b"}, "wants a number")],
)
def test_wrong_values_are_refused_without_being_shown(values: dict[str, Any], said: str) -> None:
    expression = Filter.parse(
        'EXCLUDE ItemID WHERE Items.A IN ("q", $X) OR Items.N > $N | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE = $X'
    )
    with pytest.raises(FilterValuesError, match=said):
        expression.matches({"ITEM_ID": "i"}, values=values)
    with pytest.raises(FilterValuesError, match=said):
        expression.compile(Catalogue({})).allowed(values=values)


def test_a_ranked_list_keeps_its_order_and_unknown_items_have_no_columns() -> None:
    catalogue = Catalogue({"a": {"G": "x"}, "b": {"G": "y"}}, interactions=[Interaction("u", "seen", 1, "watch")])
    include = Filter.parse('INCLUDE ItemID WHERE Items.G IN ("x")').compile(catalogue).allowed()
    exclude = Filter.parse('EXCLUDE ItemID WHERE Items.G IN ("x")').compile(catalogue).allowed()
    unseen = Filter.parse('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")').compile(catalogue)
    ranked = ["unknown", "b", "seen", "a", "b"]
    assert include.keep(ranked) == ["a"]
    assert exclude.keep(ranked) == ["unknown", "b", "seen", "b"]
    assert unseen.allowed(user_id="u").keep(ranked) == ["unknown", "b", "a", "b"]
    assert (len(include), len(exclude), include.everything, unseen.allowed().everything) == (1, 1, False, True)
    assert 5 not in include
    assert repr(include) == "<Allowed 1 of 2>"


def test_the_id_can_be_a_field() -> None:
    catalogue = Catalogue({"a": {}, "b": {}})
    assert list(Filter.parse('EXCLUDE ItemID WHERE Items.ITEM_ID IN ("a")').compile(catalogue).allowed()) == ["b"]


def test_an_expression_for_other_candidates_is_not_compiled() -> None:
    with pytest.raises(ValidationError, match="ActionID"):
        Filter.parse("INCLUDE ItemID WHERE Items.A = 1").compile(Catalogue({}, target="ActionID"))


def test_an_explanation_says_which_part_decided() -> None:
    expression = Filter.parse(
        'INCLUDE ItemID WHERE Items.A IN ("secret") | EXCLUDE ItemID WHERE Items.B = $B '
        "| EXCLUDE ItemID WHERE Items.A IN ($X) AND Items.C > 1 | INCLUDE ItemID WHERE Items.C > 1 IF CurrentUser.D = 1"
    )
    found = expression.explain({"A": "secret|y", "C": 5}, values={"X": "secret"})
    assert not found.kept
    assert [clause.effect for clause in found.clauses] == ["keeps", "not applied", "drops", "not applied"]
    assert [holds for _, holds in found.clauses[1].conditions] == [None]
    assert [holds for _, holds in found.clauses[2].conditions] == [True, True]
    assert [holds for _, holds in found.clauses[3].conditions] == [True, False]
    assert "secret" not in repr(found)
    other = expression.explain({"A": "y"}, values={"X": "secret"})
    assert not other.kept
    assert [clause.effect for clause in other.clauses] == [
        "does not keep",
        "not applied",
        "does not drop",
        "not applied",
    ]


def test_a_bound_filter_matches_with_its_values() -> None:
    bound = Filter("arn:aws:personalize:eu-west-1:1:filter/f", "INCLUDE ItemID WHERE Items.A IN ($X)").bind(
        X=["x", "y"]
    )
    assert bound.matches({"A": "z|y"})
    assert not bound.matches({"A": "z"})


def test_a_catalogue_is_shared_between_threads() -> None:
    rows = {f"i{n}": {"G": "x" if n % 2 else "y", "N": n} for n in range(500)}
    catalogue = Catalogue(rows)
    selector = Filter.parse(
        'INCLUDE ItemID WHERE Items.G IN ("x") AND Items.N < 100 | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE = "w"'
    ).compile(catalogue)

    def work(number: int) -> int:
        catalogue.add_interaction(Interaction(f"u{number % 3}", f"i{number}", number, "w"))
        catalogue.put_rows({f"new{number}": {"G": "x", "N": 1}})
        return len(selector.allowed(user_id=f"u{number % 3}"))

    with ThreadPoolExecutor(4) as pool:
        assert all(0 < size <= 50 + 60 for size in pool.map(work, range(60)))
    assert len(selector.allowed()) == 50 + 60


# Three evaluators on random catalogues. This one is written from the documentation page alone: as slow and as plain
# as it can be.


def naive(
    expression: FilterExpression,
    rows: Mapping[str, Mapping[str, object]],
    users: Mapping[str, Mapping[str, object]],
    events: Iterable[Interaction],
    user: str | None,
    current: str | None,
    values: Mapping[str, Any],
    most: int,
) -> list[str]:
    considered: dict[str, list[Interaction]] = {}
    for event in events:
        if event.user_id != user:
            continue
        same = considered.setdefault(str(event.event_type).lower(), [])
        if not any(
            (e.item_id, e.timestamp, e.event_value) == (event.item_id, event.timestamp, event.event_value) for e in same
        ):
            same.append(event)
            same.sort(key=lambda e: e.timestamp)
            del same[:-most]

    def elements(value: object) -> set[object]:
        if value is None or value == "":
            return set()
        return set(value.split("|")) if isinstance(value, str) else {value}

    def condition_holds(condition: Condition, item: str) -> bool | None:
        field, operator = condition.field, condition.operator
        if isinstance(condition.operand, Field):
            wanted = elements(rows.get(str(current), {}).get(condition.operand.name))
            wanted_list: list[object] = list(wanted)
        else:
            wanted_list = []
            for value in condition.operand:
                if isinstance(value, Param):
                    given = values.get(value.name, [])
                    wanted_list += given if isinstance(given, list) else [given]
                else:
                    wanted_list.append(value)
            if not wanted_list:
                return None
        if field.dataset == "Interactions":
            kinds = {kind for kind, same in considered.items() if any(event.item_id == item for event in same)}
            own: set[object] = set(kinds)
            if "*" in wanted_list:
                wanted_list = list(own) or ["none at all"]
            wanted_list = [str(value).lower() for value in wanted_list]
        else:
            row = users.get(str(user), {}) if field.dataset == "CurrentUser" else rows[item]
            own = elements(row.get(field.name))
        if operator in ("IN", "="):
            return bool(own & set(wanted_list))
        if operator == "NOT IN":
            return not own & set(wanted_list)
        if operator == "!=":
            numbers = any(not isinstance(value, str) for value in wanted_list)
            comparable = [value for value in own if isinstance(value, str) is not numbers] if wanted_list else []
            return bool(comparable) and not own & set(wanted_list)
        for left in own:
            for right in wanted_list:
                if isinstance(left, (int, float)) and isinstance(right, (int, float, Decimal)):
                    if operator == "<" and left < right:
                        return True
                    if operator == "<=" and left <= right:
                        return True
                    if operator == ">" and left > right:
                        return True
                    if operator == ">=" and left >= right:
                        return True
        return False

    def clause_matches(clause: Clause, item: str) -> bool | None:
        for condition in clause.only_if:
            if not condition_holds(condition, item):
                return None
        results = [[condition_holds(condition, item) for condition in group] for group in clause.where]
        applied = [group for group in results if None not in group]
        return any(all(group) for group in applied) if applied else None

    kept: list[str] = []
    for item in rows:
        includes = [clause_matches(clause, item) for clause in expression.clauses if clause.action == "INCLUDE"]
        excludes = [clause_matches(clause, item) for clause in expression.clauses if clause.action == "EXCLUDE"]
        applied = [found for found in includes if found is not None]
        if (not applied or any(applied)) and not any(excludes):
            kept.append(item)
    return kept


# Few values, so that conditions meet them. Text columns hold text, number columns numbers: what a schema says.
TEXTS = st.sampled_from(["a", "b", "c", "d"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 2.5])
ITEM_IDS = [f"i{n}" for n in range(8)]
USER_IDS = ["u0", "u1", "u2"]
ROWS = st.dictionaries(
    st.sampled_from(ITEM_IDS),
    st.fixed_dictionaries(
        {},
        optional={
            "T": st.lists(TEXTS, max_size=3).map("|".join),
            "S": TEXTS | st.none(),
            "N": NUMBERS | st.none(),
            "M": NUMBERS,
        },
    ),
    max_size=8,
)
USERS = st.dictionaries(
    st.sampled_from(USER_IDS), st.fixed_dictionaries({}, optional={"T": TEXTS, "N": NUMBERS}), max_size=3
)
EVENT_TYPES = st.sampled_from(["watch", "WATCH", "Click", "buy", None])
EVENTS = st.lists(
    st.builds(
        Interaction,
        st.sampled_from(USER_IDS),
        st.sampled_from([*ITEM_IDS, "gone"]),
        st.integers(0, 4).map(float),
        EVENT_TYPES,
        st.sampled_from([None, 1.0]),
    ),
    max_size=20,
)
TEXT_PARAMS = st.sampled_from(["T1", "T2"]).map(Param)
NUMBER_PARAMS = st.sampled_from(["N1", "N2"]).map(Param)
LITERALS = st.sampled_from([0, 1, 2, Decimal("2.5")])


def some(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=most).map(tuple)


def text_conditions(dataset: str, names: list[str]) -> st.SearchStrategy[Condition]:
    field = st.builds(Field, st.just(dataset), st.sampled_from(names))
    return st.one_of(
        st.builds(Condition, field, st.just("IN"), some(TEXTS | TEXT_PARAMS)),
        st.builds(Condition, field, st.just("NOT IN"), some(TEXTS)),
        st.builds(Condition, field, st.sampled_from(["=", "!="]), some(TEXTS | st.just(Param("T2")), 1)),
    )


def number_conditions(dataset: str, names: list[str]) -> st.SearchStrategy[Condition]:
    field = st.builds(Field, st.just(dataset), st.sampled_from(names))
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    return st.one_of(
        st.builds(Condition, field, st.just("IN"), some(LITERALS | NUMBER_PARAMS)),
        st.builds(Condition, field, st.just("NOT IN"), some(LITERALS)),
        st.builds(Condition, field, operators, some(LITERALS | st.just(Param("N2")), 1)),
    )


def item_conditions() -> st.SearchStrategy[Condition]:
    def against(names: list[str], operators: list[Any]) -> st.SearchStrategy[Condition]:
        return st.builds(
            Condition,
            st.builds(Field, st.just("Items"), st.sampled_from(names)),
            st.sampled_from(operators),
            st.builds(Field, st.just("CurrentItem"), st.sampled_from(names)),
        )

    equality: list[Any] = ["IN", "NOT IN", "=", "!="]
    return st.one_of(
        text_conditions("Items", ["T", "S"]),
        number_conditions("Items", ["N", "M"]),
        against(["T", "S"], equality),
        against(["N", "M"], [*equality, "<", "<=", ">", ">="]),
    )


def event_conditions() -> st.SearchStrategy[Condition]:
    types = st.sampled_from(["Watch", "click", "*", "other"])
    field = st.just(Field("Interactions", "EVENT_TYPE"))
    return st.one_of(
        st.builds(Condition, field, st.just("IN"), some(types | st.just(Param("E")))),
        st.builds(Condition, field, st.just("NOT IN"), some(types)),
        st.builds(Condition, field, st.sampled_from(["=", "!="]), some(types, 1)),
    )


def groups(conditions: st.SearchStrategy[Condition]) -> st.SearchStrategy[Any]:
    return some(some(conditions))


EXPRESSIONS = st.lists(
    st.builds(
        Clause,
        st.sampled_from(["INCLUDE", "EXCLUDE"]),
        st.just("ItemID"),
        groups(item_conditions()) | groups(event_conditions()),
        st.lists(text_conditions("CurrentUser", ["T"]) | number_conditions("CurrentUser", ["N"]), max_size=2).map(
            tuple
        ),
    ),
    min_size=1,
    max_size=4,
).map(lambda clauses: FilterExpression(tuple(clauses)))
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "T1": TEXTS | st.lists(TEXTS, min_size=1, max_size=3),
        "T2": TEXTS,
        "N1": st.sampled_from([0, 1, 2.5]) | st.lists(st.sampled_from([0, 1, 2, 2.5]), min_size=1, max_size=2),
        "N2": st.sampled_from([0, 1, 2.5]),
        "E": st.sampled_from(["Watch", "*", "buy"]),
    },
)
COMPLETE = {"T1": ["a", "b"], "T2": "c", "N1": [0, 1], "N2": 2, "E": "Watch"}


@given(EXPRESSIONS, ROWS, USERS, EVENTS, st.sampled_from([None, *USER_IDS]), st.sampled_from([None, *ITEM_IDS]), VALUES)
@settings(max_examples=2 * settings.default.max_examples)
def test_selector_matches_and_a_naive_evaluator_agree(
    expression: FilterExpression,
    rows: dict[str, dict[str, Any]],
    users: dict[str, dict[str, Any]],
    events: list[Interaction],
    user: str | None,
    current: str | None,
    values: dict[str, Any],
) -> None:
    values = {
        name: values.get(name, COMPLETE[name])
        for name, parameter in expression.parameters.items()
        if parameter.required or name in values
    }
    expected = naive(expression, rows, users, events, user, current, values, most=2)
    catalogue = Catalogue(rows, users=users, interactions=events[:10], interactions_per_type=2)
    for event in events[10:]:
        catalogue.add_interaction(event)
    allowed = expression.compile(catalogue).allowed(user_id=user, current_item=current, values=values)
    assert list(allowed) == expected
    assert len(allowed) == len(expected)
    assert allowed.keep(rows) == expected

    # matches() has the service's own limit of 100, which 20 events do not reach.
    every = naive(expression, rows, users, events, user, current, values, most=100)
    own = [event for event in events if event.user_id == user]
    one_by_one = [
        item
        for item, row in rows.items()
        if expression.matches(
            {"ITEM_ID": item, **row},
            user=users.get(str(user)),
            current_item=rows.get(str(current)),
            interactions=own,
            values=values,
        )
    ]
    assert one_by_one == every


def every_condition() -> Iterable[Condition]:
    """Every operator with every kind of right side: nothing is left to chance."""
    text, num = Field("Items", "T"), Field("Items", "N")
    listed: list[tuple[Any, ...]] = [("a",), ("a", "b"), ("z",), (Param("T1"),), ("c", Param("T2"))]
    for words in listed:
        yield Condition(text, "IN", words)
    for words in listed[:3]:
        yield Condition(text, "NOT IN", words)
    for number in (-1, 0, 1, 2, Decimal("2.5"), 9, Param("N2")):
        for order in ("=", "!=", "<", "<=", ">", ">="):
            yield Condition(num, cast(Any, order), (number,))
        yield Condition(num, "IN", (number, 3))
    yield Condition(num, "NOT IN", (0, Decimal("2.5")))
    for word in ("a", "z", Param("T2")):
        yield Condition(text, "=", (word,))
        yield Condition(text, "!=", (word,))
    for operator in ("IN", "NOT IN", "=", "!="):
        yield Condition(text, cast(Any, operator), Field("CurrentItem", "T"))
    for operator in ("IN", "NOT IN", "=", "!=", "<", "<=", ">", ">="):
        yield Condition(num, cast(Any, operator), Field("CurrentItem", "N"))
    event = Field("Interactions", "EVENT_TYPE")
    for kinds in (("Watch",), ("click", "other"), ("*",), ("other",)):
        yield Condition(event, "IN", kinds)
        yield Condition(event, "NOT IN", kinds)
        yield Condition(event, "=", kinds[:1])
        yield Condition(event, "!=", kinds[:1])


# Every text beside every number, the missing ones among them.
EVERY_ROW: dict[str, dict[str, Any]] = {
    f"{text}-{number}": {name: value for name, value in (("T", text), ("N", number)) if value != "absent"}
    for text in ("absent", None, "", "a", "b", "a|b", "c|d")
    for number in ("absent", None, -1, 0, 1, 2, 2.5, 3)
}
SOME_EVENTS = [
    Interaction("u", item, time, kind)
    for time, (item, kind) in enumerate(
        [("a-1", "WATCH"), ("a-1", "click"), ("b-2", "Click"), ("None-None", None), ("a|b-3", "buy"), ("gone", "watch")]
    )
]


@pytest.mark.parametrize("condition", list(every_condition()), ids=str)
def test_every_condition_alone_selects_what_the_naive_evaluator_says(condition: Condition) -> None:
    # In a whole expression an error of one condition is mostly hidden by the others.
    for action in ("INCLUDE", "EXCLUDE"):
        selects_what_the_naive_evaluator_says(action, condition)


def selects_what_the_naive_evaluator_says(action: Any, condition: Condition) -> None:
    expression = FilterExpression((Clause(action, "ItemID", ((condition,),)),))
    values = {name: COMPLETE[name] for name in expression.parameters}
    selector = expression.compile(Catalogue(EVERY_ROW, interactions=SOME_EVENTS))
    for current in EVERY_ROW if isinstance(condition.operand, Field) else [None, "gone"]:
        expected = naive(expression, EVERY_ROW, {}, SOME_EVENTS, "u", current, values, most=100)
        assert list(selector.allowed(user_id="u", current_item=current, values=values)) == expected
        one_by_one = [
            item
            for item, row in EVERY_ROW.items()
            if expression.matches(
                {"ITEM_ID": item, **row},
                current_item=EVERY_ROW.get(str(current)),
                interactions=SOME_EVENTS,
                values=values,
            )
        ]
        assert one_by_one == expected


@given(EXPRESSIONS, ROWS, USERS, EVENTS, VALUES)
def test_candidates_outside_the_catalogue_are_judged_as_if_they_were_in_it(
    expression: FilterExpression,
    rows: dict[str, dict[str, Any]],
    users: dict[str, dict[str, Any]],
    events: list[Interaction],
    values: dict[str, Any],
) -> None:
    values = {
        name: values.get(name, COMPLETE[name])
        for name, parameter in expression.parameters.items()
        if parameter.required or name in values
    }
    with_it = Catalogue({**rows, "gone": {}}, users=users, interactions=events)
    without = Catalogue(rows, users=users, interactions=events)
    selectors = [expression.compile(catalogue) for catalogue in (with_it, without)]
    first, second = (selector.allowed(user_id="u0", current_item="i1", values=values) for selector in selectors)
    assert ("gone" in first) is ("gone" in second)


def test_text_indexes_of_any_size_find_the_same_rows() -> None:
    rows = {f"i{n}": {"G": ("x|y", "x", "z", f"rare {n}", "")[n % 5]} for n in range(2000)}
    expression = Filter.parse("INCLUDE ItemID WHERE Items.G IN ($G)")
    selector = expression.compile(Catalogue(rows))
    for values in (["x"], ["y"], ["x", "rare 3", "rare 8"], ["none"], ["rare 1998", "z"], ["x"]):
        expected = [item for item, row in rows.items() if set(row["G"].split("|")) & set(values)]
        assert list(selector.allowed(values={"G": values})) == expected
        assert [item for item in rows if expression.matches(rows[item], values={"G": values})] == expected


@given(
    st.lists(st.integers(0, 300) | st.none(), min_size=1, max_size=3000).flatmap(
        lambda cells: st.tuples(st.just(cells * 3), st.integers(-1, 301))
    )
)
@settings(max_examples=25)
def test_number_indexes_of_any_size_compare_as_numbers_do(data: tuple[list[int | None], int]) -> None:
    cells, bound = data
    rows = {str(position): {"N": value} for position, value in enumerate(cells)}
    catalogue = Catalogue(rows)
    for operator, compare in {
        "<": lambda value: value < bound,
        "<=": lambda value: value <= bound,
        ">": lambda value: value > bound,
        ">=": lambda value: value >= bound,
        "=": lambda value: value == bound,
        "!=": lambda value: value != bound,
    }.items():
        allowed = Filter.parse(f"INCLUDE ItemID WHERE Items.N {operator} {bound}").compile(catalogue).allowed()
        assert list(allowed) == [row for row, cell in rows.items() if cell["N"] is not None and compare(cell["N"])]
