"""The service's limits: at the limit a request is sent, one over it is refused with a message that helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from personalize_rt import Limits, PersonalizeRuntime, Promotion, ValidationError
from personalize_rt.operations import OPERATIONS

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
RECOMMENDER = "arn:aws:personalize:eu-west-1:123456789012:recommender/top-picks"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"

BASE: dict[str, dict[str, Any]] = {
    "get_recommendations": {"campaign_arn": ARN},
    "get_personalized_ranking": {"campaign_arn": ARN, "user_id": "u", "input_list": ["a"]},
    "get_action_recommendations": {"campaign_arn": ARN, "user_id": "u"},
}
# "xq" stands in no message unless a value does.
VALUE = "xq"


def text(size: int) -> str:
    return (VALUE * size)[:size]


def names(count: int) -> list[str]:
    return [f"{VALUE}{n}" for n in range(count)]


@attrs.frozen
class Case:
    """A limit: the field of ``Limits``, its value, and arguments that come to a given size."""

    field: str
    limit: int
    method: str
    parameter: str
    arguments: Callable[[int], dict[str, Any]]
    given: str
    """How the message says what was given, one over the limit."""

    def __str__(self) -> str:
        return f"{self.method}-{self.field}-{self.parameter}"


def case(field: str, limit: int, method: str, parameter: str, given: str, arguments: Callable[[int], Any]) -> Case:
    def all_arguments(size: int) -> dict[str, Any]:
        made = arguments(size)
        return made if isinstance(made, dict) and made.get("…") else {parameter: made}

    return Case(field, limit, method, parameter, all_arguments, given)


def both(**arguments: Any) -> dict[str, Any]:
    return {**arguments, "…": True}


CASES = [
    case("input_list", 500, "get_personalized_ranking", "input_list", "501 items", names),
    case(
        "input_list_with_metadata",
        50,
        "get_personalized_ranking",
        "input_list",
        "51 items",
        lambda n: both(input_list=names(n), metadata_columns=["TITLE"]),
    ),
    case("id_length", 256, "get_personalized_ranking", "input_list", "257 characters", lambda n: ["a", text(n)]),
    case("num_results", 500, "get_recommendations", "num_results", "501", lambda n: n),
    case(
        "num_results_with_metadata",
        50,
        "get_recommendations",
        "num_results",
        "51",
        lambda n: both(num_results=n, metadata_columns=["TITLE"]),
    ),
    case("num_actions", 100, "get_action_recommendations", "num_results", "101", lambda n: n),
    case("id_length", 256, "get_recommendations", "item_id", "257 characters", text),
    case(
        "arn_length",
        256,
        "get_recommendations",
        "recommender_arn",
        "257 characters",
        lambda n: both(campaign_arn=None, recommender_arn=RECOMMENDER.ljust(n, "x")),
    ),
    *(case("id_length", 256, method, "user_id", "257 characters", text) for method in BASE),
    *(
        case("arn_length", 256, method, "campaign_arn", "257 characters", lambda n: ARN.ljust(n, "x"))
        for method in BASE
    ),
    *(
        case("arn_length", 256, method, "filter_arn", "257 characters", lambda n: FILTER.ljust(n, "x"))
        for method in BASE
    ),
    *(
        case(
            "filter_values",
            25,
            method,
            "filter_values",
            "26",
            lambda n: both(filter_arn=FILTER, filter_values=dict.fromkeys(names(n), VALUE)),
        )
        for method in BASE
    ),
    *(
        case(
            "filter_key_length",
            50,
            method,
            "filter_values",
            "51 characters",
            lambda n: both(filter_arn=FILTER, filter_values={text(n): VALUE}),
        )
        for method in BASE
    ),
    *(
        # The quotes around the value count.
        case(
            "filter_value_length",
            1000,
            method,
            "GENRE",
            "1,001 characters",
            lambda n: both(filter_arn=FILTER, filter_values={"GENRE": text(n - 2)}),
        )
        for method in BASE
    ),
    *(
        case("context_entries", 150, method, "context", "151 items", lambda n: dict.fromkeys(names(n), VALUE))
        for method in ("get_recommendations", "get_personalized_ranking")
    ),
    *(
        case("context_key_length", 150, method, "context", "151 characters", lambda n: {text(n): VALUE})
        for method in ("get_recommendations", "get_personalized_ranking")
    ),
    *(
        case("context_value_length", 1000, method, "context", "1,001 characters", lambda n: {"DEVICE": text(n)})
        for method in ("get_recommendations", "get_personalized_ranking")
    ),
    *(
        case("metadata_columns", 10, method, "metadata_columns", "11 ", lambda n: [f"C{n}" for n in range(n)])
        for method in ("get_recommendations", "get_personalized_ranking")
    ),
    *(
        case("metadata_column_length", 150, method, "metadata_columns", "151 characters", lambda n: [text(n)])
        for method in ("get_recommendations", "get_personalized_ranking")
    ),
    case("promotions", 1, "get_recommendations", "promotions", "2 items", lambda n: [Promotion("p", 5)] * n),
    case("promotion_percent", 100, "get_recommendations", "promotions", "101", lambda n: [Promotion("p", n)]),
    case(
        "promotion_name_length",
        63,
        "get_recommendations",
        "promotions",
        "64 characters",
        lambda n: [Promotion(text(n), 5)],
    ),
    case(
        "arn_length",
        256,
        "get_recommendations",
        "promotions",
        "257 characters",
        lambda n: [Promotion("p", 5, filter_arn=FILTER.ljust(n, "x"))],
    ),
    case(
        "filter_values",
        25,
        "get_recommendations",
        "filter_values",
        "26",
        lambda n: both(promotions=[Promotion("p", 5, filter_arn=FILTER, filter_values=dict.fromkeys(names(n), VALUE))]),
    ),
]
EACH = pytest.mark.parametrize("case", CASES, ids=str)
NOT_OF_REQUESTS = {"filter_expression_length", "filter_fields", "patterns"}


@pytest.fixture
def call(wire: Any) -> Callable[..., int]:
    """Make a call; how many requests it sent."""

    def call(case: Case, size: int, limits: Limits | None = None) -> int:
        runtime = PersonalizeRuntime(client=wire.client, limits=limits or Limits())
        arguments = {name: value for name, value in case.arguments(size).items() if name != "…"}
        wire.sent.clear()
        try:
            getattr(runtime, case.method)(**{**BASE[case.method], **arguments})
        finally:
            sent = len(wire.sent)
        return sent

    return call


def test_every_limit_of_a_request_has_a_case() -> None:
    assert {case.field for case in CASES} == {field.name for field in attrs.fields(Limits)} - NOT_OF_REQUESTS


def test_the_published_numbers() -> None:
    published = {
        "input_list": 500,
        "input_list_with_metadata": 50,
        "num_results": 500,
        "num_results_with_metadata": 50,
        "num_actions": 100,
        "id_length": 256,
        "arn_length": 256,
        "filter_values": 25,
        "filter_key_length": 50,
        "filter_value_length": 1000,
        "filter_expression_length": 2500,
        "filter_fields": 10,
        "context_entries": 150,
        "context_key_length": 150,
        "context_value_length": 1000,
        "metadata_columns": 10,
        "metadata_column_length": 150,
        "promotions": 1,
        "promotion_name_length": 63,
        "promotion_percent": 100,
    }
    for field, value in published.items():
        assert getattr(Limits(), field) == value, field
        assert getattr(Limits.off(), field) is None, field


@EACH
def test_at_the_limit_a_request_is_sent_and_one_over_it_is_refused_before(case: Case, call: Any, wire: Any) -> None:
    assert call(case, case.limit) == 1
    with pytest.raises(ValidationError) as caught:
        call(case, case.limit + 1)
    assert wire.sent == []
    assert (caught.value.parameter, caught.value.limit) == (case.parameter, case.limit)
    # The message says parameter, limit, kind, size and source, and not the value.
    message = str(caught.value)
    assert case.parameter.split("_")[0] in message
    assert case.given in message
    assert f"{case.limit:,}" in message
    assert any(source in message for source in ("model", "API reference", "guide"))
    assert VALUE * 2 not in message
    assert VALUE not in message or "arn" in message
    assert len(message) < 250


@EACH
def test_a_limit_can_be_raised_lowered_and_taken_away(case: Case, call: Any) -> None:
    raised = Limits(**{case.field: case.limit + 1})
    assert call(case, case.limit + 1, raised) == 1
    with pytest.raises(ValidationError) as caught:
        call(case, case.limit + 2, raised)
    assert (caught.value.parameter, caught.value.limit) == (case.parameter, case.limit + 1)
    if case.limit > 1:
        lowered = Limits(**{case.field: case.limit - 1})
        assert call(case, case.limit - 1, lowered) == 1
        with pytest.raises(ValidationError):
            call(case, case.limit, lowered)
    assert call(case, case.limit * 3, Limits(**{case.field: None})) == 1
    assert call(case, case.limit * 3, Limits.off()) == 1


def test_limits_of_metadata_replace_the_others_only_where_metadata_is_asked_for(wire: Any) -> None:
    runtime = PersonalizeRuntime(client=wire.client)
    runtime.get_recommendations(campaign_arn=ARN, num_results=500, metadata_columns=[])
    with pytest.raises(ValidationError, match="metadata"):
        runtime.get_recommendations(campaign_arn=ARN, num_results=51, metadata_columns=["A"])
    wider = PersonalizeRuntime(client=wire.client, limits=Limits(num_results=40))
    wider.get_recommendations(campaign_arn=ARN, num_results=50, metadata_columns=["A"])


def test_patterns_off_leaves_names_arns_and_lower_bounds_to_the_service(wire: Any) -> None:
    runtime = PersonalizeRuntime(client=wire.client, limits=Limits.off())
    runtime.get_recommendations(
        campaign_arn="not an arn", context={"DEV ICE": "phone"}, promotions=[Promotion("spring sale", 500)] * 2
    )
    runtime.get_personalized_ranking(campaign_arn="x", user_id="u", input_list=[])
    assert len(wire.sent) == 2


def test_kinds_are_checked_without_limits_too(wire: Any) -> None:
    runtime = PersonalizeRuntime(client=wire.client, limits=Limits.off())
    for wrong in (
        {"user_id": 5},
        {"num_results": "5"},
        {"context": {"A": 5}},
        {"campaign_arn": 5},
        {"promotions": [5]},
    ):
        with pytest.raises(ValidationError):
            runtime.get_recommendations(**{"campaign_arn": ARN, **wrong})
    assert wire.sent == []


@pytest.mark.parametrize(
    "wrong",
    [{"num_results": -1}, {"promotions": [Promotion("p", 0)]}, {"promotions": [Promotion("", 5)]}],
    ids=["num_results", "percent", "name"],
)
def test_what_botocore_itself_refuses_names_our_parameter(wire: Any, wrong: dict[str, Any]) -> None:
    runtime = PersonalizeRuntime(client=wire.client, limits=Limits.off())
    with pytest.raises(ValidationError) as caught:
        runtime.get_recommendations(campaign_arn=ARN, **wrong)
    assert [caught.value.parameter] == list(wrong)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_limit_of_the_wrong_kind_is_refused_at_once() -> None:
    for field in (each.name for each in attrs.fields(Limits)):
        wrong: list[Any] = ["500", -1, 1.5, float("inf"), True] if field != "patterns" else [None, 1, "no"]
        for value in wrong:
            with pytest.raises(ValidationError, match=field) as caught:
                Limits(**{field: value})
            assert caught.value.parameter == field
        assert getattr(Limits(**{field: False if field == "patterns" else 0}), field) == 0


def test_limits_are_a_frozen_value() -> None:
    assert Limits() == Limits()
    assert hash(Limits(input_list=7)) == hash(Limits(input_list=7))
    assert Limits(input_list=7) != Limits()
    with pytest.raises(AttributeError):
        Limits().input_list = 7  # type: ignore[misc]


def test_the_numbers_that_the_model_has_are_the_installed_models(session: Any) -> None:
    """The drift test: AWS changed a bound, or added a member that the client does not know."""
    limits = Limits()
    model = session.client("personalize-runtime").meta.service_model
    shapes = {name: model.shape_for(name) for name in model.shape_names}
    assert shapes["UserID"].metadata["max"] == shapes["ItemID"].metadata["max"] == limits.id_length
    assert shapes["Arn"].metadata["max"] == limits.arn_length
    assert shapes["FilterValues"].metadata["max"] == limits.filter_values
    assert shapes["FilterValues"].key.metadata["max"] == limits.filter_key_length
    assert shapes["FilterValues"].value.metadata["max"] == limits.filter_value_length
    assert shapes["Context"].metadata["max"] == limits.context_entries
    assert shapes["Context"].key.metadata["max"] == limits.context_key_length
    assert shapes["Context"].value.metadata["max"] == limits.context_value_length
    assert shapes["PromotionList"].metadata["max"] == limits.promotions
    promotion = shapes["Promotion"].members
    assert promotion["percentPromotedItems"].metadata["max"] == limits.promotion_percent
    assert promotion["name"].metadata["max"] == limits.promotion_name_length
    for name, operation in OPERATIONS.items():
        described = model.operation_model(name)
        assert set(described.input_shape.members) == set(operation.checks)
        assert (described.http["method"], described.http["requestUri"]) == ("POST", operation.path)
        assert set(described.input_shape.required_members) <= set(operation.required)
