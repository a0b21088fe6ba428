"""Options of a runtime that make no sense."""

from __future__ import annotations

from typing import Any

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe
from personalize_rt.resilience.call import Policies
from personalize_rt.resilience.retry import RetryPolicy

__all__ = ["check_options"]


def check_options(policies: Policies, limits: Limits) -> None:
    """Check what a runtime was given.

    Raises:
        ValidationError: An option is of the wrong kind, or out of its range.
    """
    _check_kind("retry", policies.retry, RetryPolicy)
    _check_kind("limits", limits, Limits)
    _check_deadline(policies.deadline)
    policies.check()


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ValidationError(f"{name} is {describe(value)}, not a {kind.__name__}", parameter=name)


def _check_deadline(deadline: Any) -> None:
    if deadline is None:
        return
    if not isinstance(deadline, int | float) or isinstance(deadline, bool) or not deadline > 0:
        raise ValidationError(
            "deadline must be a number of seconds above 0, or None for no deadline", parameter="deadline"
        )
