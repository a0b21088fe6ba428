"""Recording of the answers of a real endpoint, for replay in tests.

::

    with record("films.json", region_name="eu-west-1") as recorder:       # once, against the service
        top_films(recorder.runtime(), "a real user id")

    cassette = Cassette.load("films.json")                                # in tests, without a network
    top_films(cassette.runtime(), "anybody")

    with record("films.json", mode="once", region_name="eu-west-1") as service:  # or both: recorded if it is not there
        top_films(service.runtime(), "anybody")

Personal values never reach the file: user ids, context values, filter values and item metadata are replaced by numbered
placeholders (``{user-1}``) first. The file is JSON for people to review. The same traffic gives the same file: it has
no times and no request ids, and recommendation ids are numbered.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, cast, overload

from personalize_rt import checks, forks
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import ValidationError
from personalize_rt.files import beside
from personalize_rt.local.wire import HttpResponse
from personalize_rt.operations import Operation
from personalize_rt.testing.cassette import Cassette, Exchange
from personalize_rt.testing.endpoint import CassetteError, Endpoint, UnrecordedRequestError
from personalize_rt.testing.placeholders import Placeholders
from personalize_rt.transport.forwarding import Answer, Forwarder

__all__ = ["Cassette", "CassetteError", "Exchange", "Mode", "Recorder", "UnrecordedRequestError", "record"]

Mode = Literal["rewrite", "once", "none"]


@overload
def record(
    path: str | os.PathLike[str],
    *,
    mode: Literal["rewrite"] = "rewrite",
    client: Any = None,
    region_name: str | None = None,
    session: Any = None,
    endpoint_url: str | None = None,
    config: Any = None,
) -> AbstractContextManager[Recorder]: ...


@overload
def record(
    path: str | os.PathLike[str],
    *,
    mode: Mode,
    client: Any = None,
    region_name: str | None = None,
    session: Any = None,
    endpoint_url: str | None = None,
    config: Any = None,
) -> AbstractContextManager[Recorder | Cassette]: ...


@contextmanager
def record(
    path: str | os.PathLike[str],
    *,
    mode: Mode = "rewrite",
    client: Any = None,
    region_name: str | None = None,
    session: Any = None,
    endpoint_url: str | None = None,
    config: Any = None,
) -> Generator[Any, None, None]:
    """Record requests and answers during a ``with`` block, and write them when the block ends without an exception.

    Send the requests through a client, runtime or URL of the :class:`Recorder`; your own clients are not changed. A
    path that cannot be written is refused before any request.

    Args:
        path: The path of the cassette.
        mode: ``"rewrite"``, the default, records and replaces an existing file. ``"once"`` replays an existing file:
            the block gets a :class:`Cassette` then, which has the same clients, runtime and URL, and no client is built
            or called; if there is no file, it records. ``"none"`` only replays.
        client: Your own boto3 ``personalize-runtime`` client, called for each request: under moto, with a stubber, with
            handlers. Its own retries are not recorded. Replies are kept as it parsed them.
        region_name: Without a client, the region of the one to build; by default the session's. Replies are kept as
            they arrived.
        session: The ``boto3.Session`` of the client to build.
        endpoint_url: The URL to which that client sends requests instead of AWS.
        config: A ``botocore.config.Config`` for that client.

    Raises:
        ValidationError: The arguments do not go together.
        ConfigurationError: No client can be built: no region, no such profile.
        CassetteError: The cassette cannot be written or replayed, or the block made no request.
    """
    checks.one_of(mode, "mode", "rewrite", "once", "none")
    if isinstance(client, PersonalizeRuntime):
        raise ValidationError(
            "client is a PersonalizeRuntime: give the boto3 client that it uses, or region_name, and take "
            "recorder.runtime() for the calls",
            parameter="client",
        )
    path = Path(path)
    if mode == "none" or (mode == "once" and os.path.isfile(path)):
        yield Cassette.load(path)
        return
    _check_place(path)
    forwarder = Forwarder(client, region_name=region_name, session=session, endpoint_url=endpoint_url, config=config)
    try:
        recorder = Recorder(forwarder)
        yield recorder
        cassette = recorder.cassette()
        if not cassette.exchanges:
            raise CassetteError("nothing was recorded: ask through recorder.runtime() or recorder.boto3_client()")
        try:
            cassette.save(path)
        except OSError as error:
            raise CassetteError(
                f"{path} cannot be written: {error.strerror}. What was recorded is still there: "
                "recorder.cassette().save(…) writes it to another place"
            ) from None
    finally:
        forwarder.close()


def _check_place(path: Path) -> None:
    """Check that a cassette can be written, since calls cost money and should not be made in vain.

    Raises:
        CassetteError: The file cannot be written.
    """
    if os.path.isdir(path):
        raise CassetteError(f"{path} is a directory: name a file in it")
    trial = Path(beside(path, shared=True))
    try:
        trial.touch()
        trial.unlink()
    except FileNotFoundError:
        raise CassetteError(f"there is no directory {path.parent} for the cassette: make it first") from None
    except OSError as error:
        raise CassetteError(f"the cassette cannot be written to {path.parent}: {error.strerror}") from None


class Recorder(Endpoint):
    """Passes requests on, returns the answers unchanged, and keeps both without personal values.

    Made by :func:`record`. Only answers are kept: a time-out or a broken connection is raised as usual and not
    recorded. Use one thread if the file should be the same each time.
    """

    _lock = forks.lock()

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._placeholders = Placeholders()
        self._exchanges: list[Exchange] = []

    def cassette(self) -> Cassette:
        """The recording so far."""
        with self._lock:
            return Cassette(self._exchanges)

    def _answer(self, operation: Operation[Any], members: Mapping[str, Any]) -> HttpResponse:
        # The service treats null as absent; boto3 refuses it.
        answer = self._forwarder.send(operation, {name: value for name, value in members.items() if value is not None})
        with self._lock:
            request = self._placeholders.request(members)
            reply = self._placeholders.reply(_content(answer), members)
            headers = self._placeholders.headers(_headers(answer), members)
            self._exchanges.append(Exchange(operation.name, request, reply, answer.status, headers))
        passed_on = {name: text for name, text in answer.headers.items() if name not in _OF_THE_CONNECTION}
        return HttpResponse(answer.status, {**passed_on, "content-length": str(len(answer.body))}, answer.body)

    def __repr__(self) -> str:
        return f"Recorder({len(self._exchanges)} exchanges)"


# Headers of the connection to the service, which do not apply to the client's.
_OF_THE_CONNECTION = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}


def _content(answer: Answer) -> Mapping[str, Any]:
    try:
        content: Any = json.loads(answer.body or b"{}")
    except ValueError:
        content = None
    if isinstance(content, dict):
        return cast("dict[str, Any]", content)
    # A proxy's error need not be JSON; like botocore, take its body for the message.
    return {"message": answer.body.decode("utf-8", "replace")}


# The headers that a client acts upon. A Retry-After with a date would differ in each recording.
_KEPT_HEADERS = {
    "retry-after": re.compile(r"[\d.]+"),
    "x-amz-retry-after": re.compile(r"[\d.]+"),
    "x-amzn-errortype": re.compile(".+"),
}


def _headers(answer: Answer) -> dict[str, str]:
    return {name: text for name, text in sorted(answer.headers.items()) if _is_kept(name, text)}


def _is_kept(name: str, text: str) -> bool:
    form = _KEPT_HEADERS.get(name)
    return form is not None and form.fullmatch(text) is not None
