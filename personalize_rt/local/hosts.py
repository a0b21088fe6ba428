"""Protection against requests of foreign web pages, by checks of the ``Host`` and ``Origin`` headers.

A page may send requests to any address, but a browser lets it read only answers of its own origin. DNS rebinding gets
around that: the page's name resolves to its server first and to 127.0.0.1 later, so that an embedded service on this
machine has the page's origin. But the browser still sends the page's name in the ``Host`` header, which no page can
change.

So a server that only this machine can reach accepts only the names of this machine, and configured ones. If other
machines can reach it, every request must be signed, ``Host`` included, which no such page can do. Then any name is
accepted, unless some are configured.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Self

import attrs

from personalize_rt.errors import ValidationError

__all__ = ["ForeignError", "HostRule", "is_loopback"]

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?P<port>:[0-9]{0,5})?", re.ASCII)
# The most characters of a Host header: a name has at most 253 (RFC 1035).
_LONGEST = 260


class ForeignError(Exception):
    """A request is refused for its ``Host`` or ``Origin``.

    Args:
        status: The HTTP status.
        code: The error code.
        message: The problem, and what to do.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


@attrs.frozen
class HostRule:
    """The rule of one server on ``Host`` and ``Origin``.

    Attributes:
        hosts: Accepted names and addresses beside those of this machine; ``None`` for any.
        signed: Whether requests must be signed, so that ``Origin`` need not be checked.
    """

    hosts: frozenset[str] | None = frozenset()
    signed: bool = False

    @classmethod
    def of(cls, address: str, allow_hosts: Iterable[str], *, signed: bool) -> Self:
        """Make the rule of a server that listens on an address.

        Args:
            address: The address, or an empty string for all of them.
            allow_hosts: Accepted names and addresses, without ports.
            signed: Whether requests must be signed.

        Raises:
            ValidationError: One of *allow_hosts* is not a name or address.
        """
        if isinstance(allow_hosts, str):
            raise ValidationError("allow_hosts is one text: for a single host write [host]", parameter="allow_hosts")
        allowed = frozenset(map(_checked, allow_hosts))
        if is_loopback(address):
            return cls(allowed, signed)
        return cls(allowed | {_plain(address)} if allowed else None, signed)

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse a request with a foreign ``Host`` or ``Origin``.

        Args:
            headers: All headers, with names in lower case.

        Raises:
            ForeignError: The request is refused.
        """
        hosts = [value for name, value in headers if name == b"host"]
        if self.hosts is not None:
            self._check_host(hosts)
        origins = [value.lower() for name, value in headers if name == b"origin"]
        if origins and not self.signed and origins != [b"http://" + host.lower() for host in hosts]:
            raise ForeignError(403, "AccessDeniedException", "this server does not answer web pages of other origins")

    def _check_host(self, hosts: Sequence[bytes]) -> None:
        host, is_own = _called(hosts[0]) if len(hosts) == 1 and len(hosts[0]) <= _LONGEST else (None, False)
        if host is None:
            message = "expected one Host header, with a name or an address, and a port if need be"
            raise ForeignError(400, "MalformedHttpRequestException", message)
        if not is_own and host not in (self.hosts or ()):
            raise ForeignError(
                403,
                "AccessDeniedException",
                f"{host} is not a name of this server, which answers to localhost and 127.0.0.1; for other names start "
                f'it with --allow-host {host} (in Python, allow_hosts=["{host}"])',
            )


@lru_cache(256)
def _called(header: bytes) -> tuple[str | None, bool]:
    """Parse a ``Host`` header: the host, and whether it is always this machine. Cached, since most headers repeat."""
    host = _parsed(header.decode("latin-1"), with_port=True)
    # By RFC 6761, names that end in .localhost are always this machine.
    return host, host is not None and (is_loopback(host) or host.endswith(".localhost"))


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked(host: object) -> str:
    text = host if isinstance(host, str) else ""
    found = _parsed(f"[{text}]" if ":" in text and not text.startswith("[") else text, with_port=False)
    if found is None:
        raise ValidationError(
            "allow_hosts (--allow-host) takes names and addresses, such as example.internal or 10.0.0.5, without a "
            "scheme, port or path",
            parameter="allow_hosts",
        )
    return found


def _parsed(text: str, *, with_port: bool) -> str | None:
    """Parse a name or address into the form for comparison; ``None`` if it is neither."""
    found = _HOST.fullmatch(text)
    if found is None or len(text) > _LONGEST or (found["port"] and not with_port):
        return None
    if found["name"]:
        return _plain(found["name"].removesuffix(".")) or None
    try:
        return _plain(str(ipaddress.IPv6Address(found["ipv6"])))
    except ValueError:
        return None


def _plain(host: str) -> str:
    """Normalise a name to lower case, and an address to its shortest form, in IPv4 if possible."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower()
    return str(getattr(address, "ipv4_mapped", None) or address)
