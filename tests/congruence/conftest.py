"""One engine behind three doors, each with the same data, the same clock and the same chance.

A scenario is a function of a boto3 client. ``agree(scenario)`` plays it through each door, and compares what the client
returned or raised, and the bytes that came: status, headers, body.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from personalize_rt.local import LocalPersonalize
from personalize_rt.local.moto import mock_personalize
from tests.model import faults_of
from tests.optional import optional

NOW = 1590530575.0
DATE = "Tue, 26 May 2020 22:02:55 GMT"

RESOURCES = """\
[campaigns]
for-you = { recipe = "aws-user-personalization", enableMetadataWithRecommendations = true }
for-you-v2 = "aws-user-personalization-v2"
ranking = "aws-personalized-ranking"
ranking-v2 = "aws-personalized-ranking-v2"
similar = "aws-similar-items"
sims = "aws-sims"
alike = "aws-semantic-similarity"
popular = "aws-popularity-count"
trending = "aws-trending-now"
offers = "aws-next-best-action"

[recommenders]
because-you-watched = "aws-vod-because-you-watched-x"
more-like = "aws-vod-more-like-x"
most-popular = "aws-vod-most-popular"
trending-now = "aws-vod-trending-now"
top-picks = "aws-vod-top-picks"

[filters]
unseen = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'
by-genre = 'INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)'
cheap-for-adults = 'EXCLUDE ItemID WHERE Items.PRICE > $PRICE IF CurrentUser.AGE < 18'
cheaper = 'INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE'
worthy = 'INCLUDE ActionID WHERE Actions.VALUE > ($VALUE)'

[event_trackers]
web = "tracking-id"
"""


def _csv(header: str, rows: Iterator[str]) -> str:
    return "\n".join((header, *rows)) + "\n"


FILES: Mapping[str, str] = {
    "personalize.toml": RESOURCES,
    "items.csv": _csv(
        "ITEM_ID,TITLE,YEAR,GENRES,PRICE,CREATION_TIMESTAMP",
        (
            f"i{n},Film é {n},{1980 + n},{'Drama|Comedy' if n % 3 else 'Action'},{n * 1.5},{1590000000 + n}"
            for n in range(16)
        ),
    ),
    "users.csv": _csv("USER_ID,AGE,MEMBERSHIP", (f"u{n},{14 + 3 * n},{'gold' if n % 2 else ''}" for n in range(6))),
    "interactions.csv": _csv(
        "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP,DEVICE",
        (
            f"u{n % 7},i{(n * n + 3 * n) % 13},{'Click' if n % 5 == 0 else 'Watch'},{1590000000 + 500 * n},"
            f"{'phone' if n % 2 else ''}"
            for n in range(90)
        ),
    ),
    "actions.csv": _csv("ACTION_ID,VALUE,TYPE", (f"a{n},{n + 1},{'gift' if n % 2 else 'offer'}" for n in range(7))),
    "action_interactions.csv": _csv(
        "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP",
        (f"u{n % 7},a{n % 3},{('TAKEN', 'NOT_TAKEN', 'VIEWED')[(n // 2) % 3]},{1590000000 + n}" for n in range(360)),
    ),
}

# In one shape for all doors, since what a client tells of a reply depends on it.
CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=20)
CONFIGS = (CONFIG, CONFIG.merge(Config(parameter_validation=False)), CONFIG.merge(Config(read_timeout=0.2)))
CLIENTS = (
    *(("personalize-runtime", config) for config in CONFIGS),
    ("personalize-events", CONFIG),
    ("personalize", CONFIG),
)

Scenario = Callable[..., Any]


@attrs.frozen
class Answer:
    """What came, as bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.define
