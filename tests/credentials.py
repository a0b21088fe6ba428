"""Where credentials come from, on 127.0.0.1, and an environment that names it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.servers import QuietServer


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
