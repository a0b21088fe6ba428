"""Protection against requests of foreign web pages, by checks of the ``Host`` and ``Origin`` headers.

A page may send requests to any address, but a browser lets it read only answers of its own origin. DNS rebinding gets
around that: the page's name resolves to its server first and to 127.0.0.1 later, so that an embedded service on this
machine has the page's origin. But the browser still sends the page's name in the ``Host`` header, which no page can
change.

So a server that only this machine can reach accepts only the names of this machine, and configured ones. If other
machines can reach it, every request must be signed, ``Host`` included, which no such page can do. Then any name is
accepted, unless some are configured.

Some requests, a POST of plain text among them, a page may send to any address without asking, and does not read the
answer. The browser tells whose page it is in the ``Origin`` header, which programs that are no browsers do not send. So
a request with an ``Origin`` is refused, on every path, unless the origin is configured. Pages of a configured one are
told by CORS (WHATWG Fetch, "CORS protocol") that they may send any request, and read the answer.

The page of this server itself (:mod:`personalize_rt.local.console`) has an origin, too: that of an accepted ``Host``.
It may send requests to its own paths, and to no operation.
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
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_OWN_PORTS = {"http": ":80", "https": ":443"}
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
        origins: Accepted values of ``Origin``.
    """

    hosts: frozenset[str] | None = frozenset()
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, address: str, allow_hosts: Iterable[str], allow_origins: Iterable[str] = ()) -> Self:
        """Make the rule of a server that listens on an address.

        Args:
            address: The address, or an empty string for all of them.
            allow_hosts: Accepted names and addresses, without ports.
            allow_origins: Accepted origins, as browsers write them: ``https://shop.example``,
                ``http://localhost:3000``.

        Raises:
            ValidationError: One of *allow_hosts* is not a name or address, or one of *allow_origins* not an origin.
        """
        allowed = frozenset(map(_checked, _several(allow_hosts, "allow_hosts", "host")))
        origins = frozenset(map(_checked_origin, _several(allow_origins, "allow_origins", "origin")))
        if is_loopback(address):
            return cls(allowed, origins)
        return cls(allowed | {_plain(address)} if allowed else None, origins)

    def check(self, headers: Sequence[tuple[bytes, bytes]], *, own: bool = False) -> str | None:
        """Refuse a request with a foreign ``Host`` or ``Origin``.

        Args:
            headers: All headers, with names in lower case.
            own: Whether the page of this server may send it.

        Returns:
            The origin of the page that asks, which is an accepted one; ``None`` for a request of no page.

        Raises:
            ForeignError: The request is refused.
        """
        if self.hosts is not None:
            self._check_host([value for name, value in headers if name == b"host"])
        origins = [value for name, value in headers if name == b"origin"]
        if not origins:
            return None
        # As it came, since the browser compares it with the answer's letter by letter.
        origin = origins[0].decode("latin-1")
        if (
            own
            and len(origins) == 1
            and origins[0] in [b"http://" + value for name, value in headers if name == b"host"]
        ):
            return None
        if len(origins) == 1 and origin.lower() in self.origins:
            return origin
        raise ForeignError(
            403,
            "AccessDeniedException",
            "this server does not answer web pages, unless it was started with --allow-origin and the page's origin "
            '(in Python, allow_origins=["http://localhost:3000"])',
        )

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


def _several(given: Iterable[str], parameter: str, one: str) -> Iterable[str]:
    if isinstance(given, str):
        raise ValidationError(f"{parameter} is one text: for a single {one} write [{one}]", parameter=parameter)
    return given


def _checked_origin(origin: object) -> str:
    text = origin.lower() if isinstance(origin, str) else ""
    scheme, _, rest = text.partition("://")
    if not _SCHEME.fullmatch(scheme) or _parsed(rest, with_port=True) is None or rest.endswith(":"):
        raise ValidationError(
            "allow_origins (--allow-origin) takes origins as browsers write them, such as https://shop.example or "
            "http://localhost:3000, without a path; name each one: neither * nor null says whose page it is",
            parameter="allow_origins",
        )
    # Browsers leave out the port that is the scheme's own.
    return text.removesuffix(_OWN_PORTS[scheme]) if scheme in _OWN_PORTS else text


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
