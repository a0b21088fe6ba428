"""Programs of other people's design, run unmodified: their calls one by one, in our own words.

Each test has the calls of one kind of public program, by boto3 clients made as the program makes them: in process, and
over HTTP by the three variables of the environment. Its docstring says what stopped it before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from personalize_rt.local import LocalPersonalize
from tests.local.conftest import INTERACTIONS, ITEMS
from tests.optional import optional

SETTINGS = """\
[campaigns]
shop-related = "aws-similar-items"
shop-for-you = "aws-user-personalization"
shop-ranking = "aws-personalized-ranking"
[recommenders]
shop-top = "aws-vod-top-picks"
[filters]
shop-unseen = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'
recent-20231101 = "INCLUDE ItemID WHERE Items.YEAR > 1900"
[aliases]
"arn:aws:personalize:us-east-1:123456789012:campaign/production-for-you" = "shop-for-you"
[options]
dataset_group = "shop"
"""

Client = Callable[[str], Any]


class Clock:
    """The time, which sleeping advances."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 100, "the program waits for something that does not come"
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace() -> float:
    return 0.0


@pytest.fixture
def local(tmp_path: Path, clock: Clock, pace: float) -> LocalPersonalize:
    for name, content in {"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": SETTINGS}.items():
        (tmp_path / name).write_text(content)
    return LocalPersonalize.from_directory(tmp_path, clock=clock, pace=pace)


@pytest.fixture(params=["in process", "http"])
def client(request: Any, local: LocalPersonalize, monkeypatch: Any) -> Iterator[Client]:
    """Makes a client of a service as a program does, which knows its region and nothing else."""
    if request.param == "in process":
        yield local.boto3_client
        return
    optional("uvicorn")
    with local.serve() as url:
        for name, value in local.env(url).items():
            monkeypatch.setenv(name, value)
        session: Any = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1")
        made: list[Any] = []

        def make(service: str) -> Any:
            made.append(session.client(service))
            return made[-1]

        yield make
        for one in made:
            one.close()


# A shop's recommendation service.


class Shop:
    """Answers its web pages, and tells the recipe in a header: two calls to the control plane for each request."""

    def __init__(self, client: Client) -> None:
        self.personalize = client("personalize")
        self.runtime = client("personalize-runtime")

    def recipe_of(self, arn: str) -> str:
        if arn.split(":")[5].startswith("recommender/"):
            found: str = self.personalize.describe_recommender(recommenderArn=arn)["recommender"]["recipeArn"]
            return found
        campaign = self.personalize.describe_campaign(campaignArn=arn)["campaign"]
        version = self.personalize.describe_solution_version(solutionVersionArn=campaign["solutionVersionArn"])
        found = version["solutionVersion"]["recipeArn"]
        return found

    def answer(self, arn: str, **request: Any) -> tuple[list[str], str]:
        key = "recommenderArn" if ":recommender/" in arn else "campaignArn"
        if "inputList" in request:
            rows = self.runtime.get_personalized_ranking(campaignArn=arn, **request)["personalizedRanking"]
        else:
            rows = self.runtime.get_recommendations(**{key: arn}, **request)["itemList"]
        return [row["itemId"] for row in rows], self.recipe_of(arn)


def test_shop_that_asks_for_the_recipe_of_each_answer(local: LocalPersonalize, client: Client) -> None:
    """Stopped at DescribeCampaign, in every request: 404 without a code, and its page had status 500."""
    shop = Shop(client)
    unseen = local.filter_arn("shop-unseen")
    items, recipe = shop.answer(local.campaign_arn("shop-related"), itemId="a", numResults=3)
    assert (items[0], recipe) == ("b", "arn:aws:personalize:::recipe/aws-similar-items")
    items, recipe = shop.answer(local.campaign_arn("shop-for-you"), userId="ann", filterArn=unseen)
    assert not set(items) & {"a", "b", "hit"}
    assert recipe.endswith("/aws-user-personalization")
    items, recipe = shop.answer(local.campaign_arn("shop-ranking"), userId="ann", inputList=["x", "c"])
    assert (items, recipe.rpartition("/")[2]) == (["c", "x"], "aws-personalized-ranking")
    _, recipe = shop.answer(local.recommender_arn("shop-top"), userId="ann")
    assert recipe.endswith("/aws-vod-top-picks")
    # Its configuration has the ARN of production.
    _, recipe = shop.answer(
        "arn:aws:personalize:us-east-1:123456789012:campaign/production-for-you", userId="ann", numResults=1
    )
    assert recipe.endswith("/aws-user-personalization")


