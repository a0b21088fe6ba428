"""An embedded service with everything that there are questions about, and a double of it with one belief inverted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.local.wire import _number
from personalize_rt.transport.in_process import in_process_client

ITEMS = 60
SCHEMA = {
    "type": "record",
    "name": "Items",
    "fields": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "BRAND_NAME", "type": "string"},
        {"name": "YEAR", "type": "int"},
        {"name": "KIND", "type": "string", "categorical": True},
    ],
}
SETTINGS = """\
[campaigns]
for-you = { recipe = "aws-user-personalization", enableMetadataWithRecommendations = true }
ranking = { recipe = "aws-personalized-ranking", enableMetadataWithRecommendations = true }
[recommenders]
top-picks = "aws-vod-top-picks"
[filters]
of-kind = "INCLUDE ItemID WHERE Items.KIND IN ($KIND)"
without-kind = "EXCLUDE ItemID WHERE Items.KIND IN ($KIND)"
since = "INCLUDE ItemID WHERE Items.YEAR >= $YEAR"
[schemas]
items = "items.json"
"""


def _interactions() -> str:
    """The first items have most events; the first two have equally many, at the same times."""
    rows = ["USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,DEVICE"]
    for item in range(ITEMS):
        rank = max(item, 1)
        for n in range(400 // rank**2 + 1):
            rows.append(f"u{item}-{n},i{item:02},{10**9 + n - 2 * 10**7 * (item > 20)},Watch,phone")
    return "\n".join([*rows, ""])


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalPersonalize:
    path: Path = tmp_path_factory.mktemp("verify")
    (path / "interactions.csv").write_text(_interactions())
    rows = [f"i{n:02},Brand {n},{1990 + n},{'odd' if n % 2 else 'even'}" for n in range(ITEMS)]
    (path / "items.csv").write_text("\n".join(["ITEM_ID,BRAND_NAME,YEAR,KIND", *rows, ""]))
    (path / "items.json").write_text(json.dumps(SCHEMA))
    (path / "personalize.toml").write_text(SETTINGS)
    return LocalPersonalize.from_directory(path, strict=True)


@pytest.fixture
def given(local: LocalPersonalize) -> dict[str, Any]:
    """Arguments with which every question is asked."""
    names = ("of-kind", "without-kind", "since")
    return {
        "campaign_arn": [local.campaign_arn("for-you"), local.campaign_arn("ranking")],
        "filter_arn": [local.filter_arn(name) for name in names],
        "filter_expression": [str(local.filter_expression(name)) for name in names],
        "filter_values": {"KIND": "odd", "YEAR": 1995},
        "metadata_columns": ["BRAND_NAME", "YEAR"],
        "context": {"DEVICE": "phone"},
        "sleep": lambda seconds: None,
    }


@attrs.define
class Reply:
    """An answer that an inversion may change."""

    status: int
    headers: dict[str, str]
    document: dict[str, Any]
    separators: tuple[str, str] = (",", ":")
    number: Callable[[float], str] = _number

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.document.get("itemList") or self.document.get("personalizedRanking") or []

    @rows.setter
    def rows(self, rows: list[dict[str, Any]]) -> None:
        self.document["itemList" if "itemList" in self.document else "personalizedRanking"] = rows

    @property
    def body(self) -> bytes:
        marked = json.dumps(_marked(self.document, self.number), separators=self.separators)
        return re.sub(r'"<<(.*?)>>"', r"\1", marked).encode()


def _marked(value: Any, number: Callable[[float], str]) -> Any:
    if isinstance(value, float):
        return f"<<{number(value)}>>"
    if isinstance(value, dict):
        return {name: _marked(part, number) for name, part in value.items()}
    return [_marked(part, number) for part in value] if isinstance(value, list) else value


class Double:
    """Answers as the embedded service does, but for one thing.

    ``asked`` may change the members of a request before it is answered, ``answered`` the reply.
    """

    def __init__(self, local: LocalPersonalize) -> None:
        self._local = local
        self.asked: Callable[[dict[str, Any]], None] = lambda members: None
        self.answered: Callable[[Mapping[str, Any], Reply], None] = lambda members, reply: None
        self.count = 0
        self.client: Any = in_process_client(self._respond)

    def _respond(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.count += 1
        members: dict[str, Any] = json.loads(body)
        changed = json.loads(body)
        self.asked(changed)
        response = self._local.handle(HttpRequest(method, path, headers, json.dumps(changed).encode()))
        reply = Reply(response.status, dict(response.headers), json.loads(response.body))
        self.answered(members, reply)
        content = reply.body
        return reply.status, {**reply.headers, "content-length": str(len(content))}, content


@pytest.fixture(scope="session")
def _double(local: LocalPersonalize) -> Double:
    return Double(local)


@pytest.fixture
def double(_double: Double) -> Double:
    _double.asked = lambda members: None
    _double.answered = lambda members, reply: None
    _double.count = 0
    return _double
