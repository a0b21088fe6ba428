"""Checks of the events and parameters of scorers, before anything is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from operator import itemgetter
from os import PathLike
from typing import Any

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.redaction import describe

__all__ = ["Event", "events_in_order", "half_life", "positive", "whole"]

Event = tuple[float, str, str]
"""Timestamp, user, item."""

# Bounds of parameters, so that products neither overflow nor underflow.
_SMALLEST, _LARGEST = 1e-100, 1e100


def events_in_order(interactions: Iterable[Interaction], parameter: str) -> list[Event]:
    """Check all events and sort them, oldest first; events with the same timestamp keep their order.

    Raises:
        ValidationError: An event cannot be used; the message names the first one.
    """
    if type(interactions).__module__ != "builtins":
        from personalize_rt.columns import as_interactions

        interactions = as_interactions(interactions, parameter)
    if isinstance(interactions, str | bytes | PathLike):
        raise ValidationError(
            f"{parameter} is {describe(interactions)}: it takes events, not the name of a file; give a frame "
            "(pandas.read_csv(path)) or Interaction objects",
            parameter=parameter,
        )
    if isinstance(interactions, Interaction):
        raise ValidationError(f"{parameter} is one Interaction: write [interaction]", parameter=parameter)
    try:
        given = iter(interactions)
    except TypeError:
        given = None
    if given is None:
        raise ValidationError(
            f"{parameter} is {describe(interactions)}, not an iterable of Interaction", parameter=parameter
        )
    events = [_event(interaction, f"{parameter}[{n}]", parameter) for n, interaction in enumerate(given)]
    events.sort(key=itemgetter(0))
    return events


def _event(interaction: Any, where: str, parameter: str) -> Event:
    if not isinstance(interaction, Interaction):
        # A dict, as csv.DictReader and json give.
        advice = "; of rows of a file make these, or give a frame (pandas.read_csv(path))"
        raise ValidationError(
            f"{where} is {describe(interaction)}, not an Interaction(user_id, item_id, timestamp)"
            f"{advice if isinstance(interaction, Mapping) else ''}",
            parameter=parameter,
        )
    for name in ("user_id", "item_id"):
        id = getattr(interaction, name)
        if not isinstance(id, str):
            raise ValidationError(f"{where}.{name} is {describe(id)}, not a str", parameter=parameter)
    timestamp = checks.as_float(interaction.timestamp)
    if timestamp is None:
        raise ValidationError(
            f"{where}.timestamp is {describe(interaction.timestamp)}, not a Unix time in seconds; "
            "of a datetime take .timestamp()",
            parameter=parameter,
        )
    if not isfinite(timestamp):
        raise ValidationError(f"{where}.timestamp is not finite", parameter=parameter)
    return timestamp, interaction.user_id, interaction.item_id


# Validators of attrs, for the parameters of scorers.


def positive(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse anything but a number above 0, within reason."""
    wanted = f"a number above 0 (from {_SMALLEST:g} to {_LARGEST:g})"
    checks.number(value, attribute.name, wanted, lambda it: _SMALLEST <= it <= _LARGEST)


def half_life(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse anything but a number of days above 0, or ``None``."""
    if value is not None:
        positive(_, attribute, value)


whole: checks.Validator = checks.validator(checks.whole)
