"""Starting anew in a forked child.

A fork copies the memory of a process, and one of its threads. A lock that another thread held at that moment stays
locked in the child for ever, and a call that another thread was making never ends there. So whatever in this package
holds a lock, or knows of something in flight, has it made anew in each child, by the one handler below:

* :class:`PerProcess` is an attribute that each process makes for itself, when it first needs it; :func:`lock` is such
  an attribute with a lock.
* :func:`in_child` calls a function about an object that keeps a part of its state in the child.

Something made when it is first needed is also of the right kind where a server patches ``threading`` after its fork,
as gunicorn's gevent worker does.

A child keeps what was learned (cached answers, the state of breakers, budgets and hedges) and forgets what was under
way. A fork can fall between any two steps of another thread: what a lock guards must make sense after each of them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["PerProcess", "in_child", "lock"]

HolderT = TypeVar("HolderT")
ValueT = TypeVar("ValueT")

_known: dict[tuple[int, Callable[[Any], object]], weakref.ref[Any]] = {}


def in_child(holder: HolderT, renew: Callable[[HolderT], object]) -> None:
    """Have a function called with an object in each forked child, for as long as the object lives.

    Args:
        holder: The object. It is not kept alive.
        renew: A function, not a method of the object, which would keep it alive. It must not wait for anything.
    """
    key = id(holder), renew

    def forget(reference: weakref.ref[HolderT]) -> None:
        if _known.get(key) is reference:
            del _known[key]

    _known[key] = weakref.ref(holder, forget)


def _start_anew() -> None:
    for (_, renew), reference in tuple(_known.items()):
        holder = reference()
        if holder is not None:
            renew(holder)


# Some systems do not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


class PerProcess(Generic[ValueT]):
    """An attribute that each process makes for itself, when it is first asked for: ``_seen = PerProcess(dict)``.

    Once made, it is an ordinary attribute of the object, and as fast as one. The class of the object must have no
    ``__slots__``.

    Args:
        make: Makes a value. Of two threads that ask first at the same time, both get the same one.
    """

    def __init__(self, make: Callable[[], ValueT]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, owner: type) -> Self: ...
    @overload
    def __get__(self, holder: object, owner: type | None = None) -> ValueT: ...
    def __get__(self, holder: object | None, owner: type | None = None) -> Self | ValueT:
        if holder is None:
            return self
        in_child(holder, self._forget)  # before it is there: a fork may come in between
        value: ValueT = holder.__dict__.setdefault(self._name, self._make())
        return value

    def _forget(self, holder: object) -> None:
        holder.__dict__.pop(self._name, None)


def lock() -> PerProcess[threading.Lock]:
    """A lock that is free in a forked child, whoever held it: ``_lock = forks.lock()``."""
    # Looked up when it is made: threading may be patched by then.
    return PerProcess(lambda: threading.Lock())
