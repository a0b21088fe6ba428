"""The lines of a batch inference job, in the form of :mod:`personalize_rt.bulk`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.local.apis import decode_json
from personalize_rt.local.engine import Engine, RefusedError, ReplyRow, Resource
from personalize_rt.operations import GET_PERSONALIZED_RANKING

__all__ = ["answered"]

_LIMITS = Limits()


def answered(engine: Engine, resource: Resource, common: Mapping[str, Any], lines: Iterable[str]) -> Iterator[str]:
    """Answer the lines of a job.

    Args:
        engine: The engine.
        resource: A campaign of the job's solution version, which nobody else can ask.
        common: The members that all requests have.
        lines: The lines: ``{"userId": "1"}``, ``{"itemId": "1"}`` or ``{"userId": "1", "itemList": ["1"]}``, with
            ``filterValues`` and ``context`` if there are any.

    Yields:
        ``{"input": …, "output": {"recommendedItems": […], "scores": […]}, "error": null}``; for a line that cannot be
        answered, ``output`` is null and ``error`` says why, without any value of the line.
    """
    alone = engine.alone(resource)
    for line in lines:
        try:
            given: Any = decode_json(line)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            yield _line(None, None, "InvalidInputException: expected a line that is a JSON object")
            continue
        members = {("inputList" if name == "itemList" else name): value for name, value in _there(given)}
        try:
            members |= {**common, "campaignArn": resource.arn}
            if resource.recipe.operation is GET_PERSONALIZED_RANKING:
                members.pop("numResults", None)
            resource.recipe.operation.check(members, _LIMITS)
            output, error = _output(resource, alone.answer(resource.recipe.operation, members)), None
        except ValidationError as problem:
            output, error = None, f"InvalidInputException: {problem.message}"
        except RefusedError as refused:
            output, error = None, f"{refused.code}: {refused.message}"
        yield _line(given, output, error)


def _there(given: Any) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in cast("dict[str, Any]", given).items() if value is not None)


def _output(resource: Resource, rows: list[ReplyRow]) -> dict[str, Any]:
    output: dict[str, Any] = {"recommendedItems": [row.id for row in rows]}
    if any(row.score is not None for row in rows):
        # Of items that the model does not know, 0.0 (service.md section 12, fact 8).
        output["scores"] = [row.score or 0.0 for row in rows]
    return output


def _line(given: Any, output: Any, error: str | None) -> str:
    return json.dumps({"input": given, "output": output, "error": error}, separators=(",", ":"))
