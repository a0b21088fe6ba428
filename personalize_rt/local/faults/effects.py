"""The four things that a kind of fault may do; each is a base class with one method to write.

The doors know these four and no kind.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import attrs

from personalize_rt.errors import PersonalizeError
from personalize_rt.local.wire import HttpResponse

__all__ = [
    "WHEN",
    "WHERE",
    "Answer",
    "Asked",
    "Damage",
    "Delay",
    "Errors",
    "Fault",
    "NoAnswer",
    "Piece",
    "Sent",
    "Transmission",
]

Errors = tuple[type[PersonalizeError], ...]
"""Classes of errors; the type of ``caller_sees``."""

WHERE = ("operation", "campaign", "recommender")
WHEN = ("times", "rate", *WHERE)


@attrs.frozen
class Asked:
    """The part of a request that faults may know.

    Attributes:
        operation: Its name, or ``None`` for a path that is none.
        resources: The ARN of its campaign or recommender, by ``"campaign"`` or ``"recommender"``.
    """

    operation: str | None
    resources: Mapping[str, str]


class _Kind(ABC):
    """A kind of fault; an instance has the parameters of one rule.

    Subclasses are frozen attrs classes: their fields, with defaults and validators, are the parameters.

    Attributes:
        name: The method of ``Faults`` that makes it, and its name in JSON.
        caller_sees: The errors with which a call may end that meets this fault, made with its default parameters, on
            each attempt; empty when the call ends with an answer, another one or a late one. A call with a deadline may
            always end with ``DeadlineExceededError``.
        limits: The names of the parameters of ``When`` that its rules take, or those of ``Where`` for a kind that
            counts by itself.
    """

    name: ClassVar[str]
    caller_sees: ClassVar[Errors]
    limits: ClassVar[tuple[str, ...]] = WHEN

    @classmethod
    def parameters(cls) -> Mapping[str, bool]:
        """The names of its parameters; true for one without a default."""
        return {field.name: field.default is attrs.NOTHING for field in attrs.fields(cast("Any", cls)) if field.init}

    def shown(self) -> dict[str, Any]:
        """The parameters that were given or have a default, as JSON has them."""
        values = {name: getattr(self, name) for name in self.parameters()}
        return {name: value for name, value in values.items() if value is not None}


@attrs.frozen
class NoAnswer:
    """Silence: nothing is sent, and the connection stays open until the client closes it."""


class Answer(_Kind):
    """A kind that answers in place of the engine. The first one that has an answer wins."""

    @abstractmethod
    def answer(self, asked: Asked, now: float) -> HttpResponse | NoAnswer | None:
        """The answer to a request, or ``None`` to leave it to other rules and the engine.

        Args:
            asked: The request.
            now: Seconds that only ever grow.
        """


class Delay(_Kind):
    """A kind that keeps the client waiting before anything is sent. All delays add up."""

    @abstractmethod
    def delay(self, rng: random.Random) -> float:
        """Seconds to wait.

        Args:
            rng: The rule's own source of chance.
        """


class Damage(_Kind):
    """A kind that changes an answer into another one that HTTP can carry; the connection stays open."""

    @abstractmethod
    def damaged(self, response: HttpResponse) -> HttpResponse:
        """The answer that is sent instead."""


@attrs.frozen
class Piece:
    """Bytes that are sent in a row, with so many seconds between two of them (0: all at once)."""

    content: bytes
    interval: float = 0.0


@attrs.frozen
class Sent:
    """The bytes that leave for one answer, and the end of the connection after them.

    Attributes:
        pieces: The bytes, in their order.
        end: ``"close"`` closes the connection in good order, ``"reset"`` by TCP RST.
    """

    pieces: tuple[Piece, ...]
    end: Literal["close", "reset"] = "close"


class Transmission(_Kind):
    """A kind that sends an answer in a way that HTTP forbids or does not control, and ends the connection."""

    @abstractmethod
    def sent(self, response: HttpResponse) -> Sent:
        """The bytes that are sent of an answer, head included."""


# Told apart with assert_never in `rules`, `decision` and `local/front.py`.
Fault = Answer | Delay | Damage | Transmission
