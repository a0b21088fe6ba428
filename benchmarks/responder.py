"""A server that answers at once with canned bytes, so that a benchmark measures the client.

Run as ``python -m benchmarks.responder``: it prints its port, and serves until its standard input closes. The size of
an answer is that of the request's ``inputList``; metadata come when the request asks for ``metadataColumns``. That of
PutEvents is empty.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from typing import cast

SIZES = (1, 25, 100, 500)

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Tue, 26 May 2020 22:02:55 GMT\r\n"
    b"x-amzn-requestid: fd2ea40f-11f5-461c-b678-6a6a08bdb416\r\ncontent-length: %d\r\nconnection: keep-alive\r\n\r\n"
)


def _answer(size: int, *, metadata: bool) -> bytes:
    chance = random.Random(size)
    weights = sorted((chance.random() for _ in range(size)), reverse=True)
    rows: list[dict[str, object]] = []
    for index, weight in enumerate(weights):
        row: dict[str, object] = {"itemId": f"item-{index:06d}", "score": round(weight / sum(weights), 7)}
        if metadata:
            row["metadata"] = {"title": f"The Film With Number {index}", "genres": "Action|Comedy|Drama"}
        rows.append(row)
    reply = {"personalizedRanking": rows, "recommendationId": "RID-3b-43d0-804e-23cbd70ed114-CID-3dd6cc"}
    body = json.dumps(reply, separators=(",", ":")).encode()
    return _HEAD % len(body) + body


_EMPTY = _HEAD % 0
ANSWERS = {(size, metadata): _answer(size, metadata=metadata) for size in SIZES for metadata in (False, True)}


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"content-length: *(\d+)", self._buffer[:end], re.IGNORECASE)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            if b'"eventList"' in body:
                self._transport.write(_EMPTY)
                continue
            size = body.count(b'"item-')
            self._transport.write(ANSWERS[size if size in SIZES else 25, b"metadataColumns" in body])


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
