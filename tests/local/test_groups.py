"""Several dataset groups behind one address, and ARNs of production that stand for local resources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from personalize_rt import ThrottlingError, ValidationError
from personalize_rt.local import LocalDataError, LocalGroups, LocalPersonalize
from tests.local.conftest import INTERACTIONS, ITEMS, Files
from tests.local.control_requests import refused, told
from tests.optional import optional

OLD = "INCLUDE ItemID WHERE Items.YEAR < 2000"
PREFIX = "arn:aws:personalize:eu-west-1:000000000000"
PRODUCTION = "arn:aws:personalize:us-east-1:123456789012"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the data directory of one dataset group."""

    def write(name: str, settings: str | None = None, group: str | None = None) -> Path:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        (path / "interactions.csv").write_text(INTERACTIONS)
        (path / "items.csv").write_text(ITEMS)
        tables = f'[campaigns]\n{name}-popular = "aws-popularity-count"\n' if settings is None else settings
        options = f'[options]\ndataset_group = "{group or name}"\n'
        (path / "personalize.toml").write_text(tables + options)
        return path

    return write


@pytest.fixture
def groups(write: Write) -> LocalGroups:
    films = f"""\
[campaigns]
films-popular = "aws-popularity-count"
films-ranking = "aws-personalized-ranking"
[recommenders]
top = "aws-vod-top-picks"
[filters]
old = "{OLD}"
[event_trackers]
site = "track-films"
"""
    return LocalGroups.from_directories(write("shop"), write("films", films))


def test_each_request_goes_to_its_dataset_group(groups: LocalGroups) -> None:
    client = groups.boto3_client()
    for name in ("shop-popular", "films-popular"):
        assert client.get_recommendations(campaignArn=groups.campaign_arn(name), numResults=1)["itemList"]
    assert client.get_recommendations(recommenderArn=groups.recommender_arn("top"), userId="ann")["itemList"]
    with pytest.raises(ClientError, match="there is no filter"):
        client.get_recommendations(campaignArn=groups.campaign_arn("shop-popular"), filterArn=groups.filter_arn("old"))
    with pytest.raises(ClientError, match="does not exist or is not active yet"):
        client.get_recommendations(campaignArn=f"{PREFIX}:campaign/none")
    with groups.runtime() as runtime:
        ranking = runtime.campaign(groups.campaign_arn("films-ranking")).rank("ann", ["a", "x"])
    assert set(ranking.item_ids) == {"a", "x"}


def test_one_control_plane_tells_all_of_them(groups: LocalGroups) -> None:
    assert [row["name"] for row in told(groups, "ListDatasetGroups")["datasetGroups"]] == ["films", "shop"]
    assert len(told(groups, "ListCampaigns")["campaigns"]) == 3
    shop = groups["shop"].dataset_group_arn
    assert [row["name"] for row in told(groups, "ListSolutions", datasetGroupArn=shop)["solutions"]] == ["shop-popular"]
    arn = told(groups, "CreateFilter", name="new", datasetGroupArn=shop, filterExpression=OLD)["filterArn"]
    assert groups["shop"].filters == {"new": arn}
    code, message = refused(groups, "CreateFilter", name="old", datasetGroupArn=shop, filterExpression=OLD)
    assert (code, "in the dataset group films" in message) == ("ResourceAlreadyExistsException", True)
    tracker = told(groups, "CreateEventTracker", name="shop-site", datasetGroupArn=shop)
    assert len(told(groups, "ListEventTrackers")["eventTrackers"]) == 2
    assert tracker["trackingId"] != "track-films"


def test_groups_are_a_mapping_of_their_services(groups: LocalGroups) -> None:
    assert [*groups] == ["shop", "films"]
    assert isinstance(groups["films"], LocalPersonalize)
    assert dict(groups.filters) == {"old": f"{PREFIX}:filter/old"}
    assert repr(groups) == "LocalGroups(shop, films)"
    with pytest.raises(ValidationError, match="shop-popular, films-popular"):
        groups.campaign_arn("none")
    with pytest.raises(ValidationError, match="the recommenders are: top"):
        groups.recommender_arn("other")
    with pytest.raises(ValidationError, match="old"):
        groups.filter_arn("other")
    assert groups.prepare() is groups


