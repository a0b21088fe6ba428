"""Dataset groups that requests make: each rule of CreateSchema, CreateDatasetGroup, CreateDataset, and deletion."""

from __future__ import annotations

import json
from typing import Any

import botocore
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from personalize_rt.local import HttpRequest, LocalGroups, LocalPersonalize
from tests.local.conftest import INTERACTIONS, ITEMS, Clock, Files
from tests.local.control_requests import asked, refused, told
from tests.local.test_control_model import wrong_in

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
FIELDS = {
    "Interactions": {"USER_ID": "string", "ITEM_ID": "string", "EVENT_TYPE": "string", "TIMESTAMP": "long"},
    "Items": {"ITEM_ID": "string", "YEAR": "long"},
    "Users": {"USER_ID": "string", "AGE": "long"},
}


def avro(name: str, **fields: Any) -> str:
    """A schema in the form of CreateSchema."""
    members = [{"name": field, "type": type} for field, type in (fields or FIELDS[name]).items()]
    return json.dumps({"type": "record", "name": name, "namespace": "x", "fields": members, "version": "1.0"})


@pytest.fixture
def local(directory: Files, clock: Clock) -> LocalPersonalize:
    settings = '[campaigns]\npopular = "aws-popularity-count"\n'
    files = {"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": settings}
    return LocalPersonalize.from_directory(directory(files), clock=clock)


@pytest.fixture
def slow(directory: Files, clock: Clock) -> LocalPersonalize:
    """A service whose creations and deletions take ten seconds."""
    files = {"interactions.csv": INTERACTIONS, "items.csv": ITEMS}
    return LocalPersonalize.from_directory(directory(files), clock=clock, pace=10, quotas=True)


def make_group(local: Any, name: str = "shop", **more: Any) -> str:
    arn: str = told(local, "CreateDatasetGroup", name=name, **more)["datasetGroupArn"]
    return arn


def make_dataset(local: Any, group: str, kind: str = "Interactions", schema: str = "") -> str:
    schema = schema or f"{group.rpartition('/')[2]}-{kind}"
    schema_arn = told(local, "CreateSchema", name=schema, schema=avro(kind))["schemaArn"]
    members = {"name": kind.lower(), "schemaArn": schema_arn, "datasetGroupArn": group, "datasetType": kind}
    arn: str = told(local, "CreateDataset", **members)["datasetArn"]
    return arn


# Schemas.


def test_schema_is_told_as_it_was_given(local: LocalPersonalize, clock: Clock) -> None:
    arn = told(local, "CreateSchema", name="s", schema=avro("Interactions"))["schemaArn"]
    assert arn == f"{PREFIX}schema/s"
    assert told(local, "DescribeSchema", schemaArn=arn)["schema"] == {
        "name": "s",
        "schemaArn": arn,
        "schema": avro("Interactions"),
        "creationDateTime": clock.now,
        "lastUpdatedDateTime": clock.now,
    }
    names = [row["name"] for row in told(local, "ListSchemas")["schemas"]]
    assert names == ["local-interactions", "local-items", "s"]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("nothing", "JSON"),
        ('"text"', "a JSON object"),
        (avro("Films", ITEM_ID="string"), "the type of its dataset, one of Interactions, Items"),
        (avro("Items", ITEM_ID="string"), "at least one metadata field"),
        (avro("Interactions", USER_ID="string", ITEM_ID="string"), "TIMESTAMP"),
        (avro("Items", ITEM_ID="string", YEAR="date"), "YEAR: expected a type of"),
        ("[" * 10_000, "expected"),
    ],
)
def test_schema_that_the_guide_forbids_is_refused(local: LocalPersonalize, schema: str, message: str) -> None:
    code, text = refused(local, "CreateSchema", name="s", schema=schema)
    assert code == "InvalidInputException"
    assert message in text
    assert [row["name"] for row in told(local, "ListSchemas")["schemas"]] == ["local-interactions", "local-items"]


