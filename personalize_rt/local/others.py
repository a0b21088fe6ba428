"""Handing requests for other services on, so that one address serves a whole program, with the rest of AWS in moto.

A program that is told one ``AWS_ENDPOINT_URL`` sends everything there. The signature of a request names the service
that it is for (AWS Signature Version 4, the credential scope), in the ``Authorization`` header or in the query of a
presigned URL. What is signed for another service goes to another server, byte for byte: head, path and ``Host`` are
what the signature covers. Bodies pass through as they come, of any length.

Needs h11, which uvicorn brings.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import h11
from starlette.types import Receive, Scope, Send

from personalize_rt.errors import ValidationError
from personalize_rt.local.sigv4 import SIGNING_NAME

__all__ = ["Others", "is_for_others"]

_Headers = Sequence[tuple[bytes, bytes]]

# key/date/region/service/aws4_request, of Signature Version 4 and its variant for several regions, which has no region.
_SCOPE = re.compile(rb"Credential=[^,;&]*/\d{8}(?:/[^/,;&]*)?/([^/,;&]+)/aws4_request")
_PRESIGNED = re.compile(r"(?:^|&)X-Amz-Credential=([^&]*)", re.IGNORECASE)
# Headers of one connection (RFC 9110, "Connection"), which do not pass through.
_OF_THE_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
_CONNECT_TIMEOUT = 5.0  # seconds
_READ = 1 << 16


def is_for_others(headers: _Headers, query: bytes) -> bool:
    """Tell whether a request is signed, and for another service than Personalize."""
    for name, value in headers:
        if name == b"authorization":
            found = _SCOPE.search(value)
            return found is not None and found[1] != SIGNING_NAME.encode()
    presigned = _PRESIGNED.search(query.decode("latin-1")) if query else None
    if presigned is None:
        return False
    found = _SCOPE.search(b"Credential=" + unquote(presigned[1]).encode())
    return found is not None and found[1] != SIGNING_NAME.encode()


@attrs.frozen
class Others:
    """The server of the other services.

    Attributes:
        host: Its name or address.
        port: Its port.
        secure: Whether it speaks TLS.
    """

    host: str
    port: int
    secure: bool = False

    @classmethod
    def at(cls, url: str) -> Others:
        """The server of a URL.

        Raises:
            ValidationError: It is not the URL of a server.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValidationError(
                "others (--others) is the URL of a server, without a path, such as http://127.0.0.1:5000",
                parameter="others",
            )
        secure = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if secure else 80), secure)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> int | None:
        """Hand a request on, and its answer back (ASGI).

        Returns:
            The status; ``None`` if the answer broke off.
        """
        exchange = _Exchange(scope, receive, send)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.secure or None)
        except (OSError, TimeoutError):
            return await exchange.refuse(f"the server of --others, {self.host} port {self.port}, does not answer")
        try:
            return await exchange.run(reader, writer)
        except (OSError, h11.ProtocolError):
            if exchange.status is None:
                return await exchange.refuse(f"the server of --others, {self.host} port {self.port}, broke off")
            raise
        finally:
            writer.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.status: int | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        connection = h11.Connection(h11.CLIENT)
        sending = asyncio.ensure_future(self._pass_on(connection, writer))
        try:
            return await self._pass_back(connection, reader)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _pass_on(self, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
        scope = self._scope
        target: bytes = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        headers = [(name, value) for name, value in scope["headers"] if name not in (*_OF_THE_CONNECTION, b"expect")]
        if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            headers.append((b"transfer-encoding", b"chunked"))
        request = h11.Request(
            method=scope["method"].encode(), target=target, headers=[*headers, (b"connection", b"close")]
        )
        writer.write(connection.send(request) or b"")
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                writer.close()  # the client has disconnected
                return
            writer.write(connection.send(h11.Data(data=message.get("body", b""))) or b"")
            if not message.get("more_body"):
                break
            await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()

    async def _pass_back(self, connection: h11.Connection, reader: asyncio.StreamReader) -> int | None:
        while True:
            event: Any = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Response):
                self.status = event.status_code
                headers = [(name, value) for name, value in event.headers if name not in _OF_THE_CONNECTION]
                await self._send({"type": "http.response.start", "status": event.status_code, "headers": headers})
            elif isinstance(event, h11.Data):
                await self._send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
            elif isinstance(event, h11.EndOfMessage):
                await self._send({"type": "http.response.body", "body": b""})
                return self.status
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection was closed")

    async def refuse(self, message: str) -> int:
        body = json.dumps({"message": message}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": 502, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
        self.status = 502
        return self.status
