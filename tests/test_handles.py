"""Handles: what every call repeats is said once, and what a call says itself counts instead."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from personalize_rt import (
    ActionRecommendations,
    Campaign,
    Limits,
    PersonalizeRuntime,
    Promotion,
    Ranking,
    Recommendations,
    Recommender,
    ValidationError,
)

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
RECOMMENDER = "arn:aws:personalize:eu-west-1:123456789012:recommender/top-picks"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
OTHER = "arn:aws:personalize:eu-west-1:123456789012:filter/other"
SECRET = "Schindlers-Liste"


@pytest.fixture
def runtime(wire: Any) -> PersonalizeRuntime:
    return PersonalizeRuntime(client=wire.client)


def test_a_campaign_ranks_recommends_and_acts(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(ARN)
    assert type(movies) is Campaign
    assert movies.arn == ARN
    assert type(movies.rank("u", ["i1", "i2"])) is Ranking
    assert wire.take() == ("/personalize-ranking", {"campaignArn": ARN, "userId": "u", "inputList": ["i1", "i2"]})
    assert type(movies.recommend("u", item_id="i", num_results=3)) is Recommendations
    assert wire.take() == ("/recommendations", {"campaignArn": ARN, "userId": "u", "itemId": "i", "numResults": 3})
    assert type(movies.recommend()) is Recommendations
    assert wire.take() == ("/recommendations", {"campaignArn": ARN})
    assert type(movies.actions("u", num_results=2)) is ActionRecommendations
    assert wire.take() == ("/action-recommendations", {"campaignArn": ARN, "userId": "u", "numResults": 2})


def test_a_recommender_recommends(runtime: Any, wire: Any) -> None:
    top = runtime.recommender(RECOMMENDER, num_results=7)
    assert type(top) is Recommender
    assert top.arn == RECOMMENDER
    top.recommend("u")
    assert wire.take() == ("/recommendations", {"recommenderArn": RECOMMENDER, "userId": "u", "numResults": 7})


def test_ids_may_be_given_by_name(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(ARN)
    movies.rank(user_id="u", input_list=["i1"])
    movies.recommend(user_id="u")
    movies.actions(user_id="u")
    assert [members["userId"] for _, members in wire.sent] == ["u", "u", "u"]


def test_what_is_bound_is_sent_with_every_call(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(
        ARN,
        context={"DEVICE": "phone"},
        filter_arn=FILTER,
        filter_values={"GENRE": ["Comedy"]},
        metadata_columns=["TITLE"],
    )
    for _ in range(2):
        movies.rank("u", ["i1"])
        assert wire.take()[1] == {
            "campaignArn": ARN,
            "userId": "u",
            "inputList": ["i1"],
            "context": {"DEVICE": "phone"},
            "filterArn": FILTER,
            "filterValues": {"GENRE": '"Comedy"'},
            "metadataColumns": {"ITEMS": ["TITLE"]},
        }


def test_what_a_call_gives_counts_instead(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(ARN, num_results=5, context={"DEVICE": "phone"}, metadata_columns=["TITLE"])
    movies.recommend("u", num_results=0, context={}, metadata_columns=())
    assert wire.take()[1] == {"campaignArn": ARN, "userId": "u", "numResults": 0}
    movies.recommend("u", num_results=None, context=None)
    members = wire.take()[1]
    assert (members["numResults"], members["context"]) == (5, {"DEVICE": "phone"})


def test_values_of_a_bound_filter_do_not_go_to_another(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(ARN, filter_arn=FILTER, filter_values={"GENRE": "Comedy"})
    movies.recommend("u", filter_arn=OTHER)
    assert wire.take()[1] == {"campaignArn": ARN, "userId": "u", "filterArn": OTHER}
    movies.recommend("u", filter_arn=OTHER, filter_values={"YEAR": 1999})
    assert wire.take()[1]["filterValues"] == {"YEAR": "1999"}
    movies.recommend("u", filter_values={"GENRE": "Drama"})
    members = wire.take()[1]
    assert (members["filterArn"], members["filterValues"]) == (FILTER, {"GENRE": '"Drama"'})


def test_iterators_that_are_bound_serve_many_calls(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(ARN, metadata_columns=iter(["TITLE"]), promotions=iter([Promotion("p", 5)]))
    for _ in range(2):
        movies.recommend("u")
        members = wire.take()[1]
        assert members["metadataColumns"] == {"ITEMS": ["TITLE"]}
        assert members["promotions"] == [{"name": "p", "percentPromotedItems": 5}]
    movies.recommend("u", promotions=())
    assert "promotions" not in wire.take()[1]


def test_filter_values_that_are_iterators_serve_many_calls(runtime: Any, wire: Any) -> None:
    movies = runtime.campaign(ARN, filter_arn=FILTER, filter_values={"GENRE": iter(["a", "b"])})
    for _ in range(2):
        movies.recommend("u")
        assert wire.take()[1]["filterValues"] == {"GENRE": '"a","b"'}


def test_a_mapping_that_changes_later_does_not_change_the_handle(runtime: Any, wire: Any) -> None:
    context, values = {"DEVICE": "phone"}, {"GENRE": ["Comedy"]}
    movies = runtime.campaign(ARN, context=context, filter_arn=FILTER, filter_values=values)
    context["DEVICE"] = "tv"
    values["GENRE"] = ["Drama"]
    movies.recommend("u")
    members = wire.take()[1]
    assert (members["context"], members["filterValues"]) == ({"DEVICE": "phone"}, {"GENRE": '"Comedy"'})


def test_what_a_method_cannot_use_is_refused_instead_of_ignored(runtime: Any, wire: Any) -> None:
    for arguments, call in (
        ({"num_results": 5}, lambda movies: movies.rank("u", ["i1"])),
        ({"promotions": [Promotion("p", 5)]}, lambda movies: movies.rank("u", ["i1"])),
        ({"context": {"A": "b"}}, lambda movies: movies.actions("u")),
        ({"metadata_columns": ["TITLE"]}, lambda movies: movies.actions("u")),
    ):
        with pytest.raises(ValidationError) as caught:
            call(runtime.campaign(ARN, **arguments))
        assert [caught.value.parameter] == list(arguments)
    assert wire.sent == []


def test_arguments_of_a_handle_are_checked_like_those_of_a_call(runtime: Any, wire: Any) -> None:
    for arguments, parameter in (
        ({"metadata_columns": SECRET}, "metadata_columns"),
        ({"metadata_columns": [f"C{n}" for n in range(11)]}, "metadata_columns"),
        ({"promotions": Promotion("p", 5)}, "promotions"),
        ({"context": SECRET}, "context"),
        ({"num_results": 501}, "num_results"),
        ({"filter_values": {"G": SECRET}}, "filter_arn"),
    ):
        with pytest.raises(ValidationError) as caught:
            runtime.campaign(ARN, **arguments).recommend("u")
        assert caught.value.parameter == parameter
        assert SECRET not in str(caught.value)
    assert wire.sent == []


@pytest.mark.parametrize("wrong", [None, 5, b"arn", [ARN]], ids=repr)
def test_an_arn_that_is_no_str_is_refused(wrong: Any, runtime: Any) -> None:
    for make in (runtime.campaign, runtime.recommender):
        with pytest.raises(ValidationError):
            make(wrong)


@pytest.mark.parametrize("wrong", ["movies", "", "arn:aws:foo", ARN.replace("campaign/", "filter/")])
def test_an_arn_of_nothing_that_can_be_asked_is_refused_when_the_handle_is_made(wrong: str, runtime: Any) -> None:
    for make, kind in ((runtime.campaign, "campaign"), (runtime.recommender, "recommender")):
        with pytest.raises(ValidationError, match=f"arn is not that of a {kind}") as caught:
            make(wrong)
        assert caught.value.parameter == "arn"
    lenient = runtime.with_options(limits=Limits.off())
    assert lenient.campaign(wrong).arn == lenient.recommender(wrong).arn == wrong


def test_a_bare_str_of_items_is_refused(runtime: Any, wire: Any) -> None:
    with pytest.raises(ValidationError, match="input_list"):
        runtime.campaign(ARN).rank("u", SECRET)
    assert wire.sent == []


def test_options_of_the_runtime_hold_for_its_handles(runtime: Any) -> None:
    strict = runtime.with_options(limits=Limits(input_list=1))
    with pytest.raises(ValidationError) as caught:
        strict.campaign(ARN).rank("u", ["a", "b"])
    assert caught.value.limit == 1


def test_repr_shows_the_arn_and_names_but_no_values(runtime: Any) -> None:
    movies = runtime.campaign(ARN, context={"DEVICE": SECRET}, filter_arn=FILTER, filter_values={"GENRE": SECRET})
    shown = repr(movies) + str(movies) + repr(vars(movies)["_bound"]) + repr(vars(movies))
    assert SECRET not in shown
    assert ARN in repr(movies)
    assert RECOMMENDER in repr(runtime.recommender(RECOMMENDER, context={"A": SECRET}))
    assert SECRET not in repr(runtime.recommender(RECOMMENDER, context={"A": SECRET}))


def test_a_resource_is_bound_as_what_its_arn_says(runtime: Any, wire: Any) -> None:
    for arn, kind in ((ARN, Campaign), (RECOMMENDER, Recommender)):
        handle = runtime.resource(arn, num_results=7)
        assert (type(handle), handle.arn) == (kind, arn)
        handle.recommend("u")
        assert wire.take()[1]["numResults"] == 7


@pytest.mark.parametrize("arn", [FILTER, "movies", "", "arn:aws:s3:::bucket", 5, None])
def test_what_can_not_be_asked_is_no_resource(arn: Any, runtime: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        runtime.resource(arn)
    assert caught.value.parameter == "arn"


def test_the_arn_of_the_other_kind_is_refused_before_anything_is_sent(runtime: Any) -> None:
    with pytest.raises(ValidationError, match=r"that of a recommender: write recommender\(arn\), or resource\(arn\)"):
        runtime.campaign(RECOMMENDER)
    with pytest.raises(ValidationError, match=r"that of a campaign: write campaign\(arn\)"):
        runtime.recommender(ARN)


def test_paginators_and_waiters_are_refused_with_advice(runtime: Any) -> None:
    for operation in ("get_recommendations", "get_personalized_ranking", "get_action_recommendations"):
        assert runtime.can_paginate(operation) is False
        with pytest.raises(ValidationError, match=r"has no paginators.*num_results"):
            runtime.get_paginator(operation)
    with pytest.raises(ValueError, match=r"has no waiters.*describe_campaign"):
        runtime.get_waiter("campaign_active")


@pytest.mark.parametrize(
    ("handle", "method", "operation"),
    [
        (Campaign, "rank", "get_personalized_ranking"),
        (Campaign, "recommend", "get_recommendations"),
        (Campaign, "actions", "get_action_recommendations"),
        (Recommender, "recommend", "get_recommendations"),
    ],
)
def test_a_handles_methods_take_what_the_operations_take(handle: Any, method: str, operation: str) -> None:
    """The parity test: no parameter of an operation is forgotten."""
    bound = set(inspect.signature(getattr(handle, method)).parameters)
    full = set(inspect.signature(getattr(PersonalizeRuntime, operation)).parameters)
    assert bound == full - {"campaign_arn", "recommender_arn"}


def test_what_can_be_bound_is_what_operations_take() -> None:
    campaign = inspect.signature(PersonalizeRuntime.campaign).parameters
    recommender = inspect.signature(PersonalizeRuntime.recommender).parameters
    assert list(campaign) == list(recommender)
    operations = ("get_recommendations", "get_personalized_ranking", "get_action_recommendations")
    taken = {
        name for method in operations for name in inspect.signature(getattr(PersonalizeRuntime, method)).parameters
    }
    own = {"self", "campaign_arn", "recommender_arn", "user_id", "item_id", "input_list"}
    assert set(campaign) - {"self", "arn"} == taken - own
