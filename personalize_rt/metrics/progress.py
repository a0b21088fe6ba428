"""A progress bar where somebody looks: on a terminal, or in a notebook."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from personalize_rt.extras import installed, need

__all__ = ["tracked"]

ValueT = TypeVar("ValueT")


def tracked(values: Collection[ValueT], what: str, show: bool | None) -> Iterator[ValueT]:
    """Go through values, and show how far.

    Args:
        values: What to go through.
        what: What to write beside the bar.
        show: ``None`` shows a bar on a terminal (standard error) and in a notebook, if tqdm is installed; ``True``
            always, ``False`` never.

    Raises:
        ModuleNotFoundError: ``show`` is true, and tqdm is not installed.
    """
    if show is None:
        show = installed("tqdm") and (in_notebook() or sys.stderr.isatty())
    if not show:
        yield from values
        return
    with warnings.catch_warnings():
        # Without ipywidgets there is a bar of text, which will do.
        warnings.simplefilter("ignore")
        bar: Any = need("tqdm.auto", "notebook", "A progress bar").tqdm(values, desc=what, unit="user", leave=False)
    yield from bar


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
