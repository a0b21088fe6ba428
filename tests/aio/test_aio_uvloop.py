"""Requests on an event loop of uvloop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport import streams
from tests.servers import ScriptedServer

uvloop = pytest.importorskip("uvloop")

pytestmark = pytest.mark.direct
ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def run(work: Coroutine[Any, Any, None]) -> list[str]:
    """Run something on a loop of uvloop; what the loop has to complain of."""
    complaints: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        await work
        await asyncio.sleep(0.05)  # for what comes late

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return complaints


@pytest.fixture
def secure_server(certificate: Path, server: ScriptedServer, monkeypatch: Any) -> str:
    """The URL of a server that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    return server.url.replace("http:", "https:")


@pytest.mark.parametrize("is_secure", [False, True])
def test_requests_are_sent_directly(is_secure: bool, server: Any, request: Any) -> None:
    url = request.getfixturevalue("secure_server") if is_secure else server.url

    async def work() -> None:
        async with AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, deadline=None) as runtime:
            for _ in range(3):
                assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)
            assert (await runtime._transport.way())[0] == "direct"

    assert run(work()) == []
    assert server.count == 3


def test_a_call_that_is_cancelled_as_its_connection_opens_leaves_it_closed_without_a_complaint(
    secure_server: str, monkeypatch: Any
) -> None:
    made = streams._Connection.connection_made
    opened: list[Any] = []
    calls: list[asyncio.Task[Any]] = []

    def cancelling(connection: Any, transport: Any) -> None:
        made(connection, transport)
        opened.append(transport)
        calls[-1].cancel()

    monkeypatch.setattr(streams._Connection, "connection_made", cancelling)

    async def work() -> None:
        async with AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=secure_server) as runtime:
            await runtime.connect()
            for _ in range(3):
                calls.append(asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN)))
                with pytest.raises(asyncio.CancelledError):
                    await calls[-1]

    assert run(work()) == []
    assert len(opened) == 3
    assert all(transport.is_closing() for transport in opened)
