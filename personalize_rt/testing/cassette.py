"""Cassettes: recorded requests with their replies, and their replay."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import attrs

from personalize_rt import forks
from personalize_rt.files import EVERYBODY, replace_file
from personalize_rt.local.wire import HttpResponse
from personalize_rt.operations import OPERATIONS, Operation
from personalize_rt.testing.differences import Differences
from personalize_rt.testing.endpoint import CassetteError, Endpoint, UnrecordedRequestError, response_of
from personalize_rt.testing.placeholders import Placeholders, described

if TYPE_CHECKING:
    from personalize_rt.client import PersonalizeRuntime
    from personalize_rt.options import CallOptions

__all__ = ["Cassette", "Exchange"]

_VERSION = 1
_WIDTH = 120


@attrs.frozen
class Exchange:
    """One request and the reply to it.

    Attributes:
        operation: The operation, as the service spells it (``"GetRecommendations"``).
        request: The members of the request, with placeholders for personal values.
        reply: The members of the reply, likewise.
        status: The HTTP status.
        headers: The headers that a client acts upon: the error code, and the time to wait before a retry.
    """

    operation: str
    request: Mapping[str, Any]
    reply: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def to_dict(self) -> dict[str, Any]:
        """Convert to the form of a cassette file."""
        headers = {"headers": dict(self.headers)} if self.headers else {}
        status = {"status": self.status} if self.status != 200 else {}
        request, reply = dict(self.request), dict(self.reply)
        return {"operation": self.operation, "request": request, **status, **headers, "reply": reply}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read an exchange from the form of :meth:`to_dict`, which may have been written by hand.

        Raises:
            CassetteError: The document does not have that form.
        """
        if not isinstance(document, dict):
            raise CassetteError("expected an object with operation, request and reply")
        members = cast("dict[str, Any]", document)
        unknown = sorted(members.keys() - {field.name for field in attrs.fields(cls)})
        if unknown:
            raise CassetteError(
                f"there is no member {unknown[0]!r}; operation, request, status, headers, reply are known"
            )
        if members.get("operation") not in tuple(OPERATIONS):
            raise CassetteError(f"operation must be one of {', '.join(OPERATIONS)}")
        for name in ("request", "reply", "headers"):
            if not isinstance(members.get(name, {} if name == "headers" else None), dict):
                raise CassetteError(f"{name} must be an object")
        if type(members.get("status", 200)) is not int:
            raise CassetteError("status must be a whole number")
        return cls(**members)


