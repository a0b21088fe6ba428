"""Split of events by time into a past to learn from and a future to predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    def items(self) -> frozenset[str]:
        """The items of past and future."""
        return frozenset(event.item_id for event in (*self.past, *self.future))

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
