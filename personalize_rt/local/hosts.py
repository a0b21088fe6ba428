"""Refusing requests that a web page of somebody else has a browser send: a foreign ``Host``, a foreign ``Origin``.

A page may send requests to any address, but a browser lets it read answers of its own origin only. DNS rebinding gets
around that: the name of the page resolves to its server first and to 127.0.0.1 later, so that an embedded service on
this machine is the page's own origin. What gives it away is the ``Host`` header, in which the browser still sends that
name, and which no page can change.

A server that only this machine reaches therefore answers to the names of this machine, and to those that it was told.
Where other machines reach it, every request must be signed, ``Host`` included, which no such page can do: then every
name is good, unless it was told some.
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
# Characters of a Host header: RFC 1035 gives a name 253.
_LONGEST = 260


class ForeignError(Exception):
    """A request that is not answered, for its ``Host`` or ``Origin``.

    Args:
        status: The HTTP status.
        code: The error code.
        message: What was wrong, and what to do.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


@attrs.frozen
class HostRule:
    """The hosts by which a server may be called, and whether web pages may call it.

    Attributes:
        hosts: Names and addresses beside those of this machine; ``None`` for any.
        signed: Whether requests must be signed, so that foreign web pages need not be refused.
    """

    hosts: frozenset[str] | None = frozenset()
    signed: bool = False

    @classmethod
    def of(cls, address: str, allow_hosts: Iterable[str], *, signed: bool) -> Self:
        """The rule of a server that listens on an address.

        Args:
            address: The address, or an empty string for all of them.
            allow_hosts: Names and addresses by which it may be called, without ports.
            signed: Whether requests must be signed.

        Raises:
            ValidationError: One of *allow_hosts* is no name or address.
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
            ForeignError: It is not to be answered.
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
    """The host of a ``Host`` header, and whether that is always this machine; most clients send the same again."""
    host = _parsed(header.decode("latin-1"), with_port=True)
    # RFC 6761: nobody else can have a name that ends in .localhost.
    return host, host is not None and (is_loopback(host) or host.endswith(".localhost"))


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is one that only this machine reaches."""
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
    """The name or address in the form in which they are compared; ``None`` when it is neither."""
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
    """A name in lower case; an address in its shortest form, as one of IPv4 if it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower()
    return str(getattr(address, "ipv4_mapped", None) or address)
