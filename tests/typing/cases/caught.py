"""Errors where botocore's classes are wanted, with stubs for it and without."""

from __future__ import annotations

from typing import assert_type

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from personalize_rt import ConfigurationError, PersonalizeRuntime, ServiceError, TransportError


def told(error: ClientError) -> str:
    return str(error)


def failed(error: BotoCoreError) -> str:
    return str(error)


def handled(error: ServiceError | TransportError | ConfigurationError) -> str:
    return told(error) if isinstance(error, ServiceError) else failed(error)


kind: type[ClientError] = ServiceError
other_kinds: list[type[BotoCoreError]] = [TransportError, ConfigurationError]
lost: type[HTTPClientError] = TransportError
try:
    PersonalizeRuntime().get_recommendations(campaign_arn="arn")
except ClientError as error:
    if isinstance(error, ServiceError):
        assert_type(error.request_id, str | None)
except BotoCoreError as error:
    if isinstance(error, TransportError):
        assert_type(error.attempts, int)
