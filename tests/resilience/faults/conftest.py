"""The sick servers of ``sick.py``, which lies beside and is no test."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def sick() -> Any:
    """The module."""
    spec = importlib.util.spec_from_file_location("sick", Path(__file__).with_name("sick.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sick"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sick_server(sick: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Starts servers that are ill in a given way."""
    with ExitStack() as stack:

        def start(kind: str) -> Any:
            if kind in sick.TRUSTED:
                monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
            return stack.enter_context(sick.SickServer(kind, certificate))

        yield start
