"""What we rely on beyond botocore's documented interface. A failure here means: botocore changed, look at transport."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from socket import gaierror
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore import exceptions as theirs
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.stub import Stubber

from personalize_rt.transport.clients import own_session

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
SENT = "before-send.personalize-runtime"


@pytest.fixture
def no_sleep(monkeypatch: Any) -> list[float]:
    """Botocore sleeps between its own attempts; here it only says for how long."""
    import botocore.endpoint

    slept: list[float] = []
    monkeypatch.setattr(
        botocore.endpoint, "time", SimpleNamespace(sleep=slept.append, time=botocore.endpoint.time.time)
    )
    return slept


@pytest.fixture
def client_of(server: Any) -> Iterator[Callable[..., Any]]:
    """Makes clients of a new session, which reads the environment as it is."""
    clients = []

    def make(**options: Any) -> Any:
        session = boto3.Session(region_name="eu-west-1", aws_access_key_id="t", aws_secret_access_key="t")
        clients.append(session.client("personalize-runtime", endpoint_url=server.url, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def requests_of_a_failing_call(client: Any, server: Any) -> int:
    server.reset()
    server.always(503)
    with pytest.raises(theirs.ClientError):
        client.get_recommendations(campaignArn=ARN)
    return int(server.count)


# client.meta.config.retries


@pytest.mark.parametrize(("mode", "default"), [("legacy", 5), ("standard", 3), ("adaptive", 3)])
def test_without_a_number_the_default_of_the_mode_counts(
    mode: str, default: int, client_of: Any, server: Any, no_sleep: list[float]
) -> None:
    client = client_of(config=Config(retries={"mode": mode}))
    assert client.meta.config.retries == {"mode": mode}
    assert requests_of_a_failing_call(client, server) == default
    assert len(no_sleep) == default - 1


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_retries_of_the_environment_are_in_the_settings(
    mode: str, client_of: Any, server: Any, no_sleep: list[float], monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    client = client_of()
    assert client.meta.config.retries == {"mode": mode, "total_max_attempts": 2}
    assert requests_of_a_failing_call(client, server) == 2


def test_retries_of_the_profile_are_in_the_settings(client_of: Any, monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "config").write_text("[default]\nretry_mode = adaptive\nmax_attempts = 4\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert client_of().meta.config.retries == {"mode": "adaptive", "total_max_attempts": 4}


def test_max_attempts_of_a_config_counts_retries_and_becomes_a_total(
    client_of: Any, server: Any, no_sleep: list[float]
) -> None:
    client = client_of(config=Config(retries={"max_attempts": 0, "mode": "legacy"}))
    assert client.meta.config.retries["total_max_attempts"] == 1
    assert requests_of_a_failing_call(client, server) == 1
    assert no_sleep == []


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_total_of_one_and_a_mode_in_the_config_win_over_the_environment(
    mode: str, client_of: Any, server: Any, no_sleep: list[float], monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    client = client_of(config=Config(retries={"total_max_attempts": 1, "mode": "standard"}))
    assert client.meta.config.retries == {"total_max_attempts": 1, "mode": "standard"}
    assert requests_of_a_failing_call(client, server) == 1
    assert no_sleep == []


# before-send


def answer(status: int) -> Callable[..., Any]:
    class Body(io.BytesIO):
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield self.read()

    return lambda request, **_: AWSResponse(request.url, status, {"x-amzn-requestid": "r-1"}, Body(b'{"itemList": []}'))


def test_data_files_are_read_by_the_file_loader_of_the_session_s_loader(monkeypatch: Any) -> None:
    monkeypatch.setattr(botocore.session, "create_loader", botocore.loaders.create_loader)  # not the one of all tests
    own, general = own_session("botocore.session"), botocore.session.get_session()
    loader = own.get_component("data_loader")
    read: list[str] = []
    load = type(loader.file_loader)._load_file

    def see(self: Any, full_path: str, open_method: Any) -> Any:
        found = load(self, full_path, open_method)
        if found is not None:
            read.append(full_path)
        return found

    monkeypatch.setattr(type(loader.file_loader), "_load_file", see)
    for name in ("endpoints", "partitions", "personalize-runtime/2018-05-22/service-2"):
        ours, theirs = loader.load_data(name), general.get_component("data_loader").load_data(name)
        assert type(ours) is dict
        assert json.dumps(ours) == json.dumps(theirs)  # the order too
    assert len(read) == 3


def test_without_a_file_loader_files_are_read_as_ever(caplog: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(botocore.session, "create_loader", botocore.loaders.create_loader)
    monkeypatch.delattr(botocore.loaders.JSONFileLoader, "_load_file")
    with caplog.at_level(logging.DEBUG, "personalize_rt"):
        session = own_session("botocore.session")
    assert type(session.get_component("data_loader").file_loader) is botocore.loaders.JSONFileLoader
    assert "_load_file" in caplog.text


def test_a_handler_that_returns_a_response_answers_instead_of_the_network(client_of: Any, server: Any) -> None:
    client = client_of()
    client.meta.events.register(SENT, answer(200))
    reply = client.get_recommendations(campaignArn=ARN)
    assert reply["itemList"] == []
    assert reply["ResponseMetadata"]["RequestId"] == "r-1"
    assert server.count == 0


def test_the_handler_that_is_first_wins(client_of: Any) -> None:
    client = client_of()
    client.meta.events.register(SENT, answer(418))
    client.meta.events.register_last(SENT, answer(419))
    client.meta.events.register_first(SENT, answer(200))
    assert client.get_recommendations(campaignArn=ARN)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_the_request_of_the_event_is_signed_and_serialised(client_of: Any) -> None:
    client = client_of()
    seen: list[Any] = []
    client.meta.events.register(SENT, lambda request, **_: seen.append(request))
    client.get_recommendations(campaignArn=ARN, userId="ü")
    (request,) = seen
    assert (request.method, request.url.rsplit("/", 1)[1]) == ("POST", "recommendations")
    assert request.body == b'{"campaignArn": "%s", "userId": "\\u00fc"}' % ARN.encode()
    assert b"/personalize/aws4_request" in request.headers["Authorization"]


# The error behind an error


def test_the_error_behind_a_connection_error_is_kept(client_of: Any) -> None:
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    session = boto3.Session(region_name="eu-west-1", aws_access_key_id="t", aws_secret_access_key="t")
    nowhere = session.client("personalize-runtime", endpoint_url="http://personalize.invalid", config=once)
    with pytest.raises(theirs.EndpointConnectionError) as caught:
        nowhere.get_recommendations(campaignArn=ARN)
    behind = caught.value.kwargs["error"]
    assert isinstance(behind, gaierror) or type(behind).__name__ == "NameResolutionError"
    assert caught.value.kwargs["endpoint_url"].startswith("http://personalize.invalid")
    closed = session.client("personalize-runtime", endpoint_url="http://127.0.0.1:9", config=once)
    with pytest.raises(theirs.EndpointConnectionError) as caught:
        closed.get_recommendations(campaignArn=ARN)
    assert type(caught.value.kwargs["error"]).__name__ == "NewConnectionError"


def test_an_error_keeps_what_it_was_made_with() -> None:
    behind = BrokenPipeError(32, "Broken pipe")
    assert theirs.HTTPClientError(error=behind).kwargs["error"] is behind


def test_a_connection_that_closes_and_one_that_hangs_have_classes_of_their_own(plain_client: Any, server: Any) -> None:
    server.script("close", "hang")
    client = plain_client(read_timeout=0.3)
    with pytest.raises(theirs.ConnectionClosedError) as closed:
        client.get_recommendations(campaignArn=ARN)
    with pytest.raises(theirs.ReadTimeoutError) as hung:
        client.get_recommendations(campaignArn=ARN)
    assert isinstance(closed.value, theirs.HTTPClientError)
    assert isinstance(hung.value, theirs.HTTPClientError)
    assert hung.value.kwargs["endpoint_url"].startswith(server.url)


# ResponseMetadata


def test_metadata_of_a_reply(plain_client: Any, server: Any) -> None:
    head = plain_client().get_recommendations(campaignArn=ARN)["ResponseMetadata"]
    assert (head["HTTPStatusCode"], head["RetryAttempts"]) == (200, 0)
    assert head["RequestId"] == "fd2ea40f-11f5-461c-b678-6a6a08bdb416"
    assert head["HTTPHeaders"]["content-type"] == "application/json"


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_metadata_of_an_error_and_of_a_reply_after_retries(
    mode: str, plain_client: Any, server: Any, no_sleep: list[float]
) -> None:
    client = plain_client(retries={"total_max_attempts": 3, "mode": mode})
    server.script(503, 503)
    assert client.get_recommendations(campaignArn=ARN)["ResponseMetadata"]["RetryAttempts"] == 2
    server.script(*[server.failure(503, Retry_After="7", X_Amz_Retry_After="70")] * 3)
    with pytest.raises(theirs.ClientError) as caught:
        client.get_recommendations(campaignArn=ARN)
    head = caught.value.response["ResponseMetadata"]
    assert (head["HTTPStatusCode"], head["RetryAttempts"]) == (503, 2)
    assert head["RequestId"] == "fd2ea40f-11f5-461c-b678-6a6a08bdb416"
    assert (head["HTTPHeaders"]["retry-after"], head["HTTPHeaders"]["x-amz-retry-after"]) == ("7", "70")


def test_the_code_of_an_error_without_one_is_its_status(plain_client: Any, server: Any) -> None:
    server.script(server.answer(500, b"{}"))
    with pytest.raises(theirs.ClientError) as caught:
        plain_client().get_recommendations(campaignArn=ARN)
    assert caught.value.response["Error"] == {"Code": "500", "Message": ""}


# Credentials


def test_a_response_parser_keeps_nothing_of_what_it_parsed(client_of: Any) -> None:
    client = client_of()
    parser = client._endpoint._response_parser_factory.create_parser("rest-json")
    shape = client.meta.service_model.operation_model("GetRecommendations").output_shape
    before = dict(vars(parser))
    for status, body in ((200, b""), (200, b'{"itemList": [{"itemId": "a"}]}'), (400, b'{"message": "m"}')):
        parser.parse({"status_code": status, "headers": {}, "body": body}, shape)
    assert vars(parser) == before


def test_a_client_says_what_it_signs_with(client_of: Any) -> None:
    assert client_of()._get_credentials().get_frozen_credentials().access_key == "t"


def test_a_client_signs_with_what_its_signer_is_given(client_of: Any, server: Any) -> None:
    client = client_of()
    assert client._get_credentials() is client._request_signer._credentials
    client._request_signer._credentials = SimpleNamespace(get_frozen_credentials=lambda: Credentials("other", "key"))
    client.get_recommendations(campaignArn=ARN)
    assert "Credential=other/" in server.received[0].headers["authorization"]


def test_credentials_that_expire_say_when_and_what_they_are() -> None:
    due = datetime.now(UTC) + timedelta(minutes=12)  # refreshed from 15 minutes before, insisted on from 10
    credentials = RefreshableCredentials("a", "s", "t", due, lambda: None, "assume-role")
    assert credentials.refresh_needed()
    assert not credentials.refresh_needed(credentials._mandatory_refresh_timeout)
    assert credentials._frozen_credentials.access_key == "a"
    assert credentials.method == "assume-role"


def test_a_traceback_leads_through_the_provider_and_the_client_that_failed(giver: Any, credentials_of: Any) -> None:
    giver.repeated = ("AccessDenied", 403, "")
    credentials_of("assume-role")
    with pytest.raises(theirs.ClientError) as caught:
        botocore.session.get_session().get_credentials().get_frozen_credentials()
    frames = [entry.frame.raw for entry in caught.traceback]
    of_credentials = [frame for frame in frames if frame.f_globals["__name__"] == "botocore.credentials"]
    assert any(getattr(frame.f_locals.get("self"), "method", None) == "assume-role" for frame in of_credentials)
    (asking,) = (frame.f_locals for frame in frames if frame.f_code.co_name == "_make_api_call")
    assert (asking["self"].meta.service_model.service_name, asking["operation_name"]) == ("sts", "AssumeRole")


def test_a_session_says_where_the_metadata_service_is(monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    provider = botocore.session.get_session().get_component("credential_provider").get_provider("iam-role")
    fetcher = provider._role_fetcher
    assert (fetcher.get_base_url(), fetcher._timeout, fetcher._disabled) == ("http://127.0.0.1:9", 1, True)


def test_a_client_without_credentials_says_so(server: Any, monkeypatch: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    client = boto3.Session(region_name="eu-west-1").client("personalize-runtime", endpoint_url=server.url)
    assert client._get_credentials() is None
    unsigned = Config(signature_version=UNSIGNED)
    client = boto3.Session(region_name="eu-west-1").client("personalize-runtime", config=unsigned)
    assert client.meta.config.signature_version is UNSIGNED


# Sessions, settings, doubles


def test_boto3_keeps_its_default_session_in_a_global() -> None:
    assert boto3.DEFAULT_SESSION is None
    boto3.setup_default_session(region_name="eu-west-1")
    assert boto3.DEFAULT_SESSION.region_name == "eu-west-1"


def test_what_is_merged_into_a_config_wins() -> None:
    merged = Config(read_timeout=1, connect_timeout=1).merge(Config(read_timeout=7))
    assert (merged.read_timeout, merged.connect_timeout) == (7, 1)


def test_a_config_without_retries_has_none() -> None:
    assert Config(read_timeout=7).retries is None


def test_complaints_of_a_stubber_have_a_class_of_their_own(plain_client: Any) -> None:
    client = plain_client()
    with Stubber(client) as stub, pytest.raises(theirs.StubResponseError):
        client.get_recommendations(campaignArn=ARN)
    stub.add_response("get_recommendations", {"itemList": []}, {"campaignArn": "another"})
    with stub, pytest.raises(theirs.StubResponseError):
        client.get_recommendations(campaignArn=ARN)
    assert issubclass(theirs.StubResponseError, theirs.BotoCoreError)


def test_clients_can_be_closed(client_of: Any, server: Any) -> None:
    client = client_of()
    client.get_recommendations(campaignArn=ARN)
    client.close()
