"""The credentials of a client that we build, which hold up no call beyond its deadline.

botocore fetches credentials in the thread of a call, and takes as long as whoever gives them: an STS that hangs holds a
page for a minute. Here a fetch runs beside the calls, on a thread of its own (of an asynchronous client, as a task:
``asynchronous_credentials``). There is one fetch at a time. All calls wait for it, each until its own deadline at most;
the fetch goes on for the next call. While credentials that expire soon are still valid, nobody waits.

botocore would also fetch some credentials while it builds the client. A client is therefore built with stand-ins, and
its signer then gets the credentials of this module.
"""

from __future__ import annotations

import copy
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, NoReturn, cast

from personalize_rt import forks
from personalize_rt.errors import PersonalizeError
from personalize_rt.transport.attempt import under_way
from personalize_rt.transport.clients import build_client, chosen_session, is_patched_boto3, unpatched_session
from personalize_rt.transport.failures import forget_frames
from personalize_rt.transport.untyped import untyped

__all__ = ["AT_A_GLANCE", "Credentials", "Fetch", "Shared", "build_chosen", "none_found", "sign_with", "stand_ins"]

_log = logging.getLogger("personalize_rt")

AT_A_GLANCE = 0.02
"""Seconds that suffice to find credentials without a request: of the environment, of a file, given in code."""

_GIVEN_IN_CODE = "e"
"""The word of the user agent for credentials that were given in code (botocore's ``CREDENTIALS_CODE``)."""

_KEY = "stands-in-until-credentials-are-fetched"


def stand_ins(session: Any) -> dict[str, str]:
    """Placeholder keys, so that a session need not look for credentials; empty for one that never looks."""
    known = callable(getattr(session, "get_credentials", None))
    return {"aws_access_key_id": _KEY, "aws_secret_access_key": _KEY} if known else {}


def build_chosen(options: Mapping[str, Any], service: str) -> tuple[Any, bool]:
    """Build a client whose credentials are fetched beside its calls.

    Args:
        options: What :func:`~personalize_rt.transport.clients.build_client` takes.
        service: The API's name in boto3.

    Returns:
        The client, and whether it is what somebody put in the place of boto3's; such a one is left alone.
    """
    session = chosen_session(options["session"])
    if is_patched_boto3(session):
        from personalize_rt.transport.like_boto3 import LikeBoto3

        client = build_client(service=service, **{**options, "session": session})
        if not isinstance(client, LikeBoto3):
            return client, True
        # A program hands out a runtime in the place of boto3's clients, and the runtime needs one of boto3's.
        session = unpatched_session()
    return _build_with(partial(build_client, service=service, **{**options, "session": session}), session), False


def _build_with(build: Callable[..., Any], session: Any) -> Any:
    keys = stand_ins(session)
    try:
        client = build(**keys)
    except TypeError:  # a session that takes no keys, or gives some itself
        keys = {}
        client = build()
    try:
        sign_with(client, session, Credentials)
    except AttributeError as error:
        _log.debug("credentials are fetched by botocore, since it has no %s", error)
        if keys:
            client.close()
            client = build()
    return client


def sign_with(client: Any, session: Any, kind: Callable[[Any, Callable[[], Any]], Any]) -> None:
    """Let a client that we built sign with credentials that are fetched beside its calls.

    Args:
        client: The client; one that signs nothing stays as it is.
        session: What it was built from.
        kind: :class:`Credentials`, or its counterpart for asynchronous clients.

    Raises:
        AttributeError: botocore no longer has what this needs.
    """
    signer = client._request_signer
    given = signer._credentials
    if given is None:
        return
    standing_in = getattr(given, "method", None) == "explicit" and given.access_key == _KEY
    load: Callable[[], Any] = session.get_credentials if standing_in else lambda: given
    features: Any = getattr(client._user_agent_creator, "_client_features", None)
    if standing_in and isinstance(features, set):
        tells_code = _GIVEN_IN_CODE in features  # of the stand-ins; not every botocore tells
        features.discard(_GIVEN_IN_CODE)
        load = _noted(load, cast("set[str]", features), tells_code=tells_code)
    signer._credentials = kind(session, load)


