"""Cassettes as files: what people get to see when one is not right."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.testing.record import Cassette, CassetteError, Exchange, UnrecordedRequestError

POPULAR = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular"
GOOD: dict[str, Any] = {
    "operation": "GetRecommendations",
    "request": {"campaignArn": POPULAR},
    "reply": {"itemList": []},
}


def written(path: Path, document: Any) -> Path:
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return path


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b'{"cassette": 1,\n  oops}', "line 2, column 3"),
        (b"\xff", "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON"),
        ([], "expected an object"),
        ({}, "cassette must be 1"),
        ({"cassette": 2, "exchanges": []}, "cassette must be 1"),
        ({"cassette": 1}, "exchanges must be a list"),
        ({"cassette": 1, "exchanges": [GOOD, 5]}, "exchange 2: expected an object"),
        ({"cassette": 1, "exchanges": [{**GOOD, "operation": "PutEvents"}]}, "exchange 1: operation must be one of"),
        ({"cassette": 1, "exchanges": [{**GOOD, "request": None}]}, "exchange 1: request must be an object"),
        ({"cassette": 1, "exchanges": [{**GOOD, "reply": []}]}, "exchange 1: reply must be an object"),
        ({"cassette": 1, "exchanges": [{**GOOD, "headers": 1}]}, "exchange 1: headers must be an object"),
        ({"cassette": 1, "exchanges": [{**GOOD, "status": "200"}]}, "exchange 1: status must be a whole number"),
        ({"cassette": 1, "exchanges": [{**GOOD, "response": {}}]}, "exchange 1: there is no member 'response'"),
    ],
)
def test_a_file_that_is_no_cassette_says_where_and_why(tmp_path: Path, document: Any, problem: str) -> None:
    path = written(tmp_path / "c.json", document)
    with pytest.raises(CassetteError) as failure:
        Cassette.load(path)
    assert problem in str(failure.value)
    assert str(path) in str(failure.value)


def test_a_file_that_is_not_there_was_perhaps_never_recorded(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="Was it recorded"):
        Cassette.load(tmp_path / "c.json")


def test_a_cassette_may_be_written_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path / "c.json", {"exchanges": [GOOD], "cassette": 1})
    assert Cassette.load(path).exchanges == (Exchange("GetRecommendations", GOOD["request"], GOOD["reply"]),)
    reply = Cassette.load(path).boto3_client().get_recommendations(campaignArn=POPULAR)
    assert reply["ResponseMetadata"]["RequestId"] == "00000000-0000-4000-8000-000000000001"


def test_a_cassette_can_be_made_in_code_and_kept_as_a_file(tmp_path: Path) -> None:
    exchanges = [
        Exchange("GetRecommendations", {"campaignArn": POPULAR, "userId": "{user-1}"}, {"itemList": [{"itemId": "ü"}]}),
        Exchange("GetRecommendations", {"campaignArn": "gone"}, {"message": "no"}, 404, {"x-amzn-errortype": "Any"}),
    ]
    Cassette(exchanges).save(tmp_path / "c.json")
    assert Cassette.load(tmp_path / "c.json").exchanges == tuple(exchanges)
    assert "ü" in (tmp_path / "c.json").read_text(encoding="utf-8")
    assert "exchanges" in repr(Cassette(exchanges))


@pytest.mark.parametrize("kind", [CassetteError, UnrecordedRequestError])
def test_errors_pickle(kind: type[Exception]) -> None:
    error = pickle.loads(pickle.dumps(kind("no reply")))
    assert (type(error), str(error)) == (kind, "no reply")