@pytest.mark.parametrize(
    ("films", "group", "said"),
    [
        ('[campaigns]\nshop-popular = "aws-sims"\n', None, "shop and films have the campaign shop-popular"),
        (None, "shop", r"two dataset groups have the dataset group shop \(set dataset_group in \[options\]"),
        (
            f'[aliases]\n"{PREFIX}:campaign/shop-popular" = "x"\n[recommenders]\nx = "aws-vod-top-picks"\n',
            None,
            "there is no campaign 'x'",
        ),
    ],
)
def test_names_that_clash_are_refused(write: Write, films: str | None, group: str | None, said: str) -> None:
    with pytest.raises((ValidationError, LocalDataError), match=said):
        LocalGroups.from_directories(write("shop"), write("films", films, group))


def test_alias_that_is_a_campaign_of_another_group_is_refused(write: Write) -> None:
    films = f'[campaigns]\nx = "aws-sims"\n[aliases]\n"{PREFIX}:campaign/shop-popular" = "x"\n'
    with pytest.raises(ValidationError, match="shop and films have the alias shop-popular"):
        LocalGroups.from_directories(write("shop"), write("films", films))


def test_no_group_is_refused() -> None:
    with pytest.raises(ValidationError, match="one LocalPersonalize at least"):
        LocalGroups()


def test_names_in_other_regions_do_not_clash(write: Write) -> None:
    path = write("films", '[campaigns]\nshop-popular = "aws-sims"\n')
    settings = path / "personalize.toml"
    settings.write_text(f'{settings.read_text()}region = "us-east-1"\n')
    groups = LocalGroups.from_directories(write("shop"), path)
    assert len(told(groups, "ListCampaigns")["campaigns"]) == 2


def test_reload_takes_all_or_nothing(write: Write, groups: LocalGroups) -> None:
    told(groups, "CreateFilter", name="x", datasetGroupArn=groups["shop"].dataset_group_arn, filterExpression=OLD)
    write("shop", '[campaigns]\nfilms-popular = "aws-sims"\n')
    with pytest.raises(ValidationError, match="shop and films have the campaign films-popular"):
        groups.reload()
    write("shop", "[campaigns\n")
    with pytest.raises(LocalDataError):
        groups.reload()
    assert "x" in groups.filters
    write("shop", '[campaigns]\nnew = "aws-sims"\n', "store")
    groups.reload()
    assert "x" not in groups.filters
    assert [*groups] == ["store", "films"]
    assert [row["name"] for row in told(groups, "ListDatasetGroups")["datasetGroups"]] == ["films", "store"]


def test_faults_are_those_of_the_door(groups: LocalGroups) -> None:
    groups.faults.throttle(campaign="films-popular")
    runtime = groups.runtime()
    assert runtime.get_recommendations(campaign_arn=groups.campaign_arn("shop-popular"))
    with pytest.raises(ThrottlingError):
        runtime.get_recommendations(campaign_arn=groups.campaign_arn("films-popular"))


def test_events_go_to_the_dataset_group_of_their_tracker(groups: LocalGroups) -> None:
    events = groups.boto3_client("personalize-events")
    one = {"eventType": "Watch", "itemId": "a", "sentAt": 2000}
    events.put_events(trackingId="track-films", userId="ann", sessionId="s", eventList=[one])
    assert len(groups["films"].recorded_events) == 1
    assert groups["shop"].recorded_events == ()
    assert groups.recorded_events == groups["films"].recorded_events
    items = [{"itemId": "new", "properties": '{"title": "New", "year": 2024, "genres": "Drama"}'}]
    events.put_items(datasetArn=groups["shop"].dataset_arn("items"), items=items)
    with pytest.raises(ClientError, match="no active event tracker"):
        events.put_events(trackingId="none", sessionId="s", eventList=[one])


def test_reset_forgets_requests_faults_and_given_answers(groups: LocalGroups) -> None:
    client, arn = groups.boto3_client(), groups.campaign_arn("films-popular")
    groups["films"].answer("films-popular", ["x"])
    groups.faults.throttle(campaign="shop-popular")
    assert [row["itemId"] for row in client.get_recommendations(campaignArn=arn)["itemList"]] == ["x"]
    assert [row.resource for row in groups.requests] == [arn]
    groups.reset()
    assert len(groups.requests) == len(groups.faults.rules) == 0
    assert len(client.get_recommendations(campaignArn=arn)["itemList"]) > 1


