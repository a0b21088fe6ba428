"""The operations that create and delete schemas, dataset groups and datasets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from personalize_rt.local.control.created import CreatedGroup, SchemaOf
from personalize_rt.local.control.group import exceeded
from personalize_rt.local.control.kinds import KINDS
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.requests import (
    ARN,
    DATASET_TYPE,
    DOMAIN,
    NAME,
    TAGS_SHAPE,
    ControlOperation,
    Members,
    Reply,
    must_be_free,
    tags_of,
    takes,
)
from personalize_rt.local.control.shapes import Text, invalid
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.places import Source
from personalize_rt.local.problems import Problems
from personalize_rt.local.schemas import DATASETS, Field, Schema, read_schema
from personalize_rt.names import canonical

__all__ = ["CREATING", "KMS_KEY_ARN", "ROLE_ARN", "as_created", "created_group"]

# Guide, "Amazon Personalize endpoints and quotas": of an account and region.
_SCHEMAS = 500
_GROUPS = 5
# Guide, "Schema requirements" of each domain: the fields that its datasets need beside those of a custom one, and
# their types.
_OF_DOMAIN: Mapping[str, Mapping[str, Mapping[str, tuple[str, bool]]]] = {
    "VIDEO_ON_DEMAND": {
        "interactions": {"EVENT_TYPE": ("string", False)},
        "items": {"GENRES": ("string", True), "CREATION_TIMESTAMP": ("long", False)},
    },
    "ECOMMERCE": {
        "interactions": {"EVENT_TYPE": ("string", False)},
        "items": {"PRICE": ("float", False), "CATEGORY_L1": ("string", True)},
    },
}
ROLE_ARN = Text(most=256, pattern=r"arn:([a-z\d-]+):iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
KMS_KEY_ARN = Text(most=2048, pattern=r"arn:aws.*:kms:.*:[0-9]{12}:key/.*")


def created_group(plane: ControlPlane, arn: str) -> CreatedGroup:
    """The dataset group of an ARN, which requests may add to.

    Raises:
        RefusedError: See :meth:`ControlPlane.find`; and ``InvalidInputException`` for one that a directory declares.
    """
    group, _ = plane.find(KINDS["DatasetGroup"], arn, "datasetGroupArn")
    return as_created(group, "datasetGroupArn")


def as_created(group: Any, member: str) -> CreatedGroup:
    """A dataset group that requests may change.

    Raises:
        RefusedError: ``InvalidInputException``; a directory declares it.
    """
    if not isinstance(group, CreatedGroup):
        raise invalid(
            f"{member}: the dataset group {group.name} is a directory; personalize.toml and the CSV files in it "
            "declare its resources: change them, and reload. One of CreateDatasetGroup can be changed by requests"
        )
    return group


# Schemas.


def _create_schema(plane: ControlPlane, members: Members) -> Reply:
    name, text, domain = members["name"], members["schema"], members.get("domain")
    arn = plane.account.schema_arn(name)
    option, schema = _read(text, domain)
    with plane.account.lock:
        must_be_free(plane, KINDS["Schema"], name)
        if plane.account.quotas and sum(1 for _ in plane.arns(KINDS["Schema"])) >= _SCHEMAS:
            raise exceeded(f"the account has {_SCHEMAS} schemas, which is its quota")
        return {"schemaArn": plane.account.create_schema(name, text, SchemaOf(arn, option, schema, domain))}


def _read(text: str, domain: str | None) -> tuple[str, Schema]:
    """The dataset of a schema, which its name tells, and its columns."""
    try:
        avro: Any = json.loads(text)
    except (ValueError, RecursionError):
        avro = None
    named = canonical(str(cast("dict[str, Any]", avro).get("name"))) if isinstance(avro, dict) else ""
    known = {canonical(one.name): option for option, one in DATASETS.items()}
    if isinstance(avro, dict) and named not in known:
        names = ", ".join(one.name for one in DATASETS.values())
        raise invalid(f'schema: expected "name": the type of its dataset, one of {names}')
    option = known.get(named, "interactions")
    problems = Problems()
    # What is no object is told by the reader, which knows why.
    schema = read_schema(Source("schema", text), DATASETS[option], problems)
    if schema is None:
        raise invalid("; ".join(map(str, problems.found[:10])))
    for field, (kind, categorical) in _OF_DOMAIN.get(domain or "", {}).get(option, {}).items():
        _check_field(schema.fields.get(field), field, kind, categorical, domain)
    return option, schema


def _check_field(found: Field | None, name: str, kind: str, categorical: bool, domain: str | None) -> None:
    of = f"a schema of the domain {domain}"
    if found is None:
        raise invalid(f"schema: expected a field {name}, as {of} has it")
    if found.type != kind:
        raise invalid(f"schema: field {name}: expected the type {kind}, as {of} has it")
    if categorical and not found.categorical:
        raise invalid(f'schema: field {name}: expected "categorical": true, as {of} has it')


def _delete_schema(plane: ControlPlane, members: Members) -> None:
    with plane.account.lock:
        found = plane.schema(members["schemaArn"])
        arn = found["schemaArn"]
        if plane.account.schemas.find("Schema", arn) is None:
            raise invalid("schemaArn: a directory has this schema: change its personalize.toml or CSV file, and reload")
        for dataset, _ in plane.arns(KINDS["Dataset"]):
            if (plane.describe(KINDS["Dataset"], dataset) or {}).get("schemaArn") == arn:
                raise RefusedError("ResourceInUseException", f"{arn} is used by {dataset}: delete that first")
        plane.account.schemas.forget("Schema", arn)


# Dataset groups.


def _create_group(plane: ControlPlane, members: Members) -> Reply:
    tags, name = tags_of(members), members["name"]
    if "kmsKeyArn" in members and "roleArn" not in members:
        raise invalid("roleArn is missing: with kmsKeyArn, a role that may use the key is needed")
    told = {member: value for member, value in members.items() if member in ("roleArn", "kmsKeyArn", "domain")}
    with plane.account.lock:
        must_be_free(plane, KINDS["DatasetGroup"], name)
        if plane.account.quotas and len(plane.groups) >= _GROUPS:
            raise exceeded(f"the account has {len(plane.groups)} dataset groups; its quota is {_GROUPS}")
        group = plane.account.create_group(name, told)
    group.tag(group.arn, tags, len(tags))
    domain = {"domain": group.domain} if group.domain else {}
    return {"datasetGroupArn": group.arn, **domain}


def _delete_group(plane: ControlPlane, members: Members) -> None:
    plane.account.delete_group(created_group(plane, members["datasetGroupArn"]))


# Datasets.


def _create_dataset(plane: ControlPlane, members: Members) -> Reply:
    tags = tags_of(members)
    group = created_group(plane, members["datasetGroupArn"])
    with plane.account.lock:
        arn = plane.schema(members["schemaArn"])["schemaArn"]
        made = plane.account.schemas.find("Schema", arn)
        if made is None:
            raise invalid("schemaArn: a directory has this schema; expected one that CreateSchema made")
        return {"datasetArn": group.create_dataset(members["name"], members["datasetType"], made.holds, tags)}


def _update_dataset(plane: ControlPlane, members: Members) -> Reply:
    group, found = plane.find(KINDS["Dataset"], members["datasetArn"], "datasetArn")
    with plane.account.lock:
        arn = plane.schema(members["schemaArn"])["schemaArn"]
        made = plane.account.schemas.find("Schema", arn)
        if made is None:
            raise invalid("schemaArn: a directory has this schema; expected one that CreateSchema made")
        as_created(group, "datasetArn").update_dataset(found["datasetArn"], made.holds)
    return {"datasetArn": found["datasetArn"]}


def _delete_dataset(plane: ControlPlane, members: Members) -> None:
    group, found = plane.find(KINDS["Dataset"], members["datasetArn"], "datasetArn")
    as_created(group, "datasetArn").delete_dataset(found["datasetArn"])


CREATING: Mapping[str, ControlOperation] = {
    "CreateDataset": ControlOperation(
        takes(
            "name",
            "schemaArn",
            "datasetGroupArn",
            "datasetType",
            name=NAME,
            schemaArn=ARN,
            datasetGroupArn=ARN,
            datasetType=DATASET_TYPE,
            tags=TAGS_SHAPE,
        ),
        _create_dataset,
    ),
    "CreateDatasetGroup": ControlOperation(
        takes("name", name=NAME, roleArn=ROLE_ARN, kmsKeyArn=KMS_KEY_ARN, domain=DOMAIN, tags=TAGS_SHAPE),
        _create_group,
    ),
    "CreateSchema": ControlOperation(
        takes("name", "schema", name=NAME, schema=Text(most=20_000), domain=DOMAIN), _create_schema
    ),
    "DeleteDataset": ControlOperation(takes("datasetArn", datasetArn=ARN), _delete_dataset),
    "DeleteDatasetGroup": ControlOperation(takes("datasetGroupArn", datasetGroupArn=ARN), _delete_group),
    "DeleteSchema": ControlOperation(takes("schemaArn", schemaArn=ARN), _delete_schema),
    "UpdateDataset": ControlOperation(takes("datasetArn", "schemaArn", datasetArn=ARN, schemaArn=ARN), _update_dataset),
}
