"""Titles and other metadata of items, for ``items=`` of :func:`~personalize_rt.notebook.show` and the plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import attrs

from personalize_rt.columns import column_names, find_column, is_frame, read_frame, values_of
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["Catalogue", "read_catalogue", "text_of", "title_column"]

_ID_COLUMNS = ("ITEM_ID", "ACTION_ID", "ID")
_TITLE = "title"
_TITLES = frozenset({"name", "title"})


@attrs.frozen(repr=False)
class Catalogue:
    """Columns of the items of an answer.

    Attributes:
        columns: The names of the columns.
        rows: Item id to column to value; an item may be missing, and so may a value.
    """

    columns: tuple[str, ...] = ()
    rows: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict[str, Mapping[str, Any]])

    def text(self, id: str, column: str) -> str:
        """A cell as text; empty for a missing value."""
        return text_of(self.rows.get(id, {}).get(column))


def read_catalogue(items: Any, ids: Iterable[str]) -> Catalogue:
    """Read the metadata of some items. Of a large catalogue, only these items are read.

    Args:
        items: One of: a mapping of id to title; a mapping of id to a mapping of columns; a pandas, Polars or Arrow
            frame with a column ``ITEM_ID`` (or ``ACTION_ID``, ``ID``; case and underscores are ignored); an object with
            an attribute ``items`` of such a kind, like ``LocalPersonalize``; ``None`` for nothing.
        ids: The items to look up.

    Raises:
        ValidationError: ``items`` is something else, or a frame without an id column.
        ModuleNotFoundError: ``items`` is a frame, and narwhals is not installed.
    """
    wanted = list(dict.fromkeys(ids))
    if items is None:
        return Catalogue()
    if isinstance(items, Mapping):
        return _of_mapping(cast("Mapping[str, Any]", items), wanted)
    if is_frame(items):
        return _of_frame(items, wanted)
    inside = getattr(items, "items", None)
    if isinstance(inside, Mapping) or is_frame(inside):
        return read_catalogue(inside, wanted)
    raise ValidationError(
        f"items is {describe(items)}; it takes a mapping of id to title or to columns, a frame with an id column, or "
        "an object with such items",
        parameter="items",
    )


def _of_mapping(items: Mapping[str, Any], wanted: Sequence[str]) -> Catalogue:
    found = {id: items[id] for id in wanted if id in items}
    if all(value is None or isinstance(value, str) for value in found.values()):
        return Catalogue((_TITLE,) if found else (), {id: {_TITLE: value} for id, value in found.items()})
    for value in found.values():
        if not isinstance(value, Mapping):
            raise ValidationError(
                f"items maps an id to {describe(value)}; it takes titles only, or mappings of columns only",
                parameter="items",
            )
    rows = cast("dict[str, Mapping[str, Any]]", found)
    columns = dict.fromkeys(str(name) for row in rows.values() for name in row)
    return Catalogue(tuple(columns), rows)


def _of_frame(frame: Any, wanted: Sequence[str]) -> Catalogue:
    read = read_frame(frame, "items")
    names = column_names(read)
    id_column = find_column(names, _ID_COLUMNS, "items")
    places = {text_of(id): place for place, id in reversed(list(enumerate(values_of(read[id_column]))))}
    found = {id: places[id] for id in wanted if id in places}
    columns = tuple(name for name in names if name != id_column)
    few = read[list(found.values())]
    values = {name: values_of(few[name]) for name in columns}
    return Catalogue(columns, {id: {name: values[name][n] for name in columns} for n, id in enumerate(found)})


def title_column(columns: Sequence[str]) -> str | None:
    """The first column called title or name, or ``None``."""
    return next((name for name in columns if name.lower() in _TITLES), None)


def text_of(value: object) -> str:
    """A value as the text of a cell: empty for ``None`` and NaN, comma-separated for a list."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return ", ".join(map(text_of, cast("Iterable[object]", value)))
    return f"{value}"
