"""What botocore raises, in our terms: every code and status, every way in which no answer can come."""

from __future__ import annotations

import json
import ssl
import time
import traceback
from email.utils import formatdate
from typing import Any

import pytest
from botocore import exceptions as theirs
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalize_rt import (
    AccessDeniedError,
    ConfigurationError,
    InvalidInputError,
    PersonalizeError,
    PersonalizeRuntime,
    Promotion,
    Ranking,
    ResourceNotFoundError,
    ResponseError,
    RetryPolicy,
    ServerError,
    ServiceError,
    ThrottlingError,
    TransportError,
)
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
PROMOTING = "arn:aws:personalize:eu-west-1:123456789012:filter/spring"
ONCE = {"attempts": 1}


def failed(runtime: Any, kind: type[Exception] = PersonalizeError, **arguments: Any) -> Any:
    """The error of a call, after a look at what hangs on it."""
    with pytest.raises(kind) as caught:
        runtime.get_recommendations(**{"campaign_arn": ARN, **arguments})
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


# Errors of the service

BY_CODE = [
    ("InvalidInputException", 400, InvalidInputError),
    ("ResourceNotFoundException", 404, ResourceNotFoundError),
    ("AccessDeniedException", 403, AccessDeniedError),
    ("AccessDeniedException", 400, AccessDeniedError),
    ("ExpiredTokenException", 403, AccessDeniedError),
    ("IncompleteSignature", 403, AccessDeniedError),
    ("IncompleteSignature", 400, AccessDeniedError),
    ("InternalFailure", 500, ServerError),
    ("MalformedHttpRequestException", 400, InvalidInputError),
    ("NotAuthorized", 401, AccessDeniedError),
    ("NotAuthorized", 400, AccessDeniedError),
    ("OptInRequired", 403, AccessDeniedError),
    ("RequestAbortedException", 400, ServerError),
    ("RequestEntityTooLargeException", 413, InvalidInputError),
    ("RequestTimeoutException", 408, ServerError),
    ("ServiceUnavailable", 503, ServerError),
    ("ThrottlingException", 400, ThrottlingError),
    ("ThrottlingException", 429, ThrottlingError),
    ("UnknownOperationException", 404, ServiceError),
    ("UnrecognizedClientException", 403, AccessDeniedError),
    ("ValidationError", 400, InvalidInputError),
    ("ValidationException", 400, InvalidInputError),
    # Older lists, and what every AWS service may say.
    ("InvalidClientTokenId", 403, AccessDeniedError),
    ("InvalidSignatureException", 403, AccessDeniedError),
    ("SignatureDoesNotMatch", 403, AccessDeniedError),
    ("MissingAuthenticationToken", 403, AccessDeniedError),
    ("InvalidParameterCombination", 400, InvalidInputError),
    ("InvalidParameterValue", 400, InvalidInputError),
    ("MissingParameter", 400, InvalidInputError),
    ("MalformedQueryString", 404, InvalidInputError),
    ("TooManyRequestsException", 429, ThrottlingError),
    ("Throttling", 400, ThrottlingError),
    ("ThrottledException", 400, ThrottlingError),
    # Codes that nobody knows yet: the status counts.
    ("BrandNewException", 400, ServiceError),
    ("BrandNewException", 401, AccessDeniedError),
    ("BrandNewException", 403, AccessDeniedError),
    ("BrandNewException", 408, ServerError),
    ("BrandNewException", 413, InvalidInputError),
    ("BrandNewException", 429, ThrottlingError),
    ("BrandNewException", 500, ServerError),
    ("BrandNewException", 502, ServerError),
    ("BrandNewException", 503, ServerError),
    ("BrandNewException", 504, ServerError),
    ("ValidationOfSomethingNew", 400, InvalidInputError),
    ("MalformedSomethingNew", 400, InvalidInputError),
]


