"""Scenarios across the three APIs: what is created or put through one is seen through the others, at every door."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Agree = Callable[..., tuple[Any, list[Any]]]

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
GROUP = f"{PREFIX}dataset-group/local"
FOR_YOU = f"{PREFIX}campaign/for-you"
ALL = ("events", "control")


def watch(events: Any, user: str, item: str, sent_at: float = 1590530000.0, **more: Any) -> Any:
    event = {"eventType": "Watch", "itemId": item, "sentAt": sent_at, **more}
    return events.put_events(trackingId="tracking-id", userId=user, sessionId=f"s-{user}", eventList=[event])


def test_an_event_changes_the_next_answer(agree: Agree) -> None:
    def scenario(runtime: Any, events: Any) -> Any:
        unseen = {"campaignArn": FOR_YOU, "userId": "new-1", "filterArn": f"{PREFIX}filter/unseen", "numResults": 50}
        before = [item["itemId"] for item in runtime.get_recommendations(**unseen)["itemList"]]
        told = watch(events, "new-1", before[0])["ResponseMetadata"]["HTTPStatusCode"]
        after = [item["itemId"] for item in runtime.get_recommendations(**unseen)["itemList"]]
        return before, told, after

    (before, told, after), _ = agree(scenario, "events")
    assert told == 200
    assert set(before) - set(after) == {before[0]}


def test_a_filter_that_is_created_is_used_and_deleted(agree: Agree) -> None:
    def scenario(runtime: Any, control: Any) -> Any:
        made = control.create_filter(
            name="only-action",
            datasetGroupArn=GROUP,
            filterExpression='INCLUDE ItemID WHERE Items.GENRES IN ("Action")',
        )["filterArn"]
        status = control.describe_filter(filterArn=made)["filter"]["status"]
        used = runtime.get_recommendations(campaignArn=FOR_YOU, userId="u1", filterArn=made)["itemList"]
        control.delete_filter(filterArn=made)
        with pytest.raises(runtime.exceptions.InvalidInputException):
            runtime.get_recommendations(campaignArn=FOR_YOU, userId="u1", filterArn=made)
        with pytest.raises(control.exceptions.ResourceNotFoundException):
            control.describe_filter(filterArn=made)
        return status, [item["itemId"] for item in used]

    (status, used), _ = agree(scenario, "control")
    assert status == "ACTIVE"
    assert used
    assert all(int(item[1:]) % 3 == 0 for item in used)


def test_what_is_declared_is_described_and_listed(agree: Agree) -> None:
    def scenario(_: Any, control: Any) -> Any:
        campaign = control.describe_campaign(campaignArn=FOR_YOU)["campaign"]
        version = control.describe_solution_version(solutionVersionArn=campaign["solutionVersionArn"])
        tracker = control.list_event_trackers()["eventTrackers"][0]["eventTrackerArn"]
        return (
            campaign["status"],
            version["solutionVersion"]["recipeArn"],
            control.describe_event_tracker(eventTrackerArn=tracker)["eventTracker"]["trackingId"],
            [one["name"] for page in control.get_paginator("list_campaigns").paginate() for one in page["campaigns"]],
            control.list_recommenders(datasetGroupArn=GROUP)["recommenders"],
        )

    (status, recipe, tracking, campaigns, recommenders), _ = agree(scenario, "control")
    assert (status, recipe) == ("ACTIVE", "arn:aws:personalize:::recipe/aws-user-personalization")
    assert tracking == "tracking-id"
    assert len(campaigns) == 10
    assert len(recommenders) == 5


# Of each API, and of each kind, with the code that the model has for it.
REFUSED: dict[str, tuple[str, str, Callable[[Any], Any], str]] = {
    "an event of an unknown tracker": (
        "events",
        "InvalidInputException",
        lambda events: events.put_events(
            trackingId="none", sessionId="s", eventList=[{"eventType": "Watch", "sentAt": 1}]
        ),
        "trackingId",
    ),
    "an item of an unknown dataset": (
        "events",
        "ResourceNotFoundException",
        lambda events: events.put_items(datasetArn=f"{PREFIX}dataset/none/ITEMS", items=[{"itemId": "x"}]),
        "dataset/none/ITEMS",
    ),
    "a campaign that is not there": (
        "control",
        "ResourceNotFoundException",
        lambda control: control.describe_campaign(campaignArn=f"{PREFIX}campaign/none"),
        "campaign/none",
    ),
    "a filter that does not parse": (
        "control",
        "InvalidInputException",
        lambda control: control.create_filter(name="f", datasetGroupArn=GROUP, filterExpression="INCLUDE ItemID WHEN"),
        "^",
    ),
    "an operation that is not modelled": (
        "control",
        "UnknownOperationException",
        lambda control: control.create_batch_segment_job(
            jobName="job",
            solutionVersionArn=f"{PREFIX}solution/s/1",
            jobInput={"s3DataSource": {"path": "s3://in"}},
            jobOutput={"s3DataDestination": {"path": "s3://out"}},
            roleArn="arn:aws:iam::000000000000:role/r",
        ),
        "CreateBatchSegmentJob",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_agree_and_are_typed(agree: Agree, name: str) -> None:
    api, code, scenario, part = REFUSED[name]
    (kind, text, response), (came,) = agree(lambda _, client: scenario(client), api)
    assert response["Error"]["Code"] == code, text
    assert part in response["Error"]["Message"]
    assert kind == (code if code != "UnknownOperationException" else "ClientError")
    body = json.loads(came.body)
    if api == "control":
        assert body["__type"] == code
        assert came.headers["content-type"] == "application/x-amz-json-1.1"
    else:
        assert came.headers["x-amzn-errortype"] == code
    assert response["ResponseMetadata"]["RequestId"] == came.headers["x-amzn-requestid"]


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("PutEvents", lambda events, control: watch(events, "u9", "i1")),
        ("list_filters", lambda events, control: control.list_filters()),
    ],
)
def test_faults_befall_the_operation_that_they_name(
    doors: Any, agree: Agree, operation: str, call: Callable[..., Any]
) -> None:
    def scenario(runtime: Any, events: Any, control: Any) -> Any:
        for door in doors:
            if door.client is runtime:
                door.local.faults.throttle(times=1, operation=operation)
        runtime.get_recommendations(campaignArn=FOR_YOU, userId="u1")
        with pytest.raises(ClientError) as throttled:  # not all of it: over HTTP, the answer of a fault is dated
            call(events, control)
        return throttled.value.response["Error"]

    error, came = agree(scenario, *ALL)
    assert error["Code"] == "ThrottlingException"
    assert [each.status for each in came] == [200, 400]
