"""The moto door: Personalize Runtime beside every service that moto has.

::

    with mock_aws(), mock_personalize(local):
        boto3.client("personalize-runtime", region_name="eu-west-1").get_recommendations(...)

moto answers boto3 through one handler that stands on every client made since moto was imported. Here that handler
passes the requests of one service on to the embedded one, and nothing else changes: clients made before the block are
answered as well, and S3, DynamoDB and the rest are moto's.

For boto3 only. A client of aiobotocore gets an error that says so: moto itself does not answer it either.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from personalize_rt.errors import ConfigurationError
from personalize_rt.transport.standing_in import EVENTS, StandIn, calls_noted

__all__ = ["InProcess", "mock_personalize"]

# Hosts of AWS, in China and behind VPC endpoints too. A client that was told another endpoint goes there, as with moto.
_AWS = re.compile(r"https?://[^/:]+\.(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)[:/]")


class InProcess(Protocol):
    """What can answer: an embedded Personalize, or a cassette."""

    def boto3_client(self, *, config: Any = None) -> Any:
        """A boto3 client that is answered without a socket."""
        ...


@contextmanager
def mock_personalize(local: InProcess) -> Generator[None, None, None]:
    """Answer every boto3 ``personalize-runtime`` client of this process, inside ``moto.mock_aws()``.

    A context manager, and a decorator beneath ``@mock_aws``. The innermost block counts. Region and credentials of a
    client do not matter; the ARN that it asks for does. Faults of *local* are seen by each client in accordance with
    its own read time-out, and nothing really waits.

    Args:
        local: What answers: a :class:`~personalize_rt.local.LocalPersonalize`, or a cassette of
            :mod:`personalize_rt.testing.record`.

    Raises:
        ConfigurationError: moto (5 or newer) is not installed, or there is no ``mock_aws()`` around.
    """
    kind = _class_of_handler()
    moto_answers = kind.__call__
    stand_in = StandIn(local.boto3_client)

    def answer(handler: Any, event_name: str, request: Any, **kwargs: Any) -> Any:
        if handler.enabled and event_name.startswith(EVENTS) and _AWS.match(str(request.url)):
            return stand_in.answer(event_name, request)
        return moto_answers(handler, event_name, request, **kwargs)

    # Of the class, not of the one handler: Python looks there for what a call does.
    kind.__call__ = answer
    try:
        with calls_noted():
            yield
    finally:
        kind.__call__ = moto_answers
        stand_in.close()


def _class_of_handler() -> Any:
    try:
        handler: Any = import_module("moto.core.models").botocore_stubber
    except (ImportError, AttributeError):
        handler = None
    if handler is None:
        raise ConfigurationError('mock_personalize() needs moto, version 5 or newer: pip install "moto>=5"')
    if not handler.enabled:
        raise ConfigurationError(
            "mock_personalize() belongs inside mock_aws(): `with mock_aws(), mock_personalize(local):` "
            "(and not in moto's server or proxy mode, where requests leave the process)"
        )
    kind: Any = type(handler)  # pyright: ignore[reportUnknownVariableType] - moto's
    return kind
