"""The control plane: what is described and listed, created, deleted, updated and tagged, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.local.control.operations import OPERATIONS, REFUSED
from personalize_rt.local.places import Source
from personalize_rt.local.problems import Problems
from personalize_rt.local.schemas import DATASETS, read_schema
from tests.local.conftest import INTERACTIONS, ITEMS, Clock, Files
from tests.local.control_requests import asked, refused, told

ACCOUNT = "arn:aws:personalize:eu-west-1:123456789012"
SETTINGS = """\
[campaigns]
for-you = "aws-user-personalization"
ranking = { recipe = "aws-personalized-ranking", enableMetadataWithRecommendations = true }
popular = "aws-popularity-count"
[recommenders]
top = "aws-vod-top-picks"
[filters]
unseen = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'
[event_trackers]
site = "track-1"
[options]
account = "123456789012"
dataset_group = "films"
"""
FILES = {"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": SETTINGS}
GROUP = f"{ACCOUNT}:dataset-group/films"
OLD = "INCLUDE ItemID WHERE Items.YEAR < 2000"

Load = Callable[..., LocalPersonalize]


@pytest.fixture
def load(directory: Files, clock: Clock) -> Load:
    def load(files: Mapping[str, str] = FILES, **options: Any) -> LocalPersonalize:
        return LocalPersonalize.from_directory(directory(files), clock=clock, **options)

    return load


@pytest.fixture
def local(load: Load) -> LocalPersonalize:
    return load()


def create(local: LocalPersonalize, name: str = "old", expression: str = OLD, **more: Any) -> str:
    reply = told(local, "CreateFilter", name=name, datasetGroupArn=GROUP, filterExpression=expression, **more)
    arn: str = reply["filterArn"]
    return arn


def status(local: LocalPersonalize, kind: str, arn: str) -> str:
    member = kind[0].lower() + kind[1:]
    found: str = told(local, f"Describe{kind}", **{f"{member}Arn": arn})[member]["status"]
    return found


def recommended(local: LocalPersonalize, **members: Any) -> list[str]:
    client = local.boto3_client()
    reply = client.get_recommendations(campaignArn=f"{ACCOUNT}:campaign/popular", **members)
    return [item["itemId"] for item in reply["itemList"]]


# Describe and List.


def test_settings_are_told_resource_by_resource(local: LocalPersonalize) -> None:
    campaign = told(local, "DescribeCampaign", campaignArn=f"{ACCOUNT}:campaign/ranking")["campaign"]
    assert campaign["campaignConfig"] == {"enableMetadataWithRecommendations": True}
    assert campaign["minProvisionedTPS"] == 1
    assert "latestCampaignUpdate" not in campaign
    version = told(local, "DescribeSolutionVersion", solutionVersionArn=campaign["solutionVersionArn"])[
        "solutionVersion"
    ]
    assert version["recipeArn"] == "arn:aws:personalize:::recipe/aws-personalized-ranking"
    solution = told(local, "DescribeSolution", solutionArn=version["solutionArn"])["solution"]
    assert solution["name"] == "ranking"
    assert solution["latestSolutionVersion"]["solutionVersionArn"] == campaign["solutionVersionArn"]
    group = told(local, "DescribeDatasetGroup", datasetGroupArn=solution["datasetGroupArn"])["datasetGroup"]
    assert (group["name"], group["domain"], group["status"]) == ("films", "VIDEO_ON_DEMAND", "ACTIVE")
    recipe = told(local, "DescribeRecipe", recipeArn=version["recipeArn"])["recipe"]
    assert recipe["recipeType"] == "PERSONALIZED_RANKING"
    recommender = told(local, "DescribeRecommender", recommenderArn=f"{ACCOUNT}:recommender/top")["recommender"]
    assert recommender["recipeArn"] == "arn:aws:personalize:::recipe/aws-vod-top-picks"
    tracker = told(local, "DescribeEventTracker", eventTrackerArn=f"{ACCOUNT}:event-tracker/site")["eventTracker"]
    assert (tracker["trackingId"], tracker["accountId"]) == ("track-1", "123456789012")
    stored = told(local, "DescribeFilter", filterArn=f"{ACCOUNT}:filter/unseen")["filter"]
    assert stored["filterExpression"] == 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'


def test_schema_that_is_told_describes_the_data(local: LocalPersonalize) -> None:
    """Reading it back gives the columns, types and flags that the data have."""
    items: Any = local.items
    for row in told(local, "ListSchemas")["schemas"]:
        schema = told(local, "DescribeSchema", schemaArn=row["schemaArn"])["schema"]
        name = schema["name"].removeprefix("films-")
        problems = Problems()
        read = read_schema(Source("schema.json", schema["schema"]), DATASETS[name], problems)
        assert read is not None, problems
        if name == "items":
            assert read.fields == items.fields


def test_datasets_are_named_by_their_types(local: LocalPersonalize) -> None:
    rows = told(local, "ListDatasets", datasetGroupArn=GROUP)["datasets"]
    assert {row["datasetType"]: row["datasetArn"] for row in rows} == {
        "INTERACTIONS": f"{ACCOUNT}:dataset/films/INTERACTIONS",
        "ITEMS": f"{ACCOUNT}:dataset/films/ITEMS",
    }


def test_lists_are_narrowed_to_their_parent(local: LocalPersonalize) -> None:
    campaigns = told(local, "ListCampaigns")["campaigns"]
    assert [row["name"] for row in campaigns] == ["for-you", "popular", "ranking"]
    solution = f"{ACCOUNT}:solution/popular"
    assert [row["name"] for row in told(local, "ListCampaigns", solutionArn=solution)["campaigns"]] == ["popular"]
    versions = told(local, "ListSolutionVersions", solutionArn=solution)["solutionVersions"]
    assert [row["solutionVersionArn"].rpartition("/")[0] for row in versions] == [solution]
    assert len(told(local, "ListSolutions", datasetGroupArn=GROUP)["solutions"]) == 3
    use_cases = told(local, "ListRecipes", domain="ECOMMERCE")["recipes"]
    assert {row["domain"] for row in use_cases} == {"ECOMMERCE"}
    assert len(use_cases) == 5
    assert len(told(local, "ListRecipes", recipeProvider="SERVICE")["recipes"]) > 20


@pytest.mark.parametrize(
    ("operation", "member", "code"),
    [
        ("ListFilters", "datasetGroupArn", "InvalidInputException"),
        ("ListSolutionVersions", "solutionArn", "ResourceNotFoundException"),
    ],
)
def test_list_of_an_unknown_parent_is_refused_by_the_error_that_the_operation_has(
    local: LocalPersonalize, operation: str, member: str, code: str
) -> None:
    kind = "dataset-group" if member == "datasetGroupArn" else "solution"
    found, message = refused(local, operation, {member: f"{ACCOUNT}:{kind}/none"})
    assert found == code
    assert "none; there are: " in message


def test_kinds_that_nothing_creates_are_empty_lists_and_not_found(local: LocalPersonalize) -> None:
    dataset = f"{ACCOUNT}:dataset/films/ITEMS"
    assert told(local, "ListDatasetImportJobs", datasetArn=dataset) == {"datasetImportJobs": []}
    assert told(local, "ListBatchInferenceJobs") == {"batchInferenceJobs": []}
    arn = f"{ACCOUNT}:dataset-import-job/load"
    assert refused(local, "DescribeDatasetImportJob", datasetImportJobArn=arn)[0] == "ResourceNotFoundException"


def test_creation_times_are_stable(load: Load, clock: Clock) -> None:
    local = load()
    before = (
        told(local, "ListFilters"),
        told(local, "DescribeEventTracker", eventTrackerArn=f"{ACCOUNT}:event-tracker/site"),
    )
    loaded, clock.now = clock.now, clock.now + 60
    assert told(local, "ListFilters") == before[0]
    local.reload()
    assert told(local, "ListFilters") == before[0]
    assert told(local, "DescribeEventTracker", eventTrackerArn=f"{ACCOUNT}:event-tracker/site") == before[1]
    (row,) = before[0]["Filters"]
    assert row["creationDateTime"] == row["lastUpdatedDateTime"] == loaded
    created = told(local, "DescribeFilter", filterArn=create(local))["filter"]
    assert created["creationDateTime"] == clock.now


# Pages.


def names_of(local: LocalPersonalize, most: int, between: Callable[[int], Any] = lambda page: None) -> list[str]:
    names: list[str] = []
    members: dict[str, Any] = {"maxResults": most}
    page = 0
    while True:
        reply = told(local, "ListFilters", **members)
        assert len(reply["Filters"]) <= most
        names += [row["name"] for row in reply["Filters"]]
        if "nextToken" not in reply:
            return names
        members["nextToken"] = reply["nextToken"]
        between(page)
        page += 1


@pytest.mark.parametrize("most", [1, 2, 3, 5, 6, 100])
def test_pages_hold_every_row_once(local: LocalPersonalize, most: int) -> None:
    for name in "edcba":
        create(local, name)
    assert names_of(local, most) == ["a", "b", "c", "d", "e", "unseen"]


def test_pages_stay_whole_while_rows_come_and_go(local: LocalPersonalize) -> None:
    for name in "abcde":
        create(local, name)

    def change(page: int) -> None:
        if page == 0:
            told(local, "DeleteFilter", filterArn=f"{ACCOUNT}:filter/b")
            create(local, "aa")

    assert names_of(local, 2, change) == ["a", "b", "c", "d", "e", "unseen"]


def test_pages_have_at_most_100_rows(local: LocalPersonalize) -> None:
    for number in range(150):
        create(local, f"f{number:03}")
    assert len(told(local, "ListFilters")["Filters"]) == 100
    assert len([*names_of(local, 100)]) == 151


def test_token_of_another_list_or_of_nobody_is_refused(local: LocalPersonalize) -> None:
    create(local)
    token = told(local, "ListFilters", maxResults=1)["nextToken"]
    for operation, members in (
        ("ListCampaigns", {"nextToken": token}),
        ("ListFilters", {"nextToken": token, "datasetGroupArn": GROUP}),
        ("ListFilters", {"nextToken": "a"}),
        ("ListFilters", {"nextToken": "W10="}),
        ("ListFilters", {"nextToken": "W1tbW1s="}),
    ):
        assert refused(local, operation, members)[0] == "InvalidNextTokenException"


def test_paginators_of_boto3_read_all_pages(local: LocalPersonalize) -> None:
    for number in range(7):
        create(local, f"f{number}")
    pages = local.boto3_client("personalize").get_paginator("list_filters").paginate(PaginationConfig={"PageSize": 3})
    assert [len(page["Filters"]) for page in pages] == [3, 3, 2]


# Filters.


def test_created_filter_is_used_at_once_and_a_deleted_one_is_not(local: LocalPersonalize) -> None:
    arn = create(local)
    assert status(local, "Filter", arn) == "ACTIVE"
    assert local.filters["old"] == arn
    assert set(recommended(local, filterArn=arn)) == {"a", "b", "c"}
    assert told(local, "DeleteFilter", filterArn=arn) == {}
    assert refused(local, "DescribeFilter", filterArn=arn)[0] == "ResourceNotFoundException"
    assert refused(local, "DeleteFilter", filterArn=arn)[0] == "ResourceNotFoundException"
    with pytest.raises(ClientError, match="there is no filter"):
        recommended(local, filterArn=arn)


def test_filter_in_the_place_of_a_deleted_one_is_its_own(local: LocalPersonalize) -> None:
    arn = create(local)
    assert set(recommended(local, filterArn=arn)) == {"a", "b", "c"}
    told(local, "DeleteFilter", filterArn=arn)
    assert create(local, "old", "INCLUDE ItemID WHERE Items.YEAR >= 2000") == arn
    assert set(recommended(local, filterArn=arn)) == {"x", "y", "z", "hit", "cold"}


def test_filter_of_the_program_is_told_like_any_other(local: LocalPersonalize, clock: Clock) -> None:
    clock.now += 5
    arn = local.add_filter("mine", OLD)
    stored = told(local, "DescribeFilter", filterArn=arn)["filter"]
    assert (stored["filterExpression"], stored["creationDateTime"]) == (OLD, clock.now)
    assert refused(local, "CreateFilter", name="mine", datasetGroupArn=GROUP, filterExpression=OLD)[0] == (
        "ResourceAlreadyExistsException"
    )


def test_expression_comes_back_as_it_was_written(local: LocalPersonalize) -> None:
    text = "include ItemID   where Items.year<2000"
    assert told(local, "DescribeFilter", filterArn=create(local, "old", text))["filter"]["filterExpression"] == text


def test_filter_that_does_not_parse_is_refused_with_a_caret(local: LocalPersonalize) -> None:
    text = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch"'
    code, message = refused(local, "CreateFilter", name="x", datasetGroupArn=GROUP, filterExpression=text)
    assert code == "InvalidInputException"
    _, shown, caret, *_ = message.split("\n")
    assert caret.strip() == "^"
    assert len(caret) > len(shown)
    assert "Watch" not in message
    assert "x" not in local.filters
    with pytest.raises(local.boto3_client("personalize").exceptions.InvalidInputException, match=r"\^"):
        local.boto3_client("personalize").create_filter(name="x", datasetGroupArn=GROUP, filterExpression=text)


@pytest.mark.parametrize(
    "expression",
    [
        "INCLUDE ItemID WHERE Items.NOTHING < 2000",
        "INCLUDE ItemID WHERE Items.GENRES < 2000",
        "INCLUDE ItemID WHERE Users.AGE < 20",
        "INCLUDE ItemID WHERE Items.GENRES NOT IN ($GENRE)",
    ],
)
def test_filter_that_does_not_fit_the_data_is_refused(local: LocalPersonalize, expression: str) -> None:
    code, message = refused(local, "CreateFilter", name="x", datasetGroupArn=GROUP, filterExpression=expression)
    assert code == "InvalidInputException"
    assert "^" in message
    assert dict(local.filters) == {"unseen": f"{ACCOUNT}:filter/unseen"}


def test_fields_of_deleted_filters_are_free_again(load: Load) -> None:
    """The guide's 20 fields of all filters count the filters that there are."""
    columns = [f"C{number}" for number in range(24)]
    items = f"ITEM_ID,{','.join(columns)}\n" + "".join(f"{id},{','.join('1' * 24)}\n" for id in "abcxyz")
    local = load({**FILES, "items.csv": items})
    for number in range(19):  # and EVENT_TYPE
        create(local, f"f{number}", f"INCLUDE ItemID WHERE Items.C{number} = 1")
    code, message = refused(
        local, "CreateFilter", name="x", datasetGroupArn=GROUP, filterExpression="INCLUDE ItemID WHERE Items.C20 = 1"
    )
    assert code == "LimitExceededException"
    assert "20" in message
    told(local, "DeleteFilter", filterArn=f"{ACCOUNT}:filter/f0")
    create(local, "x", "INCLUDE ItemID WHERE Items.C20 = 1")


