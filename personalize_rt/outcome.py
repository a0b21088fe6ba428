"""The outcome of a call as a value: an answer or an error that nobody has raised yet.

The traceback of an error holds the frames that it went through, and those that called them, with their variables. A
variable that holds the error closes a circle, which only a full garbage collection frees. So the drivers catch an error
where it comes from, and hand it on in a :class:`Failed`, which is empty as soon as the error is raised or put to use:
then it does no harm that many variables hold it. ``docs/decisions/0008-errors-as-values.md`` has the reasons.
"""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

from personalize_rt.errors import PersonalizeError

__all__ = ["Failed", "Ok", "Outcome"]

ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)
ErrorT_co = TypeVar("ErrorT_co", bound=BaseException, covariant=True)


class Ok(Generic[ValueT_co]):
    """The answer of a call."""

    __slots__ = ("value",)

    def __init__(self, value: ValueT_co) -> None:
        self.value: ValueT_co = value

    def unwrap(self) -> ValueT_co:
        """Return the answer."""
        return self.value


class Failed(Generic[ErrorT_co]):
    """The error of a call, until it is taken out. The function that catches an error returns it in one of these."""

    __slots__ = ("error",)

    def __init__(self, error: ErrorT_co) -> None:
        self.error: ErrorT_co = error

    def take(self) -> ErrorT_co:
        """Take the error out, to put it to use elsewhere or to drop it."""
        error = self.error
        del self.error
        return error

    def unwrap(self) -> NoReturn:
        """Take the error out, and raise it.

        Outside of any ``except`` block, whose error would become its context.

        Raises:
            BaseException: The error.
        """
        error = self.take()
        try:
            raise error
        finally:
            del error  # the traceback holds this frame too


Outcome = Ok[ValueT] | Failed[PersonalizeError]
"""An answer, or an error of ours; errors of others are raised as they come."""
