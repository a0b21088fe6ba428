"""Reset of locks and state in flight in forked children.

A fork copies the memory of a process, but only one of its threads. In the child, a lock that another thread held stays
locked for ever, and a call that another thread was making never ends. So every object of this package that has a lock,
or state in flight, gets a new one in each child, by the one handler below:

* :class:`PerProcess` is an attribute that each process creates when first needed; :func:`lock` is such an attribute
  with a lock.
* :func:`in_child` registers a function for an object that keeps a part of its state in the child.

Creation on first use also gives the right kind of lock if a server patches ``threading`` after its fork, as gunicorn's
gevent worker does.

A child keeps learned state (cached answers, breakers, budgets, hedges) and drops state in flight. A fork may happen
between any two steps of another thread, so the state that a lock guards must be valid after each of them.
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
    """Register a function to be called with an object in each forked child, for as long as the object lives.

    Args:
        holder: The object. It is not kept alive.
        renew: The function. It must not be a method of the object, which would keep the object alive, and must not
            block.
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


# Missing on systems without fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


class PerProcess(Generic[ValueT]):
    """An attribute that each process creates on first access: ``_seen = PerProcess(dict)``.

    Then it is an ordinary attribute of the object, and as fast. The class of the object must not have ``__slots__``.

    Args:
        make: Creates the value. Threads that access the attribute at the same time get the same value.
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
        in_child(holder, self._forget)  # before the value is set, since a fork may happen in between
        value: ValueT = holder.__dict__.setdefault(self._name, self._make())
        return value

    def _forget(self, holder: object) -> None:
        holder.__dict__.pop(self._name, None)


def lock() -> PerProcess[threading.Lock]:
    """A lock that is free in a forked child even if it was held: ``_lock = forks.lock()``."""
    # A lambda, to look Lock up on creation: threading may have been patched by then.
    return PerProcess(lambda: threading.Lock())