def test_names_are_taken_once(local: LocalPersonalize) -> None:
    code, message = refused(local, "CreateFilter", name="unseen", datasetGroupArn=GROUP, filterExpression=OLD)
    assert code == "ResourceAlreadyExistsException"
    assert "filter/unseen" in message


def test_quotas_are_kept_only_when_they_are_asked_for(load: Load) -> None:
    for quotas in (False, True):
        local = load(quotas=quotas)
        for number in range(29):
            create(local, f"f{number}")
        answer = asked(local, "CreateFilter", name="last", datasetGroupArn=GROUP, filterExpression=OLD)
        assert answer.status == (400 if quotas else 200)
    assert json.loads(answer.body)["__type"] == "LimitExceededException"


# Event trackers.


def test_dataset_group_has_one_event_tracker(local: LocalPersonalize) -> None:
    arn = f"{ACCOUNT}:event-tracker/site"
    code, message = refused(local, "CreateEventTracker", name="second", datasetGroupArn=GROUP)
    assert code == "ResourceAlreadyExistsException"
    assert arn in message
    told(local, "DeleteEventTracker", eventTrackerArn=arn)
    assert told(local, "ListEventTrackers") == {"eventTrackers": []}
    assert refused(local, "DescribeEventTracker", eventTrackerArn=arn)[0] == "ResourceNotFoundException"
    made = told(local, "CreateEventTracker", name="second", datasetGroupArn=GROUP)
    tracker = told(local, "DescribeEventTracker", eventTrackerArn=made["eventTrackerArn"])["eventTracker"]
    assert tracker["trackingId"] == made["trackingId"] != "track-1"
    assert tracker["status"] == "ACTIVE"


