"""What each recipe needs, ignores and answers; its score rule (service.md sections 3.2 to 3.6, and 4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from personalize_rt.local.recipes import RECIPES

ITEMS = ["a", "b", "c", "x", "y", "z", "hit", "cold"]


def scores(rows: list[tuple[str, float | None]]) -> list[float]:
    return [score for _, score in rows if score is not None]


# Developer Guide, recipe and use case pages: operation, what is required, the filter that is always applied.
TABLE = {
    "aws-user-personalization": ("GetRecommendations", "userId", ""),
    "aws-user-personalization-v2": ("GetRecommendations", "userId", ""),
    "aws-hrnn": ("GetRecommendations", "userId", ""),
    "aws-hrnn-metadata": ("GetRecommendations", "userId", ""),
    "aws-hrnn-coldstart": ("GetRecommendations", "userId", ""),
    "aws-personalized-ranking": ("GetPersonalizedRanking", "userId", ""),
    "aws-personalized-ranking-v2": ("GetPersonalizedRanking", "userId", ""),
    "aws-similar-items": ("GetRecommendations", "itemId", ""),
    "aws-sims": ("GetRecommendations", "itemId", ""),
    "aws-semantic-similarity": ("GetRecommendations", "itemId", ""),
    "aws-popularity-count": ("GetRecommendations", "", ""),
    "aws-trending-now": ("GetRecommendations", "", ""),
    "aws-next-best-action": ("GetActionRecommendations", "userId", ""),
    "aws-vod-because-you-watched-x": ("GetRecommendations", "userId itemId", "Watch"),
    "aws-vod-more-like-x": ("GetRecommendations", "userId itemId", "Watch"),
    "aws-vod-most-popular": ("GetRecommendations", "userId", ""),
    "aws-vod-trending-now": ("GetRecommendations", "", ""),
    "aws-vod-top-picks": ("GetRecommendations", "userId", "Watch"),
    "aws-ecomm-popular-items-by-views": ("GetRecommendations", "userId", ""),
    "aws-ecomm-popular-items-by-purchases": ("GetRecommendations", "userId", ""),
    "aws-ecomm-frequently-bought-together": ("GetRecommendations", "itemId", ""),
    "aws-ecomm-customers-who-viewed-x-also-viewed": ("GetRecommendations", "userId itemId", "Purchase"),
    "aws-ecomm-recommended-for-you": ("GetRecommendations", "userId", "Purchase"),
}


def test_table_is_that_of_the_guide() -> None:
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    assert {
        name: (
            recipe.operation.name,
            " ".join(recipe.requires),
            recipe.automatic.partition('("')[2].removesuffix('")'),
        )
        for name, recipe in RECIPES.items()
    } == TABLE


def test_only_use_cases_are_recommenders() -> None:
    domains = {name: recipe.domain for name, recipe in RECIPES.items() if recipe.resource == "recommender"}
    assert len(domains) == 10
    assert all(domain == ("VIDEO_ON_DEMAND" if "-vod-" in name else "ECOMMERCE") for name, domain in domains.items())


def test_promotions_metadata_and_reasons_are_where_the_guide_has_them() -> None:
    campaigns = [recipe for recipe in RECIPES.values() if recipe.resource == "campaign"]
    assert [recipe.name for recipe in campaigns if recipe.promotes] == [
        "aws-user-personalization",
        "aws-user-personalization-v2",
        "aws-similar-items",
        "aws-sims",
        "aws-popularity-count",
        "aws-trending-now",
    ]
    assert all(recipe.promotes for recipe in RECIPES.values() if recipe.resource == "recommender")
    assert [recipe.name for recipe in RECIPES.values() if recipe.with_metadata] == [
        "aws-user-personalization-v2",
        "aws-personalized-ranking-v2",
        "aws-semantic-similarity",
    ]
    assert [recipe.name for recipe in RECIPES.values() if recipe.gives_reasons] == ["aws-user-personalization-v2"]


# User-Personalization


def test_user_personalization_scores_sum_to_1_over_the_whole_catalogue(service: Callable[..., Any]) -> None:
    rows = service().recommend("for-you", userId="ann", numResults=500)

    assert sorted(id for id, _ in rows) == sorted(ITEMS)
    assert len(scores(rows)) == len(rows)
    assert sum(scores(rows)) == pytest.approx(1, abs=5e-8 * len(rows))
    assert scores(rows) == sorted(scores(rows), reverse=True)


def test_user_personalization_gives_fewer_rows_the_scores_of_all(service: Callable[..., Any]) -> None:
    small = service()
    three = small.recommend("for-you", userId="ann", numResults=3)

    assert three == small.recommend("for-you", userId="ann")[:3]
    assert sum(scores(three)) < 0.999


def test_scores_have_at_most_7_decimals(sample: Any) -> None:
    rows = sample.recommend("movies-for-you", userId="16036", numResults=500)
    assert all(score == round(score, 7) for score in scores(rows))
    assert any(score != round(score, 6) for score in scores(rows))


def test_user_gets_what_goes_with_the_own_history(service: Callable[..., Any]) -> None:
    small = service()
    ann = [id for id, _ in small.recommend("for-you", userId="ann")]
    cat = [id for id, _ in small.recommend("for-you", userId="cat")]

    assert ann.index("c") < ann.index("z")
    assert cat.index("z") < cat.index("c")


def test_unknown_user_gets_popular_items_with_scores(service: Callable[..., Any]) -> None:
    small = service()
    rows = small.recommend("for-you", userId="nobody", numResults=8)

    assert [id for id, _ in rows][:3] == ["hit", "y", "x"]  # y and x were watched last
    assert rows[-1][0] == "cold"
    assert sum(scores(rows)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("members", [{}, {"userId": ""}, {"userId": None}])
def test_user_personalization_needs_a_user(service: Callable[..., Any], members: dict[str, Any]) -> None:
    small = service()
    status, code, message = small.error("/recommendations", {"campaignArn": small.arn("for-you"), **members})
    assert (status, code) == (400, "InvalidInputException")
    assert "userId" in message


def test_user_personalization_does_not_use_an_item(service: Callable[..., Any]) -> None:
    small = service()
    assert small.recommend("for-you", userId="ann", itemId="z") == small.recommend("for-you", userId="ann")


def test_v2_scores_a_part_of_the_catalogue_and_fills_up_with_popular_items(service: Callable[..., Any]) -> None:
    small = service()
    reply = small.ok("/recommendations", {"campaignArn": small.arn("for-you-v2"), "userId": "ann", "numResults": 500})[
        "itemList"
    ]
    own = small.recommend("for-you", userId="ann", numResults=500)

    assert [row["itemId"] for row in reply] == [id for id, _ in own]
    nothing = {"promotionName": None, "metadata": None}
    assert reply[-1] == {"itemId": "cold", "score": None, **nothing, "reason": ["Popular item"]}
    assert all(row["reason"] is None for row in reply[:-1])
    assert sum(row["score"] for row in reply[:-1]) == pytest.approx(1, abs=5e-8 * len(reply))


# numResults


def test_number_of_items_is_25_unless_asked(sample: Any) -> None:
    assert len(sample.recommend("popular-movies")) == 25
    assert len(sample.recommend("popular-movies", numResults=0)) == 25
    assert len(sample.recommend("popular-movies", numResults=1)) == 1
    assert len(sample.recommend("popular-movies", numResults=500)) == 500


def test_small_catalogue_gives_fewer_items_than_asked(service: Callable[..., Any]) -> None:
    assert len(service().recommend("popular", numResults=100)) == len(ITEMS)


# Personalized-Ranking


@pytest.mark.parametrize("campaign", ["ranking", "ranking-v2"])
def test_ranking_scores_sum_to_1_over_the_known_items_of_the_input(service: Callable[..., Any], campaign: str) -> None:
    rows = service().rank("ann", "x", "nobody-knows-1", "c", "cold", "a", campaign=campaign)

    assert {id for id, _ in rows[:3]} == {"x", "c", "a"}
    assert sum(scores(rows)) == pytest.approx(1, abs=5e-8 * 3)
    assert scores(rows) == sorted(scores(rows), reverse=True)


def test_items_without_interactions_come_last_in_input_order_without_a_score(service: Callable[..., Any]) -> None:
    rows = service().rank("ann", "zz", "x", "cold", "c", "aa")
    assert rows[2:] == [("zz", None), ("cold", None), ("aa", None)]


def test_ranking_of_unknown_items_only_keeps_the_input(service: Callable[..., Any]) -> None:
    assert service().rank("ann", "q", "p") == [("q", None), ("p", None)]


def test_repeated_item_keeps_its_places_side_by_side(service: Callable[..., Any]) -> None:
    rows = service().rank("ann", "a", "x", "a")
    assert [id for id, _ in rows] == ["a", "a", "x"]
    assert rows[0] == rows[1]


def test_ranking_moves_up_what_is_near_the_users_taste(service: Callable[..., Any]) -> None:
    small = service()
    assert [id for id, _ in small.rank("ann", "z", "c")] == ["c", "z"]
    assert [id for id, _ in small.rank("cat", "c", "z")] == ["z", "c"]


def test_ranking_for_an_unknown_user_is_by_popularity(service: Callable[..., Any]) -> None:
    assert [id for id, _ in service().rank("nobody", "z", "a", "hit", "x")] == ["hit", "x", "a", "z"]


def test_ranking_of_500_items_is_a_permutation(sample: Any) -> None:
    items = list(sample.local.items)[:500]
    rows = sample.rank("16036", *items, campaign="movies-ranking")
    assert sorted(id for id, _ in rows) == sorted(items)


# Similar-Items, SIMS


@pytest.mark.parametrize("campaign", ["similar", "sims"])
def test_related_items_have_no_score_and_leave_out_the_item_itself(service: Callable[..., Any], campaign: str) -> None:
    rows = service().recommend(campaign, itemId="a")

    assert [score for _, score in rows] == [None] * (len(ITEMS) - 1)
    assert sorted(id for id, _ in rows) == sorted({*ITEMS} - {"a"})
    assert [id for id, _ in rows][:2] == ["b", "c"]


@pytest.mark.parametrize(
    ("campaign", "item"), [("similar", "nobody-knows"), ("sims", "nobody-knows"), ("sims", "cold")]
)
def test_item_without_interactions_gets_popular_items(service: Callable[..., Any], campaign: str, item: str) -> None:
    ids = [id for id, _ in service().recommend(campaign, itemId=item)]
    assert ids[:3] == ["hit", "y", "x"]
    assert item not in ids


def test_similar_items_of_an_item_without_interactions_have_its_metadata(service: Callable[..., Any]) -> None:
    ids = [id for id, _ in service().recommend("similar", itemId="cold")]
    assert ids[:3] == ["b", "c", "a"]  # dramas; the last is a crime story, too
    assert ids[3:] == ["hit", "y", "x", "z"]


@pytest.mark.parametrize("members", [{}, {"userId": "ann"}, {"itemId": ""}])
def test_related_items_need_an_item(service: Callable[..., Any], members: dict[str, Any]) -> None:
    small = service()
    status, code, message = small.error("/recommendations", {"campaignArn": small.arn("similar"), **members})
    assert (status, code) == (400, "InvalidInputException")
    assert "itemId" in message


def test_related_items_do_not_use_the_user(service: Callable[..., Any]) -> None:
    small = service()
    assert small.recommend("similar", itemId="a", userId="cat") == small.recommend("similar", itemId="a")


# Popularity-Count


def test_popular_items_are_those_with_most_events_without_scores(service: Callable[..., Any]) -> None:
    rows = service().recommend("popular")
    assert rows == [(id, None) for id in ("hit", "a", "b", "x", "y", "c", "z", "cold")]


def test_popular_items_use_neither_user_nor_item(service: Callable[..., Any]) -> None:
    small = service()
    assert small.recommend("popular", userId="cat", itemId="z") == small.recommend("popular")


# The wire form of scores


def test_absent_score_is_null_on_the_wire(service: Callable[..., Any]) -> None:
    small = service()
    body = small.post("/recommendations", {"campaignArn": small.arn("popular"), "numResults": 1}).body
    assert body.startswith(b'{"itemList":[{"itemId":"hit","score":null,"promotionName":null,')


def test_trailing_zeros_of_scores_are_dropped(service: Callable[..., Any]) -> None:
    small = service()
    members = {"campaignArn": small.arn("ranking"), "userId": "ann", "inputList": ["a"]}
    assert b'"score":1.0,' in small.post("/personalize-ranking", members).body
    assert json.loads(small.post("/personalize-ranking", members).body)["personalizedRanking"][0]["score"] == 1
