"""Recording a real endpoint, for which the embedded service stands, and replaying it through every door."""

from __future__ import annotations

import errno
import http.client
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from personalize_rt import PersonalizeError, PersonalizeRuntime, RetryPolicy, ServerError
from personalize_rt.errors import ConfigurationError, TransportError, ValidationError
from personalize_rt.local import HttpRequest, HttpResponse, LocalPersonalize
from personalize_rt.local.moto import mock_personalize
from personalize_rt.testing.record import Cassette, CassetteError, Exchange, Recorder, UnrecordedRequestError, record
from tests.optional import optional

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:campaign/"
RANKING, FOR_YOU, POPULAR = (PREFIX + name for name in ("ranking", "for-you", "popular"))
NO_WAIT = RetryPolicy(sleep=lambda _: None)

Load = Callable[[int], LocalPersonalize]


def traffic(runtime: PersonalizeRuntime, users: tuple[str, str] = ("ann", "ben")) -> list[Any]:
    """What an application asks."""
    one, two = users
    return [
        runtime.get_personalized_ranking(
            campaign_arn=RANKING, user_id=one, input_list=["c", "b", "new"], context={"DEVICE": "ann's phone"}
        ),
        runtime.get_recommendations(campaign_arn=FOR_YOU, user_id=two, num_results=2),
        runtime.get_recommendations(campaign_arn=FOR_YOU, user_id=one, num_results=2),
        runtime.get_recommendations(campaign_arn=POPULAR),
    ]


def shown(answers: list[Any]) -> list[Any]:
    """What an application sees of the answers, but for their ids."""
    return [[(row.item_id, row.score) for row in answer] for answer in answers]


def test_a_replay_gives_what_was_recorded(tmp_path: Path, load: Load) -> None:
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder:
        recorded = traffic(recorder.runtime())
    assert shown(recorded) == shown(traffic(load(1).runtime()))
    cassette = Cassette.load(tmp_path / "c.json")
    assert len(cassette.unplayed) == 4
    assert shown(traffic(cassette.runtime(), ("somebody", "else"))) == shown(recorded)
    assert cassette.unplayed == ()


def test_the_same_traffic_gives_the_same_file_to_the_byte(tmp_path: Path, load: Load) -> None:
    for name, seed, users in (("one", 1, ("ann", "ben")), ("two", 2, ("ann", "ben"))):
        with record(tmp_path / name, client=load(seed).boto3_client()) as recorder:
            traffic(recorder.runtime(), users)
    first = (tmp_path / "one").read_bytes()
    assert first == (tmp_path / "two").read_bytes()
    Cassette.load(tmp_path / "one").save(tmp_path / "three")
    assert first == (tmp_path / "three").read_bytes()


def test_the_file_is_json_that_shows_nobody(tmp_path: Path, load: Load) -> None:
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder:
        traffic(recorder.runtime(), ("user-4711", "ben"))
    text = (tmp_path / "c.json").read_text(encoding="utf-8")
    assert not [secret for secret in ("4711", "phone", "ben") if secret in text]
    document = json.loads(text)
    assert document["cassette"] == 1
    assert document["exchanges"][0]["request"] == {
        "campaignArn": RANKING,
        "context": {"DEVICE": "{context-1}"},
        "inputList": ["c", "b", "new"],
        "userId": "{user-1}",
    }


