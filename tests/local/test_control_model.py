"""The control plane against botocore's model of ``personalize``: no operation or member that only one of them has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.model import Shape as ModelShape

from personalize_rt.local import LocalPersonalize
from personalize_rt.local.apis import CONTROL
from personalize_rt.local.control.kinds import KINDS
from personalize_rt.local.control.operations import OPERATIONS, REFUSED
from personalize_rt.local.control.shapes import Entries, Flag, Items, Number, Shape, Structure, Text, Whole
from tests.local.control_requests import told

DIVERGENCES = Path(__file__).parents[2] / "docs" / "divergences.md"

# Older models lack members that the service has by now.
HAS_OLDER_MODEL = tuple(map(int, botocore.__version__.split(".")[:2])) < (1, 43)

pytestmark = pytest.mark.skipif(HAS_OLDER_MODEL, reason="the model of this botocore is older")


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("personalize", "service-2"), "personalize")


def differences(ours: Shape, theirs: Any, path: str) -> Iterator[str]:
    """Whatever a shape of ours and one of the model have not in common."""
    limits = theirs.metadata
    match ours:
        case Structure():
            if theirs.type_name != "structure":
                yield f"{path}: {theirs.type_name}"
                return
            members: Mapping[str, Any] = theirs.members
            if set(ours.members) != set(members):
                yield f"{path}: {sorted(set(ours.members) ^ set(members))}"
            if sorted(ours.required) != sorted(theirs.required_members):
                yield f"{path}: requires {theirs.required_members}"
            for name in set(ours.members) & set(members):
                yield from differences(ours.members[name], members[name], f"{path}.{name}")
        case Items():
            if theirs.type_name != "list" or ours.most != limits.get("max") or limits.get("min", 0):
                yield f"{path}: {theirs.type_name} {limits}"
            else:
                yield from differences(ours.of, theirs.member, f"{path}[]")
        case Entries():
            if theirs.type_name != "map" or ours.most != limits.get("max"):
                yield f"{path}: {theirs.type_name} {limits}"
            else:
                yield from differences(ours.key, theirs.key, f"{path} key")
                yield from differences(ours.value, theirs.value, f"{path} value")
        case Text():
            same = (ours.least, ours.most, ours.pattern) == (
                limits.get("min", 0),
                limits.get("max"),
                limits.get("pattern", ""),
            )
            if theirs.type_name != "string" or not same or list(ours.choices) != list(limits.get("enum", [])):
                yield f"{path}: {theirs.type_name} {limits}"
        case Whole():
            if theirs.type_name != "integer" or (ours.least, ours.most) != (limits.get("min"), limits.get("max")):
                yield f"{path}: {theirs.type_name} {limits}"
        case Number():
            if theirs.type_name != "double" or (ours.least, ours.most) != (limits.get("min"), limits.get("max")):
                yield f"{path}: {theirs.type_name} {limits}"
        case Flag():
            if theirs.type_name != "boolean":
                yield f"{path}: {theirs.type_name}"
        case _:
            yield f"{path}: a shape that this test does not know"


def test_every_operation_of_the_model_is_answered_or_refused(model: ServiceModel) -> None:
    assert not set(OPERATIONS) & set(REFUSED)
    assert sorted([*OPERATIONS, *REFUSED]) == sorted(model.operation_names) == sorted(CONTROL.names)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation_takes_what_the_model_has(model: ServiceModel, name: str) -> None:
    assert [*differences(OPERATIONS[name].takes, model.operation_model(name).input_shape, name)] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.summary], ids=lambda kind: kind.name)
def test_rows_of_a_list_have_every_member_of_the_model(model: ServiceModel, kind: Any) -> None:
    output: Any = model.operation_model(f"List{kind.name}s").output_shape
    rows: Any = output.members[kind.rows]
    assert sorted(kind.summary) == sorted(rows.member.members)


def test_divergences_list_every_operation_with_what_is_true_of_it() -> None:
    text = DIVERGENCES.read_text(encoding="utf-8")
    section = text.partition("### Operations of `personalize`")[2].partition("\n## ")[0].partition("\n### ")[0]
    told: dict[str, str] = {}
    for row in re.findall(r"^\| (.+?) \| (\w+) \|", section, re.MULTILINE):
        for name in re.findall(r"`([A-Z][A-Za-z]+)`", row[0]):
            assert name not in told, name
            told[name] = row[1]
    assert {name for name, state in told.items() if state == "refused"} == set(REFUSED)
    assert {name for name, state in told.items() if state in ("done", "different")} == set(OPERATIONS)


# Replies.


def wrong_in(value: Any, shape: ModelShape, path: str) -> Iterator[str]:
    """Whatever of a reply the model does not have, or has in another type."""
    theirs: Any = shape
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                yield f"{path}: {value!r}"
                return
            members: Mapping[str, Any] = theirs.members
            for name in theirs.required_members:
                if name not in value:
                    yield f"{path}.{name} is missing"
            for name, content in value.items():
                if name not in members:
                    yield f"{path}.{name} is unknown"
                else:
                    yield from wrong_in(content, members[name], f"{path}.{name}")
        case "list":
            for number, item in enumerate(value if isinstance(value, list) else [value]):
                yield from wrong_in(item, theirs.member, f"{path}[{number}]")
        case "map":
            for name, content in value.items():
                yield from wrong_in(name, theirs.key, f"{path} key")
                yield from wrong_in(content, theirs.value, f"{path}.{name}")
        case "timestamp":
            if not isinstance(value, int | float) or datetime.fromtimestamp(value).year not in range(2019, 2100):
                yield f"{path}: {value!r} is no time in seconds"
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: {value!r}"
        case "integer":
            if not isinstance(value, int) or isinstance(value, bool):
                yield f"{path}: {value!r}"
        case "double":
            if not isinstance(value, int | float) or isinstance(value, bool):
                yield f"{path}: {value!r}"
        case _:
            pattern = theirs.metadata.get("pattern", "")
            known = pattern and r"\p{" not in pattern  # which Python does not have
            if not isinstance(value, str) or (known and not re.fullmatch(pattern, value)):
                yield f"{path}: {value!r}"
            elif theirs.metadata.get("enum") and value not in theirs.metadata["enum"]:
                yield f"{path}: {value!r} is none of {theirs.metadata['enum']}"


# What Describe has to tell; the model requires nothing.
EXPECTED = {
    "DatasetGroup": {"name", "datasetGroupArn", "status", "creationDateTime", "lastUpdatedDateTime", "domain"},
    "Schema": {"name", "schemaArn", "schema", "creationDateTime", "lastUpdatedDateTime", "domain"},
    "Dataset": {
        *("name", "datasetArn", "datasetGroupArn", "datasetType", "schemaArn", "status"),
        *("creationDateTime", "lastUpdatedDateTime"),
    },
    "Solution": {
        *("name", "solutionArn", "performHPO", "performAutoML", "performAutoTraining", "performIncrementalUpdate"),
        *("recipeArn", "datasetGroupArn", "solutionConfig", "status", "creationDateTime", "lastUpdatedDateTime"),
        "latestSolutionVersion",
    },
    "SolutionVersion": {
        *("solutionVersionArn", "solutionArn", "performHPO", "performAutoML", "performIncrementalUpdate", "recipeArn"),
        *("datasetGroupArn", "solutionConfig", "trainingHours", "trainingMode", "status", "creationDateTime"),
        *("lastUpdatedDateTime", "trainingType"),
    },
    "Campaign": {
        *("name", "campaignArn", "solutionVersionArn", "minProvisionedTPS", "campaignConfig", "status"),
        *("creationDateTime", "lastUpdatedDateTime"),
    },
    "Recommender": {
        *("name", "recommenderArn", "datasetGroupArn", "recipeArn", "recommenderConfig", "status"),
        *("creationDateTime", "lastUpdatedDateTime"),
    },
    "Filter": {
        *("name", "filterArn", "datasetGroupArn", "filterExpression", "status"),
        *("creationDateTime", "lastUpdatedDateTime"),
    },
    "EventTracker": {
        *("name", "eventTrackerArn", "accountId", "trackingId", "datasetGroupArn", "status"),
        *("creationDateTime", "lastUpdatedDateTime"),
    },
    "Recipe": {
        *("name", "recipeArn", "algorithmArn", "featureTransformationArn", "status", "description"),
        *("creationDateTime", "recipeType", "lastUpdatedDateTime"),
    },
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_replies_of_describe_and_list_are_the_models(model: ServiceModel, name: str) -> None:
    local, kind = LocalPersonalize.sample(), KINDS[name]
    listed = told(local, f"List{name}s")
    output: Any = model.operation_model(f"List{name}s").output_shape
    assert [*wrong_in(listed, output, f"List{name}s")] == []
    assert listed[kind.rows]
    for row in listed[kind.rows]:
        reply = told(local, f"Describe{name}", **{kind.arn: row[kind.arn]})
        shape: Any = model.operation_model(f"Describe{name}").output_shape
        assert [*wrong_in(reply, shape, f"Describe{name}")] == []
        assert set(reply[kind.member]) == EXPECTED[name]
        assert {**reply[kind.member], **row} == reply[kind.member] or kind.listed


def test_replies_after_changes_are_the_models(model: ServiceModel) -> None:
    local = LocalPersonalize.sample()
    campaign, recommender = local.campaign_arn("movies-ranking"), local.recommender_arn("top-picks")
    tags = [{"tagKey": "team", "tagValue": "films"}]
    filter_arn = {"filterArn": local.filter_arn("unseen-by-genre")}
    changes: Mapping[str, Mapping[str, Any]] = {
        "UpdateCampaign": {"campaignArn": campaign, "minProvisionedTPS": 2},
        "DescribeCampaign": {"campaignArn": campaign},
        "UpdateRecommender": {
            "recommenderArn": recommender,
            "recommenderConfig": {"minRecommendationRequestsPerSecond": 2},
        },
        "DescribeRecommender": {"recommenderArn": recommender},
        "CreateFilter": {
            "name": "new",
            "datasetGroupArn": local.dataset_group_arn,
            "filterExpression": "INCLUDE ItemID WHERE Items.YEAR < 1970",
            "tags": tags,
        },
        "TagResource": {"resourceArn": campaign, "tags": tags},
        "ListTagsForResource": {"resourceArn": campaign},
        "UntagResource": {"resourceArn": campaign, "tagKeys": ["team"]},
        "GetSolutionMetrics": {
            "solutionVersionArn": told(local, "DescribeCampaign", campaignArn=local.campaign_arn("popular-movies"))[
                "campaign"
            ]["solutionVersionArn"]
        },
        "DeleteFilter": filter_arn,
    }
    for name, members in changes.items():
        reply = told(local, name, **members)
        shape: Any = model.operation_model(name).output_shape
        if shape is None:
            assert reply == {}
        else:
            assert [*wrong_in(reply, shape, name)] == []
