"""Clients that cannot do what is asked of them: those of an old botocore, those that have to be awaited, others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import boto3
import botocore
import pytest

from personalize_rt import ConfigurationError, PersonalizeRuntime, RetryPolicy, ValidationError
from personalize_rt.transport.forwarding import Forwarder
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


@pytest.fixture
def old_session(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session of botocore 1.31.85, as far as its model of the service goes."""
    session = boto3.Session(region_name="eu-west-1")
    loader = session._session.get_component("data_loader")
    load = type(loader).load_service_model

    def load_old(self: Any, service: str, kind: str, api_version: Any = None) -> Any:
        model = load(self, service, kind, api_version)
        if (service, kind) == ("personalize-runtime", "service-2"):
            model = copy.deepcopy(model)
            del model["operations"]["GetActionRecommendations"]
            del model["shapes"]["GetRecommendationsRequest"]["members"]["metadataColumns"]
        return model

    monkeypatch.setattr(type(loader), "load_service_model", load_old)
    monkeypatch.setattr(botocore, "__version__", "1.31.85")
    return session


@pytest.fixture(params=["of the caller", "of ours"])
def old_runtime(old_session: Any, server: Any, request: Any) -> Iterator[PersonalizeRuntime]:
    if request.param == "of ours":
        arguments = {"session": old_session, "endpoint_url": server.url}
    else:
        arguments = {"client": old_session.client("personalize-runtime", endpoint_url=server.url)}
    with PersonalizeRuntime(**arguments, retry=RetryPolicy(1)) as runtime:
        yield runtime


def test_a_botocore_too_old_for_an_operation_is_named_with_the_version_that_it_needs(
    old_runtime: Any, server: Any
) -> None:
    assert old_runtime.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
    with pytest.raises(ConfigurationError) as caught:
        old_runtime.get_action_recommendations(campaign_arn=ARN, user_id="ada@example.org")
    assert caught.value.message == (
        "botocore 1.31.85 does not know GetActionRecommendations; it needs botocore 1.32.7 or newer: "
        "upgrade boto3 (or aiobotocore), which bring it"
    )
    assert server.count == 1


def test_a_botocore_too_old_for_a_parameter_is_named_with_the_version_that_it_needs(
    old_session: Any, server: Any
) -> None:
    client = old_session.client("personalize-runtime", endpoint_url=server.url)
    with pytest.raises(ValidationError) as caught:
        PersonalizeRuntime(client, retry=RetryPolicy(1)).get_recommendations(
            campaign_arn=ARN, metadata_columns=["TITLE"]
        )
    assert caught.value.parameter == "metadata_columns"
    assert "botocore 1.31.85 does not know metadata_columns; it needs botocore 1.32.7 or newer" in caught.value.message
    assert server.count == 0


def test_a_client_of_another_service_is_no_old_one(session: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        PersonalizeRuntime(session.client("personalize"), retry=RetryPolicy(1)).get_recommendations(campaign_arn=ARN)
    assert caught.value.parameter == "client"
    assert "personalize-runtime" in caught.value.message


class Awaiting:
    """As far as it is looked at, a client of aiobotocore."""

    async def get_recommendations(self, **_: Any) -> Any: ...


class Unopened:
    """What aiobotocore's ``create_client`` returns."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("client", [Awaiting(), Unopened()], ids=["client", "context manager"])
def test_a_client_whose_calls_have_to_be_awaited_is_refused(client: Any) -> None:
    for take in (PersonalizeRuntime, Forwarder):
        with pytest.raises(ValidationError) as caught:
            take(client)
        assert caught.value.parameter == "client"
        assert "AsyncPersonalizeRuntime" in caught.value.message


def test_a_client_of_boto3_is_taken() -> None:
    client = in_process_client(lambda *_: (200, {}, b'{"itemList": [], "recommendationId": "R"}'))
    assert PersonalizeRuntime(client).get_recommendations(campaign_arn=ARN).item_ids == ()
