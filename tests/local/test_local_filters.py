"""Filters of the embedded service: where they come from, what they are checked against, what requests may do."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import FilterSyntaxError, FilterValuesError, ValidationError
from personalize_rt.filters import Filter
from personalize_rt.interactions import Interaction
from personalize_rt.local import LocalDataError, LocalPersonalize, shown
from personalize_rt.local.datasets import EventLog
from personalize_rt.tracking import TrackedEvent

INTERACTIONS = """\
USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP
ann,a,Watch,1000
ann,b,Click,1001
ben,a,Watch,1002
ben,c,Watch,1003
cat,x,Watch,1004
cat,only-seen,Watch,1005
"""
ITEMS = """\
ITEM_ID,TITLE,YEAR,GENRES,PRICE,IN_STOCK
a,Alpha,1990,Drama|Crime,9.5,yes
b,Beta,1991,Drama,7,no
c,Gamma,1992,Drama,12,yes
x,Chi,2001,Comedy,3,yes
y,Psi,,Comedy|Drama,4,no
"""
USERS = "USER_ID,AGE,LEVEL\nann,17,gold\nben,40,silver\n"
ACTIONS = "ACTION_ID,TYPE,VALUE\nmail,Mail,2\ncall,Call,9\nvisit,Call,5\n"
ACTION_INTERACTIONS = "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\nann,mail,NOT_TAKEN,1000\n"
SCHEMA = (
    '{"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}, '
    '{"name": "TITLE", "type": "string", "textual": true}, {"name": "YEAR", "type": ["null", "int"]}, '
    '{"name": "GENRES", "type": "string", "categorical": true}, {"name": "PRICE", "type": "float"}, '
    '{"name": "IN_STOCK", "type": "string"}], "version": "1.0"}'
)
SETTINGS = """\
[campaigns]
for-you = "aws-user-personalization"
for-you-v2 = "aws-user-personalization-v2"
ranking = "aws-personalized-ranking"
similar = "aws-similar-items"
popular = "aws-popularity-count"
offers = "aws-next-best-action"

