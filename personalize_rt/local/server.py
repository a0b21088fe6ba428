"""An HTTP server with an embedded Personalize, for any AWS SDK in any language.

``serving`` is for tests (on a thread of this process, during a ``with`` block), ``serve_forever`` for the command line.
By default only this machine can reach them; access from other machines requires credentials. With credentials, every
request except ``/healthz`` must be signed (:mod:`personalize_rt.local.sigv4`). The data directory is never written to.

The paths beside the operations are those of :class:`personalize_rt.local.front.Application`.
"""

from __future__ import annotations

import errno
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from math import ceil
from types import TracebackType
from typing import Any, Protocol, Self

from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.files import EVERYBODY, StrPath, replace_file
from personalize_rt.local.events import RecordedEvent
from personalize_rt.local.faults import Faults
from personalize_rt.local.hosts import HostRule, is_loopback
from personalize_rt.local.inside import Shown
from personalize_rt.local.journal import Journal, LogFormat, line_of
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.sigv4 import Credentials, Verifier

__all__ = ["Embedded", "Server", "find_credentials", "serve_forever", "serving"]

DEFAULT_PORT = 8700
# The largest request of the service's model is some 400 kB: 150 entries of context, 500 items.
MAX_BODY = 1 << 20
# For all requests in flight together: some 80 of the largest ones, and far more usual ones than there ever are.
MAX_BODIES = 32 << 20
# Seconds. Clients on this machine send a request at once.
HEAD_TIMEOUT = 20.0
BODY_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
_START_TIMEOUT = 30.0  # seconds
_BACKLOG = 1024


class Embedded(Protocol):
    """An embedded Personalize that can be served."""

    @property
    def faults(self) -> Faults:
        """The injected faults."""
        ...

    @property
    def requests(self) -> Journal:
        """Is given each request to an operation."""
        ...

    @property
    def recorded_events(self) -> Sequence[RecordedEvent]:
        """The events that were put, oldest first."""
        ...

    def handle(self, request: HttpRequest, /) -> HttpResponse:
        """Answer one request. Called by one thread at a time, also during :meth:`reload`."""
        ...

    def reload(self) -> None:
        """Reload the data. If they cannot be loaded, raise a ``PersonalizeError`` and keep the old data."""
        ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


def find_credentials(file: str | os.PathLike[str] | None = None) -> tuple[Credentials, ...]:
    """Find the accepted credentials: those in a file, or else those in the environment.

    Secrets are not taken from command-line arguments, which every user of the machine can read.

    Args:
        file: A file of the form of ``~/.aws/credentials``. The keys of all sections are accepted.

    Returns:
        The credentials; empty without a file if ``PERSONALIZE_RT_ACCESS_KEY_ID`` and
        ``PERSONALIZE_RT_SECRET_ACCESS_KEY`` are not set.

    Raises:
        ConfigurationError: The file does not have that form, or only one of the variables is set.
    """
    if file is not None:
        return Credentials.from_file(file)
    found = Credentials.from_environment()
    return () if found is None else (found,)


