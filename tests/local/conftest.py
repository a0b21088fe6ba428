"""Small data directories, and requests as bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from personalize_rt.local import HttpRequest, HttpResponse, LocalPersonalize

# 26 May 2020, 22:02:55 GMT: the moment of a recorded reply of the service.
NOW = 1590530575.0

# Two circles: who watches a, b, c, and who watches x, y, z; everybody watches hit.
INTERACTIONS = """\
USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP
ann,a,Watch,8,1000
ann,b,Watch,7,1001
ann,hit,Watch,5,1002
ben,a,Watch,9,1003
ben,b,Watch,8,1004
ben,c,Watch,9,1005
ben,hit,Watch,6,1006
cat,x,Watch,7,1007
cat,y,Watch,7,1008
cat,hit,Watch,9,1009
dan,x,Watch,,1010
dan,y,Watch,3,1011
dan,z,Watch,10,1012
dan,hit,Watch,8,1013
eve,a,Watch,8,1014
eve,b,Watch,8,1015
eve,c,Watch,8,1016
eve,hit,Watch,8,1017
fay,x,Watch,5,1018
fay,y,Watch,6,1019
fay,z,Watch,7,1020
fay,hit,Watch,8,1021
"""
ITEMS = """\
ITEM_ID,TITLE,YEAR,GENRES
a,Alpha,1990,Drama|Crime
b,Beta,1991,Drama
c,Gamma,1992,Drama
x,Chi,2001,Comedy
y,Psi,2002,Comedy
z,Omega,2003,Comedy|Family
hit,The Hit,2010,Action
cold,Nobody Saw It,2020,Drama
"""
CAMPAIGNS = """\
[campaigns]
for-you = "aws-user-personalization"
for-you-v2 = "aws-user-personalization-v2"
ranking = "aws-personalized-ranking"
ranking-v2 = "aws-personalized-ranking-v2"
similar = "aws-similar-items"
sims = "aws-sims"
popular = "aws-popularity-count"
"""
SMALL = {"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": CAMPAIGNS}

Files = Callable[..., Path]


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Files:
    """Writes a data directory: ``directory({"interactions.csv": …})``."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


@pytest.fixture
def small_files() -> dict[str, str]:
    """The small directory, with more campaigns: to be changed by a test."""
    more = 'semantic = "aws-semantic-similarity"\nhrnn = "aws-hrnn"\n'
    return {**SMALL, "personalize.toml": CAMPAIGNS + more}


@attrs.frozen
class Service:
    """An embedded service, asked at the level of bytes."""

    local: LocalPersonalize

    def arn(self, campaign: str) -> str:
        return self.local.campaign_arn(campaign)

    def post(self, path: str, members: Any) -> HttpResponse:
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        return self.local.handle(HttpRequest("POST", path, {"content-type": "application/json"}, body))

    def ok(self, path: str, members: Any) -> dict[str, Any]:
        response = self.post(path, members)
        assert response.status == 200, response.body
        reply: dict[str, Any] = json.loads(response.body)
        return reply

    def error(self, path: str, members: Any) -> tuple[int, str, str]:
        """Status, code and message."""
        response = self.post(path, members)
        assert response.status != 200
        return response.status, response.headers["x-amzn-errortype"], json.loads(response.body)["message"]

    def recommend(self, campaign: str, **members: Any) -> list[tuple[str, float | None]]:
        reply = self.ok("/recommendations", {"campaignArn": self.arn(campaign), **members})
        return [(row["itemId"], row["score"]) for row in reply["itemList"]]

    def rank(self, user: str, *items: str, campaign: str = "ranking", **members: Any) -> list[tuple[str, float | None]]:
        members = {"campaignArn": self.arn(campaign), "userId": user, "inputList": items, **members}
        reply = self.ok("/personalize-ranking", members)
        return [(row["itemId"], row["score"]) for row in reply["personalizedRanking"]]

    def actions(self, user: str, campaign: str = "offers", **members: Any) -> list[tuple[str, float | None]]:
        reply = self.ok("/action-recommendations", {"campaignArn": self.arn(campaign), "userId": user, **members})
        return [(row["actionId"], row["score"]) for row in reply["actionList"]]


@pytest.fixture
def service(directory: Files) -> Callable[..., Service]:
    """Loads a directory: the small one of this file unless told otherwise."""

    def load(files: Mapping[str, str | bytes] | None = None, *, now: float = NOW, seed: int = 1) -> Service:
        if files is None:
            files = SMALL
        path = directory(files)
        return Service(LocalPersonalize.from_directory(path, clock=lambda: now, rng=random.Random(seed)))

    return load


@pytest.fixture(scope="session")
def sample() -> Service:
    return Service(LocalPersonalize.sample())
