"""Telling a library's own functions and classes from those that somebody put in their places.

A function is a library's own by the place of its code: its file, and its qualified name there. A module's name does not
say so: a wrapper made with ``functools.wraps`` has the name of what it wraps, and an object of wrapt equals it, and
passes for an instance of its class. Nor does what was there when this module was imported: ``opentelemetry-instrument``
and ``ddtrace-run`` wrap before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any, cast

__all__ = ["attributes_of", "is_own_class", "is_own_function"]

_WITH_CONTEXT = "with_current_context.<locals>.decorator.<locals>.wrapper"


def attributes_of(thing: Any) -> Mapping[str, Any]:
    """The attributes that a module, a class or an object has itself, as they are now and will be."""
    return cast("Mapping[str, Any]", vars(thing))


def is_own_function(thing: Any, name: str, module: str) -> bool:
    """Tell whether something is the function that a module defines by a name.

    Args:
        thing: A function, a method of an object, or whatever stands there.
        name: The qualified name in the module (``"BaseClient._make_api_call"``).
        module: The name of a module; of a package, if the function may be anywhere in it.
    """
    # By type(), which a proxy cannot answer for what it wraps.
    if type(thing) is MethodType:
        thing = thing.__func__
    if type(thing) is not FunctionType:
        return False
    code = thing.__code__
    if code.co_qualname == _WITH_CONTEXT and code.co_filename == _file_of("botocore.context"):
        # botocore's own decorator: what it wraps is in a cell, and noted beside it.
        wrapped = getattr(thing, "__wrapped__", None)
        cells = thing.__closure__ or ()
        return any(cell.cell_contents is wrapped for cell in cells) and is_own_function(wrapped, name, module)
    if code.co_qualname != name:
        return False
    file = _file_of(module)
    folder = file.removesuffix("__init__.py")  # of a package
    return code.co_filename == file or (folder != file and code.co_filename.startswith(folder))


def is_own_class(kind: Any, module: str) -> bool:
    """Tell whether something is a class that a module defines, and no method of it was replaced.

    Args:
        kind: The class, or whatever stands there.
        module: The name of the module.
    """
    if type(kind) is not type or kind.__module__ != module:
        return False
    files = {_file_of(each.__module__) for each in kind.__mro__}
    return all(
        issubclass(type(function), NoneType | BuiltinFunctionType)
        or (type(function) is FunctionType and function.__code__.co_filename in files)
        for each in kind.__mro__
        for part in vars(each).values()
        for function in _functions(part)
    )


# `type`, whatever type checkers make of what it gives.
_kind_of: Callable[[Any], Any] = type


def _functions(part: Any) -> Iterator[Any]:
    """The functions in an attribute of a class; what only stands for one comes as it is."""
    kind = _kind_of(part)
    if kind in (staticmethod, classmethod):
        yield part.__func__
    elif kind is property:
        yield from (part.fget, part.fset, part.fdel)
    elif kind is cached_property:
        yield part.func
    elif kind is FunctionType or (kind.__module__ != "builtins" and callable(part) and not isinstance(part, type)):
        yield part


def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""