@pytest.mark.parametrize("way", ["direct", "through", "plain"])
@pytest.mark.parametrize(
    ("code", "ahead", "told"),
    [
        ("InvalidSignatureException", 3600.0, "This machine's clock is 60 minutes ahead of the service's: set it"),
        ("SignatureDoesNotMatch", -90_000.0, "This machine's clock is 25 hours behind the service's: set it"),
        ("RequestTimeTooSkewed", 600.0, "This machine's clock is 10 minutes ahead of the service's: set it"),
        ("InvalidSignatureException", 5.0, "Check credentials, clock, and the IAM permission of this operation"),
        ("InvalidSignatureException", None, "Check credentials, clock, and the IAM permission of this operation"),
        ("AccessDeniedException", 3600.0, "Check credentials, clock, and the IAM permission of this operation"),
    ],
)
def test_an_error_about_skew_says_by_how_much_the_clock_is_off(
    code: str, ahead: float | None, told: str, way: str, runtime: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "direct":
        monkeypatch.setenv("PERSONALIZE_RT_SEND", way)
    date = "no date" if ahead is None else formatdate(time.time() - ahead, usegmt=True)
    server.script(server.answer(403, b'{"message": "no"}', x_amzn_errortype=code, date=date))
    assert told in str(failed(runtime(retry=ONCE), AccessDeniedError))


@pytest.mark.parametrize(("code", "status", "kind"), BY_CODE)
def test_each_code_has_its_class(code: str, status: int, kind: type[ServiceError], runtime: Any, server: Any) -> None:
    server.script(server.failure(status, code, "what the service said"))
    error = failed(runtime(retry=ONCE))
    assert type(error) is kind
    assert (error.code, error.status_code, error.operation) == (code, status, "GetRecommendations")
    for part in (code, str(status), error.request_id, "what the service said", "GetRecommendations", "1 attempt"):
        assert part in str(error)
    assert error.is_retry_safe == (kind in (ThrottlingError, ServerError))
    assert isinstance(error, theirs.ClientError)


@pytest.mark.parametrize("code", ["InvalidAction", "InvalidQueryParameter", "MissingAction", "RequestExpired"])
def test_codes_of_older_lists_are_final(code: str, runtime: Any, server: Any) -> None:
    server.script(server.failure(400, code))
    assert not failed(runtime(), ServiceError).is_retry_safe
    assert server.count == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ServiceError),
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (404, ServiceError),
        (408, ServerError),
        (413, InvalidInputError),
        (429, ThrottlingError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b'{"message": null}', b"<html>Bad gateway</html>", b"oops"], ids=repr)
def test_without_a_code_the_status_counts(
    status: int, kind: type[ServiceError], body: bytes, runtime: Any, server: Any
) -> None:
    server.script(server.answer(status, body))
    error = failed(runtime(retry=ONCE), kind)
    assert error.status_code == status
    assert error.is_retry_safe == (kind in (ThrottlingError, ServerError))


@pytest.mark.direct
@pytest.mark.parametrize("status", [400, 503])
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"Service Unavailable"',
        b"null",
        b"5",
        b"true",
        b"\xff\xfe",
        b'{"__type": 5}',
        b'{"code": [1]}',
        b'{"message": {"a": [1]}}',
    ],
    ids=repr,
)
def test_an_error_in_no_form_of_aws_is_an_error_of_ours(status: int, body: bytes, runtime: Any, server: Any) -> None:
    # A proxy's own words, for example. With a status of 5xx, it is worth another attempt.
    server.script(server.answer(status, body))
    error = failed(runtime(retry=ONCE))
    assert error.is_retry_safe == (status == 503)


@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_response_and_operation_are_exactly_botocores(
    status: int, runtime: Any, plain_client: Any, server: Any
) -> None:
    server.always(server.failure(status, message="user u-17 is unknown", x_amz_retry_after="250", x_other="yes"))
    with pytest.raises(theirs.ClientError) as caught:
        plain_client().get_recommendations(campaignArn=ARN, userId="u-17")
    error = failed(runtime(retry=ONCE), ServiceError, user_id="u-17")
    assert error.response == caught.value.response
    assert error.operation_name == caught.value.operation_name
    assert error.request_id == caught.value.response["ResponseMetadata"]["RequestId"]
    assert error.retry_after == 0.25
    # Of a client of the caller's, too.
    error = failed(runtime(client=plain_client(), retry=ONCE), ServiceError, user_id="u-17")
    assert error.response == caught.value.response


def test_botocores_remark_about_retries_is_not_in_our_message(runtime: Any, server: Any) -> None:
    server.script(503)
    assert "max retries" not in str(failed(runtime(retry=ONCE)))


def test_advice_is_given_where_there_is_some(runtime: Any, server: Any) -> None:
    server.script(server.failure(429), server.failure(404), server.failure(403))
    once = runtime(retry=ONCE)
    assert "minProvisionedTPS" in str(failed(once, ThrottlingError))
    assert "ARN" in str(failed(once, ResourceNotFoundError))
    assert "permission" in str(failed(once, AccessDeniedError))