# Updates.


def test_update_of_a_campaign_counts_at_once(local: LocalPersonalize, clock: Clock) -> None:
    arn, clock.now = f"{ACCOUNT}:campaign/popular", clock.now + 5
    with pytest.raises(ClientError, match="metadata"):
        recommended(local, metadataColumns={"ITEMS": ["TITLE"]})
    config = {"enableMetadataWithRecommendations": True}
    assert told(local, "UpdateCampaign", campaignArn=arn, minProvisionedTPS=3, campaignConfig=config) == {
        "campaignArn": arn
    }
    assert recommended(local, metadataColumns={"ITEMS": ["TITLE"]})
    campaign = told(local, "DescribeCampaign", campaignArn=arn)["campaign"]
    assert (campaign["minProvisionedTPS"], campaign["campaignConfig"]) == (3, config)
    assert campaign["latestCampaignUpdate"] == {
        "solutionVersionArn": campaign["solutionVersionArn"],
        "minProvisionedTPS": 3,
        "campaignConfig": config,
        "status": "ACTIVE",
        "creationDateTime": clock.now,
        "lastUpdatedDateTime": clock.now,
    }
    assert campaign["creationDateTime"] == clock.now - 5
    told(local, "UpdateCampaign", campaignArn=arn, campaignConfig={"enableMetadataWithRecommendations": False})
    with pytest.raises(ClientError, match="metadata"):
        recommended(local, metadataColumns={"ITEMS": ["TITLE"]})
    assert told(local, "DescribeCampaign", campaignArn=arn)["campaign"]["minProvisionedTPS"] == 3


