"""The page of a service of this process."""

from __future__ import annotations

from html import escape
from types import TracebackType
from typing import Self

from personalize_rt.local.server import Embedded, Server

__all__ = ["Console"]


class Console:
    """The page of a service of this process, while it is open; made by ``local.console()``. A notebook shows a link.

    It closes at the end of a ``with`` block, or with the process.

    Args:
        local: The service.
        host: The address to listen on, of this machine only.
        port: The port to listen on; 0 takes a free one.

    Raises:
        ValidationError: Other machines could reach the address.
        ConfigurationError: The extra ``[server]`` is not installed, or the port is in use.
    """

    def __init__(self, local: Embedded, *, host: str = "127.0.0.1", port: int = 0) -> None:
        # Without credentials, whatever the environment has: a browser signs nothing.
        self._server = Server(local, host=host, port=port, credentials=())
        self._server.start()
        self.url: str = self._server.url

    def close(self) -> None:
        """Close the page. Safe to call twice."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        url = escape(self.url)
        return f'<a href="{url}" target="_blank" rel="noopener">{url}</a>'

    def __repr__(self) -> str:
        return f"Console({self.url})"