def test_missing_campaign_is_known_by_either_code(runtime: Any, server: Any) -> None:
    # service.md section 12, fact 1
    said = f"{ARN} does not exist or is not active yet."
    server.script(server.failure(400, "InvalidInputException", said), server.failure(404), server.failure(400))
    once = runtime(retry=ONCE)
    recorded = failed(once, InvalidInputError)
    assert recorded.no_such_resource
    assert str(recorded).endswith(f"{said} Check the ARN, its region and its account")
    assert failed(once, ResourceNotFoundError).no_such_resource
    assert not failed(once, InvalidInputError).no_such_resource


# Values of the request in the service's own words

VALUES = {
    "user_id": "ada@example.org",
    "context": {"DEVICE": "Commodore 64", "CITY": "Zürich"},
    "filter_arn": FILTER,
    "filter_values": {"GENRE": ["Film-Noir", "Comédie"], "YEAR": 1948, "STUDIO": "日本映画社"},
    "promotions": [Promotion("p", 5, filter_arn=FILTER, filter_values={"OWNER": "in-house", "PRICE": 19.25})],
}
HIDDEN = [
    "ada@example.org",
    "Commodore 64",
    "Zürich",
    "Film-Noir",
    "Comédie",
    "1948",
    "日本映画社",
    "in-house",
    "19.25",
    "Z\\u00fcrich",
    "\\u65e5\\u672c",
]


def echoes(request: Any) -> str:
    """A message that repeats the whole request, raw, as JSON in several ways, and in capitals."""
    members = request.members
    spelt = [
        request.body.decode(),
        json.dumps(members, ensure_ascii=False),
        str(members),
        json.dumps(json.dumps(members)),
    ]
    return " / ".join([*spelt, *map(str.upper, spelt)])


def assert_nothing_shows(error: BaseException, hidden: list[str]) -> None:
    shown = [str(error), repr(error), repr(error.args), "".join(traceback.format_exception_only(error))]
    shown.append("".join(traceback.format_exception(error)))
    for value in hidden:
        for text in shown[:4]:
            assert value.lower() not in text.lower()
        # The traceback shows lines of source, this test's included; what it adds to them is the error.
        assert value.lower() not in shown[4].lower().replace(__file__, "").split("personalizeerror")[-1].split("\n")[-2]


def test_no_value_of_the_request_shows_in_an_error(runtime: Any, server: Any) -> None:
    server.script(lambda request: server.failure(400, message=echoes(request)))
    error = failed(runtime(), InvalidInputError, **VALUES)
    assert "***" in str(error)
    assert_nothing_shows(error, HIDDEN)
    # What botocore would have given stays as it was.
    assert "ada@example.org" in error.response["Error"]["Message"]


@pytest.mark.parametrize("value", ["7", "u1", "bob", "ü", "-", "U 2", "日本", 'O"B', "x" * 256, "a\\b", "n\nl", "$^.*"])
def test_short_and_strange_values_do_not_show_either(value: str, runtime: Any, server: Any) -> None:
    def say(request: Any) -> Any:
        raw = json.dumps(value, ensure_ascii=False)
        return server.failure(400, message=f"user <{value}>, as JSON {json.dumps(value)} or {raw}.")

    server.script(say)
    error = failed(runtime(), InvalidInputError, user_id=value, context={"DEVICE": value})
    assert 'user <***>, as JSON "***" or "***".' in str(error)


def test_arns_of_the_request_stay_whole(runtime: Any, server: Any) -> None:
    said = f"no 1 of Unseen in {ARN}, {FILTER} or {PROMOTING}"
    server.script(lambda request: server.failure(400, message=said))
    promotion = Promotion("spring", 20, filter_arn=PROMOTING, filter_values={"TOPIC": "spring"})
    error = failed(
        runtime(),
        InvalidInputError,
        user_id="1",
        filter_arn=FILTER,
        filter_values={"GENRE": "unseen"},
        context={"PLACE": "movies"},
        promotions=[promotion],
    )
    assert f"no *** of *** in {ARN}, {FILTER} or {PROMOTING}" in str(error)


def test_values_of_a_ranking_are_hidden_too(runtime: Any, server: Any) -> None:
    server.script(lambda request: server.failure(400, message=echoes(request)))
    with pytest.raises(InvalidInputError) as caught:
        runtime().get_personalized_ranking(
            campaign_arn=ARN, user_id="ada@example.org", input_list=["tt1"], context={"CITY": "Zürich"}
        )
    assert_nothing_shows(caught.value, ["ada@example.org", "Zürich"])


