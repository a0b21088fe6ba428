"""Results, rows and metadata as JSON, for the standard library and for libraries that ask what to do with them.

:func:`default` is what such a library calls for an object that it does not know::

    json.dumps({"films": ranking}, default=encode.default)
    orjson.dumps({"films": ranking}, default=encode.default)
    msgspec.json.encode({"films": ranking}, enc_hook=encode.default)

Without it they refuse a result (``TypeError``); a row they write by themselves, msgspec and orjson alike. pydantic and
FastAPI need nothing: a result, a row or metadata may be the type of a field, an argument or an answer.

==========================  ========================================================================
object                      JSON
==========================  ========================================================================
``PredictedItem``           ``item_id``, ``score``, ``promotion_name``, ``metadata``, ``reason``
``PredictedAction``         ``action_id``, ``score``
``Metadata``                column name to value, in the service's spelling
``ResponseInfo``            ``request_id``, ``attempts``, ``elapsed``, ``source``, ``unfiltered``
``Recommendations``         ``items``, ``recommendation_id``, ``info``, ``degraded``
``Ranking``                 the same, and ``missing``
``LongRanking``             the same, and ``requests``, ``error_bound``, ``unscaled``, ``recommendation_ids``
``ActionRecommendations``   ``actions``, ``recommendation_id``, ``info``, ``degraded``
==========================  ========================================================================

Every member is always there, ``null`` where there is no value. What is no part of the answer stays in the process: the
``rules`` of a row, and the errors ``cause`` and ``stopped_by``.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from personalize_rt.results import (
    ActionRecommendations,
    Metadata,
    PredictedAction,
    PredictedItem,
    Ranking,
    Recommendations,
    ResponseInfo,
    fields_of,
)

__all__ = ["default", "members", "to_json"]

_RESULTS = (Ranking, Recommendations, ActionRecommendations)
_ROWS = (PredictedItem, PredictedAction)
# The ids are in the rows; an error is nothing that JSON can hold.
_LEFT_OUT = frozenset({"item_ids", "action_ids", "stopped_by"})


def default(value: object) -> Any:
    """Convert a result, a row, metadata or the facts on a call to dicts, lists and plain values.

    Args:
        value: The object; see the table of this module.

    Raises:
        TypeError: The object is another one.
    """
    if isinstance(value, Metadata):
        return dict(value)
    written = members(value)
    for name, member in written.items():
        if isinstance(member, Metadata | ResponseInfo):
            written[name] = default(member)
        elif isinstance(member, tuple):
            written[name] = [default(part) if isinstance(part, _ROWS) else part for part in member]  # pyright: ignore[reportUnknownVariableType]
    return written


def members(value: object) -> dict[str, Any]:
    """The members of an object's JSON, with rows, metadata and facts as they are.

    Raises:
        TypeError: The object is none of the table of this module.
    """
    if isinstance(value, _ROWS):
        return {field.name: getattr(value, field.name) for field in attrs.fields(type(value)) if field.eq}
    if isinstance(value, ResponseInfo):
        return attrs.asdict(value)
    if not isinstance(value, _RESULTS):
        # As json.dumps() begins, but to_json() may be given a list, which that could write.
        raise TypeError(
            f"Object of type {type(value).__name__} is not JSON serializable by personalize_rt.encode: it writes "
            "results, rows, Metadata and ResponseInfo"
        )
    written = {rows_name(type(value)): tuple(value)}
    written |= {name: getattr(value, name) for name in facts(type(value))}
    return written | {"missing": value.missing} if isinstance(value, Ranking) else written


def rows_name(kind: type[Any]) -> str:
    """The member that holds the rows of a kind of results."""
    return "actions" if issubclass(kind, ActionRecommendations) else "items"


def facts(kind: type[Any]) -> list[str]:
    """The members that a kind of results has beside its rows, as its attributes are called."""
    names = (field.name for field in fields_of(kind))
    return [name for name in names if not name.startswith("_") and name not in _LEFT_OUT]


def to_json(value: object) -> str:
    """Write a result, a row, metadata or the facts on a call as JSON, without spaces.

    Raises:
        TypeError: The object is none of the table of this module.
        ValueError: A score is not finite, which JSON cannot say.
    """
    return json.dumps(default(value), allow_nan=False, separators=(",", ":"))
