"""``gunicorn --preload -k gevent``: built in the first process, forked, and only then is ``threading`` patched."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import RetryPolicy

HERE = Path(__file__).parent
CALLS = 8


@contextmanager
def gunicorn(endpoint: str, home: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """Serve the application; its address, and the process that built it."""
    pytest.importorskip("gunicorn")
    pytest.importorskip("gevent")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        number = listener.fileno()
        options = f"--preload -k gevent --bind fd://{number} --graceful-timeout 1 --log-level error".split()
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "gunicorn", *options, "--pythonpath", str(HERE), "preloaded_app"],
            env={**os.environ, "ENDPOINT": endpoint, "HOME": str(home), **environment},
            pass_fds=[number],
        )
        try:
            yield address, process.pid
        finally:
            process.terminate()
            process.wait(20)


def pages(url: str, *numbers: int) -> list[list[str]]:
    """Ask for pages, all at once; the words of each."""

    def get(number: int) -> list[str]:
        with urllib.request.urlopen(f"{url}?{number}", timeout=40) as page:
            text: str = page.read().decode()
            return text.split()

    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(get, numbers))


@pytest.fixture
def all_at_once(server: Any) -> Iterator[None]:
    """The service answers so many calls only when all of them are there; the one that is made at start-up at once."""
    all_there = threading.Barrier(CALLS)

    def answer(request: Any) -> None:
        if "numResults" in request.members:
            all_there.wait(20)

    server.always(answer)
    yield
    all_there.abort()


@pytest.mark.usefixtures("all_at_once")
def test_a_runtime_built_before_the_fork_works_as_a_client_of_boto3_does(server: Any, tmp_path: Path) -> None:
    with gunicorn(server.url, tmp_path) as (address, master):
        for who in ("used", "unused"):
            # None holds up the others, and equal ones are one request.
            answers = pages(f"{address}/{who}", *range(1, CALLS + 1))
            assert {tuple(answer[:2]) for answer in answers} == {("service", "gevent")}
            assert len({answer[2] for answer in answers} - {str(master)}) == 1
            again = pages(f"{address}/{who}", *range(1, CALLS + 1))
            assert {answer[0] for answer in again} == {"cache"}
        assert server.count == 1 + 2 * CALLS


def test_equal_calls_of_greenlets_are_one_request(server: Any, tmp_path: Path) -> None:
    def take_a_moment(_: Any) -> None:
        time.sleep(0.2)

    with gunicorn(server.url, tmp_path) as (address, _):
        assert pages(f"{address}/boto3", 1)[0][:2] == ["service", "gevent"]
        server.reset()
        server.always(take_a_moment)
        for who in ("used", "unused"):
            answers = pages(f"{address}/{who}", *[5] * CALLS)
            assert sorted(answer[0] for answer in answers) == ["cache"] * (CALLS - 1) + ["service"]
        assert server.count == 2


def test_tls_works_although_it_was_patched_after_botocore_was_imported(certificate: Path, tmp_path: Path) -> None:
    """boto3 itself fails there with a RecursionError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    body = json.dumps({"itemList": [{"itemId": "i1"}]}).encode()

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            while secure.recv(65536):
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with gunicorn(endpoint, tmp_path, AWS_CA_BUNDLE=str(certificate)) as (address, _):
            for who in ("used", "unused"):
                assert {tuple(answer[:2]) for answer in pages(f"{address}/{who}", 2, 3)} == {("service", "gevent")}


def test_waits_go_by_what_sleeping_means_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    policy = RetryPolicy()
    monkeypatch.setattr(time, "sleep", slept.append)
    policy.sleep(0.25)
    assert slept == [0.25]
