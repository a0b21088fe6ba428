"""What the options make of a request, and what is shown of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ACCOUNT = "arn:aws:personalize:eu-west-1:123456789012"
ARN = f"{ACCOUNT}:campaign/movies"
FILTER = f"{ACCOUNT}:filter/unseen"


@pytest.fixture
def ask(cli: Callable[..., Any], server: Any, session: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command against a server on this machine."""
    monkeypatch.setattr("boto3.DEFAULT_SESSION", session)  # reading the service model takes most of the time
    return lambda *arguments: cli(*arguments, "--region", "eu-west-1", "--endpoint-url", server.url)


# The request


def test_recommend_sends_every_option(ask: Callable[..., Any], server: Any) -> None:
    outcome = ask(
        "recommend", "--campaign-arn", ARN, "--user-id", "u", "--item-id", "i", "--num-results", "7",
        "--context", "DEVICE=phone", "--context", "PLACE=a=b", "--filter-arn", FILTER, "--value", "GENRE=Comedy",
        "--value", "YEAR:=1999", "--metadata", "TITLE", "--metadata", "YEAR",
    )  # fmt: skip
    assert outcome.status == 0
    (request,) = server.received
    assert request.path == "/recommendations"
    assert request.members == {
        "campaignArn": ARN,
        "userId": "u",
        "itemId": "i",
        "numResults": 7,
        "context": {"DEVICE": "phone", "PLACE": "a=b"},
        "filterArn": FILTER,
        "filterValues": {"GENRE": '"Comedy"', "YEAR": "1999"},
        "metadataColumns": {"ITEMS": ["TITLE", "YEAR"]},
    }


def test_recommend_can_ask_a_recommender(ask: Callable[..., Any], server: Any) -> None:
    recommender = f"{ACCOUNT}:recommender/top"
    assert ask("recommend", "--recommender-arn", recommender).status == 0
    assert server.received[0].members == {"recommenderArn": recommender}


def test_rank_sends_every_option(ask: Callable[..., Any], server: Any) -> None:
    outcome = ask(
        "rank", "--campaign-arn", ARN, "--user-id", "u", "i2", "i1", "--context", "DEVICE=phone",
        "--filter-arn", FILTER, "--value", "GENRE=Comedy", "--metadata", "TITLE",
    )  # fmt: skip
    assert outcome.status == 0
    (request,) = server.received
    assert request.path == "/personalize-ranking"
    assert request.members == {
        "campaignArn": ARN,
        "userId": "u",
        "inputList": ["i2", "i1"],
        "context": {"DEVICE": "phone"},
        "filterArn": FILTER,
        "filterValues": {"GENRE": '"Comedy"'},
        "metadataColumns": {"ITEMS": ["TITLE"]},
    }


def test_actions_sends_every_option(ask: Callable[..., Any], server: Any) -> None:
    outcome = ask(
        "actions", "--campaign-arn", ARN, "--user-id", "u", "--num-results", "3", "--filter-arn", FILTER,
        "--value", "KIND=a",
    )  # fmt: skip
    assert outcome.status == 0
    (request,) = server.received
    assert request.path == "/action-recommendations"
    assert request.members == {
        "campaignArn": ARN,
        "userId": "u",
        "numResults": 3,
        "filterArn": FILTER,
        "filterValues": {"KIND": '"a"'},
    }


def test_attempts_is_how_often_it_is_sent(ask: Callable[..., Any], server: Any) -> None:
    server.always(503)
    outcome = ask("recommend", "--campaign-arn", ARN, "--attempts", "2")
    assert outcome.status == 1
    assert "2 attempts" in outcome.problem
    assert server.count == 2


def test_after_the_deadline_it_is_not_sent_again(ask: Callable[..., Any], server: Any) -> None:
    server.always(503)
    outcome = ask("recommend", "--campaign-arn", ARN, "--deadline", "0.0001")
    assert outcome.status == 1
    assert "deadline" in outcome.problem
    assert server.count <= 1  # the time may be over before the connection is there


