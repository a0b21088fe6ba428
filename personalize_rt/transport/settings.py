"""The settings of connections of our own, for an event loop."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Settings"]


class Settings(NamedTuple):
    """The settings of a client's own session for connections to its endpoint.

    Attributes:
        url: The endpoint.
        host: Its host, without brackets.
        port: Its port.
        tls: The TLS context with CA bundle and client certificate, or ``None`` for plain HTTP.
        connect_timeout: Seconds for connecting to one address, or ``None``.
        read_timeout: Seconds without a byte after which an answer is given up, or ``None``.
        socket_options: What ``setsockopt`` is called with.
        pool_size: Idle connections to keep at the most.
    """

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout: float | None
    read_timeout: float | None
    socket_options: Sequence[tuple[Any, ...]]
    pool_size: int
