"""``filter=`` of the three operations, of promotions and of handles."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_rt import Filter, FilterValuesError, PersonalizeRuntime, Promotion, ValidationError
from personalize_rt.local import LocalPersonalize

ARN = "arn:aws:personalize:eu-west-1:000000000000:campaign/movies"
FILTER = "arn:aws:personalize:eu-west-1:000000000000:filter/by-genre"
BY_GENRE = Filter(FILTER, "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")
UNSEEN = Filter(FILTER, 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")')
ACTIONS = Filter(FILTER, 'EXCLUDE ActionID WHERE Actions.TYPE IN ("Mail")')


@pytest.fixture
def ask(wire: Any) -> Any:
    return PersonalizeRuntime(client=wire.client)


def requests(wire: Any) -> list[dict[str, Any]]:
    return [members for _, members in wire.sent]


def test_a_bound_filter_is_sent_as_its_arn_and_values(ask: Any, wire: Any) -> None:
    bound = BY_GENRE.bind(GENRE=["Comedy", "Drama"])
    ask.get_recommendations(campaign_arn=ARN, filter=bound)
    ask.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a"], filter=bound)
    for members in requests(wire):
        assert members["filterArn"] == FILTER
        assert members["filterValues"] == {"GENRE": '"Comedy","Drama"'}


def test_a_filter_without_required_parameters_needs_no_binding(ask: Any, wire: Any) -> None:
    ask.get_recommendations(campaign_arn=ARN, user_id="u", filter=UNSEEN)
    assert requests(wire)[0]["filterArn"] == FILTER
    assert "filterValues" not in requests(wire)[0]


def test_a_filter_that_needs_values_is_refused_without_them(ask: Any, wire: Any) -> None:
    with pytest.raises(FilterValuesError, match="GENRE"):
        ask.get_recommendations(campaign_arn=ARN, filter=BY_GENRE)
    assert wire.sent == []


@pytest.mark.parametrize("method", ["get_recommendations", "get_personalized_ranking"])
def test_values_beside_an_unbound_filter_are_to_be_bound(method: str, ask: Any, wire: Any) -> None:
    arguments = {"user_id": "u", "input_list": ["a"]} if "ranking" in method else {}
    with pytest.raises(ValidationError, match=r"filter=name\.bind\(GENRE=…\)") as caught:
        getattr(ask, method)(campaign_arn=ARN, filter=BY_GENRE, filter_values={"GENRE": "Comedy"}, **arguments)
    assert caught.value.parameter == "filter"
    with pytest.raises(ValidationError, match=r"filter=name\.bind\(GENRE=…\)"):
        ask.get_recommendations(
            campaign_arn=ARN, promotions=[Promotion("p", 10, filter=BY_GENRE, filter_values={"GENRE": "Comedy"})]
        )
    assert wire.sent == []


def test_actions_take_a_filter_of_actions(ask: Any, wire: Any) -> None:
    ask.get_action_recommendations(campaign_arn=ARN, user_id="u", filter=ACTIONS)
    assert requests(wire)[0]["filterArn"] == FILTER


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_recommendations", {"filter": ACTIONS}),
        ("get_personalized_ranking", {"user_id": "u", "input_list": ["a"], "filter": ACTIONS}),
        ("get_action_recommendations", {"user_id": "u", "filter": UNSEEN}),
        ("get_recommendations", {"promotions": [Promotion("p", 10, filter=ACTIONS)]}),
        ("get_recommendations", {"filter": UNSEEN, "filter_arn": FILTER}),
        ("get_recommendations", {"filter": UNSEEN, "filter_values": {"A": "b"}}),
        ("get_recommendations", {"filter": "INCLUDE ItemID"}),
        ("get_recommendations", {"filter": BY_GENRE.expression}),
    ],
)
def test_a_filter_that_does_not_fit_never_reaches_the_network(
    method: str, arguments: dict[str, Any], ask: Any, wire: Any
) -> None:
    with pytest.raises(ValidationError) as caught:
        getattr(ask, method)(campaign_arn=ARN, **arguments)
    assert caught.value.parameter in ("filter", "promotions")
    assert wire.sent == []


def test_a_promotion_takes_a_filter(ask: Any, wire: Any) -> None:
    ask.get_recommendations(campaign_arn=ARN, promotions=[Promotion("p", 10, filter=BY_GENRE.bind(GENRE="Comedy"))])
    assert requests(wire)[0]["promotions"] == [
        {"name": "p", "percentPromotedItems": 10, "filterArn": FILTER, "filterValues": {"GENRE": '"Comedy"'}}
    ]


def test_a_handle_binds_a_filter_and_a_call_names_another(ask: Any, wire: Any) -> None:
    movies = ask.campaign(ARN, filter=BY_GENRE.bind(GENRE="Comedy"))
    movies.recommend("u")
    movies.recommend("u", filter=UNSEEN)
    movies.recommend("u", filter_arn=f"{FILTER}-2")
    assert [members.get("filterValues") for members in requests(wire)] == [{"GENRE": '"Comedy"'}, None, None]
    assert requests(wire)[2]["filterArn"] == f"{FILTER}-2"


def test_the_embedded_service_applies_what_the_client_binds() -> None:
    local = LocalPersonalize.sample()
    unseen = Filter(local.filter_arn("unseen-by-genre"), local.filter_expression("unseen-by-genre"))
    answer = local.runtime().get_recommendations(
        campaign_arn=local.campaign_arn("movies-for-you"), user_id="13974", filter=unseen.bind(GENRE=["Western"])
    )
    assert len(answer) > 0
    assert all("Western" in str(local.items[item.item_id]["GENRES"]).split("|") for item in answer)