# A filter rotator: a function that a schedule calls.


def rotate(client: Client, clock: Clock, group: str, keep: timedelta) -> list[tuple[str, str]]:
    """Creates the filter of the day, waits for it, and deletes old ones. Returns what it would publish."""
    personalize, published = client("personalize"), list[tuple[str, str]]()
    today = datetime.fromtimestamp(clock.now, UTC)
    name = f"recent-{today:%Y%m%d}"
    there, old = False, []
    for page in personalize.get_paginator("list_filters").paginate(datasetGroupArn=group):
        for row in page["Filters"]:
            there = there or row["name"] == name
            if re.fullmatch(r"recent-\d{8}", row["name"]) and today - row["creationDateTime"] > keep:
                old.append(row)
    if not there:
        expression = f"INCLUDE ItemID WHERE Items.YEAR >= {today.year - 33}"
        arn = personalize.create_filter(datasetGroupArn=group, filterExpression=expression, name=name)["filterArn"]
        until = clock.now + 12 * 60
        while clock.now < until:
            status = personalize.describe_filter(filterArn=arn)["filter"]["status"]
            if status in ("ACTIVE", "CREATE FAILED"):
                break
            clock.sleep(10)
        published.append((status, arn))
    for row in old:
        personalize.delete_filter(filterArn=row["filterArn"])
        published.append(("DELETED", row["filterArn"]))
    return published


@pytest.mark.parametrize(("pace", "slept"), [(0.0, []), (45.0, [10] * 5)])
def test_filter_rotator(local: LocalPersonalize, client: Client, clock: Clock, slept: list[float]) -> None:
    """Stopped at ListFilters, its first call: 404 without a code."""
    group, keep = local.dataset_group_arn, timedelta(days=3)
    new = local.filter_arn("recent-20231101").replace("20231101", "20231114")
    assert rotate(client, clock, group, keep) == [("ACTIVE", new)]
    assert clock.slept == slept
    assert rotate(client, clock, group, keep) == []
    runtime = client("personalize-runtime")
    reply = runtime.get_recommendations(campaignArn=local.campaign_arn("shop-for-you"), userId="ann", filterArn=new)
    assert {row["itemId"] for row in reply["itemList"]} == {"a", "b", "c", "x", "y", "z", "hit", "cold"} & {
        id
        for id, row in local.items.items()
        if row["YEAR"] >= 1990  # type: ignore[operator]
    }
    clock.now += 4 * 86_400
    states = [state for state, _ in rotate(client, clock, group, keep)]
    assert states == ["ACTIVE", "DELETED", "DELETED"]
    clock.now += 60
    assert set(local.filters) == {"shop-unseen", "recent-20231118"}


# A notebook: the part that asks for recommendations.


def wait_for(describe: Callable[[], Mapping[str, Any]], sleep: Callable[[float], None]) -> str:
    """The loop of all notebooks: describe, then sleep for a minute, for three hours at most."""
    for _ in range(180):
        status: str = describe()["status"]
        if status in ("ACTIVE", "CREATE FAILED"):
            return status
        sleep(60)
    return "too late"


