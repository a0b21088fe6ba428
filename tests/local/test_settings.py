"""personalize.toml: campaigns, options, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from personalize_rt.local import LocalDataError, LocalPersonalize

INTERACTIONS = "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1000\n"
ACTIONS = "ACTION_ID,TYPE\na,Mail\n"
Load = Callable[..., LocalPersonalize]


@pytest.fixture
def load(directory: Callable[..., Path]) -> Load:
    def load(settings: str | bytes | None, files: Mapping[str, str] | None = None) -> LocalPersonalize:
        content = {"interactions.csv": INTERACTIONS} if files is None else files
        return LocalPersonalize.from_directory(
            directory(content if settings is None else {**content, "personalize.toml": settings})
        )

    return load


def test_campaigns_are_those_declared_in_their_order(load: Load) -> None:
    local = load('[campaigns]\nz = "aws-sims"\na = "arn:aws:personalize:::recipe/aws-popularity-count"\n')
    assert dict(local.campaigns) == {
        "z": "arn:aws:personalize:eu-west-1:000000000000:campaign/z",
        "a": "arn:aws:personalize:eu-west-1:000000000000:campaign/a",
    }


def test_options_shape_the_arns(load: Load) -> None:
    local = load('[options]\nregion = "ap-southeast-2"\naccount = "123456789012"\n[campaigns]\nx = "aws-sims"\n')
    assert local.campaign_arn("x") == "arn:aws:personalize:ap-southeast-2:123456789012:campaign/x"


@pytest.mark.parametrize("settings", [None, "", '[options]\nregion = "eu-west-1"\n'])
def test_without_campaigns_there_is_one_for_each_recipe_that_has_its_data(load: Load, settings: str | None) -> None:
    of_items = {
        "user-personalization",
        "user-personalization-v2",
        "hrnn",
        "hrnn-metadata",
        "hrnn-coldstart",
        "personalized-ranking",
        "personalized-ranking-v2",
        "similar-items",
        "sims",
        "popularity-count",
        "trending-now",
    }
    assert set(load(settings).campaigns) == of_items
    everything = {"interactions.csv": INTERACTIONS, "actions.csv": ACTIONS}
    assert set(load(settings, everything).campaigns) == {*of_items, "next-best-action"}
    with_items = {"interactions.csv": INTERACTIONS, "items.csv": "ITEM_ID,TITLE\ni,One\n"}
    assert set(load(settings, with_items).campaigns) - {"next-best-action"} == {*of_items, "semantic-similarity"}


def test_declared_but_empty_campaigns_are_none(load: Load) -> None:
    assert dict(load("[campaigns]\n").campaigns) == {}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("[campaigns\n", "personalize.toml, line 1, column 11: expected TOML"),
        (b"[filters]\nx = '\xe9'\n", "personalize.toml, line 2: expected UTF-8"),
        (
            '\n[campaigns]\nx = "aws-trending-later"\n',
            "personalize.toml, line 3, column 1: campaigns.x: expected one of the recipes",
        ),
        ("[campaigns]\nx = 7\n", "personalize.toml, line 2, column 1: campaigns.x: expected a string in quotes"),
        (
            '[campaigns]\n"my campaign" = "aws-sims"\n',
            "line 2, column 1: campaigns.my campaign: expected a name of letters",
        ),
        ('campaigns = "aws-sims"\n', "line 1, column 1: expected a table: [campaigns]"),
        ('[options]\nregion = "nowhere"\n', 'line 2, column 1: options.region: expected a region, as "eu-west-1"'),
        ('[options]\naccount = "12"\n', "line 2, column 1: options.account: expected the 12 digits"),
        (
            '[options]\ncolour = "red"\n',
            "line 2, column 1: options.colour: expected one of the options region, account",
        ),
        ('[schemas]\nmovies = "x.json"\n', "line 2, column 1: schemas.movies: expected one of the datasets"),
        (
            '[schemas]\ninteractions = "x.json"\n',
            "line 2, column 1: schemas.interactions: expected the JSON of a schema",
        ),
        (
            "[schemas]\ninteractions = '{]'\n",
            "personalize.toml (schemas.interactions), line 2, column 18: expected JSON",
        ),
        (
            '[campaign]\nx = "aws-sims"\n',
            "line 1, column 2: campaign is none of the tables campaigns, recommenders, filters, event_trackers, ",
        ),
        ("[campaigns]\nx = { recipe = 7 }\n", "line 2, column 7: campaigns.x: expected a recipe, as {"),
        ("[campaigns]\nx = {}\n", "line 2, column 1: campaigns.x: expected a recipe, as {"),
        (
            '[campaigns.x]\nrecipe = "aws-sims"\nexploration = 1\n',
            "line 3, column 1: campaigns.x.exploration: expected recipe or",
        ),
        (
            '[campaigns]\nx = { recipe = "aws-sims", enableMetadataWithRecommendations = "yes" }\n',
            "line 2, column 28: campaigns.x.enableMetadataWithRecommendations: expected true or false",
        ),
        ('[campaigns]\nx = "aws-vod-top-picks"\n', "aws-vod-top-picks is for recommenders: expected it in the table"),
        ('\n[recommenders]\nx = "aws-sims"\n', "line 3, column 1: recommenders.x: aws-sims is for campaigns"),
        (
            '\n[recommenders]\nx = "top-picks"\n',
            "line 3, column 1: recommenders.x: expected one of the use cases aws-vod-",
        ),
        ('[campaigns]\nx = "aws-item-affinity"\n', "makes user segments, in batch jobs only: it has no campaigns"),
        (
            '[recommenders]\nx = "aws-vod-trending-now"\ny = "aws-ecomm-recommended-for-you"\n',
            "line 1, column 2: recommenders: expected use cases of one domain, as a dataset group has one: ECOMMERCE",
        ),
        (
            '[recommenders]\nx = "aws-vod-most-popular"\n',
            "interactions.csv: expected events of the type Watch: the recommender x (aws-vod-most-popular) learns",
        ),
        (
            '[filters]\n"a b" = "EXCLUDE"\n',
            "line 2, column 1: filters.a b: expected a name of letters, digits, - and _",
        ),
        (
            '[event_trackers]\none = ""\nother = ""\n',
            "line 1, column 2: event_trackers: expected one: a dataset group has one event tracker at most",
        ),
        ('[event_trackers]\n"a b" = ""\n', "line 2, column 1: event_trackers.a b: expected a name of letters"),
        (
            f'[event_trackers]\nx = "{"t" * 257}"\n',
            "line 2, column 1: event_trackers.x: expected a tracking id of at most 256 characters",
        ),
        ('[options]\ndataset_group = "a b"\n', "line 2, column 1: options.dataset_group: expected a name of letters"),
        ("[filters]\nx = 7\n", "line 2, column 1: filters.x: expected a string in quotes"),
        ("[options]\na.b = 1 #", "line 2, column 1: options.a: expected a string in quotes"),
        ("options.region = 'mars'", "line 1, column 9: options.region: expected a region"),
        ("  campaigns = { x = 'aws-nope' }", "line 1, column 17: campaigns.x: expected one of the recipes"),
        ("[[campaigns]]\nx = 'aws-sims'", "line 1, column 3: expected a table: [campaigns]"),
        ("[campaigns]\nx = 'aws-sims", "line 2, column 14: expected TOML"),
        (
            '[options]\naccount = """123456789012"""\n[filters]\n"a ] = \'b" = 1\n',
            "line 4, column 1: filters.a ] = 'b: expected a string in quotes",
        ),
        ('[campaigns]\noffers = "aws-next-best-action"\n', "actions.csv: expected this file: the campaign offers"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(load: Load, settings: str | bytes, expected: str) -> None:
    with pytest.raises(LocalDataError) as raised:
        load(settings)
    assert len(raised.value.problems) == 1
    assert expected in str(raised.value.problems[0])


def test_campaign_of_items_needs_interactions(load: Load) -> None:
    with pytest.raises(LocalDataError, match=r"interactions\.csv: expected this file: the campaign x \(aws-sims\)"):
        load('[campaigns]\nx = "aws-sims"\n', {"actions.csv": ACTIONS})
