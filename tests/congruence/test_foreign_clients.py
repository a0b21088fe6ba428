"""Clients that are not ours nor boto3: the AWS CLI, and the AWS SDK for JavaScript v3.

They sign every request, and the server checks that. ``.ci/foreign-clients`` installs them and runs this file; they are
found by ``PERSONALIZE_RT_AWS_CLI``, the ``aws`` command, and ``PERSONALIZE_RT_NODE_MODULES``, the directory in which
the SDK was installed.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from personalize_rt.local import LocalPersonalize
from personalize_rt.local.apis import APIS

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(120)]

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
USER = 'ü"1 \\ \U0001f3ac'
CALLS: list[tuple[str, dict[str, Any]]] = [
    (
        "GetRecommendations",
        {
            "campaignArn": f"{PREFIX}campaign/for-you-v2",
            "userId": USER,
            "numResults": 8,
            "context": {"DEVICE": "phone"},
            "filterArn": f"{PREFIX}filter/by-genre",
            "filterValues": {"GENRE": '"Comedy","Action"'},
            "promotions": [
                {"name": "ours", "percentPromotedItems": 30, "filterArn": f"{PREFIX}filter/unseen"},
            ],
            "metadataColumns": {"ITEMS": ["TITLE", "YEAR"]},
        },
    ),
    (
        "GetPersonalizedRanking",
        {"campaignArn": f"{PREFIX}campaign/ranking", "userId": "u1", "inputList": ["i3", "?", "i1", "ünknown"]},
    ),
    ("GetActionRecommendations", {"campaignArn": f"{PREFIX}campaign/offers", "userId": "u1", "numResults": 3}),
]
POPULAR = ("GetRecommendations", {"campaignArn": f"{PREFIX}campaign/popular"})
MISSING = ("GetRecommendations", {"campaignArn": f"{PREFIX}campaign/missing"})
SEGMENTS = {
    "jobName": "job",
    "solutionVersionArn": f"{PREFIX}solution/popular/1",
    "roleArn": "arn:aws:iam::000000000000:role/r",
    "jobInput": {"s3DataSource": {"path": "s3://in"}},
    "jobOutput": {"s3DataDestination": {"path": "s3://out"}},
}
WRONG = ("GetActionRecommendations", {"campaignArn": f"{PREFIX}campaign/offers", "userId": "u1", "numResults": 101})


@attrs.frozen
class Served:
    """A service that checks signatures."""

    local: LocalPersonalize
    rng: random.Random
    url: str


@pytest.fixture(scope="module")
def one_service(load: Callable[..., tuple[LocalPersonalize, random.Random]]) -> Iterator[Served]:
    from personalize_rt.local.sigv4 import Credentials

    # The right time: SDKs set their clocks, and sign, by the date of an answer that is not.
    local, rng = load(time.time)
    with local.serve(credentials=[Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG")], require_signature=True) as url:
        yield Served(local, rng, url)


@pytest.fixture
def served(one_service: Served) -> Iterator[Served]:
    yield one_service
    one_service.local.faults.clear()


@pytest.fixture
def expected(served: Served) -> list[dict[str, Any]]:
    """What boto3 is answered, in this process."""
    client = served.local.boto3_client()
    served.rng.seed(1)
    calls = {
        "GetRecommendations": client.get_recommendations,
        "GetPersonalizedRanking": client.get_personalized_ranking,
    }
    calls["GetActionRecommendations"] = client.get_action_recommendations
    replies = [calls[name](**members) for name, members in CALLS]
    for reply in replies:
        del reply["ResponseMetadata"]
    served.rng.seed(1)
    return replies


def environment(directory: Path, **variables: str) -> dict[str, str]:
    """Credentials and a region, and nothing of the machine's own settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **variables,
    }


# The AWS CLI.

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def command_of(operation: str) -> list[str]:
    """Service and command of the CLI for an operation."""
    api = next(api for api in APIS if operation in api.names)
    return [api.service, re.sub("(?!^)(?=[A-Z])", "-", operation).lower()]


