"""The operations of the control plane, one entry each: what it takes, and how it is answered.

Those of :data:`OPERATIONS` are answered. Those of :data:`REFUSED` the model has too, and the embedded service has not;
each with the reason that its error gives. Together they are all operations of the model, which a test holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from personalize_rt.local.control.creating import CREATING
from personalize_rt.local.control.deploying import DEPLOYING
from personalize_rt.local.control.group import DatasetGroup
from personalize_rt.local.control.kinds import KINDS, Kind
from personalize_rt.local.control.moving import MOVING
from personalize_rt.local.control.pages import page_of
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.requests import (
    ARN,
    CAMPAIGN_CONFIG,
    DOMAIN,
    NAME,
    PAGE,
    RECOMMENDER_CONFIG,
    TAG_KEY,
    TAGS,
    TAGS_SHAPE,
    ControlOperation,
    Members,
    Reply,
    campaign_configuration,
    configuration,
    tags_of,
    takes,
)
from personalize_rt.local.control.shapes import Items, Shape, Structure, Text, Whole, invalid
from personalize_rt.local.engine import RefusedError

__all__ = ["OPERATIONS", "REFUSED", "ControlOperation"]

# Describe and List.


def _describe(kind: Kind) -> ControlOperation:
    def answer(plane: ControlPlane, members: Members) -> Reply:
        arn = members[kind.arn]
        match kind.name:
            case "Recipe":
                found = plane.recipe(arn)
            case "Schema":
                found = plane.schema(arn)
            case _:
                leaving = plane.account.leaving(arn) if kind.name == "DatasetGroup" else None
                found = leaving or plane.find(kind, arn, kind.arn)[1]
        return {kind.member: {name: value for name, value in found.items() if name not in kind.listed}}

    return ControlOperation(Structure({kind.arn: ARN}, (kind.arn,)), answer)


def _list(kind: Kind) -> ControlOperation:
    narrows: dict[str, Shape] = {}
    if kind.within:
        narrows = {kind.within: DOMAIN if kind.within == "domain" else ARN}
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

    return ControlOperation(Structure({**narrows, **PAGE}), answer)


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
    tags = tags_of(members)
    with plane.account.lock:
        _must_be_free(plane, KINDS["Filter"], members["name"], within=group.arn)
        arn = group.create_filter(members["name"], members["filterExpression"], tags, quotas=plane.account.quotas)
    return {"filterArn": arn}


def _delete_filter(plane: ControlPlane, members: Members) -> None:
    group, found = plane.find(KINDS["Filter"], members["filterArn"], "filterArn")
    group.delete_filter(found["filterArn"])


def _create_tracker(plane: ControlPlane, members: Members) -> Reply:
    group, _ = plane.find(KINDS["DatasetGroup"], members["datasetGroupArn"], "datasetGroupArn")
    tags = tags_of(members)
    with plane.account.lock:
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
    arn, models = found["campaignArn"], None
    config, capacity, wanted = members.get("campaignConfig"), members.get("minProvisionedTPS"), None
    if config is None and capacity is None and "solutionVersionArn" not in members:
        raise invalid("expected solutionVersionArn, minProvisionedTPS or campaignConfig: there is nothing to update")
    if "solutionVersionArn" in members:
        wanted, models = group.version_for(found, members["solutionVersionArn"])
    checked = campaign_configuration(config, members.get("solutionVersionArn", ""))
    group.update(arn, checked, capacity, wanted, models)
    return {"campaignArn": arn}


def _update_recommender(plane: ControlPlane, members: Members) -> Reply:
    group, found = plane.find(KINDS["Recommender"], members["recommenderArn"], "recommenderArn")
    config = dict(members["recommenderConfig"])
    capacity = config.pop("minRecommendationRequestsPerSecond", None)
    group.update(found["recommenderArn"], configuration("recommenderConfig", config), capacity)
    return {"recommenderArn": found["recommenderArn"]}


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
    tags = tags_of(members)
    group, arn = _tagged(plane, members)
    group.tag(arn, tags, TAGS)
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


OPERATIONS: Mapping[str, ControlOperation] = {
    **{f"Describe{kind.name}": _describe(kind) for kind in KINDS.values()},
    **{f"List{kind.name}s": _list(kind) for kind in KINDS.values()},
    "CreateEventTracker": ControlOperation(
        takes("name", "datasetGroupArn", name=NAME, datasetGroupArn=ARN, tags=TAGS_SHAPE), _create_tracker
    ),
    "CreateFilter": ControlOperation(
        takes(
            "name",
            "datasetGroupArn",
            "filterExpression",
            name=NAME,
            datasetGroupArn=ARN,
            filterExpression=Text(1, 2500),
            tags=TAGS_SHAPE,
        ),
        _create_filter,
    ),
    "DeleteEventTracker": ControlOperation(takes("eventTrackerArn", eventTrackerArn=ARN), _delete_tracker),
    "DeleteFilter": ControlOperation(takes("filterArn", filterArn=ARN), _delete_filter),
    "GetSolutionMetrics": ControlOperation(takes("solutionVersionArn", solutionVersionArn=ARN), _metrics),
    "ListTagsForResource": ControlOperation(takes("resourceArn", resourceArn=ARN), _list_tags),
    "TagResource": ControlOperation(takes("resourceArn", "tags", resourceArn=ARN, tags=TAGS_SHAPE), _tag),
    "UntagResource": ControlOperation(
        takes("resourceArn", "tagKeys", resourceArn=ARN, tagKeys=Items(TAG_KEY, 200)), _untag
    ),
    "UpdateCampaign": ControlOperation(
        takes(
            "campaignArn",
            campaignArn=ARN,
            solutionVersionArn=ARN,
            minProvisionedTPS=Whole(1),
            campaignConfig=CAMPAIGN_CONFIG,
        ),
        _update_campaign,
    ),
    "UpdateRecommender": ControlOperation(
        takes("recommenderArn", "recommenderConfig", recommenderArn=ARN, recommenderConfig=RECOMMENDER_CONFIG),
        _update_recommender,
    ),
    **CREATING,
    **DEPLOYING,
    **MOVING,
}

_JOBS = "there are no {} here"

REFUSED: Mapping[str, str] = {
    "CreateDataDeletionJob": f"{_JOBS.format('data deletion jobs')}: import the data without them",
    "CreateBatchSegmentJob": _JOBS.format("user segments"),
    "CreateMetricAttribution": _JOBS.format("metric attributions"),
    "DeleteMetricAttribution": _JOBS.format("metric attributions"),
    "ListMetricAttributionMetrics": _JOBS.format("metric attributions"),
    "UpdateMetricAttribution": _JOBS.format("metric attributions"),
    "DescribeAlgorithm": "recipes name their algorithms, which are no resources here",
    "DescribeFeatureTransformation": "recipes name their feature transformations, which are no resources here",
}