def _noted(load: Callable[[], Any], features: set[str], *, tells_code: bool) -> Callable[[], Any]:
    """Find credentials, and note of which kind they are for the user agent, as botocore does while it builds a client.

    Args:
        load: Finds them, or gives something that can be awaited.
        features: What the user agent of the client names.
        tells_code: Whether this botocore names credentials that were given in code.
    """

    def noted() -> Any:
        with _own_features(features):
            found = load()
        return awaited(found) if inspect.isawaitable(found) else of_code(found)

    async def awaited(found: Awaitable[Any]) -> Any:
        with _own_features(features):
            known = await found
        return of_code(known)

    def of_code(found: Any) -> Any:
        if tells_code and getattr(found, "method", None) == "explicit":
            features.add(_GIVEN_IN_CODE)
        return found

    return noted


@contextmanager
def _own_features(features: set[str]) -> Generator[None, None, None]:
    """Add what botocore registers meanwhile to the features of a client; not to those of a call that is under way."""
    try:
        context: Any = untyped("botocore.context")
        begun: Any = context.start_as_current_context(context.ClientContext())
    except (ImportError, AttributeError) as error:
        _log.debug("the user agent names no kind of credentials, since botocore has no %s", error)
        yield
        return
    with begun:
        yield
        features |= context.get_context().features


class Fetch:
    """One fetch, for all who wait for it."""

    __slots__ = ("_waiting", "error", "frozen", "over")

    def __init__(self, over: Any) -> None:
        self.over: Any = over
        self._waiting: list[Callable[[], object]] = []
        self.frozen: Any = None
        self.error: BaseException | None = None

    def fails(self, error: BaseException) -> None:
        """Keep the provider's exception as the outcome."""
        self.error = error
        if isinstance(error, Exception) and not isinstance(error, PersonalizeError):
            from personalize_rt.transport.credential_failures import credentials_error

            self.error = credentials_error(error, fetching=True)
            forget_frames(error)

    def when_over(self, tell: Callable[[], object]) -> None:
        """Call a function at the end, on the thread that fetches; or now, if it is over."""
        self._waiting.append(tell)
        if self.over.is_set():
            self._tell()

    def ends(self) -> None:
        """End the fetch, and tell all who wait."""
        self.over.set()
        self._tell()

    def _tell(self) -> None:
        while self._waiting:
            with suppress(IndexError):  # another thread took it
                self._waiting.pop()()

    def outcome(self) -> Any:
        """Return the credentials, or raise the error."""
        if self.error is None:
            return self.frozen
        # A copy for each who waits: raising an exception attaches a traceback to it.
        raise copy.copy(self.error) if isinstance(self.error, PersonalizeError) else self.error


class Shared:
    """The common part of both kinds of credentials.

    Args:
        session: Where the credentials come from.
        load: Finds them: an object of botocore that refreshes itself, or ``None`` when there are none.
    """

    def __init__(self, session: Any, load: Callable[[], Any]) -> None:
        self._session = session
        self._load = load
        self._known: Any = None
        self._keeps_frozen = False
        self._under_way: Fetch | None = None

    @property
    def method(self) -> str | None:
        """The provider, as botocore names it; ``None`` before the first fetch."""
        return getattr(self._known, "method", None)

    @property
    def found(self) -> Any:
        """The object of botocore that refreshes itself; ``None`` before it is found."""
        return self._known

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._known, name)

    def _found(self, known: Any) -> Any:
        """Keep what was found, and return it."""
        function: Any = getattr(known, "get_frozen_credentials", None)
        # Its own function would ask again whether it is time, and that takes as long as the rest of signing.
        self._keeps_frozen = hasattr(known, "_frozen_credentials") and (
            getattr(function, "__module__", None) in ("botocore.credentials", "aiobotocore.credentials")
        )
        self._known = known
        return known

    def _is_due(self) -> bool:
        """Tell whether the credentials are to be fetched, for the first time or anew."""
        is_due = getattr(self._known, "refresh_needed", None)
        return self._known is None or (is_due is not None and is_due())

    def _usable(self) -> Any:
        """The frozen credentials, if there are any and a refresh can wait; else ``None``."""
        known = self._known
        try:
            return None if known.refresh_needed(known._mandatory_refresh_timeout) else known._frozen_credentials
        except AttributeError:  # there are none, or none that expire; or another botocore
            return None


