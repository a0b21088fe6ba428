"""Schemas by which pydantic reads and writes results, rows and metadata. Imported when pydantic asks a class for one.

What is written is what :mod:`personalize_rt.encode` says; it is read again to an equal object. An object of the right
class is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, get_type_hints

import attrs
from pydantic_core import core_schema

from personalize_rt import encode
from personalize_rt.results import ActionRecommendations, PredictedAction, PredictedItem, Ranking

__all__ = ["schema_of_metadata", "schema_of_object", "schema_of_result"]


def schema_of_metadata(kind: type[Any], handler: Any) -> Any:
    """Read column names and values, and write a dict of them."""
    plain = handler.generate_schema(dict[str, str])
    return core_schema.no_info_wrap_validator_function(
        _taken_or(kind, kind),
        plain,
        serialization=core_schema.plain_serializer_function_ser_schema(dict, return_schema=plain),
    )


def schema_of_object(kind: type[Any], handler: Any) -> Any:
    """Read and write the fields of a row, or of the facts on a call, that are part of its equality."""
    types, fields = get_type_hints(kind), [field for field in attrs.fields(kind) if field.eq]
    members = {field.name: handler.generate_schema(types[field.name]) for field in fields}
    needed = {field.name for field in fields if field.default is attrs.NOTHING}
    return _schema(kind, members, needed, lambda given: kind(**given))


def schema_of_result(kind: type[Any], handler: Any) -> Any:
    """Read and write the rows of a result, and what is known of them as a whole."""
    rows, types = encode.rows_name(kind), get_type_hints(kind)
    row = PredictedAction if issubclass(kind, ActionRecommendations) else PredictedItem
    members = {rows: handler.generate_schema(tuple[row, ...])}  # type: ignore[valid-type]  # for pydantic, not for mypy
    members |= {name: handler.generate_schema(types[name]) for name in encode.facts(kind)}
    if issubclass(kind, Ranking):
        members["missing"] = handler.generate_schema(tuple[str, ...])

    def made(given: dict[str, Any]) -> Any:
        read: tuple[Any, ...] = given.pop(rows)
        columns: dict[str, Any] = {"scores": [each.score for each in read]}
        if row is PredictedAction:
            return kind([each.action_id for each in read], **columns, **given)
        ids = [each.item_id for each in read]
        if "missing" in members:
            columns["input_list"] = [*ids, *given.pop("missing", ())]
        for column, name in {"promotion_names": "promotion_name", "metadata": "metadata", "reasons": "reason"}.items():
            columns[column] = [getattr(each, name) for each in read]
        return kind(ids, **columns, **given)

    return _schema(kind, members, {rows}, made)


def _schema(
    kind: type[Any], members: Mapping[str, Any], needed: set[str], made: Callable[[dict[str, Any]], Any]
) -> Any:
    # The name and the sentence that a page of OpenAPI shows.
    shown = type(kind.__name__, (), {"__doc__": (kind.__doc__ or "").partition("\n")[0]})

    def plain(needed: set[str]) -> Any:
        fields = {
            name: core_schema.typed_dict_field(schema, required=name in needed) for name, schema in members.items()
        }
        return core_schema.typed_dict_schema(fields, cls=shown)

    return core_schema.no_info_wrap_validator_function(
        _taken_or(kind, made),
        plain(needed),
        serialization=core_schema.plain_serializer_function_ser_schema(
            _written, info_arg=True, return_schema=plain(set(members))
        ),
        ref=f"{kind.__module__}.{kind.__qualname__}:{id(kind)}",
    )


def _written(value: Any, info: Any) -> dict[str, Any]:
    """The members of an object, but for those that the caller of pydantic excludes."""
    written = encode.members(value)
    for chosen, excluded in ((info.include, False), (info.exclude, True)):
        if chosen is None:
            continue
        if isinstance(chosen, Mapping) and not all(
            each is True or each is ... for each in cast("Any", chosen).values()
        ):
            raise TypeError(
                f"include= and exclude= of pydantic choose members of a {type(value).__name__}, not parts of them: "
                "make a model of your own for those"
            )
        written = {name: member for name, member in written.items() if (name in chosen) is not excluded}
    return written


def _taken_or(kind: type[Any], made: Callable[[Any], Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    return lambda value, read: value if isinstance(value, kind) else made(read(value))
