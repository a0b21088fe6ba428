"""The example of docs/how-to/async.md, against the embedded service."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')

from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.transport.asynchronous_in_process import InProcessSession


@pytest.fixture
def example() -> Any:
    path = Path(__file__).with_name("async_example.py")
    spec = importlib.util.spec_from_file_location("async_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_example_of_the_docs(example: Any) -> None:
    local = LocalPersonalize.sample()

    def respond(method: str, path: str, headers: Any, body: bytes) -> Any:
        response = local.handle(HttpRequest(method, path, headers, body))
        return response.status, response.headers, response.body

    shelves = await example.main(local.campaign_arn("movies-ranking"), session=InProcessSession(respond))
    assert {name: sorted(items) for name, items in shelves.items()} == {
        "classics": ["tt0111161", "tt0468569"],
        "new": ["tt1375666"],
    }