def test_over_http_too(groups: LocalGroups) -> None:
    optional("uvicorn")
    with groups.serve() as url:
        made = {"endpoint_url": url, "region_name": "us-west-2"}
        session: Any = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any")
        control, runtime = session.client("personalize", **made), session.client("personalize-runtime", **made)
        try:
            (group,) = [row for row in control.list_dataset_groups()["datasetGroups"] if row["name"] == "films"]
            arn = control.create_filter(
                name="new",
                datasetGroupArn=group["datasetGroupArn"],
                filterExpression="INCLUDE ItemID WHERE Items.YEAR < 1991",
            )["filterArn"]
            assert control.describe_filter(filterArn=arn)["filter"]["status"] == "ACTIVE"
            reply = runtime.get_recommendations(campaignArn=groups.campaign_arn("films-popular"), filterArn=arn)
            assert [item["itemId"] for item in reply["itemList"]] == ["a"]
            control.delete_filter(filterArn=arn)
            with pytest.raises(control.exceptions.ResourceNotFoundException):
                control.describe_filter(filterArn=arn)
            with pytest.raises(ClientError, match="DescribeAlgorithm is not modelled"):
                control.describe_algorithm(algorithmArn="arn:aws:personalize:::algorithm/aws-sims")
        finally:
            control.close()
            runtime.close()


# Aliases.

ALIASES = f"""\
[campaigns]
ranking = "aws-personalized-ranking"
popular = "aws-popularity-count"
[recommenders]
top = "aws-vod-top-picks"
[filters]
old = "{OLD}"
[aliases]
"{PRODUCTION}:campaign/prod-popular" = "popular"
"{PRODUCTION}:recommender/prod-top" = "top"
"{PRODUCTION}:filter/prod-old" = "old"
"""


@pytest.fixture
def aliased(directory: Files) -> LocalPersonalize:
    files = {"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": ALIASES}
    return LocalPersonalize.from_directory(directory(files))


def test_arns_of_production_are_answered_by_local_resources(aliased: LocalPersonalize) -> None:
    client = aliased.boto3_client()
    reply = client.get_recommendations(
        campaignArn=f"{PRODUCTION}:campaign/prod-popular", filterArn=f"{PRODUCTION}:filter/prod-old"
    )
    assert {item["itemId"] for item in reply["itemList"]} == {"a", "b", "c"}
    assert client.get_recommendations(recommenderArn=f"{PRODUCTION}:recommender/prod-top", userId="ann")["itemList"]
    control = aliased.boto3_client("personalize")
    campaign = control.describe_campaign(campaignArn=f"{PRODUCTION}:campaign/prod-popular")["campaign"]
    assert campaign["campaignArn"] == aliased.campaign_arn("popular")
    control.update_campaign(campaignArn=f"{PRODUCTION}:campaign/prod-popular", minProvisionedTPS=2)
    assert control.describe_campaign(campaignArn=campaign["campaignArn"])["campaign"]["minProvisionedTPS"] == 2
    assert len(control.list_campaigns()["campaigns"]) == 2


def test_faults_of_a_campaign_count_for_its_aliases(aliased: LocalPersonalize) -> None:
    aliased.faults.throttle(campaign="popular")
    with pytest.raises(ThrottlingError):
        aliased.runtime().get_recommendations(campaign_arn=f"{PRODUCTION}:campaign/prod-popular")


def test_a_fault_may_name_a_campaign_by_an_alias(aliased: LocalPersonalize) -> None:
    aliased.faults.throttle(campaign=f"{PRODUCTION}:campaign/prod-popular")
    for arn in (aliased.campaign_arn("popular"), f"{PRODUCTION}:campaign/prod-popular"):
        with pytest.raises(ThrottlingError):
            aliased.runtime().get_recommendations(campaign_arn=arn)