class Server:
    """An HTTP server on a thread of its own. Most programs use :func:`serving` or :func:`serve_forever`.

    Args:
        local: The embedded service.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        credentials: The accepted credentials. ``None`` means those of the environment, if any; see
            :func:`find_credentials`. If there are any, requests must be signed.
        require_signature: Refuse to start without credentials.
        allow_remote: Whether ``host`` may be an address that other machines can reach; needs credentials.
        allow_hosts: Accepted values of the ``Host`` header, beside the names of this machine; other requests are
            answered with status 403. If other machines can reach the server, by default any ``Host`` is accepted.
        allow_origins: Accepted values of the ``Origin`` header, as ``http://localhost:3000``. Requests of other web
            pages are answered with status 403.
        others: The URL of another server, such as moto's, which is handed every request that is signed for another
            service than Personalize; see :mod:`personalize_rt.local.others`. Not together with credentials, since only
            signatures for Personalize can be checked here.
        log: Is told a line for each request, without its end; ``None`` for no log.
        log_format: ``"text"`` or ``"json"``, the form of these lines.
        max_body: The most bytes of a body; longer ones are answered with status 413.
        max_bodies: The most bytes of the bodies of all requests in flight; beyond, requests are answered with status
            503.
        head_timeout: Seconds within which the head of a request must be received, from the opening of a connection or
            from the first byte of a later request; else the connection is closed.
        body_timeout: Seconds within which the body must be received; else the request is answered with status 408.
        stop_timeout: Seconds that requests in flight are given to finish when the server stops.
        now: Returns the time for checks of signatures, as an aware ``datetime``.

    Raises:
        ValidationError: ``host`` is open to other machines without ``allow_remote`` or credentials; credentials are
            required, and there are none; one of ``allow_hosts`` is not a name or address, one of ``allow_origins`` not
            an origin; ``others`` is not the URL of a server, or given together with credentials.
        ConfigurationError: The extra ``[server]`` is not installed.
    """

    def __init__(
        self,
        local: Embedded,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Iterable[Credentials] | None = None,
        require_signature: bool = False,
        allow_remote: bool = False,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        others: str | None = None,
        log: Callable[[str], None] | None = None,
        log_format: LogFormat = "text",
        max_body: int = MAX_BODY,
        max_bodies: int = MAX_BODIES,
        head_timeout: float = HEAD_TIMEOUT,
        body_timeout: float = BODY_TIMEOUT,
        stop_timeout: float = STOP_TIMEOUT,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        accepted = find_credentials() if credentials is None else tuple(credentials)
        _check_access(host, accepted, require_signature=require_signature, allow_remote=allow_remote)
        self._host = "127.0.0.1" if host == "localhost" else host
        hosts = HostRule.of(self._host, allow_hosts, allow_origins)
        if others is not None and accepted:
            raise ValidationError(
                "others (--others) needs a server without credentials: only signatures for Personalize can be checked, "
                "so that the other server would be handed anybody's requests",
                parameter="others",
            )
        self._port = port
        self._stop_timeout = stop_timeout
        self._ready = threading.Event()
        self._ended: list[Callable[[], None]] = []
        self._failure: BaseException | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        try:
            from personalize_rt.local import front
            from personalize_rt.local.others import Others
        except ImportError as error:
            missing = f'{error.name} is not installed: pip install "personalize-rt[server]"'
            raise ConfigurationError(missing) from None
        application = front.Application(
            local,
            verifier=Verifier(accepted, now) if accepted else None,
            hosts=hosts,
            # Behind a signature, no browser could see it; and only this machine is asked by its own names alone.
            page=not accepted and hosts.hosts is not None and isinstance(local, Shown),
            others=None if others is None else Others.at(others),
            log=None if log is None else _logging(log, log_format),
            max_body=max_body,
            max_bodies=max_bodies,
            body_timeout=body_timeout,
        )
        self._uvicorn = front.build(
            application, head_timeout=head_timeout, stop_timeout=ceil(stop_timeout), started=self._ready.set
        )

    @property
    def url(self) -> str:
        """The address to give to a client as ``endpoint_url``.

        Raises:
            ConfigurationError: The server is not running.
        """
        if self._socket is None:
            raise ConfigurationError("this server is not running: start() it first")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Start to listen, and return when connections are accepted.

        Raises:
            ConfigurationError: The port is in use or not allowed, the host is not an address of this machine, or the
                server was started before.
        """
        if self._thread is not None:
            raise ConfigurationError("a server starts once: make a new one")
        self._socket = _listen(self._host, self._port)
        self._thread = threading.Thread(target=self._run, name="personalize-rt-server", daemon=True)
        self._thread.start()
        self._ready.wait(_START_TIMEOUT)
        if self._failure is not None or not self._ready.is_set():
            self.stop()
            raise ConfigurationError(f"the server did not start: {self._failure or 'it took too long'}")

    def _run(self) -> None:
        assert self._socket is not None
        try:
            self._uvicorn.run(sockets=[self._socket])
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()
            for tell in self._ended:
                tell()

    def stop(self) -> None:
        """Stop accepting connections, let requests in flight finish, and end the thread. Safe to call twice."""
        self._uvicorn.should_exit = True
        if self._thread is not None:
            # uvicorn enforces the limit itself; a second more for its polling, and for a request that does not end.
            self._thread.join(ceil(self._stop_timeout) + 1)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Register a function that the server's thread calls when the server ends."""
        self._ended.append(tell)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


@contextmanager
def serving(
    local: Embedded,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    credentials: Iterable[Credentials] | None = None,
    require_signature: bool = False,
    allow_remote: bool = False,
    allow_hosts: Iterable[str] = (),
    allow_origins: Iterable[str] = (),
    others: str | None = None,
    log: Callable[[str], None] | None = None,
    log_format: LogFormat = "text",
    max_body: int = MAX_BODY,
    max_bodies: int = MAX_BODIES,
    head_timeout: float = HEAD_TIMEOUT,
    body_timeout: float = BODY_TIMEOUT,
    stop_timeout: float = STOP_TIMEOUT,
    now: Callable[[], datetime] = _utc_now,
) -> Generator[str, None, None]:
    """Serve during a ``with`` block, which gets the URL.

    Arguments and errors are those of :class:`Server`.
    """
    server = Server(
        local,
        host=host,
        port=port,
        credentials=credentials,
        require_signature=require_signature,
        allow_remote=allow_remote,
        allow_hosts=allow_hosts,
        allow_origins=allow_origins,
        others=others,
        log=log,
        log_format=log_format,
        max_body=max_body,
        max_bodies=max_bodies,
        head_timeout=head_timeout,
        body_timeout=body_timeout,
        stop_timeout=stop_timeout,
        now=now,
    )
    with server:
        yield server.url


def serve_forever(
    local: Embedded,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    credentials: Iterable[Credentials] | None = None,
    require_signature: bool = False,
    allow_remote: bool = False,
    allow_hosts: Iterable[str] = (),
    allow_origins: Iterable[str] = (),
    others: str | None = None,
    log: Callable[[str], None] | None = None,
    log_format: LogFormat = "text",
    ready_file: StrPath | None = None,
    max_body: int = MAX_BODY,
    stop_timeout: float = STOP_TIMEOUT,
    about: Iterable[str] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM. SIGHUP, on systems that have it, reloads the data.

    Must be called by the main thread. Arguments and errors are those of :class:`Server`, with a default ``port`` of
    8700. *ready_file* appears, with the address in it, when connections are accepted, and goes when the server ends; an
    old one goes first. *say* prints a line: the address, the lines *about* the resources, the outcome of each reload,
    and that the server is stopping.
    """
    server = Server(
        local,
        host=host,
        port=port,
        credentials=credentials,
        require_signature=require_signature,
        allow_remote=allow_remote,
        allow_hosts=allow_hosts,
        allow_origins=allow_origins,
        others=others,
        log=log,
        log_format=log_format,
        max_body=max_body,
        stop_timeout=stop_timeout,
    )
    if ready_file is not None:
        with suppress(OSError):
            os.unlink(ready_file)  # of a server that was killed
    # The handlers only note their signals, since a signal may interrupt anything half-way.
    noted: queue.SimpleQueue[int] = queue.SimpleQueue()
    server.when_ended(lambda: noted.put(signal.SIGTERM))
    with _noting_signals(noted), server, _ready(ready_file, server.url):
        say(f"serving Personalize on {server.url}")
        for line in about:
            say(line)
        while _next(noted) not in (signal.SIGINT, signal.SIGTERM):
            say(_reloaded(local))
        say("stopping")


@contextmanager
def _ready(path: StrPath | None, url: str) -> Generator[None, None, None]:
    """Keep a file with the address, for as long as the server answers."""
    if path is None:
        yield
        return
    try:
        replace_file(path, lambda file: file.write(f"{url}\n".encode()), permissions=EVERYBODY)
    except OSError as error:
        raise ConfigurationError(f"cannot write the ready file {os.fspath(path)}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)


def _reloaded(local: Embedded) -> str:
    try:
        local.reload()
    except PersonalizeError as error:
        return f"the data stay as they were: {error.message}"
    except Exception as error:
        # A defect. Its message may show personal data.
        return f"the data stay as they were: {type(error).__name__}"
    return "read the data again"


@contextmanager
def _noting_signals(noted: queue.SimpleQueue[int]) -> Generator[None, None, None]:
    def note(number: int, _frame: Any) -> None:
        noted.put(number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [(number, signal.signal(number, note)) for number in (signal.Signals[name] for name in names)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _next(noted: queue.SimpleQueue[int]) -> int:
    """Wait for a signal. On Windows, where a wait blocks signals, wake up now and then."""
    while True:
        try:
            return noted.get(timeout=None if os.name == "posix" else 0.5)
        except queue.Empty:
            continue


def _logging(
    write: Callable[[str], None], form: LogFormat
) -> Callable[[str | None, str | None, int | None, float], None]:
    def log(operation: str | None, resource: str | None, status: int | None, elapsed: float) -> None:
        received = time.time() - elapsed
        line = line_of(form, received=received, operation=operation, resource=resource, status=status, elapsed=elapsed)
        # A pipe whose reader is gone is no reason to stop serving.
        with suppress(OSError):
            write(line)

    return log


def _check_access(host: str, accepted: tuple[Credentials, ...], *, require_signature: bool, allow_remote: bool) -> None:
    remote = not is_loopback(host)
    if remote and not allow_remote:
        raise ValidationError(
            f"other machines may reach {host or 'every address'}: keep 127.0.0.1, or allow it with allow_remote "
            "(--allow-remote) and credentials",
            parameter="host",
        )
    if (remote or require_signature) and not accepted:
        why = "other machines may call" if remote else "signatures are required"
        raise ValidationError(
            f"{why}, and there are no credentials: set PERSONALIZE_RT_ACCESS_KEY_ID and "
            "PERSONALIZE_RT_SECRET_ACCESS_KEY, or name a credentials file",
            parameter="credentials",
        )


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValidationError("port must be from 0 (any free one) to 65535", parameter="port", limit=65535)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With IPPROTO_TCP, unlike create_server(): otherwise asyncio would not turn Nagle's algorithm off, and many clients
    # would wait 40 ms for the body of an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # Connections of a previous server may linger. On other systems, this would let two servers share a port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "the port is in use; choose another one, or 0 for any free one",
            errno.EACCES: "that port is not yours to use; choose one from 1024",
            errno.EADDRNOTAVAIL: "that is no address of this machine",
        }
        reason = reasons.get(error.errno or 0, error.strerror or "that is no address of this machine")
    listener.close()
    raise ConfigurationError(f"cannot listen on {host}, port {port}: {reason}")
