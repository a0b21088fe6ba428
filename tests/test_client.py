"""The façade, over real boto3 clients: ours and the caller's, stubbed, under moto, against a server."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, StubAssertionError, UnStubbedResponseError
from botocore.stub import ANY, Stubber
from moto import mock_aws

from personalize_rt import (
    ActionRecommendations,
    ConfigurationError,
    InvalidInputError,
    Limits,
    PersonalizeRuntime,
    Ranking,
    Recommendations,
    ResponseError,
    RetryPolicy,
    ServerError,
    ThrottlingError,
    ValidationError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
RECOMMENDER = "arn:aws:personalize:eu-west-1:123456789012:recommender/top-picks"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
CALLS = {
    "get_recommendations": {"campaign_arn": ARN},
    "get_personalized_ranking": {"campaign_arn": ARN, "user_id": "u", "input_list": ["i1", "i2"]},
    "get_action_recommendations": {"campaign_arn": ARN, "user_id": "u"},
}
PARAMETERS = {
    "get_recommendations": (
        "campaign_arn recommender_arn user_id item_id num_results context filter_arn filter_values promotions "
        "metadata_columns"
    ),
    "get_personalized_ranking": "campaign_arn user_id input_list context filter_arn filter_values metadata_columns",
    "get_action_recommendations": "campaign_arn user_id num_results filter_arn filter_values",
}
REQUIRED = {
    "get_recommendations": "",
    "get_personalized_ranking": "campaign_arn user_id input_list",
    "get_action_recommendations": "campaign_arn user_id",
}
OPTIONS = ("retry", "deadline", "limits")


# The surface


@pytest.mark.parametrize("method", CALLS)
def test_operations_take_the_documented_keywords_and_nothing_else(method: str) -> None:
    parameters = inspect.signature(getattr(PersonalizeRuntime, method)).parameters
    keywords = {name: parameter for name, parameter in parameters.items() if name != "self"}
    assert {parameter.kind for parameter in keywords.values()} == {inspect.Parameter.KEYWORD_ONLY}
    # Later issues add hooks for their own; what is documented now keeps its place.
    assert [name for name in keywords if name in PARAMETERS[method].split()] == PARAMETERS[method].split()
    required = [name for name, parameter in keywords.items() if parameter.default is parameter.empty]
    assert required == REQUIRED[method].split()


@pytest.mark.parametrize("method", CALLS)
def test_an_unknown_keyword_is_a_type_error(method: str, wire: Any) -> None:
    with pytest.raises(TypeError):
        getattr(PersonalizeRuntime(client=wire.client), method)(**CALLS[method], user="u")
    with pytest.raises(TypeError):
        getattr(PersonalizeRuntime(client=wire.client), method)(ARN)
    assert wire.sent == []


def test_the_constructor_takes_a_client_first_and_the_rest_by_keyword() -> None:
    parameters = list(inspect.signature(PersonalizeRuntime).parameters.values())
    assert (parameters[0].name, parameters[0].default) == ("client", None)
    assert {parameter.kind for parameter in parameters[1:]} == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {parameter.name: parameter.default for parameter in parameters}
    assert {"region_name", "session", "endpoint_url", "config", *OPTIONS} <= set(defaults)
    assert defaults["deadline"] == 2.0
    assert defaults["retry"] == RetryPolicy()
    assert defaults["limits"] == Limits()


def test_with_options_takes_every_option_of_the_constructor() -> None:
    """The parity test: no option is forgotten."""
    building = {"self", "client", "region_name", "session", "endpoint_url", "config", "verify", "redact"}
    built = dict(inspect.signature(PersonalizeRuntime.__init__).parameters)
    copied = dict(inspect.signature(PersonalizeRuntime.with_options).parameters)
    assert [name for name in copied if name != "self"] == [name for name in built if name not in building]
    for name in set(copied) - {"self"}:
        assert copied[name].annotation == built[name].annotation
        assert copied[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert copied[name].default is not inspect.Parameter.empty


def test_no_boto3_type_is_needed_in_signatures() -> None:
    parameters = inspect.signature(PersonalizeRuntime.__init__).parameters
    assert {parameters[name].annotation for name in ("client", "session", "config")} == {"Any"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"retry": 3},
        {"retry": None},
        {"retry": {"attempts": 3}},
        {"limits": None},
        {"limits": False},
        {"deadline": 0},
        {"deadline": -1},
        {"deadline": "2"},
        {"deadline": True},
        {"deadline": float("nan")},
        {"deadline": 10**400},
    ],
    ids=repr,
)
@pytest.mark.parametrize("door", ["constructor", "with_options"])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any], door: str, wire: Any) -> None:
    runtime = PersonalizeRuntime(client=wire.client)
    make: Any = runtime.with_options if door == "with_options" else PersonalizeRuntime
    with pytest.raises(ValidationError) as caught:
        make(**wrong)
    assert [caught.value.parameter] == list(wrong)


# Stubber


@pytest.fixture
def stub(plain_client: Any) -> Any:
    with Stubber(plain_client()) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_the_three_operations_through_a_stubber(stub: Any) -> None:
    runtime = PersonalizeRuntime(client=stub.client)
    stub.add_response(
        "get_recommendations",
        {"itemList": [{"itemId": "a", "score": 0.5, "reason": ["Exploration"]}], "recommendationId": "RID-1"},
        {"campaignArn": ARN, "userId": "u", "numResults": 1, "context": {"DEVICE": "phone"}},
    )
    recommendations = runtime.get_recommendations(
        campaign_arn=ARN, user_id="u", num_results=1, context={"DEVICE": "phone"}
    )
    assert type(recommendations) is Recommendations
    assert (recommendations[0].item_id, recommendations[0].reason) == ("a", ("Exploration",))
    stub.add_response(
        "get_personalized_ranking",
        {"personalizedRanking": [{"itemId": "b", "score": 1.0}], "recommendationId": "RID-2"},
        {
            "campaignArn": ARN,
            "userId": "u",
            "inputList": ["a", "b"],
            "filterArn": FILTER,
            "filterValues": {"GENRE": '"Comedy","Drama"', "YEAR": "1999"},
            "metadataColumns": {"ITEMS": ["TITLE"]},
        },
    )
    ranking = runtime.get_personalized_ranking(
        campaign_arn=ARN,
        user_id="u",
        input_list=("a", "b"),
        filter_arn=FILTER,
        filter_values={"GENRE": ["Comedy", "Drama"], "YEAR": 1999},
        metadata_columns=["TITLE"],
    )
    assert type(ranking) is Ranking
    assert (ranking.item_ids, ranking.missing, ranking.recommendation_id) == (("b",), ("a",), "RID-2")
    stub.add_response(
        "get_action_recommendations",
        {"actionList": [{"actionId": "a", "score": 0.5}]},
        {
            "campaignArn": ARN,
            "userId": "u",
        },
    )
    actions = runtime.get_action_recommendations(campaign_arn=ARN, user_id="u")
    assert type(actions) is ActionRecommendations
    assert (actions.action_ids, actions.recommendation_id) == (("a",), None)


def test_errors_and_retries_through_a_stubber(stub: Any, fake_time: Any) -> None:
    policy = RetryPolicy(2, clock=fake_time.clock, sleep=fake_time.sleep)
    runtime = PersonalizeRuntime(client=stub.client, retry=policy)
    stub.add_client_error("get_recommendations", "ThrottlingException", "slow down", 429)
    stub.add_response("get_recommendations", {"itemList": []}, {"campaignArn": ANY})
    assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 2
    stub.add_client_error("get_recommendations", "InvalidInputException", "bad u-17", 400, {"Field": "userId"})
    with pytest.raises(ClientError) as caught:
        runtime.get_recommendations(campaign_arn=ARN, user_id="u-17")
    assert isinstance(caught.value, InvalidInputError)
    assert caught.value.response["Error"]["Field"] == "userId"
    assert (caught.value.status_code, caught.value.request_id, caught.value.attempts) == (400, None, 1)
    assert "u-17" not in str(caught.value)


def test_complaints_of_a_stubber_come_through(plain_client: Any) -> None:
    client = plain_client()
    runtime = PersonalizeRuntime(client=client)
    with Stubber(client) as stub:
        with pytest.raises(UnStubbedResponseError):
            runtime.get_recommendations(campaign_arn=ARN)
        stub.add_response("get_recommendations", {"itemList": []}, {"campaignArn": "another"})
        with pytest.raises(StubAssertionError):
            runtime.get_recommendations(campaign_arn=ARN)
        with pytest.raises(ValidationError):
            runtime.get_recommendations(campaign_arn=ARN, num_results=501)


# moto


def test_another_service_under_moto_beside_the_facade(server: Any, plain_client: Any) -> None:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="films")
        s3.put_object(Bucket="films", Key="seen", Body=b"tt1")
        for runtime in (
            PersonalizeRuntime(client=plain_client()),
            PersonalizeRuntime(region_name="eu-west-1", endpoint_url=server.url),
            PersonalizeRuntime(client=in_process_client(lambda *_: (200, {}, b'{"itemList": [{"itemId": "i1"}]}'))),
        ):
            assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
            runtime.close()
        assert s3.get_object(Bucket="films", Key="seen")["Body"].read() == b"tt1"
    assert server.count == 2


# A client of the caller's


@pytest.mark.parametrize("method", CALLS)
def test_a_plain_client_against_a_server(method: str, plain_client: Any, server: Any) -> None:
    result = getattr(PersonalizeRuntime(client=plain_client()), method)(**CALLS[method])
    assert len(result) == 1
    assert (result.recommendation_id, result.degraded, result.cause) == ("RID-1", False, None)
    info = result.info
    assert (info.request_id, info.attempts, info.source) == ("fd2ea40f-11f5-461c-b678-6a6a08bdb416", 1, "service")
    assert info.elapsed > 0
    assert server.count == 1


def snapshot(client: Any) -> Any:
    """All that a client is made of: settings, handlers, parts."""
    config = {name: copy.copy(value) for name, value in vars(client.meta.config).items()}
    handlers = client.meta.events._emitter._handlers if hasattr(client.meta.events, "_emitter") else None
    events = ["before-send", "before-call", "before-parse", "needs-retry", "request-created", "response-received"]
    found = {name: handlers.prefix_search(f"{name}.personalize-runtime.GetRecommendations") for name in events}
    parts = {name: id(value) for name, value in vars(client).items()}
    methods = {name: id(value) for name, value in vars(type(client)).items()}
    return config, {name: list(map(id, handlers)) for name, handlers in found.items()}, parts, methods


def test_a_client_of_the_callers_is_never_modified(plain_client: Any, server: Any) -> None:
    client = plain_client()
    # What a client makes for itself at its first error is there already.
    server.script(None, 400)
    with pytest.raises(ClientError):
        [client.get_recommendations(campaignArn=ARN) for _ in range(2)]
    before = snapshot(client)
    with PersonalizeRuntime(client=client) as runtime:
        runtime.connect()
        for method, arguments in CALLS.items():
            getattr(runtime, method)(**arguments)
        server.script(503, 400)
        with pytest.raises(InvalidInputError):
            runtime.with_options(deadline=None).get_recommendations(campaign_arn=ARN)
    assert snapshot(client) == before


def test_closing_does_not_close_a_client_of_the_callers(plain_client: Any, monkeypatch: Any) -> None:
    client = plain_client()
    closed: list[int] = []
    monkeypatch.setattr(type(client), "close", lambda _: closed.append(1))
    with PersonalizeRuntime(client=client) as runtime:
        pass
    runtime.close()
    assert closed == []
    assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


def test_settings_of_a_client_of_the_callers_stay_in_force(plain_client: Any, server: Any) -> None:
    runtime = PersonalizeRuntime(client=plain_client(read_timeout=0.1, user_agent_extra="mine/1"), retry=RetryPolicy(1))
    runtime.get_recommendations(campaign_arn=ARN)
    assert "mine/1" in server.received[0].headers["user-agent"]
    assert "personalize-rt" not in server.received[0].headers["user-agent"]


@pytest.mark.parametrize(
    ("retries", "hidden"),
    [
        ({"mode": "legacy"}, 4),
        ({"mode": "standard"}, 2),
        ({"mode": "adaptive"}, 2),
        ({"max_attempts": 7}, 7),
        ({"total_max_attempts": 2}, 1),
    ],
)
def test_stacked_retries_are_warned_about_once(retries: dict[str, Any], hidden: int, plain_client: Any) -> None:
    client = plain_client(retries=retries)
    with pytest.warns(UserWarning, match="RetryPolicy") as caught:
        runtime = PersonalizeRuntime(client=client)
    assert str(hidden) in str(caught[0].message)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runtime.get_recommendations(campaign_arn=ARN)
        runtime.with_options(retry=RetryPolicy(2)).get_recommendations(campaign_arn=ARN)
        runtime.campaign(ARN).recommend()
    assert len(caught) == 1


def test_retries_that_do_not_stack_are_not_warned_about(plain_client: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PersonalizeRuntime(client=plain_client())
        PersonalizeRuntime(client=plain_client(retries={"max_attempts": 0}))
        PersonalizeRuntime(client=plain_client(retries={"mode": "standard"}), retry=RetryPolicy(1))
        PersonalizeRuntime(client=Mock())
        PersonalizeRuntime(client=object())


def test_retries_that_with_options_stacks_are_warned_about(plain_client: Any) -> None:
    runtime = PersonalizeRuntime(client=plain_client(retries={"mode": "standard"}), retry=RetryPolicy(1))
    with pytest.warns(UserWarning, match="RetryPolicy") as caught:
        stacked = runtime.with_options(retry=RetryPolicy(3))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stacked.with_options(retry=RetryPolicy(4))


def test_anything_with_boto3s_methods_is_a_client() -> None:
    double = Mock()
    double.get_recommendations.return_value = {"itemList": [{"itemId": "a"}]}
    answer = PersonalizeRuntime(double).get_recommendations(campaign_arn=ARN, user_id="u")
    assert answer.item_ids == ("a",)
    double.get_recommendations.assert_called_once_with(campaignArn=ARN, userId="u")
    assert (answer.info.request_id, answer.info.attempts) == (None, 1)


@pytest.mark.parametrize("reply", [None, []])
def test_a_double_that_answers_nonsense_is_a_response_error(reply: Any) -> None:
    double = Mock()
    double.get_recommendations.return_value = reply
    with pytest.raises(ResponseError):
        PersonalizeRuntime(double).get_recommendations(campaign_arn=ARN)


@pytest.mark.parametrize("client", ["eu-west-1", {"region_name": "eu-west-1"}], ids=repr)
def test_what_is_no_client_is_an_error_that_says_so(client: Any) -> None:
    with pytest.raises((ValidationError, ConfigurationError), match="client"):
        PersonalizeRuntime(client).get_recommendations(campaign_arn=ARN)


@pytest.mark.parametrize("kind", [PersonalizeRuntime, AsyncPersonalizeRuntime])
def test_a_region_as_a_client_is_refused_with_advice(kind: Any) -> None:
    for options in ({}, {"endpoint_url": "http://127.0.0.1:1"}):
        with pytest.raises(ValidationError, match="for a region write region_name=…") as caught:
            kind("eu-west-1", **options)
        assert caught.value.parameter == "client"


def test_a_client_of_another_service_is_an_error_that_says_so(session: Any) -> None:
    with pytest.raises((ValidationError, ConfigurationError), match="client"):
        PersonalizeRuntime(session.client("personalize"), retry=RetryPolicy(1)).get_recommendations(campaign_arn=ARN)


# Our own client


def test_a_ranking_knows_what_the_answer_left_out(runtime: Any, server: Any) -> None:
    server.script({"personalizedRanking": [{"itemId": "b", "score": 1.0}, {"itemId": "c", "score": None}]})
    ranking = runtime().get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=iter(["a", "b", "c"]))
    assert (ranking.item_ids, ranking.missing, ranking.unscored) == (("b", "c"), ("a",), ("c",))


def test_no_client_is_built_before_it_is_needed(session: Any) -> None:
    class NoSession:
        def client(self, *_: Any, **__: Any) -> Any:
            pytest.fail("built")

    runtime = PersonalizeRuntime(session=NoSession())
    runtime.campaign(ARN)
    runtime.with_options(deadline=1.0)
    repr(runtime)
    with pytest.raises(ValidationError):
        runtime.get_recommendations(campaign_arn="x")
    runtime.close()


def test_after_close_a_call_is_an_error_that_says_so(runtime: Any, server: Any) -> None:
    for closed in (runtime(), runtime().connect()):
        closed.close()
        closed.close()
        for call in (lambda: closed.get_recommendations(campaign_arn=ARN), closed.connect):  # noqa: B023 - called at once
            with pytest.raises(ConfigurationError, match="closed"):
                call()
    assert server.count == 0


def test_as_a_context_manager_it_closes_at_the_end(runtime: Any) -> None:
    with runtime() as opened:
        assert opened.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
    with pytest.raises(ConfigurationError):
        opened.get_recommendations(campaign_arn=ARN)
    with pytest.raises(LookupError), runtime() as opened:
        raise LookupError
    with pytest.raises(ConfigurationError):
        opened.get_recommendations(campaign_arn=ARN)


def test_closing_while_others_call_ends_in_answers_or_errors_of_ours(runtime: Any, server: Any) -> None:
    shared = runtime(retry={"attempts": 1})
    started = threading.Barrier(9)

    def call(_: int) -> str:
        started.wait()
        for _ in range(20):
            try:
                shared.get_recommendations(campaign_arn=ARN)
            except ConfigurationError:
                return "closed"
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        ends = pool.map(call, range(8))
        started.wait()
        shared.close()
        assert set(ends) <= {"closed", "answered"}


# with_options


def test_with_options_shares_the_client(runtime: Any, server: Any) -> None:
    first = runtime()
    second = first.with_options(deadline=None)
    third = second.with_options(limits=Limits(input_list=1))
    for shared in (third, second, first):
        shared.get_recommendations(campaign_arn=ARN)
    assert first._transport.client() is second._transport.client() is third._transport.client()
    assert type(second) is PersonalizeRuntime


def test_with_options_changes_what_it_is_given_and_nothing_else(runtime: Any, server: Any) -> None:
    first = runtime(retry={"attempts": 2}, limits=Limits(input_list=1))
    server.always(503)
    for shared, attempts in ((first.with_options(deadline=None), 2), (first.with_options(retry=RetryPolicy(1)), 1)):
        server.received.clear()
        with pytest.raises(ServerError):
            shared.get_recommendations(campaign_arn=ARN)
        assert server.count == attempts
        with pytest.raises(ValidationError) as caught:
            shared.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a", "b"])
        assert caught.value.limit == 1
    wider = first.with_options(limits=Limits())
    server.always(None)
    wider.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a", "b"])
    with pytest.raises(ValidationError):
        first.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a", "b"])


def test_closing_a_copy_does_nothing(runtime: Any) -> None:
    first = runtime()
    with first.with_options(deadline=None) as copied:
        copied.get_recommendations(campaign_arn=ARN)
    copied.close()
    first.get_recommendations(campaign_arn=ARN)
    first.close()
    with pytest.raises(ConfigurationError, match="closed"):
        copied.get_recommendations(campaign_arn=ARN)


def test_a_subclass_keeps_its_class_and_attributes_through_with_options(wire: Any) -> None:
    class Shop(PersonalizeRuntime):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.name = "shop"

    copied = Shop(client=wire.client).with_options(deadline=None)
    assert type(copied) is Shop
    assert copied.name == "shop"


# Sharing, showing, keeping


def test_threads_may_share_a_runtime(runtime: Any, server: Any) -> None:
    server.always(lambda request: {"itemList": [{"itemId": request.members["userId"]}]})
    shared = runtime()
    with ThreadPoolExecutor(8) as pool:
        names = [f"u{n}" for n in range(64)]
        answers = pool.map(lambda name: shared.get_recommendations(campaign_arn=ARN, user_id=name).item_ids[0], names)
        assert list(answers) == names


def test_repr_shows_no_secret(session: Any) -> None:
    runtime = PersonalizeRuntime(session=session, endpoint_url="http://user:pass@127.0.0.1:9")
    assert "pass" not in repr(runtime)
    assert repr(runtime).startswith("PersonalizeRuntime(")


def test_results_and_errors_outlive_the_runtime_and_pickle(runtime: Any, server: Any) -> None:
    server.script(None, 429)
    with runtime(retry={"attempts": 1}) as opened:
        answer = opened.get_recommendations(campaign_arn=ARN)
        with pytest.raises(ThrottlingError) as caught:
            opened.get_recommendations(campaign_arn=ARN)
    assert pickle.loads(pickle.dumps(answer)) == answer
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.response, again.code, again.attempts) == (caught.value.response, "ThrottlingException", 1)


def test_nothing_of_a_request_is_logged(runtime: Any, server: Any, caplog: Any) -> None:
    with caplog.at_level("DEBUG", "personalize_rt"):
        runtime().get_recommendations(campaign_arn=ARN, user_id="ada@example.org")
    assert "ada@example.org" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("personalize_rt")
    )


def test_without_region_the_readme_reader_gets_one_readable_error() -> None:
    code = (
        "import os\n"
        "for name in list(os.environ):\n"
        "    if name.startswith('AWS_'): del os.environ[name]\n"
        "os.environ['AWS_CONFIG_FILE'] = os.environ['AWS_SHARED_CREDENTIALS_FILE'] = os.devnull\n"
        "from personalize_rt import PersonalizeRuntime\n"
        f"PersonalizeRuntime().get_recommendations(campaign_arn={ARN!r})"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert process.stderr.splitlines()[-1].startswith("personalize_rt.errors.ConfigurationError: no AWS region")
    assert "During handling" not in process.stderr
    assert "direct cause" not in process.stderr


def test_recommenders_are_asked_too(runtime: Any, server: Any) -> None:
    runtime().get_recommendations(recommender_arn=RECOMMENDER, user_id="u")
    assert server.received[0].members == {"recommenderArn": RECOMMENDER, "userId": "u"}


def test_config_with_everything_off_still_works(runtime: Any) -> None:
    config = Config(tcp_keepalive=False, max_pool_connections=1, connect_timeout=5, read_timeout=5)
    assert runtime(config=config).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
