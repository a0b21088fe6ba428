"""Filters: the whole filter language of the service, parsed, checked, written and evaluated.

* ``values``: the values of parameters, in the form that the service takes.
* ``terms``: clauses, conditions, fields and placeholders.
* ``expression``: :class:`Filter`, :class:`FilterExpression`, :class:`BoundFilter`.
* ``builder``: expressions in Python operators.
* ``lexer``, ``parser``, ``diagnostics``: text to expression; ``grammar.md`` is the grammar for readers.
* ``selection``, ``catalogue``: the candidates that a filter lets through.

The names below are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from personalize_rt.filters.catalogue import Catalogue
    from personalize_rt.filters.expression import BoundFilter, Filter, FilterExpression, Parameter
    from personalize_rt.filters.selection import Selector
    from personalize_rt.filters.values import (
        FilterScalar,
        FilterValue,
        RawFilterValue,
        RawFilterValues,
        decode,
        encode,
        encode_values,
    )

__all__ = [
    "BoundFilter",
    "Catalogue",
    "Filter",
    "FilterExpression",
    "FilterScalar",
    "FilterValue",
    "Parameter",
    "RawFilterValue",
    "RawFilterValues",
    "Selector",
    "decode",
    "encode",
    "encode_values",
]

if not TYPE_CHECKING:
    _MODULES = {
        "catalogue": ("Catalogue",),
        "expression": ("BoundFilter", "Filter", "FilterExpression", "Parameter"),
        "selection": ("Selector",),
        "values": (
            "FilterScalar",
            "FilterValue",
            "RawFilterValue",
            "RawFilterValues",
            "decode",
            "encode",
            "encode_values",
        ),
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                value = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
