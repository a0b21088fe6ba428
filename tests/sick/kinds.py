"""The table of all ways of being ill.

A kind says what is ill, what a client needs in order to meet it, and what a call may end with. It says nothing about
how the client sends: every client, sync or async, whichever way its requests go, can be run against every kind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import attrs

from tests.sick import behaviours as does
from tests.sick.behaviours import Behaviour

__all__ = ["ANSWERS", "BROKEN", "CREDENTIALS", "ENDLESS", "HOSTILE", "KINDS", "NOT_TRUSTED", "SLOW", "STORES", "Kind"]

ANSWERS = "an answer"
LATE = frozenset({"DeadlineExceededError"})
BREAKS = LATE | {"TransportError"}
UNREADABLE = BREAKS | {"ResponseError"}
TOLD_TOO_LARGE = LATE | {"InvalidInputError"}
WITHOUT_CREDENTIALS = BREAKS | {ANSWERS}  # an answer, while the old ones are valid

SLOW_STORE = 0.2  # seconds for each look-up
LOCKED_FOR = 20.0  # seconds: beyond every guard, and yet not for ever, or a test that fails would hang

Environment = Mapping[str, str | None]
Options = AbstractContextManager[dict[str, Any]]


@attrs.frozen
class Kind:
    """One way of being ill.

    Attributes:
        name: What it does.
        behaviour: What the server does with each connection that it accepts.
        ends: What a call with a deadline may end with: names of error classes, :data:`ANSWERS`. On a busy machine
            every call may be late.
        door: ``"shut"`` refuses connections; ``"full"`` lets them wait, and accepts none.
        tls: The client speaks TLS.
        certificate: The server has a certificate.
        trusted: The client trusts it.
        narrow: The server takes a request in small pieces, and the requests are large: one that nobody reads is not
            sent either.
        well: What the server does until it is told to fall ill, which is after the client is connected.
        environment: Variables that the client needs, of the server's URL and a directory for files; ``None`` takes a
            variable away.
        options: More options of the client, for as long as a ``with`` block lasts.
    """

    name: str
    behaviour: Behaviour = does.wait_for_the_end
    ends: frozenset[str] = LATE
    door: Literal["open", "shut", "full"] = "open"
    tls: bool = False
    certificate: bool = False
    trusted: bool = False
    narrow: bool = False
    well: Behaviour | None = None
    environment: Callable[[str, Path], Environment] = lambda url, directory: {}
    options: Callable[[], Options] = lambda: nullcontext({})

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of a ranking call."""
        items = [f"i{index:0255}" for index in range(500)] if self.narrow else ["i1", "i2", "i3"]
        arn = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
        return {"campaign_arn": arn, "user_id": "u", "input_list": items}

    def client_environment(self, url: str, directory: Path, certificate: Path) -> Environment:
        """The variables that a client needs, ``None`` for one that must not be set."""
        return {"AWS_CA_BUNDLE": str(certificate) if self.trusted else None, **self.environment(url, directory)}


def _container(url: str, directory: Path) -> Environment:
    return {**_NO_KEYS, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials"}


def _sts(url: str, directory: Path) -> Environment:
    token = directory / "token"
    token.write_text("testing")
    return {
        **_NO_KEYS,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/testing",
        "AWS_ENDPOINT_URL_STS": url,
    }


_NO_KEYS: Environment = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@contextmanager
def _slow_store() -> Iterator[dict[str, Any]]:
    from personalize_rt.resilience.cache import Cache, MemoryStore

    class Slow(MemoryStore):
        def get(self, key: str, /) -> Any:
            time.sleep(SLOW_STORE)
            return super().get(key)

    yield {"cache": Cache(personal=True, store=Slow())}


@contextmanager
def _locked_store() -> Iterator[dict[str, Any]]:
    """A mapping from which one call of another client does not come back."""
    from personalize_rt.resilience.cache import Cache

    entered, over = threading.Event(), threading.Event()

    class Hangs(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            if not entered.is_set():
                entered.set()
                over.wait(LOCKED_FOR)
            return super().get(key, default)

    cache = Cache(personal=True, store=Hangs())

    holder = threading.Thread(target=cache.look_up, args=("k",), daemon=True)
    holder.start()
    assert entered.wait(10)
    try:
        yield {"cache": cache}
    finally:
        over.set()
        holder.join()


SLOW = (
    Kind("never answers", does.never_answers),
    Kind("drips its head", does.drips_its_head),
    Kind("drips its body", does.drips_its_body),
    Kind("stalls in its head", does.stalls_in_its_head),
    Kind("stalls in its body", does.stalls_in_its_body),
    Kind("is half open", does.is_half_open, LATE | {ANSWERS}),
    Kind("does not accept", door="full"),
    Kind("TLS: never shakes hands", does.never_answers, tls=True),
    Kind("TLS: drips its handshake", does.drips_its_handshake, tls=True),
    Kind("TLS: never answers", does.never_answers, tls=True, certificate=True, trusted=True),
    Kind("TLS: drips its body", does.drips_its_body, tls=True, certificate=True, trusted=True),
)
BROKEN = (
    Kind("resets", does.resets, BREAKS),
    Kind("resets in its body", does.resets_in_its_body, BREAKS),
    Kind("hangs up", does.hangs_up, BREAKS),
    Kind("refuses", ends=BREAKS, door="shut"),
    Kind("TLS: breaks its handshake off", does.breaks_its_handshake_off, BREAKS, tls=True),
)
NOT_TRUSTED = (
    Kind("TLS: speaks something else", does.speaks_no_tls, BREAKS, tls=True),
    Kind("TLS: is not trusted", does.never_answers, BREAKS, tls=True, certificate=True),
)
ENDLESS = (
    Kind("sends chunks of one byte without end", does.sends_chunks_of_one_byte, UNREADABLE),
    Kind("sends trailers without end", does.sends_trailers, UNREADABLE),
    Kind("sends interim answers without end", does.sends_interim_answers, UNREADABLE),
    Kind("sends headers without end", does.sends_headers, UNREADABLE),
)
HOSTILE = (
    Kind("promises a length of 4,301 digits", does.promises_a_length_of_4301_digits, UNREADABLE),
    Kind("refuses early and is silent", does.refuses_early_and_is_silent, TOLD_TOO_LARGE, narrow=True),
    Kind("refuses early and resets", does.refuses_early_and_resets, TOLD_TOO_LARGE, narrow=True),
)
CREDENTIALS = tuple(
    Kind(
        f"credentials: {name} never answers",
        does.gives_no_credentials,
        WITHOUT_CREDENTIALS,
        well=does.gives_credentials,
        environment=environment,
    )
    for name, environment in (("the container's endpoint", _container), ("STS", _sts))
)
STORES = (
    Kind("store: is slow", does.answers_well, LATE | {ANSWERS}, options=_slow_store),
    Kind("store: is locked", does.answers_well, LATE | {ANSWERS}, options=_locked_store),
)
KINDS = {kind.name: kind for kind in (*SLOW, *BROKEN, *NOT_TRUSTED, *ENDLESS, *HOSTILE, *CREDENTIALS, *STORES)}
