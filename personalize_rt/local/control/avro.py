"""The Avro schema of a dataset, in the form that CreateSchema takes and DescribeSchema returns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from personalize_rt.local.schemas import DatasetType, Field

__all__ = ["avro_of"]


def avro_of(dataset: DatasetType, fields: Iterable[Field]) -> str:
    """Write the schema of a dataset as JSON.

    Args:
        dataset: The dataset's type.
        fields: Its columns, in order.
    """
    return json.dumps(
        {
            "type": "record",
            "name": dataset.name,
            "namespace": "com.amazonaws.personalize.schema",
            "fields": [_member(field) for field in fields],
            "version": "1.0",
        }
    )


def _member(field: Field) -> dict[str, Any]:
    member: dict[str, Any] = {"name": field.name, "type": [field.type, "null"] if field.nullable else field.type}
    for flag in ("categorical", "textual"):
        if getattr(field, flag):
            member[flag] = True
    return member
