"""Item metadata in answers.

The service spells a column in camel case (``BRAND_NAME`` is ``brandName``) and gives every value as a string, several
categories as one string with ``|`` between them. A missing value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from personalize_rt.local.datasets import Table
from personalize_rt.local.schemas import Value

__all__ = ["camel_case", "metadata_of"]

# Model: values of Metadata.
_LONGEST = 20_000


def camel_case(column: str) -> str:
    """Convert a column's name to the spelling of answers."""
    first, *others = [word for word in column.lower().split("_") if word] or [column]
    return first + "".join(map(str.capitalize, others))


def metadata_of(items: Table, id: str, columns: Sequence[str]) -> Mapping[str, str]:
    """The given columns of one item; empty for an item that is not in the dataset."""
    row = items.index.get(id)
    if row is None:
        return {}
    values = ((camel_case(column), items.columns[column][row]) for column in columns)
    return {name: _as_string(value) for name, value in values if value is not None}


def _as_string(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:_LONGEST]
