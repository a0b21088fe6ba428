"""Split of events by time into a past to learn from and a future to predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import fsum, inf
from random import Random
from typing import Any

import attrs

from personalize_rt import checks
from personalize_rt.columns import as_interactions
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.redaction import describe

__all__ = ["Split", "temporal_split"]


@attrs.frozen(repr=False)
class Split:
    """Events that a model may learn from, and later ones that it should predict. ``repr`` shows only their numbers.

    Attributes:
        past: The events that the model may learn from.
        future: The events that it should predict.
    """

    past: tuple[Interaction, ...] = attrs.field(converter=tuple[Interaction, ...])
    future: tuple[Interaction, ...] = attrs.field(converter=tuple[Interaction, ...])

    @property
    def relevant(self) -> dict[str, frozenset[str]]:
        """The items of each user's future events."""
        items: dict[str, set[str]] = {}
        for event in self.future:
            items.setdefault(event.user_id, set()).add(event.item_id)
        return {user: frozenset(wanted) for user, wanted in items.items()}

    @property
    def taken(self) -> dict[str, frozenset[str]]:
        """The actions that each user took in future events: those of type ``TAKEN``, or without a type."""
        taken: dict[str, set[str]] = {}
        for event in self.future:
            actions = taken.setdefault(event.user_id, set())
            # "Taken" in prose of the guide, TAKEN in data (service.md section 7).
            if event.event_type is None or event.event_type.upper() == "TAKEN":
                actions.add(event.item_id)
        return {user: frozenset(actions) for user, actions in taken.items()}

    @property
    def latest(self) -> dict[str, str]:
        """The item of each user's latest past event."""
        return {event.user_id: event.item_id for event in sorted(self.past, key=_time)}

    @property
    def items(self) -> frozenset[str]:
        """The items of past and future."""
        return frozenset(event.item_id for event in (*self.past, *self.future))

    def rewards(self, weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """The items of each user's future events, with the rewards of GetSolutionMetrics for weights of event types.

        A reward is the weight divided by the mean of the weights: of 0.3 and 0.1, the rewards are 1.5 and 0.5 (guide,
        "Optimizing a solution with events configuration"). Of several events with one item, the highest counts; event
        types without a weight do not.

        Args:
            weights: Event type to weight, 0 or more, as in ``eventsConfig`` of a solution.

        Raises:
            ValidationError: ``weights`` is empty or all 0, or a weight is not a number of at least 0.
        """
        given = {
            kind: checks.number(weight, "weights", "numbers of at least 0", lambda it: 0 <= it < inf)
            for kind, weight in weights.items()
        }
        total = fsum(given.values())
        if not total:
            raise ValidationError("weights holds no weight above 0", parameter="weights")
        found: dict[str, dict[str, float]] = {}
        for event in self.future:
            items = found.setdefault(event.user_id, {})
            if event.event_type in given:
                reward = given[event.event_type] * len(given) / total
                items[event.item_id] = max(reward, items.get(event.item_id, 0.0))
        return found

    def increase(self, seconds: float) -> dict[str, int]:
        """The increase in the number of events of each item, from one span of time to the next, which is the last.

        Args:
            seconds: The length of a span, such as the trend discovery frequency of a Trending-Now solution.

        Raises:
            ValidationError: ``seconds`` is not a number above 0.
        """
        checks.number(seconds, "seconds", "a number of seconds above 0", lambda it: 0 < it < inf)
        events = (*self.past, *self.future)
        end = max(map(_time, events), default=0.0)
        increase: Counter[str] = Counter()
        for event in events:
            age = end - event.timestamp
            if age < 2 * seconds:
                increase[event.item_id] += 1 if age < seconds else -1
        return dict(increase)

    def __repr__(self) -> str:
        return f"Split({len(self.past):,} past, {len(self.future):,} future, {len(self.relevant):,} test users)"


def temporal_split(
    interactions: Iterable[Interaction],
    *,
    newest: float = 0.1,
    test_users: float = 1.0,
    random: Random | None = None,
) -> Split:
    """Split off the newest events of users, as the service does before it measures a solution version.

    The service takes 10 % of the users (``test_users=0.1``), and of each the newest 10 % of events. Here all users are
    tested by default, so that small data gives steady figures. The service's rounding is not documented; here it is
    down, but to at least one event. Users with a single event stay in the past.

    Args:
        interactions: The events in any order; or a pandas, Polars or Arrow frame with the columns of the Interactions
            schema. Events with the same timestamp keep their order.
        newest: The share of a user's events to split off, between 0 and 1.
        test_users: The share of the users with two or more events to test, above 0 and up to 1; at least one user.
        random: Generator that chooses the users to test; by default the same ones each time.

    Raises:
        ValidationError: A share is out of range, or an event is not an :class:`Interaction`.
    """
    checks.number(newest, "newest", "a share between 0 and 1", lambda it: 0 < it < 1)
    checks.number(test_users, "test_users", "a share above 0 and up to 1", lambda it: 0 < it <= 1)
    by_user: dict[str, list[Interaction]] = {}
    for event in sorted(_checked(as_interactions(interactions)), key=_time):
        by_user.setdefault(event.user_id, []).append(event)
    tested = _tested(by_user, test_users, random or Random(0))
    past: list[Interaction] = []
    future: list[Interaction] = []
    for user, events in by_user.items():
        kept = len(events) - max(1, int(len(events) * newest)) if user in tested else len(events)
        past += events[:kept]
        future += events[kept:]
    return Split(sorted(past, key=_time), sorted(future, key=_time))


def _tested(by_user: Mapping[str, list[Interaction]], share: float, random: Random) -> set[str]:
    able = [user for user, events in by_user.items() if len(events) > 1]
    if share == 1 or not able:
        return set(able)
    return set(random.sample(sorted(able), max(1, int(len(able) * share))))


def _time(event: Interaction) -> float:
    return event.timestamp


def _checked(interactions: Iterable[Any]) -> Iterable[Interaction]:
    for n, event in enumerate(interactions):
        if not isinstance(event, Interaction):
            raise ValidationError(
                f"interactions[{n}] is {describe(event)}, not an Interaction(user_id, item_id, timestamp)",
                parameter="interactions",
            )
        if event.timestamp != event.timestamp:
            raise ValidationError(f"interactions[{n}].timestamp is not a number", parameter="interactions")
        yield event
