"""What :meth:`LocalReranker.rank` is given, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe

__all__ = ["as_float", "check_context", "check_user", "input_items"]


def check_user(user_id: Any, limits: Limits) -> None:
    """Refuse what cannot be a user id."""
    if not isinstance(user_id, str):
        raise ValidationError(f"user_id is {describe(user_id)}, not a str", parameter="user_id")
    if limits.id_length is not None and len(user_id) > limits.id_length:
        raise ValidationError(
            f"user_id is {describe(user_id)}; the service takes at most {limits.id_length:,} (model: UserID)",
            parameter="user_id",
            limit=limits.id_length,
        )


def check_context(context: Any) -> None:
    """Refuse what cannot be a context."""
    if context is not None and not isinstance(context, Mapping):
        raise ValidationError(f"context is {describe(context)}, not a mapping of names to values", parameter="context")


def input_items(input_list: Any, limits: Limits) -> tuple[str, ...]:
    """The items of the input, checked."""
    if type(input_list).__module__ != "builtins":
        from personalize_rt.columns import as_ids

        input_list = as_ids(input_list, "input_list")
    if isinstance(input_list, str | bytes):
        raise ValidationError(
            f"input_list is {describe(input_list)}: it takes a list of item ids; for a single one write [item_id]",
            parameter="input_list",
        )
    if not hasattr(input_list, "__iter__"):
        raise ValidationError(f"input_list is {describe(input_list)}, not a list of item ids", parameter="input_list")
    items: tuple[Any, ...] = tuple(input_list)
    if not items and limits.patterns:
        raise ValidationError("input_list is empty: there is nothing to rank", parameter="input_list", limit=1)
    if limits.input_list is not None and len(items) > limits.input_list:
        raise ValidationError(
            f"input_list has {len(items):,} items; the service takes at most {limits.input_list:,} (API reference: "
            "inputList), and so does this; to rank more here, pass limits=Limits(input_list=…)",
            parameter="input_list",
            limit=limits.input_list,
        )
    if not _are_ids(items, limits.id_length):
        for n, id in enumerate(items):
            _check_item(id, f"input_list[{n}]", limits.id_length)
    return items


def _are_ids(items: Iterable[Any], limit: int | None) -> bool:
    """The quick look, which says only whether any item is wrong."""
    try:
        "".join(items)
    except TypeError:
        return False
    return limit is None or not [id for id in items if len(id) > limit]


def _check_item(id: Any, where: str, limit: int | None) -> None:
    if not isinstance(id, str):
        raise ValidationError(
            f"{where} is {describe(id)}, not a str; turn ids into text as the data set spells them",
            parameter="input_list",
        )
    if limit is not None and len(id) > limit:
        raise ValidationError(
            f"{where} is {describe(id)}; the service takes at most {limit:,} (model: ItemID)",
            parameter="input_list",
            limit=limit,
        )


def as_float(value: Any) -> float | None:
    """A real number of any library as a ``float``; ``None`` for everything else, ``bool`` included."""
    # DynamoDB gives every number as a Decimal, which does not call itself a Real.
    if isinstance(value, bool) or not (isinstance(value, Real) or type(value).__name__ == "Decimal"):
        return None
    number: Any = value
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    except ValueError:  # a signalling NaN
        return float("nan")