class Door:
    """One way to an engine, with a client that keeps what comes through it.

    Attributes:
        client: A client of boto3.
        unchecked: One that sends what it is given, right or wrong.
        hasty: One that does not wait for a slow answer.
        events: A client of the events API.
        control: A client of the control plane.
    """

    name: str
    local: LocalPersonalize
    rng: random.Random
    client: Any
    unchecked: Any
    hasty: Any
    events: Any
    control: Any
    came: list[Answer] = attrs.field(factory=list)
    unlike_the_model: list[Any] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        for client in self.clients:
            client.meta.events.register("before-parse", self._keep)

    @property
    def clients(self) -> list[Any]:
        """All of them."""
        return [self.client, self.unchecked, self.hasty, self.events, self.control]

    def _keep(self, response_dict: Mapping[str, Any], operation_model: Any, **_: Any) -> None:
        headers = {name.lower(): text for name, text in response_dict["headers"].items()}
        # What HTTP adds: a date where a fault answers without one, and whether the connection goes on.
        headers.pop("connection", None)
        if headers.get("date") != DATE:
            headers.pop("date", None)
        answer = Answer(response_dict["status_code"], headers, response_dict["body"])
        self.came.append(answer)
        shape = operation_model.output_shape
        if answer.status < 300 and not self.local.faults.rules:
            # A shape is missing where there is nothing to tell.
            wrong = faults_of(shape, json.loads(answer.body)) if shape is not None else [answer.body.strip(b"{}")]
            self.unlike_the_model += filter(None, wrong)

    def play(self, scenario: Scenario, *more: Any) -> tuple[Any, list[Answer]]:
        """What a client gets from a scenario, and what came."""
        self.rng.seed(1)
        self.local.faults.clear()
        self.came.clear()
        self.unlike_the_model.clear()
        told = _outcome(lambda: scenario(self.client, *(getattr(self, name) for name in more)))
        assert self.unlike_the_model == []
        return told, list(self.came)


def _outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except ClientError as error:
        return type(error).__name__, str(error), error.response
    except Exception as error:  # its text names the endpoint
        return type(error).__name__


Loaded = tuple[LocalPersonalize, random.Random]
Load = Callable[..., Loaded]


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Loads the service, and tells what its chance comes from; the clock stands still unless one is given."""
    directory = tmp_path_factory.mktemp("data")
    for name, content in FILES.items():
        Path(directory, name).write_text(content, encoding="utf-8")

    def load(clock: Callable[[], float] = lambda: NOW) -> Loaded:
        rng = random.Random()
        return LocalPersonalize.from_directory(directory, clock=clock, rng=rng), rng

    return load


@pytest.fixture(scope="module")
def doors(load: Load) -> Iterator[list[Door]]:
    """In process, over HTTP, and under moto."""
    optional("uvicorn")

    def clients(**where: Any) -> list[Any]:
        return [session.client(service, config=config, **where) for service, config in CLIENTS]

    session = boto3.Session(region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing")
    in_process, over_http, under_moto = load(), load(), load()
    with ExitStack() as stack:
        url = stack.enter_context(over_http[0].serve(credentials=()))
        stack.enter_context(mock_aws())
        stack.enter_context(mock_personalize(under_moto[0]))
        made = [
            Door(
                "in process",
                *in_process,
                *(in_process[0].boto3_client(service, config=config) for service, config in CLIENTS),
            ),
            Door("over HTTP", *over_http, *clients(endpoint_url=url)),
            Door("under moto", *under_moto, *clients()),
        ]
        yield made
        for door in made:
            for client in door.clients:
                client.close()


@pytest.fixture(scope="module")
def agree(doors: list[Door]) -> Callable[..., Any]:
    """Plays a scenario through each door, asserts that they agree, and gives what they agree on.

    The names of attributes of a :class:`Door` may follow the scenario, which is then given these too.
    """

    def agree(scenario: Scenario, *more: str) -> tuple[Any, list[Answer]]:
        first, *others = doors
        told, came = first.play(scenario, *more)
        for door in others:
            assert (door.name, *door.play(scenario, *more)) == (door.name, told, came)
        return told, came

    return agree
