"""Written scenarios: what each recipe answers, what is refused, events, and what goes wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from personalize_rt.local import LocalPersonalize
from personalize_rt.tracking import TrackedEvent

Agree = Callable[..., tuple[Any, list[Any]]]

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
INPUT = ["i3", "i1", "unknown", "i2", "i3", "ünknown"]


def arn(kind: str, name: str) -> str:
    return f"{PREFIX}{kind}/{name}"


def recommend(client: Any, name: str, kind: str = "campaign", **members: Any) -> Any:
    return client.get_recommendations(**{f"{kind}Arn": arn(kind, name)}, **members)


def rank(client: Any, name: str = "ranking", **members: Any) -> Any:
    return client.get_personalized_ranking(
        **{"campaignArn": arn("campaign", name), "userId": "u1", "inputList": INPUT, **members}
    )


def offer(client: Any, **members: Any) -> Any:
    return client.get_action_recommendations(**{"campaignArn": arn("campaign", "offers"), "userId": "u1", **members})


def promotion(name: str = "ours", percent: int = 30, **more: Any) -> list[dict[str, Any]]:
    values = {"filterArn": arn("filter", "by-genre"), "filterValues": {"GENRE": '"Action"'}}
    return [{"name": name, "percentPromotedItems": percent, **values, **more}]


# What is answered.

ANSWERED: dict[str, Callable[[Any], Any]] = {
    **{
        f"{name} for {user}": lambda client, name=name, user=user: recommend(client, name, userId=user)
        for name in ("for-you", "for-you-v2")
        for user in ("u1", "nobody", "ünïcode \U0001f3ac")
    },
    **{
        name: lambda client, name=name: recommend(client, name, itemId="i1", numResults=7)
        for name in ("similar", "sims", "alike", "popular", "trending")
    },
    "similar to an unknown item": lambda client: recommend(client, "similar", itemId="?"),
    **{
        name: lambda client, name=name: recommend(client, name, "recommender", userId="u2", itemId="i1")
        for name in ("because-you-watched", "more-like", "most-popular", "trending-now", "top-picks")
    },
    "a ranking": rank,
    "a ranking by v2": lambda client: rank(client, "ranking-v2"),
    "a ranking for a new user": lambda client: rank(client, userId="nobody"),
    "a ranking of one": lambda client: rank(client, inputList=["i1"]),
    "a ranking of 500": lambda client: rank(client, inputList=[f"i{n}" for n in range(500)]),
    "a ranking with context": lambda client: rank(client, context={"DEVICE": "phone"}),
    "a ranking with metadata": lambda client: rank(client, "ranking-v2", metadataColumns={"ITEMS": ["TITLE", "YEAR"]}),
    "a filtered ranking": lambda client: rank(
        client, filterArn=arn("filter", "by-genre"), filterValues={"GENRE": '"Drama"'}
    ),
    "actions": offer,
    "two actions": lambda client: offer(client, numResults=2),
    "filtered actions": lambda client: offer(
        client, filterArn=arn("filter", "worthy"), filterValues={"VALUE": "3"}, numResults=100
    ),
    "500 results": lambda client: recommend(client, "popular", numResults=500),
    "no number of results": lambda client: recommend(client, "popular", numResults=0),
    "unseen items": lambda client: recommend(client, "for-you", userId="u1", filterArn=arn("filter", "unseen")),
    "items by genre": lambda client: recommend(
        client, "popular", filterArn=arn("filter", "by-genre"), filterValues={"GENRE": '"Comedy","Action"'}
    ),
    "a filter on the user": lambda client: recommend(
        client, "for-you", userId="u1", filterArn=arn("filter", "cheap-for-adults"), filterValues={"PRICE": "9"}
    ),
    "a filter on the item": lambda client: recommend(
        client, "similar", itemId="i9", filterArn=arn("filter", "cheaper")
    ),
    "metadata": lambda client: recommend(
        client, "for-you", userId="u1", metadataColumns={"ITEMS": ["TITLE", "PRICE", "GENRES"]}, numResults=50
    ),
    "a promotion": lambda client: recommend(client, "for-you", userId="u1", promotions=promotion(), numResults=10),
    "a promotion with reasons": lambda client: recommend(
        client, "for-you-v2", userId="u1", promotions=promotion(percent=100), filterArn=arn("filter", "unseen")
    ),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answers_agree(agree: Agree, name: str) -> None:
    told, (came,) = agree(ANSWERED[name])
    assert came.status == 200, came.body
    assert told["ResponseMetadata"]["RequestId"] == came.headers["x-amzn-requestid"]
    assert told["recommendationId"] == json.loads(came.body)["recommendationId"]
    assert came.headers["date"] == "Tue, 26 May 2020 22:02:55 GMT"


def test_each_answer_has_ids_of_its_own(agree: Agree) -> None:
    told, _ = agree(lambda client: [recommend(client, "popular")["recommendationId"] for _ in range(5)])
    assert len(set(told)) == 5


# What is refused.

MISSING = arn("campaign", "missing")

REFUSED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "an unknown campaign": ("InvalidInputException", lambda client: recommend(client, "missing")),
    "an unknown recommender": ("InvalidInputException", lambda client: recommend(client, "missing", "recommender")),
    "a recommender as a campaign": ("InvalidInputException", lambda client: recommend(client, "top-picks")),
    "an unknown filter": (
        "InvalidInputException",
        lambda client: recommend(client, "popular", filterArn=arn("filter", "missing")),
    ),
    "an ARN of something else": (
        "InvalidInputException",
        lambda client: client.get_recommendations(campaignArn="arn:aws:s3:::bucket"),
    ),
    "no ARN": ("InvalidInputException", lambda client: client.get_recommendations(userId="u1")),
    "two ARNs": (
        "InvalidInputException",
        lambda client: recommend(client, "popular", recommenderArn=arn("recommender", "top-picks")),
    ),
    "another operation's campaign": ("InvalidInputException", lambda client: recommend(client, "ranking", userId="u1")),
    "no user": ("InvalidInputException", lambda client: recommend(client, "for-you")),
    "an empty user": ("InvalidInputException", lambda client: recommend(client, "for-you", userId="")),
    "a long user": ("InvalidInputException", lambda client: recommend(client, "for-you", userId="u" * 257)),
    "no item": ("InvalidInputException", lambda client: recommend(client, "similar", userId="u1")),
    "501 results": ("InvalidInputException", lambda client: recommend(client, "popular", numResults=501)),
    "101 actions": ("InvalidInputException", lambda client: offer(client, numResults=101)),
    "nothing to rank": ("InvalidInputException", lambda client: rank(client, inputList=[])),
    "501 items": ("InvalidInputException", lambda client: rank(client, inputList=["i"] * 501)),
    "an unknown context": ("InvalidInputException", lambda client: rank(client, context={"CITY": "Roma"})),
    "a filter without its value": (
        "InvalidInputException",
        lambda client: recommend(client, "popular", filterArn=arn("filter", "by-genre")),
    ),
    "a value that is none": (
        "InvalidInputException",
        lambda client: recommend(
            client, "popular", filterArn=arn("filter", "by-genre"), filterValues={"GENRE": "Comedy"}
        ),
    ),
    "a filter of actions": (
        "InvalidInputException",
        lambda client: recommend(client, "popular", filterArn=arn("filter", "worthy"), filterValues={"VALUE": "1"}),
    ),
    "metadata that is not enabled": (
        "InvalidInputException",
        lambda client: recommend(client, "popular", metadataColumns={"ITEMS": ["TITLE"]}),
    ),
    "an unknown column": (
        "InvalidInputException",
        lambda client: recommend(client, "for-you", userId="u1", metadataColumns={"ITEMS": ["PLOT"]}),
    ),
    "a promotion of 101 percent": (
        "InvalidInputException",
        lambda client: recommend(client, "popular", promotions=promotion(percent=101)),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_agree(agree: Agree, name: str) -> None:
    code, scenario = REFUSED[name]
    (kind, text, response), (came,) = agree(scenario)
    assert (kind, came.status) == (code, 400)
    assert came.headers["x-amzn-errortype"] == code
    assert response["Error"]["Message"] in text


@pytest.mark.parametrize(
    "members",
    [
        {"campaignArn": 5},
        {"campaignArn": arn("campaign", "popular"), "numResults": "3"},
        {"campaignArn": arn("campaign", "popular"), "numResults": -1},
        {"campaignArn": arn("campaign", "popular"), "userId": ["u1"]},
        {"campaignArn": arn("campaign", "popular"), "context": {"DEVICE": 5}},
        {"campaignArn": arn("campaign", "popular"), "promotions": [{}, {}]},
    ],
)
def test_what_a_client_does_not_check_is_refused_alike(agree: Agree, members: dict[str, Any]) -> None:
    told, _ = agree(lambda _, unchecked: unchecked.get_recommendations(**members), "unchecked")
    assert told[0] == "InvalidInputException"


# Events that arrive.


def test_events_change_what_is_answered_alike(agree: Agree) -> None:
    def scenario(client: Any, local: LocalPersonalize) -> list[Any]:
        seen = []
        for item in (None, "i13", "i14"):
            if item is not None:
                local.put_events(session_id="s", user_id="u1", events=[TrackedEvent(event_type="Watch", item_id=item)])
            seen += [recommend(client, "for-you", userId="u1", filterArn=arn("filter", "unseen")), rank(client)]
        local.reload()
        return seen

    told, _ = agree(scenario, "local")
    unseen = [{item["itemId"] for item in reply["itemList"]} for reply in told[::2]]
    assert [sorted(items & {"i13", "i14"}) for items in unseen] == [["i13", "i14"], ["i14"], []]


# What goes wrong on purpose.

FAULTS: dict[str, Callable[[Any], Any]] = {
    "throttle": lambda faults: faults.throttle(),
    "throttle with advice": lambda faults: faults.throttle(retry_after=3),
    "throttle with fine advice": lambda faults: faults.throttle(retry_after=0.25, header="x-amz-retry-after"),
    "fail": lambda faults: faults.fail(),
    "fail 503": lambda faults: faults.fail(503),
    "fail like a proxy": lambda faults: faults.fail(502),
    "deny": lambda faults: faults.deny(code="ExpiredTokenException"),
    "truncate": lambda faults: faults.truncate(),
    "invalid JSON": lambda faults: faults.invalid_json(),
    "reset in the head": lambda faults: faults.reset(part="head"),
    "reset in the body": lambda faults: faults.reset(),
    "too short": lambda faults: faults.wrong_length(by=-7),
    "hang": lambda faults: faults.hang(),
    "slow": lambda faults: faults.latency(0.3),
    "drip": lambda faults: faults.drip(bytes_per_second=2),
    "a little slow": lambda faults: faults.latency(0.001, jitter=0.001),
    "one in two": lambda faults: faults.throttle(rate=0.5),
    "one of three kinds": lambda faults: [faults.throttle(times=1), faults.fail(times=1), faults.deny(times=1)],
    "of one operation": lambda faults: faults.fail(operation="get_personalized_ranking"),
    "of one campaign": lambda faults: faults.fail(campaign="for-you"),
}

HARMLESS = {"a little slow", "of one operation", "of one campaign"}
SOMETIMES = {"one in two", "one of three kinds"}
SLOW = {"hang", "slow", "drip"}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_seen_alike(agree: Agree, name: str) -> None:
    def scenario(client: Any, local: LocalPersonalize, hasty: Any) -> list[Any]:
        FAULTS[name](local.faults)
        if name in SLOW:
            return [tried(lambda: recommend(hasty, "popular"))]
        return [tried(lambda: recommend(client, "popular", numResults=3)) for _ in range(4)]

    told, _ = agree(scenario, "local", "hasty")
    answered = [bool(items) for items, _ in told]
    assert all(answered) == (name in HARMLESS)
    assert any(answered) == (name in HARMLESS | SOMETIMES)


def tried(call: Callable[[], Any]) -> tuple[Any, str]:
    """The items, if any came, or what was raised."""
    try:
        return call().get("itemList"), ""
    except ClientError as error:
        return None, str(error)
    except Exception as error:  # its text names the endpoint
        return None, type(error).__name__
