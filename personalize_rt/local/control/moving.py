"""The operations whose jobs read and write objects: imports, exports and batch inference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from personalize_rt.local.control.creating import KMS_KEY_ARN, ROLE_ARN, as_created
from personalize_rt.local.control.group import exceeded
from personalize_rt.local.control.kinds import KINDS, Kind
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.requests import (
    ARN,
    HYPERPARAMETERS,
    NAME,
    TAGS_SHAPE,
    ControlOperation,
    Members,
    Reply,
    must_be_free,
    tags_of,
    takes,
)
from personalize_rt.local.control.shapes import Entries, Flag, Number, Structure, Text, Whole, invalid

__all__ = ["MOVING"]

# Guide, common error messages: of an account and region, and not adjustable.
_IN_PROGRESS = 5
_S3_LOCATION = Text(most=256, pattern="(s3|http|https)://.+")
_LOCATED = Structure({"path": _S3_LOCATION, "kmsKeyArn": KMS_KEY_ARN}, ("path",))
# Guide, "Creating a batch inference job": up to 500 results.
_RESULTS = 500


def _create_import(plane: ControlPlane, members: Members) -> Reply:
    tags, job = tags_of(members), members["jobName"]
    location = members["dataSource"].get("dataLocation")
    if location is None:
        raise invalid("dataSource.dataLocation is missing")
    if members.get("publishAttributionMetricsToS3"):
        raise invalid("publishAttributionMetricsToS3: the embedded service has no metric attributions")
    group, found = plane.find(KINDS["Dataset"], members["datasetArn"], "datasetArn")
    created, kind, objects = as_created(group, "datasetArn"), KINDS["DatasetImportJob"], plane.account.objects
    _check(plane, location, "dataSource.dataLocation")
    told = {"dataSource": {"dataLocation": location}, "importMode": members.get("importMode", "FULL")}
    told |= {"roleArn": members["roleArn"]} if "roleArn" in members else {}
    with plane.account.lock:
        must_be_free(plane, kind, job)
        _check_quota(plane, kind)
        read = partial(objects.read, location)
        return {"datasetImportJobArn": created.import_rows(job, told, found["datasetArn"], read, tags)}


def _check(plane: ControlPlane, uri: str, member: str) -> None:
    # A job that was done before a restart needs its objects no more.
    problem = "" if plane.account.keeper.is_telling else plane.account.objects.check(uri)
    if problem:
        raise invalid(f"{member}: {problem}")


def _check_quota(plane: ControlPlane, kind: Kind) -> None:
    if plane.account.quotas:
        rows = (plane.describe(kind, arn) or {} for arn, _ in plane.arns(kind))
        if sum(row.get("status", "") in ("CREATE PENDING", "CREATE IN_PROGRESS") for row in rows) >= _IN_PROGRESS:
            raise exceeded(f"More than {_IN_PROGRESS} resources with PENDING or IN_PROGRESS status.")


def _create_export(plane: ControlPlane, members: Members) -> Reply:
    tags, job, kind = tags_of(members), members["jobName"], KINDS["DatasetExportJob"]
    path, mode = members["jobOutput"]["s3DataDestination"]["path"], members.get("ingestionMode", "BULK")
    _check(plane, path, "jobOutput.s3DataDestination.path")
    if mode != "BULK":
        raise invalid("ingestionMode: the embedded service exports what was imported: expected BULK")
    group, found = plane.find(KINDS["Dataset"], members["datasetArn"], "datasetArn")
    created = as_created(group, "datasetArn")
    told = {"ingestionMode": mode, "roleArn": members["roleArn"], "jobOutput": members["jobOutput"]}
    with plane.account.lock:
        must_be_free(plane, kind, job)
        _check_quota(plane, kind)
        write = partial(plane.account.objects.write, path)
        return {"datasetExportJobArn": created.export_rows(job, told, found["datasetArn"], write, tags)}


def _create_inference(plane: ControlPlane, members: Members) -> Reply:
    tags, job, kind = tags_of(members), members["jobName"], KINDS["BatchInferenceJob"]
    if members.get("batchInferenceJobMode") == "THEME_GENERATION" or "themeGenerationConfig" in members:
        raise invalid("batchInferenceJobMode: the embedded service generates no themes")
    for name, value in members.get("batchInferenceJobConfig", {}).items():
        if value is not None:
            raise invalid(f"batchInferenceJobConfig.{name}: the embedded service does not have it, and would ignore it")
    if not 0 < members.get("numResults", 1) <= _RESULTS:
        raise invalid(f"numResults: expected 1 to {_RESULTS}")
    source, target = members["jobInput"]["s3DataSource"]["path"], members["jobOutput"]["s3DataDestination"]["path"]
    _check(plane, source, "jobInput.s3DataSource.path")
    _check(plane, target, "jobOutput.s3DataDestination.path")
    group, found = plane.find(KINDS["SolutionVersion"], members["solutionVersionArn"], "solutionVersionArn")
    created, version = as_created(group, "solutionVersionArn"), found["solutionVersionArn"]
    if "filterArn" in members and created.engine.filters.find(members["filterArn"]) is None:
        plane.find(KINDS["Filter"], members["filterArn"], "filterArn")
        raise invalid("filterArn: that filter is one of another dataset group")
    names = ("filterArn", "numResults", "jobInput", "jobOutput", "roleArn")
    told = {name: members[name] for name in names if name in members}
    told["batchInferenceJobMode"] = "BATCH_INFERENCE"
    created.version(version)
    objects = plane.account.objects
    with plane.account.lock:
        must_be_free(plane, kind, job)
        _check_quota(plane, kind)
        write = partial(objects.write_lines, target)
        arn = created.infer(job, told, version, partial(objects.files, source), objects.lines, write, tags)
    return {"batchInferenceJobArn": arn}


MOVING: Mapping[str, ControlOperation] = {
    "CreateBatchInferenceJob": ControlOperation(
        takes(
            "jobName",
            "solutionVersionArn",
            "jobInput",
            "jobOutput",
            "roleArn",
            jobName=NAME,
            solutionVersionArn=ARN,
            filterArn=ARN,
            numResults=Whole(None),
            jobInput=Structure({"s3DataSource": _LOCATED}, ("s3DataSource",)),
            jobOutput=Structure({"s3DataDestination": _LOCATED}, ("s3DataDestination",)),
            roleArn=ROLE_ARN,
            batchInferenceJobConfig=Structure(
                {
                    "itemExplorationConfig": HYPERPARAMETERS,
                    "rankingInfluence": Entries(Text(choices=("POPULARITY", "FRESHNESS")), Number(0, 1)),
                }
            ),
            tags=TAGS_SHAPE,
            batchInferenceJobMode=Text(choices=("BATCH_INFERENCE", "THEME_GENERATION")),
            themeGenerationConfig=Structure(
                {
                    "fieldsForThemeGeneration": Structure(
                        {"itemName": Text(most=150, pattern=r"[A-Za-z_][A-Za-z\d_]*")},
                        ("itemName",),
                    )
                },
                ("fieldsForThemeGeneration",),
            ),
        ),
        _create_inference,
    ),
    "CreateDatasetExportJob": ControlOperation(
        takes(
            "jobName",
            "datasetArn",
            "roleArn",
            "jobOutput",
            jobName=NAME,
            datasetArn=ARN,
            ingestionMode=Text(choices=("BULK", "PUT", "ALL")),
            roleArn=ROLE_ARN,
            jobOutput=Structure({"s3DataDestination": _LOCATED}, ("s3DataDestination",)),
            tags=TAGS_SHAPE,
        ),
        _create_export,
    ),
    "CreateDatasetImportJob": ControlOperation(
        takes(
            "jobName",
            "datasetArn",
            "dataSource",
            jobName=NAME,
            datasetArn=ARN,
            dataSource=Structure({"dataLocation": _S3_LOCATION}),
            roleArn=ROLE_ARN,
            tags=TAGS_SHAPE,
            importMode=Text(choices=("FULL", "INCREMENTAL")),
            publishAttributionMetricsToS3=Flag(),
        ),
        _create_import,
    ),
}
