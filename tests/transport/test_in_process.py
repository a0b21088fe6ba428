"""The in-process door: a real boto3 client whose answers come from a function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from personalize_rt import PersonalizeRuntime, ThrottlingError
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
REPLY = json.dumps({"itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"}).encode()


def well(method: str, path: str, headers: Any, body: bytes) -> Any:
    return 200, {"content-type": "application/json", "x-amzn-requestid": "r-1"}, REPLY


def test_the_function_is_given_what_would_be_sent() -> None:
    given: list[Any] = []
    client = in_process_client(lambda *request: (given.append(request), well(*request))[1], region_name="us-east-2")
    reply = client.get_recommendations(campaignArn=ARN, userId="ü")
    ((method, path, headers, body),) = given
    assert (method, path) == ("POST", "/recommendations")
    assert json.loads(body) == {"campaignArn": ARN, "userId": "ü"}
    assert type(body) is bytes
    assert {type(value) for value in headers.values()} == {str}
    assert "/us-east-2/personalize/aws4_request" in headers["Authorization"]
    assert headers["Content-Type"] == "application/json"
    assert reply["itemList"] == [{"itemId": "i1"}]
    assert reply["ResponseMetadata"]["RequestId"] == "r-1"
    client.close()


def test_errors_are_boto3s_own_typed_exceptions() -> None:
    failure = {"x-amzn-errortype": "ResourceNotFoundException:http://internal.amazon.com/coral/"}
    client = in_process_client(lambda *_: (404, failure, b'{"message": "no such campaign"}'))
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="no such campaign"):
        client.get_recommendations(campaignArn=ARN)


def test_one_request_is_one_call_of_the_function() -> None:
    given: list[Any] = []
    throttled = {"x-amzn-errortype": "ThrottlingException"}
    client = in_process_client(lambda *request: (given.append(request), (429, throttled, b"{}"))[1])
    with pytest.raises(ThrottlingError):
        PersonalizeRuntime(client=client).with_options().get_recommendations(campaign_arn=ARN)
    assert len(given) == 3


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_PROFILE": "weekend"},
        {"AWS_DEFAULT_PROFILE": "weekend"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        {"AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME": "http://127.0.0.1:9"},
        {"AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "9"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_DEFAULT_REGION": "nowhere"},
        {"HTTPS_PROXY": "http://127.0.0.1:9"},
        {"AWS_CA_BUNDLE": "/does/not/exist"},
        {"AWS_ACCESS_KEY_ID": "only half"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_no_setting_of_the_machine_matters(environment: dict[str, str], monkeypatch: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = in_process_client(well)
    assert PersonalizeRuntime(client=client).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


@pytest.mark.parametrize(
    "text", ["[default]\nregion = nowhere\nendpoint_url = http://127.0.0.1:9\nretry_mode = x\n", "[default\nregion"]
)
def test_no_profile_is_read(text: str, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    client = in_process_client(well)
    assert client.meta.region_name == "eu-west-1"
    assert PersonalizeRuntime(client=client).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


def test_it_does_not_touch_the_default_session() -> None:
    in_process_client(well).close()
    assert boto3.DEFAULT_SESSION is None


def test_a_config_is_merged_over_ours() -> None:
    client = in_process_client(well, config=Config(user_agent_extra="shop/7", read_timeout=7))
    assert client.meta.config.read_timeout == 7
    assert client.meta.config.retries["total_max_attempts"] == 1
    assert "shop/7" in client.meta.config.user_agent


def s3_works() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="films")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["films"]


def test_under_moto_it_answers_beside_another_service() -> None:
    before = in_process_client(well)
    with mock_aws():
        s3_works()
        within = in_process_client(well)
        for client in (before, within):
            answer = PersonalizeRuntime(client=client).get_recommendations(campaign_arn=ARN)
            assert (answer.item_ids, answer.info.request_id) == (("i1",), "r-1")
        s3_works_still = boto3.client("s3", region_name="us-east-1").list_buckets()["Buckets"]
        assert len(s3_works_still) == 1
    for client in (before, within):
        assert PersonalizeRuntime(client=client).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


def test_it_wins_over_moto_where_moto_would_answer_too(monkeypatch: Any) -> None:
    from botocore.awsrequest import AWSResponse
    from moto.core.models import botocore_stubber

    asked: list[str] = []

    def of_moto(_: Any, event_name: str, request: Any, **kwargs: Any) -> Any:
        asked.append(event_name)
        return AWSResponse(request.url, 418, {}, None)

    monkeypatch.setattr(type(botocore_stubber), "__call__", of_moto)
    with mock_aws():
        client = in_process_client(well)
        assert client.get_recommendations(campaignArn=ARN)["recommendationId"] == "RID-1"
    # Every handler is asked; the answer of the first one counts.
    assert asked == ["before-send.personalize-runtime.GetRecommendations"]


def test_it_wins_over_handlers_of_every_session(monkeypatch: Any) -> None:
    from botocore import handlers
    from botocore.awsrequest import AWSResponse

    def other(request: Any, **_: Any) -> Any:
        return AWSResponse(request.url, 418, {}, None)

    builtin = [*handlers.BUILTIN_HANDLERS, ("before-send.personalize-runtime", other)]
    monkeypatch.setattr(handlers, "BUILTIN_HANDLERS", builtin)
    assert in_process_client(well).get_recommendations(campaignArn=ARN)["recommendationId"] == "RID-1"


def test_what_the_function_raises_is_the_callers() -> None:
    def broken(*_: Any) -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        PersonalizeRuntime(client=in_process_client(broken)).get_recommendations(campaign_arn=ARN)