@pytest.mark.parametrize(
    ("domain", "kind", "field"),
    [
        ("VIDEO_ON_DEMAND", "Items", "GENRES"),
        ("ECOMMERCE", "Items", "PRICE"),
        ("ECOMMERCE", "Interactions", "EVENT_TYPE"),
    ],
)
def test_schema_of_a_domain_needs_its_fields(local: LocalPersonalize, domain: str, kind: str, field: str) -> None:
    fields = {name: type for name, type in FIELDS[kind].items() if name != field}
    code, text = refused(local, "CreateSchema", name="s", schema=avro(kind, **fields), domain=domain)
    assert (code, field in text) == ("InvalidInputException", True)


def test_schema_of_a_dataset_cannot_be_deleted(local: LocalPersonalize) -> None:
    group = make_group(local)
    dataset = make_dataset(local, group, schema="s")
    arn = f"{PREFIX}schema/s"
    code, text = refused(local, "DeleteSchema", schemaArn=arn)
    assert (code, dataset in text) == ("ResourceInUseException", True)
    told(local, "DeleteDataset", datasetArn=dataset)
    told(local, "DeleteSchema", schemaArn=arn)
    assert refused(local, "DescribeSchema", schemaArn=arn)[0] == "ResourceNotFoundException"
    assert refused(local, "DeleteSchema", schemaArn=arn)[0] == "ResourceNotFoundException"


# Dataset groups.


def test_dataset_group_lives_beside_the_one_of_the_directory(local: LocalPersonalize, clock: Clock) -> None:
    arn = make_group(local, domain="ECOMMERCE", tags=[{"tagKey": "team", "tagValue": "films"}])
    assert told(local, "DescribeDatasetGroup", datasetGroupArn=arn)["datasetGroup"] == {
        "name": "shop",
        "datasetGroupArn": f"{PREFIX}dataset-group/shop",
        "domain": "ECOMMERCE",
        "status": "ACTIVE",
        "creationDateTime": clock.now,
        "lastUpdatedDateTime": clock.now,
    }
    assert [row["name"] for row in told(local, "ListDatasetGroups")["datasetGroups"]] == ["local", "shop"]
    assert told(local, "ListTagsForResource", resourceArn=arn)["tags"] == [{"tagKey": "team", "tagValue": "films"}]
    assert told(local, "ListDatasets", datasetGroupArn=arn)["datasets"] == []


@pytest.mark.parametrize("name", ["local", "shop"])
def test_name_of_a_dataset_group_is_taken_once(local: LocalPersonalize, name: str) -> None:
    make_group(local)
    assert refused(local, "CreateDatasetGroup", name=name)[0] == "ResourceAlreadyExistsException"


def test_dataset_group_of_a_directory_stays_as_it_is_declared(local: LocalPersonalize) -> None:
    schema = told(local, "CreateSchema", name="s", schema=avro("Users"))["schemaArn"]
    group = local.dataset_group_arn
    members = {"name": "u", "schemaArn": schema, "datasetGroupArn": group, "datasetType": "Users"}
    for operation, given in (
        ("CreateDataset", members),
        ("DeleteDatasetGroup", {"datasetGroupArn": group}),
        ("DeleteDataset", {"datasetArn": local.dataset_arn("items")}),
        ("DeleteSchema", {"schemaArn": f"{PREFIX}schema/local-items"}),
    ):
        code, text = refused(local, operation, given)
        assert (code, "personalize.toml" in text) == ("InvalidInputException", True)


def test_dataset_group_is_deleted_after_what_is_in_it(local: LocalPersonalize) -> None:
    group = make_group(local)
    dataset = make_dataset(local, group)
    tracker = told(local, "CreateEventTracker", name="t", datasetGroupArn=group)["eventTrackerArn"]
    for arn, operation, member in (
        (tracker, "DeleteEventTracker", "eventTrackerArn"),
        (dataset, "DeleteDataset", "datasetArn"),
    ):
        code, text = refused(local, "DeleteDatasetGroup", datasetGroupArn=group)
        assert (code, arn in text) == ("ResourceInUseException", True)
        told(local, operation, **{member: arn})
    told(local, "DeleteDatasetGroup", datasetGroupArn=group)
    assert told(local, "ListDatasetGroups")["datasetGroups"][1:] == []
    assert make_group(local) == group


