"""What tests of the client share: an HTTP server that answers by a script, a clock that only sleeping moves."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

SERVER_DATE = "Tue, 26 May 2020 22:02:55 GMT"
REQUEST_ID = "fd2ea40f-11f5-461c-b678-6a6a08bdb416"
REPLIES: Mapping[str, Mapping[str, Any]] = {
    "/recommendations": {"itemList": [{"itemId": "i1", "score": 0.5}], "recommendationId": "RID-1"},
    "/personalize-ranking": {"personalizedRanking": [{"itemId": "i1", "score": 1.0}], "recommendationId": "RID-1"},
    "/action-recommendations": {"actionList": [{"actionId": "a1", "score": 0.5}], "recommendationId": "RID-1"},
}
CODES = {
    400: "InvalidInputException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    429: "ThrottlingException",
    500: "InternalFailure",
    503: "ServiceUnavailable",
}


@attrs.frozen
class Received:
    """One request as it arrived; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body)
        return members


@attrs.frozen
class Answer:
    """One reply; ``promised`` is a content-length that the body does not keep."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    promised: int | None = None


class QuietServer(ThreadingHTTPServer):
    """Does not print that a client has left, which is what many tests are about; any other error it does."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ScriptedServer:
    """A Personalize on 127.0.0.1 that answers as it is told, and well when it is told nothing.

    An outcome is a status, the members of a reply, an :class:`Answer`, ``"close"`` (no answer), ``"hang"`` (none
    until the test is over), or a function of the request that gives one of these.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.over = threading.Event()
        self._outcomes: deque[Any] = deque()
        self._repeated: Any = None
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._http = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.005,), daemon=True).start()

    @property
    def count(self) -> int:
        """Requests that arrived so far."""
        return len(self.received)

    def script(self, *outcomes: Any) -> None:
        """Answer the next requests so, each outcome once."""
        self._outcomes.extend(outcomes)

    def always(self, outcome: Any) -> None:
        """Answer so when the script is over."""
        self._repeated = outcome

    def reset(self) -> None:
        """Forget requests and outcomes."""
        self.received.clear()
        self._outcomes.clear()
        self._repeated = None

    def close(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def answer(status: int = 200, body: Any = b"{}", *, promised: int | None = None, **headers: str) -> Answer:
        """An answer; ``x_amz_retry_after="5"`` gives the header ``x-amz-retry-after``."""
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Answer(status, encoded, {name.replace("_", "-"): text for name, text in headers.items()}, promised)

    @classmethod
    def failure(cls, status: int, code: str | None = None, message: str = "", **headers: str) -> Answer:
        """An error as the service sends it."""
        code = CODES.get(status) if code is None else code
        kind = {"x_amzn_errortype": f"{code}:http://internal.amazon.com/coral/"} if code else {}
        return cls.answer(status, {"message": message}, **kind, **headers)

    def _outcome(self, request: Received) -> Any:
        with self._lock:
            self.received.append(request)
            outcome = self._outcomes.popleft() if self._outcomes else self._repeated
        if callable(outcome):
            outcome = outcome(request)
        if outcome is None:
            outcome = REPLIES[request.path]
        if isinstance(outcome, int):
            outcome = self.failure(outcome)
        return self.answer(200, outcome) if isinstance(outcome, Mapping) else outcome

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                server._connections.append(self.connection)

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outcome = server._outcome(Received(self.command, self.path, headers, self.rfile.read(length)))
                if isinstance(outcome, Answer):
                    self._send(outcome)
                    return
                if outcome == "hang":
                    server.over.wait()
                self.close_connection = True

            def _send(self, answer: Answer) -> None:
                self.send_response_only(answer.status)
                headers = {"content-type": "application/json", "date": SERVER_DATE, "x-amzn-requestid": REQUEST_ID}
                length = len(answer.body) if answer.promised is None else answer.promised
                for name, value in {**headers, **answer.headers, "content-length": str(length)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.promised is not None

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


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
def background() -> Background:
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


class CredentialsServer:
    """STS, the credentials endpoint of a container and instance metadata, on 127.0.0.1.

    An outcome is a status, a code of STS with its status and text, bytes (of a container), ``"close"``, ``"hang"``
    (until the test is over), or an event to wait for before answering well; ``None`` is a good answer.
    """

    SECRET = "a-secret-that-nobody-may-see"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.repeated: Any = None
        self.lifetime = 3600.0  # seconds that the credentials of the next answers last
        self.over = threading.Event()
        self._outcomes: deque[Any] = deque()
        self._http = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.005,), daemon=True).start()

    @property
    def count(self) -> int:
        """Requests for credentials that arrived so far."""
        return len(self.asked)

    def script(self, *outcomes: Any) -> None:
        """Answer the next requests so, each outcome once."""
        self._outcomes.extend(outcomes)

    def close(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()

    def key(self) -> str:
        """The access key of the last good answer."""
        return f"ASIA{self.count}"

    def _expiration(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.lifetime))

    def _of_sts(self, operation: str) -> str:
        return (
            f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{operation}Result><Credentials>'
            f"<AccessKeyId>{self.key()}</AccessKeyId><SecretAccessKey>{self.SECRET}</SecretAccessKey>"
            f"<SessionToken>{self.SECRET}</SessionToken><Expiration>{self._expiration()}</Expiration></Credentials>"
            f"</{operation}Result></{operation}Response>"
        )

    def _of_metadata(self) -> str:
        keys = {"AccessKeyId": self.key(), "SecretAccessKey": self.SECRET, "Token": self.SECRET}
        return json.dumps({"Code": "Success", **keys, "Expiration": self._expiration()})

    def _answer(self, what: str) -> tuple[int, str] | None:
        self.asked.append(what)
        outcome = self._outcomes.popleft() if self._outcomes else self.repeated
        if outcome == "hang":
            outcome = self.over
        if isinstance(outcome, threading.Event):
            outcome.wait()
            outcome = "close" if outcome is self.over else None
        if outcome == "close":
            return None
        if isinstance(outcome, bytes):
            return 200, outcome.decode()
        if isinstance(outcome, tuple):
            code, status, text = outcome
            error = f"<Error><Code>{code}</Code><Message>{text}</Message></Error><RequestId>of-sts</RequestId>"
            return status, f"<ErrorResponse>{error}</ErrorResponse>"
        if isinstance(outcome, int):
            return outcome, ""
        return 200, self._of_sts(what) if what.startswith("AssumeRole") else self._of_metadata()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                self._send(server._answer(body.partition("Action=")[2].partition("&")[0]))

            def do_PUT(self) -> None:
                self._send((200, "token"))

            def do_GET(self) -> None:
                a_list = self.path.endswith("/security-credentials/")
                self._send((200, "role") if a_list and server.repeated is None else server._answer(self.path))

            def _send(self, answer: tuple[int, str] | None) -> None:
                self.close_connection = True
                if answer is None:
                    return
                status, text = answer
                self.send_response_only(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def giver() -> Iterator[CredentialsServer]:
    """Gives credentials."""
    giver = CredentialsServer()
    yield giver
    giver.close()


@pytest.fixture
def credentials_of(giver: CredentialsServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the environment say that credentials come from a provider, as botocore names it, at the ``giver``."""
    import os

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    config = tmp_path / "config"
    # The client that asks STS tries once: its waits between attempts are botocore's, and long.
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "nowhere"),
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_RETRY_MODE": "standard",
        "AWS_ENDPOINT_URL_STS": giver.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    role = "role_arn = arn:aws:iam::123456789012:role/x"

    def choose(provider: str) -> None:
        if provider == "assume-role":
            config.write_text(f"[default]\nsource_profile = keys\n{role}\n[profile keys]\naws_access_key_id = a\n"
                              "aws_secret_access_key = b\n")  # fmt: skip
        elif provider == "assume-role-with-web-identity":
            (tmp_path / "token").write_text(CredentialsServer.SECRET)
            monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
            monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
        elif provider == "container-role":
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{giver.url}/container")
        elif provider == "iam-role":
            monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", giver.url)
        else:
            config.write_text(f"[default]\ncredential_process = {provider}\n")

    return choose


