"""Personalize inside moto's ``mock_aws()``, beside the services that moto has.

::

    with mock_aws(), mock_personalize(local):
        boto3.client("personalize-runtime", region_name="eu-west-1").get_recommendations(...)

moto answers boto3 through one handler, which is registered on every client created after the import of moto. Here that
handler passes the requests for Personalize on to the embedded service: all of its three APIs, so that what was created
in one is there in the others. moto's own schemas of Personalize are neither read nor written within the block. Clients
created before the block are answered as well; S3, DynamoDB and all other services are still moto's. A cassette answers
the runtime API, and leaves the other two to moto.

For boto3 only. A client of aiobotocore gets an error that says so, since moto does not support it either.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from personalize_rt.errors import ConfigurationError
from personalize_rt.transport.standing_in import StandIn, calls_noted

__all__ = ["InProcess", "mock_personalize"]

# Hosts of AWS, in China and of VPC endpoints too. Requests to any other endpoint are sent there, as with moto.
_AWS = re.compile(r"https?://[^/:]+\.(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)[:/]")


class InProcess(Protocol):
    """A service in this process: an embedded Personalize, or a cassette."""

    @property
    def services(self) -> Sequence[str]:
        """The services that it answers, by their names in boto3."""
        ...

    def boto3_client(self, service_name: str = ..., *, config: Any = None) -> Any:
        """Make a boto3 client for one of these services that is answered without a socket."""
        ...


@contextmanager
def mock_personalize(local: InProcess) -> Generator[None, None, None]:
    """Answer every boto3 client for Personalize of this process, inside ``moto.mock_aws()``.

    A context manager, and a decorator beneath ``@mock_aws``. Of nested blocks, the innermost applies. Region and
    credentials of a client are ignored; the ARN of the request decides. Faults of *local* take each client's own read
    time-out into account, and nothing really waits. Imports and other jobs read and write the
    objects of moto's S3; the end of the block waits for them.

    Args:
        local: The service: a :class:`~personalize_rt.local.LocalPersonalize`, or a cassette of
            :mod:`personalize_rt.testing.record`.

    Raises:
        ConfigurationError: moto (5 or newer) is not installed, or ``mock_aws()`` is not active.
    """
    kind = _class_of_handler()
    moto_answers = kind.__call__
    stand_in = StandIn(local.boto3_client, local.services)

    def answer(handler: Any, event_name: str, request: Any, **kwargs: Any) -> Any:
        if handler.enabled and stand_in.answers(event_name) and _AWS.match(str(request.url)):
            return stand_in.answer(event_name, request)
        return moto_answers(handler, event_name, request, **kwargs)

    # On the class, not on the handler, since Python looks up special methods there.
    kind.__call__ = answer
    try:
        with calls_noted():
            yield
    finally:
        # A job that is in progress would find no mock any more.
        finish_jobs = getattr(local, "finish_jobs", None)
        if finish_jobs is not None:
            finish_jobs()
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