def test_update_of_a_recommender(local: LocalPersonalize) -> None:
    arn = f"{ACCOUNT}:recommender/top"
    config = {"minRecommendationRequestsPerSecond": 4, "enableMetadataWithRecommendations": True}
    assert told(local, "UpdateRecommender", recommenderArn=arn, recommenderConfig=config) == {"recommenderArn": arn}
    recommender = told(local, "DescribeRecommender", recommenderArn=arn)["recommender"]
    assert recommender["recommenderConfig"] == recommender["latestRecommenderUpdate"]["recommenderConfig"] == config
    reply = local.boto3_client().get_recommendations(
        recommenderArn=arn, userId="ann", metadataColumns={"ITEMS": ["TITLE"]}
    )
    assert all("title" in item["metadata"] for item in reply["itemList"])


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "nothing to update"),
        ({"campaignConfig": {"itemExplorationConfig": {"explorationWeight": "1.3"}}}, "a number from 0 to 1, as text"),
        ({"campaignConfig": {"itemExplorationConfig": {"explorationWeight": "nan"}}}, "a number from 0 to 1, as text"),
        ({"campaignConfig": {"itemExplorationConfig": {"explorationItemAgeCutOff": "0"}}}, "a positive number of days"),
        ({"campaignConfig": {"itemExplorationConfig": {"weight": "0.3"}}}, "and no other names"),
        ({"campaignConfig": {"rankingInfluence": {"POPULARITY": 0.5}}}, "rankingInfluence"),
        ({"campaignConfig": {"rankingInfluence": {"POPULARITY": 1.5}}}, "from 0 to 1"),
        ({"campaignConfig": {"syncWithLatestSolutionVersion": True}}, "$LATEST"),
        ({"solutionVersionArn": f"{ACCOUNT}:solution/ranking/00000000"}, "one version"),
        ({"minProvisionedTPS": 0}, "at least 1"),
        ({"minProvisionedTPS": 2**31}, "at most 2,147,483,647"),
        ({"minProvisionedTPS": "2"}, "whole number"),
        ({"minProvisionedTPS": True}, "whole number"),
        ({"campaignConfig": {"other": 1}}, "campaignConfig.other: there is no such member"),
    ],
)
def test_update_that_would_be_ignored_is_refused(
    local: LocalPersonalize, members: Mapping[str, Any], said: str
) -> None:
    arn = f"{ACCOUNT}:campaign/popular"
    code, message = refused(local, "UpdateCampaign", {"campaignArn": arn, **members})
    assert code == "InvalidInputException"
    assert said in message
    assert "latestCampaignUpdate" not in told(local, "DescribeCampaign", campaignArn=arn)["campaign"]


