"""The page as an ASGI application: its routes, who may ask, and the headers of all its answers.

The server has checked ``Host`` and ``Origin`` before (:mod:`personalize_rt.local.hosts`). What changes something is a
POST, and so is every search: what people type may be personal, and an address is kept in histories, logs and links.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from personalize_rt.local.console.saved import Form
from personalize_rt.local.console.views import Ask, View, Views, html

if TYPE_CHECKING:
    from personalize_rt.local.embedded import LocalPersonalize
    from personalize_rt.local.groups import LocalGroups

__all__ = ["HEADERS", "Page"]

MadeT = TypeVar("MadeT")

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not "no-referrer", with which browsers send "Origin: null" with a form.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""The headers of every answer of the page."""

_STATIC = Path(__file__).parent / "static"
_FILES = frozenset(("console.css", "console.js", "htmx.min.js", "icon.svg"))


class Page:
    """The page of one server.

    Views are made by one thread of their own, so that however many browsers there are, the loop that answers the
    runtime operations competes with one thread at most.

    Args:
        door: The service that the server serves: one dataset group, or several.
    """

    def __init__(self, door: LocalPersonalize | LocalGroups) -> None:
        self._views = views = Views(door)
        self._worker = ThreadPoolExecutor(1, "personalize-rt-console")
        self._files: dict[str, bytes] = {}
        group = "/console/{group}"
        routes = [
            Route(f"{group}/live/feed", self._feed),
            Route("/console/-/{name}", self._file),
            self._route("/", views.overview),
            self._route(f"{group}/", views.overview),
            self._route(f"{group}/users", views.users, "GET", "POST"),
            self._route(f"{group}/users/{{key}}", views.user),
            self._route(f"{group}/items", views.items, "GET", "POST"),
            self._route(f"{group}/items/{{key}}", views.item),
            self._route(f"{group}/suggest", views.suggestions, "POST"),
            self._route(f"{group}/rank", views.rank_form),
            self._route(f"{group}/rank", views.ranked, "POST"),
            self._route(f"{group}/rank/values", views.rank_values, "POST"),
            self._route(f"{group}/rank/{{token}}", views.rank_form),
            self._route(f"{group}/filters", views.filters),
            self._route(f"{group}/filters", views.filters_kept, "POST"),
            self._route(f"{group}/filters/check", views.filter_check, "POST"),
            self._route(f"{group}/filters/new", views.new_filter, "POST"),
            self._route(f"{group}/filters/{{token}}", views.filters),
            self._route(f"{group}/live", views.live),
            self._route(f"{group}/live/event", views.event, "POST"),
            self._route(f"{group}/live/forget", views.forget, "POST"),
            self._route(f"{group}/live/{{token}}", views.live),
            self._route(f"{group}/faults", views.faults),
            self._route(f"{group}/faults", views.new_fault, "POST"),
            self._route(f"{group}/faults/remove", views.remove_fault, "POST"),
            self._route(f"{group}/faults/{{token}}", views.faults),
        ]
        self._application = Starlette(routes=routes, exception_handlers={HTTPException: self._problem})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *((name.encode(), value.encode()) for name, value in HEADERS.items())]
                if all(name != b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        problem = _refusal(scope)
        answer = self._application if problem is None else Response(problem, 403, media_type="text/plain")
        await answer(scope, receive, with_headers)

    def _route(self, path: str, view: View, *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            group = self._views.group(cast("str | None", request.path_params.get("group")))
            if group is None:
                raise HTTPException(404, "There is no such dataset group.")
            ask = Ask(request, Form.read(await request.body()), group)
            return await self._made(partial(view, ask))

        return Route(path, answer, methods=methods or ["GET"])

    async def _made(self, make: Callable[[], MadeT]) -> MadeT:
        return await asyncio.get_running_loop().run_in_executor(self._worker, make)

    async def _feed(self, request: Request) -> Response:
        """The latest requests and events; nothing (204) for a browser that shows them already.

        However many browsers ask, the worker looks once a second and renders what came once.
        """
        group = self._views.group(cast(str, request.path_params["group"]))
        if group is None:
            return Response(status_code=404)
        if self._views.stale:
            await self._made(self._views.look)
        if request.query_params.get("seen") == self._views.state:
            return Response(status_code=204)
        feed = self._views.fed(group)
        return html(feed if feed is not None else await self._made(partial(self._views.feed, group)))

    async def _file(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in _FILES:
            raise HTTPException(404, "There is no such file.")
        if name not in self._files:
            self._files[name] = (_STATIC / name).read_bytes()
        kind = mimetypes.guess_type(name)[0]
        # Their addresses change with their content.
        return Response(self._files[name], headers={"cache-control": "max-age=31536000, immutable"}, media_type=kind)

    async def _problem(self, request: Request, error: Exception) -> Response:
        failure = cast(HTTPException, error)
        group = self._views.group(cast("str | None", request.path_params.get("group"))) or self._views.group(None)
        assert group is not None
        ask = Ask(request, Form(), group)
        return await self._made(lambda: self._views.problem(ask, failure.status_code, failure.detail))


def _refusal(scope: Scope) -> str | None:
    """Refuse what another page makes a browser send, so far as the browser says so (Fetch Metadata).

    A link to the page may stand anywhere. Nothing else may be loaded by a foreign page, and a change must come from
    the page itself: the server has compared ``Origin`` with ``Host``, if there is one, and a browser sends it with each
    POST.
    """
    headers = dict(cast("list[tuple[bytes, bytes]]", scope["headers"]))
    if scope["method"] not in ("GET", "HEAD"):
        own = headers.get(b"origin") is not None and headers.get(b"sec-fetch-site", b"same-origin") == b"same-origin"
        return None if own else "only the page itself may change something: its requests have an Origin\n"
    if headers.get(b"sec-fetch-site") not in (b"cross-site", b"same-site"):
        return None
    navigates = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    return None if navigates else "another page may link to this one, and load nothing of it\n"
