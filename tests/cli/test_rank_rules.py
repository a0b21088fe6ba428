"""``personalize-rt rank``: lists of any length, and rules that need no code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.cli.arguments import as_rules
from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.rerank import Rules

FILMS = ("tt0120338", "tt0133093", "tt0468569")
HERE = ("--local", "sample", "--campaign-arn", "movies-ranking", "--user-id", "13974")


def test_options_become_rules() -> None:
    rules = as_rules(pin=["a=b=1", "c=20"], boost=["d=1.5"], without=["e"], diversify="GENRES=2/10")
    assert rules == Rules(
        pin={"a=b": 0, "c": 19}, boost={"d": 1.5}, without=["e"], diversify=("GENRES", 2, 10)
    ) or rules == Rules(pin={"a=b": 0, "c": 19}, boost={"d": 1.5}, without=("e",), diversify=("GENRES", 2, 10))
    assert as_rules(pin=[], boost=[], without=[], diversify="A=B=3").diversify == ("A=B", 3, None)
    assert not as_rules(pin=[], boost=[], without=[], diversify=None)


@pytest.mark.parametrize(
    ("name", "text"),
    [("pin", "a"), ("pin", "a=0"), ("pin", "=1"), ("pin", "a=x"), ("boost", "a=x"), ("boost", "2"), ("diversify", "A"),
     ("diversify", "A=0"), ("diversify", "A=1/0")],
)  # fmt: skip
def test_what_is_no_rule_is_refused_by_its_option(name: str, text: str) -> None:
    given: dict[str, Any] = {"pin": [], "boost": [], "without": [], "diversify": None}
    given[name] = text if name == "diversify" else [text]
    with pytest.raises(ValidationError, match=f"--{name}") as caught:
        as_rules(**given)
    assert caught.value.parameter == name


def test_rank_obeys_rules_and_says_why(cli: Callable[..., Any]) -> None:
    outcome = cli("rank", *HERE, *FILMS, "--pin", "tt0120338=1", "--without", "tt0133093", "--json")
    assert outcome.status == 0
    rows = json.loads(outcome.out)["personalizedRanking"]
    assert [row["itemId"] for row in rows] == ["tt0120338", "tt0468569"]
    assert rows[0]["rules"][-1] == "pinned: 2 → 1"


def test_a_column_that_has_to_vary_is_asked_for_and_shown(cli: Callable[..., Any]) -> None:
    outcome = cli("rank", *HERE, *FILMS, "--diversify", "GENRES=1/2")
    assert outcome.status == 0
    assert "genres" in outcome.out  # as the service writes the keys of metadata


def test_a_rule_for_an_item_that_is_not_there_is_refused(cli: Callable[..., Any]) -> None:
    outcome = cli("rank", *HERE, *FILMS, "--pin", "tt9=1")
    assert outcome.status == 2
    assert "tt9" in outcome.err


def test_rank_takes_as_many_items_as_there_are(cli: Callable[..., Any], tmp_path: Path) -> None:
    films = [*LocalPersonalize.sample().items]
    (tmp_path / "films").write_text("\n".join(films))
    outcome = cli("rank", *HERE, "--items-from", str(tmp_path / "films"), "--deadline", "60", "--json")
    assert outcome.status == 0
    answer = json.loads(outcome.out)
    assert len(answer["personalizedRanking"]) == len(films) == 1_000
    assert answer["info"]["requests"] == 3
    assert 0 < answer["info"]["errorBound"] < 0.001
