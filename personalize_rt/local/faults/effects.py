"""The four base classes of kinds of faults, each with one abstract method.

The doors know only these four, and no kind.
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
    "Asked",
    "Damage",
    "Delay",
    "Errors",
    "Fault",
    "NoAnswer",
    "Piece",
    "Sent",
    "Substitute",
    "Transmission",
]

Errors = tuple[type[PersonalizeError], ...]
"""Classes of errors; the type of ``caller_sees``."""

WHERE = ("operation", "campaign", "recommender")
WHEN = ("times", "rate", *WHERE)


@attrs.frozen
class Asked:
    """The part of a request that faults depend on.

    Attributes:
        operation: Its name, or ``None`` for an unknown path.
        resources: The ARN of its campaign or recommender, by ``"campaign"`` or ``"recommender"``.
    """

    operation: str | None
    resources: Mapping[str, str]


class _Kind(ABC):
    """A kind of fault; an instance has the parameters of one rule.

    Subclasses are frozen attrs classes: their fields, with defaults and validators, are the parameters.

    Attributes:
        name: The method of ``Faults`` that makes it, and its name in JSON.
        caller_sees: The errors that a call may raise if every attempt meets this fault with default parameters; empty
            if the call returns an answer, though changed or late. With a deadline, a call may also raise
            ``DeadlineExceededError``.
        limits: The names of the parameters of ``When`` that its rules take, or those of ``Where`` for a kind that
            counts by itself.
    """

    name: ClassVar[str]
    caller_sees: ClassVar[Errors]
    limits: ClassVar[tuple[str, ...]] = WHEN

    @classmethod
    def parameters(cls) -> Mapping[str, bool]:
        """The names of its parameters, each with ``True`` if it has no default."""
        return {field.name: field.default is attrs.NOTHING for field in attrs.fields(cast("Any", cls)) if field.init}

    def shown(self) -> dict[str, Any]:
        """The parameters in JSON form, without those that are ``None``."""
        values = {name: getattr(self, name) for name in self.parameters()}
        return {name: value for name, value in values.items() if value is not None}


@attrs.frozen
class NoAnswer:
    """The absence of an answer: nothing is sent, and the connection stays open until the client closes it."""


class Substitute(_Kind):
    """A kind that answers in place of the engine. The first rule with an answer wins."""

    @abstractmethod
    def answer(self, asked: Asked, now: float) -> HttpResponse | NoAnswer | None:
        """The answer to a request, or ``None`` to leave it to other rules and the engine.

        Args:
            asked: The request.
            now: Seconds of a monotonic clock.
        """


class Delay(_Kind):
    """A kind that makes the client wait before anything is sent. All delays add up."""

    @abstractmethod
    def delay(self, rng: random.Random) -> float:
        """Seconds to wait.

        Args:
            rng: The rule's own random generator.
        """


class Damage(_Kind):
    """A kind that changes an answer into another one that HTTP can carry; the connection stays open."""

    @abstractmethod
    def damaged(self, response: HttpResponse) -> HttpResponse:
        """The answer that is sent instead."""


@attrs.frozen
class Piece:
    """Bytes to send in a row, with so many seconds between two of them (0: all at once)."""

    content: bytes
    interval: float = 0.0


@attrs.frozen
class Sent:
    """The bytes to send for one answer, and the end of the connection after them.

    Attributes:
        pieces: The bytes, in order.
        end: ``"close"`` closes the connection normally, ``"reset"`` by TCP RST.
    """

    pieces: tuple[Piece, ...]
    end: Literal["close", "reset"] = "close"


class Transmission(_Kind):
    """A kind that sends an answer in a way that HTTP forbids or does not control, and ends the connection."""

    @abstractmethod
    def sent(self, response: HttpResponse) -> Sent:
        """The bytes to send for an answer, head included."""


# Matched with assert_never in `rules`, `decision` and `local/front.py`.
Fault = Substitute | Delay | Damage | Transmission
