"""From Python arguments to what is sent: exactly that, or an error that says what was wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePath
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest

from personalize_rt import (
    FilterValuesError,
    Limits,
    PersonalizeRuntime,
    Promotion,
    RawFilterValue,
    RawFilterValues,
    ValidationError,
)
from personalize_rt.arguments import ActionsArguments, RankingArguments, RecommendationsArguments
from personalize_rt.operations import (
    GET_ACTION_RECOMMENDATIONS,
    GET_RECOMMENDATIONS,
    OPERATIONS,
    request_for,
    request_of,
)

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
RECOMMENDER = "arn:aws:personalize:eu-west-1:123456789012:recommender/top-picks"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
SECRET = "Schindlers-Liste"

RANK = {"campaign_arn": ARN, "user_id": "u-17", "input_list": ["a", "b"]}
RECOMMEND = {"campaign_arn": ARN}
ACT = {"campaign_arn": ARN, "user_id": "u-17"}
CALLS = {
    "get_personalized_ranking": RANK,
    "get_recommendations": RECOMMEND,
    "get_action_recommendations": ACT,
}


@pytest.fixture
def runtime(wire: Any) -> PersonalizeRuntime:
    return PersonalizeRuntime(client=wire.client)


@pytest.fixture
def sent(runtime: PersonalizeRuntime, wire: Any) -> Callable[..., dict[str, Any]]:
    """What a call sends."""

    def call(method: str, **arguments: Any) -> dict[str, Any]:
        getattr(runtime, method)(**CALLS[method] | arguments)
        members: dict[str, Any] = wire.take()[1]
        return members

    return call


@pytest.fixture
def refused(runtime: PersonalizeRuntime, wire: Any) -> Callable[..., ValidationError]:
    """The error of a call that sends nothing."""

    def call(method: str, **arguments: Any) -> ValidationError:
        with pytest.raises(ValidationError) as caught:
            getattr(runtime, method)(**CALLS[method] | arguments)
        assert wire.sent == []
        assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.args)
        assert caught.value.__cause__ is caught.value.__context__ is None
        return caught.value

    return call


# What is sent


def test_get_recommendations_sends_every_argument_as_its_member(sent: Any) -> None:
    members = sent(
        "get_recommendations",
        user_id="u-17",
        item_id="tt1",
        num_results=7,
        context={"DEVICE": "phone"},
        filter_arn=FILTER,
        filter_values={"GENRE": ["Comedy", "Drama"], "YEAR": 1999},
        promotions=[Promotion("spring", 30, filter_arn=FILTER, filter_values={"OWNER": "in-house"})],
        metadata_columns=["TITLE", "YEAR"],
    )
    assert members == {
        "campaignArn": ARN,
        "userId": "u-17",
        "itemId": "tt1",
        "numResults": 7,
        "context": {"DEVICE": "phone"},
        "filterArn": FILTER,
        "filterValues": {"GENRE": '"Comedy","Drama"', "YEAR": "1999"},
        "promotions": [
            {
                "name": "spring",
                "percentPromotedItems": 30,
                "filterArn": FILTER,
                "filterValues": {"OWNER": '"in-house"'},
            }
        ],
        "metadataColumns": {"ITEMS": ["TITLE", "YEAR"]},
    }
    assert sent("get_recommendations", campaign_arn=None, recommender_arn=RECOMMENDER) == {
        "recommenderArn": RECOMMENDER
    }


def test_get_personalized_ranking_sends_every_argument_as_its_member(sent: Any) -> None:
    members = sent(
        "get_personalized_ranking",
        context={"DEVICE": "phone"},
        filter_arn=FILTER,
        filter_values={"GENRE": "Comedy"},
        metadata_columns=("TITLE",),
    )
    assert members == {
        "campaignArn": ARN,
        "userId": "u-17",
        "inputList": ["a", "b"],
        "context": {"DEVICE": "phone"},
        "filterArn": FILTER,
        "filterValues": {"GENRE": '"Comedy"'},
        "metadataColumns": {"ITEMS": ["TITLE"]},
    }


def test_get_action_recommendations_sends_every_argument_as_its_member(sent: Any) -> None:
    members = sent("get_action_recommendations", num_results=3, filter_arn=FILTER, filter_values={"VALUE": 5})
    assert members == {
        "campaignArn": ARN,
        "userId": "u-17",
        "numResults": 3,
        "filterArn": FILTER,
        "filterValues": {"VALUE": "5"},
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get_recommendations", "/recommendations"),
        ("get_personalized_ranking", "/personalize-ranking"),
        ("get_action_recommendations", "/action-recommendations"),
    ],
)
def test_each_method_calls_its_operation(method: str, path: str, runtime: Any, wire: Any) -> None:
    getattr(runtime, method)(**CALLS[method])
    assert wire.take()[0] == path
    assert [operation.path for operation in OPERATIONS.values() if operation.method == method] == [path]


@pytest.mark.parametrize("method", CALLS)
def test_what_is_not_given_is_not_sent(method: str, sent: Any) -> None:
    minimal = {"campaign_arn": "campaignArn", "user_id": "userId", "input_list": "inputList"}
    assert set(sent(method)) == {minimal[name] for name in CALLS[method]}


@pytest.mark.parametrize("empty", [None, {}, ()], ids=repr)
def test_empty_options_are_not_sent(empty: Any, sent: Any) -> None:
    members = sent(
        "get_recommendations",
        context=None if empty == () else empty,
        filter_values=None if empty == () else empty,
        promotions=() if empty == {} or empty is None else empty,
        metadata_columns=None if empty == {} else empty,
    )
    assert members == {"campaignArn": ARN}


def test_nothing_is_demanded_of_user_and_item(sent: Any) -> None:
    assert sent("get_recommendations") == {"campaignArn": ARN}
    assert sent("get_recommendations", item_id="tt1") == {"campaignArn": ARN, "itemId": "tt1"}
    assert sent("get_recommendations", user_id="u-17") == {"campaignArn": ARN, "userId": "u-17"}
    # The model has no smallest length.
    assert sent("get_recommendations", user_id="")["userId"] == ""
    assert sent("get_recommendations", num_results=0)["numResults"] == 0


def test_an_empty_user_is_refused_by_operations_that_need_one() -> None:
    ranking = RankingArguments(campaign_arn=ARN, user_id="", input_list=["a"])
    actions = ActionsArguments(campaign_arn=ARN, user_id="")
    for arguments in (ranking, actions):
        with pytest.raises(ValidationError, match=r"^user_id is empty: Get\w+ needs it$") as raised:
            request_for(arguments, Limits())
        assert raised.value.parameter == "user_id"
        # Without limits, and as boto3 takes it, the service decides.
        assert request_for(arguments, Limits.off()).members["userId"] == ""
    assert request_of(GET_ACTION_RECOMMENDATIONS, {"campaignArn": ARN, "userId": ""}, Limits()).members["userId"] == ""


def test_promotions_need_no_filter(sent: Any) -> None:
    members = sent("get_recommendations", promotions=[Promotion("p", 1)])
    assert members["promotions"] == [{"name": "p", "percentPromotedItems": 1}]


# Sequences


def taken_once(values: Any) -> Iterator[Any]:
    yield from values


def test_any_iterable_is_taken_once(sent: Any) -> None:
    members = sent("get_personalized_ranking", input_list=taken_once("ab"), metadata_columns=taken_once(["TITLE"]))
    assert (members["inputList"], members["metadataColumns"]) == (["a", "b"], {"ITEMS": ["TITLE"]})
    promotions = sent("get_recommendations", promotions=taken_once([Promotion("p", 1)]))["promotions"]
    assert promotions == [{"name": "p", "percentPromotedItems": 1}]
    values = sent("get_recommendations", filter_arn=FILTER, filter_values={"G": taken_once("ab")})["filterValues"]
    assert values == {"G": '"a","b"'}


def test_an_iterator_is_asked_for_no_more_than_it_has(sent: Any) -> None:
    steps = []

    def counted() -> Iterator[str]:
        for n in range(3):
            steps.append(n)
            yield f"i{n}"

    assert sent("get_personalized_ranking", input_list=counted())["inputList"] == ["i0", "i1", "i2"]
    assert steps == [0, 1, 2]


@pytest.mark.parametrize(
    "items",
    [
        ("a", "b"),
        {"a": 1, "b": 2}.keys(),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        pd.Series(["a", "b"]),
        pd.Index(["a", "b"]),
    ],
    ids=lambda items: type(items).__name__,
)
def test_columns_of_other_libraries_are_lists_of_ids(items: Any, sent: Any) -> None:
    assert sent("get_personalized_ranking", input_list=items)["inputList"] == ["a", "b"]


def test_a_subclass_of_str_is_an_id(sent: Any) -> None:
    class Film(StrEnum):
        METROPOLIS = "tt0017136"

    members = sent("get_personalized_ranking", user_id=np.str_("u-17"), input_list=[Film.METROPOLIS, np.str_("b")])
    assert (members["userId"], members["inputList"]) == ("u-17", ["tt0017136", "b"])


def test_repeated_items_are_sent_as_they_are(sent: Any) -> None:
    assert sent("get_personalized_ranking", input_list=["a", "a"])["inputList"] == ["a", "a"]


def test_what_an_iterator_raises_is_the_callers(runtime: PersonalizeRuntime) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise TypeError("the caller's own")

    with pytest.raises(TypeError, match="the caller's own"):
        runtime.get_personalized_ranking(**RANK | {"input_list": broken()})


@pytest.mark.parametrize("single", [SECRET, SECRET.encode()], ids=["str", "bytes"])
@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("get_personalized_ranking", "input_list"),
        ("get_personalized_ranking", "metadata_columns"),
        ("get_recommendations", "metadata_columns"),
        ("get_recommendations", "promotions"),
    ],
)
def test_a_bare_str_where_several_are_meant_is_refused_with_advice(
    method: str, parameter: str, single: Any, refused: Any
) -> None:
    error = refused(method, **{parameter: single})
    assert error.parameter == parameter
    assert parameter in str(error)
    assert "list" in str(error)
    assert "[" in str(error)
    assert "16 " in str(error)


def test_a_bare_promotion_is_refused_with_advice(refused: Any) -> None:
    error = refused("get_recommendations", promotions=Promotion("p", 1))
    assert error.parameter == "promotions"
    assert "[" in str(error)


@pytest.mark.parametrize("wrong", [5, 0.5, object(), True])
@pytest.mark.parametrize("parameter", ["input_list", "metadata_columns"])
def test_what_is_no_sequence_is_refused(parameter: str, wrong: Any, refused: Any) -> None:
    error = refused("get_personalized_ranking", **{parameter: wrong})
    assert error.parameter == parameter
    assert type(wrong).__name__ in str(error)


def test_no_input_list_at_all_is_refused(refused: Any) -> None:
    assert refused("get_personalized_ranking", input_list=None).parameter == "input_list"


def test_an_empty_input_list_is_refused(refused: Any) -> None:
    for empty in ([], (), iter(())):
        error = refused("get_personalized_ranking", input_list=empty)
        assert (error.parameter, error.limit) == ("input_list", 1)


def test_metadata_columns_in_boto3s_form_are_refused(refused: Any) -> None:
    # As a sequence, this mapping would be the single column "ITEMS".
    error = refused("get_recommendations", metadata_columns={"ITEMS": ["TITLE"]})
    assert error.parameter == "metadata_columns"


# Kinds


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("get_recommendations", "user_id"),
        ("get_recommendations", "item_id"),
        ("get_recommendations", "campaign_arn"),
        ("get_recommendations", "filter_arn"),
        ("get_personalized_ranking", "user_id"),
        ("get_action_recommendations", "user_id"),
        ("get_action_recommendations", "campaign_arn"),
    ],
)
def test_an_id_that_is_no_str_is_refused(method: str, parameter: str, refused: Any) -> None:
    for wrong in (17, 0.5, True, b"u-17", ["u-17"], PurePath("u"), np.int64(17)):
        error = refused(method, **{parameter: wrong})
        assert error.parameter == parameter
        assert parameter in str(error)
        assert type(wrong).__name__ in str(error)
        assert "17" not in str(error)


@pytest.mark.parametrize("wrong", [17, None, b"tt1", ["tt1"], float("nan"), True], ids=repr)
def test_an_item_that_is_no_str_is_refused_with_its_place(wrong: Any, refused: Any) -> None:
    error = refused("get_personalized_ranking", input_list=["a", "b", wrong])
    assert error.parameter == "input_list"
    assert "input_list[2]" in str(error)


@pytest.mark.parametrize("method", ["get_personalized_ranking", "get_action_recommendations"])
def test_what_the_api_demands_is_demanded(method: str, refused: Any) -> None:
    for parameter in ("campaign_arn", "user_id"):
        error = refused(method, **{parameter: None})
        assert error.parameter == parameter
        assert parameter in str(error)


@pytest.mark.parametrize("count", [7, np.int64(7), np.uint8(7), np.array(7)], ids=lambda count: type(count).__name__)
def test_whole_numbers_of_numpy_are_numbers(count: Any, sent: Any) -> None:
    assert sent("get_recommendations", num_results=count)["numResults"] == 7
    assert sent("get_action_recommendations", num_results=count)["numResults"] == 7
    promotions = sent("get_recommendations", promotions=[Promotion("p", count)])["promotions"]
    assert promotions[0]["percentPromotedItems"] == 7


@pytest.mark.parametrize(
    "wrong", [7.0, "7", True, np.True_, Decimal(7), [7], np.array([7, 8]), np.float64(7), -1, -(10**20)], ids=repr
)
@pytest.mark.parametrize("method", ["get_recommendations", "get_action_recommendations"])
def test_what_is_no_count_is_refused(method: str, wrong: Any, refused: Any) -> None:
    error = refused(method, num_results=wrong)
    assert error.parameter == "num_results"
    assert "num_results" in str(error)


@pytest.mark.parametrize("wrong", [SECRET, [("DEVICE", SECRET)], 5, {SECRET}], ids=lambda wrong: type(wrong).__name__)
@pytest.mark.parametrize("parameter", ["context", "filter_values"])
def test_what_is_no_mapping_is_refused(parameter: str, wrong: Any, refused: Any) -> None:
    error = refused("get_recommendations", filter_arn=FILTER, **{parameter: wrong})
    assert error.parameter == parameter
    assert parameter.split("_")[0] in str(error)


@pytest.mark.parametrize("wrong", [5, None, True, 0.5, [SECRET], {"a": SECRET}, SECRET.encode()], ids=repr)
def test_a_context_value_that_is_no_str_is_refused_with_its_name(wrong: Any, refused: Any) -> None:
    error = refused("get_recommendations", context={"DEVICE": wrong})
    assert error.parameter == "context"
    assert "DEVICE" in str(error)


@pytest.mark.parametrize("name", ["AGE\N{ARABIC-INDIC DIGIT THREE}", "DEV ICE", "DEV-ICE", "", "GERÄT", "a.b"])
def test_a_context_name_outside_the_models_pattern_is_refused(name: str, refused: Any) -> None:
    assert refused("get_recommendations", context={name: SECRET}).parameter == "context"


def test_a_context_name_that_is_no_str_is_refused(refused: Any) -> None:
    assert refused("get_recommendations", context={5: SECRET}).parameter == "context"


@pytest.mark.parametrize("wrong", ["spring", 5, None, {"name": SECRET, "percent": 5}], ids=repr)
def test_what_is_no_promotion_is_refused(wrong: Any, refused: Any) -> None:
    assert refused("get_recommendations", promotions=[wrong]).parameter == "promotions"


@pytest.mark.parametrize(
    "promotion",
    [
        {"name": "spring sale", "percentPromotedItems": 5},
        {"name": "spring", "percentPromotedItems": "5"},
        {"name": "spring", "percentPromotedItems": 101},
        {"name": "spring", "percentPromotedItems": 5, "filterArn": "sale"},
        {"name": "spring", "percentPromotedItems": 5, "filterArn": FILTER, "filterValues": {"GENRE": ["Comedy"]}},
        {"name": "spring", "percentPromotedItems": 5, "filterValues": {"GENRE": '"Comedy"'}},
    ],
)
def test_a_promotion_in_the_services_form_is_checked(promotion: Any, refused: Any) -> None:
    error = refused("get_recommendations", promotions=[promotion])
    assert error.parameter == "promotions"
    assert "Comedy" not in str(error)


def test_a_promotion_in_the_services_form_is_sent_as_it_is() -> None:
    given = {"name": "spring", "percentPromotedItems": 20, "filterArn": FILTER, "filterValues": {"GENRE": '"Comedy"'}}
    arguments = RecommendationsArguments(campaign_arn=ARN, user_id="u", promotions=[given])
    assert request_for(arguments, Limits()).members["promotions"] == [given]
    assert "Comedy" not in repr(arguments)
    ours = Promotion("spring", 20, filter_arn=FILTER, filter_values={"GENRE": "Comedy"})
    assert (
        request_for(attrs.evolve(arguments, promotions=[ours]), Limits()).members
        == request_for(arguments, Limits()).members
    )


def test_values_that_are_encoded_already_are_sent_as_they_are() -> None:
    written = RawFilterValues({"GENRE": '"Comedy","Drama"', "YEAR": "1999"})
    arguments = RecommendationsArguments(campaign_arn=ARN, filter_arn=FILTER, filter_values=written)
    assert request_for(arguments, Limits()).members["filterValues"] == {"GENRE": '"Comedy","Drama"', "YEAR": "1999"}
    assert "Comedy" not in repr(written)
    for wrong in ({"GENRE": 7}, '"Comedy"'):
        with pytest.raises(FilterValuesError):
            RawFilterValues(wrong)  # type: ignore[arg-type]


def test_no_values_without_a_filter_are_no_values() -> None:
    for empty in ({}, RawFilterValues({})):
        arguments = RecommendationsArguments(campaign_arn=ARN, filter_values=empty, context={})
        assert request_for(arguments, Limits()).members == {"campaignArn": ARN}
    members = {"campaignArn": ARN, "filterValues": {}, "context": {}, "promotions": []}
    assert request_of(GET_RECOMMENDATIONS, members, Limits()).members == {"campaignArn": ARN}


@pytest.mark.parametrize(
    "promotion",
    [
        Promotion("-spring", 5),
        Promotion("", 5),
        Promotion("spring sale", 5),
        Promotion(5, 5),  # type: ignore[arg-type]
        Promotion("p", 0),
        Promotion("p", 101),
        Promotion("p", -1),
        Promotion("p", 5.0),  # type: ignore[arg-type]
        Promotion("p", True),
        Promotion("p", "5"),  # type: ignore[arg-type]
        Promotion("p", None),  # type: ignore[arg-type]
        Promotion("p", 5, filter_arn="unseen"),
        Promotion("p", 5, filter_arn=FILTER, filter_values=[SECRET]),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_a_promotion_that_the_model_does_not_allow_is_refused(promotion: Promotion, refused: Any) -> None:
    error = refused("get_recommendations", promotions=[promotion])
    assert error.parameter in {"promotions", "filter_values"}
    assert "promotions[0]" in str(error) or error.parameter == "filter_values"


def test_a_filter_value_of_a_promotion_that_cannot_be_sent_is_refused(refused: Any) -> None:
    promotion = Promotion("p", 5, filter_arn=FILTER, filter_values={"OWNER": f'{SECRET}"'})
    error = refused("get_recommendations", promotions=[promotion])
    assert isinstance(error, FilterValuesError)
    assert error.parameter == "OWNER"


@pytest.mark.parametrize(
    "value",
    [None, True, "", [], f'{SECRET}"', [SECRET, 1], datetime(2024, 1, 1), float("nan"), object()],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("method", CALLS)
def test_a_filter_value_that_cannot_be_sent_is_refused(method: str, value: Any, refused: Any) -> None:
    error = refused(method, filter_arn=FILTER, filter_values={"GENRE": value})
    assert isinstance(error, FilterValuesError)
    assert error.parameter == "GENRE"
    assert "GENRE" in str(error)


def test_filter_values_are_written_in_the_services_form(sent: Any) -> None:
    values = {
        "A": "Comedy",
        "B": ("x", "y"),
        "C": {"y", "x"},
        "D": 1999,
        "E": Decimal("19.50"),
        "F": datetime(2024, 1, 1, tzinfo=UTC),
        "G": RawFilterValue('"a", "b"'),
        "H": np.float64(0.5),
    }
    assert sent("get_recommendations", filter_arn=FILTER, filter_values=values)["filterValues"] == {
        "A": '"Comedy"',
        "B": '"x","y"',
        "C": '"x","y"',
        "D": "1999",
        "E": "19.5",
        "F": "1704067200",
        "G": '"a", "b"',
        "H": "0.5",
    }


# Resources


def test_neither_campaign_nor_recommender_is_refused(refused: Any) -> None:
    message = str(refused("get_recommendations", campaign_arn=None))
    assert "campaign_arn" in message
    assert "recommender_arn" in message


def test_both_campaign_and_recommender_are_refused(refused: Any) -> None:
    message = str(refused("get_recommendations", recommender_arn=RECOMMENDER))
    assert "campaign_arn" in message
    assert "recommender_arn" in message


@pytest.mark.parametrize("parameter", ["campaign_arn", "recommender_arn", "filter_arn"])
@pytest.mark.parametrize(
    "arn",
    [
        "",
        "movies",
        "arn:aws:personalize:eu-west-1:123456789012:",
        "arn:aws:s3:::bucket",
        f" {ARN}",
        "arn:AWS:personalize:eu-west-1:1:campaign/x",
        f"{ARN}\n",
    ],
    ids=repr,
)
def test_what_has_not_the_form_of_an_arn_is_refused(parameter: str, arn: str, refused: Any) -> None:
    others = {"campaign_arn": None} if parameter == "recommender_arn" else {}
    error = refused("get_recommendations", **others, **{parameter: arn})
    assert error.parameter == parameter
    assert parameter in str(error)
    assert "arn:aws:personalize:" in str(error)


@pytest.mark.parametrize(
    "arn",
    [
        ARN,
        RECOMMENDER,
        "arn:aws-cn:personalize:cn-north-1:123456789012:campaign/x",
        "arn:aws:personalize:::campaign/x",
    ],
)
def test_arns_of_the_models_form_are_sent(arn: str, sent: Any) -> None:
    assert sent("get_recommendations", campaign_arn=arn)["campaignArn"] == arn


def test_filter_values_without_a_filter_are_refused_since_nothing_would_use_them(refused: Any) -> None:
    for method in CALLS:
        error = refused(method, filter_values={"GENRE": SECRET})
        assert error.parameter in {"filter_arn", "filter_values"}


# What does not show


def test_no_repr_of_a_request_shows_values() -> None:
    arguments = RecommendationsArguments(
        campaign_arn=ARN,
        user_id=SECRET,
        context={"DEVICE": SECRET},
        filter_arn=FILTER,
        filter_values={"G": SECRET},
    )
    request = request_for(arguments, Limits())
    assert SECRET not in repr(request) + str(request) + repr(GET_RECOMMENDATIONS) + repr(arguments)
    assert SECRET not in repr(Promotion("p", 5, filter_values={"G": SECRET}))
    with pytest.raises(TypeError):
        request.members["userId"] = "changed"  # type: ignore[index]


# The same rules for the embedded service, which spells members as the service does


def test_an_operation_checks_members_as_the_service_spells_them() -> None:
    ranking = OPERATIONS["GetPersonalizedRanking"]
    with pytest.raises(ValidationError, match="inputList") as caught:
        ranking.check({"campaignArn": ARN, "userId": "u", "inputList": ["a"] * 501}, Limits())
    assert (caught.value.parameter, caught.value.limit) == ("inputList", 500)
    with pytest.raises(ValidationError, match="numResults"):
        ranking.check({"campaignArn": ARN, "userId": "u", "inputList": ["a"], "numResults": 5}, Limits())
    with pytest.raises(ValidationError, match="inputList"):
        ranking.check({"campaignArn": ARN, "userId": "u"}, Limits())
    with pytest.raises(ValidationError, match="ITEMS"):
        ranking.check(
            {"campaignArn": ARN, "userId": "u", "inputList": ["a"], "metadataColumns": {"USERS": ["A"]}}, Limits()
        )
    ranking.check({"campaignArn": ARN, "userId": "u", "inputList": ["a"]}, Limits())