def test_exploration_is_told_as_it_was_asked_for(local: LocalPersonalize) -> None:
    arn, config = f"{ACCOUNT}:campaign/popular", {"explorationWeight": "0.1", "explorationItemAgeCutOff": "7"}
    told(local, "UpdateCampaign", campaignArn=arn, campaignConfig={"itemExplorationConfig": config})
    campaign = told(local, "DescribeCampaign", campaignArn=arn)["campaign"]
    assert campaign["campaignConfig"]["itemExplorationConfig"] == config


def test_campaign_may_follow_the_latest_version(local: LocalPersonalize) -> None:
    arn, latest = f"{ACCOUNT}:campaign/popular", f"{ACCOUNT}:solution/popular/$LATEST"
    config = {"syncWithLatestSolutionVersion": True}
    told(local, "UpdateCampaign", campaignArn=arn, solutionVersionArn=latest, campaignConfig=config)
    campaign = told(local, "DescribeCampaign", campaignArn=arn)["campaign"]
    assert campaign["campaignConfig"]["syncWithLatestSolutionVersion"] is True
    told(local, "UpdateCampaign", campaignArn=arn, solutionVersionArn=campaign["solutionVersionArn"])


# With a pace.


def test_pace_makes_creating_and_deleting_take_their_time(load: Load, clock: Clock) -> None:
    local = load(pace=60.0)
    arn = create(local)
    seen = []
    for _ in range(4):
        seen.append(status(local, "Filter", arn))
        clock.now += 20
    assert seen == ["CREATE PENDING", "CREATE PENDING", "CREATE IN_PROGRESS", "ACTIVE"]
    assert told(local, "DescribeFilter", filterArn=arn)["filter"]["lastUpdatedDateTime"] == clock.now - 20
    told(local, "DeleteFilter", filterArn=arn)
    assert status(local, "Filter", arn) == "DELETE PENDING"
    assert refused(local, "DeleteFilter", filterArn=arn)[0] == "ResourceInUseException"
    assert refused(local, "CreateFilter", name="old", datasetGroupArn=GROUP, filterExpression=OLD)[0] == (
        "ResourceAlreadyExistsException"
    )
    clock.now += 60
    assert refused(local, "DescribeFilter", filterArn=arn)[0] == "ResourceNotFoundException"
    assert create(local) == arn


def test_filter_answers_only_while_it_is_active(load: Load, clock: Clock) -> None:
    local = load(pace=60.0)
    arn = create(local)
    with pytest.raises(ClientError, match="there is no filter"):
        recommended(local, filterArn=arn)
    assert refused(local, "DeleteFilter", filterArn=arn)[0] == "ResourceInUseException"
    clock.now += 60
    assert set(recommended(local, filterArn=arn)) == {"a", "b", "c"}
    told(local, "DeleteFilter", filterArn=arn)
    with pytest.raises(ClientError, match="there is no filter"):
        recommended(local, filterArn=arn)


def test_event_tracker_takes_its_time_too(load: Load, clock: Clock) -> None:
    local = load(pace=60.0)
    arn = f"{ACCOUNT}:event-tracker/site"
    told(local, "DeleteEventTracker", eventTrackerArn=arn)
    assert status(local, "EventTracker", arn) == "DELETE PENDING"
    assert refused(local, "CreateEventTracker", name="site", datasetGroupArn=GROUP)[0] == (
        "ResourceAlreadyExistsException"
    )
    clock.now += 60
    assert told(local, "CreateEventTracker", name="site", datasetGroupArn=GROUP)["eventTrackerArn"] == arn
    assert status(local, "EventTracker", arn) == "CREATE PENDING"
    clock.now += 30
    assert status(local, "EventTracker", arn) == "CREATE IN_PROGRESS"
    clock.now += 30
    assert status(local, "EventTracker", arn) == "ACTIVE"


def test_what_takes_the_place_of_a_deleted_resource_has_only_its_own_tags(load: Load, clock: Clock) -> None:
    local = load(pace=60.0)
    created = {"name": "old", "datasetGroupArn": GROUP, "filterExpression": "EXCLUDE ItemID WHERE Items.YEAR < 1970"}
    arn = told(local, "CreateFilter", **created)["filterArn"]
    clock.now += 60
    told(local, "DeleteFilter", filterArn=arn)
    told(local, "TagResource", resourceArn=arn, tags=[{"tagKey": "team", "tagValue": "before"}])
    clock.now += 60
    told(local, "CreateFilter", **created)
    assert told(local, "ListTagsForResource", resourceArn=arn)["tags"] == []


def test_until_an_update_is_complete_the_previous_configuration_answers(load: Load, clock: Clock) -> None:
    """API reference, UpdateCampaign."""
    local = load(pace=60.0)
    arn = f"{ACCOUNT}:campaign/popular"
    change = {"campaignArn": arn, "campaignConfig": {"enableMetadataWithRecommendations": True}}
    told(local, "UpdateCampaign", **change)
    campaign = told(local, "DescribeCampaign", campaignArn=arn)["campaign"]
    assert campaign["status"] == "ACTIVE"
    assert campaign["campaignConfig"] == {"enableMetadataWithRecommendations": False}
    assert campaign["latestCampaignUpdate"]["status"] == "CREATE PENDING"
    assert refused(local, "UpdateCampaign", change)[0] == "ResourceInUseException"
    with pytest.raises(ClientError, match="metadata"):
        recommended(local, metadataColumns={"ITEMS": ["TITLE"]})
    clock.now += 60
    assert recommended(local, metadataColumns={"ITEMS": ["TITLE"]})
    campaign = told(local, "DescribeCampaign", campaignArn=arn)["campaign"]
    assert campaign["latestCampaignUpdate"]["status"] == "ACTIVE"
    assert campaign["campaignConfig"] == {"enableMetadataWithRecommendations": True}
    told(local, "UpdateCampaign", **change)


def test_quota_of_resources_in_progress(load: Load, clock: Clock) -> None:
    local = load(pace=60.0, quotas=True)
    for name in "abcde":
        create(local, name)
    code, message = refused(local, "CreateFilter", name="f", datasetGroupArn=GROUP, filterExpression=OLD)
    assert (code, message) == ("LimitExceededException", "more than 5 resources with PENDING or IN_PROGRESS status")
    clock.now += 60
    create(local, "f")


@pytest.mark.parametrize("pace", [-1, float("nan"), "soon", None, True])
def test_pace_is_a_number_of_seconds(load: Load, pace: Any) -> None:
    with pytest.raises(ValueError, match="pace"):
        load(pace=pace)


# Tags.


def test_tags_are_kept_until_they_are_removed(local: LocalPersonalize) -> None:
    arn = create(local, tags=[{"tagKey": "team", "tagValue": "films"}])
    told(local, "TagResource", resourceArn=arn, tags=[{"tagKey": "Kostenstelle Ü", "tagValue": ""}])
    told(local, "TagResource", resourceArn=arn, tags=[{"tagKey": "team", "tagValue": "shop"}])
    assert told(local, "ListTagsForResource", resourceArn=arn)["tags"] == [
        {"tagKey": "team", "tagValue": "shop"},
        {"tagKey": "Kostenstelle Ü", "tagValue": ""},
    ]
    told(local, "UntagResource", resourceArn=arn, tagKeys=["team", "none"])
    assert [tag["tagKey"] for tag in told(local, "ListTagsForResource", resourceArn=arn)["tags"]] == ["Kostenstelle Ü"]
    told(local, "DeleteFilter", filterArn=arn)
    create(local)
    assert told(local, "ListTagsForResource", resourceArn=arn) == {"tags": []}


@pytest.mark.parametrize(
    "kind", ["dataset-group/films", "dataset/films/ITEMS", "campaign/ranking", "solution/ranking", "event-tracker/site"]
)
def test_every_kind_of_resource_may_have_tags(local: LocalPersonalize, kind: str) -> None:
    arn = f"{ACCOUNT}:{kind}"
    told(local, "TagResource", resourceArn=arn, tags=[{"tagKey": "k", "tagValue": "v"}])
    assert told(local, "ListTagsForResource", resourceArn=arn)["tags"] == [{"tagKey": "k", "tagValue": "v"}]


