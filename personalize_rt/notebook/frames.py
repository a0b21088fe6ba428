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

from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import attrs

from personalize_rt import checks
from personalize_rt.extras import installed, need
from personalize_rt.results import ActionRecommendations, Metadata, Ranking, Recommendations

__all__ = [
    "Column",
    "Framed",
    "Result",
    "arrow_stream",
    "metadata_names",
    "to_arrow",
    "to_dicts",
    "to_pandas",
    "to_polars",
    "together",
]

Result = Ranking | Recommendations | ActionRecommendations
Kind = Literal["int64", "places", "float64", "string", "strings"]


@attrs.frozen
class Column:
    """A column of a frame.

    Attributes:
        name: Its name.
        kind: The type of its values; ``"places"`` are whole numbers, or ``None``.
        values: Its values.
    """

    name: str
    kind: Kind
    values: list[Any]


class Framed:
    """Base of what becomes a frame: a pandas, Polars or Arrow table, and a stream of Arrow data for others."""

    __slots__ = ()

    def _columns(self) -> list[Column]:
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Convert to a ``pandas.DataFrame``.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return _pandas_frame(self._columns())

    def to_polars(self) -> Any:
        """Convert to a ``polars.DataFrame``.

        Raises:
            ModuleNotFoundError: Polars is not installed.
        """
        return _polars_frame(self._columns())

    def to_arrow(self) -> Any:
        """Convert to a ``pyarrow.Table``.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        return _arrow_table(self._columns())

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the rows as a capsule of the Arrow C stream interface."""
        return _stream_of(self._columns(), requested_schema)


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
    return _pandas_frame(_columns(result, metadata_columns))


def _pandas_frame(columns: list[Column]) -> Any:
    pandas = need("pandas", "pandas", "to_pandas()")
    types = {"int64": "int64", "places": "Int64", "float64": "float64", "string": "string", "strings": "object"}
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
    return _polars_frame(_columns(result, metadata_columns))


def _polars_frame(columns: list[Column]) -> Any:
    polars = need("polars", "polars", "to_polars()")
    types = {
        "int64": polars.Int64,
        "places": polars.Int64,
        "float64": polars.Float64,
        "string": polars.String,
        "strings": polars.List(polars.String),
    }
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
    return _arrow_table(_columns(result, metadata_columns))


def _arrow_table(columns: list[Column]) -> Any:
    arrow = need("pyarrow", "arrow", "to_arrow()")
    types = {
        "int64": arrow.int64(),
        "places": arrow.int64(),
        "float64": arrow.float64(),
        "string": arrow.string(),
        "strings": arrow.list_(arrow.string()),
    }
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
    return _stream_of(_columns(result, None), requested_schema)


def _stream_of(columns: list[Column], requested_schema: object | None) -> object:
    if not installed("pyarrow") and installed("polars"):
        return _polars_frame(columns).__arrow_c_stream__(requested_schema)
    need("pyarrow", "arrow", "Reading a result as Arrow data")
    return _arrow_table(columns).__arrow_c_stream__(requested_schema)


def together(first: Column, results: Sequence[Result]) -> list[Column]:
    """The columns of several answers of one kind, one below the other, beside a column that tells them apart.

    Args:
        first: That column, with a value for each row of all answers.
        results: The answers.
    """
    actions = bool(results) and isinstance(results[0], ActionRecommendations)
    names = [] if actions else metadata_names(*cast("Sequence[Ranking | Recommendations]", results))
    every = [_columns(result, names) for result in results] or [_columns(Recommendations([], scores=[]), None)]
    columns = [first]
    for one, *others in zip(*every, strict=True):
        values = [value for column in (one, *others) for value in column.values]
        columns.append(Column(_free(one.name, columns), one.kind, values))
    return columns


def metadata_names(*results: Ranking | Recommendations) -> list[str]:
    """The sorted names of the answers' metadata columns; of several spellings of a name, the first one."""
    names: dict[str, str] = {}
    for result in results:
        for item in result:
            for name in item.metadata:
                # By Metadata, which treats spellings of a name as equal.
                if name not in names and name not in Metadata(names):
                    names[name] = ""
    return sorted(names)


def _columns(result: Result, metadata_columns: Iterable[str] | None) -> list[Column]:
    asked = _asked(metadata_columns)
    positions = Column("position", "int64", list(range(len(result))))
    scores = Column("score", "float64", list(result.scores))
    if isinstance(result, ActionRecommendations):
        return [positions, Column("action_id", "string", list(result.action_ids)), scores]
    rows = list(result)
    columns = [
        positions,
        Column("item_id", "string", list(result.item_ids)),
        scores,
        Column("promotion_name", "string", [row.promotion_name for row in rows]),
        Column("reason", "strings", [list(row.reason) for row in rows]),
    ]
    for name in metadata_names(result) if asked is None else asked:
        values = [row.metadata.get(name) for row in rows]
        columns.append(Column(_free(name, columns), "string", values))
    return columns


def _free(name: str, columns: list[Column]) -> str:
    # In lower case, since SQL engines ignore the case of column names.
    taken = {column.name.lower() for column in columns}
    while name.lower() in taken:
        name = f"metadata_{name}"
    return name


def _asked(metadata_columns: Any) -> list[str] | None:
    if metadata_columns is None:
        return None
    return list(dict.fromkeys(checks.listed(metadata_columns, "metadata_columns", "column names", "name")))
