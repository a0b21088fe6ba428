"""The fast path of a client that we build: the same calls, events and signatures, and less work for each.

Three of botocore's parts are general where this service is simple, and cost more than the rest of a call:

* The **parameter validator** walks every item of a request. Ours ran already: ``parameter_validation=False``.
* The **serialiser** walks it again. The three operations send their members as they are, in a JSON body:
  ``client._serializer`` is replaced by one that says so. Event handlers still see, and may change, all parameters.
* The **response parser** builds the reply a second time, member by member, guided by the model. A ``before-parse``
  handler decodes the body once, hands it on through ``customized_response_dict``, and leaves the parser an empty
  body. Errors go through the parser as ever, but for bodies that no error of AWS has, over which it would trip.

The **user-agent string** is assembled twice in each call, from parts that do not change; it is kept. So is the
response parser, which has no state: botocore makes one for each call, with a circle in it that only the garbage
collector frees.
And the **sender** (:mod:`personalize_rt.transport.sender`) writes and reads the bytes itself on the connections of
botocore's own pool.

Each is installed on its own, and where botocore has changed the thing it stands on it is left out: the call is then
slower and just as right, and a debug line says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from personalize_rt.decoding import LARGE, Columns, decoded, has_more_containers
from personalize_rt.errors import ResponseError, TransportError
from personalize_rt.operations import OPERATIONS
from personalize_rt.transport.attempt import REPLY
from personalize_rt.transport.clients import SERVICE
from personalize_rt.transport.http_answer import content_length
from personalize_rt.transport.sender import Sender

__all__ = ["install"]

_log = logging.getLogger("personalize_rt")

Hook = Callable[[Any], None]


def install(client: Any) -> bool:
    """Put the fast path on a client that we built.

    Returns:
        Whether the sender is part of it, which ends a request when its time is over.
    """
    bounded = False
    for hook in _HOOKS:
        try:
            hook(client)
            bounded = bounded or hook is _install_sender
        except (AttributeError, TypeError, ValueError) as error:
            _log.debug("fast path: %s left out, since botocore has no %s", hook.__name__, error)
    return bounded


def _install_serializer(client: Any) -> None:
    client._serializer = _Serializer(client._serializer)


class _Serializer:
    """Members straight to JSON; botocore's serialiser for operations that are not ours."""

    def __init__(self, general: Any) -> None:
        self._general = general
        self._paths = {name: operation.path for name, operation in OPERATIONS.items()}

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: Any) -> dict[str, Any]:
        path = self._paths.get(operation_model.name)
        if path is None:
            general: dict[str, Any] = self._general.serialize_to_request(parameters, operation_model)
            return general
        return {
            "url_path": path,
            "query_string": {},
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            # json's default form, as botocore writes it: non-ASCII text as \uXXXX.
            "body": json.dumps(parameters).encode(),
        }


def _install_reader(client: Any) -> None:
    client.meta.events.register(f"before-parse.{SERVICE}", _read, unique_id="personalize-rt-read")


_MOST_ROWS = 10_000
"""Rows of a list in a reply: 20 times as many as the service gives. Reading them takes a few milliseconds."""

_MOST_CONTAINERS = 100_000
"""Lists and objects in a large reply. One of 500 rows has 1,502; what has millions takes gigabytes of memory."""


def _read(
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    decode: Callable[[bytes], Any] = decoded,
    **_: Any,
) -> None:
    body: bytes = response_dict["body"]
    if response_dict["status_code"] >= 300:
        if len(body) > LARGE or not _is_readable_error(body):
            response_dict["body"] = b""  # botocore's parser trips over it; the status says enough
        return
    if len(body) > LARGE and has_more_containers(body, _MOST_CONTAINERS):
        raise ResponseError(f"the answer ({len(body):,} bytes) has more lists and objects than any of the service")
    try:
        reply = decode(body)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise _unreadable(body, response_dict["headers"])
    for rows in cast("dict[str, Any]", reply).values():
        rows = rows.ids if isinstance(rows, Columns) else rows
        if isinstance(rows, list) and len(cast("list[object]", rows)) > _MOST_ROWS:
            raise ResponseError(f"a list of the answer has more than {_MOST_ROWS:,} rows: is the endpoint Personalize?")
    customized_response_dict[REPLY] = reply
    response_dict["body"] = b""


def _is_readable_error(body: bytes) -> bool:
    """Whether botocore can read what an error says: an object in AWS's form, or plain text."""
    try:
        error = json.loads(body.decode())
    except UnicodeDecodeError:
        return False
    except ValueError:
        return True
    except RecursionError:
        return False
    return isinstance(error, dict) and all(
        isinstance(value, str | None)
        for name, value in cast("dict[str, Any]", error).items()
        if name in ("code", "Code", "__type", "message", "Message")
    )


def _unreadable(body: bytes, headers: Mapping[str, Any]) -> Exception:
    length = content_length(headers.get("content-length") or "")
    if length is not None and len(body) < length:
        return TransportError(f"the answer broke off after {len(body):,} of {length:,} bytes", phase="read")
    return ResponseError(f"the answer ({len(body):,} bytes) is not a JSON object: is the endpoint Personalize?")


def _install_user_agent(client: Any) -> None:
    creator = client._user_agent_creator
    text = creator.to_string()
    # The second assembly adds how the call is made; for us it is always made the same way.
    client.meta.events.unregister(f"request-created.{SERVICE}", creator.rebuild_and_replace_user_agent_handler)
    client._user_agent_creator = _UserAgent(creator, text)


class _UserAgent:
    def __init__(self, creator: Any, text: str) -> None:
        self._creator = creator
        self._text = text

    def to_string(self) -> str:
        return self._text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._creator, name)


def _install_parser(client: Any) -> None:
    endpoint = client._endpoint
    endpoint._response_parser_factory = _Parsers(endpoint._response_parser_factory)


class _Parsers:
    """One parser for each protocol, made when it is first needed."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self._made: dict[str, Any] = {}
        _ = factory.create_parser

    def create_parser(self, protocol: str) -> Any:
        parser = self._made.get(protocol)
        if parser is None:
            parser = self._made[protocol] = self._factory.create_parser(protocol)
        return parser

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


def _install_sender(client: Any) -> None:
    endpoint = client._endpoint
    sender = Sender(endpoint.http_session)
    sender.open(client.meta.endpoint_url)
    endpoint.http_session = sender


_HOOKS: tuple[Hook, ...] = (
    _install_serializer,
    _install_reader,
    _install_user_agent,
    _install_parser,
    _install_sender,
)
