"""The operations that bring data in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from personalize_rt.local.control.creating import ROLE_ARN, as_created
from personalize_rt.local.control.group import exceeded
from personalize_rt.local.control.kinds import KINDS
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.requests import (
    ARN,
    NAME,
    TAGS_SHAPE,
    ControlOperation,
    Members,
    Reply,
    must_be_free,
    tags_of,
    takes,
)
from personalize_rt.local.control.shapes import Flag, Structure, Text, invalid

__all__ = ["MOVING"]

# Guide, common error messages: of an account and region, and not adjustable.
_IN_PROGRESS = 5
_S3_LOCATION = Text(most=256, pattern="(s3|http|https)://.+")
_ADVICE = (
    "nobody said where the objects of S3 are: start the server with --s3-root DIR or --s3-endpoint URL, or call "
    "LocalPersonalize.from_directory(s3_root=…)"
)


def _create_import(plane: ControlPlane, members: Members) -> Reply:
    tags, job = tags_of(members), members["jobName"]
    location = members["dataSource"].get("dataLocation")
    if location is None:
        raise invalid("dataSource.dataLocation is missing")
    if members.get("publishAttributionMetricsToS3"):
        raise invalid("publishAttributionMetricsToS3: the embedded service has no metric attributions")
    group, found = plane.find(KINDS["Dataset"], members["datasetArn"], "datasetArn")
    created, kind, reader = as_created(group, "datasetArn"), KINDS["DatasetImportJob"], plane.account.reader
    if reader is None:
        raise invalid(f"dataSource.dataLocation: {_ADVICE}")
    told = {"dataSource": {"dataLocation": location}, "importMode": members.get("importMode", "FULL")}
    told |= {"roleArn": members["roleArn"]} if "roleArn" in members else {}
    with plane.account.lock:
        must_be_free(plane, kind, job)
        if plane.account.quotas:
            rows = (plane.describe(kind, arn) or {} for arn, _ in plane.arns(kind))
            if sum(row.get("status", "") in ("CREATE PENDING", "CREATE IN_PROGRESS") for row in rows) >= _IN_PROGRESS:
                raise exceeded(f"More than {_IN_PROGRESS} resources with PENDING or IN_PROGRESS status.")
        read = partial(reader, location)
        return {"datasetImportJobArn": created.import_rows(job, told, found["datasetArn"], read, tags)}


MOVING: Mapping[str, ControlOperation] = {
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