def test_aliases_of_one_group_are_known_behind_one_door(write: Write) -> None:
    settings = f'[campaigns]\npopular = "aws-popularity-count"\n[aliases]\n"{PRODUCTION}:campaign/p" = "popular"\n'
    groups = LocalGroups.from_directories(write("shop"), write("films", settings))
    assert groups.boto3_client().get_recommendations(campaignArn=f"{PRODUCTION}:campaign/p")["itemList"]
    groups.faults.throttle(campaign="popular")
    with pytest.raises(ThrottlingError):
        groups.runtime().get_recommendations(campaign_arn=f"{PRODUCTION}:campaign/p")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"popular" = "popular"', "aliases.popular: expected the ARN of a campaign, a recommender or a filter"),
        (f'"{PRODUCTION}:solution/x" = "popular"', "expected the ARN of a campaign"),
        (f'"{PRODUCTION}:campaign/x" = "populr"', "there is no campaign 'populr'; the campaigns are: popular"),
        (f'"{PRODUCTION}:recommender/x" = "popular"', "there is no recommender 'popular'; the recommenders are: none"),
        (f'"{PREFIX}:campaign/popular" = "popular"', "this campaign is here, under this ARN"),
        (f'"{PRODUCTION}:campaign/x" = 7', "expected a string in quotes"),
    ],
)
def test_alias_that_is_wrong_is_told_with_its_place(directory: Files, line: str, said: str) -> None:
    settings = f'[campaigns]\npopular = "aws-popularity-count"\n[aliases]\n{line}\n'
    with pytest.raises(LocalDataError) as raised:
        LocalPersonalize.from_directory(directory({"interactions.csv": INTERACTIONS, "personalize.toml": settings}))
    (problem,) = raised.value.problems
    assert said in problem.message
    assert problem.line == 4


def test_aliases_of_the_caller_are_those_of_the_sample_and_go_before_those_of_the_settings(directory: Files) -> None:
    prod = f"{PRODUCTION}:campaign/films"
    local = LocalPersonalize.sample(aliases={prod: "movies-ranking", f"{PRODUCTION}:filter/f": "unseen-by-genre"})
    films = local.runtime().campaign(prod)
    assert films.rank("13974", ["tt0120338", "tt0133093"]).item_ids == ("tt0133093", "tt0120338")
    romances = films.rank(
        "13974",
        ["tt0120338", "tt0133093"],
        filter_arn=f"{PRODUCTION}:filter/f",
        filter_values={"GENRE": "Romance"},
    )
    assert romances.item_ids == ("tt0120338",)

    files = {"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": ALIASES}
    aliased = LocalPersonalize.from_directory(
        directory(files),
        aliases={f"{PRODUCTION}:campaign/prod-popular": "ranking", f"{PRODUCTION}:campaign/p": "popular"},
    )
    for _ in range(2):
        client = aliased.boto3_client()
        assert client.get_personalized_ranking(
            campaignArn=f"{PRODUCTION}:campaign/prod-popular", userId="ann", inputList=["a"]
        )["personalizedRanking"]
        assert client.get_recommendations(campaignArn=f"{PRODUCTION}:campaign/p")["itemList"]
        assert client.get_recommendations(recommenderArn=f"{PRODUCTION}:recommender/prod-top", userId="ann")["itemList"]
        aliased.reload()


def test_an_answer_may_be_given_by_an_alias(aliased: LocalPersonalize) -> None:
    prod = f"{PRODUCTION}:campaign/prod-popular"
    aliased.answer(prod, ["x", "y"])
    assert aliased.runtime().campaign(prod).recommend().item_ids == ("x", "y")
    assert aliased.runtime().campaign(aliased.campaign_arn("popular")).recommend().item_ids == ("x", "y")
    aliased.answer(prod, None)
    assert aliased.runtime().campaign(prod).recommend().item_ids[:2] != ("x", "y")
    aliased.answer(f"{PRODUCTION}:recommender/prod-top", ["z"])
    assert aliased.runtime().recommender(aliased.recommender_arn("top")).recommend("ann").item_ids == ("z",)


@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        ([PREFIX], "aliases is a list of 1 item, not a mapping of ARNs to names"),
        (
            {"popular": "popular"},
            "aliases has the key 'popular'; expected the ARN of a campaign, a recommender or a filter",
        ),
        ({7: "popular"}, "aliases has the key an int; expected the ARN"),
        ({f"{PRODUCTION}:campaign/x": 7}, "campaign/x'] is an int, not a name"),
        ({f"{PRODUCTION}:campaign/x": "moves"}, "there is no campaign 'moves'; the campaigns are: movies-for-you, "),
    ],
)
def test_a_wrong_alias_of_the_caller_is_refused(aliases: Any, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        LocalPersonalize.sample(aliases=aliases)
    assert said in raised.value.message
    assert raised.value.parameter == "aliases"
