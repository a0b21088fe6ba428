"""The examples are imported by their names, as their readers would."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from personalize_rt.local import LocalPersonalize

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "film_site.settings")


@pytest.fixture(scope="session")
def sample() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture
def local(sample: LocalPersonalize) -> Iterator[LocalPersonalize]:
    """The embedded Personalize, whose faults and recorded events end with the test."""
    yield sample
    sample.reset()