def test_deletion_of_a_dataset_group_is_told_once(local: LocalPersonalize) -> None:
    """A loop of AWS's notebooks ends with a reply to DescribeDatasetGroup, and another kind with its error."""
    group = make_group(local)
    told(local, "DeleteDatasetGroup", datasetGroupArn=group)
    found = told(local, "DescribeDatasetGroup", datasetGroupArn=group)["datasetGroup"]
    assert (found["name"], found["status"]) == ("shop", "DELETE PENDING")
    assert refused(local, "DescribeDatasetGroup", datasetGroupArn=group)[0] == "ResourceNotFoundException"
    make_group(local)
    told(local, "DeleteDatasetGroup", datasetGroupArn=group)
    make_group(local)
    assert told(local, "DescribeDatasetGroup", datasetGroupArn=group)["datasetGroup"]["status"] == "ACTIVE"


def test_creation_and_deletion_pass_the_statuses_of_the_service(slow: LocalPersonalize, clock: Clock) -> None:
    def status() -> str:
        found: str = told(slow, "DescribeDatasetGroup", datasetGroupArn=group)["datasetGroup"]["status"]
        return found

    group = make_group(slow)
    assert status() == "CREATE PENDING"
    schema = told(slow, "CreateSchema", name="s", schema=avro("Users"))["schemaArn"]
    members = {"name": "u", "schemaArn": schema, "datasetGroupArn": group, "datasetType": "Users"}
    code, text = refused(slow, "CreateDataset", members)
    assert (code, "CREATE PENDING" in text) == ("ResourceInUseException", True)
    assert refused(slow, "DeleteDatasetGroup", datasetGroupArn=group)[0] == "ResourceInUseException"
    clock.now += 6
    assert status() == "CREATE IN_PROGRESS"
    clock.now += 4
    assert status() == "ACTIVE"
    told(slow, "DeleteDatasetGroup", datasetGroupArn=group)
    assert status() == "DELETE PENDING"
    clock.now += 10
    assert refused(slow, "DescribeDatasetGroup", datasetGroupArn=group)[0] == "ResourceNotFoundException"


def test_quota_of_dataset_groups(slow: LocalPersonalize, local: LocalPersonalize) -> None:
    for number in range(4):
        make_group(slow, f"g{number}")
    assert refused(slow, "CreateDatasetGroup", name="one-more")[0] == "LimitExceededException"
    for number in range(9):
        make_group(local, f"g{number}")


# Datasets.


def test_dataset_has_the_arn_of_its_type(local: LocalPersonalize, clock: Clock) -> None:
    group = make_group(local)
    arn = make_dataset(local, group, schema="s")
    assert arn == f"{PREFIX}dataset/shop/INTERACTIONS"
    assert told(local, "DescribeDataset", datasetArn=arn)["dataset"] == {
        "name": "interactions",
        "datasetArn": arn,
        "datasetGroupArn": group,
        "datasetType": "INTERACTIONS",
        "schemaArn": f"{PREFIX}schema/s",
        "status": "ACTIVE",
        "creationDateTime": clock.now,
        "lastUpdatedDateTime": clock.now,
    }
    assert [row["datasetArn"] for row in told(local, "ListDatasets", datasetGroupArn=group)["datasets"]] == [arn]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"datasetType": "Films"}, "InvalidInputException"),
        ({"datasetType": "Users"}, "InvalidInputException"),
        ({"schemaArn": f"{PREFIX}schema/none"}, "ResourceNotFoundException"),
        ({"schemaArn": f"{PREFIX}dataset-group/shop"}, "InvalidInputException"),
        ({"schemaArn": f"{PREFIX}schema/of-domain"}, "InvalidInputException"),
        ({"datasetGroupArn": f"{PREFIX}dataset-group/none"}, "ResourceNotFoundException"),
        ({}, "ResourceAlreadyExistsException"),
    ],
)
def test_dataset_that_does_not_fit_is_refused(local: LocalPersonalize, change: dict[str, str], code: str) -> None:
    group = make_group(local)
    make_dataset(local, group, schema="s")
    told(local, "CreateSchema", name="of-domain", schema=avro("Interactions"), domain="ECOMMERCE")
    members = {"name": "d", "schemaArn": f"{PREFIX}schema/s", "datasetGroupArn": group, "datasetType": "INTERACTIONS"}
    assert refused(local, "CreateDataset", {**members, **change})[0] == code
    assert len(told(local, "ListDatasets", datasetGroupArn=group)["datasets"]) == 1


