from __future__ import annotations

from collections.abc import Iterator

import botocore.loaders
import botocore.session
import pytest


@pytest.fixture(scope="session", autouse=True)
def models_are_loaded_once() -> Iterator[None]:
    """Many of these tests need a new session, which would load the same files again and again."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield
