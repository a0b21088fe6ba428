"""Against the embedded service everything agrees; where one belief is inverted, exactly that line disagrees."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

import boto3
import pytest

from personalize_rt.local import LocalPersonalize
from personalize_rt.testing import verify
from personalize_rt.verify import QUESTIONS, Report
from personalize_rt.verify.requests import NOBODY, PROMOTED_OF, UNKNOWN
from tests.verify.conftest import Double, Reply

Members = Mapping[str, Any]


def recommends(members: Members) -> bool:
    return "inputList" not in members and "promotions" not in members


def ranks(members: Members) -> bool:
    return "inputList" in members


# What is answered in another way.


def order(members: Members, reply: Reply) -> None:
    if recommends(members):
        reply.rows = reply.rows[::-1]


def order_of_unknown(members: Members, reply: Reply) -> None:
    unknown = [row for row in reply.rows if row["itemId"] in UNKNOWN]
    if ranks(members) and unknown:
        reply.rows = [row for row in reply.rows if row["itemId"] not in UNKNOWN] + unknown[::-1]


def zero_for_unknown(members: Members, reply: Reply) -> None:
    for row in reply.rows if ranks(members) else ():
        row["score"] = 0.0 if row["score"] is None else row["score"]


def ties(members: Members, reply: Reply) -> None:
    if ranks(members):
        runs = groupby(reply.rows, key=lambda row: row["score"] or row["itemId"])
        reply.rows = [row for _, run in runs for row in [*run][::-1]]


def duplicates(members: Members, reply: Reply) -> None:
    if ranks(members) and reply.rows:
        reply.rows = [*{row["itemId"]: row for row in reply.rows}.values()]


def times(factor: float, kind: Callable[[Members], bool], *, filtered: bool) -> Callable[[Members, Reply], None]:
    def change(members: Members, reply: Reply) -> None:
        for row in reply.rows if kind(members) and ("filterArn" in members) == filtered else ():
            row["score"] = row["score"] and round(row["score"] * factor, 7)

    return change


def fewer_digits(members: Members, reply: Reply) -> None:
    for row in reply.rows:
        row["score"] = row["score"] and round(row["score"], 5)


def plain_numbers(members: Members, reply: Reply) -> None:
    reply.number = lambda number: f"{number:.7f}".rstrip("0")


def no_nulls(members: Members, reply: Reply) -> None:
    if reply.rows:
        reply.rows = [{name: value for name, value in row.items() if value is not None} for row in reply.rows]


def another_member(members: Members, reply: Reply) -> None:
    for row in reply.rows:
        row["explanation"] = "because"


def order_of_members(members: Members, reply: Reply) -> None:
    if reply.rows:
        reply.rows = [dict(reversed(row.items())) for row in reply.rows]


def white_space(members: Members, reply: Reply) -> None:
    reply.separators = (", ", ": ")


def old_recommendation_id(members: Members, reply: Reply) -> None:
    if "recommendationId" in reply.document:
        reply.document["recommendationId"] = f"RID-{uuid.UUID(int=7)}"


def code_in_the_body(members: Members, reply: Reply) -> None:
    if reply.status != 200:
        reply.document["__type"] = f"com.amazonaws.personalize#{reply.headers.pop('x-amzn-errortype')}"


def is_unknown(members: Members) -> bool:
    return NOBODY in str(members.get("campaignArn"))


def not_found(kind: Callable[[Members], bool]) -> Callable[[Members, Reply], None]:
    def change(members: Members, reply: Reply) -> None:
        if kind(members):
            reply.status, reply.headers["x-amzn-errortype"] = 404, "ResourceNotFoundException"

    return change


def other_words(members: Members, reply: Reply) -> None:
    if is_unknown(members):
        reply.document["message"] = "no such campaign"


def throttle(members: Members, reply: Reply) -> None:
    if NOBODY in str(members.get("filterArn")):
        reply.status, reply.headers["x-amzn-errortype"] = 429, "TooManyRequestsException"


def refused(kind: Callable[[Members], Any]) -> Callable[[Members, Reply], None]:
    def change(members: Members, reply: Reply) -> None:
        if kind(members):
            reply.status, reply.headers["x-amzn-errortype"] = 400, "InvalidInputException"
            reply.document = {"message": "no"}

    return change


def nothing_for_0(members: Members, reply: Reply) -> None:
    if members.get("numResults") == 0:
        reply.rows = []


def metadata(key: Callable[[str], str], value: Callable[[str], Any] = str) -> Callable[[Members, Reply], None]:
    def change(members: Members, reply: Reply) -> None:
        for row in reply.rows:
            if row["metadata"]:
                row["metadata"] = {key(name): value(text) for name, text in row["metadata"].items()}

    return change


def one_more_promoted(members: Members, reply: Reply) -> None:
    if members.get("numResults") == PROMOTED_OF:
        next(row for row in reply.rows if row["promotionName"] is None)["promotionName"] = NOBODY


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def case_of(members: Members, upper: bool) -> bool:
    return any(name.isupper() != upper for name in members.get("context", ()))


ANSWERED: dict[str, Callable[[Members, Reply], None]] = {
    "order": order,
    "order of unknown items": order_of_unknown,
    "scores of unknown items": zero_for_unknown,
    "equal scores": ties,
    "duplicates": duplicates,
    "sum of a ranking": times(0.5, ranks, filtered=False),
    "sum of recommendations": times(3, recommends, filtered=False),
    "sum of a filtered ranking": times(0.5, ranks, filtered=True),
    "sum of filtered recommendations": times(0.5, recommends, filtered=True),
    "digits": fewer_digits,
    "small numbers": plain_numbers,
    "null members": no_nulls,
    "other members": another_member,
    "order of members": order_of_members,
    "white space": white_space,
    "recommendation id": old_recommendation_id,
    "form of an error": code_in_the_body,
    "throttling": throttle,
    "unknown campaign": not_found(is_unknown),
    "text of an unknown campaign": other_words,
    "unknown filter": not_found(lambda members: NOBODY in str(members.get("filterArn"))),
    "numResults 0": nothing_for_0,
    "empty filterValues": refused(lambda members: members.get("filterValues") == {}),
    "missing value of EXCLUDE": refused(
        lambda members: "without-kind" in str(members.get("filterArn")) and not members.get("filterValues")
    ),
    "number in quotes": refused(lambda members: '"1995"' in str(members.get("filterValues"))),
    "metadata keys": metadata(camel),
    "metadata values": metadata(str, lambda text: float(text) if text.isdecimal() else text),
    "metadata columns in another case": refused(
        lambda members: any(name.islower() for name in members.get("metadataColumns", {}).get("ITEMS", ()))
    ),
    "context in another case": refused(lambda members: "device" in members.get("context", {})),
    "share of promotions": one_more_promoted,
}


# What is answered, and should be refused: the double asks for something else in its place.


def at_most(member: str, most: int, *, when: Callable[[Members], bool] = lambda members: True) -> Any:
    def change(members: dict[str, Any]) -> None:
        if when(members) and isinstance(members.get(member), int):
            members[member] = min(members[member], most)

    return change


def text_as_number(members: dict[str, Any]) -> None:
    if isinstance(members.get("numResults"), str):
        members["numResults"] = int(members["numResults"])


def fewer_items(members: dict[str, Any]) -> None:
    members["inputList"] = members["inputList"][:500] if "inputList" in members else None


def some_item(members: dict[str, Any]) -> None:
    if members.get("inputList") == []:
        members["inputList"] = ["i00"]


def somebody(members: dict[str, Any]) -> None:
    members["userId"] = members["userId"] or "somebody"


def without_filter(when: Callable[[Mapping[str, str], Members], Any]) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        if when(members.get("filterValues", {}), members):
            members.pop("filterArn", None)
            members.pop("filterValues", None)

    return change


def known_names(member: str, known: set[str]) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        if member == "context" and not known & {name.upper() for name in members.get("context", known)}:
            members.pop("context")
        columns = members.get("metadataColumns", {}).get("ITEMS", ())
        if member == "metadataColumns" and not known & {name.upper() for name in columns} and columns:
            members["metadataColumns"] = {"ITEMS": ["YEAR"]}

    return change


ASKED: dict[str, Callable[[dict[str, Any]], None]] = {
    "numResults 501": at_most("numResults", 500),
    "numResults as text": text_as_number,
    "501 items": fewer_items,
    "no items": some_item,
    "empty user": somebody,
    "filterValues alone": without_filter(lambda values, members: values and "filterArn" not in members),
    "extra filter value": without_filter(lambda values, members: "PERSONALIZE_RT_NONE" in values),
    "missing value of INCLUDE": without_filter(
        lambda values, members: "of-kind" in str(members.get("filterArn")) and not values
    ),
    "value without quotes": without_filter(lambda values, members: values.get("KIND") == "personalize-rt"),
    "escaped quote": without_filter(lambda values, members: "\\" in values.get("KIND", "")),
    "unknown metadata column": known_names("metadataColumns", {"YEAR", "BRAND_NAME"}),
    "metadata of 51 items": at_most("numResults", 50, when=lambda members: "metadataColumns" in members),
    "unknown context": known_names("context", {"DEVICE"}),
}


def outcomes(report: Report) -> dict[str, list[str]]:
    by_outcome: dict[str, list[str]] = {}
    for finding in report.findings:
        by_outcome.setdefault(finding.outcome, []).append(finding.question)
    return by_outcome


def test_embedded_service_agrees_in_process(double: Double, given: dict[str, Any]) -> None:
    report = verify(double.client, **given)
    found = outcomes(report)
    assert found.pop("unclear") == ["throttling"]
    assert list(found) == ["agrees"]
    assert report.requests == double.count <= 40


def test_embedded_service_agrees_over_http(local: LocalPersonalize, given: dict[str, Any]) -> None:
    with local.serve() as url:
        client = boto3.client(
            "personalize-runtime",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        report = verify(client, **given)
        client.close()
    assert outcomes(report).keys() == {"agrees", "unclear"}
    assert outcomes(report)["unclear"] == ["throttling"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_inverted_belief_is_found_and_nothing_else(double: Double, given: dict[str, Any], name: str) -> None:
    if name in ANSWERED:
        double.answered = ANSWERED[name]
    else:
        double.asked = ASKED[name]
    report = verify(double.client, **given)
    assert [finding.question for finding in report.disagreements] == [name], [*map(str, report.disagreements)]
    assert outcomes(report).get("unclear", []) == UNCLEAR.get(name, ["throttling"])


# What then is beside the point: the words of another error, the question whose request was throttled.
UNCLEAR = {
    "unknown campaign": ["throttling", "text of an unknown campaign"],
    "throttling": ["unknown filter"],
}


def test_every_question_is_inverted() -> None:
    assert ANSWERED.keys() | ASKED.keys() == QUESTIONS.keys()
    assert not ANSWERED.keys() & ASKED.keys()