@pytest.fixture
def aws(served: Served, tmp_path: Path) -> Cli:
    """Runs ``aws`` with a command of one of the three APIs, as a person would."""
    command = os.environ["PERSONALIZE_RT_AWS_CLI"]

    def aws(call: tuple[str, dict[str, Any]], **variables: str) -> subprocess.CompletedProcess[str]:
        name, members = call
        arguments = [command, *command_of(name), "--output", "json"]
        settings = environment(tmp_path, AWS_MAX_ATTEMPTS="3", **served.local.env(served.url), **variables)
        return subprocess.run(
            [*arguments, "--cli-input-json", json.dumps(members)],
            env=settings,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )

    return aws


def test_the_cli_calls_all_operations(aws: Cli, expected: list[dict[str, Any]]) -> None:
    for call, reply in zip(CALLS, expected, strict=True):
        ran = aws(call)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert json.loads(ran.stdout) == reply


@pytest.mark.parametrize(
    ("call", "code", "part"),
    [
        (MISSING, "InvalidInputException", "does not exist or is not active yet."),
        (WRONG, "InvalidInputException", "numResults"),
    ],
)
def test_the_cli_reads_typed_errors(aws: Cli, call: tuple[str, dict[str, Any]], code: str, part: str) -> None:
    ran = aws(call)
    assert ran.returncode == 255
    assert f"An error occurred ({code}) when calling the {call[0]} operation" in ran.stderr
    assert part in ran.stderr


def test_the_cli_retries_a_throttle(aws: Cli, served: Served) -> None:
    served.local.faults.throttle(times=2)
    assert aws(POPULAR).returncode == 0
    assert served.local.faults.rules[0].fired == 2


def test_the_cli_gives_up_after_its_attempts(aws: Cli, served: Served) -> None:
    served.local.faults.throttle()
    ran = aws(POPULAR)
    assert ran.returncode == 255
    assert "(ThrottlingException)" in ran.stderr
    assert served.local.faults.rules[0].fired == 3


def test_the_cli_with_another_secret_is_refused(aws: Cli) -> None:
    ran = aws(POPULAR, AWS_SECRET_ACCESS_KEY="another")
    assert ran.returncode == 255
    assert "(InvalidSignatureException)" in ran.stderr


# The AWS SDK for JavaScript.

