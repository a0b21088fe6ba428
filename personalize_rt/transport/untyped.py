"""botocore and boto3 as ``Any``: they ship no types, and type checks must not depend on stubs for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["untyped"]


def untyped(module: str) -> Any:
    """Import a module of boto3 or botocore when it is needed."""
    return import_module(module)