class Credentials(Shared):
    """Credentials of a blocking client. Locked: they may be shared by threads."""

    _lock = forks.lock()

    def __init__(self, session: Any, load: Callable[[], Any]) -> None:
        super().__init__(session, load)
        forks.in_child(self, Credentials._forget_fetch)

    def at_hand(self) -> Any:
        """The credentials that can be used at once, or ``None``; if they expire soon, start a fetch."""
        if not self._is_due():
            return self._known._frozen_credentials if self._keeps_frozen else self._known.get_frozen_credentials()
        usable = self._usable()
        if usable is not None:
            self.fetch()  # and waits for nothing
        return usable

    def get_frozen_credentials(self) -> Any:
        """Access key, secret key and token, as botocore's signer asks for them.

        Raises:
            ConfigurationError: There are none, and this will not pass by itself.
            TransportError: They cannot be fetched just now, or not within the time of the attempt that is under way.
        """
        at_hand = self.at_hand()
        if at_hand is not None:
            return at_hand
        attempt, left = under_way.get(), None
        if attempt is not None:
            attempt.unsigned = True
            left = None if attempt.ends is None else attempt.ends - time.monotonic()
        fetch = self.fetch()
        if not fetch.over.wait(None if left is None else max(0.0, left)):
            from personalize_rt.transport.credential_failures import late_credentials

            raise late_credentials(self.method)
        frozen = fetch.outcome()
        if attempt is not None:
            attempt.unsigned = False
        return frozen

    def look(self) -> None:
        """Find the source of the credentials, waiting ``AT_A_GLANCE`` seconds at most."""
        if self._known is None:
            self.fetch().over.wait(AT_A_GLANCE)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and self._known is None:
            self.get_frozen_credentials()
        return super().__getattr__(name)

    def _forget_fetch(self) -> None:
        # In a forked child: the thread of a fetch in flight is the parent's.
        self._under_way = None

    def fetch(self) -> Fetch:
        """Return the fetch that is under way; if none is, start one."""
        with self._lock:
            fetch = self._under_way
            if fetch is not None:
                return fetch
            fetch = self._under_way = Fetch(threading.Event())
        context = copy_context()  # what tracers and log filters keep in it
        worker = threading.Thread(target=context.run, args=(self._run, fetch), name="personalize-rt-credentials")
        worker.daemon = True
        try:
            worker.start()
        except RuntimeError:  # there can be no more threads
            self._run(fetch)
        return fetch

    def _run(self, fetch: Fetch) -> None:
        try:
            known, usable = self._known, None
            if known is None:
                known = self._found(self._load() or none_found(self._session))
                usable = self._usable()
            fetch.frozen = known.get_frozen_credentials() if usable is None else usable
        except BaseException as error:
            fetch.fails(error)
        finally:
            with self._lock:
                self._under_way = None
            fetch.ends()


def none_found(session: Any) -> NoReturn:
    """Raise ``NoCredentialsError``, or a temporary error if the instance's may yet come."""
    from personalize_rt.transport.metadata import is_troubled

    exceptions = untyped("botocore.exceptions")
    if is_troubled(session):
        raise exceptions.CredentialRetrievalError(provider="iam-role", error_msg="the answer did not contain them")
    raise exceptions.NoCredentialsError