def test_a_profile_counts_before_credentials_of_the_environment(
    cli: Callable[..., Any], server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "config"
    settings.write_text("[profile other]\naws_access_key_id = OTHERKEY\naws_secret_access_key = x\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "default")
    where = ["--region", "eu-west-1", "--endpoint-url", server.url]
    assert cli("recommend", "--campaign-arn", ARN, "--profile", "other", *where).status == 0
    assert "Credential=OTHERKEY/" in server.received[0].headers["authorization"]


# The answer


def test_json_is_the_reply_of_the_service_and_info(ask: Callable[..., Any], server: Any) -> None:
    server.script(
        {
            "itemList": [
                {"itemId": "i1", "score": 0.5, "promotionName": "sale", "metadata": {"title": "É"}, "reason": ["New"]},
                {"itemId": "i2"},
            ],
            "recommendationId": "RID-1",
        }
    )
    outcome = ask("recommend", "--campaign-arn", ARN, "--json")
    reply = json.loads(outcome.out)
    info = reply.pop("info")
    assert reply == {
        "itemList": [
            {"itemId": "i1", "score": 0.5, "promotionName": "sale", "metadata": {"title": "É"}, "reason": ["New"]},
            {"itemId": "i2"},
        ],
        "recommendationId": "RID-1",
    }
    assert info.pop("elapsed") > 0
    assert info == {"requestId": "fd2ea40f-11f5-461c-b678-6a6a08bdb416", "attempts": 1, "source": "service"}


def test_a_table_shows_metadata_promotion_and_reason(ask: Callable[..., Any], server: Any) -> None:
    row = {"itemId": "i1", "score": 0.5, "promotionName": "sale", "metadata": {"title": "Up"}, "reason": ["New", "Top"]}
    server.script({"itemList": [row, {"itemId": "i2"}], "recommendationId": "RID-1"})
    name, facts, head, _, first, second = ask(
        "recommend", "--campaign-arn", ARN, "--metadata", "TITLE"
    ).out.splitlines()
    assert name == "Recommendations of 2 items"
    assert facts.startswith("from the service · 1 attempt · ")
    assert facts.endswith("request id fd2ea40f-11f5-461c-b678-6a6a08bdb416")
    assert head.split() == ["#", "item", "title", "score", "why"]
    assert first.replace("█", "").split() == ["1", "i1", "Up", "0.5000000", "promoted:", "sale,", "New,", "Top"]
    assert second.split() == ["2", "i2"]


def test_a_ranking_shows_how_far_each_item_moved(ask: Callable[..., Any], server: Any) -> None:
    ranked = [{"itemId": "c", "score": 0.75}, {"itemId": "b", "score": 0.25}, {"itemId": "a"}]
    server.script({"personalizedRanking": ranked, "recommendationId": "RID-1"})
    lines = ask("rank", "--campaign-arn", ARN, "--user-id", "u", "a", "b", "c", "d").out.splitlines()
    assert [line.split()[:5] for line in lines[4:6]] == [
        ["1", "▲", "2", "c", "0.7500000"],
        ["2", "=", "b", "0.2500000", "████"],
    ]
    assert lines[7].strip() == "1 item unknown to the model:"
    assert lines[8].split() == ["3", "▼", "2", "a"]
    assert lines[9] == "1 item of the request left out: d"


def test_a_line_of_a_pipe_is_never_broken(ask: Callable[..., Any], server: Any) -> None:
    id = "i" * 256
    server.script({"itemList": [{"itemId": id, "score": 0.5}], "recommendationId": "RID-1"})
    assert f"{id}   0.5000000" in ask("recommend", "--campaign-arn", ARN).out


def test_texts_of_others_neither_steer_the_terminal_nor_style_it(ask: Callable[..., Any], server: Any) -> None:
    row = {"itemId": "\x1b[31mi1", "metadata": {"title": "[red]a\nb[/red]\u202e"}}
    server.script({"itemList": [row], "recommendationId": "RID-1"})
    out = ask("recommend", "--campaign-arn", ARN, "--metadata", "TITLE").out
    assert "\\x1b[31mi1" in out
    assert "[red]a\\nb[/red]\\u202e" in out


def test_an_empty_answer_says_so(ask: Callable[..., Any], server: Any) -> None:
    server.script({"itemList": [], "recommendationId": "RID-1"})
    assert ask("recommend", "--campaign-arn", ARN).out.endswith("\nThe answer holds no item.\n")


def test_every_row_of_a_long_answer_is_shown(ask: Callable[..., Any], server: Any) -> None:
    """A notebook shows 50 rows; a program may read what is piped to it."""
    server.script({"itemList": [{"itemId": f"i{n}"} for n in range(500)], "recommendationId": "RID-1"})
    lines = ask("recommend", "--campaign-arn", ARN).out.splitlines()
    assert [line.split()[1] for line in lines[4:]] == [f"i{n}" for n in range(500)]


# The embedded service


def test_an_embedded_campaign_has_a_name_and_an_arn(cli: Callable[..., Any], shop: Path) -> None:
    by_name = cli("recommend", "--local", str(shop), "--campaign-arn", "popular", "--json")
    arn = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular"
    by_arn = cli("recommend", "--local", str(shop), "--campaign-arn", arn, "--json")
    assert json.loads(by_name.out)["itemList"] == json.loads(by_arn.out)["itemList"] != []


@pytest.mark.parametrize(
    ("option", "kind"),
    [("--campaign-arn", "campaign"), ("--recommender-arn", "recommender"), ("--filter-arn", "filter")],
)
def test_an_unknown_name_is_answered_with_those_there_are(
    cli: Callable[..., Any], shop: Path, option: str, kind: str
) -> None:
    others = ["--campaign-arn", "popular"] if option == "--filter-arn" else []
    outcome = cli("recommend", "--local", str(shop), *others, option, "other")
    assert outcome.status == 2
    assert f"there is no {kind} 'other'; the {kind}s are: " in outcome.problem


def test_an_unknown_arn_is_the_embedded_service_s_error(cli: Callable[..., Any], shop: Path) -> None:
    outcome = cli("recommend", "--local", str(shop), "--campaign-arn", ARN)
    assert outcome.status == 1
    assert "InvalidInputException" in outcome.problem
    assert "does not exist or is not active yet. Check the ARN, its region and its account" in outcome.problem


def test_what_was_left_out_of_the_data_is_told_in_a_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(",USER_ID,ITEM_ID,TIMESTAMP\n0,u,i,1000\n")
    outcome = cli("recommend", "--local", str(tmp_path), "--campaign-arn", "popularity-count", "--json")
    assert (outcome.status, json.loads(outcome.out)["itemList"][0]["itemId"]) == (0, "i")
    (line,) = outcome.err.splitlines()
    assert line.startswith("warning: interactions.csv, line 1: expected a name for column 1; it is left out")


@pytest.mark.parametrize("option", ["--region", "--profile", "--endpoint-url"])
def test_what_only_aws_can_use_is_refused_beside_local(cli: Callable[..., Any], option: str) -> None:
    outcome = cli("recommend", "--local", "sample", "--campaign-arn", "popular-movies", option, "x")
    assert outcome.status == 2
    assert outcome.problem == f"--local answers by itself: leave out {option}"


# verify


def test_verify_reports_and_dry_run_only_prints(cli: Callable[..., Any]) -> None:
    arguments = ("verify", "--local", "sample", "--campaign-arn", "movies-ranking", "--user-id", "13974")
    outcome = cli(*arguments)
    assert (outcome.status, outcome.err) == (0, "")
    assert "agrees     order of unknown items: " in outcome.out
    assert json.loads(cli(*arguments, "--json").out)["requests"] <= 40
    planned = cli(*arguments, "--dry-run")
    assert planned.out.splitlines()[0].endswith("requests at most; none was sent")
    assert "GetPersonalizedRanking (ranking): {" in planned.out
    assert json.loads(cli(*arguments, "--dry-run", "--json").out)[0]["operation"] == "GetRecommendations"


def test_verify_ends_with_1_when_something_is_not_as_believed(cli: Callable[..., Any], server: Any) -> None:
    server.script({"itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"})
    server.always({"itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"})
    outcome = cli(
        "verify", "--campaign-arn", ARN, "--endpoint-url", server.url, "--region", "eu-west-1", "--per-second", "1000"
    )
    assert (outcome.status, outcome.err) == (1, "")
    assert "disagrees  null members: " in outcome.out


def test_verify_without_anything_to_ask_is_a_usage_error(cli: Callable[..., Any]) -> None:
    outcome = cli("verify", "--local", "sample")
    assert outcome.status == 2
    assert "there is nothing to ask: give --campaign-arn" in outcome.problem


def test_recommend_sends_a_promotion(ask: Callable[..., Any], server: Any) -> None:
    outcome = ask(
        "recommend", "--campaign-arn", ARN, "--promotion", "sale=20", "--promotion-filter-arn", FILTER,
        "--promotion-value", "GENRE=Comedy", "--promotion-value", "YEAR:=1999",
    )  # fmt: skip
    assert outcome.status == 0
    assert server.received[0].members["promotions"] == [
        {
            "name": "sale",
            "percentPromotedItems": 20,
            "filterArn": FILTER,
            "filterValues": {"GENRE": '"Comedy"', "YEAR": "1999"},
        }
    ]


@pytest.mark.parametrize(("metadata", "requests"), [((), 3), (("--metadata", "TITLE"), 20)])
def test_rank_takes_more_items_than_a_request(
    command: Callable[..., Any], metadata: tuple[str, ...], requests: int
) -> None:
    from personalize_rt.local import LocalPersonalize

    items = list(LocalPersonalize.sample().items)
    outcome = command(
        *("rank", "--local", "sample", "--campaign-arn", "movies-ranking", "--user-id", "13974", *metadata),
        *("--items-from", "-", "--json"),
        input="\n".join(items).encode(),
    )
    assert (outcome.status, outcome.err) == (0, "")
    answer = json.loads(outcome.out)
    assert len(items) == 1_000
    assert sorted(row["itemId"] for row in answer["personalizedRanking"]) == sorted(items)
    assert answer["info"]["requests"] >= requests