def test_tags_that_are_refused(local: LocalPersonalize) -> None:
    arn = f"{ACCOUNT}:campaign/ranking"
    many = [{"tagKey": f"k{number}", "tagValue": ""} for number in range(51)]
    assert refused(local, "TagResource", resourceArn=arn, tags=many)[0] == "TooManyTagsException"
    told(local, "TagResource", resourceArn=arn, tags=many[:50])
    assert refused(local, "TagResource", resourceArn=arn, tags=many[50:])[0] == "TooManyTagsException"
    for tags, said in (
        ([{"tagKey": "a", "tagValue": ""}] * 2, "twice"),
        ([{"tagKey": "aws:x", "tagValue": ""}], "reserved"),
        ([{"tagKey": "a"}], "tags[0].tagValue is missing"),
        ([{"tagKey": "a!", "tagValue": ""}], "tags[0].tagKey"),
        ([{"tagKey": "", "tagValue": ""}], "at least 1"),
        ({"a": "b"}, "expected a list"),
    ):
        code, message = refused(local, "TagResource", resourceArn=arn, tags=tags)
        assert (code, said in message) == ("InvalidInputException", True), message
    for other in (f"{ACCOUNT}:schema/films-items", "arn:aws:personalize:::recipe/aws-sims", f"{ACCOUNT}:other/x"):
        assert refused(local, "ListTagsForResource", resourceArn=other)[0] == "InvalidInputException"
    missing = f"{ACCOUNT}:campaign/none"
    assert refused(local, "ListTagsForResource", resourceArn=missing)[0] == "ResourceNotFoundException"


def test_filter_whose_tags_are_refused_is_not_created(local: LocalPersonalize) -> None:
    tags = [{"tagKey": "aws:x", "tagValue": ""}]
    members = {"name": "x", "datasetGroupArn": GROUP, "filterExpression": OLD, "tags": tags}
    assert refused(local, "CreateFilter", members)[0] == "InvalidInputException"
    assert "x" not in local.filters


# Metrics.


def test_metrics_are_measured_on_held_out_events(local: LocalPersonalize) -> None:
    """Each of the three recipes has the metrics of the guide, and a campaign of popular items predicts the hit."""
    for campaign in ("for-you", "ranking", "popular"):
        (version,) = told(local, "ListSolutionVersions", solutionArn=f"{ACCOUNT}:solution/{campaign}")[
            "solutionVersions"
        ]
        metrics = told(local, "GetSolutionMetrics", solutionVersionArn=version["solutionVersionArn"])["metrics"]
        assert {"coverage", "mean_reciprocal_rank_at_25", "precision_at_5"} <= set(metrics)
        assert all(0 <= value <= 1 for value in metrics.values())
    # One user in ten is tested, of whom one event is held out: here that of the item that everybody saw last.
    assert metrics["mean_reciprocal_rank_at_25"] == 1.0


def test_metrics_of_actions_are_those_of_next_best_action() -> None:
    local = LocalPersonalize.sample()
    (version,) = [
        row["solutionVersionArn"]
        for row in told(local, "ListSolutionVersions")["solutionVersions"]
        if "/offers/" in row["solutionVersionArn"]
    ]
    metrics = told(local, "GetSolutionMetrics", solutionVersionArn=version)["metrics"]
    assert {"coverage", "auc", "normalized_discounted_cumulative_gain_at_5", "precision", "recall"} <= set(metrics)
    assert all(0 <= value <= 1 for value in metrics.values())


# Bad input.

BAD = [
    ("DescribeCampaign", {}, "campaignArn is missing"),
    ("DescribeCampaign", {"campaignArn": None}, "campaignArn is missing"),
    ("DescribeCampaign", {"campaignArn": 7}, "expected a string"),
    ("DescribeCampaign", {"campaignArn": "ranking"}, "expected text that matches"),
    ("DescribeCampaign", {"campaignArn": f"{ACCOUNT}:campaign/{'x' * 256}"}, "at most 256"),
    ("DescribeCampaign", {"campaignArn": f"{ACCOUNT}:filter/unseen"}, "expected the ARN of a campaign"),
    ("DescribeCampaign", {"campaignArn": f"{ACCOUNT}:campaign/ranking", "name": "x"}, "name: there is no such member"),
    ("DescribeCampaign", {"campaignArn": f"{ACCOUNT}:campaign/ranking", "se cret": 1}, "a member: there is no such"),
    ("ListCampaigns", {"maxResults": 0}, "at least 1"),
    ("ListCampaigns", {"maxResults": 101}, "at most 100"),
    ("ListCampaigns", {"maxResults": "7"}, "expected a whole number"),
    ("ListCampaigns", {"nextToken": "ü"}, "nextToken"),
    ("ListRecipes", {"domain": "MUSIC"}, "expected one of ECOMMERCE, VIDEO_ON_DEMAND"),
    ("CreateFilter", {"name": "x", "datasetGroupArn": GROUP}, "filterExpression is missing"),
    ("CreateFilter", {"name": "a b", "datasetGroupArn": GROUP, "filterExpression": OLD}, "name: expected text that"),
    ("CreateFilter", {"name": "x" * 64, "datasetGroupArn": GROUP, "filterExpression": OLD}, "at most 63"),
    ("CreateFilter", {"name": "", "datasetGroupArn": GROUP, "filterExpression": OLD}, "at least 1"),
    ("CreateFilter", {"name": "x", "datasetGroupArn": GROUP, "filterExpression": ""}, "at least 1"),
    ("CreateFilter", {"name": "x", "datasetGroupArn": GROUP, "filterExpression": OLD + " " * 2500}, "at most 2,500"),
    ("UpdateRecommender", {"recommenderArn": f"{ACCOUNT}:recommender/top"}, "recommenderConfig is missing"),
    (
        "UpdateRecommender",
        {"recommenderArn": f"{ACCOUNT}:recommender/top", "recommenderConfig": {"trainingDataConfig": {}}},
        "trainingDataConfig",
    ),
    ("UntagResource", {"resourceArn": GROUP, "tagKeys": [["a"]]}, "tagKeys[0]: expected a string"),
]


