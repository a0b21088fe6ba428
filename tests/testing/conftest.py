"""An embedded service with everything that a recording has to hide."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from personalize_rt.local import LocalPersonalize

INTERACTIONS = """\
USER_ID,ITEM_ID,TIMESTAMP,DEVICE
ann,a,1000,phone
ann,b,1001,phone
ben,a,1002,
ben,b,1003,
ben,c,1004,
cat,c,1005,
"""
CAMPAIGNS = """\
[campaigns]
for-you = "aws-user-personalization"
ranking = "aws-personalized-ranking"
popular = "aws-popularity-count"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small data directory."""
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "interactions.csv").write_text(INTERACTIONS)
    (directory / "personalize.toml").write_text(CAMPAIGNS)
    return directory


@pytest.fixture
def load(data: Path) -> Callable[[int], LocalPersonalize]:
    """Loads the embedded service that stands for the real one; other seeds give other ids."""
    return lambda seed: LocalPersonalize.from_directory(data, rng=random.Random(seed))
