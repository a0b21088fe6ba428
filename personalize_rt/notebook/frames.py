"""Conversion of results to tables with one row for each item, and the same columns and types for every answer.

==================  ==============  =================================================================
column              type            content
==================  ==============  =================================================================
``position``        int64           the place in the answer, from 0, like ``result.position(id)``
``item_id``         string          (``action_id`` for actions)
``score``           float64         null if there is none
``promotion_name``  string          null for an item that was not promoted (not for actions)
``reason``          list of string  empty if the service gave none (not for actions)
metadata columns    string          one for each column, null if an item has none (not for actions)
==================  ==============  =================================================================

Metadata columns come last. By default they are those of the answer, in alphabetical order and in the service's spelling
(``brandName``); with ``metadata_columns``, they are exactly the given ones, in that order and spelling
(``BRAND_NAME``). If its name is already taken, a metadata column gets the prefix ``metadata_``.

Signatures say ``Any`` for frames, since the types of their libraries are not complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from personalize_rt import checks
from personalize_rt.extras import installed, need
from personalize_rt.results import ActionRecommendations, Metadata, Ranking, Recommendations

__all__ = ["Result", "arrow_stream", "metadata_names", "to_arrow", "to_dicts", "to_pandas", "to_polars"]

Result = Ranking | Recommendations | ActionRecommendations
Kind = Literal["int64", "float64", "string", "strings"]


@attrs.frozen
class _Column:
    name: str
    kind: Kind
    values: list[Any]


def to_dicts(result: Result, *, metadata_columns: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Convert the rows to dicts of plain Python values.

    Args:
        result: The answer.
        metadata_columns: The metadata columns to include, in any spelling; ``None`` for those of the answer.

    Raises:
        ValidationError: ``metadata_columns`` is a bare ``str``.
    """
    columns = _columns(result, metadata_columns)
    names = [column.name for column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*(column.values for column in columns), strict=True)]


def to_pandas(result: Result, *, metadata_columns: Iterable[str] | None = None) -> Any:
    """Convert to a ``pandas.DataFrame``. Strings have pandas' type ``string``, missing scores are NaN, reasons lists.

    Args:
        result: The answer.
        metadata_columns: The metadata columns to include, in any spelling; ``None`` for those of the answer.

    Raises:
        ValidationError: ``metadata_columns`` is a bare ``str``.
        ModuleNotFoundError: pandas is not installed.
    """
    pandas = need("pandas", "pandas", "to_pandas()")
    types = {"int64": "int64", "float64": "float64", "string": "string", "strings": "object"}
    columns = _columns(result, metadata_columns)
    series = {column.name: pandas.Series(column.values, dtype=types[column.kind]) for column in columns}
    return pandas.DataFrame(series)


def to_polars(result: Result, *, metadata_columns: Iterable[str] | None = None) -> Any:
    """Convert to a ``polars.DataFrame``.

    Args:
        result: The answer.
        metadata_columns: The metadata columns to include, in any spelling; ``None`` for those of the answer.

    Raises:
        ValidationError: ``metadata_columns`` is a bare ``str``.
        ModuleNotFoundError: Polars is not installed.
    """
    polars = need("polars", "polars", "to_polars()")
    types = {
        "int64": polars.Int64,
        "float64": polars.Float64,
        "string": polars.String,
        "strings": polars.List(polars.String),
    }
    columns = _columns(result, metadata_columns)
    series = [polars.Series(column.name, column.values, types[column.kind]) for column in columns]
    return polars.DataFrame(series)


def to_arrow(result: Result, *, metadata_columns: Iterable[str] | None = None) -> Any:
    """Convert to a ``pyarrow.Table``.

    Args:
        result: The answer.
        metadata_columns: The metadata columns to include, in any spelling; ``None`` for those of the answer.

    Raises:
        ValidationError: ``metadata_columns`` is a bare ``str``.
        ModuleNotFoundError: pyarrow is not installed.
    """
    arrow = need("pyarrow", "arrow", "to_arrow()")
    types = {
        "int64": arrow.int64(),
        "float64": arrow.float64(),
        "string": arrow.string(),
        "strings": arrow.list_(arrow.string()),
    }
    columns = _columns(result, metadata_columns)
    return arrow.table({column.name: arrow.array(column.values, types[column.kind]) for column in columns})


def arrow_stream(result: Result, requested_schema: object | None = None) -> object:
    """Export the rows as a capsule of the Arrow C stream interface, for ``__arrow_c_stream__``.

    pyarrow exports it; without pyarrow, Polars does (its strings are views then).

    Args:
        result: The answer.
        requested_schema: A capsule with the schema that the consumer requests.

    Raises:
        ModuleNotFoundError: Neither pyarrow nor Polars is installed.
    """
    if not installed("pyarrow") and installed("polars"):
        return to_polars(result).__arrow_c_stream__(requested_schema)
    need("pyarrow", "arrow", "Reading a result as Arrow data")
    return to_arrow(result).__arrow_c_stream__(requested_schema)


def metadata_names(result: Ranking | Recommendations) -> list[str]:
    """The sorted names of an answer's metadata columns; of several spellings of a name, the first one."""
    names: dict[str, str] = {}
    for item in result:
        for name in item.metadata:
            # By Metadata, which treats spellings of a name as equal.
            if name not in names and name not in Metadata(names):
                names[name] = ""
    return sorted(names)


def _columns(result: Result, metadata_columns: Iterable[str] | None) -> list[_Column]:
    asked = _asked(metadata_columns)
    positions = _Column("position", "int64", list(range(len(result))))
    scores = _Column("score", "float64", list(result.scores))
    if isinstance(result, ActionRecommendations):
        return [positions, _Column("action_id", "string", list(result.action_ids)), scores]
    rows = list(result)
    columns = [
        positions,
        _Column("item_id", "string", list(result.item_ids)),
        scores,
        _Column("promotion_name", "string", [row.promotion_name for row in rows]),
        _Column("reason", "strings", [list(row.reason) for row in rows]),
    ]
    for name in metadata_names(result) if asked is None else asked:
        values = [row.metadata.get(name) for row in rows]
        columns.append(_Column(_free(name, columns), "string", values))
    return columns


def _free(name: str, columns: list[_Column]) -> str:
    # In lower case, since SQL engines ignore the case of column names.
    taken = {column.name.lower() for column in columns}
    while name.lower() in taken:
        name = f"metadata_{name}"
    return name


def _asked(metadata_columns: Any) -> list[str] | None:
    if metadata_columns is None:
        return None
    return list(dict.fromkeys(checks.listed(metadata_columns, "metadata_columns", "column names", "name")))
