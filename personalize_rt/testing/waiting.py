"""A switch for retries without waiting."""

from __future__ import annotations

from types import TracebackType

from personalize_rt.resilience.retry import Testing, switch_testing, testing

__all__ = ["set_testing"]


class _Restore:
    """A context manager that restores the previous mode. Need not be used."""

    def __init__(self, previous: Testing | None) -> None:
        self._previous = previous

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        switch_testing(self._previous)


def set_testing(testing_mode: bool = True, *, attempts: int | None = None) -> _Restore:
    """Make retries in the whole process skip their waits.

    Retries still happen, so that your code sees the same attempts and errors.

    Args:
        testing_mode: ``False`` switches back to normal.
        attempts: The most requests for each call, whatever its policy; ``None`` keeps the policy's number.

    Returns:
        A context manager that restores the previous mode on exit. Ignore it to switch for a whole test session.
    """
    previous = testing()
    switch_testing(Testing(attempts) if testing_mode else None)
    return _Restore(previous)
