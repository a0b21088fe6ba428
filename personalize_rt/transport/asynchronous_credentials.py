"""The credentials of an asynchronous client that we build, which hold up no call beyond its deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from personalize_rt.errors import ConfigurationError
from personalize_rt.transport.attempt import under_way
from personalize_rt.transport.credentials import AT_A_GLANCE, Fetch, Shared, none_found

__all__ = ["AsyncCredentials"]


class AsyncCredentials(Shared):
    """Credentials of an asynchronous client. They may be shared by the tasks of one event loop.

    A fetch is a task of its own, since a call that is cancelled at its deadline would cancel the fetch with it: where
    fetching takes longer than a call may, there would never be credentials.

    Args:
        session: Where the credentials come from.
        load: Finds them, or gives something that can be awaited.
        start: Runs something in the background, until the client is closed.
    """

    def __init__(
        self,
        session: Any,
        load: Callable[[], Any],
        *,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        super().__init__(session, load)
        self._start = start

    async def get_frozen_credentials(self) -> Any:
        """Access key, secret key and token, as aiobotocore's signer asks for them.

        Raises:
            ConfigurationError: There are none, and this will not pass by itself.
            TransportError: They cannot be fetched just now.
        """
        if not self._is_due():
            return self._known._frozen_credentials if self._keeps_frozen else await self._known.get_frozen_credentials()
        usable = self._usable()
        if usable is not None:
            self._fetch()  # and waits for nothing
            return usable
        attempt = under_way.get()
        if attempt is not None:
            attempt.unsigned = True
        fetch = self._fetch()
        await fetch.over.wait()
        frozen = fetch.outcome()
        if attempt is not None:
            attempt.unsigned = False
        return frozen

    async def look(self) -> None:
        """Find out where the credentials come from, as far as that takes no time to speak of."""
        if self._known is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._fetch().over.wait(), AT_A_GLANCE)

    def _fetch(self) -> Fetch:
        """The fetch that is under way, started now if there is none."""
        fetch = self._under_way
        if fetch is None:
            fetch = self._under_way = Fetch(asyncio.Event())
            task = self._start(self._run(fetch))
            task.add_done_callback(lambda _: self._over(fetch))
        return fetch

    async def _run(self, fetch: Fetch) -> None:
        try:
            known, usable = self._known, None
            if known is None:
                found = self._load()
                found = await found if inspect.isawaitable(found) else found
                known = self._found(found or await asyncio.to_thread(none_found, self._session))
                usable = self._usable()
            fetch.frozen = await known.get_frozen_credentials() if usable is None else usable
        except Exception as error:
            fetch.fails(error)

    def _over(self, fetch: Fetch) -> None:
        self._under_way = None
        if fetch.frozen is None and fetch.error is None:
            fetch.error = ConfigurationError("this runtime was closed while credentials were being fetched")
        fetch.over.set()
