"""Metadata in answers, and contextual metadata in requests (service.md section 3.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ITEMS = '''\
ITEM_ID,TITLE,BRAND_NAME,YEAR,PRICE,GENRES,NEW,PLOT
a,Alpha,Acme,1990,9.5,Drama|Crime,true,"She said ""no"""
b,Beta,,,7.0,Drama,false,x
'''
SCHEMA = (
    '{"type":"record","name":"Items","fields":[{"name":"ITEM_ID","type":"string"},{"name":"TITLE","type":"string"},'
    '{"name":"BRAND_NAME","type":["null","string"]},{"name":"YEAR","type":["null","int"]},'
    '{"name":"PRICE","type":"float"},{"name":"GENRES","type":"string","categorical":true},'
    '{"name":"NEW","type":"boolean"},{"name":"PLOT","type":"string","textual":true}]}'
)
INTERACTIONS = "USER_ID,ITEM_ID,TIMESTAMP,DEVICE,LOCATION\nann,a,1000,phone,home\nann,b,1001,tv,home\nann,c,1002,tv,\n"
SETTINGS = f"""\
[campaigns]
popular = {{ recipe = "aws-popularity-count", enableMetadataWithRecommendations = true }}
ranking = {{ recipe = "aws-personalized-ranking", enableMetadataWithRecommendations = true }}
ranking-v2 = "aws-personalized-ranking-v2"
for-you = "aws-user-personalization"
for-you-v2 = "aws-user-personalization-v2"
[schemas]
items = '{SCHEMA}'
"""


@pytest.fixture
def shop(service: Callable[..., Any]) -> Any:
    return service({"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": SETTINGS})


def metadata(shop: Any, campaign: str, columns: list[str], **members: Any) -> dict[str, Any]:
    wanted = {"campaignArn": shop.arn(campaign), "metadataColumns": {"ITEMS": columns}, **members}
    return {row["itemId"]: row["metadata"] for row in shop.ok("/recommendations", wanted)["itemList"]}


def test_keys_are_columns_in_lower_case_with_underscores(shop: Any) -> None:
    # service.md section 12, fact 2
    assert metadata(shop, "popular", ["BRAND_NAME", "PRICE"])["a"] == {"brand_name": "Acme", "price": "9.5"}


def test_columns_are_found_in_any_case(shop: Any) -> None:
    # service.md section 12, fact 3
    assert metadata(shop, "popular", ["brand_name", "Price"])["a"] == {"brand_name": "Acme", "price": "9.5"}


def test_of_columns_that_differ_in_case_the_one_of_that_spelling_is_given(service: Callable[..., Any]) -> None:
    items = "ITEM_ID,Title,TITLE\na,first,second\n"
    settings = '[campaigns]\npopular = { recipe = "aws-popularity-count", enableMetadataWithRecommendations = true }'
    shop = service({"interactions.csv": INTERACTIONS, "items.csv": items, "personalize.toml": settings})
    assert metadata(shop, "popular", ["TITLE"])["a"] == {"title": "second"}
    assert metadata(shop, "popular", ["Title"])["a"] == {"title": "first"}


def test_values_are_strings_and_missing_ones_are_left_out(shop: Any) -> None:
    columns = ["TITLE", "BRAND_NAME", "YEAR", "PRICE", "GENRES", "NEW", "PLOT"]
    assert metadata(shop, "popular", columns) == {
        "a": {
            "title": "Alpha",
            "brand_name": "Acme",
            "year": "1990",
            "price": "9.5",
            "genres": "Drama|Crime",
            "new": "true",
            "plot": 'She said "no"',
        },
        "b": {"title": "Beta", "price": "7.0", "genres": "Drama", "new": "false", "plot": "x"},
        "c": {},
    }


def test_ranking_has_metadata_too(shop: Any) -> None:
    for campaign in ("ranking", "ranking-v2"):
        wanted = {
            "campaignArn": shop.arn(campaign),
            "userId": "ann",
            "inputList": ["b", "nobody-knows"],
            "metadataColumns": {"ITEMS": ["TITLE"]},
        }
        rows = shop.ok("/personalize-ranking", wanted)["personalizedRanking"]
        assert [row["metadata"] for row in rows] == [{"title": "Beta"}, {}]


def test_v2_returns_metadata_without_being_told(shop: Any) -> None:
    assert metadata(shop, "for-you-v2", ["TITLE"], userId="ann")["a"] == {"title": "Alpha"}


def test_without_columns_there_is_no_metadata(shop: Any) -> None:
    for said in ({}, {"metadataColumns": {}}, {"metadataColumns": None}):
        rows = shop.ok("/recommendations", {"campaignArn": shop.arn("popular"), **said})["itemList"]
        assert [row["metadata"] for row in rows] == [None, None, None]
    assert metadata(shop, "popular", []) == {"a": {}, "b": {}, "c": {}}


def test_metadata_that_is_not_enabled_can_be_omitted_instead_of_refused(service: Callable[..., Any]) -> None:
    # service.md section 12, fact 7: 200 without metadata, while an update was in progress
    settings = SETTINGS + '[options]\nmetadata_not_enabled = "omit"\n'
    shop = service({"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": settings})
    assert metadata(shop, "for-you", ["TITLE"], userId="ann") == {"a": None, "b": None, "c": None}
    assert metadata(shop, "popular", ["TITLE"])["a"] == {"title": "Alpha"}


@pytest.mark.parametrize(
    ("campaign", "members", "expected"),
    [
        ("for-you", {"metadataColumns": {"ITEMS": ["TITLE"]}}, "in its campaignConfig, set enableMetadataWithRecomm"),
        ("popular", {"metadataColumns": {"ITEMS": ["TITEL"]}}, "no metadata column TITEL; did you mean TITLE?"),
        ("popular", {"metadataColumns": {"ITEMS": ["ITEM_ID"]}}, "no metadata column ITEM_ID"),
        ("popular", {"metadataColumns": {"USERS": ["AGE"]}}, "a key other than ITEMS"),
        ("popular", {"metadataColumns": {"ITEMS": ["TITLE"] * 11}}, "11 columns; the service takes at most 10"),
        ("popular", {"metadataColumns": {"ITEMS": ["TITLE"]}, "numResults": 51}, "at most 50"),
    ],
)
def test_metadata_that_the_service_would_not_give_is_invalid_input(
    shop: Any, campaign: str, members: dict[str, Any], expected: str
) -> None:
    wanted = {"campaignArn": shop.arn(campaign), "userId": "ann", **members}
    status, code, message = shop.error("/recommendations", wanted)
    assert (status, code) == (400, "InvalidInputException")
    assert expected in message


def test_ranking_with_metadata_takes_50_items(shop: Any) -> None:
    members = {"campaignArn": shop.arn("ranking"), "userId": "ann", "metadataColumns": {"ITEMS": ["TITLE"]}}
    assert shop.ok("/personalize-ranking", {**members, "inputList": [f"i{n}" for n in range(50)]})
    assert "at most 50" in shop.error("/personalize-ranking", {**members, "inputList": [f"i{n}" for n in range(51)]})[2]


# Context


def test_context_of_the_interactions_schema_is_accepted(shop: Any) -> None:
    context = {"DEVICE": "phone", "LOCATION": "somewhere else"}
    assert shop.recommend("for-you", userId="ann", context=context) == shop.recommend("for-you", userId="ann")
    assert shop.rank("ann", "b", "a", context=context) == shop.rank("ann", "b", "a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DEVICES", "no contextual metadata DEVICES; did you mean DEVICE?"),
        ("WEATHER", "no contextual metadata WEATHER; its contextual metadata: DEVICE, LOCATION"),
        ("TIMESTAMP", "no contextual metadata TIMESTAMP"),
    ],
)
def test_context_that_the_interactions_do_not_have_is_invalid_input(shop: Any, name: str, expected: str) -> None:
    secret = "bob-4711"
    members = {"campaignArn": shop.arn("for-you"), "userId": "ann", "context": {name: secret}}
    status, code, message = shop.error("/recommendations", members)
    assert (status, code) == (400, "InvalidInputException")
    assert expected in message
    assert secret not in message


def test_context_keys_are_matched_in_any_case(shop: Any) -> None:
    # service.md section 12, fact 3, by analogy
    assert shop.recommend("for-you", userId="ann", context={"Device": "phone", "location": "home"})


def test_recipe_that_does_not_use_context_ignores_it(shop: Any) -> None:
    assert shop.recommend("popular", context={"WEATHER": "rain"}) == shop.recommend("popular")