@pytest.mark.parametrize(("pace", "waits"), [(0.0, 0), (300.0, 5)])
def test_notebook_of_the_inference_part(local: LocalPersonalize, client: Client, clock: Clock, waits: int) -> None:
    """Stopped at CreateEventTracker and CreateFilter; then at PutEvents."""
    personalize, runtime, events = client("personalize"), client("personalize-runtime"), client("personalize-events")
    (group,) = [row for row in personalize.list_dataset_groups()["datasetGroups"] if row["name"] == "shop"]
    arn = group["datasetGroupArn"]
    try:
        made = personalize.create_event_tracker(name="shop-tracker", datasetGroupArn=arn)
        tracker, tracking_id = made["eventTrackerArn"], made["trackingId"]
    except personalize.exceptions.ResourceAlreadyExistsException:
        pytest.fail("there is none yet")
    with pytest.raises(personalize.exceptions.ResourceAlreadyExistsException):
        personalize.create_event_tracker(name="again", datasetGroupArn=arn)
    filters = [
        personalize.create_filter(
            name=f"only-{genre.lower()}",
            datasetGroupArn=arn,
            filterExpression=f'INCLUDE ItemID WHERE Items.GENRES IN ("{genre}")',
        )["filterArn"]
        for genre in ("Drama", "Comedy")
    ]
    for one in filters:
        assert wait_for(lambda one=one: personalize.describe_filter(filterArn=one)["filter"], clock.sleep) == "ACTIVE"  # type: ignore[misc]
    assert len(clock.slept) == waits
    assert wait_for(
        lambda: personalize.describe_event_tracker(eventTrackerArn=tracker)["eventTracker"], clock.sleep
    ) == ("ACTIVE")
    found = personalize.describe_event_tracker(eventTrackerArn=tracker)["eventTracker"]
    assert (found["trackingId"], found["datasetGroupArn"]) == (tracking_id, arn)
    (version,) = personalize.list_solution_versions(
        solutionArn=personalize.list_solutions(datasetGroupArn=arn)["solutions"][0]["solutionArn"]
    )["solutionVersions"]
    metrics = personalize.get_solution_metrics(solutionVersionArn=version["solutionVersionArn"])["metrics"]
    assert metrics["precision_at_5"] >= 0

    campaign = local.campaign_arn("shop-for-you")
    answers = {
        one: [
            row["itemId"]
            for row in runtime.get_recommendations(campaignArn=campaign, userId="ann", filterArn=one)["itemList"]
        ]
        for one in filters
    }
    assert set(answers[filters[0]]) == {"a", "b", "c", "cold"}
    assert set(answers[filters[1]]) == {"x", "y", "z"}
    unseen = {"campaignArn": campaign, "userId": "ann", "filterArn": local.filter_arn("shop-unseen")}
    first = runtime.get_recommendations(**unseen)["itemList"][0]["itemId"]
    events.put_events(
        trackingId=tracking_id,
        userId="ann",
        sessionId="visit-1",
        eventList=[{"sentAt": int(clock.now), "eventType": "Watch", "properties": json.dumps({"itemId": first})}],
    )
    assert first not in [row["itemId"] for row in runtime.get_recommendations(**unseen)["itemList"]]


# A watch over capacity: a function that reads all campaigns and recommenders, and scales them.


def scale(client: Client, wanted: int) -> dict[str, str]:
    """Sets the capacity of everything that is active. Returns the recipe of each, as a dashboard shows it."""
    personalize, shown = client("personalize"), dict[str, str]()
    for page in personalize.get_paginator("list_campaigns").paginate():
        for row in page["campaigns"]:
            campaign = personalize.describe_campaign(campaignArn=row["campaignArn"])["campaign"]
            update = campaign.get("latestCampaignUpdate", {"status": "ACTIVE"})
            if campaign["status"] != "ACTIVE" or update["status"].startswith("DELETE"):
                continue
            version = personalize.describe_solution_version(solutionVersionArn=campaign["solutionVersionArn"])
            group = personalize.describe_dataset_group(datasetGroupArn=version["solutionVersion"]["datasetGroupArn"])[
                "datasetGroup"
            ]
            if campaign["minProvisionedTPS"] != wanted:
                personalize.update_campaign(campaignArn=row["campaignArn"], minProvisionedTPS=wanted)
            shown[f"{group['name']}/{row['name']}"] = version["solutionVersion"]["recipeArn"]
    for page in personalize.get_paginator("list_recommenders").paginate():
        for row in page["recommenders"]:
            recommender = personalize.describe_recommender(recommenderArn=row["recommenderArn"])["recommender"]
            config = recommender["recommenderConfig"]
            config["minRecommendationRequestsPerSecond"] = wanted
            personalize.update_recommender(recommenderArn=row["recommenderArn"], recommenderConfig=config)
            shown[row["name"]] = recommender["recipeArn"]
    return shown