def test_dataset_takes_events_and_items_and_filters_know_its_columns(local: LocalPersonalize) -> None:
    group = make_group(local)
    make_dataset(local, group)
    items = make_dataset(local, group, "Items")
    tracking_id = told(local, "CreateEventTracker", name="t", datasetGroupArn=group)["trackingId"]
    event = {"eventType": "Watch", "itemId": "i1", "sentAt": 1_600_000_000}
    body = {"trackingId": tracking_id, "sessionId": "s", "userId": "u", "eventList": [event]}
    assert put(local, "/events", body) == 200
    item = {"itemId": "i1", "properties": '{"year": 1999}'}
    assert put(local, "/items", {"datasetArn": items, "items": [item]}) == 200
    expression = "INCLUDE ItemID WHERE Items.YEAR > 1990"
    told(local, "CreateFilter", name="new", datasetGroupArn=group, filterExpression=expression)
    wrong = {"name": "w", "datasetGroupArn": group, "filterExpression": "INCLUDE ItemID WHERE Items.PRICE > 1"}
    assert refused(local, "CreateFilter", wrong)[0] == "InvalidInputException"


def put(local: Any, path: str, members: Any) -> int:
    status: int = local.handle(HttpRequest("POST", path, {}, json.dumps(members).encode())).status
    return status


def test_several_directories_have_one_account(directory: Files, tmp_path: Any) -> None:
    services = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "interactions.csv").write_text(INTERACTIONS)
        settings = f'[campaigns]\n{name} = "aws-popularity-count"\n[options]\ndataset_group = "{name}"\n'
        (tmp_path / name / "personalize.toml").write_text(settings)
        services.append(tmp_path / name)
    groups = LocalGroups.from_directories(*services)
    group = make_group(groups)
    make_dataset(groups, group)
    tracking_id = told(groups, "CreateEventTracker", name="t", datasetGroupArn=group)["trackingId"]
    event = {"eventType": "Watch", "itemId": "i1", "sentAt": 1_600_000_000}
    assert put(groups, "/events", {"trackingId": tracking_id, "sessionId": "s", "eventList": [event]}) == 200
    groups.reload()
    assert [row["name"] for row in told(groups, "ListDatasetGroups")["datasetGroups"]] == ["one", "shop", "two"]


def test_reload_keeps_what_requests_made(local: LocalPersonalize) -> None:
    group = make_group(local)
    make_dataset(local, group)
    local.reload()
    assert len(told(local, "ListDatasets", datasetGroupArn=group)["datasets"]) == 1


# The model.


@pytest.mark.skipif(tuple(map(int, botocore.__version__.split(".")[:2])) < (1, 43), reason="an older model")
def test_replies_are_the_models(local: LocalPersonalize) -> None:
    model = ServiceModel(Loader().load_service_model("personalize", "service-2"), "personalize")
    group = f"{PREFIX}dataset-group/shop"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("CreateSchema", {"name": "s", "schema": avro("Users")}),
        ("DescribeSchema", {"schemaArn": f"{PREFIX}schema/s"}),
        ("CreateDatasetGroup", {"name": "shop"}),
        ("DescribeDatasetGroup", {"datasetGroupArn": group}),
        ("ListDatasetGroups", {}),
        (
            "CreateDataset",
            {"name": "u", "schemaArn": f"{PREFIX}schema/s", "datasetGroupArn": group, "datasetType": "users"},
        ),
        ("DescribeDataset", {"datasetArn": f"{PREFIX}dataset/shop/USERS"}),
        ("ListDatasets", {"datasetGroupArn": group}),
        ("DeleteDataset", {"datasetArn": f"{PREFIX}dataset/shop/USERS"}),
        ("DeleteSchema", {"schemaArn": f"{PREFIX}schema/s"}),
        ("DeleteDatasetGroup", {"datasetGroupArn": group}),
    ]
    for name, members in calls:
        response, shape = asked(local, name, members), model.operation_model(name).output_shape
        assert response.status == 200, response.body
        if shape is None:
            assert response.body == b""
        else:
            assert [*wrong_in(json.loads(response.body), shape, name)] == []


