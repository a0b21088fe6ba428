"""Clients that a caller gives, as far as they cannot do what is asked of them."""

from __future__ import annotations

import inspect
import re
from typing import Any

from personalize_rt.arguments import LISTS, members_of
from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.operations import Operation, argument_name
from personalize_rt.transport.untyped import untyped

__all__ = ["no_such_operation", "refuse_an_awaiting_client", "unknown_member"]

_SINCE = {"GetActionRecommendations": "1.32.7"} | {
    member.name: member.since for arguments in LISTS for member in members_of(arguments).values()
}
"""The first botocore whose model has an operation or a member (its CHANGELOG, entries of ``personalize-runtime``)."""


def refuse_an_awaiting_client(
    client: Any, *, method: str = "get_recommendations", instead: str = "personalize_rt.aio.AsyncPersonalizeRuntime"
) -> None:
    """Refuse a client of aiobotocore or aioboto3, whose calls have to be awaited.

    Args:
        client: The client.
        method: A method that it should have.
        instead: The class that takes such a client.

    Raises:
        ValidationError: It is one, or the context manager that opens one.
    """
    calls = (getattr(client, name, None) for name in ("_make_api_call", method))
    unopened = hasattr(client, "__aenter__") and not hasattr(client, method)
    if unopened or any(map(inspect.iscoroutinefunction, calls)):
        raise ValidationError(
            "client is one of aiobotocore or aioboto3, whose calls have to be awaited: give one of boto3, "
            f"or use {instead}",
            parameter="client",
        )


def no_such_operation(client: Any, operation: Operation[Any], wanted: str) -> PersonalizeError:
    """The error for a client without the method of an operation.

    Args:
        client: The client.
        operation: What was asked.
        wanted: What to give instead, if it is not a client of the service at all.
    """
    model = getattr(getattr(client, "meta", None), "service_model", None)
    if getattr(model, "service_name", None) == operation.service:
        return ConfigurationError(_too_old(operation.name, operation.name))
    return ValidationError(f"client has no {operation.method}: give {wanted}", parameter="client")


def unknown_member(complaint: str) -> ValidationError | None:
    """The error for a member that botocore's model does not have, if it is that of which botocore complains."""
    found = re.search(r'Unknown parameter in input\S*: "(\w+)"', complaint)
    if found is None:
        return None
    name = argument_name(found[1])
    return ValidationError(_too_old(name, found[1]), parameter=name)


def _too_old(name: str, known_as: str) -> str:
    installed, since = untyped("botocore").__version__, _SINCE.get(known_as)
    needed = f"it needs botocore {since} or newer" if since else "it needs a newer one"
    return f"botocore {installed} does not know {name}; {needed}: upgrade boto3 (or aiobotocore), which bring it"
