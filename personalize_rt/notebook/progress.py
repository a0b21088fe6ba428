"""A progress bar on a terminal or in a notebook."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from personalize_rt.extras import installed, need

__all__ = ["Bar", "tracked"]

ValueT = TypeVar("ValueT")


def tracked(values: Collection[ValueT], what: str, show: bool | None) -> Iterator[ValueT]:
    """Iterate over values with a progress bar.

    Args:
        values: The values.
        what: The text beside the bar.
        show: See :class:`Bar`.

    Raises:
        ModuleNotFoundError: ``show`` is true, and tqdm is not installed.
    """
    bar = Bar(what, "user", show, total=len(values))
    try:
        for value in values:
            yield value
            bar.advance()
    finally:
        bar.close()


class Bar:
    """A progress bar with the rate and the time left, or nothing.

    Args:
        what: The text beside the bar.
        unit: The unit of the count.
        show: ``None`` shows a bar on a terminal (standard error) and in a notebook, if tqdm is installed; ``True``
            always, ``False`` never.
        total: The final count, or ``None`` if unknown.
        done: The initial count.

    Raises:
        ModuleNotFoundError: ``show`` is true, and tqdm is not installed.
    """

    def __init__(self, what: str, unit: str, show: bool | None, *, total: int | None = None, done: int = 0) -> None:
        if show is None:
            show = installed("tqdm") and (in_notebook() or sys.stderr.isatty())
        self._bar: Any = None
        self._errors = 0
        if show:
            with warnings.catch_warnings():
                # tqdm warns that ipywidgets is missing, and shows a bar of text, which is good enough.
                warnings.simplefilter("ignore")
                tqdm = need("tqdm.auto", "notebook", "A progress bar").tqdm
                self._bar = tqdm(desc=what, unit=unit, total=total, initial=done, leave=False, dynamic_ncols=True)

    def advance(self, *, failed: bool = False) -> None:
        """Add one to the count, and to the failures beside the bar if it failed."""
        if self._bar is None:
            return
        if failed:
            self._errors += 1
            self._bar.set_postfix_str(f"{self._errors:,} failed", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Remove the bar. Safe to call twice."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
