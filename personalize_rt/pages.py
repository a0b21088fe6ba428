"""Pages of one answer, which another request or process can continue.

``handle.pages(…)`` asks once, for as many rows as all pages hold, so that pages neither repeat an item nor lose one.
The answer lies in a :class:`PageStore`, and a token names a page of it::

    store = PageStore()                                             # once, for the whole program
    pages = movies.pages(user_id, size=20, store=store)             # the first page
    pages = movies.resume_pages(user_id, token, store=store)        # another one
    shown, further = pages.current, pages.next_token

A token is made of random bytes, a page and its size, and holds nothing about the user. The key in the store is a digest
of token, user and resource: the token opens the pages for this user on this handle alone, and whoever can read the
store finds neither tokens nor user ids there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Future
from typing import Any, overload

import attrs

from personalize_rt import checks
from personalize_rt.errors import PageTokenError, ValidationError
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe
from personalize_rt.resilience.call import Policies
from personalize_rt.resilience.stores import AskedBeside, CacheStore, Entry, MemoryStore
from personalize_rt.results import Recommendations
from personalize_rt.seen import Seen, enough, in_one_request, seen_ids, without_seen

__all__ = ["PageCall", "PageStore", "Pages", "check_store"]

_log = logging.getLogger("personalize_rt")

_LONGEST_PATIENCE = 1.0  # seconds to wait for a store to keep the pages
_SECRET = 16  # bytes: nobody guesses one of 2 ** 128
_NUMBER = 4  # bytes of a page, and of a size
_MARK = 6  # bytes that tell a token that was changed
_TOKEN = 40  # characters of a token


class PageStore:
    """A place for the answers behind tokens. Safe to share between threads and runtimes; make one for a program.

    Args:
        store: A store that all processes share, such as one on Redis: a :class:`~personalize_rt.CacheStore`, or a
            mapping such as ``cachetools.TTLCache``. It is used on threads of this object, a mapping on one alone.
            ``None`` keeps the last 1,024 answers in the memory of this process.
        ttl: Seconds for which a token is good.
        clock: A clock in seconds that all processes share.

    Raises:
        ValidationError: ``ttl`` is no number of seconds above 0, or ``store`` is no store.
    """

    def __init__(
        self,
        store: CacheStore | MutableMapping[str, Entry] | None = None,
        *,
        ttl: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        checks.seconds(ttl, "ttl", above_0=True)
        if store is None:
            store = MemoryStore()
        elif isinstance(store, type) or not (
            isinstance(store, MutableMapping) or (hasattr(store, "get") and hasattr(store, "set"))
        ):
            raise ValidationError(
                f"store is {describe(store)}: it takes an object with get(key) and set(key, entry), or a mapping",
                parameter="store",
            )
        self.ttl: float = ttl
        self._clock = clock
        # A subclass may do anything.
        self._store = store if type(store) is MemoryStore else AskedBeside(store)

    def put(self, key: str, answer: Recommendations) -> Future[None] | None:
        """Keep an answer; what is returned is still under way."""
        return self._store.set(key, Entry(answer, self._clock()))

    def get(self, key: str) -> Future[Entry | None] | Entry | None:
        """The entry of a key, or what will be it."""
        return self._store.get(key)

    def is_over(self, entry: Entry) -> bool:
        """Tell whether an entry is too old. One from the future is that of a machine whose clock is ahead."""
        return self._clock() - entry.stored > self.ttl

    def __repr__(self) -> str:
        return f"PageStore(ttl={self.ttl:g})"


@attrs.frozen
class _Token:
    """The contents of a token."""

    secret: bytes
    number: int
    size: int

    def __str__(self) -> str:
        body = self.secret + self.number.to_bytes(_NUMBER) + self.size.to_bytes(_NUMBER)
        return base64.urlsafe_b64encode(body + self._mark(body)).decode()

    @staticmethod
    def _mark(body: bytes) -> bytes:
        return hmac.digest(body[:_SECRET], body, "sha256")[:_MARK]

    @classmethod
    def read(cls, token: Any) -> _Token:
        if not isinstance(token, str) or len(token) != _TOKEN:
            raise _malformed(token)
        try:
            whole = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            whole = b""  # raised below: the error in hand may show the token
        body, mark = whole[:-_MARK], whole[-_MARK:]
        if len(body) != _SECRET + 2 * _NUMBER or not hmac.compare_digest(mark, cls._mark(body)):
            raise _malformed(token)
        number, size = int.from_bytes(body[_SECRET:-_NUMBER]), int.from_bytes(body[-_NUMBER:])
        if size < 1:
            raise _malformed(token)
        return cls(body[:_SECRET], number, size)

    def key(self, arn: str, user_id: str | None) -> str:
        """The key of the answer in the store: without the secret, it tells nothing of the user."""
        owner = json.dumps([arn, user_id]).encode()
        return "pages-" + hmac.new(self.secret, owner, hashlib.sha256).hexdigest()


def _malformed(token: Any) -> PageTokenError:
    return PageTokenError(
        f"token is {describe(token)} that pages() did not make, or that was changed on its way; ask for new pages",
        reason="malformed",
    )


@attrs.frozen(repr=False)
class Pages(Sequence[Recommendations]):
    """The pages of one answer: an immutable sequence of :class:`~personalize_rt.Recommendations`.

    Each page is a slice of the answer, with its recommendation id. Made by ``handle.pages(…)``.

    Attributes:
        answer: The rows of all pages.
        size: The number of rows on a page; the last one may have fewer.
        number: The place of the current page, from 0: the one that the token named.
    """

    answer: Recommendations
    size: int
    number: int = 0
    _secret: bytes | None = attrs.field(default=None, eq=False, alias="secret")

    @property
    def current(self) -> Recommendations:
        """The current page: the first one, or the one that the token named. Empty if there are no rows."""
        return self._page(self.number)

    @property
    def resumable(self) -> bool:
        """``True`` if there are tokens; ``False`` without a store, or if the store failed."""
        return self._secret is not None

    def token(self, number: int) -> str | None:
        """The token of a page, 40 characters for a URL; ``None`` if the pages are not :attr:`resumable`.

        Args:
            number: The place of the page, from 0.

        Raises:
            IndexError: There is no such page.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} pages, from 0")
        return None if self._secret is None else str(_Token(self._secret, number, self.size))

    @property
    def next_token(self) -> str | None:
        """The token of the page after the current one; ``None`` after the last one, or if not :attr:`resumable`."""
        return self.token(self.number + 1) if self.number + 1 < len(self) else None

    @property
    def previous_token(self) -> str | None:
        """The token of the page before the current one; ``None`` before the first, or if not :attr:`resumable`."""
        return self.token(self.number - 1) if self.number else None

    def _page(self, number: int) -> Recommendations:
        return self.answer[number * self.size : (number + 1) * self.size]

    def __len__(self) -> int:
        return -(-len(self.answer) // self.size)

    @overload
    def __getitem__(self, index: int) -> Recommendations: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Recommendations, ...]: ...
    def __getitem__(self, index: int | slice) -> Recommendations | tuple[Recommendations, ...]:
        numbers = range(len(self))[index]
        return self._page(numbers) if isinstance(numbers, int) else tuple(map(self._page, numbers))

    def __iter__(self) -> Iterator[Recommendations]:
        return map(self._page, range(len(self)))

    def __repr__(self) -> str:
        # Without the secret, which opens the pages.
        return f"Pages({len(self.answer)} rows, {self.size} on a page, current {self.number} of {len(self)})"


