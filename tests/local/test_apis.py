"""Three APIs on one address: which one a request is for, and how each is refused what it does not have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.local.apis import APIS, CONTROL, EVENTS, RUNTIME, Api, asked_of


@pytest.fixture
def local(service: Callable[..., Any]) -> LocalPersonalize:
    local: LocalPersonalize = service().local
    return local


def model(api: Api) -> Any:
    return botocore.session.Session().get_service_model(api.service)


@pytest.mark.parametrize("api", [RUNTIME, EVENTS], ids=lambda api: api.service)
def test_paths_are_those_of_the_model(api: Api) -> None:
    operations = [model(api).operation_model(name) for name in model(api).operation_names]
    assert api.paths == {operation.http["requestUri"]: operation.name for operation in operations}
    assert {operation.http["method"] for operation in operations} == {"POST"}


def test_names_and_targets_are_those_of_the_models() -> None:
    for api in APIS:
        metadata = model(api).metadata
        assert metadata["endpointPrefix"] == api.service
        assert metadata.get("targetPrefix", "") == api.target
        assert metadata.get("signingName", metadata["endpointPrefix"]) == "personalize"


@pytest.mark.parametrize(
    ("request_", "api", "operation"),
    [
        (HttpRequest("POST", "/recommendations"), RUNTIME, "GetRecommendations"),
        (HttpRequest("POST", "/events?x=1"), EVENTS, "PutEvents"),
        (HttpRequest("GET", "/events"), EVENTS, None),
        (HttpRequest("POST", "/", {"X-Amz-Target": "AmazonPersonalize.ListFilters"}), CONTROL, "ListFilters"),
        (HttpRequest("POST", "/", {"x-amz-target": "AmazonPersonalize.ListFilters"}), CONTROL, "ListFilters"),
        (HttpRequest("POST", "/", {"x-amz-target": "DynamoDB_20120810.ListTables"}), CONTROL, None),
        (HttpRequest("POST", "/", {"x-amz-target": "AmazonPersonalize."}), CONTROL, None),
        (HttpRequest("POST", "/"), CONTROL, None),
        (HttpRequest("GET", "/"), RUNTIME, None),
        (HttpRequest("POST", "/elsewhere"), RUNTIME, None),
        # A path that is an operation's says more than a header.
        (HttpRequest("POST", "/events", {"x-amz-target": "AmazonPersonalize.ListFilters"}), EVENTS, "PutEvents"),
    ],
)
def test_path_and_target_tell_the_api(request_: HttpRequest, api: Api, operation: str | None) -> None:
    assert asked_of(request_) == (api, operation)


@pytest.mark.parametrize(
    ("path", "headers", "code_of"),
    [
        ("/", {"x-amz-target": "AmazonPersonalize.MakeCoffee"}, lambda response, body: body["__type"]),
        ("/", {}, lambda response, body: body["__type"]),
        ("/", {"x-amz-target": "AmazonPersonalize.Line\r\nbreak: ß"}, lambda response, body: body["__type"]),
    ],
)
def test_an_operation_that_is_not_there_is_refused_in_the_form_of_its_protocol(
    local: LocalPersonalize, path: str, headers: Mapping[str, str], code_of: Callable[..., str]
) -> None:
    response = local.handle(HttpRequest("POST", path, headers, b"{}"))
    body = json.loads(response.body)
    assert code_of(response, body) == "UnknownOperationException"
    assert "the embedded service has" in body["message"]
    assert "\n" not in body["message"]
    assert response.status == 404


def test_clients_of_all_three_are_made_in_process(local: LocalPersonalize) -> None:
    for api in APIS:
        client = local.boto3_client(service_name=api.service)
        assert client.meta.service_model.service_name == api.service
    assert local.boto3_client().meta.service_model.service_name == "personalize-runtime"
    with pytest.raises(ValidationError, match="personalize-events, personalize"):
        local.boto3_client("s3")


def test_env_names_the_variables_that_botocore_reads(local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9"
    for name, value in local.env(url).items():
        monkeypatch.setenv(name, value)
    session = botocore.session.Session()
    where = {
        name: session.create_client(
            name, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        ).meta.endpoint_url
        for name in ("personalize", "personalize-events", "personalize-runtime", "s3")
    }
    assert where.pop("s3") != url
    assert set(where.values()) == {url}