class Cassette(Endpoint):
    """Recorded requests with their replies, for replay.

    A request is looked up by its operation and members, after personal values were replaced by placeholders. Users are
    numbered as they appear, so the first user of a replay stands for the first user of the recording, whatever their
    ids. Replies to the same request come in the order of the recording; the last one is repeated. A ``Cassette``
    object remembers these numbers and positions: load it again for each test.

    Args:
        exchanges: The requests and their replies, in order.
        users: User ids in the order of their numbers, for tests that request users in another order than the recording.
            A request may also use a placeholder of the cassette: ``"{user-2}"``.
    """

    _lock = forks.lock()

    def __init__(self, exchanges: Iterable[Exchange], *, users: Iterable[str] = ()) -> None:
        self._exchanges = tuple(exchanges)
        self._placeholders = Placeholders(users, literal=True)
        self._played: set[int] = set()
        self._replies = 0
        # The indexes of the exchanges for each request.
        self._places: dict[str, list[int]] = {}
        for place, exchange in enumerate(self._exchanges):
            self._places.setdefault(_key(exchange.operation, exchange.request), []).append(place)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, users: Iterable[str] = ()) -> Self:
        """Read a cassette.

        Args:
            path: The file.
            users: See the class.

        Raises:
            CassetteError: The file does not exist, or is not a cassette.
        """
        return cls(_read(Path(path)), users=users)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cassette, completely or not at all. Equal exchanges make identical files.

        Args:
            path: Where to write; an existing file is replaced.

        Raises:
            OSError: The file cannot be written.
        """
        document = {"cassette": _VERSION, "exchanges": [exchange.to_dict() for exchange in self._exchanges]}
        content = (_layout(document) + "\n").encode()
        replace_file(path, lambda file: file.write(content), permissions=EVERYBODY, shared=True)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The recorded exchanges, in order."""
        return self._exchanges

    @property
    def unplayed(self) -> tuple[Exchange, ...]:
        """The exchanges that were not replayed yet."""
        with self._lock:
            return tuple(exchange for place, exchange in enumerate(self._exchanges) if place not in self._played)

    def runtime(self, **options: Unpack[CallOptions]) -> PersonalizeRuntime:
        """Make a :class:`~personalize_rt.PersonalizeRuntime` that is answered from the cassette, without a socket.

        Unless a ``retry`` is given, it retries without waiting.

        Args:
            options: Options of the runtime: ``retry``, ``deadline``, ``limits``, …
        """
        from personalize_rt.resilience.retry import RetryPolicy

        options.setdefault("retry", RetryPolicy(sleep=lambda _: None))
        return super().runtime(**options)

    def _answer(self, operation: Operation[Any], members: Mapping[str, Any]) -> HttpResponse:
        with self._lock:
            request = self._placeholders.request(members)
            places = self._places.get(_key(operation.name, request))
            if places is None:
                raise UnrecordedRequestError(self._no_reply(operation.name, request))
            place = next((place for place in places if place not in self._played), places[-1])
            self._played.add(place)
            self._replies += 1
            exchange, number = self._exchanges[place], self._replies
        headers = {"x-amzn-requestid": f"00000000-0000-4000-8000-{number:012}", **exchange.headers}
        return response_of(exchange.status, headers, exchange.reply)

    def _no_reply(self, operation: str, request: Mapping[str, Any]) -> str:
        """The message for a request without a reply, which shows the most similar recorded request."""
        recorded = [exchange.request for exchange in self._exchanges if exchange.operation == operation]
        if not recorded:
            return f"the cassette has no {operation}: record again"
        # A cassette that was written by hand may hold personal values.
        differences = min((Differences(request, described(known)) for known in recorded), key=lambda each: each.size)
        advice = (
            "give users=, in the recorded order, or record it again" if "userId" in differences else "record it again"
        )
        return (
            f"the cassette has no reply to this {operation}; the recorded request that is most like it differs in "
            f"{differences}: {advice}"
        )

    def __repr__(self) -> str:
        return f"Cassette({len(self._exchanges)} exchanges)"


def _key(operation: str, request: Mapping[str, Any]) -> str:
    given = {name: value for name, value in request.items() if value is not None}
    return operation + json.dumps(given, sort_keys=True)


def _read(path: Path) -> list[Exchange]:
    try:
        document: Any = json.loads(path.read_bytes())
    except OSError as error:
        problem = f"{error.strerror}. Was it recorded?"
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError):
        problem = "it is not JSON in UTF-8"
    else:
        if not isinstance(document, dict):
            problem = "expected an object with cassette and exchanges"
        else:
            return _exchanges(path, cast("dict[str, Any]", document))
    raise CassetteError(f"{path}: {problem}")


def _exchanges(path: Path, document: Mapping[str, Any]) -> list[Exchange]:
    if document.get("cassette") != _VERSION:
        raise CassetteError(f"{path}: cassette must be {_VERSION}, the version of the format")
    listed: Any = document.get("exchanges")
    if not isinstance(listed, list):
        raise CassetteError(f"{path}: exchanges must be a list")
    exchanges: list[Exchange] = []
    for number, each in enumerate(cast("list[object]", listed), 1):
        try:
            exchanges.append(Exchange.from_dict(each))
        except CassetteError as error:
            error.args = (f"{path}, exchange {number}: {error.message}",)
            raise
    return exchanges


def _layout(value: Any, indent: str = "") -> str:
    """Format JSON with a line for each value that fits on one, so that each row of a reply is one line of a diff."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) < _WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {_layout(members[name], inner)}" for name in members]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}" + "}"
    parts = [_layout(part, inner) for part in cast("list[object]", value)]
    return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}]"
