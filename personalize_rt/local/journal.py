"""The requests that an embedded service received: a journal for tests, and a log line for each.

The journal has everything, and shows nothing personal by itself. A line of the log has nothing personal in it.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, overload

import attrs

from personalize_rt import forks
from personalize_rt.local.apis import asked_of, read_object
from personalize_rt.local.messages import HttpRequest, HttpResponse

__all__ = ["FORMATS", "Entry", "Journal", "LogFormat", "ReceivedRequest", "line_of", "named", "resource_of"]

LogFormat = Literal["text", "json", "off"]
FORMATS: tuple[LogFormat, ...] = ("text", "json", "off")

_KEPT = 1000
_KEPT_BYTES = 16 << 20

# A quote within a JSON string has a backslash before it, so what this finds is a member, or the beginning of a value.
_ARN = re.compile(
    rb'"([A-Za-z]{1,32}Arn)"\s*:\s*"(arn:[a-z-]{3,16}:personalize:[a-z0-9-]{0,32}:[0-9]{0,12}:[\w/-]{1,160})"'
)
_MAIN = (b"campaignArn", b"recommenderArn")
# Whatever came as the name of an operation is the caller's.
_OPERATION = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)


@attrs.frozen
class ReceivedRequest:
    """A request that was received, and what became of it.

    Attributes:
        time: The Unix time in seconds at which it was received.
        service: The API in boto3's words: ``"personalize-runtime"``, ``"personalize-events"`` or ``"personalize"``.
        operation: The operation (``"GetRecommendations"``); ``None`` if the request names none that could be one.
        status: The HTTP status of the answer; ``None`` until there is one, and if none was sent whole.
        elapsed: The seconds that the answer took, with the delays of faults.
        error: The error code of the answer, if it is an error.
        request_id: The id of the request, as the answer has it.
        body: The body as it came. ``repr`` hides it, since it is personal.
    """

    time: float
    service: str
    operation: str | None
    status: int | None
    elapsed: float
    error: str | None
    request_id: str | None
    body: bytes = attrs.field(repr=False)

    @property
    def members(self) -> dict[str, Any]:
        """The members of the request, parsed anew each time; empty if the body is not a JSON object. Personal."""
        return read_object(self.body) or {}

    @property
    def resource(self) -> str | None:
        """The ARN of its campaign or recommender; without one, the first ARN of its members."""
        return resource_of(self.body)


def resource_of(body: bytes) -> str | None:
    """The ARN of the campaign or recommender in a body; without one, the first ARN of a member."""
    found: list[tuple[bytes, bytes]] = _ARN.findall(body)
    if found and body.count(b"{") > 1:
        # Some may be of a context or of filter values, whose names and values are the caller's own.
        members = read_object(body) or {}
        found = [(name, arn) for name, arn in found if members.get(name.decode()) == arn.decode()]
    first = found[0][1] if found else None
    main = next((arn for name, arn in found if name in _MAIN), first)
    return None if main is None else main.decode()


@attrs.define(eq=False)
class Entry:
    """A request, which becomes a row only when somebody looks. What becomes of it is noted before it is sent.

    It keeps neither the headers, which hold a signature, nor the answer's body, which may be far longer than the
    request: what a thousand of them hold is slow to free, and the bound of the journal would not be one.

    Attributes:
        time: The Unix time in seconds at which it was received.
        service: The API, in boto3's words.
        operation: What the request names as its operation.
        body: Its body.
        status: The HTTP status of the answer; ``None`` until there is one, and if none is sent whole.
        error: The error code of the answer, if it is an error.
        request_id: The id of the request, as the answer has it.
        elapsed: The seconds that the answer took.
    """

    time: float
    service: str
    operation: str | None
    body: bytes
    status: int | None = None
    error: str | None = None
    request_id: str | None = None
    elapsed: float = 0.0

    def answered(self, response: HttpResponse, elapsed: float) -> None:
        """Note the answer, and the seconds that it took."""
        self.status, self.elapsed = response.status, elapsed
        self.error = None if response.status < 400 else code_of(response)
        self.request_id = response.headers.get("x-amzn-requestid")

    def row(self) -> ReceivedRequest:
        """The row, as it is now."""
        return ReceivedRequest(
            self.time,
            self.service,
            named(self.operation),
            self.status,
            self.elapsed,
            self.error,
            self.request_id,
            self.body,
        )


class Journal(Sequence[ReceivedRequest]):
    """The last requests of an embedded service, oldest first. Safe to share between threads.

    It has what came through the clients of the service and its server, at most 1,000 requests, whose bodies have at
    most 16 MiB together. Requests that the server refused for their head, signature or length are not among them.
    """

    _lock = forks.lock()

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def begin(self, request: HttpRequest) -> Entry:
        """Add a request that was just received."""
        api, operation = asked_of(request)
        entry = Entry(time.time(), api.service, operation, request.body)
        with self._lock:
            self._entries.append(entry)
            self._bytes += len(request.body)
            while len(self._entries) > _KEPT or self._bytes > _KEPT_BYTES:
                self._bytes -= len(self._entries.popleft().body)
        return entry

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _rows(self) -> tuple[ReceivedRequest, ...]:
        with self._lock:
            entries = tuple(self._entries)
        return tuple(entry.row() for entry in entries)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> ReceivedRequest: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ReceivedRequest, ...]: ...

    def __getitem__(self, index: int | slice) -> ReceivedRequest | tuple[ReceivedRequest, ...]:
        return self._rows()[index]

    def __iter__(self) -> Iterator[ReceivedRequest]:
        return iter(self._rows())

    def __repr__(self) -> str:
        return f"<{len(self)} received requests>"


def named(operation: str | None) -> str | None:
    """An operation, unless what came as its name cannot be one."""
    return operation if operation is not None and _OPERATION.fullmatch(operation) else None


def code_of(response: HttpResponse) -> str | None:
    """The error code of an answer, of either protocol."""
    code = response.headers.get("x-amzn-errortype")
    return code if code is not None else (read_object(response.body) or {}).get("__type")


def line_of(
    form: LogFormat, *, received: float, operation: str | None, resource: str | None, status: int | None, elapsed: float
) -> str:
    """The line of the log on one request, with nothing personal in it.

    Args:
        form: The form of the line; not ``"off"``.
        received: The Unix time in seconds at which the request was.
        operation: The operation, or method and path of another request, none of it as the caller wrote it.
        resource: The ARN.
        status: The HTTP status; ``None`` if no whole answer was sent.
        elapsed: The seconds that the answer took.
    """
    when = datetime.fromtimestamp(received, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if form == "json":
        return json.dumps(
            {
                "time": when,
                "operation": operation,
                "resource": resource,
                "status": status,
                "milliseconds": round(elapsed * 1000, 3),
            }
        )
    return f"{when} {operation or '-'} {resource or '-'} {status or '-'} {elapsed * 1000:.1f} ms"
