"""The outcome of a call as a value: an answer or an error that nobody has raised yet.

An error that is raised has a traceback, which holds the frames that it went through; a frame that holds the error in
turn makes a circle, which only a full garbage collection frees. The drivers catch an error where it comes from, hand it
on as a value, and :meth:`Failed.unwrap` raises it once, at the end. ``docs/decisions/0008`` says why that matters.
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
    """The error of a call.

    Make one from an error without a traceback, or in the function that caught the error, and return it at once: a
    local variable of that function would close a circle.
    """

    __slots__ = ("error",)

    def __init__(self, error: ErrorT_co) -> None:
        self.error: ErrorT_co = error

    def unwrap(self) -> NoReturn:
        """Raise the error, and forget it. Call this outside of any ``except`` block, whose error would be its context.

        Raises:
            BaseException: The error.
        """
        error = self.error
        # The frames of the traceback are those of our callers, who hold this object.
        del self.error
        try:
            raise error
        finally:
            del error  # the traceback holds this frame too


Outcome = Ok[ValueT] | Failed[PersonalizeError]
"""An answer, or an error of ours; errors of others are raised as they come."""
