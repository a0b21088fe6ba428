"""The chain of a tutorial: with boto3 in process, under moto and over HTTP, and by the AWS CLI, to the last deletion.

Each reply is checked against the model: it has the members of the model, and botocore accepts it as such.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from botocore.validate import ParamValidator
from moto import mock_aws

from personalize_rt.local import LocalPersonalize
from personalize_rt.local.moto import mock_personalize
from tests.local.test_control_model import HAS_OLDER_MODEL, wrong_in
from tests.optional import optional

Client = Callable[[str], Any]
Objects = Callable[[], Mapping[str, bytes]]
ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})
ROLE = "arn:aws:iam::000000000000:role/personalize"
RECIPE = "arn:aws:personalize:::recipe/aws-user-personalization"
EVENTS = "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n" + "".join(
    f"u{user},i{item},Watch,{1_600_000_000 + 97 * user + item}\n"
    for user in range(30)
    for item in range(12)
    if (user * item) % 5 != 1
)
ITEMS = "ITEM_ID,YEAR\n" + "".join(f"i{item},{1990 + item}\n" for item in range(12))
LINES = '{"userId": "u1"}\n{"userId": "nobody"}\n{"itemId": "i1"}\n'
INPUT = {
    "data/events.csv": EVENTS.encode(),
    "data/items.csv": ITEMS.encode(),
    "lines/users.json": LINES.encode(),
    "bad/row.csv": b"USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\nu1,i1,Watch,user-42-says\n",
    "bad/column.csv": b"USER_ID,ITEM_ID,TIMESTAMP\nu1,i1,1600000000\n",
    "bad/bomb.csv": gzip.compress(EVENTS[:37].encode() + b"u1,i1,Watch,1600000000\n" * 1_000_000),
}


def schema(name: str, **fields: str) -> str:
    members = [{"name": field, "type": kind} for field, kind in fields.items()]
    return json.dumps({"type": "record", "name": name, "namespace": "x", "fields": members, "version": "1.0"})


SCHEMAS = {
    "Interactions": schema("Interactions", USER_ID="string", ITEM_ID="string", EVENT_TYPE="string", TIMESTAMP="long"),
    "Items": schema("Items", ITEM_ID="string", YEAR="long"),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "interactions.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP\nann,a,1\n")
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for key, content in INPUT.items():
        path = tmp_path / "s3" / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "s3"


def files_of(root: Path) -> Objects:
    def read() -> Mapping[str, bytes]:
        bucket = root / "bucket"
        return {str(path.relative_to(bucket)): path.read_bytes() for path in bucket.rglob("*") if path.is_file()}

    return read


def objects_of(s3: Any) -> Objects:
    """Puts the input into a bucket; returns how to read it."""
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for key, content in INPUT.items():
        s3.put_object(Bucket="bucket", Key=key, Body=content)

    def read() -> Mapping[str, bytes]:
        keys = [row["Key"] for row in s3.list_objects_v2(Bucket="bucket")["Contents"]]
        return {key: s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}

    return read


def without_null(value: Any) -> Any:
    """A reply without members that are null, which SDKs read as absent; the runtime API has some."""
    if isinstance(value, dict):
        return {name: without_null(part) for name, part in value.items() if part is not None}
    return [without_null(part) for part in value] if isinstance(value, list) else value


def check_reply(http_response: Any, parsed: Any, model: OperationModel, **_: Any) -> None:
    """A reply has nothing that the model does not have, and everything of it has the model's type."""
    if http_response.status_code != 200 or model.output_shape is None:
        return
    members = without_null(json.loads(http_response.content or b"{}"))
    # The model has the role of a job as an ARN of Personalize, which it never is.
    wrong = [one for one in wrong_in(members, model.output_shape, model.name) if ".roleArn:" not in one]
    # What came after an older model is held against the newer ones.
    assert [one for one in wrong if not (HAS_OLDER_MODEL and one.endswith(" is unknown"))] == []
    told = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    report = ParamValidator().validate(told, model.output_shape)
    assert not report.has_errors(), report.generate_report()


def checked(client: Any) -> Any:
    """A client whose replies are checked."""
    client.meta.events.register("after-call", check_reply)
    return client


