"""A lock that processes share, and that is released if its holder is killed."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from personalize_rt import forks

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

__all__ = ["ProcessLock", "process_lock"]


def process_lock(context: BaseContext) -> Any:
    """Make a lock for the processes of a context, which inherit it.

    Without ``fcntl`` (on Windows), it is that of multiprocessing: a semaphore, which stays locked for ever if its
    holder is killed.
    """
    try:
        return ProcessLock()
    except ImportError:
        return context.Lock()


class ProcessLock:
    """A record lock (POSIX, ``fcntl``) on a temporary file without a name, whose descriptor the processes inherit.

    The kernel releases it when the process ends for any reason. Since its holder is a process, it does not exclude the
    threads of one process from each other: they need a lock of their own.

    Args:
        descriptor: The descriptor of another process's lock file; by default that of a new file.

    Raises:
        ImportError: The system has no such locks.
        OSError: There is no directory for temporary files.
    """

    _threads = forks.lock()

    def __init__(self, descriptor: int | None = None) -> None:
        import fcntl

        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        self._descriptor = descriptor
        self._lockf = fcntl.lockf
        self._exclusive, self._unlocked = fcntl.LOCK_EX, fcntl.LOCK_UN
        weakref.finalize(self, os.close, descriptor)

    def __enter__(self) -> bool:
        self._threads.acquire()
        try:
            self._lockf(self._descriptor, self._exclusive)
        except BaseException:
            self._threads.release()
            raise
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._lockf(self._descriptor, self._unlocked)
        finally:
            self._threads.release()

    def __reduce__(self) -> tuple[Callable[[Any], ProcessLock], tuple[Any]]:
        from multiprocessing.reduction import DupFd  # not on Windows

        return _inherited, (DupFd(self._descriptor),)


def _inherited(descriptor: Any) -> ProcessLock:
    return ProcessLock(descriptor.detach())
