"""The faults decided on for one request, and their outcome for its client."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, assert_never

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.local.faults.answers import read_answer
from personalize_rt.local.faults.effects import Damage, NoAnswer, Sent, Transmission
from personalize_rt.local.wire import HttpResponse

__all__ = ["NO_FAULT", "Decision", "Seen", "as_seen_by_client"]


@attrs.frozen
class Decision:
    """The faults of one request. ``bool()`` is false if there is none.

    Attributes:
        delay: Seconds of silence before anything is sent.
        answer: An answer instead of the engine's, or ``NoAnswer``; ``None`` leaves the answer to the engine.
        delivery: The fault that changes the answer or its transmission.
    """

    delay: float = 0.0
    answer: HttpResponse | NoAnswer | None = None
    delivery: Damage | Transmission | None = None

    def __bool__(self) -> bool:
        return self.delay > 0 or self.answer is not None or self.delivery is not None

    def respond(self, handle: Callable[[], HttpResponse]) -> HttpResponse:
        """Make the answer to send. A ``Transmission`` still has to be applied to it.

        Args:
            handle: Asks the engine; called only if no fault answers in its place.
        """
        response = self.answer if isinstance(self.answer, HttpResponse) else handle()
        return self.delivery.damaged(response) if isinstance(self.delivery, Damage) else response


NO_FAULT = Decision()


@attrs.frozen
class Seen:
    """The outcome of one request for a client in the same process.

    Attributes:
        elapsed: Seconds by which to advance the simulated clock.
        outcome: The answer, or the error that the client's HTTP library would raise.
    """

    elapsed: float
    outcome: HttpResponse | Literal["read_timeout", "connection_closed"]


def as_seen_by_client(decision: Decision, handle: Callable[[], HttpResponse], *, read_timeout: float | None) -> Seen:
    """Simulate a blocking client over HTTP, without a socket and without waiting.

    Its time-out applies to each read of the socket, not to the whole answer: a slow answer arrives in the end if each
    of its bytes is in time.

    Args:
        decision: The faults of the request.
        handle: Asks the engine; called only if an answer is sent.
        read_timeout: Seconds that the client waits for the next byte; ``None`` waits for ever.

    Raises:
        ValidationError: The client has no time-out, and would wait for ever.
    """
    patience = math.inf if read_timeout is None else read_timeout
    if isinstance(decision.answer, NoAnswer):
        if read_timeout is None:
            raise ValidationError(
                "a hang, and a client without a time-out: it would wait for ever; give the client a read_timeout",
                parameter="read_timeout",
            )
        return Seen(patience, "read_timeout")
    if decision.delay >= patience:
        return Seen(patience, "read_timeout")
    response, delivery = decision.respond(handle), decision.delivery
    match delivery:
        case None | Damage():
            return Seen(decision.delay, response)
        case Transmission():
            return _received(delivery.sent(response), decision.delay, patience)
        case _:
            assert_never(delivery)


def _received(sent: Sent, elapsed: float, patience: float) -> Seen:
    """Simulate reading the pieces by a blocking client, from ``elapsed`` seconds on."""
    for piece in sent.pieces:
        pauses = max(0, len(piece.content) - 1) if piece.interval else 0
        if pauses and piece.interval >= patience:
            return Seen(elapsed + patience, "read_timeout")
        elapsed += pauses * piece.interval
    match sent.end:
        case "close":
            answer = read_answer(b"".join(piece.content for piece in sent.pieces))
            return Seen(elapsed, "connection_closed" if answer is None else answer)
        case "reset":
            return Seen(elapsed, "connection_closed")
        case _:
            assert_never(sent.end)
