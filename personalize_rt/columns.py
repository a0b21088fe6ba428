"""Input from columns and frames of pandas, Polars and Arrow: ids for a request, events for a scorer.

An object is recognised by the package of its class, so that neither those libraries nor narwhals are imported unless an
object of theirs is passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from types import NoneType
from typing import Any, TypeVar, cast

from personalize_rt.errors import ValidationError
from personalize_rt.extras import need
from personalize_rt.interactions import Interaction
from personalize_rt.names import canonical
from personalize_rt.redaction import describe

__all__ = [
    "as_ids",
    "as_interactions",
    "column_names",
    "find_column",
    "interactions_from_frame",
    "is_frame",
    "items_from_frame",
    "read_frame",
    "values_of",
]

ValuesT = TypeVar("ValuesT")

_LIBRARIES = frozenset({"cudf", "modin", "pandas", "polars", "pyarrow"})


# Functions for arguments that take such an object instead of an iterable.


def as_ids(values: ValuesT, parameter: str) -> ValuesT | list[str]:
    """Convert a column to a list of ids, for an argument that takes an iterable of ids.

    Args:
        values: A pandas, Polars or Arrow column of strings or of a categorical type. Anything else is returned as it
            is; so is a pandas index, which iterates over its values.
        parameter: The name of the argument, for errors.

    Raises:
        ValidationError: A whole frame, a column of another type, or a column with nulls.
        ModuleNotFoundError: narwhals is not installed.
    """
    return _ids(values, parameter) if _is_native(values) else values


def as_interactions(values: ValuesT, parameter: str = "interactions") -> ValuesT | Iterator[Interaction]:
    """Convert a frame to events, for an argument that takes an iterable of :class:`Interaction`.

    Args:
        values: A frame, as :func:`interactions_from_frame` reads it. Anything else is returned as it is.
        parameter: The name of the argument, for errors.

    Raises:
        ValidationError: See :func:`interactions_from_frame`.
        ModuleNotFoundError: narwhals is not installed.
    """
    return interactions_from_frame(values, parameter=parameter) if _is_native(values) else values


def interactions_from_frame(frame: Any, *, parameter: str = "interactions") -> Iterator[Interaction]:
    """Read events from a frame with the columns of the Interactions schema.

    ``USER_ID``, ``ITEM_ID`` and ``TIMESTAMP`` are required, ``EVENT_TYPE`` and ``EVENT_VALUE`` are optional, other
    columns are ignored. So are case and underscores of names.

    Args:
        frame: A pandas, Polars (lazy too) or Arrow frame. Timestamps are numbers, Unix time in seconds, or datetimes;
            a datetime without a time zone counts as UTC.
        parameter: The name of the argument, for errors.

    Returns:
        An iterator over the events, in the frame's order.

    Raises:
        ValidationError: Not a frame; a column is missing (the message names the frame's columns); an id or a timestamp
            is null, or has the wrong type.
        ModuleNotFoundError: narwhals is not installed.
    """
    read = read_frame(frame, parameter)
    names = column_names(read)
    users, items, times = (find_column(names, (name,), parameter) for name in ("USER_ID", "ITEM_ID", "TIMESTAMP"))
    optional = {canonical(name): name for name in names}
    types, amounts = optional.get("eventtype"), optional.get("eventvalue")
    nothing: Sequence[None] = [None] * len(read)
    return map(
        Interaction,
        _texts(read[users], f"{parameter}[{users!r}]", parameter),
        _texts(read[items], f"{parameter}[{items!r}]", parameter),
        _times(read[times], f"{parameter}[{times!r}]", parameter),
        nothing if types is None else _texts(read[types], f"{parameter}[{types!r}]", parameter, nulls=True),
        nothing if amounts is None else _numbers(read[amounts], f"{parameter}[{amounts!r}]", parameter),
    )


def items_from_frame(frame: Any, *, parameter: str = "items") -> dict[str, dict[str, Any]]:
    """Read item metadata from a frame with a column ``ITEM_ID``, in any case, with or without underscores.

    Args:
        frame: A pandas, Polars (lazy too) or Arrow frame.
        parameter: The name of the argument, for errors.

    Returns:
        Item id to a mapping of column name to value; a null is ``None``.

    Raises:
        ValidationError: Not a frame; no column ``ITEM_ID``; an id is null, or not a str.
        ModuleNotFoundError: narwhals is not installed.
    """
    read = read_frame(frame, parameter)
    names = column_names(read)
    id_name = find_column(names, ("ITEM_ID",), parameter)
    others = [name for name in names if name != id_name]
    rows = zip(*(values_of(read[name]) for name in others), strict=True) if others else iter([()] * len(read))
    ids = _texts(read[id_name], f"{parameter}[{id_name!r}]", parameter)
    return {id: dict(zip(others, row, strict=True)) for id, row in zip(ids, rows, strict=True)}


def _ids(values: Any, parameter: str) -> Any:
    if is_frame(values):
        names = column_names(values)
        raise ValidationError(
            f"{parameter} is a whole {type(values).__name__}; give one of its columns: frame[name] "
            f"(it has: {', '.join(names) or 'none'})",
            parameter=parameter,
        )
    if hasattr(values, "to_pylist") and not hasattr(values, "chunks"):
        # narwhals takes only chunked arrays of Arrow.
        values = need("pyarrow", "frames", "An Arrow array").chunked_array([values])
    nw = _narwhals(parameter)
    column = nw.from_native(values, series_only=True, pass_through=True)
    return _texts(column, parameter, parameter) if isinstance(column, nw.Series) else values


# Frames.


def _is_native(values: object) -> bool:
    kind = type(values)
    if kind.__module__ == "builtins":
        return False
    return any(base.__module__.partition(".")[0] in _LIBRARIES for base in kind.__mro__)


def is_frame(values: object) -> bool:
    """Tell whether an object is a frame of pandas, Polars or Arrow (or of Modin or cuDF)."""
    # Look at the class, since a lazy frame would have to resolve its columns.
    return _is_native(values) and hasattr(type(values), "columns")


def read_frame(frame: Any, parameter: str) -> Any:
    """Wrap a frame by narwhals.

    Raises:
        ValidationError: It is not a frame.
        ModuleNotFoundError: narwhals is not installed.
    """
    if not is_frame(frame):
        problem = f"{parameter} is {describe(frame)}, not a pandas, Polars or Arrow frame"
        raise ValidationError(problem, parameter=parameter)
    nw = _narwhals(parameter)
    read = nw.from_native(frame, pass_through=True)
    if isinstance(read, nw.LazyFrame):
        return read.collect()
    if not isinstance(read, nw.DataFrame):
        problem = f"{parameter} is {describe(frame)}; make a table or a frame of it first"
        raise ValidationError(problem, parameter=parameter)
    return read


def column_names(frame: Any) -> list[str]:
    """The names of a frame's columns."""
    if hasattr(frame, "collect_schema"):
        return list(map(str, frame.collect_schema()))
    # Arrow's `columns` are the columns themselves. In pandas, `column_names` may be a column.
    names: object = getattr(frame, "column_names", None)
    return list(map(str, cast("list[object]", names) if isinstance(names, list) else frame.columns))


def find_column(names: Sequence[str], wanted: Sequence[str], parameter: str) -> str:
    """The first of the wanted columns that a frame has; case and underscores are ignored.

    Raises:
        ValidationError: It has none of them; the message names its columns.
    """
    by_name = {canonical(name): name for name in reversed(names)}
    for name in wanted:
        if canonical(name) in by_name:
            return by_name[canonical(name)]
    raise ValidationError(
        f"{parameter} has no column {' or '.join(wanted)}; its columns are: {', '.join(names) or 'none'}",
        parameter=parameter,
    )


def _narwhals(parameter: str) -> Any:
    return need("narwhals", "frames", f"Reading {parameter} from a frame or column")


# Columns wrapped by narwhals.


def values_of(column: Any) -> list[Any]:
    """The values of a column, with ``None`` for every kind of null."""
    values: list[Any] = column.to_list()
    if not column.null_count():
        return values
    return [None if null else value for value, null in zip(values, column.is_null().to_list(), strict=True)]


def _texts(column: Any, where: str, parameter: str, *, nulls: bool = False) -> list[Any]:
    nw = _narwhals(parameter)
    if isinstance(column.dtype, nw.Categorical | nw.Enum):
        column = column.cast(nw.String)
    values = values_of(column)
    kinds = set(map(type, values))
    missing = sum(value is None for value in values)
    if missing and not nulls:
        raise ValidationError(
            f"{where} has {missing:,} null{'' if missing == 1 else 's'} among {len(values):,} ids; drop them first",
            parameter=parameter,
        )
    wrong = sorted(kind.__name__ for kind in kinds if not issubclass(kind, str | NoneType))
    if wrong:
        raise ValidationError(
            f"{where} holds values of type {wrong[0]}, not str; turn ids into text as the data set spells them",
            parameter=parameter,
        )
    return values if kinds <= {str} else [None if value is None else str(value) for value in values]


def _times(column: Any, where: str, parameter: str) -> list[float]:
    if isinstance(column.dtype, _narwhals(parameter).Datetime):
        column = column.dt.timestamp("us") / 1e6
    numbers = _numbers(column, where, parameter)
    times = [time for time in numbers if time is not None]
    if missing := len(numbers) - len(times):
        nulls = "1 null" if missing == 1 else f"{missing:,} nulls"
        raise ValidationError(f"{where} has {nulls}: every event needs its time", parameter=parameter)
    return times


def _numbers(column: Any, where: str, parameter: str) -> list[float | None]:
    values = values_of(column)
    if not column.dtype.is_numeric() and any(value is not None for value in values):
        raise ValidationError(f"{where} is a column of type {column.dtype}, not of numbers", parameter=parameter)
    numbers = [None if value is None or value != value else float(value) for value in values]
    if not all(number is None or isfinite(number) for number in numbers):
        raise ValidationError(f"{where} has a value that is not finite", parameter=parameter)
    return numbers
