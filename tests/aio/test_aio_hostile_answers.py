"""Whatever an answer holds, a call of the async client returns a result or raises one of our errors.

``ANSWERS=100000 pytest tests/aio/test_aio_hostile_answers.py`` tries more than the default run does.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import ssl
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from personalize_rt import InvalidInputError, RetryPolicy
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport.streams import Streams, _Connection, _Turns

HOSTILE = Path(__file__).parents[1] / "transport" / "hostile.py"
spec = importlib.util.spec_from_file_location("hostile_for_aio", HOSTILE)
assert spec is not None
assert spec.loader is not None
hostile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hostile)

SOCK: Any = SimpleNamespace(settimeout=lambda _: None, recv=lambda _: b"")  # from which nothing is left to read
COUNT = int(os.environ.get("ANSWERS", "600"))
DECODERS = ("orjson", "msgspec.json")


class Transport:
    """Stands for the loop's: whoever writes a request is given an answer in pieces, and then the end or a reset."""

    def __init__(self, answer: bytes, chance: Random) -> None:
        self.connection: Any = None
        size = chance.choice((1, 7, 1000, 262_144)) if len(answer) < 2000 else 262_144
        self._pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        self._resets = chance.random() < 0.1
        self._closing = False
        self._paused = False

    def write(self, message: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        while self._pieces and not self._paused and not self._closing:
            self.connection.data_received(self._pieces.pop(0))
        if self._closing or self._paused:
            return
        if not self._resets:
            self.connection.eof_received()
        self.connection.connection_lost(ConnectionResetError(104, "reset") if self._resets else None)
        self._closing = True

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._go_on)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self._closing = True


def runtime(url: str) -> AsyncPersonalizeRuntime:
    return AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, retry=RetryPolicy(1), deadline=None)


@pytest.mark.direct
@pytest.mark.timeout(60 + COUNT // 50)
@pytest.mark.parametrize("decoder", ["json", *DECODERS])
async def test_whatever_an_answer_holds_only_our_errors_come_out(decoder: str, monkeypatch: Any) -> None:
    pytest.importorskip(decoder.partition(".")[0])
    import_module(decoder)
    for name in DECODERS:
        if name != decoder:
            monkeypatch.delitem(sys.modules, name, raising=False)
    chance, outcomes, now, turns = Random(5), hostile.Outcomes(), [b""], _Turns()

    async def connected(*_: Any) -> _Connection:
        connection, transport = _Connection(turns, SOCK), Transport(now[0], chance)
        transport.connection = connection
        connection.connection_made(transport)  # type: ignore[arg-type]  # what is used of it
        return connection

    monkeypatch.setattr(Streams, "_connected", connected)
    monkeypatch.setattr("personalize_rt.transport.streams._Connections.take", lambda *_: None)
    async with runtime("http://127.0.0.1:9") as asked:
        for number, now[0] in enumerate(hostile.answers(7, COUNT)):
            method, arguments = hostile.question(number)
            with outcomes.one(number, lambda: now[0]) as results:
                results.append(await asyncio.wait_for(getattr(asked, method)(**arguments), 20))
    outcomes.check(COUNT)


@pytest.mark.timeout(60 + COUNT // 50)
async def test_whatever_comes_over_a_socket_only_our_errors_come_out() -> None:
    outcomes, count = hostile.Outcomes(), COUNT // 4
    with hostile.HostileServer(hostile.answers(8, 2 * count)) as server:
        async with runtime(server.url) as asked:
            for number in range(count):
                method, arguments = hostile.question(number)
                with outcomes.one(number, lambda: server.last) as results:
                    results.append(await getattr(asked, method)(**arguments))
    outcomes.check(count)


# Refusals that come before the request is read


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch, nobody_watches: None) -> None:
    """Sending takes until the server reads: no request fits into what this machine keeps of it."""
    connect = socket.socket.connect

    def connect_small(connection: socket.socket, address: Any) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connect(connection, address)

    monkeypatch.setattr(socket.socket, "connect", connect_small)


async def send_much(url: str, *, attempts: int = 3, **options: Any) -> Any:
    retry = RetryPolicy(attempts, base=0)
    async with AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, retry=retry, **options) as runtime:
        return await runtime.get_personalized_ranking(campaign_arn=hostile.ARN, user_id="u", input_list=hostile.MANY)


@pytest.mark.direct
@pytest.mark.parametrize("form", hostile.REFUSALS)
@pytest.mark.parametrize("after", [50, 20_000])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_refusal_that_comes_before_the_request_is_read_is_told_and_not_sent_again(
    form: str, after: int, tls: bool, small_buffers: None, certificate: Path, monkeypatch: Any
) -> None:
    context = None
    if tls:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    with hostile.RefusingServer(hostile.REFUSALS[form], after=after, tls=context) as server:
        # Over TLS it is lost if writing fails in the moment in which it comes, and the request is sent again: on a busy
        # machine three times in a row, now and then.
        with pytest.raises(InvalidInputError) as caught:
            await send_much(server.url, attempts=10 if tls else 3)
        assert caught.value.status_code == 413
        if not tls:
            assert (caught.value.attempts, server.connections) == (1, 1)


@pytest.mark.direct
async def test_a_refusal_of_a_server_that_stays_is_told_at_once(small_buffers: None) -> None:
    with hostile.RefusingServer(hostile.REFUSALS["counted"], after=50, stays=True) as server:
        with pytest.raises(InvalidInputError):
            await send_much(server.url)
        assert server.connections == 1
