"""Taking the waiting out of retries."""

from __future__ import annotations

from types import TracebackType

from personalize_rt.resilience.retry import Testing, switch_testing, testing

__all__ = ["set_testing"]


class _Restore:
    """Puts the previous mode back when used as a context manager; may be ignored."""

    def __init__(self, previous: Testing | None) -> None:
        self._previous = previous

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        switch_testing(self._previous)


def set_testing(testing_mode: bool = True, *, attempts: int | None = None) -> _Restore:
    """Take the waiting out of retries, for the whole process.

    Retries still happen, so that your code meets the same attempts and errors; they just do not wait.

    Args:
        testing_mode: ``False`` switches back to normal.
        attempts: Requests at the most for each call, whatever its policy says; ``None`` keeps the policy's number.

    Returns:
        A context manager that restores the previous mode on exit. To switch for a whole test session, ignore it.
    """
    previous = testing()
    switch_testing(Testing(attempts) if testing_mode else None)
    return _Restore(previous)