class Cli:
    """The AWS CLI in the form of a client of boto3, whose errors it raises."""

    def __init__(self, service: str, client: Any, variables: Mapping[str, str]) -> None:
        self._service = service
        self._client = client
        self._variables = variables
        self.exceptions = client.exceptions
        self.close = client.close

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def run(**members: Any) -> Any:
            command = [os.environ["PERSONALIZE_RT_AWS_CLI"], self._service, method.replace("_", "-")]
            ran = subprocess.run(
                [*command, "--output", "json", "--cli-input-json", json.dumps(members)],
                env=self._variables,
                capture_output=True,
                encoding="utf-8",
                timeout=300,
            )
            failed = re.search(r"An error occurred \((\w+)\) when calling the (\w+) operation: (.*)", ran.stderr)
            if failed is not None:
                code, operation, message = failed.groups()
                raise self.exceptions.from_code(code)({"Error": {"Code": code, "Message": message}}, operation)
            assert ran.returncode == 0, ran.stderr
            return json.loads(ran.stdout or "{}")

        return run


@pytest.fixture(
    params=[
        "in process",
        "moto",
        "http",
        "server of S3",
        pytest.param("aws cli", marks=[pytest.mark.foreign, pytest.mark.timeout(1800)]),
    ]
)
def door(
    request: pytest.FixtureRequest, directory: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Client, Objects]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with ExitStack() as stack:
        if request.param == "moto":
            stack.enter_context(mock_aws())
            read = objects_of(boto3.client("s3", region_name="eu-west-1"))
            stack.enter_context(mock_personalize(LocalPersonalize.from_directory(directory)))
            yield lambda service: checked(boto3.client(service, region_name="eu-west-1", config=ONCE)), read
            return
        if request.param == "in process":
            local = LocalPersonalize.from_directory(directory, s3_root=root)
            yield lambda service: checked(local.boto3_client(service, config=ONCE)), files_of(root)
            return
        optional("uvicorn")
        if request.param == "server of S3":
            server = optional("moto.server").ThreadedMotoServer(port=0, verbose=False)
            server.start()
            stack.callback(server.stop)
            s3_url = "http://{}:{}".format(*server.get_host_and_port())
            read = objects_of(boto3.client("s3", region_name="eu-west-1", endpoint_url=s3_url))
            local = LocalPersonalize.from_directory(directory, s3_endpoint=s3_url)
        else:
            local, read = LocalPersonalize.from_directory(directory, s3_root=root), files_of(root)
        url = stack.enter_context(local.serve())

        def client(service: str) -> Any:
            made = boto3.client(service, region_name="eu-west-1", endpoint_url=url, config=ONCE)
            if request.param != "aws cli":
                return checked(made)
            variables = {"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C.UTF-8", **local.env(url)}
            keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "eu-west-1"}
            return Cli(service, made, {**variables, **keys, "AWS_EC2_METADATA_DISABLED": "true"})

        yield client, read