def test_watch_over_capacity(local: LocalPersonalize, client: Client) -> None:
    """Stopped at ListCampaigns, its first call: 404 without a code."""
    shown = scale(client, 5)
    assert shown["shop/shop-related"] == "arn:aws:personalize:::recipe/aws-similar-items"
    assert len(shown) == 4
    personalize = client("personalize")
    campaign = personalize.describe_campaign(campaignArn=local.campaign_arn("shop-related"))["campaign"]
    assert campaign["minProvisionedTPS"] == campaign["latestCampaignUpdate"]["minProvisionedTPS"] == 5
    recommender = personalize.describe_recommender(recommenderArn=local.recommender_arn("shop-top"))["recommender"]
    assert recommender["recommenderConfig"]["minRecommendationRequestsPerSecond"] == 5
    assert scale(client, 5) == shown


# A script that cleans up.


@pytest.mark.parametrize("pace", [0.0, 40.0])
def test_clean_up_of_filters_and_trackers_waits_until_they_are_gone(
    local: LocalPersonalize, client: Client, clock: Clock, pace: float
) -> None:
    """Stopped at ListFilters. What it does next, deleting campaigns, is refused with an error that says why."""
    personalize, group = client("personalize"), local.dataset_group_arn
    left = []
    for row in personalize.list_filters(datasetGroupArn=group, maxResults=100)["Filters"]:
        personalize.delete_filter(filterArn=row["filterArn"])
        left.append(row["filterArn"])
    assert len(left) == 2
    while left:
        for arn in tuple(left):
            try:
                assert personalize.describe_filter(filterArn=arn)["filter"]["status"].startswith("DELETE")
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                left.remove(arn)
        if left:
            clock.sleep(20)
    assert sum(clock.slept) == pace
    while rows := personalize.list_event_trackers(datasetGroupArn=group)["eventTrackers"]:
        personalize.delete_event_tracker(eventTrackerArn=rows[0]["eventTrackerArn"])
        clock.sleep(60)
    assert personalize.list_dataset_import_jobs()["datasetImportJobs"] == []
    with pytest.raises(ClientError, match=r"a directory; personalize\.toml") as raised:
        personalize.delete_campaign(campaignArn=local.campaign_arn("shop-for-you"))
    assert raised.value.response["Error"]["Code"] == "InvalidInputException"


# A pipeline's API function: finds the tracking id by the name of the dataset group.


def test_function_that_finds_the_tracking_id_by_name(local: LocalPersonalize, client: Client) -> None:
    """Stopped at ListDatasetGroups, its first call: 404 without a code."""
    personalize = client("personalize")
    personalize.create_event_tracker(name="site", datasetGroupArn=local.dataset_group_arn)
    (group,) = [row for row in personalize.list_dataset_groups()["datasetGroups"] if row["name"] == "shop"]
    (row,) = personalize.list_event_trackers(datasetGroupArn=group["datasetGroupArn"])["eventTrackers"]
    tracker = personalize.describe_event_tracker(eventTrackerArn=row["eventTrackerArn"])["eventTracker"]
    client("personalize-events").put_events(
        trackingId=tracker["trackingId"],
        userId="new",
        sessionId="s",
        eventList=[{"eventType": "Watch", "itemId": "x", "sentAt": datetime.now(UTC)}],
    )
    campaign, unseen = local.campaign_arn("shop-for-you"), local.filter_arn("shop-unseen")
    reply = client("personalize-runtime").get_recommendations(campaignArn=campaign, userId="new", filterArn=unseen)
    assert "x" not in [item["itemId"] for item in reply["itemList"]]
