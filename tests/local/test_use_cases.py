"""Recommenders, trends, and likeness by metadata (service.md section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from personalize_rt.local.datasets import EventLog
from personalize_rt.local.trends import TrendModel
from personalize_rt.local.universe import Universe

HOUR = 3600

# Three people view p and q together and buy p with r; nobody buys q. In time, r comes up at the end.
SHOP = """\
USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP
ann,p,View,1000
ann,q,view,1001
ann,p,Purchase,1002
ann,r,Purchase,1003
ben,p,View,1004
ben,q,View,1005
ben,p,Purchase,1006
ben,r,Purchase,1007
cat,p,View,1008
cat,q,View,1009
dan,s,View,1010
dan,s,Purchase,1011
dan,t,View,1012
eve,t,View,1013
"""
FILM = """\
USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP
ann,p,Watch,1000
ann,q,Watch,1001
ben,p,Watch,1002
ben,q,Watch,1003
ben,r,Click,1004
cat,s,Click,1005
dan,s,Click,1006
eve,s,Watch,1007
fay,s,Click,1008
gus,t,Watch,1009
"""
ITEMS = """\
ITEM_ID,TITLE,GENRES
p,The long road,Drama|Crime
q,The short road,Drama
r,Home,Comedy
s,A long way,Drama|Crime
t,Nothing,Western
u,Roads,Crime
"""


def recommenders(domain: str, *names: str) -> str:
    return "[recommenders]\n" + "".join(f'{name} = "aws-{domain}-{name}"\n' for name in names)


@pytest.fixture
def films(service: Callable[..., Any]) -> Any:
    names = ("because-you-watched-x", "more-like-x", "most-popular", "trending-now", "top-picks")
    return service(
        {
            "interactions.csv": FILM,
            "items.csv": ITEMS,
            "personalize.toml": recommenders("vod", *names) + "[campaigns]\n",
        }
    )


@pytest.fixture
def shop(service: Callable[..., Any]) -> Any:
    names = (
        "popular-items-by-views",
        "popular-items-by-purchases",
        "frequently-bought-together",
        "customers-who-viewed-x-also-viewed",
        "recommended-for-you",
    )
    return service({"interactions.csv": SHOP, "personalize.toml": recommenders("ecomm", *names)})


def ask(service: Any, name: str, **members: Any) -> list[str]:
    arn = service.local.recommender_arn(name)
    rows = service.ok("/recommendations", {"recommenderArn": arn, **members})["itemList"]
    assert all(row["score"] is None for row in rows)  # domain recommenders give no scores
    return [row["itemId"] for row in rows]


def test_recommenders_have_arns_of_their_own(films: Any) -> None:
    arn = "arn:aws:personalize:eu-west-1:000000000000:recommender/top-picks"
    assert films.local.recommenders["top-picks"] == films.local.recommender_arn("top-picks") == arn
    assert dict(films.local.campaigns) == {}
    assert films.error("/recommendations", {"campaignArn": arn, "userId": "ann"})[1] == "InvalidInputException"
    assert len(films.ok("/recommendations", {"recommenderArn": arn, "userId": "ann"})["recommendationId"]) == 40


def test_recommenders_answer_no_ranking(films: Any) -> None:
    arn = films.local.recommender_arn("top-picks")
    members = {"recommenderArn": arn, "userId": "ann", "inputList": ["p"]}
    assert films.error("/personalize-ranking", members)[1] == "InvalidInputException"


def test_because_you_watched_x_learns_from_watching_and_leaves_out_what_was_watched(films: Any) -> None:
    assert ask(films, "because-you-watched-x", userId="gus", itemId="p")[0] == "q"
    assert ask(films, "because-you-watched-x", userId="ann", itemId="p") == ["t", "s", "r", "u"]
    assert "r" in ask(films, "because-you-watched-x", userId="ben", itemId="p")  # only clicked


def test_more_like_x_goes_by_metadata(films: Any) -> None:
    assert ask(films, "more-like-x", userId="gus", itemId="p")[:2] == ["q", "s"]  # they share words and genres
    assert ask(films, "more-like-x", userId="gus", itemId="p")[2] == "u"  # a genre only
    assert ask(films, "more-like-x", userId="ann", itemId="p")[0] == "s"


def test_most_popular_counts_watching(films: Any) -> None:
    assert ask(films, "most-popular", userId="x") == ["p", "q", "s", "t", "r", "u"]


def test_top_picks_leave_out_what_was_watched(films: Any) -> None:
    assert set(ask(films, "top-picks", userId="ann")) == {"r", "s", "t", "u"}


def test_trending_now_needs_nobody(films: Any) -> None:
    assert set(ask(films, "trending-now")) == {"p", "q", "r", "s", "t", "u"}


def test_shop_counts_its_events_by_type_whatever_their_case(shop: Any) -> None:
    assert ask(shop, "popular-items-by-views", userId="x") == ["p", "q", "t", "s", "r"]
    assert ask(shop, "popular-items-by-purchases", userId="x") == ["p", "r", "s", "q", "t"]


def test_bought_together_and_viewed_together_are_not_the_same(shop: Any) -> None:
    assert ask(shop, "frequently-bought-together", itemId="p")[0] == "r"
    assert ask(shop, "customers-who-viewed-x-also-viewed", userId="eve", itemId="p")[0] == "q"


def test_what_was_bought_is_not_recommended_again(shop: Any) -> None:
    assert set(ask(shop, "recommended-for-you", userId="ann")) == {"q", "s", "t"}
    assert "s" not in ask(shop, "customers-who-viewed-x-also-viewed", userId="dan", itemId="t")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("popular-items-by-views", "userId"),
        ("frequently-bought-together", "itemId"),
        ("customers-who-viewed-x-also-viewed", "userId"),
        ("recommended-for-you", "userId"),
    ],
)
def test_use_cases_need_their_inputs(shop: Any, name: str, missing: str) -> None:
    status, code, message = shop.error("/recommendations", {"recommenderArn": shop.local.recommender_arn(name)})
    assert (status, code) == (400, "InvalidInputException")
    assert message.startswith(missing)


def test_automatic_filter_and_that_of_the_request_add_up(films: Any) -> None:
    arn = films.local.add_filter("dramas", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    assert ask(films, "top-picks", userId="ann", filterArn=arn) == ["s"]
    assert set(ask(films, "top-picks", userId="eve", filterArn=arn)) == {"p", "q"}


def test_automatic_filter_holds_for_promoted_items_too(films: Any) -> None:
    arn = films.local.add_filter("dramas", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    promotion = {"name": "p", "percentPromotedItems": 100, "filterArn": arn}
    assert "p" not in ask(films, "top-picks", userId="ann", promotions=[promotion])


def test_event_that_arrives_is_filtered_automatically(films: Any) -> None:
    from personalize_rt.tracking import TrackedEvent

    assert "t" in ask(films, "top-picks", userId="ann")
    films.local.put_events(user_id="ann", session_id="s", events=[TrackedEvent(event_type="watch", item_id="t")])
    assert "t" not in ask(films, "top-picks", userId="ann")


# Trends


def rising(*events: tuple[str, int], interval: int = 100) -> list[str]:
    log = EventLog()
    for item, time in events:
        log.user.append(log.users["u"])
        log.target.append(log.targets[item])
        log.type.append(log.types[""])
        log.timestamp.append(time)
    universe = Universe.of(log.targets)
    return [universe.ids[number] for number in TrendModel(log, universe, interval).rising()]


def test_items_rise_by_the_difference_of_two_intervals() -> None:
    before = [("steady", 850)] * 3 + [("falling", 850)] * 5 + [("old", 10)] * 9
    now = [("steady", 950)] * 3 + [("rising", 950)] * 2 + [("new", 1000)] * 4 + [("falling", 950)]
    assert rising(*before, *now) == ["new", "rising"]


def test_intervals_end_at_the_newest_event() -> None:
    assert rising(("a", 900), ("b", 901), ("b", 1000)) == ["b"]
    assert rising() == []
