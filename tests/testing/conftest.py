"""An embedded service with everything that a recording has to hide."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.loaders
import botocore.session
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


@pytest.fixture(scope="session", autouse=True)
def models_are_loaded_once() -> Iterator[None]:
    """Every in-process client has a session of its own, which would load the same files again and again."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


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