def test_chain_of_a_tutorial(door: tuple[Client, Objects]) -> None:
    client, objects = door
    control, runtime, events = (client(f"personalize{suffix}") for suffix in ("", "-runtime", "-events"))
    with ExitStack() as stack:
        for one in (control, runtime, events):
            stack.callback(one.close)
        group = control.create_dataset_group(name="films")["datasetGroupArn"]
        assert control.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]["status"] == "ACTIVE"
        schemas, datasets = [], []
        for kind, text in SCHEMAS.items():
            schemas.append(control.create_schema(name=f"films-{kind}", schema=text)["schemaArn"])
            made = {"name": kind, "datasetType": kind, "datasetGroupArn": group, "schemaArn": schemas[-1]}
            datasets.append(control.create_dataset(**made)["datasetArn"])
        for dataset, name in zip(datasets, ("events", "items"), strict=True):
            source = {"dataLocation": f"s3://bucket/data/{name}.csv"}
            job = control.create_dataset_import_job(
                jobName=name, datasetArn=dataset, dataSource=source, roleArn=ROLE, importMode="FULL"
            )["datasetImportJobArn"]
            found = control.describe_dataset_import_job(datasetImportJobArn=job)["datasetImportJob"]
            assert (found["status"], found.get("failureReason")) == ("ACTIVE", None)

        solution = control.create_solution(name="films", datasetGroupArn=group, recipeArn=RECIPE)["solutionArn"]
        version = control.create_solution_version(solutionArn=solution)["solutionVersionArn"]
        found = control.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
        assert found["status"] == "ACTIVE"
        metrics = control.get_solution_metrics(solutionVersionArn=version)["metrics"]
        assert 0 < metrics["coverage"] <= 1
        campaign = control.create_campaign(
            name="films",
            solutionVersionArn=version,
            minProvisionedTPS=1,
            campaignConfig={
                "enableMetadataWithRecommendations": True,
                "itemExplorationConfig": {"explorationWeight": "0.5"},
            },
        )["campaignArn"]
        found = control.describe_campaign(campaignArn=campaign)["campaign"]
        assert (found["status"], found["campaignConfig"]["itemExplorationConfig"]["explorationWeight"]) == (
            "ACTIVE",
            "0.5",
        )

        asking: dict[str, Any] = {"campaignArn": campaign, "userId": "u1"}
        rows = runtime.get_recommendations(**asking, metadataColumns={"ITEMS": ["YEAR"]})["itemList"]
        assert {row["itemId"]: row["metadata"]["year"] for row in rows} == {f"i{n}": str(1990 + n) for n in range(12)}
        old, unseen = (
            control.create_filter(name=name, datasetGroupArn=group, filterExpression=text)["filterArn"]
            for name, text in (
                ("old", "INCLUDE ItemID WHERE Items.YEAR < 1993"),
                ("unseen", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'),
            )
        )
        rows = runtime.get_recommendations(**asking, filterArn=old)["itemList"]
        assert sorted(row["itemId"] for row in rows) == ["i0", "i1", "i2"]
        before = [row["itemId"] for row in runtime.get_recommendations(**asking, filterArn=unseen)["itemList"]]
        assert sorted(before) == ["i1", "i11", "i6"]
        tracking_id = control.create_event_tracker(name="films", datasetGroupArn=group)["trackingId"]
        event = {"eventType": "Watch", "itemId": "i6", "sentAt": 1_600_009_999}
        events.put_events(trackingId=tracking_id, userId="u1", sessionId="s", eventList=[event])
        after = [row["itemId"] for row in runtime.get_recommendations(**asking, filterArn=unseen)["itemList"]]
        assert sorted(after) == ["i1", "i11"]

        job = control.create_batch_inference_job(
            jobName="batch",
            solutionVersionArn=version,
            numResults=3,
            filterArn=old,
            jobInput={"s3DataSource": {"path": "s3://bucket/lines/users.json"}},
            jobOutput={"s3DataDestination": {"path": "s3://bucket/out/"}},
            roleArn=ROLE,
        )["batchInferenceJobArn"]
        found = control.describe_batch_inference_job(batchInferenceJobArn=job)["batchInferenceJob"]
        assert (found["status"], found.get("failureReason")) == ("ACTIVE", None)
        lines = [json.loads(line) for line in objects()["out/users.json.out"].splitlines()]
        assert [line["input"] for line in lines] == [json.loads(line) for line in LINES.splitlines()]
        rows = runtime.get_recommendations(**asking, filterArn=old, numResults=3)["itemList"]
        assert lines[0] == {
            "input": {"userId": "u1"},
            "output": {
                "recommendedItems": [row["itemId"] for row in rows],
                "scores": [row["score"] for row in rows],
            },
            "error": None,
        }
        assert (lines[2]["output"], "userId is missing" in lines[2]["error"]) == (None, True)
        job = control.create_dataset_export_job(
            jobName="export",
            datasetArn=datasets[1],
            jobOutput={"s3DataDestination": {"path": "s3://bucket/exported"}},
            roleArn=ROLE,
        )["datasetExportJobArn"]
        found = control.describe_dataset_export_job(datasetExportJobArn=job)["datasetExportJob"]
        assert (found["status"], found.get("failureReason")) == ("ACTIVE", None)
        assert objects()["exported/export.csv"].decode() == ITEMS

        wider = json.loads(SCHEMAS["Items"])
        wider["fields"].append({"name": "COLOR", "type": ["null", "string"], "categorical": True})
        schemas.append(control.create_schema(name="films-wider", schema=json.dumps(wider))["schemaArn"])
        control.update_dataset(datasetArn=datasets[1], schemaArn=schemas[-1])
        found = control.describe_dataset(datasetArn=datasets[1])["dataset"]
        assert (found["schemaArn"], found["latestDatasetUpdate"]["status"]) == (schemas[-1], "ACTIVE")
        control.update_solution(solutionArn=solution, performAutoTraining=True)
        found = control.describe_solution(solutionArn=solution)["solution"]
        latest = found["latestSolutionVersion"]["solutionVersionArn"]
        assert latest != version
        control.describe_solution_version(solutionVersionArn=latest)  # waits for it

        # Deletion, which is refused in the wrong order.
        with pytest.raises(control.exceptions.ResourceInUseException):
            control.delete_solution(solutionArn=solution)
        with pytest.raises(control.exceptions.ResourceInUseException):
            control.delete_dataset_group(datasetGroupArn=group)
        with pytest.raises(control.exceptions.ResourceInUseException):
            control.delete_schema(schemaArn=schemas[-1])
        control.delete_campaign(campaignArn=campaign)
        with pytest.raises(ClientError, match="does not exist or is not active yet"):
            runtime.get_recommendations(**asking)
        control.delete_solution(solutionArn=solution)
        for one in (old, unseen):
            control.delete_filter(filterArn=one)
        for tracker in control.list_event_trackers(datasetGroupArn=group)["eventTrackers"]:
            control.delete_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])
        for dataset in datasets:
            control.delete_dataset(datasetArn=dataset)
        for one in schemas:
            control.delete_schema(schemaArn=one)
        control.delete_dataset_group(datasetGroupArn=group)
        groups = control.list_dataset_groups()["datasetGroups"]
        assert [row["name"] for row in groups] == ["local"]


