"""From CreateSchema to recommendations and back: imports, trainings, campaigns and recommenders that requests make."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.local.control.made import FailedError, Work, Worker
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.local.inside import inside
from personalize_rt.local.schemas import Schema
from tests.local.conftest import INTERACTIONS, Files
from tests.local.control_requests import asked, refused, told
from tests.local.test_control_created import PREFIX, Clock, avro, make_dataset, make_group, put
from tests.local.test_control_model import wrong_in
from tests.optional import optional

ROLE = "arn:aws:iam::000000000000:role/personalize"
LATER = 1_600_000_000


class Objects:
    """The rows of imports, by URI, in the place of files."""

    def __init__(self) -> None:
        self.events: dict[str, list[tuple[str, str, str, int]]] = {}
        self.items: dict[str, dict[str, int]] = {}
        self.lines_of: dict[str, Iterable[str]] = {}
        self.written: dict[str, list[str]] = {}
        self.gate = threading.Event()
        self.gate.set()

    def check(self, uri: str) -> str:
        return "" if uri.startswith("s3://") else "expected a location of the form s3://bucket/key"

    def read(self, uri: str, dataset: str, schema: Schema) -> EventLog | Table:
        assert self.gate.wait(60)
        if uri in self.items:
            index = {id: number for number, id in enumerate(self.items[uri])}
            return Table(index, {"YEAR": [*self.items[uri].values()]}, dict(schema.fields))
        if uri not in self.events:
            raise FailedError(f"there is no object {uri}")
        log = EventLog(fields=dict(schema.fields))
        for user, item, kind, time in self.events[uri]:
            log.user.append(log.users[user])
            log.target.append(log.targets[item])
            log.type.append(log.types[kind])
            log.timestamp.append(time)
        return log

    def files(self, uri: str) -> list[str]:
        return [uri]

    def lines(self, uri: str) -> Iterable[str]:
        return self.lines_of[uri]

    def write_lines(self, folder: str, name: str, lines: Iterable[str]) -> None:
        self.written[folder + name] = [*lines]


def events_of(users: int, items: int) -> list[tuple[str, str, str, int]]:
    """Events in which item 0 is the most popular one, and user n has the items below n."""
    rows = [(f"u{user}", f"i{item}", "Watch", LATER + user) for user in range(users) for item in range(items)]
    return [row for row in rows if int(row[1][1:]) <= int(row[0][1:])]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def make(directory: Files, clock: Clock, objects: Objects) -> Callable[..., LocalPersonalize]:
    def make(**options: Any) -> LocalPersonalize:
        local = LocalPersonalize.from_directory(directory({"interactions.csv": INTERACTIONS}), clock=clock, **options)
        inside(local).account.objects = objects
        return local

    return make


@pytest.fixture
def local(make: Callable[..., LocalPersonalize]) -> LocalPersonalize:
    return make()


def start_import(local: Any, dataset: str, uri: str, job: str = "", **more: Any) -> str:
    members = {"jobName": job or uri.rpartition("/")[2], "datasetArn": dataset, "roleArn": ROLE, **more}
    arn: str = told(local, "CreateDatasetImportJob", dataSource={"dataLocation": uri}, **members)["datasetImportJobArn"]
    return arn


def describe_import(local: Any, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = told(local, "DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"]
    return found


def with_data(local: Any, objects: Objects, name: str = "shop", **more: Any) -> str:
    """A dataset group with interactions."""
    group = make_group(local, name, **more)
    dataset = make_dataset(local, group)
    objects.events["s3://bucket/events"] = events_of(20, 10)
    job = start_import(local, dataset, "s3://bucket/events", f"{name}-events")
    assert describe_import(local, job)["status"] == "ACTIVE"
    return group


def make_solution(local: Any, group: str, recipe: str = "aws-popularity-count", name: str = "sol", **more: Any) -> str:
    members = {"name": name, "datasetGroupArn": group, "recipeArn": f"arn:aws:personalize:::recipe/{recipe}"}
    arn: str = told(local, "CreateSolution", **members, **more)["solutionArn"]
    return arn


def make_version(local: Any, solution: str) -> str:
    arn: str = told(local, "CreateSolutionVersion", solutionArn=solution)["solutionVersionArn"]
    return arn


def version(local: Any, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = told(local, "DescribeSolutionVersion", solutionVersionArn=arn)["solutionVersion"]
    return found


def make_campaign(local: Any, version: str, name: str = "camp", **more: Any) -> str:
    arn: str = told(local, "CreateCampaign", name=name, solutionVersionArn=version, **more)["campaignArn"]
    return arn


def items_of(local: Any, **members: Any) -> list[str]:
    response = local.handle(HttpRequest("POST", "/recommendations", {}, json.dumps(members).encode()))
    reply = json.loads(response.body)
    assert response.status == 200, reply
    return [row["itemId"] for row in reply["itemList"]]


def deployed(local: Any, objects: Objects, recipe: str = "aws-popularity-count", **more: Any) -> tuple[str, str, str]:
    """A dataset group with data, a solution version and a campaign of it."""
    group = with_data(local, objects)
    trained = make_version(local, make_solution(local, group, recipe, **more))
    return group, trained, make_campaign(local, trained)


# Imports.


def test_import_that_is_described_at_once_is_complete(local: LocalPersonalize, objects: Objects, clock: Clock) -> None:
    dataset = make_dataset(local, make_group(local))
    objects.events["s3://bucket/events"] = events_of(3, 3)
    arn = start_import(local, dataset, "s3://bucket/events")
    assert describe_import(local, arn) == {
        "jobName": "events",
        "datasetImportJobArn": f"{PREFIX}dataset-import-job/events",
        "datasetArn": dataset,
        "dataSource": {"dataLocation": "s3://bucket/events"},
        "roleArn": ROLE,
        "importMode": "FULL",
        "status": "ACTIVE",
        "creationDateTime": clock.now,
        "lastUpdatedDateTime": clock.now,
    }
    assert [row["status"] for row in told(local, "ListDatasetImportJobs", datasetArn=dataset)["datasetImportJobs"]] == [
        "ACTIVE"
    ]


def test_import_that_fails_says_why_and_changes_nothing(local: LocalPersonalize, objects: Objects) -> None:
    _, _, campaign = deployed(local, objects)
    before = items_of(local, campaignArn=campaign)
    found = describe_import(local, start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/none"))
    assert (found["status"], found["failureReason"]) == ("CREATE FAILED", "there is no object s3://bucket/none")
    assert items_of(local, campaignArn=campaign) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dataSource": {}}, "InvalidInputException"),
        ({"dataSource": {"dataLocation": "file:///etc/passwd"}}, "InvalidInputException"),
        ({"roleArn": "arn:aws:s3:::role"}, "InvalidInputException"),
        ({"publishAttributionMetricsToS3": True}, "InvalidInputException"),
        ({"datasetArn": f"{PREFIX}dataset/none/ITEMS"}, "ResourceNotFoundException"),
        ({"datasetArn": f"{PREFIX}dataset/local/INTERACTIONS"}, "InvalidInputException"),
        ({"jobName": "shop-events"}, "ResourceAlreadyExistsException"),
    ],
)
def test_import_that_does_not_fit_is_refused(
    local: LocalPersonalize, objects: Objects, change: dict[str, Any], code: str
) -> None:
    with_data(local, objects)
    members = {
        "jobName": "more",
        "datasetArn": f"{PREFIX}dataset/shop/INTERACTIONS",
        "dataSource": {"dataLocation": "s3://bucket/events"},
        "roleArn": ROLE,
    }
    assert refused(local, "CreateDatasetImportJob", {**members, **change})[0] == code


def test_import_needs_an_operator_who_says_where_objects_are(directory: Files) -> None:
    local = LocalPersonalize.from_directory(directory({"interactions.csv": INTERACTIONS}))
    dataset = make_dataset(local, make_group(local))
    members = {"jobName": "j", "datasetArn": dataset, "dataSource": {"dataLocation": "s3://bucket/x"}}
    code, text = refused(local, "CreateDatasetImportJob", members)
    assert (code, "--s3-root" in text) == ("InvalidInputException", True)


def test_incremental_import_adds_and_a_full_one_replaces(local: LocalPersonalize, objects: Objects) -> None:
    group = with_data(local, objects)
    dataset = f"{PREFIX}dataset/shop/INTERACTIONS"
    objects.events["s3://bucket/more"] = [(f"v{number}", "new", "Watch", LATER) for number in range(99)]
    describe_import(local, start_import(local, dataset, "s3://bucket/more", importMode="INCREMENTAL"))
    solution = make_solution(local, group)
    both = make_campaign(local, make_version(local, solution))
    assert items_of(local, campaignArn=both)[:2] == ["new", "i0"]
    describe_import(local, start_import(local, dataset, "s3://bucket/more", "again"))
    only = make_campaign(local, make_version(local, solution), "only")
    assert items_of(local, campaignArn=only) == ["new"]
    assert items_of(local, campaignArn=both)[:2] == ["new", "i0"]


def test_incremental_import_of_items_replaces_rows_of_the_same_id(local: LocalPersonalize, objects: Objects) -> None:
    group, trained, _ = deployed(local, objects)
    config = {"enableMetadataWithRecommendations": True}
    campaign = make_campaign(local, trained, "rich", campaignConfig=config)
    items = make_dataset(local, group, "Items")
    objects.items = {"s3://bucket/one": {"i0": 1990, "i1": 1991}, "s3://bucket/two": {"i1": 2001, "i2": 2002}}
    for uri in objects.items:
        describe_import(local, start_import(local, items, uri, importMode="INCREMENTAL"))
    body = {"campaignArn": campaign, "metadataColumns": {"ITEMS": ["YEAR"]}, "numResults": 3}
    response = local.handle(HttpRequest("POST", "/recommendations", {}, json.dumps(body).encode()))
    rows = json.loads(response.body)["itemList"]
    assert [row["metadata"]["year"] for row in rows] == ["1990", "2001", "2002"]


# Trainings.


def test_version_is_trained_on_the_imported_data(local: LocalPersonalize, objects: Objects) -> None:
    group = with_data(local, objects)
    solution = make_solution(local, group, "aws-user-personalization", solutionConfig={"algorithmHyperParameters": {}})
    arn = make_version(local, solution)
    found = version(local, arn)
    assert (found["status"], found["recipeArn"].rpartition("/")[2]) == ("ACTIVE", "aws-user-personalization")
    assert arn.startswith(f"{solution}/")
    latest = told(local, "DescribeSolution", solutionArn=solution)["solution"]["latestSolutionVersion"]
    assert (latest["solutionVersionArn"], latest["status"]) == (arn, "ACTIVE")
    listed = told(local, "ListSolutionVersions", solutionArn=solution)["solutionVersions"]
    assert [row["solutionVersionArn"] for row in listed] == [arn]
    metrics = told(local, "GetSolutionMetrics", solutionVersionArn=arn)["metrics"]
    assert 0 < metrics["coverage"] <= 1
    assert metrics["precision_at_25"] > 0


def test_training_without_data_fails_with_a_reason(local: LocalPersonalize, objects: Objects) -> None:
    group = make_group(local)
    code, text = refused(local, "CreateSolutionVersion", solutionArn=make_solution(local, group, name="early"))
    assert (code, "Interactions" in text) == ("InvalidInputException", True)
    make_dataset(local, group)
    arn = make_version(local, make_solution(local, group))
    found = version(local, arn)
    assert (found["status"], "no data" in found["failureReason"]) == ("CREATE FAILED", True)
    assert refused(local, "CreateCampaign", name="c", solutionVersionArn=arn)[0] == "InvalidInputException"
    assert refused(local, "GetSolutionMetrics", solutionVersionArn=arn)[0] == "InvalidInputException"
    assert told(local, "ListCampaigns", solutionArn=f"{PREFIX}solution/sol")["campaigns"] == []


@pytest.mark.parametrize(
    ("users", "items", "reason"),
    [
        (20, 10, "Create failed. Dataset has fewer than 1000 interactions."),
        (24, 1000, "Create failed. Dataset has fewer than 25 users with at least two interactions."),
        (26, 1000, ""),
    ],
)
def test_minimums_of_the_service(
    make: Callable[..., LocalPersonalize], objects: Objects, users: int, items: int, reason: str
) -> None:
    local = make(minimums=True)
    group = make_group(local)
    objects.events["s3://bucket/e"] = [
        (f"u{user}", f"i{item}", "Watch", LATER)
        for user in range(users)
        for item in range(items if user == 0 else 2 if items > 10 else items)
    ]
    start_import(local, make_dataset(local, group), "s3://bucket/e")
    found = version(local, make_version(local, make_solution(local, group)))
    assert (found["status"], found.get("failureReason", "")) == ("CREATE FAILED" if reason else "ACTIVE", reason)


def test_event_type_and_threshold_choose_what_is_learned(local: LocalPersonalize, objects: Objects) -> None:
    group = make_group(local)
    objects.events["s3://bucket/e"] = [
        *((f"u{number}", "seen", "View", LATER) for number in range(9)),
        *((f"u{number}", "bought", "Buy", LATER) for number in range(3)),
    ]
    start_import(local, make_dataset(local, group), "s3://bucket/e")
    every = make_campaign(local, make_version(local, make_solution(local, group)), "every")
    of_type = make_solution(local, group, name="buys", eventType="Buy")
    some = make_campaign(local, make_version(local, of_type), "some")
    assert (items_of(local, campaignArn=every)[0], items_of(local, campaignArn=some)[0]) == ("seen", "bought")
    members = {
        "name": "x",
        "datasetGroupArn": group,
        "recipeArn": "arn:aws:personalize:::recipe/aws-sims",
        "solutionConfig": {"eventValueThreshold": "0.5"},
    }
    assert refused(local, "CreateSolution", members)[0] == "InvalidInputException"
    none = make_solution(local, group, name="none", eventType="Buy", solutionConfig=members["solutionConfig"])
    assert version(local, make_version(local, none))["status"] == "CREATE FAILED"


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        ("aws-item-affinity", {}),
        ("aws-ecomm-recommended-for-you", {}),
        ("aws-sims", {"performAutoML": True}),
        ("aws-sims", {"solutionConfig": {"autoMLConfig": {}}}),
    ],
)
def test_solution_that_the_engine_does_not_have_is_refused(
    local: LocalPersonalize, recipe: str, more: dict[str, Any]
) -> None:
    members = {"name": "s", "datasetGroupArn": make_group(local), "recipeArn": f"arn:aws:personalize:::recipe/{recipe}"}
    assert refused(local, "CreateSolution", {**members, **more})[0] == "InvalidInputException"
    assert told(local, "ListSolutions", datasetGroupArn=members["datasetGroupArn"])["solutions"] == []


def test_training_that_is_stopped_is_never_active(
    make: Callable[..., LocalPersonalize], objects: Objects, clock: Clock
) -> None:
    local = make(pace=10)
    group = make_group(local)
    clock.now += 10
    dataset = make_dataset(local, group)
    clock.now += 10
    objects.events["s3://bucket/e"] = events_of(5, 5)
    start_import(local, dataset, "s3://bucket/e")
    solution = make_solution(local, group)
    clock.now += 10
    arn = make_version(local, solution)
    assert version(local, arn)["status"] == "CREATE PENDING"
    assert refused(local, "CreateCampaign", name="c", solutionVersionArn=arn)[0] == "ResourceInUseException"
    assert refused(local, "DeleteSolution", solutionArn=solution)[0] == "ResourceInUseException"
    assert refused(local, "DeleteDataset", datasetArn=dataset)[0] == "ResourceInUseException"
    told(local, "StopSolutionVersionCreation", solutionVersionArn=arn)
    clock.now += 10
    assert version(local, arn)["status"] == "CREATE STOPPED"
    assert refused(local, "CreateCampaign", name="c", solutionVersionArn=arn)[0] == "InvalidInputException"
    assert refused(local, "StopSolutionVersionCreation", solutionVersionArn=arn)[0] == "InvalidInputException"


def test_automatic_training_creates_the_first_version(local: LocalPersonalize, objects: Objects) -> None:
    solution = make_solution(local, with_data(local, objects), performAutoTraining=True)
    (row,) = told(local, "ListSolutionVersions", solutionArn=solution)["solutionVersions"]
    assert row["trainingType"] == "AUTOMATIC"
    assert version(local, row["solutionVersionArn"])["status"] == "ACTIVE"


# Campaigns.


def test_solution_is_updated_and_trained_once_more(local: LocalPersonalize, objects: Objects) -> None:
    solution = make_solution(local, with_data(local, objects), solutionConfig={"optimizationObjective": {}})
    rate = {"autoTrainingConfig": {"schedulingExpression": "rate(5 days)"}}
    reply = told(local, "UpdateSolution", solutionArn=solution, performAutoTraining=True, solutionUpdateConfig=rate)
    assert reply == {"solutionArn": solution}
    found = told(local, "DescribeSolution", solutionArn=solution)["solution"]
    assert found["performAutoTraining"] is True
    assert found["solutionConfig"] == {"optimizationObjective": {}, **rate}
    assert found["latestSolutionVersion"]["trainingType"] == "AUTOMATIC"
    latest = found["latestSolutionUpdate"]
    assert latest["status"] == "ACTIVE"
    assert (latest["performAutoTraining"], latest["solutionUpdateConfig"]) == (True, rate)
    told(local, "UpdateSolution", solutionArn=solution, performAutoTraining=False)
    assert told(local, "DescribeSolution", solutionArn=solution)["solution"]["performAutoTraining"] is False
    assert len(told(local, "ListSolutionVersions", solutionArn=solution)["solutionVersions"]) == 1
    assert "nothing to update" in refused(local, "UpdateSolution", solutionArn=solution)[1]


def test_solution_that_is_being_updated_is_not_deleted(
    make: Callable[..., LocalPersonalize], objects: Objects, clock: Clock
) -> None:
    local = make(pace=10)
    group = make_group(local)
    clock.now += 10
    solution = make_solution(local, group)
    clock.now += 10
    told(local, "UpdateSolution", solutionArn=solution, performIncrementalUpdate=True)
    found = told(local, "DescribeSolution", solutionArn=solution)["solution"]
    assert (found["performIncrementalUpdate"], found["latestSolutionUpdate"]["status"]) == (False, "CREATE PENDING")
    for operation, members in (("DeleteSolution", {}), ("UpdateSolution", {"performIncrementalUpdate": False})):
        assert refused(local, operation, solutionArn=solution, **members)[0] == "ResourceInUseException"
    clock.now += 10
    assert told(local, "DescribeSolution", solutionArn=solution)["solution"]["performIncrementalUpdate"] is True
    told(local, "DeleteSolution", solutionArn=solution)


def test_campaign_answers_at_once_with_filters_and_events_of_its_group(
    local: LocalPersonalize, objects: Objects
) -> None:
    group, trained, campaign = deployed(local, objects, "aws-user-personalization")
    found = told(local, "DescribeCampaign", campaignArn=campaign)["campaign"]
    assert (found["status"], found["solutionVersionArn"], found["minProvisionedTPS"]) == ("ACTIVE", trained, 1)
    assert local.campaign_arn("camp") == campaign
    assert items_of(local, campaignArn=campaign, userId="u5", numResults=3)
    expression = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'
    unseen = told(local, "CreateFilter", name="unseen", datasetGroupArn=group, filterExpression=expression)["filterArn"]
    asking = {"campaignArn": campaign, "userId": "u5", "filterArn": unseen}
    assert "i7" in items_of(local, **asking)
    tracking_id = told(local, "CreateEventTracker", name="t", datasetGroupArn=group)["trackingId"]
    event = {"eventType": "Watch", "itemId": "i7", "sentAt": LATER + 99}
    body = {"trackingId": tracking_id, "sessionId": "s", "userId": "u5", "eventList": [event]}
    assert put(local, "/events", body) == 200
    assert "i7" not in items_of(local, **asking)
    # An import anew keeps filters and events.
    objects.events["s3://bucket/events"] = [*events_of(20, 12), ("u19", "fresh", "Watch", LATER)]
    again = start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/events", "again")
    assert describe_import(local, again)["status"] == "ACTIVE"
    left = items_of(local, **asking)
    assert "i7" not in left
    assert "fresh" not in left
    newer = make_version(local, f"{PREFIX}solution/sol")
    told(local, "UpdateCampaign", campaignArn=campaign, solutionVersionArn=newer)
    left = items_of(local, **asking)
    assert ("i7" in left, "fresh" in left) == (False, True)
    assert told(local, "DescribeCampaign", campaignArn=campaign)["campaign"]["solutionVersionArn"] == newer


def test_what_tests_of_programs_use_reaches_created_campaigns(local: LocalPersonalize, objects: Objects) -> None:
    """Answers that are given, recorded events, and their end by reset()."""
    group, _, campaign = deployed(local, objects)
    local.answer("camp", ["i3", "i2"])
    assert items_of(local, campaignArn=campaign) == ["i3", "i2"]
    tracking_id = told(local, "CreateEventTracker", name="t", datasetGroupArn=group)["trackingId"]
    event = {"eventType": "Watch", "itemId": "i7", "sentAt": LATER}
    assert put(local, "/events", {"trackingId": tracking_id, "sessionId": "s", "eventList": [event]}) == 200
    assert [event.item_id for event in local.recorded_events] == ["i7"]
    local.reset()
    assert local.recorded_events == ()
    assert items_of(local, campaignArn=campaign)[0] == "i0"


def test_campaign_of_an_older_version_is_filtered_by_its_own_items(local: LocalPersonalize, objects: Objects) -> None:
    """Numbers of items differ between versions: a filter must let through the same items in both."""
    group, _, campaign = deployed(local, objects, "aws-user-personalization")
    items = make_dataset(local, group, "Items")
    objects.items["s3://bucket/items"] = {f"i{number}": 1990 + number for number in range(12)}
    start_import(local, items, "s3://bucket/items")
    objects.events["s3://bucket/events"] = [*reversed(events_of(20, 12))]
    start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/events", "again")
    expression = "INCLUDE ItemID WHERE Items.YEAR < 1993"
    old = told(local, "CreateFilter", name="old", datasetGroupArn=group, filterExpression=expression)["filterArn"]
    popular = make_campaign(local, make_version(local, make_solution(local, group, name="other")), "popular")
    assert sorted(items_of(local, campaignArn=popular, filterArn=old)) == ["i0", "i1", "i2"]
    body = json.dumps({"campaignArn": campaign, "userId": "u5", "filterArn": old}).encode()
    rows = json.loads(local.handle(HttpRequest("POST", "/recommendations", {}, body)).body)["itemList"]
    assert sorted(row["itemId"] for row in rows) == ["i0", "i1", "i2"]
    assert sum(row["score"] for row in rows) == pytest.approx(1, abs=1e-5)


def test_campaign_answers_when_its_time_has_come_and_not_after_its_deletion(
    make: Callable[..., LocalPersonalize], objects: Objects, clock: Clock
) -> None:
    local = make(pace=10)
    group = make_group(local)
    clock.now += 10
    dataset = make_dataset(local, group)
    solution = make_solution(local, group)
    clock.now += 10
    objects.events["s3://bucket/e"] = events_of(5, 5)
    start_import(local, dataset, "s3://bucket/e")
    trained = make_version(local, solution)
    clock.now += 10
    assert version(local, trained)["status"] == "ACTIVE"
    campaign = make_campaign(local, trained)
    body = json.dumps({"campaignArn": campaign}).encode()

    def answers() -> bool:
        return local.handle(HttpRequest("POST", "/recommendations", {}, body)).status == 200

    assert not answers()
    clock.now += 10
    assert answers()
    assert refused(local, "DeleteSolution", solutionArn=solution)[0] == "ResourceInUseException"
    told(local, "DeleteCampaign", campaignArn=campaign)
    assert not answers()
    found = told(local, "DescribeCampaign", campaignArn=campaign)["campaign"]
    assert (found["status"], found["solutionVersionArn"]) == ("DELETE PENDING", trained)
    clock.now += 10
    assert refused(local, "DescribeCampaign", campaignArn=campaign)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("wanted", ["$LATEST", "none"])
def test_campaign_of_the_latest_version(local: LocalPersonalize, objects: Objects, wanted: str) -> None:
    solution = make_solution(local, with_data(local, objects))
    members = {"name": "c", "solutionVersionArn": f"{solution}/{wanted}"}
    assert refused(local, "CreateCampaign", members)[0] == "ResourceNotFoundException"
    trained = [make_version(local, solution) for _ in range(2)][1]
    version(local, trained)
    if wanted == "$LATEST":
        config = {"syncWithLatestSolutionVersion": True}
        arn = told(local, "CreateCampaign", campaignConfig=config, **members)["campaignArn"]
        assert told(local, "DescribeCampaign", campaignArn=arn)["campaign"]["solutionVersionArn"] == trained


# Recommenders.


def in_domain(local: Any, objects: Objects) -> str:
    group = make_group(local, domain="VIDEO_ON_DEMAND")
    text = avro("Interactions")
    schema = told(local, "CreateSchema", name="i", schema=text, domain="VIDEO_ON_DEMAND")["schemaArn"]
    members = {"name": "i", "schemaArn": schema, "datasetGroupArn": group, "datasetType": "Interactions"}
    dataset = told(local, "CreateDataset", **members)["datasetArn"]
    objects.events["s3://bucket/e"] = events_of(5, 5)
    describe_import(local, start_import(local, dataset, "s3://bucket/e"))
    return group


def test_recommender_is_trained_stopped_started_and_deleted(local: LocalPersonalize, objects: Objects) -> None:
    group = in_domain(local, objects)
    recipe = "arn:aws:personalize:::recipe/aws-vod-most-popular"
    members = {"name": "r", "datasetGroupArn": group, "recipeArn": recipe}
    arn = told(local, "CreateRecommender", **members)["recommenderArn"]

    def status() -> str:
        found: str = told(local, "DescribeRecommender", recommenderArn=arn)["recommender"]["status"]
        return found

    asking = {"recommenderArn": arn, "userId": "u1"}
    body = json.dumps(asking).encode()
    assert status() == "ACTIVE"
    assert items_of(local, **asking)[0] == "i0"
    assert refused(local, "StartRecommender", recommenderArn=arn)[0] == "InvalidInputException"
    told(local, "StopRecommender", recommenderArn=arn)
    assert status() == "INACTIVE"
    assert local.handle(HttpRequest("POST", "/recommendations", {}, body)).status == 400
    assert refused(local, "UpdateRecommender", recommenderArn=arn, recommenderConfig={})[0] == "ResourceInUseException"
    told(local, "StartRecommender", recommenderArn=arn)
    assert status() == "ACTIVE"
    assert items_of(local, **asking)[0] == "i0"
    told(local, "DeleteRecommender", recommenderArn=arn)
    assert local.handle(HttpRequest("POST", "/recommendations", {}, body)).status == 400


@pytest.mark.parametrize("recipe", ["aws-ecomm-recommended-for-you", "aws-sims", "aws-vod-top-picks"])
def test_recommender_that_does_not_fit_the_group_is_refused(
    local: LocalPersonalize, objects: Objects, recipe: str
) -> None:
    members = {
        "name": "r",
        "datasetGroupArn": in_domain(local, objects),
        "recipeArn": f"arn:aws:personalize:::recipe/{recipe}",
    }
    assert refused(local, "CreateRecommender", members)[0] == "InvalidInputException"


# Waiting.


def test_describe_waits_for_the_training_while_requests_are_answered(local: LocalPersonalize, objects: Objects) -> None:
    _, _, campaign = deployed(local, objects)
    objects.gate.clear()
    arn = start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/events", "again")
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(describe_import(local, arn)["status"]))
    waiting.start()
    assert items_of(local, campaignArn=campaign)
    (row,) = [
        row for row in told(local, "ListDatasetImportJobs")["datasetImportJobs"] if row["datasetImportJobArn"] == arn
    ]
    assert row["status"] == "CREATE IN_PROGRESS"
    assert found == []
    objects.gate.set()
    waiting.join(20)
    assert found == ["ACTIVE"]


# The model.


@pytest.mark.skipif(tuple(map(int, botocore.__version__.split(".")[:2])) < (1, 43), reason="an older model")
def test_replies_of_the_whole_chain_are_the_models(local: LocalPersonalize, objects: Objects) -> None:
    model = ServiceModel(Loader().load_service_model("personalize", "service-2"), "personalize")
    group, trained, campaign = deployed(local, objects)
    solution, dataset = f"{PREFIX}solution/sol", f"{PREFIX}dataset/shop/INTERACTIONS"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("DescribeDatasetImportJob", {"datasetImportJobArn": f"{PREFIX}dataset-import-job/shop-events"}),
        ("ListDatasetImportJobs", {"datasetArn": dataset}),
        ("DescribeSolution", {"solutionArn": solution}),
        ("ListSolutions", {"datasetGroupArn": group}),
        ("CreateSolutionVersion", {"solutionArn": solution, "trainingMode": "UPDATE"}),
        ("DescribeSolutionVersion", {"solutionVersionArn": trained}),
        ("ListSolutionVersions", {"solutionArn": solution}),
        ("GetSolutionMetrics", {"solutionVersionArn": trained}),
        ("DescribeCampaign", {"campaignArn": campaign}),
        ("ListCampaigns", {"solutionArn": solution}),
        ("UpdateCampaign", {"campaignArn": campaign, "minProvisionedTPS": 2}),
        ("DescribeCampaign", {"campaignArn": campaign}),
        ("DeleteCampaign", {"campaignArn": campaign}),
        ("DeleteSolution", {"solutionArn": solution}),
    ]
    for name, members in calls:
        assert local.finish_jobs()  # a version that is being created is in the way of the deletion
        response, shape = asked(local, name, members), model.operation_model(name).output_shape
        assert response.status == 200, response.body
        if shape is None:
            assert response.body == b""
            continue
        # The model has the role of a job as an ARN of Personalize, which it never is.
        wrong = [one for one in wrong_in(json.loads(response.body), shape, name) if ".roleArn:" not in one]
        assert wrong == []


def test_describe_that_waits_does_not_stop_a_server(local: LocalPersonalize, objects: Objects) -> None:
    optional("uvicorn")
    _, _, campaign = deployed(local, objects)
    objects.gate.clear()
    job = start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/events", "again")
    with local.serve() as url, ThreadPoolExecutor(1) as threads:

        def ask(path: str, operation: str, **members: str) -> Any:
            headers = {"X-Amz-Target": f"AmazonPersonalize.{operation}"} if operation else {}
            request = urllib.request.Request(url + path, json.dumps(members).encode(), headers)
            with urllib.request.urlopen(request, timeout=20) as response:
                return json.load(response)

        waiting = threads.submit(ask, "/", "DescribeDatasetImportJob", datasetImportJobArn=job)
        try:
            assert len(ask("/recommendations", "", campaignArn=campaign)["itemList"]) == 10
            assert not waiting.done()
        finally:
            objects.gate.set()
        assert waiting.result(20)["datasetImportJob"]["status"] == "ACTIVE"


def test_jobs_that_are_not_done_in_time_are_stopped_and_change_nothing(
    local: LocalPersonalize, objects: Objects
) -> None:
    group, _, _ = deployed(local, objects)
    assert local.finish_jobs()
    objects.gate.clear()
    objects.events["s3://bucket/other"] = [("u", "other", "Watch", LATER)]
    jobs = [start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/other", name) for name in ("a", "b")]
    assert not local.finish_jobs(timeout=0)
    objects.gate.set()
    assert local.finish_jobs()
    assert [describe_import(local, job)["status"] for job in jobs] == ["CREATE STOPPED"] * 2
    later = make_campaign(local, make_version(local, make_solution(local, group, name="later")), "later")
    assert "other" not in items_of(local, campaignArn=later)


def start_inference(local: Any, version: str, uri: str, job: str = "batch") -> str:
    moved = {"jobInput": {"s3DataSource": {"path": uri}}, "jobOutput": {"s3DataDestination": {"path": "s3://bucket/"}}}
    members = {"jobName": job, "solutionVersionArn": version, "roleArn": ROLE, **moved}
    arn: str = told(local, "CreateBatchInferenceJob", **members)["batchInferenceJobArn"]
    return arn


def test_batch_job_that_is_stopped_ends_at_its_next_line_and_writes_nothing(
    local: LocalPersonalize, objects: Objects
) -> None:
    """A job that goes on after its mock_aws() would write into the next one."""
    _, trained, _ = deployed(local, objects)
    begun, read = threading.Event(), list[int]()

    def lines() -> Iterator[str]:
        for number in range(1_000):
            read.append(number)
            yield '{"userId": "u1"}'
            begun.set()
            assert objects.gate.wait(20)

    objects.lines_of["s3://bucket/in.json"] = lines()
    objects.gate.clear()
    job = start_inference(local, trained, "s3://bucket/in.json")
    assert begun.wait(20)
    assert not local.finish_jobs(timeout=0)
    objects.gate.set()
    assert local.finish_jobs()
    found = told(local, "DescribeBatchInferenceJob", batchInferenceJobArn=job)["batchInferenceJob"]
    assert (found["status"], found.get("failureReason")) == ("CREATE STOPPED", None)
    assert (objects.written, len(read)) == ({}, 2)


def test_jobs_that_wait_are_limited_and_what_is_refused_leaves_nothing(
    local: LocalPersonalize, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personalize_rt.local.control.made.MOST_WAITING", 2)
    group, trained, _ = deployed(local, objects)
    dataset = f"{PREFIX}dataset/shop/INTERACTIONS"
    objects.gate.clear()
    for name in ("first", "second", "third"):  # one is in progress, and two wait
        start_import(local, dataset, "s3://bucket/events", name)
    solution = {"datasetGroupArn": group, "recipeArn": "arn:aws:personalize:::recipe/aws-popularity-count"}
    source = {"dataSource": {"dataLocation": "s3://bucket/events"}, "roleArn": ROLE}
    for operation, members in (
        ("CreateDatasetImportJob", {"jobName": "fourth", "datasetArn": dataset, **source}),
        ("CreateSolutionVersion", {"solutionArn": f"{PREFIX}solution/sol"}),
        ("CreateSolution", {"name": "other", "performAutoTraining": True, **solution}),
        ("UpdateSolution", {"solutionArn": f"{PREFIX}solution/sol", "performAutoTraining": True}),
    ):
        assert refused(local, operation, members)[0] == "LimitExceededException", operation
    objects.gate.set()
    assert local.finish_jobs()
    assert [row["name"] for row in told(local, "ListSolutions", datasetGroupArn=group)["solutions"]] == ["sol"]
    found = told(local, "DescribeSolution", solutionArn=f"{PREFIX}solution/sol")["solution"]
    assert (found["performAutoTraining"], found["latestSolutionVersion"]["solutionVersionArn"]) == (False, trained)
    start_import(local, dataset, "s3://bucket/events", "fourth")


def test_resources_of_a_kind_are_limited(local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personalize_rt.local.control.requests.MOST_GROUPS", 3)
    monkeypatch.setattr("personalize_rt.local.control.requests.MOST_OF_A_KIND", 2)
    for name in ("one", "two"):
        make_group(local, name)
    assert refused(local, "CreateDatasetGroup", name="three")[0] == "LimitExceededException"
    told(local, "CreateSchema", name="a", schema=avro("Items"))
    assert refused(local, "CreateSchema", name="b", schema=avro("Items"))[0] == "LimitExceededException"


def test_rows_that_incremental_imports_pile_up_are_limited(
    local: LocalPersonalize, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_data(local, objects)
    monkeypatch.setattr("personalize_rt.local.control.created.MOST_ROWS", len(objects.events["s3://bucket/events"]) + 1)
    objects.events["s3://bucket/more"] = [("u", "i", "Watch", LATER), ("v", "i", "Watch", LATER)]
    job = start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/more", importMode="INCREMENTAL")
    found = describe_import(local, job)
    assert (found["status"], "the most of one" in found["failureReason"]) == ("CREATE FAILED", True)


def test_requests_that_wait_for_a_training_do_not_make_others_wait(local: LocalPersonalize, objects: Objects) -> None:
    """Neither the runtime, nor what else waits: of asyncio's own threads there are a few only."""
    optional("uvicorn")
    _, trained, _ = deployed(local, objects)
    objects.gate.clear()
    job = start_import(local, f"{PREFIX}dataset/shop/INTERACTIONS", "s3://bucket/events", "again")
    with local.serve() as url, ThreadPoolExecutor(40) as threads:

        def ask(operation: str, **members: Any) -> Any:
            headers = {"X-Amz-Target": f"AmazonPersonalize.{operation}"}
            request = urllib.request.Request(f"{url}/", json.dumps(members).encode(), headers)
            with urllib.request.urlopen(request, timeout=40) as response:
                return json.load(response)

        waiting = [threads.submit(ask, "DescribeDatasetImportJob", datasetImportJobArn=job) for _ in range(36)]
        try:
            metrics = threads.submit(ask, "GetSolutionMetrics", solutionVersionArn=trained)
            assert metrics.result(20)["metrics"]
            assert not any(one.done() for one in waiting)
        finally:
            objects.gate.set()
        assert {one.result(40)["datasetImportJob"]["status"] for one in waiting} == {"ACTIVE"}