def test_values_of_actions_are_hidden_too(runtime: Any, server: Any) -> None:
    server.script(lambda request: server.failure(400, message=echoes(request)))
    with pytest.raises(InvalidInputError) as caught:
        runtime().get_action_recommendations(
            campaign_arn=ARN, user_id="ada@example.org", filter_arn=FILTER, filter_values={"TYPE": "Film-Noir"}
        )
    assert_nothing_shows(caught.value, ["ada@example.org", "Film-Noir"])


# Answers that break the model

MALFORMED = [
    b"",
    b"{}",
    b"not json",
    b"<html></html>",
    b"[]",
    b'"text"',
    b"null",
    b"5",
    b"\xff\xfe",
    b'{"itemList": "text"}',
    b'{"itemList": 5}',
    b'{"itemList": {"itemId": "a"}}',
    b'{"itemList": [5]}',
    b'{"itemList": ["text"]}',
    b'{"itemList": [[]]}',
    b'{"itemList": [null]}',
    b'{"itemList": [{}]}',
    b'{"itemList": [{"itemId": 5}]}',
    b'{"itemList": [{"itemId": null}]}',
    b'{"itemList": [{"itemId": ["a"]}]}',
    b'{"itemList": [{"itemId": "a", "score": "high"}]}',
    b'{"itemList": [{"itemId": "a", "score": [1]}]}',
    b'{"itemList": [{"itemId": "a", "score": {"a": 1}}]}',
    b'{"itemList": [{"itemId": "a", "score": NaN}]}',
    b'{"itemList": [{"itemId": "a", "score": Infinity}]}',
    b'{"itemList": [{"itemId": "a", "promotionName": 5}]}',
    b'{"itemList": [{"itemId": "a", "metadata": "text"}]}',
    b'{"itemList": [{"itemId": "a", "metadata": ["a"]}]}',
    b'{"itemList": [{"itemId": "a", "metadata": {"title": ["a"]}}]}',
    b'{"itemList": [{"itemId": "a", "reason": 5}]}',
    b'{"itemList": [{"itemId": "a", "reason": [5]}]}',
    b'{"itemList": [], "recommendationId": 5}',
    b'{"itemList": [], "recommendationId": ["a"]}',
]


@pytest.mark.parametrize("body", MALFORMED, ids=repr)
def test_an_answer_that_breaks_the_model_is_a_response_error(body: bytes, runtime: Any, server: Any) -> None:
    server.script(server.answer(200, body))
    error = failed(runtime(), ResponseError)
    assert "high" not in str(error)
    assert server.count == 1


def test_null_and_unknown_members_on_the_wire_are_tolerated(runtime: Any, server: Any) -> None:
    row = {"itemId": "a", "score": None, "promotionName": None, "metadata": None, "reason": None, "elevenChars": None}
    server.script({"itemList": [row], "recommendationId": None, "brandNew": {"a": [1]}})
    answer = runtime().get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.scores, answer.recommendation_id) == (("a",), (None,), None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=5,
)
ROW = st.fixed_dictionaries(
    {"itemId": st.just("a") | JSON}, optional=dict.fromkeys(("score", "promotionName", "metadata", "reason"), JSON)
)
BODY = JSON | st.fixed_dictionaries(
    {"personalizedRanking": st.lists(ROW, max_size=2) | JSON},
    optional=dict.fromkeys(("recommendationId", "message", "__type", "code"), JSON),
)


@pytest.fixture(scope="module")
def script_of_one() -> Any:
    script: list[Any] = []
    client = in_process_client(lambda *_: script.pop())
    yield script, PersonalizeRuntime(client=client, retry=RetryPolicy(attempts=1))
    client.close()