def test_a_row_of_a_reply_is_one_line_of_a_diff(tmp_path: Path) -> None:
    rows = [{"itemId": f"tt{number}", "score": 0.5} for number in range(10)]
    Cassette([Exchange("GetRecommendations", {"campaignArn": POPULAR}, {"itemList": rows})]).save(tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text(encoding="utf-8")
    assert '\n          {"itemId": "tt0", "score": 0.5},\n          {"itemId": "tt1", "score": 0.5},\n' in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_real_endpoint_is_recorded_as_it_answers(tmp_path: Path, session: Any, server: Any) -> None:
    """Members that are null, or that botocore does not know, are in the bytes, and so in the cassette."""
    reply = {"itemList": [{"itemId": "i", "score": None, "elevenchars": None}], "recommendationId": "RID-x"}
    server.script(server.failure(400, "ThrottlingException", "slow down, user-4711", retry_after="1"), 503, reply)
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder:
        runtime = recorder.runtime(retry=NO_WAIT)
        assert runtime.get_recommendations(campaign_arn=FOR_YOU, user_id="user-4711").item_ids == ("i",)
    assert server.count == 3
    assert "user-4711" in server.received[0].body.decode()
    cassette = Cassette.load(tmp_path / "c.json")
    assert [(each.status, each.headers) for each in cassette.exchanges] == [
        (400, {"retry-after": "1", "x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}),
        (503, {"x-amzn-errortype": "ServiceUnavailable:http://internal.amazon.com/coral/"}),
        (200, {}),
    ]
    assert cassette.exchanges[0].reply == {"message": "slow down, ***"}
    assert cassette.exchanges[2].reply["itemList"] == reply["itemList"]
    # The replay goes the same way: two errors, each of which may be tried again, and the answer.
    waited: list[float] = []
    runtime = cassette.runtime(retry=RetryPolicy(sleep=waited.append, random=lambda: 1.0))
    answer = runtime.get_recommendations(campaign_arn=FOR_YOU, user_id="u")
    assert (answer.info.attempts, waited) == (3, [1.0, 0.1])


def test_a_replay_does_not_wait_where_the_recording_did(tmp_path: Path, session: Any, server: Any) -> None:
    server.script(server.failure(400, "ThrottlingException", retry_after="30"))
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder:
        runtime = recorder.runtime(retry=NO_WAIT, deadline=None)
        assert runtime.get_recommendations(campaign_arn=POPULAR).info.attempts == 2
    started = time.monotonic()
    runtime = Cassette.load(tmp_path / "c.json").runtime(deadline=None)
    assert runtime.get_recommendations(campaign_arn=POPULAR).info.attempts == 2
    assert time.monotonic() - started < 20


def test_repeated_requests_replay_in_order_and_the_last_reply_again(tmp_path: Path, server: Any, session: Any) -> None:
    replies = [{"itemList": [{"itemId": item}]} for item in ("first", "second")]
    server.script(*replies)
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder:
        client = recorder.boto3_client()
        for _ in replies:
            client.get_recommendations(campaignArn=POPULAR)
    client = Cassette.load(tmp_path / "c.json").boto3_client()
    seen = [client.get_recommendations(campaignArn=POPULAR)["itemList"][0]["itemId"] for _ in range(4)]
    assert seen == ["first", "second", "second", "second"]


def test_a_request_that_was_not_recorded_is_an_error_that_says_how_it_differs(tmp_path: Path, load: Load) -> None:
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder:
        traffic(recorder.runtime())
    cassette = Cassette.load(tmp_path / "c.json")
    runtime = cassette.runtime()
    with pytest.raises(UnrecordedRequestError) as failure:
        runtime.get_recommendations(campaign_arn=POPULAR, num_results=5, context={"CITY": "secret"})
    assert "differs in context" in str(failure.value)
    assert "numResults (5 instead of nothing)" in str(failure.value)
    assert "secret" not in str(failure.value)
    with pytest.raises(UnrecordedRequestError, match="no GetActionRecommendations"):
        runtime.get_action_recommendations(campaign_arn=POPULAR, user_id="u")
    with pytest.raises(UnrecordedRequestError, match=r'userId \("{user-3}" instead of "{user-\d}"\): give users='):
        runtime.get_recommendations(campaign_arn=FOR_YOU, user_id="{user-3}", num_results=2)


ONE = {"campaignArn": POPULAR, "inputList": [f"item-{n}" for n in range(300)], "userId": "{user-1}"}


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (
            {"inputList": [*ONE["inputList"][:200], "other", *ONE["inputList"][201:]]},
            ['inputList[200] ("other" instead of "item-200")'],
        ),
        ({"inputList": ONE["inputList"][:299]}, ['inputList[299] (nothing instead of "item-299")']),
        ({"inputList": [*ONE["inputList"], "x"]}, ['inputList[300] ("x" instead of nothing)']),
        (
            {"campaignArn": POPULAR[:-1] + "s"},
            [
                'campaignArn ("arn:aws:personalize:eu-west-1:000000000000:campaign/populas" instead of '
                '"arn:aws:personalize:eu-west-1:000000000000:campaign/popular", which differ from character 59 on)'
            ],
        ),
        ({"filterArn": "arn"}, ['filterArn ("arn" instead of nothing)']),
        ({"userId": "secret"}, ['userId ("{user-1}" instead of "<a str of 10 characters>"): give users=']),
        (
            {"context": {"CITY": "secret", "DEVICE": "secret too"}, "inputList": ["secret item"]},
            [
                'context ({"CITY": "{context-1}", "DEVICE": "{context-2}"} instead of nothing)',
                'inputList[0] ("secret item" instead of "item-0")',
            ],
        ),
        (
            {"filterValues": {"GENRES": '"secret"'}},
            ['filterValues ({"GENRES": "{filter-value-1}"} instead of nothing)'],
        ),
    ],
)
def test_an_unrecorded_request_says_where_it_differs_and_shows_nothing_personal(asked: Any, shown: list[str]) -> None:
    by_hand = {**ONE, "userId": "secret ann"} if "userId" in asked else ONE
    cassette = Cassette([Exchange("GetPersonalizedRanking", by_hand, {})])
    with pytest.raises(UnrecordedRequestError) as failure:
        cassette.boto3_client().get_personalized_ranking(**{**ONE, **asked})
    message = str(failure.value)
    assert all(part in message for part in shown), message
    assert "secret" not in message.replace("secret item", "")
    # Of the members that are alike nothing is said.
    assert message.count(" instead of ") == len(shown)


def test_the_first_character_that_differs_is_shown_of_long_texts() -> None:
    long = "x" * 200
    cassette = Cassette([Exchange("GetRecommendations", {"campaignArn": POPULAR, "itemId": long + "a" + long}, {})])
    with pytest.raises(UnrecordedRequestError) as failure:
        cassette.boto3_client().get_recommendations(campaignArn=POPULAR, itemId=long + "b" + long)
    around = "x" * 20
    assert (
        f'itemId (…"{around}b{around[:-1]}"… instead of …"{around}a{around[:-1]}"…, which differ from character 201 on)'
        in str(failure.value)
    )


def test_the_recorded_request_that_is_most_like_it_is_the_one_with_the_fewest_differences() -> None:
    lists = (["a", "b", "c", "d"], ["a", "x", "c", "e"], ["w", "x", "y", "z"])
    exchanges = [Exchange("GetPersonalizedRanking", {**ONE, "inputList": each}, {}) for each in lists]
    with pytest.raises(UnrecordedRequestError, match=r'inputList\[3\] \("f" instead of "e"\)'):
        Cassette(exchanges).boto3_client().get_personalized_ranking(**{**ONE, "inputList": ["a", "x", "c", "f"]})


@pytest.mark.parametrize(("recorded", "asked"), [(True, 1), (1, True), (3.0, 3), ("3", 3)])
def test_values_that_are_equal_in_python_and_not_in_json_are_told_apart(recorded: Any, asked: Any) -> None:
    cassette = Cassette([Exchange("GetRecommendations", {"campaignArn": POPULAR, "numResults": recorded}, {})])
    body = json.dumps({"campaignArn": POPULAR, "numResults": asked}).encode()
    answer = cassette.handle(HttpRequest("POST", "/recommendations", {}, body))
    expected = f"numResults ({json.dumps(asked)} instead of {json.dumps(recorded)})"
    assert expected in json.loads(answer.body)["message"]


def test_members_that_are_null_in_a_cassette_count_as_absent() -> None:
    cassette = Cassette([Exchange("GetRecommendations", {"campaignArn": POPULAR, "itemId": None}, {"itemList": []})])
    assert cassette.boto3_client().get_recommendations(campaignArn=POPULAR)["itemList"] == []


def test_neither_a_fallback_nor_the_code_under_test_hides_that_error(tmp_path: Path, load: Load) -> None:
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder:
        traffic(recorder.runtime())
    runtime = Cassette.load(tmp_path / "c.json").runtime(fallback=load(1))
    with pytest.raises(UnrecordedRequestError) as failure:
        runtime.get_recommendations(campaign_arn=POPULAR, num_results=9)
    assert not isinstance(failure.value, PersonalizeError | ClientError)


def test_users_can_be_asked_for_in_any_order(tmp_path: Path, load: Load) -> None:
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder:
        recorded = traffic(recorder.runtime())
    by_name = Cassette.load(tmp_path / "c.json", users=["ann", "ben"]).runtime()
    answer = by_name.get_recommendations(campaign_arn=FOR_YOU, user_id="ben", num_results=2)
    assert answer.item_ids == recorded[1].item_ids
    literally = Cassette.load(tmp_path / "c.json").runtime()
    answer = literally.get_recommendations(campaign_arn=FOR_YOU, user_id="{user-2}", num_results=2)
    assert answer.item_ids == recorded[1].item_ids


def test_every_door_replays_the_same_bytes(tmp_path: Path, load: Load) -> None:
    optional("uvicorn")
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder:
        recorder.boto3_client().get_recommendations(campaignArn=POPULAR)
    replies = []

    def ask(client: Any) -> None:
        reply = client.get_recommendations(campaignArn=POPULAR)
        reply["ResponseMetadata"]["HTTPHeaders"].pop("date", None)
        replies.append(reply)

    ask(Cassette.load(tmp_path / "c.json").boto3_client())
    cassette = Cassette.load(tmp_path / "c.json")
    with cassette.serve() as url:
        client = boto3.client("personalize-runtime", region_name="eu-west-1", endpoint_url=url)
        ask(client)
        with pytest.raises(ClientError) as failure:
            client.get_recommendations(campaignArn=POPULAR, numResults=7)
        client.close()
    assert failure.value.response["Error"]["Code"] == "UnrecordedRequest"
    assert failure.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    with mock_aws(), mock_personalize(Cassette.load(tmp_path / "c.json")):
        ask(boto3.client("personalize-runtime", region_name="eu-west-1"))
    for reply in replies:
        reply["ResponseMetadata"].pop("MaxAttemptsReached", None)
    assert replies[0]["itemList"]
    assert replies == [replies[0]] * 3


def test_other_languages_can_be_recorded_over_http(tmp_path: Path, load: Load) -> None:
    optional("uvicorn")
    with record(tmp_path / "c.json", client=load(1).boto3_client()) as recorder, recorder.serve() as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
        for path, body in (("/recommendations", {"campaignArn": POPULAR, "userId": None}), ("/other", {})):
            connection.request("POST", path, json.dumps(body))
            connection.getresponse().read()
        connection.close()
    assert [dict(each.request) for each in Cassette.load(tmp_path / "c.json").exchanges] == [{"campaignArn": POPULAR}]


def test_what_no_client_could_have_sent_is_answered_without_a_recording() -> None:
    cassette = Cassette([])
    for request, code in (
        (HttpRequest("GET", "/recommendations"), "UnknownOperationException"),
        (HttpRequest("POST", "/other"), "UnknownOperationException"),
        (HttpRequest("POST", "/recommendations", body=b"[]"), "MalformedHttpRequestException"),
        (HttpRequest("POST", "/recommendations", body=b"[" * 100_000), "MalformedHttpRequestException"),
        (HttpRequest("POST", "/recommendations?x=y", body=b"{}"), "UnrecordedRequest"),
    ):
        response: HttpResponse = cassette.handle(request)
        assert response.headers["x-amzn-errortype"] == code


def test_a_callers_client_is_called_for_its_replies_and_errors(tmp_path: Path, plain_client: Any, server: Any) -> None:
    server.script({"itemList": [{"itemId": "i"}]}, 400)
    with record(tmp_path / "c.json", client=plain_client()) as recorder:
        client = recorder.boto3_client()
        assert client.get_recommendations(campaignArn=POPULAR)["itemList"] == [{"itemId": "i"}]
        with pytest.raises(client.exceptions.InvalidInputException):
            client.get_recommendations(campaignArn=POPULAR)
    replayed = Cassette.load(tmp_path / "c.json").boto3_client()
    assert replayed.get_recommendations(campaignArn=POPULAR)["itemList"] == [{"itemId": "i"}]
    with pytest.raises(replayed.exceptions.InvalidInputException):
        replayed.get_recommendations(campaignArn=POPULAR)


def test_headers_of_times_and_connections_are_not_kept(tmp_path: Path, session: Any, server: Any) -> None:
    headers = {"retry_after": "Tue, 26 May 2020 22:03:00 GMT", "x_amz_retry_after": "250", "connection": "keep-alive"}
    server.script(server.failure(400, "ThrottlingException", **headers))
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder:
        client = recorder.boto3_client()
        with pytest.raises(ClientError) as failure:
            client.get_recommendations(campaignArn=POPULAR)
    seen = failure.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert ("connection" in seen, seen["retry-after"]) == (False, headers["retry_after"])
    (exchange,) = Cassette.load(tmp_path / "c.json").exchanges
    assert exchange.headers.keys() == {"x-amz-retry-after", "x-amzn-errortype"}


def test_an_answer_of_something_on_the_way_is_kept_as_a_message(tmp_path: Path, session: Any, server: Any) -> None:
    server.script(server.answer(502, b"<html>user-4711"))
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder, pytest.raises(ServerError):
        recorder.runtime(retry=RetryPolicy(1)).get_recommendations(campaign_arn=FOR_YOU, user_id="user-4711")
    runtime = Cassette.load(tmp_path / "c.json").runtime(retry=RetryPolicy(1))
    with pytest.raises(ServerError) as failure:
        runtime.get_recommendations(campaign_arn=FOR_YOU, user_id="u")
    assert failure.value.status_code == 502
    (kept,) = json.loads((tmp_path / "c.json").read_text())["exchanges"]
    assert kept["reply"] == {"message": "<html>***"}


def test_a_call_without_an_answer_fails_as_ever_and_leaves_no_trace(tmp_path: Path, session: Any, server: Any) -> None:
    server.script("close")
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder:
        runtime = recorder.runtime(retry=RetryPolicy(1))
        with pytest.raises(TransportError):
            runtime.get_recommendations(campaign_arn=POPULAR)
        runtime.get_recommendations(campaign_arn=POPULAR)
    assert [each.status for each in Cassette.load(tmp_path / "c.json").exchanges] == [200]


def test_a_block_that_fails_or_asks_nothing_writes_nothing(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "c.json"
    path.write_text("as it was")
    with suppress(LookupError), record(path, client=load(1).boto3_client()) as recorder:
        traffic(recorder.runtime())
        raise LookupError
    with pytest.raises(CassetteError, match="nothing was recorded"), record(path, client=load(1).boto3_client()):
        pass
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir() if each.is_file()] == [("c.json", "as it was")]


# Where it is written.


class Counting:
    """A client of the caller that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def get_recommendations(self, **members: Any) -> Any:
        self.calls += 1
        return {"itemList": [{"itemId": "a"}], "recommendationId": "RID-1"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere/c.json", "there is no directory .*nowhere for the cassette: make it first"),
        ("file/c.json", "the cassette cannot be written to .*file: Not a directory"),
        ("directory", "directory is a directory: name a file in it"),
        ("x" * 300, "the cassette cannot be written to .*: File name too long"),
        (
            "read-only/c.json",
            "the cassette cannot be written to .*read-only: (Permission denied|Read-only file system)",
        ),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused_before_the_first_call(
    tmp_path: Path, name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "read-only").mkdir(mode=0o555)
    if name.startswith("read-only") and os.access(tmp_path / "read-only", os.W_OK):  # for root nothing is
        monkeypatch.setattr(Path, "touch", refuse)
    client = Counting()
    for mode in ("rewrite", "once"):
        with pytest.raises(CassetteError, match=problem):
            with record(tmp_path / name, mode=mode, client=client) as service:
                service.runtime().get_recommendations(campaign_arn=POPULAR)
    assert client.calls == 0


def refuse(_: Path) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_looking_at_the_place_leaves_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("as it was")
    with suppress(CassetteError), record(tmp_path / "c.json", client=Counting()):
        assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    assert (tmp_path / "c.json").read_text() == "as it was"


def test_what_cannot_be_written_in_the_end_is_not_lost(tmp_path: Path) -> None:
    directory = tmp_path / "there"
    directory.mkdir()
    recording = record(directory / "c.json", client=Counting())
    recorder = recording.__enter__()
    recorder.runtime().get_recommendations(campaign_arn=POPULAR)
    directory.rmdir()
    with pytest.raises(CassetteError, match=r"cannot be written: .* recorder\.cassette\(\)\.save"):
        recording.__exit__(None, None, None)
    recorder.cassette().save(tmp_path / "c.json")
    assert len(Cassette.load(tmp_path / "c.json").exchanges) == 1


# Once.


def test_with_mode_once_it_is_recorded_if_it_is_not_there_and_replayed_after(tmp_path: Path, load: Load) -> None:
    path, seen = tmp_path / "c.json", []
    for client in (load(1).boto3_client(), Counting(), None):
        with record(path, mode="once", client=client) as service:
            seen.append(shown(traffic(service.runtime())))
    assert seen[0] == seen[1] == seen[2]
    assert isinstance(service, Cassette)
    assert service.unplayed == ()
    with record(path, mode="once") as service, pytest.raises(UnrecordedRequestError):
        service.runtime().get_recommendations(campaign_arn=POPULAR, num_results=1)


def test_with_mode_once_a_block_that_fails_is_recorded_the_next_time(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "c.json"
    with suppress(LookupError), record(path, mode="once", client=load(1).boto3_client()) as service:
        traffic(service.runtime())
        raise LookupError
    with record(path, mode="once", client=load(1).boto3_client()) as service:
        traffic(service.runtime())
    assert isinstance(service, Recorder)
    assert len(Cassette.load(path).exchanges) == 4


def test_with_mode_none_nothing_is_recorded(tmp_path: Path) -> None:
    client = Counting()
    with pytest.raises(CassetteError, match="Was it recorded"), record(tmp_path / "c.json", mode="none", client=client):
        pass
    with pytest.raises(ValidationError, match='"rewrite", "once" or "none"'), record("c.json", mode="all"):  # type: ignore[call-overload] - it is refused
        pass
    assert client.calls == 0


def test_arguments_that_do_not_go_together_are_refused(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(ValidationError, match="PersonalizeRuntime"), record(path, client=load(1).runtime()):
        pass
    with (
        pytest.raises(ValidationError, match="endpoint_url"),
        record(path, client=load(1).boto3_client(), endpoint_url="http://127.0.0.1:9"),
    ):
        pass
    with pytest.raises(ValidationError, match="retries"), record(path, config=Config(retries={"max_attempts": 1})):
        pass
    with pytest.raises(ConfigurationError, match="region"), record(path):
        pass


def test_an_endpoint_that_is_not_there_fails_as_without_a_recorder(tmp_path: Path, session: Any) -> None:
    nowhere = "http://127.0.0.1:9"
    with suppress(CassetteError), record(tmp_path / "c.json", session=session, endpoint_url=nowhere) as recorder:
        with pytest.raises(EndpointConnectionError):
            recorder.boto3_client().get_recommendations(campaignArn=POPULAR)
        assert recorder.cassette().exchanges == ()