class Certificates:
    """Makes certificates; each file holds the key as well."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self._authority = self._made("an authority", None, None, (-2, 2), is_authority=True)
        self.authority = self._write("authority", self._authority)

    def one(self, name: str, *, of: str, signed_by: str = "the authority", days: tuple[float, float] = (-1, 1)) -> Any:
        """The file of a certificate for a host name or an IP address, valid from so many days on, to so many.

        Signed by ``"the authority"``, by ``"itself"``, or by ``"a chain"``: the authority, whose own comes with it.
        """
        issuer = None if signed_by == "itself" else self._authority
        made = self._made(name, of, issuer, days)
        return self._write(name, made, *([self._authority] if signed_by == "a chain" else []))

    def _made(
        self, name: str, of: str | None, issuer: Any, days: tuple[float, float], *, is_authority: bool = False
    ) -> Any:
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[1].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if of is not None:
            digits = of.replace(".", "").isdigit()
            host = x509.IPAddress(ipaddress.ip_address(of)) if digits else x509.DNSName(of)
            made = made.add_extension(x509.SubjectAlternativeName([host]), critical=False)
        return key, made.sign(issuer[0] if issuer else key, hashes.SHA256())

    def _write(self, name: str, *made: Any) -> Any:
        from cryptography.hazmat.primitives import serialization as s

        path = self._folder / f"{name}.pem"
        key = made[0][0].private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        path.write_bytes(key + b"".join(each[1].public_bytes(s.Encoding.PEM) for each in made))
        return path


@pytest.fixture
def tls_trouble(
    server: ScriptedServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[str, tuple[str, ...]]]]:
    """Starts an endpoint to which no secure connection is possible, and gives its URL and words of the reason."""
    pytest.importorskip("cryptography")
    import ssl
    import warnings

    certificates = Certificates(tmp_path)
    listeners: list[socket.socket] = []

    def listen(certificate: Any, **settings: Any) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(certificates.authority)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # old versions of TLS are
            for name, value in settings.items():
                setattr(context, name, value)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:  # the test is over
                    return
                secure = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                secure.settimeout(10)
                with secure:
                    try:
                        secure.do_handshake()
                        secure.recv(65536)
                    except OSError:
                        # Until the client has read why: a reset could reach it before.
                        with contextlib.suppress(OSError):
                            while socket.socket.recv(secure, 65536):
                                pass

        threading.Thread(target=serve, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    def start(kind: str) -> tuple[str, tuple[str, ...]]:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
        trusted = "AWS_CA_BUNDLE"
        if kind == "missing CA file":
            monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
            return listen(certificates.one("a", of="127.0.0.1")), ("AWS_CA_BUNDLE names is not there",)
        if kind == "CA file without certificates":
            (tmp_path / "text.pem").write_text("no certificate")
            monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "text.pem"))
            return listen(certificates.one("a", of="127.0.0.1")), ("is not a PEM file", "AWS_CA_BUNDLE")
        if kind == "plain HTTP":
            return server.url.replace("http:", "https:"), ("does not speak TLS on this port", "http://")
        if kind == "another address":
            return listen(certificates.one("a", of="127.0.0.2")), ("for another name", "host name of the endpoint")
        if kind == "another name":
            url = listen(certificates.one("a", of="other.example")).replace("127.0.0.1", "localhost")
            return url, ("for another name", "host name of the endpoint")
        if kind == "unknown issuer":
            monkeypatch.delenv("AWS_CA_BUNDLE")
            return listen(certificates.one("a", of="127.0.0.1")), ("issuer", "unknown here", trusted, "proxy")
        if kind == "unknown authority in the chain":
            monkeypatch.delenv("AWS_CA_BUNDLE")
            chain = certificates.one("a", of="127.0.0.1", signed_by="a chain")
            return listen(chain), ("issuer", "unknown here", trusted)
        if kind == "self-signed":
            return listen(certificates.one("a", of="127.0.0.1", signed_by="itself")), ("self-signed", trusted)
        if kind == "expired":
            return listen(certificates.one("a", of="127.0.0.1", days=(-2, -1))), ("has expired", "renewed", "clock")
        if kind == "not yet valid":
            return listen(certificates.one("a", of="127.0.0.1", days=(1, 2))), ("not valid yet", "clock")
        good = certificates.one("a", of="127.0.0.1")
        if kind == "old TLS":
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                old = ssl.TLSVersion.TLSv1_1
            return listen(good, maximum_version=old), ("TLS 1.2",)
        version = {"maximum_version": ssl.TLSVersion.TLSv1_2} if kind.endswith("TLS 1.2") else {}
        return listen(good, verify_mode=ssl.CERT_REQUIRED, **version), ("wants a client certificate",)

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


TLS_TROUBLES = (
    "missing CA file",
    "CA file without certificates",
    "plain HTTP",
    "another address",
    "another name",
    "unknown issuer",
    "unknown authority in the chain",
    "self-signed",
    "expired",
    "not yet valid",
    "old TLS",
    "client certificate, TLS 1.2",
    "client certificate, TLS 1.3",
)


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
        gc.collect()
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
    gc.enable()
    gc.collect()
