"""The operations from solutions to campaigns, and those of recommenders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from personalize_rt.local.control.created import CreatedGroup
from personalize_rt.local.control.creating import as_created, created_group
from personalize_rt.local.control.group import exceeded
from personalize_rt.local.control.kinds import KINDS, Kind
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.requests import (
    ARN,
    CAMPAIGN_CONFIG,
    HYPERPARAMETERS,
    NAME,
    PER_DATASET,
    RECOMMENDER_CONFIG,
    TAGS_SHAPE,
    ControlOperation,
    Members,
    Reply,
    campaign_configuration,
    configuration,
    must_be_free,
    must_have_room,
    tags_of,
    takes,
)
from personalize_rt.local.control.shapes import Flag, Items, Number, Structure, Text, Whole, invalid
from personalize_rt.local.recipes import BATCH_ONLY, RECIPES, Recipe

__all__ = ["DEPLOYING"]

# Guide, "Amazon Personalize endpoints and quotas": of a dataset group.
_QUOTAS = {"Solution": 10, "Campaign": 5, "Recommender": 5}
_MILLION = 1_000_000
_METRIC = Text(most=256)
_RANGE_NAME = Text(most=256)
_EVENT = Structure({"eventType": Text(most=256), "eventValueThreshold": Number(), "weight": Number(0, 1)})
_EVENTS_CONFIG = Structure({"eventParametersList": Items(_EVENT, 10)})
_AUTO_TRAINING = Structure({"schedulingExpression": Text(1, 16, r"rate\(\d+ days?\)")})
_SOLUTION_CONFIG = Structure(
    {
        "eventValueThreshold": Text(most=256),
        "hpoConfig": Structure(
            {
                "hpoObjective": Structure({"type": Text(most=256), "metricName": _METRIC, "metricRegex": _METRIC}),
                "hpoResourceConfig": Structure(
                    {"maxNumberOfTrainingJobs": Text(most=256), "maxParallelTrainingJobs": Text(most=256)}
                ),
                "algorithmHyperParameterRanges": Structure(
                    {
                        "integerHyperParameterRanges": Items(
                            Structure(
                                {
                                    "name": _RANGE_NAME,
                                    "minValue": Whole(-_MILLION, None),
                                    "maxValue": Whole(None, _MILLION),
                                }
                            ),
                            100,
                        ),
                        "continuousHyperParameterRanges": Items(
                            Structure(
                                {"name": _RANGE_NAME, "minValue": Number(-_MILLION), "maxValue": Number(-_MILLION)}
                            ),
                            100,
                        ),
                        "categoricalHyperParameterRanges": Items(
                            Structure({"name": _RANGE_NAME, "values": Items(Text(most=1000), 100)}), 100
                        ),
                    }
                ),
            }
        ),
        "algorithmHyperParameters": HYPERPARAMETERS,
        "featureTransformationParameters": HYPERPARAMETERS,
        "autoMLConfig": Structure({"metricName": _METRIC, "recipeList": Items(ARN, 100)}),
        "eventsConfig": _EVENTS_CONFIG,
        "optimizationObjective": Structure(
            {
                "itemAttribute": Text(1, 150),
                "objectiveSensitivity": Text(choices=("LOW", "MEDIUM", "HIGH", "OFF")),
            }
        ),
        "trainingDataConfig": Structure({"excludedDatasetColumns": PER_DATASET, "includedDatasetColumns": PER_DATASET}),
        "autoTrainingConfig": _AUTO_TRAINING,
    }
)


def _recipe(arn: str, resource: str) -> Recipe:
    """The recipe of an ARN, which must be one for campaigns (``"campaign"``) or recommenders."""
    name = arn.rpartition("/")[2]
    if name in BATCH_ONLY:
        raise invalid(f"recipeArn: {name} makes user segments, which the embedded service does not have")
    recipe = RECIPES[name]
    if recipe.resource != resource:
        kind = "a solution takes a recipe" if resource == "campaign" else "a recommender takes a use case"
        raise invalid(f"recipeArn: {name} is for {recipe.resource}s: {kind}")
    return recipe


def _check_quota(plane: ControlPlane, group: CreatedGroup, kind: str) -> None:
    most = _QUOTAS[kind]
    if plane.account.quotas and sum(1 for _ in group.arns(kind)) >= most:
        raise exceeded(f"{group.arn} has {most} {KINDS[kind].label}s, which is its quota")


# Solutions and their versions.


def _create_solution(plane: ControlPlane, members: Members) -> Reply:
    tags, name = tags_of(members), members["name"]
    config: Mapping[str, Any] = members.get("solutionConfig", {})
    if members.get("performAutoML") or config.get("autoMLConfig") is not None:
        raise invalid("performAutoML, autoMLConfig: the embedded service chooses no recipe: name one in recipeArn")
    if "recipeArn" not in members:
        raise invalid("recipeArn is missing")
    recipe = _recipe(plane.recipe(members["recipeArn"])["recipeArn"], "campaign")
    threshold = config.get("eventValueThreshold")
    if threshold is not None:
        if "eventType" not in members:
            raise invalid("solutionConfig.eventValueThreshold needs an eventType")
        try:
            float(threshold)
        except ValueError:
            raise invalid("solutionConfig.eventValueThreshold: expected a number as text") from None
    group = created_group(plane, members["datasetGroupArn"])
    told = {
        "performHPO": members.get("performHPO", False),
        "performAutoML": False,
        "performAutoTraining": members.get("performAutoTraining", False),
        "performIncrementalUpdate": members.get("performIncrementalUpdate", False),
        "recipeArn": members["recipeArn"],
        "solutionConfig": config,
        **({"eventType": members["eventType"]} if "eventType" in members else {}),
    }
    with plane.account.lock:
        must_be_free(plane, KINDS["Solution"], name)
        _check_quota(plane, group, "Solution")
        return {"solutionArn": group.create_solution(name, recipe, told, tags)}


def _update_solution(plane: ControlPlane, members: Members) -> Reply:
    group, found = plane.find(KINDS["Solution"], members["solutionArn"], "solutionArn")
    config = members.get("solutionUpdateConfig", {})
    changed: dict[str, Any] = {
        name: members[name] for name in ("performAutoTraining", "performIncrementalUpdate") if name in members
    }
    if not config and not changed:
        raise invalid(
            "expected performAutoTraining, performIncrementalUpdate or solutionUpdateConfig: there is nothing to update"
        )
    as_created(group, "solutionArn").update_solution(found["solutionArn"], changed, config)
    return {"solutionArn": found["solutionArn"]}


def _delete_solution(plane: ControlPlane, members: Members) -> None:
    group, found = plane.find(KINDS["Solution"], members["solutionArn"], "solutionArn")
    as_created(group, "solutionArn").delete_solution(found["solutionArn"])


def _create_version(plane: ControlPlane, members: Members) -> Reply:
    tags = tags_of(members)
    group, found = plane.find(KINDS["Solution"], members["solutionArn"], "solutionArn")
    told = {name: value for name, value in members.items() if name in ("name", "trainingMode")}
    must_have_room(plane, KINDS["SolutionVersion"])
    return {"solutionVersionArn": as_created(group, "solutionArn").create_version(found["solutionArn"], told, tags)}


def _stop_version(plane: ControlPlane, members: Members) -> None:
    group, found = plane.find(KINDS["SolutionVersion"], members["solutionVersionArn"], "solutionVersionArn")
    as_created(group, "solutionVersionArn").stop_version(found["solutionVersionArn"])


# Campaigns.


def _create_campaign(plane: ControlPlane, members: Members) -> Reply:
    tags, name, wanted = tags_of(members), members["name"], members["solutionVersionArn"]
    config = campaign_configuration(members.get("campaignConfig"), wanted)
    solution = wanted.removesuffix("/$LATEST")
    kind = KINDS["SolutionVersion" if solution == wanted else "Solution"]
    group = as_created(plane.find(kind, solution, "solutionVersionArn")[0], "solutionVersionArn")
    version = group.latest_of(wanted)
    group.version(version)
    with plane.account.lock:
        must_be_free(plane, KINDS["Campaign"], name)
        _check_quota(plane, group, "Campaign")
        arn = group.create_campaign(name, version, config, members.get("minProvisionedTPS", 1), tags)
    return {"campaignArn": arn}


def _deleting(kind: Kind) -> Callable[[ControlPlane, Members], None]:
    def answer(plane: ControlPlane, members: Members) -> None:
        group, found = plane.find(kind, members[kind.arn], kind.arn)
        as_created(group, kind.arn).delete_deployed(kind.name, found[kind.arn])

    return answer


# Recommenders.


def _create_recommender(plane: ControlPlane, members: Members) -> Reply:
    tags, name = tags_of(members), members["name"]
    recipe = _recipe(plane.recipe(members["recipeArn"])["recipeArn"], "recommender")
    config = dict(members.get("recommenderConfig", {}))
    capacity = config.pop("minRecommendationRequestsPerSecond", None) or 1
    checked = configuration("recommenderConfig", config)
    group = created_group(plane, members["datasetGroupArn"])
    with plane.account.lock:
        must_be_free(plane, KINDS["Recommender"], name)
        _check_quota(plane, group, "Recommender")
        return {"recommenderArn": group.create_recommender(name, recipe, checked, capacity, tags)}


def _turning(verb: str) -> Callable[[ControlPlane, Members], Reply]:
    def answer(plane: ControlPlane, members: Members) -> Reply:
        group, found = plane.find(KINDS["Recommender"], members["recommenderArn"], "recommenderArn")
        as_created(group, "recommenderArn").turn_recommender(found["recommenderArn"], verb)
        return {"recommenderArn": found["recommenderArn"]}

    return answer


DEPLOYING: Mapping[str, ControlOperation] = {
    "CreateCampaign": ControlOperation(
        takes(
            "name",
            "solutionVersionArn",
            name=NAME,
            solutionVersionArn=ARN,
            minProvisionedTPS=Whole(1),
            campaignConfig=CAMPAIGN_CONFIG,
            tags=TAGS_SHAPE,
        ),
        _create_campaign,
    ),
    "CreateRecommender": ControlOperation(
        takes(
            "name",
            "datasetGroupArn",
            "recipeArn",
            name=NAME,
            datasetGroupArn=ARN,
            recipeArn=ARN,
            recommenderConfig=RECOMMENDER_CONFIG,
            tags=TAGS_SHAPE,
        ),
        _create_recommender,
    ),
    "CreateSolution": ControlOperation(
        takes(
            "name",
            "datasetGroupArn",
            name=NAME,
            performHPO=Flag(),
            performAutoML=Flag(),
            performAutoTraining=Flag(),
            performIncrementalUpdate=Flag(),
            recipeArn=ARN,
            datasetGroupArn=ARN,
            eventType=Text(most=256),
            solutionConfig=_SOLUTION_CONFIG,
            tags=TAGS_SHAPE,
        ),
        _create_solution,
    ),
    "CreateSolutionVersion": ControlOperation(
        takes(
            "solutionArn",
            name=NAME,
            solutionArn=ARN,
            trainingMode=Text(choices=("FULL", "UPDATE", "AUTOTRAIN")),
            tags=TAGS_SHAPE,
        ),
        _create_version,
    ),
    "DeleteCampaign": ControlOperation(takes("campaignArn", campaignArn=ARN), _deleting(KINDS["Campaign"])),
    "DeleteRecommender": ControlOperation(takes("recommenderArn", recommenderArn=ARN), _deleting(KINDS["Recommender"])),
    "DeleteSolution": ControlOperation(takes("solutionArn", solutionArn=ARN), _delete_solution),
    "StartRecommender": ControlOperation(takes("recommenderArn", recommenderArn=ARN), _turning("START")),
    "StopRecommender": ControlOperation(takes("recommenderArn", recommenderArn=ARN), _turning("STOP")),
    "UpdateSolution": ControlOperation(
        takes(
            "solutionArn",
            solutionArn=ARN,
            performAutoTraining=Flag(),
            performIncrementalUpdate=Flag(),
            solutionUpdateConfig=Structure({"autoTrainingConfig": _AUTO_TRAINING, "eventsConfig": _EVENTS_CONFIG}),
        ),
        _update_solution,
    ),
    "StopSolutionVersionCreation": ControlOperation(takes("solutionVersionArn", solutionVersionArn=ARN), _stop_version),
}
