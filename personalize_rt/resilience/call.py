"""One call under way: what the drivers of both clients share about it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from personalize_rt import checks
from personalize_rt.errors import (
    DeadlineExceededError,
    PersonalizeError,
    ResponseError,
    ServiceError,
    TransportError,
    ValidationError,
)
from personalize_rt.limits import Limits
from personalize_rt.operations import Request
from personalize_rt.outcome import Failed, Ok, Outcome
from personalize_rt.redaction import describe, mask
from personalize_rt.resilience.budget import RetryBudget
from personalize_rt.resilience.retry import RetryPolicy
from personalize_rt.results import Ranking, ResponseInfo, evolved

if TYPE_CHECKING:  # a policy that is off is not even imported
    from personalize_rt.events import Event
    from personalize_rt.resilience.breaker import BreakerState, CircuitBreaker
    from personalize_rt.resilience.cache import Cache, Flights
    from personalize_rt.resilience.fallback import Fallback
    from personalize_rt.resilience.hedge import Hedge
    from personalize_rt.transport.sending import Reply, Transport

__all__ = ["UNSET", "Call", "Hook", "Policies"]

UNSET: Any = object()
"""The default of an option that is not given; ``None`` says something."""

_log = logging.getLogger("personalize_rt")

_PATIENCE = 0.1  # of the time that is left
_LONGEST_PATIENCE = 1.0  # seconds

Hook = Callable[["Event"], object]
ResultT = TypeVar("ResultT")


_KINDS = (
    ("fallback", "personalize_rt.resilience.fallback", "Fallback"),
    ("breaker", "personalize_rt.resilience.breaker", "CircuitBreaker"),
    ("cache", "personalize_rt.resilience.cache", "Cache"),
    ("hedge", "personalize_rt.resilience.hedge", "Hedge"),
)


def _hooks(hooks: Iterable[Hook]) -> tuple[Hook, ...]:
    taken = tuple(hooks) if isinstance(hooks, Iterable) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(hooks, Iterable) or not all(map(callable, taken)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(
            f"hooks is {describe(hooks)}: it takes a list of functions of an event; for a single one write [hook]",
            parameter="hooks",
        )
    return taken


class Policies:
    """The policies of a runtime for slow and failing calls; shared by its copies, state included.

    Not changed once it is made. A plain class, since every new process pays for making it.
    """

    __slots__ = (
        "breaker",
        "budget",
        "cache",
        "deadline",
        "enforce_deadline",
        "fallback",
        "flights",
        "hedge",
        "hooks",
        "retry",
    )

    def __init__(
        self,
        retry: RetryPolicy,
        deadline: float | None,
        *,
        fallback: Fallback | None = None,
        breaker: CircuitBreaker | None = None,
        cache: Cache | None = None,
        hedge: Hedge | None = None,
        hooks: Iterable[Hook] = (),
        enforce_deadline: bool = False,
        budget: RetryBudget | None = None,
        flights: Flights[Any] | None = None,
    ) -> None:
        self.retry: RetryPolicy = retry
        self.deadline: float | None = deadline
        self.fallback: Fallback | None = fallback
        self.breaker: CircuitBreaker | None = breaker
        self.cache: Cache | None = cache
        self.hedge: Hedge | None = hedge
        self.hooks: tuple[Hook, ...] = _hooks(hooks)
        self.enforce_deadline: bool = enforce_deadline
        self.budget: RetryBudget = RetryBudget() if budget is None else budget
        if cache is not None and flights is None:
            from personalize_rt.resilience.cache import Flights

            flights = Flights()
        self.flights: Flights[Any] | None = flights  # with the cache

    def check(self, limits: Limits) -> None:
        """Refuse options of the wrong kind now, not at the first call.

        Raises:
            ValidationError: Which one, and what it should be.
        """
        _check_kind("retry", self.retry, RetryPolicy)
        _check_kind("limits", limits, Limits)
        if self.deadline is not None:
            checks.seconds(self.deadline, "deadline", above_0=True, note=", or None for no deadline")
        for name, home, kind in _KINDS:
            value = getattr(self, name)
            if value is not None:
                _check_kind(name, value, getattr(import_module(home), kind))
        if not isinstance(self.enforce_deadline, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - from outside
            raise ValidationError("enforce_deadline must be True or False", parameter="enforce_deadline")

    @property
    def keeps_answers(self) -> bool:
        """Tell whether answers are kept, and so must be told apart by who may have them."""
        return self.cache is not None or getattr(self.fallback, "keeps_answers", False)

    def leave_behind(self, transport: Transport) -> bool:
        """Tell whether a request must be left behind on a thread at the deadline, since it cannot be cancelled."""
        return self.deadline is not None and not transport.bounded and (self.enforce_deadline or transport.owned)

    def changed(self, **options: Any) -> Policies:
        """A copy with some options changed; the rest is shared."""
        kept = {name: getattr(self, name) for name in self.__slots__}
        given = {name: value for name, value in options.items() if value is not UNSET}
        if "cache" in given:
            kept["flights"] = None  # other answers, other flights
        return Policies(**{**kept, **given})


def _check_kind(name: str, value: object, kind: Any) -> None:
    # A class has the methods too, so it may pass for a protocol.
    if isinstance(value, type):
        raise ValidationError(f"{name} is the class {value.__name__}: write {value.__name__}()", parameter=name)
    if not isinstance(value, kind):
        raise ValidationError(f"{name} is {describe(value)}, not a {kind.__name__}", parameter=name)


class Call(Generic[ResultT]):
    """One call: its clock, its attempts, and who is told about it.

    Args:
        request: What is asked.
        policies: What to do when it is slow or fails.
    """

    __slots__ = ("_request_id", "_sent_before", "_start", "_told", "policies", "request", "sent", "spent")

    def __init__(self, request: Request[ResultT], policies: Policies) -> None:
        self.request: Request[ResultT] = request
        self.policies: Policies = policies
        self.sent: int = 0
        self.spent: int = 0  # tokens of the retry budget that the last retry cost
        self._sent_before = 0
        self._request_id: str | None = None
        self._told = bool(policies.hooks)
        self._start = policies.retry.clock()
        if self._told:
            self.tell("CallStarted")

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.policies.retry.clock() - self._start

    def left(self) -> float | None:
        """Seconds to the deadline, negative after it; ``None`` without one."""
        deadline = self.policies.deadline
        return None if deadline is None else deadline - self.elapsed()

    def patience(self) -> float:
        """Seconds to wait for what this call can do without, such as a cache's store."""
        left = self.left()
        return _LONGEST_PATIENCE if left is None else min(max(0.0, left * _PATIENCE), _LONGEST_PATIENCE)

    def ends(self) -> float | None:
        """The deadline by ``time.monotonic()``, for sockets."""
        left = self.left()
        return None if left is None else time.monotonic() + left

    def tell(self, kind: str, *details: Any) -> None:
        """Tell the hooks of an event of :mod:`personalize_rt.events`. One that fails is logged, and breaks nothing."""
        if not self._told:
            return
        from personalize_rt import events

        event: Event = getattr(events, kind)(self.request.operation.name, self.request.resource_arn, *details)
        for hook in self.policies.hooks:
            try:
                hook(event)
            except Exception as failure:
                _log.warning("a hook failed with %s", type(failure).__name__)

    def breaker_changed(self, state: BreakerState | None) -> None:
        """Tell the hooks of a change of the breaker; ``None`` when it did not change."""
        if state is not None:
            self.tell("BreakerChanged", state)

    def attempt_begins(self) -> None:
        """An attempt is about to be sent."""
        self._sent_before = self.sent
        if self._told:
            self.tell("AttemptStarted", self.sent + 1)

    def attempt_failed(self, error: PersonalizeError) -> None:
        """An attempt failed; count what it sent."""
        if isinstance(error, ServiceError | TransportError):
            self.sent = error.attempts
        elif isinstance(error, ResponseError) and self.sent == self._sent_before:
            self.sent += 1
        if self._told:
            self.tell("AttemptFailed", self.sent, type(error).__name__, self.elapsed())

    def result(self, reply: Reply) -> ResultT:
        """The result of a reply."""
        self.sent += reply.sent
        self._request_id = reply.request_id
        info = ResponseInfo(reply.request_id, self.sent, self.elapsed(), "service")
        try:
            answer: ResultT = self.request.operation.read(reply.members, self.request, info)
        except ResponseError as error:
            error.args = (self._without_names(error.message),)
            raise
        policies = self.policies
        policies.budget.succeeded(self.spent)
        if self._told:
            self.tell("AttemptSucceeded", self.sent, info.elapsed)
        if policies.fallback is not None:
            from personalize_rt.resilience.fallback import tell

            tell(policies.fallback, self.request, answer)
        return answer

    def _without_names(self, message: str) -> str:
        """Describe the fault of an answer; a member of it may be named after somebody."""
        values, shown = list(self.request.personal_values()), list(self.request.shown())
        return re.sub(r"(?<=metadata\[').*(?='\])", lambda name: mask(name[0], values, shown), message)

    def from_cache(self, answer: Any, *, stale: bool) -> Any:
        """An answer of the cache, told as such."""
        self.tell("CacheAnswered", stale)
        info = ResponseInfo(answer.info.request_id, self.sent, self.elapsed(), "cache")
        return evolved(answer, info=info)

    def stale_instead(self, failed: Failed[PersonalizeError], stale: Any | None) -> Outcome[Any]:
        """A stale answer of the cache in place of an error of the service, if there is one."""
        from personalize_rt.resilience.fallback import wants_fallback

        if stale is None or not wants_fallback(failed.error):
            return failed
        failed.take()
        return Ok(self.from_cache(stale, stale=True))

    def substituted(self, failed: Failed[PersonalizeError]) -> Outcome[ResultT]:
        """The answer of a fallback in place of an error, or the error when none has an answer."""
        fallback = self.policies.fallback
        if fallback is None:
            return failed
        from personalize_rt.resilience.fallback import substitute_for

        substitute = substitute_for(failed.error, self.request, fallback)
        return failed if substitute is None else Ok(self.from_fallback(substitute, failed.take()))

    def from_fallback(self, answer: Any, error: PersonalizeError) -> Any:
        """An answer of a fallback: degraded, and with the error for which it was asked."""
        self.tell("FallbackAnswered", type(error).__name__)
        info = attrs.evolve(answer.info, attempts=self.sent, elapsed=self.elapsed(), source="fallback")
        changes: dict[str, Any] = {"info": info, "degraded": True, "cause": error}
        if isinstance(answer, Ranking):
            changes["input_list"] = self.request.members["inputList"]
        return evolved(answer, **changes)

    def late(self, last: BaseException | None = None) -> DeadlineExceededError:
        """The error for a call whose time is over."""
        deadline = self.policies.deadline or 0.0
        tries = "1 attempt" if self.sent == 1 else f"{self.sent} attempts"
        how = ""
        if last is not None:
            how = f"; the last one failed with {type(last).__name__}: {last}" if self.sent else f": {last}"
        return DeadlineExceededError(
            f"no answer within the deadline of {deadline:g} s, after {tries}{how}",
            deadline=deadline,
            attempts=self.sent,
        )

    def ended(self, outcome: Ok[Any] | Failed[BaseException]) -> None:
        """The call is over."""
        if not self._told:
            return
        if isinstance(outcome, Ok):
            answer = outcome.value
            source, name, rows, request_id = answer.info.source, None, len(answer), self._request_id
        else:
            source, name, rows = None, type(outcome.error).__name__, 0
            request_id = self._request_id or getattr(outcome.error, "request_id", None)
        self.tell("CallEnded", self.elapsed(), self.sent, source, name, rows, request_id)

    def ended_unseen(self, outcome: Ok[Any] | Failed[BaseException]) -> None:
        """The call is over, and nobody waited for it: a revalidation of the cache."""
        self.ended(outcome)
        if isinstance(outcome, Failed):
            _log.debug("revalidation failed with %s", type(outcome.take()).__name__)