@given(body=BODY.map(json.dumps).map(str.encode) | st.binary(max_size=8), status=st.sampled_from([200, 200, 400, 503]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_body_it_is_a_ranking_or_an_error_of_ours(script_of_one: Any, body: bytes, status: int) -> None:
    script, once = script_of_one
    script[:] = [(status, {"content-type": "application/json"}, body)]
    try:
        answer = once.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a"])
    except PersonalizeError:
        return
    assert status == 200
    assert isinstance(answer, Ranking)


# No answer


@pytest.mark.parametrize(
    ("endpoint", "phase", "said"),
    [
        ("http://personalize.invalid", "resolve", "personalize.invalid"),
        ("http://127.0.0.1:9", "connect", "127.0.0.1:9"),
    ],
)
def test_an_endpoint_that_cannot_be_reached(endpoint: str, phase: str, said: str, runtime: Any) -> None:
    error = failed(runtime(endpoint_url=endpoint, retry=ONCE), TransportError)
    assert (error.phase, error.attempts) == (phase, 1)
    assert said in str(error)
    assert isinstance(error, theirs.HTTPClientError)


def test_a_server_that_speaks_no_tls(runtime: Any, server: Any, fake_time: Any) -> None:
    error = failed(runtime(endpoint_url=server.url.replace("http:", "https:")), TransportError)
    assert (error.phase, error.attempts, fake_time.slept) == ("tls", 1, [])


def test_a_server_that_closes_without_an_answer(runtime: Any, server: Any) -> None:
    server.always("close")
    error = failed(runtime(retry={"attempts": 2}), TransportError, user_id="ada@example.org")
    assert (error.phase, error.attempts, server.count) == ("read", 2, 2)
    assert "ada@example.org" not in str(error) + repr(error) + repr(vars(error))


def test_a_server_that_never_answers(runtime: Any, server: Any) -> None:
    server.always("hang")
    error = failed(runtime(config=Config(read_timeout=0.05), retry={"attempts": 2}), TransportError)
    assert (error.phase, error.attempts, server.count) == ("read", 2, 2)


@pytest.mark.direct
def test_an_answer_that_breaks_off(runtime: Any, server: Any) -> None:
    server.always(server.answer(200, b'{"itemList": [', promised=100))
    error = failed(runtime(retry={"attempts": 2}), TransportError)
    assert (error.phase, error.attempts, server.count) == ("read", 2, 2)


@pytest.mark.parametrize(
    ("raised", "phase"),
    [
        (theirs.ConnectTimeoutError(endpoint_url="https://e"), "connect"),
        (theirs.ProxyConnectionError(proxy_url="http://p"), "connect"),
        (theirs.EndpointConnectionError(endpoint_url="https://e"), "connect"),
        (theirs.SSLError(endpoint_url="https://e", error=ssl.SSLCertVerificationError("bad")), "tls"),
        (theirs.ReadTimeoutError(endpoint_url="https://e"), "read"),
        (theirs.ConnectionClosedError(endpoint_url="https://e"), "read"),
        (theirs.HTTPClientError(error=BrokenPipeError(32, "Broken pipe")), "send"),
        (theirs.HTTPClientError(error=OSError("anything")), "read"),
        (theirs.IncompleteReadError(actual_bytes=5, expected_bytes=9), "read"),
        (theirs.ResponseStreamingError(error="broken"), "read"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_each_way_to_fail_has_its_phase(raised: Exception, phase: str, plain_client: Any, runtime: Any) -> None:
    def fail(**_: Any) -> None:
        raise raised

    client = plain_client()
    client.meta.events.register("before-send.personalize-runtime", fail)
    error = failed(runtime(client=client, retry=ONCE), TransportError)
    assert (error.phase, error.attempts) == (phase, 1)


# What is not a failure of the call


@pytest.mark.parametrize("raised", [LookupError("mine"), AssertionError("mine"), RuntimeError("mine"), OSError("mine")])
def test_errors_of_others_pass_untouched(raised: Exception, plain_client: Any, runtime: Any, fake_time: Any) -> None:
    def fail(**_: Any) -> None:
        raise raised

    client = plain_client()
    client.meta.events.register("provide-client-params.personalize-runtime", fail)
    with pytest.raises(type(raised)) as caught:
        runtime(client=client).get_recommendations(campaign_arn=ARN)
    assert caught.value is raised
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert fake_time.slept == []


@pytest.mark.parametrize(
    "raised",
    [theirs.NoCredentialsError(), theirs.CredentialRetrievalError(provider="p", error_msg="e"), theirs.NoRegionError()],
    ids=lambda error: type(error).__name__,
)
def test_what_only_configuration_can_mend_is_a_configuration_error(
    raised: Exception, plain_client: Any, runtime: Any, fake_time: Any
) -> None:
    def fail(**_: Any) -> None:
        raise raised

    client = plain_client()
    client.meta.events.register("before-sign.personalize-runtime", fail)
    error = failed(runtime(client=client), ConfigurationError)
    assert isinstance(error, theirs.BotoCoreError)
    assert not error.is_retry_safe
    assert fake_time.slept == []
