"""Checks and hooks that all experiments share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from personalize_rt.errors import ValidationError
from personalize_rt.events import Exposure
from personalize_rt.redaction import describe

__all__ = ["Chance", "ExposureHook", "encoded", "name", "tell"]

ExposureHook = Callable[[Exposure], object]
"""A function that is told of each exposure, to keep it for :func:`~personalize_rt.experiments.outcomes`."""

_log = logging.getLogger("personalize_rt")


class Chance(Protocol):
    """A source of random numbers, such as ``random.Random`` or a generator of numpy."""

    def random(self) -> float:
        """Return a number from 0 to below 1."""
        ...


def name(value: Any, parameter: str) -> str:
    """Check a name: a text, not empty, without U+0000, which divides what is hashed.

    Raises:
        ValidationError: It is something else.
    """
    encoded(value, parameter)
    if not value or "\0" in value:
        raise ValidationError(
            f"{parameter} is {describe(value)}; it takes one or more characters, none of them U+0000",
            parameter=parameter,
        )
    text: str = value
    return text


def encoded(value: Any, parameter: str) -> bytes:
    """Encode a text as UTF-8.

    Raises:
        ValidationError: It is no text, or has half of a surrogate pair. The message does not show it.
    """
    if not isinstance(value, str):
        raise ValidationError(
            f"{parameter} is {describe(value)}, not a str: turn it into text first", parameter=parameter
        )
    # A replaced character, instead of an error that would hold the text.
    found = value.encode("utf-8", "replace")
    if found != value.encode("utf-8", "surrogatepass"):
        raise ValidationError(
            f"{parameter} is {describe(value)} with half of a surrogate pair, which UTF-8 does not have: decode it "
            "with the encoding that it came in",
            parameter=parameter,
        )
    return found


def tell(hooks: Iterable[ExposureHook], exposure: Exposure) -> None:
    """Tell hooks of an exposure. One that fails is logged, and breaks nothing."""
    for hook in hooks:
        try:
            hook(exposure)
        except Exception as failure:
            _log.warning("a hook for exposures failed with %s", type(failure).__name__)