@pytest.mark.parametrize("operation", ["UpdateRecommender", "StopRecommender"])
def test_change_of_a_recommender_that_waits_for_its_training_does_not_hold_the_loop(
    local: LocalPersonalize, objects: Objects, operation: str
) -> None:
    optional("uvicorn")
    group = in_domain(local, objects)
    objects.gate.clear()
    # The training waits for this import.
    (dataset,) = told(local, "ListDatasets", datasetGroupArn=group)["datasets"]
    start_import(local, dataset["datasetArn"], "s3://bucket/events", "again")
    made = {"name": "r", "datasetGroupArn": group, "recipeArn": "arn:aws:personalize:::recipe/aws-vod-most-popular"}
    arn = told(local, "CreateRecommender", **made)["recommenderArn"]
    members = {"recommenderArn": arn, **({"recommenderConfig": {}} if operation == "UpdateRecommender" else {})}
    with local.serve() as url, ThreadPoolExecutor(1) as threads:

        def ask(path: str, target: str, members: Any) -> Any:
            headers = {"X-Amz-Target": f"AmazonPersonalize.{target}"} if target else {}
            request = urllib.request.Request(url + path, json.dumps(members).encode(), headers)
            with urllib.request.urlopen(request, timeout=40) as response:
                return json.load(response)

        waiting = threads.submit(ask, "/", operation, members)
        try:
            while not any(entry.operation == operation for entry in local.requests):
                assert not waiting.done()
            popular = local.campaign_arn("popularity-count")
            assert ask("/recommendations", "", {"campaignArn": popular})["itemList"]
            assert not waiting.done()
        finally:
            objects.gate.set()
        assert waiting.result(40)["recommenderArn"] == arn


def test_job_of_the_parent_process_fails_in_a_forked_child() -> None:
    """A forked child has not the thread that does the works."""
    started, go_on = threading.Event(), threading.Event()

    def run(_: Work) -> None:
        started.set()
        assert go_on.wait(20)

    worker, works = Worker(), [Work(run), Work(run)]
    for work in works:
        worker.add(work)
    assert started.wait(20)
    worker._abandon()
    assert all(work.done and "forked" in work.failure for work in works)
    go_on.set()


def test_defect_of_a_job_is_told_without_its_message() -> None:
    def run(_: Work) -> None:
        raise RuntimeError("user-42")

    work = Work(run)
    work.run()
    assert (work.done, work.failure) == (True, "Internal error: RuntimeError")
