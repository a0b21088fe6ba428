"""Lists of any length, and lists under rules, in bulk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import bulk
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.scored import ScoredPersonalize
from personalize_rt.rerank import LongRanking, Rules

IDS = [f"i{n}" for n in range(1_200)]


def score(user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None) -> Sequence[float | None]:
    return [-int(id[1:]) / 1000 for id in item_ids]


@pytest.fixture(scope="module")
def local() -> ScoredPersonalize:
    return ScoredPersonalize(score)


def asked(local: ScoredPersonalize, **more: Any) -> bulk.RankRequest:
    return bulk.RankRequest(
        campaign_arn=local.campaign_arn("ranking"), user_id="u", **{"input_list": IDS[::-1], **more}
    )


def test_a_list_of_any_length_is_one_request_of_a_job(local: ScoredPersonalize) -> None:
    requests = [asked(local), asked(local, input_list=IDS[:3]), asked(local, input_list=iter(IDS))]
    with bulk.run(local.runtime(), requests, concurrency=2, progress=False) as run:
        long, short, once = [outcome.result() for outcome in run]
    for answer in (long, once):
        assert type(answer) is LongRanking
        assert (answer.requests, len(answer), answer.item_ids[:2]) == (4, 1_200, ("i0", "i1"))
    assert not isinstance(short, LongRanking)
    assert run.summary.done == 3


def test_the_deadline_of_a_long_list_is_that_of_one_request_for_each(local: ScoredPersonalize) -> None:
    seen: list[float | None] = []

    class Runtime:
        _limits = local.runtime()._limits
        _policies = local.runtime(deadline=2.0)._policies

        def with_options(self, *, deadline: float) -> Runtime:
            seen.append(deadline)
            return self

        def rank_long(self, **arguments: Any) -> str:
            assert arguments["concurrency"] == 1
            return "ranked"

    assert asked(local).ask(Runtime()) == "ranked"
    assert seen == [10.0]  # three chunks, what ties them, and one in reserve


def test_each_request_of_a_long_list_counts_for_the_pace(
    local: ScoredPersonalize, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged: list[float] = []
    monkeypatch.setattr(RateLimiter, "charge", lambda self, now: charged.append(now))
    with bulk.run(local.runtime(), [asked(local)], progress=False) as run:
        assert [outcome.result().item_ids[0] for outcome in run] == ["i0"]
    assert len(charged) == 3  # the first one had its turn


def test_rules_are_applied_to_each_answer_and_pass_over_what_it_does_not_have(local: ScoredPersonalize) -> None:
    rules = Rules(without=["i0"], pin={"i3": 0, "i700": 1})
    requests = [asked(local, input_list=ids, rules=rules) for ids in (IDS[:4], IDS[1:3])]
    with bulk.run(local.runtime(), requests, progress=False) as run:
        assert [outcome.result().item_ids for outcome in run] == [("i3", "i1", "i2"), ("i1", "i2")]


def test_a_rule_that_makes_no_sense_is_the_outcome_of_its_request(local: ScoredPersonalize) -> None:
    with bulk.run(local.runtime(), [asked(local, rules=Rules(boost={"i1": -1.0}))], progress=False) as run:
        (outcome,) = run
    assert isinstance(outcome.error, ValidationError)
    assert outcome.error.parameter == "factors"


def test_a_file_of_long_lists_under_rules(tmp_path: Path, local: ScoredPersonalize) -> None:
    rows = [{"userId": "u", "itemList": IDS[::-1]}, {"userId": "u", "itemList": ["i5", "i4"]}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(**options: Any) -> bulk.Summary:
        return bulk.rank_file(
            local.runtime(),
            tmp_path / "in.jsonl",
            tmp_path / "out.jsonl",
            campaign_arn=local.campaign_arn("ranking"),
            progress=False,
            **options,
        )

    assert run(rules=Rules(pin={"i5": 0})).done == 2
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["output"]["recommendedItems"][:2] for line in lines] == [["i5", "i0"], ["i5", "i4"]]
    assert len(lines[0]["output"]["recommendedItems"]) == 1_200


def test_a_column_that_has_to_vary_is_asked_for(tmp_path: Path) -> None:
    sample = LocalPersonalize.sample()
    films = [*sample.items][:20]
    (tmp_path / "in.jsonl").write_text(json.dumps({"userId": "13974", "itemList": films}) + "\n")
    bulk.rank_file(
        sample.runtime(),
        tmp_path / "in.jsonl",
        tmp_path / "out.jsonl",
        campaign_arn=sample.campaign_arn("movies-ranking"),
        rules=Rules(diversify=("GENRES", 1, 2)),
        progress=False,
    )
    (line,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert line["error"] is None
    first, second = (set(str(sample.items[id]["GENRES"]).split("|")) for id in line["output"]["recommendedItems"][:2])
    assert not first & second
