"""Promoted items (Developer Guide, "Promoting items in recommendations"; service.md section 3.9)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.local.promotions import promote, promoted_count
from personalize_rt.local.recipes import RECIPES, ReplyRow

SETTINGS = """
[filters]
old = "INCLUDE ItemID WHERE Items.YEAR <= $YEAR"
comedies = 'INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")'
dramas = 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")'
seen = 'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'
"""


@pytest.fixture
def shop(service: Callable[..., Any], small_files: dict[str, str]) -> Any:
    return service({**small_files, "personalize.toml": small_files["personalize.toml"] + SETTINGS})


def ask(
    shop: Any, campaign: str, filter: str, percent: int, values: dict[str, str] | None = None, **members: Any
) -> Any:
    promotion: dict[str, Any] = {
        "name": "sale",
        "percentPromotedItems": percent,
        "filterArn": shop.local.filter_arn(filter),
    }
    if values:
        promotion["filterValues"] = values
    wanted = {"campaignArn": shop.arn(campaign), "promotions": [promotion], **members}
    return shop.ok("/recommendations", wanted)["itemList"]


def promoted(rows: Sequence[Any]) -> list[str]:
    return [row["itemId"] for row in rows if row["promotionName"]]


def test_promoted_items_keep_their_order_and_bear_the_name(shop: Any) -> None:
    rows = ask(shop, "popular", "comedies", 50, numResults=6)
    assert promoted(rows) == ["x", "y", "z"]
    assert {row["promotionName"] for row in rows} == {"sale", None}
    assert [row["itemId"] for row in rows if not row["promotionName"]] == ["hit", "a", "b"]


def test_each_filter_is_for_its_own_items(shop: Any) -> None:
    rows = ask(shop, "popular", "comedies", 40, numResults=5, filterArn=shop.local.filter_arn("dramas"))
    assert promoted(rows) == ["x", "y"]
    assert {row["itemId"] for row in rows} - {"x", "y"} == {"a", "b", "c"}


def test_no_item_is_there_twice(shop: Any) -> None:
    rows = ask(shop, "popular", "comedies", 100, numResults=500)
    ids = [row["itemId"] for row in rows]
    assert sorted(ids) == sorted({"a", "b", "c", "x", "y", "z", "hit", "cold"})
    assert promoted(rows) == ["x", "y", "z"]


def test_too_few_that_qualify_are_as_many_as_possible(shop: Any) -> None:
    rows = ask(shop, "popular", "old", 50, {"YEAR": "1990"}, numResults=6)
    assert promoted(rows) == ["a"]
    assert len(rows) == 6


def test_none_that_qualifies_leaves_the_answer_as_it_is(shop: Any) -> None:
    rows = ask(shop, "popular", "old", 50, {"YEAR": "1900"}, numResults=6)
    assert [(row["itemId"], None) for row in rows] == shop.recommend("popular", numResults=6)


def test_scores_of_promoted_items_are_their_own(shop: Any) -> None:
    scores = dict(shop.recommend("for-you", userId="ann"))
    comedies = shop.local.filter_arn("comedies")
    # Each filter is for its own items, and so is the sum of their scores.
    scores |= dict(shop.recommend("for-you", userId="ann", filterArn=comedies))
    rows = ask(shop, "for-you", "comedies", 30, userId="ann")
    assert {row["itemId"]: row["score"] for row in rows} == scores
    assert all(row["reason"] is None for row in rows)


def test_v2_gives_the_reason(shop: Any) -> None:
    rows = ask(shop, "for-you-v2", "dramas", 100, userId="ann", numResults=8)
    reasons = {row["itemId"]: row["reason"] for row in rows}
    assert {id for id, reason in reasons.items() if reason == ["Promoted item"]} == {"a", "b", "c", "cold"}
    assert {row["score"] for row in rows if row["itemId"] == "cold"} == {None}


def test_promotion_of_related_items_leaves_out_the_item_itself(shop: Any) -> None:
    assert set(promoted(ask(shop, "similar", "dramas", 100, itemId="a", numResults=8))) == {"b", "c", "cold"}


def test_promotion_may_look_at_the_user(shop: Any) -> None:
    assert set(promoted(ask(shop, "popular", "seen", 100, userId="cat", numResults=8))) == {"x", "y", "hit"}


@pytest.mark.parametrize(
    ("campaign", "change", "expected"),
    [
        ("popular", {"filterArn": None}, "promotions[0].filterArn"),
        ("popular", {"name": None}, "promotions[0].name is missing"),
        ("popular", {"percentPromotedItems": None}, "promotions[0].percentPromotedItems is missing"),
        ("popular", {"filterValues": {"X": "1"}}, "promotions[0].filterValues: the filter has no parameter 'X'"),
        ("popular", {"filterArn": "seen"}, "promotions[0].filterArn: the filter seen looks at the user"),
        ("popular", {"filterArn": "old"}, "promotions[0].filterValues: the filter value YEAR is missing"),
        ("semantic", {}, "promotions: aws-semantic-similarity has none"),
        ("hrnn", {}, "promotions: aws-hrnn has none"),
    ],
)
def test_promotion_that_says_too_little_or_too_much_is_invalid_input(
    shop: Any, campaign: str, change: dict[str, Any], expected: str
) -> None:
    promotion = {"name": "sale", "percentPromotedItems": 50, "filterArn": "comedies", **change}
    if promotion["filterArn"]:
        promotion["filterArn"] = shop.local.filter_arn(promotion["filterArn"])
    given = {name: value for name, value in promotion.items() if value is not None}
    members: dict[str, Any] = {"campaignArn": shop.arn(campaign), "promotions": [given]}
    members |= {"semantic": {"itemId": "a"}, "hrnn": {"userId": "ann"}}.get(campaign, {})
    status, code, message = shop.error("/recommendations", members)

    assert (status, code) == (400, "InvalidInputException")
    assert expected in message


def test_promotion_with_an_unknown_filter_is_invalid_input(shop: Any) -> None:
    arn = shop.local.filter_arn("old") + "er"
    promotion = {"name": "sale", "percentPromotedItems": 50, "filterArn": arn}
    members = {"campaignArn": shop.arn("popular"), "promotions": [promotion]}
    status, code, message = shop.error("/recommendations", members)
    assert (status, code) == (400, "InvalidInputException")
    assert message.startswith(f"promotions[0].filterArn: there is no filter {arn}")


def test_no_promotions_is_as_if_absent(shop: Any) -> None:
    assert shop.recommend("popular", promotions=[]) == shop.recommend("popular")


def test_places_follow_the_seed(service: Callable[..., Any], small_files: dict[str, str]) -> None:
    def places(seed: int) -> list[list[int]]:
        files = {**small_files, "personalize.toml": small_files["personalize.toml"] + SETTINGS}
        shop = service(files, seed=seed)
        answers = [ask(shop, "popular", "comedies", 50, numResults=6) for _ in range(5)]
        return [[n for n, row in enumerate(rows) if row["promotionName"]] for rows in answers]

    assert places(1) == places(1) != places(2)
    assert len({tuple(one) for one in places(1)}) > 1


@pytest.mark.parametrize(
    ("results", "percent", "count"),
    [(20, 20, 4), (10, 50, 5), (10, 30, 3), (15, 30, 4), (15, 90, 13), (25, 1, 1), (25, 100, 25), (1, 99, 1)],
)
def test_percentage_is_rounded_down_and_never_to_nothing(results: int, percent: int, count: int) -> None:
    """The first three are the guide's examples."""
    assert promoted_count(results, percent) == count


IDS = st.lists(st.integers(0, 30).map(str), unique=True, max_size=30)


@given(IDS, IDS, st.integers(1, 100), st.integers(1, 40), st.randoms(use_true_random=False))
def test_any_promotion_keeps_both_orders_and_no_item_twice(
    eligible: list[str], others: list[str], percent: int, results: int, rng: random.Random
) -> None:
    rows = promote(map(ReplyRow, eligible), map(ReplyRow, others), name="p", percent=percent, results=results, rng=rng)
    chosen = [row.id for row in rows if row.promotion == "p"]
    rest = [row.id for row in rows if row.promotion is None]

    assert chosen == eligible[: promoted_count(results, percent)]
    assert rest == [id for id in others if id not in chosen][: results - len(chosen)]
    assert len({row.id for row in rows}) == len(rows)


def test_what_promotes_is_asked_with_recommendations_only() -> None:
    assert {recipe.operation.name for recipe in RECIPES.values() if recipe.promotes} == {"GetRecommendations"}
