"""The control of a measurement: the same wait as a call's, on a bare socket.

It connects, sends a request, reads until the deadline, and waits out what is left where the server was quicker. What
it takes beyond the deadline is the machine's doing, and no client's.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.sick.behaviours import RANKING_PATH

__all__ = ["beside", "by_task", "by_thread"]

_MESSAGE = b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}" % RANKING_PATH
_CHUNK = 65536


def by_thread(port: int, deadline: float) -> None:
    """Wait for so many seconds, on this thread."""
    start = time.perf_counter()

    def left() -> float:
        return max(1e-6, start + deadline - time.perf_counter())

    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=left()) as connection:
        connection.settimeout(left())
        connection.sendall(_MESSAGE)
        while time.perf_counter() < start + deadline:
            connection.settimeout(left())
            if not connection.recv(_CHUNK):
                break
    time.sleep(max(0.0, start + deadline - time.perf_counter()))


async def by_task(port: int, deadline: float) -> None:
    """Wait for so many seconds, as a task of this event loop."""
    start = time.perf_counter()
    with suppress(OSError):  # a TimeoutError is one
        async with asyncio.timeout(deadline):
            await _exchange(port)
    await asyncio.sleep(max(0.0, start + deadline - time.perf_counter()))


async def _exchange(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_MESSAGE)
        while await reader.read(_CHUNK):
            pass
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()  # and hear how it ended, of which asyncio would complain


@contextmanager
def beside(port: int, deadline: float) -> Iterator[list[float]]:
    """Controls on two threads for as long as a ``with`` block lasts; yields the seconds that each has taken."""
    taken: list[float] = []
    over = threading.Event()

    def work() -> None:
        while True:
            start = time.perf_counter()
            by_thread(port, deadline)
            taken.append(time.perf_counter() - start)
            if over.is_set():
                return

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        over.set()
        for thread in threads:
            thread.join()
