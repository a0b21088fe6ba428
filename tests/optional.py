"""Import of optional packages in tests, which are skipped without them."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["optional"]

# The extras of packages that [test] does not name itself.
_EXTRAS = {
    "django": "docs-examples",
    "ipykernel": "docs",
    "fastapi": "docs-examples",
    "jinja2": "server",
    "nbclient": "docs",
    "nbformat": "docs",
    "polars": "polars",
    "pyarrow": "arrow",
    "rest_framework": "docs-examples",
    "starlette": "server",
    "uvicorn": "server",
}


def optional(module: str) -> Any:
    """Import a module; without it, skip the test, or at the top of a file all of its tests, and name the extra."""
    __tracebackhide__ = True  # the place of the skip is the caller's
    extra = _EXTRAS.get(module.partition(".")[0], "test")
    return pytest.importorskip(module, reason=f"the extra [{extra}] is not installed")
