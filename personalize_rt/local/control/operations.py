"""The operations of the control plane, one entry each: what it takes, and how it is answered.

Those of :data:`OPERATIONS` are answered. Those of :data:`REFUSED` the model has too, and the embedded service has not;
each with the reason that its error gives. Together they are all operations of the model, which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs

from personalize_rt.local.control.group import DatasetGroup
from personalize_rt.local.control.kinds import KINDS, Kind
from personalize_rt.local.control.pages import page_of
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.shapes import (
    Entries,
    Flag,
    Items,
    Number,
    Shape,
    Structure,
    Text,
    Whole,
    invalid,
)
from personalize_rt.local.engine import RefusedError

__all__ = ["OPERATIONS", "REFUSED", "ControlOperation"]

Members = dict[str, Any]
Reply = Mapping[str, Any]

# Guide, "Tagging Amazon Personalize resources": each resource may have 50 tags.
_TAGS = 50


@attrs.frozen
class ControlOperation:
    """One operation.

    Attributes:
        takes: The members of its request.
        answer: Answers a checked request.
    """

    takes: Structure
    answer: Callable[[ControlPlane, Members], Reply | None]


# Shapes of the model, by their names there.

_ARN = Text(most=256, pattern=r"arn:([a-z\d-]+):personalize:.*:.*:.+")
_NAME = Text(1, 63, r"^[a-zA-Z0-9][a-zA-Z0-9\-_]*")
_TAG_KEY = Text(1, 128, r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")
_TAG_VALUE = Text(0, 256, _TAG_KEY.pattern)
_TAGS_SHAPE = Items(Structure({"tagKey": _TAG_KEY, "tagValue": _TAG_VALUE}, ("tagKey", "tagValue")), 200)
_DOMAIN = Text(choices=("ECOMMERCE", "VIDEO_ON_DEMAND"))
_HYPERPARAMETERS = Entries(Text(most=256), Text(most=1000), 100)
_DATASET_TYPE = Text(most=256, pattern="^[A-Za-z_]+$")
_COLUMNS = Items(Text(most=150, pattern=r"[A-Za-z_][A-Za-z\d_]*"), 50)
_PER_DATASET = Entries(_DATASET_TYPE, _COLUMNS, 3)
_PAGE: Mapping[str, Shape] = {
    "nextToken": Text(most=1500, pattern=r"\p{ASCII}{0,1500}"),
    "maxResults": Whole(1, 100),
}
_CAMPAIGN_CONFIG = Structure(
    {
        "itemExplorationConfig": _HYPERPARAMETERS,
        "enableMetadataWithRecommendations": Flag(),
        "syncWithLatestSolutionVersion": Flag(),
        "rankingInfluence": Entries(Text(choices=("POPULARITY", "FRESHNESS")), Number(0, 1)),
    }
)
_RECOMMENDER_CONFIG = Structure(
    {
        "itemExplorationConfig": _HYPERPARAMETERS,
        "minRecommendationRequestsPerSecond": Whole(1),
        "trainingDataConfig": Structure(
            {"excludedDatasetColumns": _PER_DATASET, "includedDatasetColumns": _PER_DATASET}
        ),
        "enableMetadataWithRecommendations": Flag(),
    }
)
# What of these the embedded service has; anything else would be told, and change nothing.
_CONFIGURABLE = ("enableMetadataWithRecommendations", "syncWithLatestSolutionVersion")


# Describe and List.


def _describe(kind: Kind) -> ControlOperation:
    def answer(plane: ControlPlane, members: Members) -> Reply:
        arn = members[kind.arn]
        found = plane.recipe(arn) if kind.name == "Recipe" else plane.find(kind, arn, kind.arn)[1]
        return {kind.member: {name: value for name, value in found.items() if name not in kind.listed}}

    return ControlOperation(Structure({kind.arn: _ARN}, (kind.arn,)), answer)


def _list(kind: Kind) -> ControlOperation:
    narrows: dict[str, Shape] = {}
    if kind.within:
        narrows = {kind.within: _DOMAIN if kind.within == "domain" else _ARN}
    if kind.name == "Recipe":
        narrows["recipeProvider"] = Text(choices=("SERVICE",))

    def answer(plane: ControlPlane, members: Members) -> Reply:
        parent = members.get(kind.within)
        if parent is not None and kind.within != "domain":
            parent = _existing(plane, kind, parent)
        arns = [arn for arn, within in plane.arns(kind) if parent is None or within == parent]
        listing = f"{kind.name} {parent or ''}"
        page, token = page_of(arns, listing, members.get("nextToken"), members.get("maxResults", 100))
        found = [row for arn in page if (row := plane.describe(kind, arn)) is not None]
        rows = [{name: row[name] for name in kind.summary if name in row} for row in found]
        return {kind.rows: rows, **({} if token is None else {"nextToken": token})}

    return ControlOperation(Structure({**narrows, **_PAGE}), answer)


def _existing(plane: ControlPlane, kind: Kind, arn: str) -> str:
    """The ARN of the resource that a list is narrowed to."""
    parent = next(one for one in KINDS.values() if one.arn == kind.within)
    try:
        found: str = plane.find(parent, arn, kind.within)[1][parent.arn]
    except RefusedError as error:
        # Only ListSolutionVersions has the other error, by the model.
        code = error.code if kind.name == "SolutionVersion" else "InvalidInputException"
        raise RefusedError(code, error.message) from None
    return found


# Filters, event trackers, updates, tags, metrics.


def _create_filter(plane: ControlPlane, members: Members) -> Reply:
    group, _ = plane.find(KINDS["DatasetGroup"], members["datasetGroupArn"], "datasetGroupArn")
    tags = _tags_of(members)
    with plane.lock:
        _must_be_free(plane, KINDS["Filter"], members["name"], within=group.arn)
        arn = group.create_filter(members["name"], members["filterExpression"], tags)
    return {"filterArn": arn}


def _delete_filter(plane: ControlPlane, members: Members) -> None:
    group, found = plane.find(KINDS["Filter"], members["filterArn"], "filterArn")
    group.delete_filter(found["filterArn"])


def _create_tracker(plane: ControlPlane, members: Members) -> Reply:
    group, _ = plane.find(KINDS["DatasetGroup"], members["datasetGroupArn"], "datasetGroupArn")
    tags = _tags_of(members)
    with plane.lock:
        _must_be_free(plane, KINDS["EventTracker"], members["name"], within=group.arn)
        tracker = group.create_tracker(members["name"], tags)
    return {"eventTrackerArn": tracker.arn, "trackingId": tracker.tracking_id}


def _delete_tracker(plane: ControlPlane, members: Members) -> None:
    group, found = plane.find(KINDS["EventTracker"], members["eventTrackerArn"], "eventTrackerArn")
    group.delete_tracker(found["eventTrackerArn"])


def _must_be_free(plane: ControlPlane, kind: Kind, name: str, *, within: str) -> None:
    """Refuse the name of a resource of another dataset group (a workshop's notebook: service.md section 1.9)."""
    for group in plane.groups:
        for arn, _ in group.arns(kind.name) if group.arn != within else ():
            if arn.rpartition("/")[2] == name:
                message = f"there is a {kind.label} {arn} already, in the dataset group {group.name}"
                raise RefusedError("ResourceAlreadyExistsException", message)


def _update_campaign(plane: ControlPlane, members: Members) -> Reply:
    group, found = plane.find(KINDS["Campaign"], members["campaignArn"], "campaignArn")
    arn, version = found["campaignArn"], found["solutionVersionArn"]
    config, capacity, wanted = members.get("campaignConfig"), members.get("minProvisionedTPS"), None
    latest = f"{version.rpartition('/')[0]}/$LATEST"
    if config is None and capacity is None and "solutionVersionArn" not in members:
        raise invalid("expected solutionVersionArn, minProvisionedTPS or campaignConfig: there is nothing to update")
    if "solutionVersionArn" in members:
        wanted = members["solutionVersionArn"]
        if wanted not in (version, latest):
            known = f"{version} or {latest}"
            raise invalid(f"solutionVersionArn: the embedded service has one version of a solution: expected {known}")
    checked = _configuration("campaignConfig", config)
    if checked.get("syncWithLatestSolutionVersion") and wanted != latest:
        raise invalid(f"solutionVersionArn: syncWithLatestSolutionVersion needs it in the form {latest}")
    group.update(arn, checked, capacity)
    return {"campaignArn": arn}


def _update_recommender(plane: ControlPlane, members: Members) -> Reply:
    group, found = plane.find(KINDS["Recommender"], members["recommenderArn"], "recommenderArn")
    config = dict(members["recommenderConfig"])
    capacity = config.pop("minRecommendationRequestsPerSecond", None)
    group.update(found["recommenderArn"], _configuration("recommenderConfig", config), capacity)
    return {"recommenderArn": found["recommenderArn"]}


def _configuration(member: str, config: Mapping[str, Any] | None) -> dict[str, Any]:
    given = {name: value for name, value in (config or {}).items() if value is not None}
    for name in given:
        if name not in _CONFIGURABLE:
            raise invalid(f"{member}.{name}: the embedded service does not have it, and would ignore it")
    return given


def _tags_of(members: Members) -> dict[str, str]:
    """The checked tags of a request."""
    tags: dict[str, str] = {}
    for tag in cast("list[dict[str, str]]", members.get("tags", [])):
        key = tag["tagKey"]
        if key in tags:
            raise invalid("tags: a key comes twice")
        if key.lower().startswith("aws:"):
            raise invalid("tags: keys that begin with aws: are reserved")
        tags[key] = tag["tagValue"]
    if len(tags) > _TAGS:
        raise RefusedError("TooManyTagsException", f"tags: a resource may have {_TAGS}, not {len(tags)}")
    return tags


def _tagged(plane: ControlPlane, members: Members) -> tuple[DatasetGroup, str]:
    """The dataset group and the ARN of the resource of a request."""
    arn = members["resourceArn"]
    kinds = [kind for kind in KINDS.values() if kind.is_of(arn)]
    if not kinds:
        raise invalid("resourceArn: expected the ARN of a resource that may have tags")
    # A version's ARN is that of its solution, and more.
    kind = kinds[-1] if arn.count("/") > 1 else kinds[0]
    if not kind.taggable:
        raise invalid(f"resourceArn: a {kind.label} has no tags")
    group, found = plane.find(kind, arn, "resourceArn")
    return group, found[kind.arn]


def _tag(plane: ControlPlane, members: Members) -> Reply:
    tags = _tags_of(members)
    group, arn = _tagged(plane, members)
    group.tag(arn, tags, _TAGS)
    return {}


def _untag(plane: ControlPlane, members: Members) -> Reply:
    group, arn = _tagged(plane, members)
    group.untag(arn, members["tagKeys"])
    return {}


def _list_tags(plane: ControlPlane, members: Members) -> Reply:
    group, arn = _tagged(plane, members)
    return {"tags": group.tags(arn)}


def _metrics(plane: ControlPlane, members: Members) -> Reply:
    group, found = plane.find(KINDS["SolutionVersion"], members["solutionVersionArn"], "solutionVersionArn")
    arn = found["solutionVersionArn"]
    return {"solutionVersionArn": arn, "metrics": group.metrics(arn)}


def _takes(*required: str, **members: Shape) -> Structure:
    return Structure(members, required)


OPERATIONS: Mapping[str, ControlOperation] = {
    **{f"Describe{kind.name}": _describe(kind) for kind in KINDS.values()},
    **{f"List{kind.name}s": _list(kind) for kind in KINDS.values()},
    "CreateEventTracker": ControlOperation(
        _takes("name", "datasetGroupArn", name=_NAME, datasetGroupArn=_ARN, tags=_TAGS_SHAPE), _create_tracker
    ),
    "CreateFilter": ControlOperation(
        _takes(
            "name",
            "datasetGroupArn",
            "filterExpression",
            name=_NAME,
            datasetGroupArn=_ARN,
            filterExpression=Text(1, 2500),
            tags=_TAGS_SHAPE,
        ),
        _create_filter,
    ),
    "DeleteEventTracker": ControlOperation(_takes("eventTrackerArn", eventTrackerArn=_ARN), _delete_tracker),
    "DeleteFilter": ControlOperation(_takes("filterArn", filterArn=_ARN), _delete_filter),
    "GetSolutionMetrics": ControlOperation(_takes("solutionVersionArn", solutionVersionArn=_ARN), _metrics),
    "ListTagsForResource": ControlOperation(_takes("resourceArn", resourceArn=_ARN), _list_tags),
    "TagResource": ControlOperation(_takes("resourceArn", "tags", resourceArn=_ARN, tags=_TAGS_SHAPE), _tag),
    "UntagResource": ControlOperation(
        _takes("resourceArn", "tagKeys", resourceArn=_ARN, tagKeys=Items(_TAG_KEY, 200)), _untag
    ),
    "UpdateCampaign": ControlOperation(
        _takes(
            "campaignArn",
            campaignArn=_ARN,
            solutionVersionArn=_ARN,
            minProvisionedTPS=Whole(1),
            campaignConfig=_CAMPAIGN_CONFIG,
        ),
        _update_campaign,
    ),
    "UpdateRecommender": ControlOperation(
        _takes("recommenderArn", "recommenderConfig", recommenderArn=_ARN, recommenderConfig=_RECOMMENDER_CONFIG),
        _update_recommender,
    ),
}

_DECLARED = "personalize.toml and the CSV files beside it declare {}: change them, and reload"
_JOBS = "there are no {} here"

REFUSED: Mapping[str, str] = {
    **{
        operation: _DECLARED.format(what)
        for operation, what in {
            "CreateCampaign": "campaigns",
            "CreateDataset": "datasets",
            "CreateDatasetGroup": "a dataset group",
            "CreateRecommender": "recommenders",
            "CreateSchema": "schemas",
            "CreateSolution": "solutions, by the recipes of campaigns",
            "CreateSolutionVersion": "solutions, by the recipes of campaigns",
            "DeleteCampaign": "campaigns",
            "DeleteDataset": "datasets",
            "DeleteDatasetGroup": "a dataset group",
            "DeleteRecommender": "recommenders",
            "DeleteSchema": "schemas",
            "DeleteSolution": "solutions, by the recipes of campaigns",
            "UpdateDataset": "datasets",
            "UpdateSolution": "solutions, by the recipes of campaigns",
        }.items()
    },
    "CreateDatasetImportJob": "the CSV files of the directory are the data: change them, and reload",
    "CreateDatasetExportJob": "the CSV files of the directory are the data",
    "CreateDataDeletionJob": "the CSV files of the directory are the data: change them, and reload",
    "CreateBatchInferenceJob": f"{_JOBS.format('batch jobs')}; personalize-rt bulk asks for many users",
    "CreateBatchSegmentJob": _JOBS.format("batch jobs, and no user segments"),
    "CreateMetricAttribution": _JOBS.format("metric attributions"),
    "DeleteMetricAttribution": _JOBS.format("metric attributions"),
    "ListMetricAttributionMetrics": _JOBS.format("metric attributions"),
    "UpdateMetricAttribution": _JOBS.format("metric attributions"),
    "DescribeAlgorithm": "recipes name their algorithms, which are no resources here",
    "DescribeFeatureTransformation": "recipes name their feature transformations, which are no resources here",
    "StartRecommender": "recommenders are always active here",
    "StopRecommender": "recommenders are always active here",
    "StopSolutionVersionCreation": "solution versions are complete when the data are loaded",
}