[filters]
by-genre = "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)"
unseen = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")'
not-genre = "EXCLUDE ItemID WHERE Items.GENRES IN ($GENRE)"
since = "INCLUDE ItemID WHERE Items.YEAR >= $YEAR"
cheaper = "INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE"
grown-ups = 'EXCLUDE ItemID WHERE Items.GENRES IN ("Crime") IF CurrentUser.AGE < 18'
calls = 'INCLUDE ActionID WHERE Actions.TYPE IN ($TYPE)'
not-declined = 'EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("NOT_TAKEN")'
golden = 'INCLUDE UserID WHERE Users.LEVEL IN ("gold")'
"""
FILES = {
    "interactions.csv": INTERACTIONS,
    "items.csv": ITEMS,
    "users.csv": USERS,
    "actions.csv": ACTIONS,
    "action_interactions.csv": ACTION_INTERACTIONS,
    "personalize.toml": f"{SETTINGS}[schemas]\nitems = '{SCHEMA}'\n",
}


@pytest.fixture
def shop(service: Callable[..., Any]) -> Any:
    return service(FILES)


def ids(rows: list[tuple[str, Any]]) -> set[str]:
    return {id for id, _ in rows}


def filtered(shop: Any, name: str, **values: str) -> dict[str, Any]:
    return {"filterArn": shop.local.filter_arn(name)} | ({"filterValues": values} if values else {})


# What they do, in each operation.


def test_filter_applies_to_recommendations(shop: Any) -> None:
    rows = shop.recommend("popular", **filtered(shop, "by-genre", GENRE='"Comedy","Crime"'))
    assert [id for id, _ in rows] == ["a", "x", "y"]


@pytest.mark.parametrize("campaign", ["for-you", "for-you-v2"])
def test_scores_of_filtered_recommendations_sum_over_what_the_filter_lets_through(shop: Any, campaign: str) -> None:
    # service.md section 12, fact 4: recorded for User-Personalization, inferred for its second version
    everything = dict(shop.recommend(campaign, userId="ann"))
    some = dict(shop.recommend(campaign, userId="ann", **filtered(shop, "by-genre", GENRE='"Comedy"')))
    # The second version has no score for what nobody watched.
    scores = {id: score for id, score in some.items() if score is not None}
    assert sum(scores.values()) == pytest.approx(1, abs=1e-6)
    assert all(score > everything[id] for id, score in scores.items())
    one = filtered(shop, "by-genre", GENRE='"Crime"')
    assert shop.recommend(campaign, userId="ann", numResults=1, **one) == [("a", 1.0)]


def test_filter_that_lets_nothing_through_gives_no_items(shop: Any) -> None:
    nothing = filtered(shop, "by-genre", GENRE='"Western"')
    assert shop.recommend("for-you", userId="ann", **nothing) == []
    assert shop.rank("ann", "a", "b", **nothing) == []


def test_numresults_counts_what_the_filter_lets_through(shop: Any) -> None:
    comedies = filtered(shop, "by-genre", GENRE='"Comedy"')
    assert shop.recommend("popular", numResults=1, **comedies) == [("x", None)]


def test_filtered_ranking_is_the_ranking_of_what_the_filter_leaves(shop: Any) -> None:
    # service.md section 12, fact 4: inferred for rankings
    left = shop.rank("ann", "c", "a", "unknown", "x", **filtered(shop, "unseen"))
    assert left == shop.rank("ann", "c", "unknown", "x")


def test_items_that_are_in_no_dataset_have_no_metadata_for_a_filter(shop: Any) -> None:
    assert ids(shop.rank("ann", "nobody-knows", "x", **filtered(shop, "by-genre", GENRE='"Comedy"'))) == {"x"}
    assert ids(shop.rank("ann", "nobody-knows", "x", **filtered(shop, "not-genre", GENRE='"Comedy"'))) == {
        "nobody-knows"
    }
    assert "only-seen" in ids(shop.recommend("popular", **filtered(shop, "not-genre", GENRE='"Comedy"')))


def test_filter_applies_to_actions(shop: Any) -> None:
    assert ids(shop.actions("ann", **filtered(shop, "calls", TYPE='"Call"'))) == {"call", "visit"}
    assert ids(shop.actions("ann", **filtered(shop, "not-declined"))) == {"call", "visit"}
    assert ids(shop.actions("ben", **filtered(shop, "not-declined"))) == {"mail", "call", "visit"}


def test_filter_sees_the_user_even_where_the_recipe_does_not(shop: Any) -> None:
    assert "a" not in ids(shop.recommend("similar", itemId="b", userId="ann", **filtered(shop, "grown-ups")))
    assert "a" in ids(shop.recommend("similar", itemId="b", userId="ben", **filtered(shop, "grown-ups")))
    assert "a" not in ids(shop.recommend("popular", userId="ann", **filtered(shop, "unseen")))


def test_filter_compares_with_the_item_of_the_request(shop: Any) -> None:
    assert ids(shop.recommend("similar", itemId="b", **filtered(shop, "cheaper"))) == {"x", "y"}


def test_missing_value_of_an_exclude_leaves_the_part_out(shop: Any) -> None:
    assert shop.recommend("popular", **filtered(shop, "not-genre")) == shop.recommend("popular")


def test_numbers_may_come_quoted(shop: Any) -> None:
    for value in ("1992", '"1992"'):
        assert ids(shop.recommend("popular", **filtered(shop, "since", YEAR=value))) == {"c", "x"}


# What is refused.


@pytest.mark.parametrize(
    ("campaign", "name", "members", "expected"),
    [
        ("popular", "by-genre", {}, "filterValues: the filter value GENRE is missing"),
        ("popular", "by-genre", {"filterValues": {"GENRE": "Comedy"}}, "neither numbers nor strings in double quotes"),
        ("popular", "by-genre", {"filterValues": {"GENRE": "7"}}, "GENRE is a number, but Items.GENRES wants strings"),
        (
            "popular",
            "since",
            {"filterValues": {"YEAR": '"long ago"'}},
            "YEAR is a string, but Items.YEAR wants a number",
        ),
        ("popular", "since", {"filterValues": {"YEAR": "1,2"}}, "YEAR holds 2 values"),
        ("popular", "by-genre", {"filterValues": {"GENRE": '"x"', "GENR": '"x"'}}, "no parameter 'GENR'; did you mean"),
        ("popular", "calls", {"filterValues": {"TYPE": '"Call"'}}, "the filter calls selects actions, not items"),
        ("popular", "golden", {}, "the filter golden selects users, for batch segments only"),
        ("popular", "unseen", {}, "the filter unseen looks at the user, and the request names none"),
        ("popular", "grown-ups", {"userId": ""}, "looks at the user, and the request names none"),
        ("popular", "cheaper", {}, "the filter cheaper compares with CurrentItem, and only related items have one"),
        ("for-you", "cheaper", {"userId": "ann", "itemId": "b"}, "compares with CurrentItem"),
    ],
)
def test_filter_that_does_not_suit_the_request_is_invalid_input(
    shop: Any, campaign: str, name: str, members: dict[str, Any], expected: str
) -> None:
    wanted = {"campaignArn": shop.arn(campaign), "filterArn": shop.local.filter_arn(name), **members}
    status, code, message = shop.error("/recommendations", wanted)

    assert (status, code) == (400, "InvalidInputException")
    assert expected in message
    assert message.startswith("filter")


def test_item_filter_on_actions_is_invalid_input(shop: Any) -> None:
    members = {"campaignArn": shop.arn("offers"), "userId": "ann", **filtered(shop, "unseen")}
    assert "the filter unseen selects items, not actions" in shop.error("/action-recommendations", members)[2]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:personalize:eu-west-1:000000000000:filter/nobody",
        "arn:aws:personalize:us-east-1:000000000000:filter/unseen",
        "arn:aws:personalize:eu-west-1:111111111111:filter/unseen",
        "arn:aws:personalize:eu-west-1:000000000000:campaign/popular",
    ],
)
def test_unknown_filter_is_invalid_input(shop: Any, arn: str) -> None:
    for path, members in (
        ("/recommendations", {"campaignArn": shop.arn("popular")}),
        ("/personalize-ranking", {"campaignArn": shop.arn("ranking"), "userId": "ann", "inputList": ["a"]}),
        ("/action-recommendations", {"campaignArn": shop.arn("offers"), "userId": "ann"}),
    ):
        status, code, message = shop.error(path, {**members, "filterArn": arn})
        assert (status, code) == (400, "InvalidInputException")
        assert f"there is no filter {arn}" in message


def test_values_without_a_filter_are_invalid_input(shop: Any) -> None:
    members = {"campaignArn": shop.arn("popular"), "filterValues": {"GENRE": '"Comedy"'}}
    assert "filterValues without filterArn" in shop.error("/recommendations", members)[2]


def test_no_message_shows_a_filter_value(shop: Any) -> None:
    secret = "bob-4711"
    for name, value in (("by-genre", secret), ("since", f'"{secret}"'), ("calls", f'"{secret}"')):
        parameter = {"by-genre": "GENRE", "since": "YEAR", "calls": "TYPE"}[name]
        members = {"campaignArn": shop.arn("popular"), **filtered(shop, name, **{parameter: value})}
        assert secret not in shop.error("/recommendations", members)[2]


# Making filters.


def test_filters_have_arns(shop: Any) -> None:
    assert shop.local.filters["unseen"] == "arn:aws:personalize:eu-west-1:000000000000:filter/unseen"
    assert list(shop.local.filters)[:3] == ["by-genre", "unseen", "not-genre"]
    with pytest.raises(ValidationError, match="there is no filter 'nope'; the filters are: by-genre, unseen"):
        shop.local.filter_arn("nope")


def test_filter_may_be_added_while_the_service_runs(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    arn = local.add_filter("cheap", "INCLUDE ItemID WHERE Items.PRICE <= 4")
    parsed = local.add_filter("cheap-too", Filter.parse("INCLUDE ItemID WHERE Items.PRICE <= 4"))

    assert local.filters["cheap"] == local.filter_arn("cheap") == arn
    assert ids(shop.recommend("popular", filterArn=arn)) == {"x", "y"}
    assert ids(shop.recommend("popular", filterArn=parsed)) == {"x", "y"}
    assert local.filter_expression("cheap") == local.filter_expression("cheap-too")


def test_filter_name_is_taken_once_and_is_a_name(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    with pytest.raises(ValidationError, match="there is a filter 'unseen' already"):
        local.add_filter("unseen", "INCLUDE ItemID WHERE Items.PRICE <= 4")
    for name in ("", "-x", "a b", "x" * 64):
        with pytest.raises(ValidationError, match="is no name of a filter"):
            local.add_filter(name, "INCLUDE ItemID WHERE Items.PRICE <= 4")


@pytest.mark.parametrize(
    ("expression", "expected", "column"),
    [
        ("INCLUDE ItemID WHERE Items.GENRE IN ($X)", "items.csv has no column GENRE", 22),
        ("INCLUDE ItemID WHERE Items.PRICE < CurrentItem.COST", "items.csv has no column COST", 36),
        ("INCLUDE ItemID WHERE items . title IN ($X)", "Items.title is textual, and textual fields", 22),
        ("INCLUDE ItemID WHERE Items.GENRES > 7", "> compares numbers, and Items.GENRES holds strings", 22),
        ("INCLUDE ItemID WHERE Items.GENRES = 7", "Items.GENRES holds strings, and is compared with a number", 22),
        ('INCLUDE ItemID WHERE Items.YEAR IN ("new")', "Items.YEAR is a number, and is compared with a string", 22),
        ("INCLUDE ItemID WHERE Items.GENRES = CurrentItem.YEAR", "cannot be compared: one is a number, the other", 37),
        ("EXCLUDE ItemID WHERE Items.YEAR < 7 IF CurrentUser.AGES > 7", "users.csv has no column AGES", 40),
        ("EXCLUDE ItemID WHERE Items.YEAR < 7 IF CurrentUser.USER_ID = $U", "users.csv has no column USER_ID", 40),
        (
            "EXCLUDE ItemID WHERE Items.YEAR < 7 IF CurrentUser.LEVEL > 7",
            "> compares numbers, and CurrentUser.LEVEL",
            40,
        ),
        ("INCLUDE ActionID WHERE Actions.COST > 7", "actions.csv has no column COST", 24),
        ("INCLUDE ItemID WHERE Items.YEAR >", "expected", 34),
    ],
)
def test_expression_that_does_not_suit_the_data_is_refused_with_its_place(
    shop: Any, expression: str, expected: str, column: int
) -> None:
    with pytest.raises(FilterSyntaxError) as raised:
        shop.local.add_filter("x", expression)
    assert expected in raised.value.message
    assert raised.value.column == column
    assert "x" not in shop.local.filters


@pytest.mark.parametrize(
    "expression",
    [
        "INCLUDE ItemID WHERE items.year IN ($X) | EXCLUDE itemid WHERE INTERACTIONS.event_type in ('Watch')",
        'INCLUDE ItemID WHERE Items.ITEM_ID IN ("a")',
        'INCLUDE ItemID WHERE Items.YEAR IN ("1990")',
        "INCLUDE ItemID WHERE Items.YEAR = CurrentItem.PRICE",
    ],
)
def test_what_suits_the_data_is_accepted(shop: Any, expression: str) -> None:
    shop.local.add_filter("x", expression)


def test_boolean_fields_cannot_be_filtered(service: Callable[..., Any]) -> None:
    schema = (
        '{"type":"record","name":"Items","fields":[{"name":"ITEM_ID","type":"string"},{"name":"NEW","type":"boolean"}]}'
    )
    files = {
        "interactions.csv": INTERACTIONS,
        "items.csv": "ITEM_ID,NEW\na,true\n",
        "personalize.toml": f"[schemas]\nitems = '{schema}'\n",
    }
    with pytest.raises(
        FilterSyntaxError, match=r'boolean fields cannot be filtered\n.*\n.*\nkeep it as a string, "True"'
    ):
        service(files).local.add_filter("x", "INCLUDE ItemID WHERE Items.NEW = 1")


def test_fields_need_their_dataset(service: Callable[..., Any]) -> None:
    local: LocalPersonalize = service({"interactions.csv": "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1000\n"}).local
    with pytest.raises(FilterSyntaxError, match=r"there is no items\.csv, so Items has no fields"):
        local.add_filter("x", "INCLUDE ItemID WHERE Items.YEAR = 1")
    with pytest.raises(FilterSyntaxError, match=r"interactions\.csv has no column EVENT_TYPE"):
        local.add_filter("x", 'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")')


def test_all_filters_together_use_20_fields_at_most(service: Callable[..., Any]) -> None:
    columns = [f"C{n}" for n in range(21)]
    items = f"ITEM_ID,{','.join(columns)}\na{',1' * 21}\n"
    local: LocalPersonalize = service({"interactions.csv": INTERACTIONS, "items.csv": items}).local
    local.add_filter("one", "INCLUDE ItemID WHERE " + " OR ".join(f"Items.{name} = 1" for name in columns[:10]))
    local.add_filter("two", "INCLUDE ItemID WHERE " + " OR ".join(f"Items.{name} = 1" for name in columns[10:20]))
    local.add_filter("again", "INCLUDE ItemID WHERE Items.c0 = CurrentItem.C19")
    with pytest.raises(ValidationError, match="21 different fields"):
        local.add_filter("three", "INCLUDE ItemID WHERE Items.C20 = 1")


def test_start_up_tells_of_all_wrong_filters_with_line_column_and_caret(directory: Callable[..., Path]) -> None:
    settings = (
        "[filters]\n"
        'fine = "INCLUDE ItemID WHERE Items.YEAR = 1"\n'
        'genre = "INCLUDE ItemID WHERE Items.GENRE IN ($G) OR Items.COLOUR IN ($C)"\n'
        "lines = '''\n"
        "INCLUDE ItemID\n"
        "  WHERE Itms.YEAR = 1'''\n"
        'escaped = "INCLUDE ItemID WHERE Items.GENRES IN (\\"a\\") AND"\n'
    )
    with pytest.raises(LocalDataError) as raised:
        LocalPersonalize.from_directory(directory({**FILES, "personalize.toml": settings}))
    problems = [(problem.line, problem.column, problem.message.splitlines()[0]) for problem in raised.value.problems]

    assert problems[0] == (3, 31, "filters.genre: items.csv has no column GENRE")
    assert problems[1] == (3, 54, "filters.genre: items.csv has no column COLOUR")
    assert problems[2][:2] == (6, 9)
    assert "Itms" in problems[2][2]
    assert problems[3][:2] == (7, 1)
    assert problems[3][2].startswith("filters.escaped: line 1, column ")
    assert len(problems) == 4
    lines = str(raised.value).splitlines()
    caret = next(n for n, line in enumerate(lines) if "^" in line)
    assert lines[caret][lines[caret].index("^") :].strip() == "^" * len("Items.GENRE")
    assert lines[caret - 1][lines[caret].index("^") :].startswith("Items.GENRE ")


# Trying filters.


def test_trying_a_filter_gives_what_stays_and_what_goes(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    kept, dropped = local.try_filter("by-genre", values={"GENRE": ["Comedy", "Crime"]})
    assert (kept, dropped) == (("a", "x", "y"), ("b", "c", "only-seen"))
    assert local.try_filter("calls", values={"TYPE": "Call"}) == (("call", "visit"), ("mail",))
    assert local.try_filter("cheaper", item_id="b")[0] == ("x", "y")
    assert local.try_filter("unseen", user_id="ann")[1] == ("a",)


def test_explaining_a_filter_goes_clause_by_clause(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    young = local.explain_filter("grown-ups", "a", user_id="ann")
    assert (young.kept, young.clauses[0].effect) == (False, "drops")
    assert local.explain_filter("grown-ups", "a", user_id="ben").clauses[0].effect == "not applied"
    assert not local.explain_filter("unseen", "a", user_id="ann").kept
    assert not local.explain_filter("by-genre", "nobody-knows", values={"GENRE": "Comedy"}).kept
    assert local.explain_filter("cheaper", "x", item_id="b").kept


def test_trying_and_requests_refuse_the_same(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    with pytest.raises(ValidationError, match="looks at the user"):
        local.try_filter("unseen")
    with pytest.raises(ValidationError, match="for batch segments only"):
        local.try_filter("golden", user_id="ann")
    with pytest.raises(FilterValuesError, match=r"Items\.GENRES wants strings"):
        local.explain_filter("by-genre", "a", values={"GENRE": 7})


def test_explaining_and_trying_agree() -> None:
    local = LocalPersonalize.sample()
    local.put_events(user_id="16036", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="tt0088763")])
    values: Mapping[str, Any] = {"GENRE": ["Comedy", "War"]}
    kept, dropped = local.try_filter("unseen-by-genre", user_id="16036", values=values)
    assert len(kept) + len(dropped) == 1_000
    assert "tt0088763" in dropped
    for id in (*kept[::40], *dropped[::40]):
        assert local.explain_filter("unseen-by-genre", id, user_id="16036", values=values).kept == (id in kept)


def test_explaining_many_candidates_reads_the_history_once(monkeypatch: pytest.MonkeyPatch) -> None:
    local, read = LocalPersonalize.sample(), list[str]()
    of_user = EventLog.of_user

    def counted(log: EventLog, user_id: str) -> tuple[Interaction, ...]:
        read.append(user_id)
        return of_user(log, user_id)

    monkeypatch.setattr(EventLog, "of_user", counted)
    for id in list(local.items)[:25]:
        local.explain_filter("unseen-by-genre", id, user_id="16036", values={"GENRE": "War"})
    assert read == ["16036"]


def test_many_threads_share_filters(shop: Any) -> None:
    def ask(n: int) -> Any:
        if n % 5 == 0:
            shop.local.add_filter(f"f{n}", "INCLUDE ItemID WHERE Items.PRICE <= 4")
        shop.local.put_events(user_id=f"u{n}", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="x")])
        return ids(shop.recommend("popular", userId=f"u{n}", **filtered(shop, "unseen")))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(50)))
    assert answers == [{"a", "b", "c", "y", "only-seen"}] * 50


def test_requests_of_people_without_events_leave_nothing_behind(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The latest answers are kept, in a bounded number.
    monkeypatch.setattr(shown, "_KEPT", 20)

    def ask(user: str) -> list[str]:
        return [id for id, _ in shop.recommend("popular", userId=user, filterArn=shop.local.filter_arn("unseen"))]

    ask("ann")
    tracemalloc.start()
    try:
        before = [ask(f"nobody-{n}") for n in range(50)] and tracemalloc.get_traced_memory()[0]
        for n in range(500):
            ask(f"nobody-{'x' * 50}{n}")
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 500 * 50
    finally:
        tracemalloc.stop()
    shop.local.put_events(session_id="s", user_id="nobody-1", events=[TrackedEvent(event_type="Watch", item_id="a")])
    assert "a" not in ask("nobody-1")
