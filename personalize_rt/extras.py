"""Import of optional packages on first use."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["installed", "need"]


def need(module: str, extra: str, purpose: str) -> Any:
    """Import an optional package.

    Args:
        module: The module to import.
        extra: The extra of this package that installs it.
        purpose: The feature that needs it; the error message begins with it.

    Raises:
        ModuleNotFoundError: It is not installed; the message has the command that installs it.
    """
    package = module.partition(".")[0]
    if not installed(package):
        command = f'pip install "personalize-rt[{extra}]"'
        raise ModuleNotFoundError(f"{purpose} needs {package}: {command}", name=package)
    return import_module(module)


def installed(package: str) -> bool:
    """Tell whether a package can be imported."""
    return find_spec(package) is not None