def check_store(store: Any) -> None:
    """Refuse what is no store of pages.

    Raises:
        ValidationError: Always then, with advice.
    """
    if not isinstance(store, PageStore):
        raise ValidationError(
            f"store is {describe(store)}, not a PageStore: make one for the program, PageStore(…)", parameter="store"
        )


class PageCall:
    """One call for pages: what it asks for, whose they are, and its clock.

    Args:
        arn: The campaign or recommender.
        user_id: The user, or ``None``.
        policies: Those of the runtime.
    """

    def __init__(self, arn: str, user_id: str | None, policies: Policies) -> None:
        self._arn = arn
        self._user_id = user_id
        self._clock = policies.retry.clock
        self._deadline = policies.deadline
        self._start = self._clock()
        self._size = 0
        self._total = 0
        self._seen: frozenset[str] = frozenset()
        self._secret = secrets.token_bytes(_SECRET)

    # New pages.

    def asks_for(self, size: int, total: int, exclude: Seen, limits: Limits, *, with_metadata: bool) -> int:
        """Check what pages are wanted, and return how many rows to ask for.

        Raises:
            ValidationError: A number makes no sense, or one request does not give so many rows.
        """
        self._size = in_one_request(size, "size", limits, with_metadata=with_metadata)
        # An upper bound, whose default is that without metadata: so this is the one that is refused.
        self._total = in_one_request(total, "total", limits, with_metadata=False)
        self._seen = seen_ids(exclude)
        return enough(self._total, self._seen, limits, with_metadata=with_metadata)

    def pages(self, answer: Recommendations, *, resumable: bool) -> Pages:
        """The pages of an answer, with tokens for as soon as it is kept, or without."""
        rows = without_seen(answer, self._seen, self._total)
        return Pages(rows, self._size, secret=self._secret if resumable else None)

    def put(self, pages: Pages, store: PageStore) -> Future[None] | None:
        """Keep the answer behind pages; what is returned is still under way."""
        return store.put(_Token(self._secret, 0, self._size).key(self._arn, self._user_id), pages.answer)

    def patience(self) -> float:
        """Seconds to wait for the store: what is left of the deadline, and at most one."""
        left = _LONGEST_PATIENCE if self._deadline is None else self._deadline - (self._clock() - self._start)
        return min(max(0.0, left), _LONGEST_PATIENCE)

    @staticmethod
    def not_kept(pages: Pages, failure: BaseException) -> Pages:
        """The pages when their store failed: shown, but not resumable."""
        _log.warning("the store of pages failed with %s", type(failure).__name__)
        return attrs.evolve(pages, secret=None)

    # Pages that are kept.

    @property
    def deadline(self) -> float | None:
        """Seconds to wait for pages that are kept; ``None`` for any time."""
        return self._deadline

    def get(self, token: _Token, store: PageStore) -> Future[Entry | None] | Entry | None:
        """The entry behind a token, or what will be it."""
        return store.get(token.key(self._arn, self._user_id))

    @staticmethod
    def read(token: str) -> _Token:
        """The contents of a token.

        Raises:
            PageTokenError: It is none.
        """
        return _Token.read(token)

    def resumed(self, token: _Token, entry: Entry | None, store: PageStore) -> Pages:
        """The pages behind a token.

        Raises:
            PageTokenError: They are not there, or too old.
        """
        answer = None if entry is None else entry.answer
        if entry is None or not isinstance(answer, Recommendations) or token.number * token.size >= len(answer):
            raise PageTokenError(
                "the store has no pages for token, or has them for another user or another handle; ask for new pages",
                reason="unknown",
            )
        if store.is_over(entry):
            raise PageTokenError(
                f"the pages of token are older than {store.ttl:g} s (ttl of the store); ask for new pages",
                reason="expired",
            )
        return Pages(answer, token.size, token.number, secret=token.secret)

    @staticmethod
    def unavailable(failure: Exception) -> PageTokenError:
        """The error for a store that failed."""
        _log.warning("the store of pages failed with %s", type(failure).__name__)
        return PageTokenError(
            f"the store of pages failed with {type(failure).__name__}; ask for new pages", reason="unavailable"
        )