def test_missing_object_fails_the_job_and_a_location_outside_is_refused(door: tuple[Client, Objects]) -> None:
    client, _ = door
    control = client("personalize")
    with ExitStack() as stack:
        stack.callback(control.close)
        group = control.create_dataset_group(name="films")["datasetGroupArn"]
        schema_arn = control.create_schema(name="s", schema=SCHEMAS["Items"])["schemaArn"]
        dataset = control.create_dataset(name="d", datasetType="Items", datasetGroupArn=group, schemaArn=schema_arn)[
            "datasetArn"
        ]
        made = {"datasetArn": dataset, "roleArn": ROLE}
        source = {"dataLocation": "s3://bucket/none.csv"}
        job = control.create_dataset_import_job(jobName="none", dataSource=source, **made)["datasetImportJobArn"]
        found = control.describe_dataset_import_job(datasetImportJobArn=job)["datasetImportJob"]
        assert (found["status"], "there is no object" in found["failureReason"]) == ("CREATE FAILED", True)
        for location in ("http://bucket/x", "s3://bucket/../x"):
            with pytest.raises(control.exceptions.InvalidInputException):
                control.create_dataset_import_job(jobName="x", dataSource={"dataLocation": location}, **made)


LISTS = ("dataset_groups", "schemas", "datasets", "dataset_import_jobs", "solutions", "solution_versions", "campaigns")


def everything(control: Any) -> dict[str, Any]:
    """All that the lists tell."""
    told = {name: getattr(control, f"list_{name}")() for name in LISTS}
    for reply in told.values():
        reply.pop("ResponseMetadata", None)
    return told


