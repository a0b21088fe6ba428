"""The wire: routes, bytes, headers, errors (service.md section 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.local import HttpRequest
from personalize_rt.local.engine import ReplyRow
from personalize_rt.local.wire import write_reply
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS, GET_RECOMMENDATIONS

RECOMMENDATION_ID = re.compile(r"RID-[0-9a-f]{2}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-CID-[0-9a-f]{6}")
INVALID = (400, "InvalidInputException")
PATHS = ["/recommendations", "/personalize-ranking", "/action-recommendations"]


def test_answer_is_compact_json_with_the_headers_of_the_service(service: Callable[..., Any]) -> None:
    small = service()
    members = {"campaignArn": small.arn("ranking"), "userId": "ann", "inputList": ["a", "nobody-knows"]}
    response = small.post("/personalize-ranking", members)
    reply = json.loads(response.body)

    assert response.status == 200
    assert response.body == json.dumps(reply, separators=(",", ":")).encode()
    assert response.body.startswith(
        b'{"personalizedRanking":[{"itemId":"a","score":1.0,"promotionName":null,"metadata":null,"reason":null},'
        b'{"itemId":"nobody-knows","score":null,"promotionName":null,"metadata":null,"reason":null}],'
    )
    assert list(reply) == ["personalizedRanking", "recommendationId"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers["date"] == "Tue, 26 May 2020 22:02:55 GMT"
    assert response.headers["content-length"] == str(len(response.body))
    assert str(UUID(response.headers["x-amzn-requestid"])) == response.headers["x-amzn-requestid"]
    assert "x-amzn-errortype" not in response.headers


ROWS = st.builds(
    ReplyRow,
    id=st.text(max_size=9),
    score=st.none() | st.floats(0, 1),
    reason=st.sampled_from([(), ("Popular item",)]),
    promotion=st.none() | st.just("sale"),
    metadata=st.none() | st.dictionaries(st.sampled_from(["title", "year"]), st.text(max_size=9)),
)


@given(st.lists(ROWS, max_size=5))
def test_reply_is_what_json_would_write(rows: list[ReplyRow]) -> None:
    def member(row: ReplyRow) -> dict[str, Any]:
        extras = {"promotionName": row.promotion, "metadata": row.metadata, "reason": row.reason or None}
        return {"itemId": row.id, "score": row.score, **extras}

    reply = {"itemList": [json.loads(json.dumps(member(row))) for row in rows], "recommendationId": "RID-é"}
    written = write_reply(GET_RECOMMENDATIONS, rows, "RID-é")
    # Small numbers are written as Java does; json reads them alike.
    assert json.loads(written) == reply
    assert _without_scores(written) == _without_scores(json.dumps(reply, separators=(",", ":")))


def _without_scores(text: str) -> str:
    return re.sub(r'"score":[0-9.eE-]+', '"score":0', text)


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0009841, "9.841E-4"),
        (0.0010001, "0.0010001"),
        (0.001, "0.001"),
        (0.000999, "9.99E-4"),
        (0.0005, "5.0E-4"),
        (0.0000981, "9.81E-5"),
        (0.00002, "2.0E-5"),
        (1e-07, "1.0E-7"),
        (0.0, "0.0"),
        (1.0, "1.0"),
        (0.067667, "0.067667"),
    ],
)
def test_scores_are_written_as_java_writes_doubles(score: float, text: str) -> None:
    # service.md section 12, fact 6: an exponent below 1e-3
    assert f'"score":{text},' in write_reply(GET_RECOMMENDATIONS, [ReplyRow("a", score)], "RID")


def test_reply_of_actions_has_the_members_of_actions() -> None:
    written = write_reply(GET_ACTION_RECOMMENDATIONS, [ReplyRow("a", 0.5)], "RID")
    assert written == '{"actionList":[{"actionId":"a","score":0.5}],"recommendationId":"RID"}'


def test_recommendation_id_has_the_form_and_length_of_the_service(service: Callable[..., Any]) -> None:
    small = service()
    members = {"campaignArn": small.arn("popular")}
    one, other = (small.ok("/recommendations", members)["recommendationId"] for _ in range(2))
    elsewhere = small.ok("/recommendations", {"campaignArn": small.arn("similar"), "itemId": "a"})["recommendationId"]

    assert RECOMMENDATION_ID.fullmatch(one)
    assert len(one) == 40
    assert one != other
    assert one[-6:] == other[-6:] != elsewhere[-6:]


def test_ids_follow_the_seed(service: Callable[..., Any]) -> None:
    def bodies(seed: int) -> list[tuple[bytes, str]]:
        small = service(seed=seed)
        responses = [small.post("/recommendations", {"campaignArn": small.arn("popular")}) for _ in range(3)]
        return [(response.body, response.headers["x-amzn-requestid"]) for response in responses]

    assert bodies(1) == bodies(1) != bodies(2)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/recommendations/"),
        ("POST", "/Recommendations"),
        ("POST", "/event"),
        ("GET", "/recommendations"),
        ("PUT", "/personalize-ranking"),
        ("post", "/recommendations"),
    ],
)
def test_other_paths_and_methods_are_unknown_operations(service: Callable[..., Any], method: str, path: str) -> None:
    response = service().local.handle(HttpRequest(method, path, {}, b"{}"))

    assert response.status == 404
    assert response.headers["x-amzn-errortype"] == "UnknownOperationException"
    assert "POST to /recommendations, " in json.loads(response.body)["message"]


def test_query_string_is_not_part_of_the_path(service: Callable[..., Any]) -> None:
    small = service()
    assert small.ok("/recommendations?x=1", {"campaignArn": small.arn("popular")})["itemList"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"nonsense", b"[]", b'"text"', b"12", b"null", b'{"numResults": NaN}', b"[" * 100_000),
        *(b"\xff\xfe\xfa", "{}".encode("utf-16"), b"\xef\xbb\xbf{}", b'{"userId": "\xed\xa0\x80"}'),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_body_that_is_not_a_json_object_is_malformed(service: Callable[..., Any], body: bytes) -> None:
    small = service()
    for path in PATHS:
        status, code, message = small.error(path, body)
        assert (status, code) == (400, "MalformedHttpRequestException")
        assert "JSON object" in message


@pytest.mark.parametrize(("path", "body"), [(path, body) for path in PATHS for body in (b"", b"{}")])
def test_empty_body_lacks_its_members(service: Callable[..., Any], path: str, body: bytes) -> None:
    status, code, message = service().error(path, body)

    assert (status, code) == INVALID
    assert "campaignArn" in message


@pytest.mark.parametrize(
    ("path", "campaign", "members", "named"),
    [
        ("/recommendations", "for-you", {"userId": 7}, "userId"),
        ("/recommendations", "for-you", {"userId": "x" * 257}, "userId"),
        ("/recommendations", "for-you", {"userId": "u", "numResults": 501}, "numResults"),
        ("/recommendations", "for-you", {"userId": "u", "numResults": -1}, "numResults"),
        ("/recommendations", "for-you", {"userId": "u", "numResults": "5"}, "numResults"),
        ("/recommendations", "for-you", {"userId": "u", "numResults": True}, "numResults"),
        ("/recommendations", "for-you", {"userId": "u", "numResults": 5.0}, "numResults"),
        ("/recommendations", "for-you", {"userId": "u", "context": {"DEVICE": 1}}, "context"),
        ("/recommendations", "for-you", {"userId": "u", "context": {"DE VICE": "x"}}, "context"),
        ("/recommendations", "for-you", {"userId": "u", "context": []}, "context"),
        ("/recommendations", "for-you", {"userId": "u", "inputList": ["a"]}, "inputList"),
        ("/recommendations", "for-you", {"userId": "u", "newMember": 1}, "newMember"),
        ("/personalize-ranking", "ranking", {"userId": "u", "inputList": ["a"] * 501}, "inputList"),
        ("/personalize-ranking", "ranking", {"userId": "u", "inputList": []}, "inputList"),
        ("/personalize-ranking", "ranking", {"userId": "u", "inputList": "a"}, "inputList"),
        ("/personalize-ranking", "ranking", {"userId": "u", "inputList": [1]}, "inputList[0]"),
        ("/personalize-ranking", "ranking", {"userId": "u", "inputList": [None]}, "inputList[0]"),
        ("/personalize-ranking", "ranking", {"userId": "u"}, "inputList"),
        ("/personalize-ranking", "ranking", {"inputList": ["a"]}, "userId"),
        ("/personalize-ranking", "ranking", {"userId": None, "inputList": ["a"]}, "userId"),
        ("/personalize-ranking", "ranking", {"userId": "", "inputList": ["a"]}, "userId"),
        ("/personalize-ranking", "ranking", {"userId": "u", "inputList": ["a"], "numResults": 1}, "numResults"),
    ],
)
def test_what_breaks_the_model_is_invalid_input_that_names_the_member(
    service: Callable[..., Any], path: str, campaign: str, members: dict[str, Any], named: str
) -> None:
    small = service()
    status, code, message = small.error(path, {"campaignArn": small.arn(campaign), **members})

    assert (status, code) == INVALID
    assert named in message
    assert not OF_PYTHON.search(message)


# Clients in other languages do not know these.
OF_PYTHON = re.compile(r"\b(str|int|float|bool|dict|tuple|None|NoneType|True|False|Decimal|datetime)\b")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"numResults": "25"}, "numResults is a string of digits: send the number itself, without quotes"),
        ({"numResults": "many"}, "numResults is a string of 4 characters, not a whole number"),
        ({"numResults": 5.5}, "numResults is a number, not a whole number"),
        ({"numResults": True}, "numResults is a boolean, not a whole number"),
        ({"userId": 7}, "userId is a number, not a string"),
        ({"userId": ["a"]}, "userId is an array of 1 item, not a string"),
        ({"context": []}, "context is an array of 0 items, not an object"),
        ({"context": {"DEVICE": None}}, "context['DEVICE'] is null, not a string"),
        ({"userId": {"a": 1, "b": 2}}, "userId is an object of 2 members, not a string"),
    ],
)
def test_messages_are_in_the_words_of_json(service: Callable[..., Any], members: dict[str, Any], message: str) -> None:
    small = service()
    wanted = {"campaignArn": small.arn("for-you"), "userId": "u", **members}
    assert small.error("/recommendations", wanted) == (*INVALID, message)


@pytest.mark.parametrize("value", ["Comedy", "7", '"a",7', '"a', "", "7,8"])
@pytest.mark.parametrize("filter", ["of-genre", "of-year"])
def test_messages_about_filter_values_are_in_no_language_of_programs(
    service: Callable[..., Any], small_files: dict[str, str], filter: str, value: str
) -> None:
    settings = (
        "[filters]\nof-genre = 'INCLUDE ItemID WHERE Items.GENRES IN ($X)'\n"
        "of-year = 'INCLUDE ItemID WHERE Items.YEAR < $X'\n"
    )
    small = service({**small_files, "personalize.toml": small_files["personalize.toml"] + settings})
    wanted = {"campaignArn": small.arn("popular"), "filterArn": small.local.filter_arn(filter)}
    response = small.post("/recommendations", {**wanted, "filterValues": {"X": value}})
    assert response.status in (200, 400)
    assert not OF_PYTHON.search(json.loads(response.body).get("message", ""))


def test_null_members_count_as_absent(service: Callable[..., Any]) -> None:
    small = service()
    nulls = dict.fromkeys(
        ["recommenderArn", "userId", "itemId", "numResults", "context", "filterArn", "filterValues", "promotions"]
    )
    assert small.recommend("popular", **nulls) == small.recommend("popular")


@pytest.mark.parametrize("arn", ["", "popular", "arn:aws:s3:::bucket", "arn:aws:personalize:eu-west-1:0:"])
def test_what_is_not_an_arn_is_invalid_input(service: Callable[..., Any], arn: str) -> None:
    status, code, message = service().error("/recommendations", {"campaignArn": arn})

    assert (status, code) == INVALID
    assert "campaignArn" in message


@pytest.mark.parametrize("member", ["campaignArn", "recommenderArn"])
@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:personalize:eu-west-1:000000000000:campaign/nobody",
        "arn:aws:personalize:eu-west-1:000000000000:recommender/popular",
        "arn:aws:personalize:us-east-1:000000000000:campaign/popular",
        "arn:aws:personalize:eu-west-1:111111111111:campaign/popular",
    ],
)
def test_unknown_arn_is_invalid_input(service: Callable[..., Any], member: str, arn: str) -> None:
    # service.md section 12, fact 1
    assert service().error("/recommendations", {member: arn}) == (
        400,
        "InvalidInputException",
        f"{arn} does not exist or is not active yet.",
    )


def test_campaign_given_as_recommender_does_not_exist(service: Callable[..., Any]) -> None:
    small = service()
    status, code, message = small.error("/recommendations", {"recommenderArn": small.arn("popular")})
    assert (status, code) == (400, "InvalidInputException")
    assert message.endswith("does not exist or is not active yet.")


def test_campaign_and_recommender_together_are_invalid_input(service: Callable[..., Any]) -> None:
    small = service()
    arn = small.arn("popular")
    status, code, message = small.error("/recommendations", {"campaignArn": arn, "recommenderArn": arn})

    assert (status, code) == INVALID
    assert "exactly one" in message


@pytest.mark.parametrize(
    ("path", "campaign", "members"),
    [
        ("/recommendations", "ranking", {"userId": "ann"}),
        ("/personalize-ranking", "for-you", {"userId": "ann", "inputList": ["a"]}),
        ("/action-recommendations", "popular", {"userId": "ann"}),
    ],
)
def test_operation_that_the_recipe_does_not_answer_is_invalid_input(
    service: Callable[..., Any], path: str, campaign: str, members: dict[str, Any]
) -> None:
    small = service()
    status, code, message = small.error(path, {"campaignArn": small.arn(campaign), **members})

    assert (status, code) == INVALID
    assert "answers Get" in message


FILTER = "arn:aws:personalize:eu-west-1:000000000000:filter/f"


def test_no_error_shows_a_personal_value(service: Callable[..., Any]) -> None:
    small = service()
    secret = "bob-4711"
    arn = small.arn("for-you")
    wrong = [
        {"campaignArn": arn, "userId": secret, "filterArn": FILTER, "filterValues": {"A": secret}},
        {"campaignArn": arn, "userId": secret * 100},
        {"campaignArn": arn, "userId": secret, "context": {"A": secret * 1000}},
        {"campaignArn": arn, "userId": [secret]},
        {"campaignArn": small.arn("similar"), "userId": secret},
        {"campaignArn": arn + "x", "userId": secret},
    ]
    for members in wrong:
        assert secret not in small.error("/recommendations", members)[2]
    assert secret not in repr(HttpRequest("POST", "/", {"authorization": secret}, secret.encode()))


def test_many_threads_get_the_same_answers_and_different_ids(sample: Any) -> None:
    users = [event.user_id for event in list(sample.local.interactions)[::400]]

    def ask(user: str) -> tuple[Any, str, str]:
        members = {"campaignArn": sample.arn("movies-for-you"), "userId": user}
        response = sample.post("/recommendations", members)
        reply = json.loads(response.body)
        return reply["itemList"], reply["recommendationId"], response.headers["x-amzn-requestid"]

    alone = [ask(user) for user in users]
    fresh = type(sample)(type(sample.local).sample())
    sample = fresh  # nothing learned yet: the threads race for it
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(ask, users))

    assert [rows for rows, _, _ in together] == [rows for rows, _, _ in alone]
    assert len({id for _, id, _ in together}) == len({id for _, _, id in together}) == len(users)
