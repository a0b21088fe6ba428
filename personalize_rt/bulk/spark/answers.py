"""The columns that a job adds for answers, in Spark, Arrow and Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias, cast

from personalize_rt.errors import PersonalizeError
from personalize_rt.extras import need
from personalize_rt.results import PredictedItem, Ranking, Recommendations

__all__ = ["RESULT_COLUMNS", "RESULT_SCHEMA", "Answer", "Batch", "Failure", "result_batch", "result_row", "result_type"]

Batch: TypeAlias = Any
"""A ``pyarrow.RecordBatch``."""

RESULT_SCHEMA: str = (
    "items array<struct<item_id: string, score: double, promotion_name: string, reason: array<string>, "
    "metadata: map<string, string>>>, recommendation_id string, source string, "
    "error struct<type: string, code: string, message: string, request_id: string>"
)
"""The columns of every answer, in Spark's DDL."""

RESULT_COLUMNS: tuple[str, ...] = ("items", "recommendation_id", "source", "error")
"""The names of these columns."""


def result_type(session: Any) -> Any:
    """Parse ``RESULT_SCHEMA`` to a type of Spark."""
    return session.createDataFrame([], RESULT_SCHEMA).schema


class Failure(NamedTuple):
    """The failure of a row: the members of the column ``error``."""

    type: str
    code: str | None
    message: str
    request_id: str | None

    @classmethod
    def of(cls, error: PersonalizeError) -> Failure:
        """Describe an error."""
        code: str | None = getattr(error, "code", None)
        request_id: str | None = getattr(error, "request_id", None)
        return cls(type(error).__name__, code, str(error), request_id)


Answer: TypeAlias = Ranking | Recommendations | Failure


def result_row(answer: Answer) -> dict[str, Any]:
    """Convert an answer to a value of the result's type: the columns by name."""
    if isinstance(answer, Failure):
        return {"items": None, "recommendation_id": None, "source": None, "error": answer._asdict()}
    items = [
        {
            "item_id": item.item_id,
            "score": item.score,
            "promotion_name": item.promotion_name,
            "reason": list(item.reason),
            "metadata": dict(item.metadata),
        }
        for item in answer
    ]
    source = answer.info.source
    return {"items": items, "recommendation_id": answer.recommendation_id, "source": source, "error": None}


def result_batch(
    part: Batch, kept: Mapping[str, int], given: list[Answer], metadata_names: Iterable[str] | None = None
) -> Batch:
    """Make a batch of rows with their answers.

    Args:
        part: The rows of the input.
        kept: The columns of the input to repeat, by name.
        given: One answer for each row.
        metadata_names: The spellings of the keys of ``metadata``; ``None`` for the service's.
    """
    pa = need("pyarrow", "spark", "A Spark task")
    text = pa.string()
    answers = [None if isinstance(answer, Failure) else answer for answer in given]
    failures = [answer if isinstance(answer, Failure) else None for answer in given]
    items = [item for answer in answers if answer is not None for item in answer]
    names = None if metadata_names is None else list(metadata_names)
    columns = {
        "item_id": pa.array([item.item_id for item in items], text),
        "score": pa.array([item.score for item in items], pa.float64()),
        "promotion_name": pa.array([item.promotion_name for item in items], text),
        "reason": pa.array([item.reason for item in items], pa.list_(text)),
        "metadata": pa.array([_metadata(item, names) for item in items], pa.map_(text, text)),
    }
    # A null offset makes a null list.
    ends = list(accumulate((0 if answer is None else len(answer) for answer in answers), initial=0))
    offsets = [None if answer is None else start for answer, start in zip(answers, ends, strict=False)]
    structs = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    result = {
        "items": pa.ListArray.from_arrays(pa.array([*offsets, ends[-1]], pa.int32()), structs),
        "recommendation_id": pa.array([None if one is None else one.recommendation_id for one in answers], text),
        "source": pa.array([None if one is None else one.info.source for one in answers], text),
        "error": pa.array(
            [failure and failure._asdict() for failure in failures],
            pa.struct([(name, text) for name in Failure._fields]),
        ),
    }
    carried = {name: part.column(place) for name, place in kept.items()}
    return pa.RecordBatch.from_arrays([*carried.values(), *result.values()], [*carried, *result])


def _metadata(item: PredictedItem, names: list[str] | None) -> list[tuple[str, str]]:
    if names is None:
        return list(item.metadata.items())
    found = ((name, item.metadata.get(name)) for name in names)
    return cast("list[tuple[str, str]]", [pair for pair in found if pair[1] is not None])