# Updates of datasets.


def with_more(*fields: dict[str, Any], kind: str = "Items", **changed: str) -> str:
    """A schema with some fields more."""
    schema = json.loads(avro(kind, **{**FIELDS[kind], **changed}))
    schema["fields"] += fields
    return json.dumps(schema)


COLOR = {"name": "COLOR", "type": ["null", "string"], "categorical": True}


def test_schema_of_a_dataset_is_replaced_by_one_with_more_fields(slow: LocalPersonalize, clock: Clock) -> None:
    group = make_group(slow)
    clock.now += 10
    dataset = make_dataset(slow, group, "Items", schema="before")
    after = told(slow, "CreateSchema", name="after", schema=with_more(COLOR))["schemaArn"]
    request = {"datasetArn": dataset, "schemaArn": after}
    assert refused(slow, "UpdateDataset", request)[0] == "ResourceInUseException"
    clock.now += 10
    begun = clock.now
    assert told(slow, "UpdateDataset", **request) == {"datasetArn": dataset}

    def described() -> dict[str, Any]:
        found: dict[str, Any] = told(slow, "DescribeDataset", datasetArn=dataset)["dataset"]
        return found

    assert described()["schemaArn"] == f"{PREFIX}schema/before"
    assert described()["latestDatasetUpdate"]["status"] == "CREATE PENDING"
    assert refused(slow, "UpdateDataset", request)[0] == "ResourceInUseException"
    clock.now += 10
    assert (described()["schemaArn"], described()["lastUpdatedDateTime"]) == (after, begun + 10)
    assert described()["latestDatasetUpdate"] == {
        "schemaArn": after,
        "status": "ACTIVE",
        "creationDateTime": begun,
        "lastUpdatedDateTime": begun + 10,
    }
    told(slow, "DeleteSchema", schemaArn=f"{PREFIX}schema/before")
    assert refused(slow, "DeleteSchema", schemaArn=after)[0] == "ResourceInUseException"
    expression = 'INCLUDE ItemID WHERE Items.COLOR IN ("red")'
    told(slow, "CreateFilter", name="red", datasetGroupArn=group, filterExpression=expression)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (with_more({**COLOR, "type": "string"}), "COLOR must support null"),
        (with_more(YEAR="string"), "the field YEAR"),
        (avro("Items", ITEM_ID="string", OTHER="string"), "expected the field"),
        (avro("Users"), "the type and the domain"),
    ],
)
def test_schema_that_does_not_keep_the_fields_is_refused(local: LocalPersonalize, schema: str, said: str) -> None:
    dataset = make_dataset(local, make_group(local), "Items", schema="before")
    after = told(local, "CreateSchema", name="after", schema=schema)["schemaArn"]
    code, text = refused(local, "UpdateDataset", datasetArn=dataset, schemaArn=after)
    assert (code, said in text) == ("InvalidInputException", True), text
    assert "latestDatasetUpdate" not in told(local, "DescribeDataset", datasetArn=dataset)["dataset"]


def test_schema_of_interactions_and_of_a_directory_stay(local: LocalPersonalize) -> None:
    after = told(local, "CreateSchema", name="after", schema=avro("Interactions"))["schemaArn"]
    dataset = make_dataset(local, make_group(local), "Interactions", schema="before")
    for arn, said in ((dataset, "items or users"), (local.dataset_arn("interactions"), "personalize.toml")):
        code, text = refused(local, "UpdateDataset", datasetArn=arn, schemaArn=after)
        assert (code, said in text) == ("InvalidInputException", True), text
