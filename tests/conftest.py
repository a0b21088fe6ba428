"""Fixtures that many tests share: servers, clients for them, a clock that only sleeping moves, forked children."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.certificates import TLS_TROUBLES
from tests.certificates import certificate as certificate
from tests.certificates import tls_trouble as tls_trouble
from tests.credentials import credentials_of as credentials_of
from tests.credentials import giver as giver
from tests.servers import REPLIES, ScriptedServer


class FakeTime:
    """A clock that stands still unless somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def passes(self, seconds: float, outcome: Any = None) -> Callable[[Any], Any]:
        """An outcome for the server, after so many seconds of this clock."""

        def wait(_: Any) -> Any:
            self.now += seconds
            return outcome

        return wait


class Background:
    """The threads that calls of this test have started.

    A test before it may have left its own behind: without the fast path, a request that hangs has a thread until its
    time-out.
    """

    def __init__(self) -> None:
        self._others = set(threading.enumerate())

    def threads(self, *names: str) -> list[threading.Thread]:
        """Those that are alive, by name; of a request of ours when no name is given."""
        wanted = names or ("personalize-rt",)
        found = [each for each in threading.enumerate() if each.name in wanted and each not in self._others]
        for thread in found:
            while thread.ident is None:  # it is listed before it has begun, and cannot be joined yet
                time.sleep(0.001)
        return found

    def end(self, *names: str) -> None:
        """Wait for all of them, those too that the last ones start."""
        until = time.monotonic() + 20
        while found := self.threads(*names):
            for thread in found:
                thread.join(max(0, until - time.monotonic()))
                assert not thread.is_alive(), "a request that nobody waits for was not cancelled"


class HangingChildError(Exception):
    """A forked child did not come to an end."""


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """Have another thread hold a lock."""
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(20)
    try:
        yield
    finally:
        over.set()
        thread.join(20)


def in_a_forked_child(work: Callable[[], object], *, holding: Any = None, within: float = 30.0) -> str:
    """Fork, and do something in the child.

    Args:
        work: What the child does. Nothing of the test, and no thread of its parent, goes on there.
        holding: A lock that another thread holds at the fork.
        within: Seconds that the child is given.

    Returns:
        The text of the outcome, or ``"ErrorClass: text"``.

    Raises:
        HangingChildError: The child was not done in time, and was killed.
    """
    if holding is not None:
        with held(holding):
            return in_a_forked_child(work, within=within)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 and later warn of a fork beside threads, which is what these tests are about.
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            outcome = str(work())
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        os.write(writing, outcome.encode() or b" ")
        os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], within)
        if not ready:
            os.kill(child, signal.SIGKILL)
            raise HangingChildError(f"the child was not done within {within:g} s")
        return os.read(reading, 65536).decode().strip()
    finally:
        os.close(reading)
        os.waitpid(child, 0)


@pytest.fixture
def forked() -> Callable[..., str]:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    return in_a_forked_child


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Background:
    monkeypatch.setattr("personalize_rt.threads._IDLE", 0.2)  # nobody waits 10 s for threads that are kept
    return Background()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def sick_server(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Starts servers of :mod:`tests.sick`, and sets the variables that a client needs in order to meet them."""
    from tests.sick.kinds import KINDS
    from tests.sick.server import SickServer

    with contextlib.ExitStack() as stack:

        def start(name: str) -> Any:
            server = stack.enter_context(SickServer(KINDS[name], certificate))
            for variable, value in KINDS[name].client_environment(server.url, tmp_path, certificate).items():
                if value is None:
                    monkeypatch.delenv(variable, raising=False)
                else:
                    monkeypatch.setenv(variable, value)
            return server

        yield start


@pytest.fixture
def nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test patches of sockets and TLS counts as no stand-in for the network, so that calls stay direct."""
    monkeypatch.setattr("personalize_rt.transport.watching._foreign", lambda place: None)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="session")
def session(made_up_aws_account: None) -> Any:
    """One boto3 session for many clients: loading the service model is what takes time."""
    import boto3

    return boto3.Session(region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def plain_client(session: Any, server: ScriptedServer) -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients of the caller's own, by default without botocore's retries."""
    from botocore.config import Config

    clients = []

    def make(**config: Any) -> Any:
        config = {"retries": {"total_max_attempts": 1, "mode": "standard"}, "read_timeout": 5, **config}
        client = session.client("personalize-runtime", endpoint_url=server.url, config=Config(**config))
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def runtime(session: Any, server: ScriptedServer, fake_time: FakeTime) -> Iterator[Callable[..., Any]]:
    """Makes runtimes that build their own client for the server, and never really sleep."""
    from personalize_rt import PersonalizeRuntime, RetryPolicy

    runtimes = []

    def make(*, retry: Mapping[str, Any] = {}, **arguments: Any) -> Any:
        policy = {"clock": fake_time.clock, "sleep": fake_time.sleep, "random": lambda: 1.0, **retry}
        defaults = {"session": session, "endpoint_url": server.url, "retry": RetryPolicy(**policy)}
        if "client" in arguments:
            del defaults["session"], defaults["endpoint_url"]
        runtimes.append(PersonalizeRuntime(**{**defaults, **arguments}))
        return runtimes[-1]

    yield make
    for made in runtimes:
        made.close()


@attrs.define
class Wire:
    """A real boto3 client without a socket, which keeps what was sent and answers well."""

    client: Any = None
    sent: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)

    def respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, bytes]:
        self.sent.append((path, json.loads(body)))
        return 200, {"content-type": "application/json"}, json.dumps(REPLIES[path]).encode()

    def take(self) -> tuple[str, dict[str, Any]]:
        """The one request that was sent since the last time."""
        (request,) = self.sent
        self.sent.clear()
        return request


@pytest.fixture(scope="session")
def one_wire() -> Iterator[Wire]:
    from personalize_rt.transport.in_process import in_process_client

    wire = Wire()
    wire.client = in_process_client(wire.respond)
    yield wire
    wire.client.close()


@pytest.fixture
def wire(one_wire: Wire) -> Wire:
    one_wire.sent.clear()
    return one_wire


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument ``kind_of_trouble`` runs once for each kind of TLS trouble."""
    if "kind_of_trouble" in metafunc.fixturenames:
        metafunc.parametrize("kind_of_trouble", TLS_TROUBLES)


_WARM_UP, _CALLS = 3, 20


@pytest.fixture
def circles() -> Iterator[Callable[[Callable[[], Any]], Counter[str]]]:
    """Counts the objects that many calls leave in circles, by type, a call."""

    def count(call: Callable[[], Any]) -> Counter[str]:
        for _ in range(_WARM_UP):
            call()
        gc.freeze()  # what is here already is not looked at again, so that a collection takes no time
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(_CALLS):
            call()
        gc.collect()
        found = Counter(type(each).__name__ for each in gc.garbage)
        return Counter({kind: number // _CALLS for kind, number in found.items() if number >= _CALLS})

    yield count
    gc.set_debug(0)
    gc.garbage.clear()
    gc.collect()
    gc.unfreeze()
    gc.enable()
