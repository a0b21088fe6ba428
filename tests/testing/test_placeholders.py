"""What is hidden, by where it stands, and how it is numbered."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.operations import GET_RECOMMENDATIONS, Request
from personalize_rt.testing.placeholders import Placeholders

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
REQUEST: dict[str, Any] = {
    "campaignArn": ARN,
    "userId": "user-4711",
    "itemId": "tt0468569",
    "numResults": 3,
    "inputList": ["tt0468569"],
    "context": {"DEVICE": "a phone", "CITY": "Roma"},
    "filterArn": ARN.replace("campaign", "filter"),
    "filterValues": {"GENRE": '"Comedy","Drama"', "CITY": "Roma"},
    "promotions": [{"name": "ours", "percentPromotedItems": 20, "filterArn": ARN, "filterValues": {"OWNER": '"us"'}}],
    "metadataColumns": {"ITEMS": ["TITLE"]},
}


def test_what_is_personal_is_numbered_in_order_of_appearance_and_the_rest_stays() -> None:
    # Appearance goes by the alphabet within one request: SDKs send members in different orders.
    assert Placeholders().request(REQUEST) == {
        **REQUEST,
        "userId": "{user-1}",
        "context": {"CITY": "{context-1}", "DEVICE": "{context-2}"},
        "filterValues": {"CITY": "{filter-value-1}", "GENRE": "{filter-value-2}"},
        "promotions": [{**REQUEST["promotions"][0], "filterValues": {"OWNER": "{filter-value-3}"}}],
    }


def test_the_order_of_members_does_not_matter() -> None:
    turned = {name: REQUEST[name] for name in reversed(REQUEST)}
    assert json.dumps(Placeholders().request(turned)) == json.dumps(Placeholders().request(REQUEST))


def test_equal_values_have_one_number_and_each_kind_has_its_own() -> None:
    placeholders = Placeholders()
    users = [placeholders.request({"userId": user})["userId"] for user in ("ann", "ben", "ann")]
    assert users == ["{user-1}", "{user-2}", "{user-1}"]
    assert placeholders.request({"context": {"NAME": "ann"}}) == {"context": {"NAME": "{context-1}"}}


def test_metadata_and_ids_of_recommendations_are_numbered_and_the_rest_of_a_reply_stays() -> None:
    row = {"itemId": "tt1", "score": 0.5, "promotionName": "ours", "reason": ["Promoted item"], "elevenchars": None}
    reply = {
        "itemList": [
            {**row, "metadata": {"title": "Brazil", "year": "1985"}},
            {**row, "metadata": {"title": "Brazil"}},
        ],
        "recommendationId": "RID-db-45f5-9989-fa62daec7846-CID-f2c90e",
    }
    hidden = Placeholders().reply(reply, {})
    assert hidden["itemList"] == [
        {**row, "metadata": {"title": "{metadata-1}", "year": "{metadata-2}"}},
        {**row, "metadata": {"title": "{metadata-1}"}},
    ]
    assert hidden["recommendationId"] == "RID-00000000-0000-4000-8000-000000000001"
    assert len(hidden["recommendationId"]) == 40


def test_a_message_of_the_service_repeats_nothing_personal() -> None:
    reply = {"message": "no such user user-4711, nor comedy, in Roma", "__type": "Any"}
    assert Placeholders().reply(reply, REQUEST) == {"message": "no such user ***, nor ***, in ***", "__type": "Any"}


def test_members_that_this_version_does_not_know_keep_their_form_only() -> None:
    reply = {"itemList": [{"itemId": "i", "why": {"because": ["of", 7, True, None, ""]}}, "odd"], "more": 1.5}
    assert Placeholders().reply(reply, {}) == {
        "itemList": [
            {"itemId": "i", "why": {"because": ["{other-1}", "{other-2}", True, None, ""]}},
            "{other-3}",
        ],
        "more": "{other-4}",
    }


def test_members_that_are_null_count_as_absent_and_empty_texts_stay() -> None:
    assert Placeholders().request({"userId": "", "itemId": None, "context": {"A": ""}}) == {
        "userId": "",
        "context": {"A": ""},
    }


def test_a_placeholder_means_itself_where_it_may() -> None:
    assert Placeholders(literal=True).request({"userId": "{user-7}"}) == {"userId": "{user-7}"}
    assert Placeholders().request({"userId": "{user-7}"}) == {"userId": "{user-1}"}


def test_users_may_be_known_beforehand() -> None:
    assert Placeholders(["ann", "ben"]).request({"userId": "ben"}) == {"userId": "{user-2}"}


def test_the_personal_values_of_a_request_are_those_that_are_hidden() -> None:
    """Those of members that this version does not know too: no message may show them, in a cassette or elsewhere."""
    promotions = [*REQUEST["promotions"], "loose"]
    request = Request(GET_RECOMMENDATIONS, {**REQUEST, "promotions": promotions, "newMember": [{"a": "secret"}, 1999]})
    hidden = set(request.personal_values())
    assert hidden >= {"user-4711", "a phone", "Roma", '"Comedy","Drama"', "Comedy", "Drama", "us"}
    assert hidden >= {"secret", "1999", "loose"}
    assert not hidden & {"tt0468569", "ours", "TITLE", "GENRE", "3", "20", ARN}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("xyz"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
members = st.dictionaries(st.sampled_from([*REQUEST, "userid", "messages"]), json_values, max_size=6)


@given(members, st.text("äöü", min_size=3))
def test_whatever_the_form_of_a_request_no_personal_text_is_left(request: dict[str, Any], secret: str) -> None:
    kept = {"campaignArn", "itemId", "numResults", "inputList", "filterArn", "metadataColumns", "promotions"}
    request = {name: value if name in kept else planted(value, secret) for name, value in request.items()}
    request["promotions"] = [{"filterValues": {"P": secret}}, secret]
    assert secret not in json.dumps(Placeholders().request(request), ensure_ascii=False)


def planted(value: Any, secret: str) -> Any:
    """The value with each of its texts replaced by the secret."""
    if isinstance(value, dict):
        return {name: planted(part, secret) for name, part in value.items()}
    if isinstance(value, list):
        return [planted(part, secret) for part in value]
    return secret if isinstance(value, str) else value
