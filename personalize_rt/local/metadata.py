"""Item metadata in answers.

The service spells a column in lower case (``BRAND_NAME`` is ``brand_name``: service.md section 12, fact 2) and gives
every value as a string, several categories as one string with ``|`` between them. A missing value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from personalize_rt.local.datasets import Table
from personalize_rt.local.schemas import Value

__all__ = ["metadata_of"]

# Model: values of Metadata.
_LONGEST = 20_000
_NOTHING: Mapping[str, Mapping[str, Value]] = {}


def metadata_of(
    items: Table, id: str, columns: Sequence[str], added: Mapping[str, Mapping[str, Value]] = _NOTHING
) -> Mapping[str, str]:
    """The given columns of one item; empty for an item that is not in the dataset.

    Args:
        items: The Items dataset.
        id: The item.
        columns: The columns.
        added: Rows that were put at run time.
    """
    put = added.get(id)
    if put is not None:
        cells = [put[column] for column in columns]
    elif id in items.index:
        row = items.index[id]
        cells = [items.columns[column][row] for column in columns]
    else:
        return {}
    values = zip(map(str.lower, columns), cells, strict=True)
    return {name: _as_string(value) for name, value in values if value is not None}


def _as_string(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:_LONGEST]