def test_bad_input_has_its_error_and_changes_nothing(door: tuple[Client, Objects]) -> None:
    client, objects = door
    control = client("personalize")
    with ExitStack() as stack:
        stack.callback(control.close)
        group = control.create_dataset_group(name="films")["datasetGroupArn"]
        schema_arn = control.create_schema(name="s", schema=SCHEMAS["Interactions"])["schemaArn"]
        made = {"datasetType": "Interactions", "datasetGroupArn": group, "schemaArn": schema_arn}
        dataset = control.create_dataset(name="d", **made)["datasetArn"]
        solution = control.create_solution(name="s", datasetGroupArn=group, recipeArn=RECIPE)["solutionArn"]
        errors = control.exceptions
        job = {"datasetArn": dataset, "roleArn": ROLE}
        source = {"dataLocation": "s3://bucket/data/events.csv"}
        before, stored = everything(control), objects()
        refused: list[tuple[type[Exception], str, Callable[[], Any]]] = [
            (errors.InvalidInputException, "name", lambda: control.create_dataset_group(name="no such name")),
            (errors.InvalidInputException, "name", lambda: control.create_schema(name="-", schema=SCHEMAS["Items"])),
            (
                errors.InvalidInputException,
                "datasetGroupArn",
                lambda: control.create_solution(name="x", datasetGroupArn=dataset, recipeArn=RECIPE),
            ),
            (
                errors.InvalidInputException,
                "roleArn",
                lambda: control.create_dataset_import_job(
                    jobName="x", dataSource=source, datasetArn=dataset, roleArn="arn:aws:iam::1:user/x"
                ),
            ),
            (errors.ResourceInUseException, dataset, lambda: control.delete_schema(schemaArn=schema_arn)),
            (errors.ResourceInUseException, solution, lambda: control.delete_dataset_group(datasetGroupArn=group)),
            (errors.ResourceAlreadyExistsException, "films", lambda: control.create_dataset_group(name="films")),
            (errors.ResourceAlreadyExistsException, dataset, lambda: control.create_dataset(name="d", **made)),
            *(
                (
                    errors.InvalidInputException,
                    "s3://bucket/key",
                    lambda uri=uri: control.create_dataset_import_job(
                        jobName="x", dataSource={"dataLocation": uri}, **job
                    ),
                )
                for uri in ("http://127.0.0.1/a.csv", "https://bucket.s3.amazonaws.com/a.csv")
            ),
            *(
                (
                    errors.InvalidInputException,
                    said,
                    lambda uri=uri: control.create_dataset_import_job(
                        jobName="x", dataSource={"dataLocation": uri}, **job
                    ),
                )
                for uri, said in (
                    ("file:///etc/passwd", "dataLocation"),
                    ("s3://bucket/../../etc/passwd", ".."),
                    ("s3://bucket/a\0.csv", "control characters"),
                )
            ),
        ]
        for kind, said, call in refused:
            with pytest.raises(kind, match=re.escape(said)):
                call()
        assert (everything(control), objects()) == (before, stored)

        # Two at once with one name.
        def create(_: int) -> str:
            try:
                return str(control.create_dataset_group(name="twice")["datasetGroupArn"])
            except errors.ResourceAlreadyExistsException:
                return ""

        with ThreadPoolExecutor(4) as threads:
            assert sum(map(bool, threads.map(create, range(4)))) == 1

        # Jobs that fail say why, and show no cell.
        for key, said in (
            ("none.csv", "there is no object s3://bucket/none.csv"),
            ("bad/row.csv", "row.csv, line 2, column TIMESTAMP"),
            ("bad/column.csv", "EVENT_TYPE"),
            ("bad/bomb.csv", "200 times its size"),
        ):
            name = re.sub(r"\W", "-", key)
            location = {"dataLocation": f"s3://bucket/{key}"}
            arn = control.create_dataset_import_job(jobName=name, dataSource=location, **job)["datasetImportJobArn"]
            found = control.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]
            assert (found["status"], said in found["failureReason"]) == ("CREATE FAILED", True), found
            assert "user-42" not in found["failureReason"]

        # Training without data; and a version that failed is not deployed, measured or stopped.
        version = control.create_solution_version(solutionArn=solution)["solutionVersionArn"]
        found = control.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
        assert (found["status"], "no data" in found["failureReason"]) == ("CREATE FAILED", True)
        for call in (
            lambda: control.create_campaign(name="c", solutionVersionArn=version, minProvisionedTPS=1),
            lambda: control.get_solution_metrics(solutionVersionArn=version),
            lambda: control.stop_solution_version_creation(solutionVersionArn=version),
        ):
            with pytest.raises(errors.InvalidInputException, match="CREATE FAILED"):
                call()
        assert control.list_campaigns()["campaigns"] == before["campaigns"]["campaigns"]
        assert objects() == stored