Node = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def node(served: Served, tmp_path: Path) -> Node:
    """Makes calls from Node.js."""
    modules = os.environ["PERSONALIZE_RT_NODE_MODULES"]

    def node(*calls: tuple[str, dict[str, Any]], url: str = served.url, **variables: str) -> list[dict[str, Any]]:
        ran = subprocess.run(
            ["node", str(Path(__file__).with_name("foreign.cjs")), url],
            input=json.dumps(calls),
            # The SDK tells on standard error which Node.js it will want one day.
            env=environment(tmp_path, PERSONALIZE_RT_NODE_MODULES=modules, NODE_NO_WARNINGS="1", **variables),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        told: list[dict[str, Any]] = json.loads(ran.stdout)
        return told

    return node


def test_javascript_calls_all_operations(node: Node, expected: list[dict[str, Any]]) -> None:
    told = node(*CALLS)
    assert [without_null(each["reply"]) for each in told] == expected
    assert [each["attempts"] for each in told] == [1, 1, 1]
    assert all(len(each["requestId"]) == 36 for each in told)


def test_javascript_reads_typed_errors(node: Node) -> None:
    missing, wrong = node(MISSING, WRONG)
    assert (missing["error"], missing["status"]) == ("InvalidInputException", 400)
    assert (wrong["error"], wrong["status"]) == ("InvalidInputException", 400)
    for each in (missing, wrong):
        assert each["typed"] is each["ofService"] is True
        assert (each["fault"], each["attempts"]) == ("client", 1)
        assert len(each["requestId"]) == 36
    assert "does not exist or is not active yet" in missing["message"]


def test_javascript_retries_a_throttle(node: Node, served: Served) -> None:
    served.local.faults.throttle(times=1)
    served.local.faults.fail(503, times=1)
    (told,) = node(POPULAR)
    assert told["attempts"] == 3
    assert told["reply"]["itemList"]


def test_javascript_gives_up_after_its_attempts(node: Node, served: Served) -> None:
    served.local.faults.throttle()
    (told,) = node(POPULAR)
    assert (told["error"], told["attempts"]) == ("ThrottlingException", 3)
    assert served.local.faults.rules[0].fired == 3


def test_javascript_with_another_secret_is_refused(node: Node) -> None:
    (told,) = node(POPULAR, AWS_SECRET_ACCESS_KEY="another")
    assert (told["error"], told["status"]) == ("InvalidSignatureException", 403)


# The three APIs.

FILTER = f"{PREFIX}filter/made"


def walk(user: str) -> list[tuple[str, dict[str, Any]]]:
    """A walk through the three APIs: each call but the first sees what one before it did."""
    fresh = {"campaignArn": f"{PREFIX}campaign/for-you", "userId": user, "filterArn": FILTER}
    return [
        (
            "CreateFilter",
            {
                "name": "made",
                "datasetGroupArn": f"{PREFIX}dataset-group/local",
                "filterExpression": 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")',
            },
        ),
        ("DescribeFilter", {"filterArn": FILTER}),
        ("GetRecommendations", fresh),
        (
            "PutEvents",
            {
                "trackingId": "tracking-id",
                "userId": user,
                "sessionId": f"s-{user}",
                "eventList": [
                    {
                        "eventType": "Watch",
                        "itemId": "i1",
                        "sentAt": "2020-05-26T22:00:00Z",
                        "properties": '{"device": "phone"}',
                    }
                ],
            },
        ),
        ("GetRecommendations", fresh),
        ("DescribeCampaign", {"campaignArn": f"{PREFIX}campaign/none"}),
        ("DeleteFilter", {"filterArn": FILTER}),
    ]


def check_walk(told: list[Any]) -> None:
    """Check what came of it: the reply of each call, or the message of its error."""
    made, described, before, put, after, missing, deleted = told
    assert made["filterArn"] == FILTER
    assert described["filter"]["status"] == "ACTIVE"
    ids = [[item["itemId"] for item in reply["itemList"]] for reply in (before, after)]
    assert set(ids[0]) - set(ids[1]) == {"i1"}
    assert not without_null(put)
    assert "ResourceNotFoundException" in missing
    assert not without_null(deleted)


def test_the_cli_walks_through_the_three_apis(aws: Cli) -> None:
    told: list[Any] = []
    for call in walk("cli"):
        ran = aws(call)
        told.append(json.loads(ran.stdout or "{}") if ran.returncode == 0 else ran.stderr)
    check_walk(told)


def test_javascript_walks_through_the_three_apis(node: Node) -> None:
    told = node(*walk("js"))
    check_walk([each["reply"] if "reply" in each else each["error"] for each in told])
    missing = told[5]
    assert missing["typed"] is missing["ofService"] is True
    assert (missing["status"], missing["attempts"]) == (400, 1)
    assert {each["attempts"] for each in told} == {1}


def test_javascript_is_told_which_operations_there_are(node: Node) -> None:
    (told,) = node(("CreateBatchSegmentJob", SEGMENTS))
    assert told["error"] == "UnknownOperationException"
    assert told["ofService"] is True
    assert "CreateBatchSegmentJob" in told["message"]


def test_javascript_finds_the_service_by_the_environment(node: Node, served: Served) -> None:
    told = node(*walk("js-env"), url="", **served.local.env(served.url))
    check_walk([each["reply"] if "reply" in each else each["error"] for each in told])


@pytest.mark.parametrize("operation", ["PutEvents", "DescribeFilter"])
def test_javascript_retries_a_throttle_of_each_api(node: Node, served: Served, operation: str) -> None:
    served.local.faults.throttle(times=2, operation=operation)
    told = node(*walk("js-throttled"))
    attempts = {name: each["attempts"] for (name, _), each in zip(walk(""), told, strict=True)}
    assert attempts[operation] == 3


def without_null(value: Any) -> Any:
    """A reply as boto3 tells it: members that are null are not there."""
    if isinstance(value, dict):
        return {name: without_null(part) for name, part in value.items() if part is not None}
    return [without_null(part) for part in value] if isinstance(value, list) else value
