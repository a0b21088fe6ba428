"""Lists that pages showed, and what was taken of them: what :class:`EnsembleScorer` learns from best."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from personalize_rt.events import InterleavingExposure
    from personalize_rt.tracking import TrackedEvent

__all__ = ["ShownEvent", "ShownList", "checked_lists", "shown_lists"]


def _ids(value: Iterable[str]) -> tuple[str, ...]:
    # A text is an iterable of texts too; so that the validator refuses it, it becomes no tuple of texts.
    return cast("tuple[str, ...]", value) if isinstance(value, str | bytes) else tuple(value)


def _text(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str):
        raise ValidationError(f"{attribute.name} is {describe(value)}, not a str", parameter=attribute.name)


def _texts(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(id, str) for id in value):  # pyright: ignore[reportUnknownVariableType]
        raise ValidationError(f"{attribute.name} is not a list of item ids", parameter=attribute.name)


def _time(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    seconds = checks.as_float(value)
    if seconds is None or not isfinite(seconds):
        raise ValidationError(
            f"{attribute.name} is {describe(value)}, not a finite Unix time in seconds", parameter=attribute.name
        )


@attrs.frozen(repr=False)
class ShownList:
    """A list that a user was shown, and what the user took of it. ``repr`` hides the user.

    :func:`shown_lists` makes them of events, and of exposures of interleaved lists.

    Attributes:
        user_id: The user.
        timestamp: When it was shown: Unix time in seconds. What happened from then on is not known to it.
        item_ids: The candidates in the order of the page, best place first. An item that comes again counts once.
        taken: Those of them that the user clicked, bought, watched: in any order. Others are ignored; a list of which
            nothing, or everything, was taken teaches nothing.

    Raises:
        ValidationError: An attribute of the wrong kind.
    """

    user_id: str = attrs.field(validator=_text)
    timestamp: float = attrs.field(validator=_time)
    item_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_texts)
    taken: tuple[str, ...] = attrs.field(converter=_ids, validator=_texts)

    def __repr__(self) -> str:
        return f"ShownList(user_id=<hidden>, {len(self.item_ids)} items, {len(self.taken)} taken)"


class ShownEvent(Protocol):
    """An event that tells what was shown: a ``TrackedEvent``, or one of ``LocalPersonalize.recorded_events``."""

    @property
    def event_type(self) -> str:
        """The type, such as ``"click"``."""
        ...

    @property
    def item_id(self) -> str | None:
        """The item that it is about, or ``None``."""
        ...

    @property
    def sent_at(self) -> float | None:
        """The Unix time in seconds at which it happened."""
        ...

    @property
    def recommendation_id(self) -> str | None:
        """The id of the answer that the item was shown in, or ``None``."""
        ...

    @property
    def impression(self) -> tuple[str, ...]:
        """The items that it tells were shown."""
        ...


def shown_lists(
    events: Iterable[ShownEvent | tuple[str, ShownEvent | TrackedEvent]],
    *,
    exposures: Iterable[InterleavingExposure] = (),
    event_types: Collection[str] | None = None,
) -> list[ShownList]:
    """Make lists of events that came with an impression or a recommendation id.

    The events of a user with the same recommendation id are of one list: its candidates are their impressions in order
    of time, or else the items of the answer that a recorded event holds; taken is what the events are about. The list
    is as old as its first event. An event without a recommendation id is a list of its own, if it has an impression.
    What an event about an item of an exposure takes, is taken of the list of that exposure, unless the event tells what
    was shown itself.

    Args:
        events: ``local_personalize.recorded_events``, or pairs of a user id and a ``TrackedEvent``, which holds no
            user. An event without a user, or a time, is left out.
        exposures: Interleaved lists as they were shown, whose units are sessions (``recorded_events`` tell theirs) or
            users. Of several of one unit, an event is of the last one that holds its item.
        event_types: The types of events that take an item, such as ``{"click", "purchase"}``. Events of other types
            only tell what was shown. ``None``: all types take.

    Returns:
        Lists of which something was taken, oldest first.

    Raises:
        ValidationError: ``events`` or ``event_types`` of the wrong kind.
    """
    if isinstance(event_types, str | bytes):
        raise ValidationError("event_types is one text: write {text}", parameter="event_types")
    lists_of: dict[object, list[tuple[str, ...]]] = {}
    for exposure in exposures:
        lists_of.setdefault(exposure.unit, []).append(exposure.item_ids)
    found: dict[object, tuple[str, float, dict[str, None], dict[str, None]]] = {}
    for n, (user_id, event) in enumerate(sorted(_known(events), key=lambda one: one[1].sent_at or 0.0)):
        answer: Any = getattr(event, "answer", None)
        shown: Sequence[str] = event.impression or (() if answer is None else answer.item_ids)
        key: object = n if event.recommendation_id is None else (user_id, event.recommendation_id)
        if not shown:
            for unit in (getattr(event, "session_id", None), user_id):
                holding = [one for one in lists_of.get(unit, ()) if event.item_id in one]
                if holding:
                    shown = holding[-1]
                    key = (user_id, unit, shown)
                    break
        if not shown and event.recommendation_id is None:
            continue
        _, _, items, taken = found.setdefault(key, (user_id, event.sent_at or 0.0, {}, {}))
        items.update(dict.fromkeys(shown))
        if event.item_id is not None and (event_types is None or event.event_type in event_types):
            taken[event.item_id] = None
    lists = [
        ShownList(user_id, time, tuple(items), tuple(id for id in taken if id in items))
        for user_id, time, items, taken in found.values()
    ]
    return [one for one in lists if one.taken]


def _known(events: Iterable[Any]) -> Iterable[tuple[str, ShownEvent]]:
    for n, given in enumerate(events):
        pair: Any = given
        if not isinstance(given, tuple) or len(pair) != 2:
            pair = getattr(pair, "user_id", None), given
        user_id: Any = pair[0]
        event: Any = pair[1]
        if not hasattr(event, "impression") or not hasattr(event, "sent_at"):
            raise ValidationError(
                f"events[{n}] is {describe(event)}, not an event: give recorded_events, or pairs (user_id, "
                "TrackedEvent)",
                parameter="events",
            )
        if isinstance(user_id, str) and event.sent_at is not None:
            yield user_id, event


def checked_lists(lists: Any) -> list[ShownList]:
    """Check the lists to learn from, and sort them, oldest first.

    Raises:
        ValidationError: Something else than lists.
    """
    if isinstance(lists, ShownList | str | bytes) or not isinstance(lists, Iterable):
        raise ValidationError(f"lists is {describe(lists)}; it takes ShownList objects", parameter="lists")
    given: list[Any] = list(lists)  # pyright: ignore[reportUnknownArgumentType]
    for n, one in enumerate(given):
        if not isinstance(one, ShownList):
            raise ValidationError(f"lists[{n}] is {describe(one)}, not a ShownList", parameter="lists")
    return sorted(given, key=lambda one: one.timestamp)