@pytest.mark.parametrize(("operation", "members", "said"), BAD)
def test_bad_input_is_named(local: LocalPersonalize, operation: str, members: Mapping[str, Any], said: str) -> None:
    code, message = refused(local, operation, json.dumps(members).encode())
    assert code == "InvalidInputException"
    assert said in message


@pytest.mark.parametrize(
    "arn",
    [
        f"{ACCOUNT}:campaign/none",
        "arn:aws:personalize:eu-west-1:000000000000:campaign/ranking",
        "arn:aws:personalize:us-east-1:123456789012:campaign/ranking",
    ],
)
def test_what_is_not_there_is_not_found_and_the_message_says_what_is(local: LocalPersonalize, arn: str) -> None:
    code, message = refused(local, "DescribeCampaign", campaignArn=arn)
    assert code == "ResourceNotFoundException"
    assert arn in message
    assert "for-you, ranking, popular" in message


@pytest.mark.parametrize(
    ("operation", "member", "part"),
    [
        ("DescribeSolution", "solutionArn", "solution/ranking/00000000"),
        ("DescribeSolutionVersion", "solutionVersionArn", "solution/ranking"),
        ("DescribeFilter", "filterArn", "filter/films/unseen"),
        ("DescribeRecipe", "recipeArn", "recipe/unseen"),
        ("ListTagsForResource", "resourceArn", "solution/ranking/00000000"),
    ],
)
def test_arn_that_is_nearly_one_is_not_found(local: LocalPersonalize, operation: str, member: str, part: str) -> None:
    assert refused(local, operation, {member: f"{ACCOUNT}:{part}"})[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b'{"a": NaN}', b"[" * 5000])
def test_body_that_is_no_object(local: LocalPersonalize, body: bytes) -> None:
    assert refused(local, "ListCampaigns", body)[0] == "MalformedHttpRequestException"


def test_empty_body_has_no_members(local: LocalPersonalize) -> None:
    headers = {"X-Amz-Target": "AmazonPersonalize.ListCampaigns"}
    assert local.handle(HttpRequest("POST", "/", headers)).status == 200


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_operation_that_is_not_modelled_names_itself_and_what_there_is(local: LocalPersonalize, name: str) -> None:
    response = asked(local, name, {"name": "x"})
    error = json.loads(response.body)
    assert (response.status, error["__type"]) == (404, "UnknownOperationException")
    assert error["message"].startswith(f"{name} is not modelled: {REFUSED[name]}")
    assert all(known in error["message"] for known in OPERATIONS)


def test_refused_operation_reaches_a_program_as_a_client_error(local: LocalPersonalize) -> None:
    client = local.boto3_client("personalize")
    with pytest.raises(ClientError, match="DescribeAlgorithm is not modelled") as raised:
        client.describe_algorithm(algorithmArn="arn:aws:personalize:::algorithm/aws-sims")
    assert raised.value.response["Error"]["Code"] == "UnknownOperationException"


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "AmazonPersonalize.Nothing"), ("POST", "AmazonPersonalize."), ("POST", "Other.ListCampaigns")],
)
def test_wrong_target_is_told_what_there_is(local: LocalPersonalize, method: str, target: str) -> None:
    response = local.handle(HttpRequest(method, "/", {"x-amz-target": target}, b"{}"))
    error = json.loads(response.body)
    assert (response.status, error["__type"]) == (404, "UnknownOperationException")
    assert "ListCampaigns" in error["message"]


def test_settings_with_the_same_names_are_a_group_of_their_own(tmp_path: Path) -> None:
    """Schemas are named after their dataset group, of which a long name is cut at its end."""
    group = "g" * 63
    settings = f'[campaigns]\nx = "aws-sims"\n[options]\ndataset_group = "{group}"\n'
    for name, content in {**FILES, "personalize.toml": settings}.items():
        (tmp_path / name).write_text(content)
    local = LocalPersonalize.from_directory(tmp_path)
    for row in told(local, "ListSchemas")["schemas"]:
        assert len(row["name"]) <= 63
        assert row["name"].endswith(("-items", "-interactions"))
