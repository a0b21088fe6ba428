"""The events API: real boto3 clients, in process and over HTTP, and bytes where boto3 would not send them."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from personalize_rt import EventTracker
from personalize_rt.errors import ValidationError
from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.local.apis import MALFORMED
from personalize_rt.local.server import serving
from personalize_rt.options import TrackerOptions
from personalize_rt.tracking import TrackedEvent

INTERACTIONS = """\
USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP,DEVICE,NUM_RATINGS
ann,a,Watch,8,1000,phone,1
ann,b,Watch,7,1001,phone,2
ben,a,Watch,9,1003,tv,3
ben,b,Watch,8,1004,tv,4
ben,c,Watch,9,1005,tv,5
cat,d,Watch,9,1006,tv,6
"""
ITEMS = """\
ITEM_ID,BRAND_NAME,PRICE,GENRES,CREATION_TIMESTAMP,ON_SALE
a,Acme,9.5,Drama|Crime,1000,true
b,Bolt,1.25,Drama,1001,false
c,Core,2,Comedy,1002,false
d,Acme,7,Comedy,1003,false
"""
ITEMS_SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Items",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [
            {"name": "ITEM_ID", "type": "string"},
            {"name": "BRAND_NAME", "type": "string"},
            {"name": "PRICE", "type": ["float", "null"]},
            {"name": "GENRES", "type": ["null", "string"], "categorical": True},
            {"name": "CREATION_TIMESTAMP", "type": ["long", "null"]},
            {"name": "ON_SALE", "type": ["boolean", "null"]},
        ],
        "version": "1.0",
    }
)
USERS = "USER_ID,AGE,LEVEL\nann,30,gold\nben,40,silver\n"
ACTIONS = "ACTION_ID,TYPE,VALUE\nmail,Mail,3\ncall,Call,5\n"
ACTION_INTERACTIONS = "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\nann,mail,TAKEN,1000\n"
SETTINGS = """\
[campaigns]
for-you = { recipe = "aws-user-personalization", enableMetadataWithRecommendations = true }
ranking = { recipe = "aws-personalized-ranking", enableMetadataWithRecommendations = true }
similar = "aws-similar-items"
offers = "aws-next-best-action"
[filters]
unseen = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")'
brand = "INCLUDE ItemID WHERE Items.BRAND_NAME IN ($BRAND)"
cheap = "INCLUDE ItemID WHERE Items.PRICE < $MOST"
gold = 'INCLUDE ItemID WHERE Items.BRAND_NAME IN ("Acme") IF CurrentUser.LEVEL = "gold"'
alike = "INCLUDE ItemID WHERE Items.BRAND_NAME = CurrentItem.BRAND_NAME"
calls = 'INCLUDE ActionID WHERE Actions.TYPE IN ("Call")'
[event_trackers]
shop = "my-tracker"
"""
FILES = {
    "interactions.csv": INTERACTIONS,
    "items.csv": ITEMS,
    "users.csv": USERS,
    "actions.csv": ACTIONS,
    "action_interactions.csv": ACTION_INTERACTIONS,
    "personalize.toml": SETTINGS,
}
EVENT = {"eventType": "Watch", "sentAt": 1_700_000_000, "itemId": "c"}


@attrs.frozen
class Shop:
    """An embedded service with two clients of boto3, and its bytes."""

    local: LocalPersonalize
    events: Any
    runtime: Any

    def put(self, *events: dict[str, Any], **members: Any) -> None:
        given: dict[str, Any] = {"trackingId": "my-tracker", "userId": "u", "sessionId": "s", "eventList": [*events]}
        self.events.put_events(**{name: value for name, value in {**given, **members}.items() if value is not None})

    def post(self, path: str, members: Any) -> tuple[int, str, str]:
        """Status, code and message of a request as bytes."""
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        response = self.local.handle(HttpRequest("POST", path, {"content-type": "application/json"}, body))
        if response.status == 200:
            assert response.body == b""
            return 200, "", ""
        return response.status, response.headers["x-amzn-errortype"], json.loads(response.body)["message"]

    def rank(self, user: str, *items: str, **members: Any) -> list[str]:
        arn = self.local.campaign_arn("ranking")
        answer = self.runtime.get_personalized_ranking(campaignArn=arn, userId=user, inputList=[*items], **members)
        return [row["itemId"] for row in answer["personalizedRanking"]]

    def recommend(self, user: str, filter: str, **values: str) -> list[str]:
        answer = self.runtime.get_recommendations(
            campaignArn=self.local.campaign_arn("for-you"),
            userId=user,
            filterArn=self.local.filter_arn(filter),
            filterValues={name: json.dumps(value) for name, value in values.items()},
        )
        return [row["itemId"] for row in answer["itemList"]]

    def state(self) -> tuple[Any, ...]:
        """Everything that a refused request must not change."""
        return (
            self.local.recorded_events,
            self.local._engine.items.all,
            self.local._engine.actions.all,
            *(dict(self.local._engine.added.of(dataset)) for dataset in ("items", "users", "actions")),
            *(self.recommend(user, "unseen") for user in ("u", "s")),
        )


@pytest.fixture
def local(service: Callable[..., Any]) -> LocalPersonalize:
    made: LocalPersonalize = service(FILES).local
    return made


@pytest.fixture
def shop(local: LocalPersonalize) -> Shop:
    return Shop(local, local.boto3_client("personalize-events"), local.boto3_client())


@pytest.fixture(params=["in process", "over HTTP"])
def either(request: pytest.FixtureRequest, local: LocalPersonalize) -> Iterator[Shop]:
    if request.param == "in process":
        yield Shop(local, local.boto3_client("personalize-events"), local.boto3_client())
        return
    options: dict[str, Any] = {
        "region_name": "eu-west-1",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
        "config": Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30),
    }
    with serving(local, credentials=()) as url:
        clients = [
            boto3.client(name, endpoint_url=url, **options) for name in ("personalize-events", "personalize-runtime")
        ]
        yield Shop(local, *clients)
        for client in clients:
            client.close()


# PutEvents


def test_event_is_seen_by_the_next_request_and_recorded(either: Shop) -> None:
    assert "c" in either.recommend("u", "unseen")
    either.put(EVENT)
    assert "c" not in either.recommend("u", "unseen")
    (event,) = either.local.recorded_events
    assert (event.operation, event.tracking_id, event.session_id, event.user_id) == (
        "PutEvents",
        "my-tracker",
        "s",
        "u",
    )
    assert (event.event_type, event.item_id, event.sent_at) == ("Watch", "c", 1_700_000_000)
    assert (event.event_id, event.event_value, event.recommendation_id, event.source) == (None, None, None, None)
    assert (event.answer, event.impression, event.shown, dict(event.properties)) == (None, (), (), {})


def test_event_belongs_to_the_answer_whose_recommendation_id_it_brings(either: Shop) -> None:
    arn = either.local.campaign_arn("for-you")
    answer = either.runtime.get_recommendations(campaignArn=arn, userId="u", numResults=3)
    shown = tuple(row["itemId"] for row in answer["itemList"])
    either.put({**EVENT, "recommendationId": answer["recommendationId"]})
    either.put({**EVENT, "recommendationId": answer["recommendationId"], "impression": ["c", "d"]})
    either.put({**EVENT, "recommendationId": "RID-of-somebody-else"})
    first, second, third = either.local.recorded_events
    assert first.answer is not None
    assert (first.answer.operation, first.answer.resource_arn, first.answer.user_id) == ("GetRecommendations", arn, "u")
    assert first.answer.recommendation_id == answer["recommendationId"]
    assert first.answer.item_ids == first.shown == shown
    assert second.answer == first.answer
    assert second.shown == ("c", "d")  # explicit impressions win
    assert (third.answer, third.recommendation_id, third.shown) == (None, "RID-of-somebody-else", ())


def test_rankings_and_actions_are_answers_too(shop: Shop) -> None:
    ranking = shop.runtime.get_personalized_ranking(
        campaignArn=shop.local.campaign_arn("ranking"), userId="u", inputList=["a", "d"]
    )
    offers = shop.runtime.get_action_recommendations(campaignArn=shop.local.campaign_arn("offers"), userId="u")
    shop.put({**EVENT, "recommendationId": ranking["recommendationId"]})
    shop.events.put_action_interactions(
        trackingId="my-tracker",
        actionInteractions=[
            {
                "userId": "u",
                "sessionId": "s",
                "timestamp": 1_700_000_000,
                "eventType": "Viewed",
                "actionId": "call",
                "recommendationId": offers["recommendationId"],
            }
        ],
    )
    assert [event.answer.item_ids for event in shop.local.recorded_events if event.answer] == [
        tuple(row["itemId"] for row in ranking["personalizedRanking"]),
        tuple(row["actionId"] for row in offers["actionList"]),
    ]


@pytest.mark.parametrize(
    ("given", "sent_at"),
    [
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000.5, 1_700_000_000.5),
        ("1700000000", 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        (datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC), 1_700_000_000.5),
    ],
)
def test_time_is_taken_in_each_form_that_programs_send(either: Shop, given: Any, sent_at: float) -> None:
    either.put({**EVENT, "sentAt": given})
    assert [event.sent_at for event in either.local.recorded_events] == [sent_at]


@pytest.mark.parametrize(("text", "sent_at"), [("1700000000", 1_700_000_000.0), ("1700000000.5", 1_700_000_000.5)])
def test_time_that_is_text_on_the_wire_is_seconds(shop: Shop, text: str, sent_at: float) -> None:
    members = {"trackingId": "my-tracker", "sessionId": "s", "eventList": [{**EVENT, "sentAt": text}]}
    assert shop.post("/events", members)[0] == 200
    assert [event.sent_at for event in shop.local.recorded_events] == [sent_at]


@pytest.mark.parametrize(
    ("properties", "item", "value", "columns"),
    [
        ({"itemId": "c", "eventValue": 4}, "c", 4, {}),
        ({"itemId": "c", "eventValue": "4"}, "c", 4, {}),
        ({"ITEM_ID": "c", "EVENT_VALUE": "4.5"}, "c", 4.5, {}),
        ({"itemId": "c", "eventValue": None}, "c", None, {}),
        ({"itemId": "c", "device": "phone", "numRatings": 13}, "c", None, {"DEVICE": "phone", "NUM_RATINGS": 13}),
        ({"itemId": "c", "DEVICE": "phone", "NUM_RATINGS": "13"}, "c", None, {"DEVICE": "phone", "NUM_RATINGS": 13}),
        ({"device": None}, None, None, {"DEVICE": None}),
        ({"searchTerm": "toys"}, None, None, {"searchTerm": "toys"}),  # the CSV says nothing of other columns
        ({}, None, None, {}),
    ],
)
def test_properties_are_read_in_each_spelling(
    shop: Shop, properties: Any, item: Any, value: Any, columns: dict[str, Any]
) -> None:
    shop.put({"eventType": "Watch", "sentAt": 1_700_000_000, "properties": json.dumps(properties)})
    (event,) = shop.local.recorded_events
    assert (event.item_id, event.event_value, dict(event.properties)) == (item, value, columns)
    assert ("c" in shop.recommend("u", "unseen")) is (item is None)


def test_item_and_value_may_stand_in_both_places_if_they_are_the_same(shop: Shop) -> None:
    shop.put({**EVENT, "eventValue": 4, "properties": '{"itemId": "c", "eventValue": "4"}'})
    assert [(event.item_id, event.event_value) for event in shop.local.recorded_events] == [("c", 4)]


def test_same_event_id_is_one_event_also_without_an_item_and_in_another_request(either: Shop) -> None:
    either.put({**EVENT, "eventId": "e"}, {**EVENT, "eventId": "e", "itemId": "d"})
    either.put({"eventType": "Search", "sentAt": 1_700_000_001, "eventId": "e"})
    either.put({"eventType": "Search", "sentAt": 1_700_000_001, "eventId": "f"})
    either.put({"eventType": "Search", "sentAt": 1_700_000_002, "eventId": "f"})
    assert [(event.event_id, event.item_id) for event in either.local.recorded_events] == [("e", "c"), ("f", None)]


def test_events_of_one_time_with_the_same_properties_are_one(shop: Shop) -> None:
    shop.put(*[EVENT] * 10)
    shop.put(EVENT, {**EVENT, "properties": '{"device": "tv"}'}, {**EVENT, "sentAt": 1_700_000_001})
    assert len(shop.local.recorded_events) == 3


def test_session_becomes_its_user(either: Shop) -> None:
    either.put(EVENT, userId=None)
    assert "c" not in either.recommend("s", "unseen")
    assert "c" in either.recommend("u", "unseen")
    either.put({"eventType": "SignIn", "sentAt": 1_700_000_001})
    assert "c" not in either.recommend("u", "unseen")
    either.put({**EVENT, "itemId": "d"}, userId=None)
    assert not {"c", "d"} & {*either.recommend("u", "unseen")}


def test_python_and_the_wire_put_the_same_event(shop: Shop, service: Callable[..., Any]) -> None:
    event = TrackedEvent(
        event_type="Watch",
        item_id="c",
        sent_at=1_700_000_000,
        event_id="e",
        impression=("c", "d"),
        event_value=4.5,
        source="mail",
        properties={"numRatings": 13},
    )
    shop.local.put_events(session_id="s", user_id="u", events=[event])
    (by_python,) = shop.local.recorded_events
    other: LocalPersonalize = service(FILES).local
    Shop(other, other.boto3_client("personalize-events"), None).put(
        {
            **EVENT,
            "eventId": "e",
            "impression": ["c", "d"],
            "eventValue": 4.5,
            "metricAttribution": {"eventAttributionSource": "mail"},
            "properties": '{"numRatings": 13}',
        }
    )
    (by_wire,) = other.recorded_events
    assert by_python.tracking_id is None
    assert attrs.asdict(attrs.evolve(by_python, tracking_id="my-tracker")) == attrs.asdict(by_wire)


def test_python_refuses_properties_that_do_not_fit_either(shop: Shop) -> None:
    event = TrackedEvent(event_type="Watch", item_id="c", properties={"numRatings": "many"})
    with pytest.raises(ValidationError, match=r"events\[0\]\.properties: NUM_RATINGS: expected a whole number"):
        shop.local.put_events(session_id="s", events=[event])
    assert shop.local.recorded_events == ()


def test_repr_shows_neither_user_nor_session(shop: Shop) -> None:
    shop.put(EVENT, userId="secret-user", sessionId="secret-session")
    answer = shop.runtime.get_recommendations(campaignArn=shop.local.campaign_arn("for-you"), userId="secret-user")
    shop.put({**EVENT, "itemId": "d", "recommendationId": answer["recommendationId"]}, userId="secret-user")
    assert "secret" not in repr(shop.local.recorded_events)
    assert "secret" not in repr(shop.local.recorded_events[1].answer)


def test_repr_shows_the_answer_that_an_event_belongs_to(shop: Shop) -> None:
    arn = shop.local.campaign_arn("for-you")
    answer = shop.runtime.get_recommendations(campaignArn=arn, userId="u", numResults=3)
    shop.put(EVENT, {**EVENT, "itemId": "d", "recommendationId": answer["recommendationId"]})
    assert repr(shop.local.recorded_events) == (
        "(RecordedEvent(event_type='Watch', item_id='c', answer=None), RecordedEvent(event_type='Watch', item_id='d', "
        f"answer=RecordedAnswer(GetRecommendations of {arn}, 3 rows)))"
    )


def test_reset_forgets_recorded_events_and_not_what_they_have_changed(shop: Shop) -> None:
    shop.put(EVENT)
    shop.local.reset()
    assert shop.local.recorded_events == ()
    assert "c" not in shop.recommend("u", "unseen")


# Trackers, which send these events


def test_a_tracker_of_the_service_brings_events_with_their_answers(shop: Shop) -> None:
    movies = shop.local.runtime().campaign(shop.local.campaign_arn("for-you"), num_results=3)
    answer = movies.recommend("u")
    with shop.local.event_tracker() as tracker:
        sent = tracker.track("Watch", answer[1], of=answer, session_id="s", user_id="u")
        assert tracker.flush(20)
    (event,) = shop.local.recorded_events
    assert (event.event_id, event.item_id, event.user_id) == (sent.event_id, answer[1].item_id, "u")
    assert event.answer is not None
    assert event.answer.recommendation_id == answer.recommendation_id
    assert event.shown == answer.item_ids


def test_a_tracker_of_the_service_retries_without_waiting(shop: Shop) -> None:
    shop.local.faults.fail(status=503, times=2)
    with shop.local.event_tracker(deadline=None) as tracker:
        tracker.send("Watch", "c", session_id="s")
    assert [event.item_id for event in shop.local.recorded_events] == ["c"]
    assert [row.status for row in shop.local.requests] == [503, 503, 200]


def test_an_asynchronous_tracker_of_the_service_does_the_same(shop: Shop) -> None:
    pytest.importorskip("personalize_rt.aio", reason="the room was deleted")

    async def visit() -> None:
        async with shop.local.async_event_tracker() as tracker:
            await tracker.send("Watch", "c", session_id="s")

    asyncio.run(visit())
    assert [event.item_id for event in shop.local.recorded_events] == ["c"]


def test_the_options_of_a_tracker_are_those_of_its_class() -> None:
    of_the_client = {"region_name", "session", "endpoint_url", "config", "verify", "redact"}
    parameters = [
        each for each in inspect.signature(EventTracker).parameters.values() if each.kind is each.KEYWORD_ONLY
    ]
    assert {each.name for each in parameters} - of_the_client == set(TrackerOptions.__annotations__)


# Action interactions


def action_interaction(**members: Any) -> dict[str, Any]:
    given = {"userId": "u", "sessionId": "s", "timestamp": 1_700_000_000, "eventType": "Taken", "actionId": "mail"}
    return {name: value for name, value in {**given, **members}.items() if value is not None}


def test_action_interactions_are_of_several_users_and_sessions(either: Shop) -> None:
    either.events.put_action_interactions(
        trackingId="my-tracker",
        actionInteractions=[
            action_interaction(),
            action_interaction(userId="v", sessionId="t", eventType="Not Taken", actionId="call"),
            action_interaction(
                userId=None, sessionId="x", eventType="VIEWED", eventId="e", impression=["mail", "call"]
            ),
        ],
    )
    assert [
        (event.operation, event.user_id, event.session_id, event.event_type, event.item_id)
        for event in either.local.recorded_events
    ] == [
        ("PutActionInteractions", "u", "s", "TAKEN", "mail"),
        ("PutActionInteractions", "v", "t", "NOT_TAKEN", "call"),
        ("PutActionInteractions", None, "x", "VIEWED", "mail"),
    ]
    assert either.local.recorded_events[2].impression == ("mail", "call")
    assert [event.user_id for event in either.local._engine.actions.all] == ["u", "v", "x"]


# Items, users and actions


def put_items(shop: Shop, **items: Any) -> None:
    records = [{"itemId": id, "properties": json.dumps(row)} for id, row in items.items()]
    shop.events.put_items(datasetArn=shop.local.dataset_arn("items"), items=records)


@pytest.mark.parametrize("asked_before", [False, True], ids=["first request after", "request before"])
def test_new_item_is_known_to_filters_and_metadata_at_once_and_to_recommendations_after_training(
    either: Shop, asked_before: bool
) -> None:
    if asked_before:
        either.recommend("u", "brand", BRAND="New")
        either.recommend("u", "cheap", MOST="5")
    put_items(either, new={"brandName": "New", "PRICE": "1.5", "GENRES": "Drama|New"})
    new = {"filterArn": either.local.filter_arn("brand"), "filterValues": {"BRAND": '"New"'}}
    assert either.rank("u", "a", "new", "unknown", **new) == ["new"]
    cheap = {"filterArn": either.local.filter_arn("cheap"), "filterValues": {"MOST": "2"}}
    assert either.rank("u", "a", "new", "b", **cheap) == ["b", "new"]
    answer = either.runtime.get_personalized_ranking(
        campaignArn=either.local.campaign_arn("ranking"),
        userId="u",
        inputList=["new"],
        metadataColumns={"ITEMS": ["BRAND_NAME", "GENRES", "CREATION_TIMESTAMP"]},
    )
    assert answer["personalizedRanking"] == [
        {"itemId": "new", "metadata": {"brand_name": "New", "genres": "Drama|New"}}
    ]
    # Guide: new items need a new model.
    assert either.recommend("u", "brand", BRAND="New") == []
    assert sorted(either.recommend("u", "unseen")) == ["a", "b", "c", "d"]
    assert either.local.try_filter("brand", values={"BRAND": "New"})[0] == ("new",)


def test_item_of_a_known_id_replaces_it(either: Shop) -> None:
    assert sorted(either.recommend("u", "brand", BRAND="Acme")) == ["a", "d"]
    put_items(either, a={"BRAND_NAME": "Bolt"}, e={"BRAND_NAME": "Acme"})
    assert either.recommend("u", "brand", BRAND="Acme") == ["d"]
    assert sorted(either.recommend("u", "brand", BRAND="Bolt")) == ["a", "b"]
    cheap = {"filterArn": either.local.filter_arn("cheap"), "filterValues": {"MOST": "100"}}
    assert "a" not in either.rank("u", "a", "b", **cheap)  # its price is gone
    answer = either.runtime.get_personalized_ranking(
        campaignArn=either.local.campaign_arn("ranking"),
        userId="u",
        inputList=["a"],
        metadataColumns={"ITEMS": ["BRAND_NAME", "PRICE"]},
    )
    assert answer["personalizedRanking"][0]["metadata"] == {"brand_name": "Bolt"}
    put_items(either, e={"BRAND_NAME": "Eve"})
    brand = {"filterArn": either.local.filter_arn("brand"), "filterValues": {"BRAND": '"Acme","Eve"'}}
    assert sorted(either.rank("u", "a", "b", "d", "e", **brand)) == ["d", "e"]


def test_new_item_is_the_current_one_of_related_items(shop: Shop) -> None:
    put_items(shop, new={"BRAND_NAME": "Acme"})
    answer = shop.runtime.get_recommendations(
        campaignArn=shop.local.campaign_arn("similar"), itemId="new", filterArn=shop.local.filter_arn("alike")
    )
    assert sorted(row["itemId"] for row in answer["itemList"]) == ["a", "d"]


def test_scores_of_recommendations_do_not_know_new_items(shop: Shop) -> None:
    arn, brand = shop.local.campaign_arn("for-you"), shop.local.filter_arn("brand")

    def scores() -> list[tuple[str, float]]:
        answer = shop.runtime.get_recommendations(
            campaignArn=arn, userId="u", filterArn=brand, filterValues={"BRAND": '"Acme","Bolt"'}
        )
        return [(row["itemId"], row["score"]) for row in answer["itemList"]]

    before = scores()
    put_items(shop, **{f"new-{n}": {"BRAND_NAME": "Acme"} for n in range(9)})
    assert scores() == before
    assert sum(score for _, score in before) == pytest.approx(1)


@pytest.mark.parametrize("asked_before", [False, True], ids=["first request after", "request before"])
def test_user_is_known_to_filters_at_once(either: Shop, asked_before: bool) -> None:
    if asked_before:
        either.recommend("new", "gold")
    records = [
        {"userId": "new", "properties": '{"level": "gold", "AGE": 20}'},
        {"userId": "ann", "properties": '{"level": "silver"}'},
        {"userId": "nothing"},
    ]
    either.events.put_users(datasetArn=either.local.dataset_arn("users"), users=records)
    assert sorted(either.recommend("new", "gold")) == ["a", "d"]
    assert sorted(either.recommend("ann", "gold")) == ["a", "b", "c", "d"]
    assert sorted(either.recommend("nothing", "gold")) == ["a", "b", "c", "d"]


def test_action_is_known_to_filters_at_once_and_to_recommendations_after_training(either: Shop) -> None:
    def offers() -> list[str]:
        answer = either.runtime.get_action_recommendations(
            campaignArn=either.local.campaign_arn("offers"), userId="u", filterArn=either.local.filter_arn("calls")
        )
        return [row["actionId"] for row in answer["actionList"]]

    assert offers() == ["call"]
    actions = [
        {"actionId": "mail", "properties": '{"type": "Call", "value": 2}'},
        {"actionId": "new", "properties": '{"TYPE": "Call"}'},
    ]
    either.events.put_actions(datasetArn=either.local.dataset_arn("actions"), actions=actions)
    assert sorted(offers()) == ["call", "mail"]
    assert either.local.try_filter("calls")[0] == ("mail", "call", "new")


# What is refused

GIVEN = {"trackingId": "my-tracker", "userId": "u", "sessionId": "s", "eventList": [EVENT]}


def with_properties(**properties: Any) -> dict[str, Any]:
    return {**GIVEN, "eventList": [EVENT, {**EVENT, "itemId": "d", "properties": json.dumps(properties)}]}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (b"", "trackingId is missing"),
        ({}, "trackingId is missing"),
        ({**GIVEN, "trackingId": "another"}, "trackingId is that of no active event tracker"),
        ({**GIVEN, "sessionId": ""}, "sessionId is a string of 0 characters"),
        ({**GIVEN, "userId": 7}, "userId is a number, not a string"),
        ({**GIVEN, "eventList": []}, "eventList holds 0 events; a call takes 1 to 10 (model: EventList)"),
        ({**GIVEN, "eventList": [EVENT] * 11}, "eventList holds 11 events"),
        ({**GIVEN, "eventList": EVENT}, "eventList is an object of 3 members, not an array"),
        ({**GIVEN, "eventList": [EVENT, "x"]}, "eventList[1] is a string of 1 character, not an object"),
        ({**GIVEN, "eventlist": []}, "eventlist is unknown; the members are trackingId, userId, sessionId, eventList"),
        ({**GIVEN, "secret person": 1}, "a member is unknown"),
        ({**GIVEN, "eventList": [EVENT, {**EVENT, "itemid": "a"}]}, "eventList[1].itemid is unknown"),
        ({**GIVEN, "eventList": [EVENT, {"eventType": "x"}]}, "eventList[1].sentAt is missing"),
        (
            {**GIVEN, "eventList": [{**EVENT, "sentAt": "now"}]},
            "eventList[0].sentAt is a string of 3 characters",
        ),
        (
            {**GIVEN, "eventList": [{**EVENT, "sentAt": 1_700_000_000_000}]},
            "eventList[0].sentAt is too large: Unix time in seconds, not milliseconds",
        ),
        (
            {**GIVEN, "eventList": [{**EVENT, "impression": ["a", 7]}]},
            "eventList[0].impression[1] is a number, not a string",
        ),
        ({**GIVEN, "eventList": [{**EVENT, "impression": "a"}]}, "eventList[0].impression is a string of 1 character"),
        (
            {**GIVEN, "eventList": [{**EVENT, "metricAttribution": {}}]},
            "eventList[0].metricAttribution.eventAttributionSource is missing",
        ),
        (
            {**GIVEN, "eventList": [{**EVENT, "properties": {"itemId": "a"}}]},
            "eventList[0].properties is an object of 1 member, not a string",
        ),
        (
            {**GIVEN, "eventList": [EVENT, {**EVENT, "properties": "{]"}]},
            "eventList[1].properties: expected a string that holds a JSON object",
        ),
        ({**GIVEN, "eventList": [{**EVENT, "properties": "[1]"}]}, "eventList[0].properties: expected a string that"),
        ({**GIVEN, "eventList": [{**EVENT, "properties": '{"a": NaN}'}]}, "eventList[0].properties: expected a"),
        ({**GIVEN, "eventList": [{**EVENT, "properties": '{"device": "a", "device": "b"}'}]}, "each name once"),
        (with_properties(numRatings=1, NUM_RATINGS=2), "eventList[1].properties: NUM_RATINGS comes twice"),
        (with_properties(numRatings="many"), "eventList[1].properties: NUM_RATINGS: expected a whole number, found a"),
        (with_properties(numRatings=1.5), "eventList[1].properties: NUM_RATINGS: expected a whole number"),
        (with_properties(numRatings=True), "eventList[1].properties: NUM_RATINGS: expected a value of the type long"),
        (with_properties(device=7), "eventList[1].properties: DEVICE: expected a value of the type string"),
        (with_properties(device=["phone"]), "eventList[1].properties: DEVICE: expected a value of the type string"),
        (with_properties(other={"a": 1}), "eventList[1].properties: expected text, numbers, true, false or null"),
        (with_properties(userId="secret"), "eventList[1].properties: userId is a reserved name"),
        (with_properties(RECOMMENDATION_ID="secret"), "eventList[1].properties: recommendationId is a reserved name"),
        (with_properties(itemId="a"), "eventList[1].properties.itemId is another one than itemId of the event"),
        (with_properties(itemId=7), "eventList[1].properties.itemId is a number, not a string"),
        (with_properties(eventValue="high"), "eventList[1].properties: eventValue: expected a decimal number"),
        (with_properties(eventValue=True), "eventList[1].properties.eventValue is a boolean, not a finite number"),
    ],
)
def test_request_that_the_model_or_the_dataset_does_not_allow_is_refused_as_a_whole(
    shop: Shop, members: Any, expected: str
) -> None:
    before = shop.state()
    status, code, message = shop.post("/events", members)
    assert (status, code) == (400, "InvalidInputException")
    assert expected in message
    assert "secret" not in message
    assert shop.state() == before


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a": NaN}', b"[" * 100_000),
        *(b'{"a": 1e400}', b'{"a": %s}' % (b"9" * 5000)),
        *(b'{"a": 1, "a": 1}', b'{"a": [{"b": 1, "c": 2, "b": 3}]}'),
    ],
)
@pytest.mark.parametrize("path", ["/events", "/items", "/users", "/actions", "/action-interactions"])
def test_body_that_is_no_json_object_is_malformed(shop: Shop, path: str, body: bytes) -> None:
    assert shop.post(path, body) == (400, "MalformedHttpRequestException", MALFORMED)


def test_unknown_tracker_is_not_found_where_the_model_has_that_error(either: Shop) -> None:
    with pytest.raises(ClientError) as raised:
        either.events.put_action_interactions(trackingId="another", actionInteractions=[action_interaction()])
    assert isinstance(raised.value, either.events.exceptions.ResourceNotFoundException)
    with pytest.raises(ClientError) as raised:
        either.put(EVENT, trackingId="another")
    assert isinstance(raised.value, either.events.exceptions.InvalidInputException)
    assert "the event trackers are: shop" in str(raised.value)
    assert either.local.recorded_events == ()


def test_tracker_that_is_not_active_takes_no_events(shop: Shop) -> None:
    (tracker,) = shop.local._trackers
    shop.local._trackers.mark(tracker.arn, "CREATE IN_PROGRESS")
    assert shop.post("/events", GIVEN)[:2] == (400, "InvalidInputException")
    shop.local._trackers.mark(tracker.arn, "ACTIVE")
    assert shop.post("/events", GIVEN)[0] == 200
    shop.local._trackers.delete(tracker.arn)
    assert shop.post("/events", GIVEN)[:2] == (400, "InvalidInputException")


PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"


@pytest.mark.parametrize(
    ("arn", "status", "code"),
    [
        ("items", 400, "InvalidInputException"),
        (f"{PREFIX}dataset/local/USERS", 400, "InvalidInputException"),
        (f"{PREFIX}dataset/other/ITEMS", 404, "ResourceNotFoundException"),
        (f"{PREFIX}dataset-group/local", 404, "ResourceNotFoundException"),
        ("arn:aws:personalize:us-east-1:000000000000:dataset/local/ITEMS", 404, "ResourceNotFoundException"),
        (f"{PREFIX}dataset/local/ITEMS", 200, ""),
    ],
)
def test_dataset_is_that_of_the_operation(shop: Shop, arn: str, status: int, code: str) -> None:
    members = {"datasetArn": arn, "items": [{"itemId": "new", "properties": '{"PRICE": 1}'}]}
    assert shop.post("/items", members)[:2] == (status, code)
    assert ("new" in shop.local._engine.added.of("items")) is (status == 200)


def test_dataset_that_the_directory_does_not_have_is_not_found(service: Callable[..., Any]) -> None:
    local = service({name: text for name, text in FILES.items() if name == "interactions.csv"}).local
    shop = Shop(local, None, None)
    for path, member, id, type in (("items", "items", "itemId", "ITEMS"), ("users", "users", "userId", "USERS")):
        members = {"datasetArn": f"{PREFIX}dataset/local/{type}", member: [{id: "x"}]}
        status, code, message = shop.post(f"/{path}", members)
        assert (status, code) == (404, "ResourceNotFoundException")
        assert f"there is no {path}.csv" in message
    with pytest.raises(ValidationError, match="there is no dataset 'items'; the datasets are: interactions"):
        local.dataset_arn("items")


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (
            '{"colour": "red"}',
            "items[1].properties: the Items dataset has no metadata column colour; it has BRAND",
        ),
        ('{"brandNme": "x"}', "no metadata column brandNme; did you mean BRAND_NAME?"),
        ('{"itemId": "x"}', "the Items dataset has no metadata column itemId"),
        ('{"price": "cheap"}', "items[1].properties: PRICE: expected a decimal number, found a string of 5 characters"),
        ('{"price": [1]}', "items[1].properties: PRICE: expected a value of the type"),
        ('{"creationTimestamp": 1700000000000}', "CREATION_TIMESTAMP: expected a whole number: Unix time in seconds"),
        ('{"brandName": 7}', "BRAND_NAME: expected a value of the type string, found a number"),
        ("{", "items[1].properties: expected a string that holds a JSON object"),
    ],
)
def test_item_that_does_not_fit_the_schema_is_refused_with_all_of_its_batch(
    shop: Shop, properties: str, expected: str
) -> None:
    before = shop.state()
    items = [{"itemId": "new", "properties": '{"PRICE": 1}'}, {"itemId": "other", "properties": properties}]
    status, code, message = shop.post("/items", {"datasetArn": shop.local.dataset_arn("items"), "items": items})
    assert (status, code) == (400, "InvalidInputException")
    assert expected in message
    assert shop.state() == before


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ('{"brandName": "x", "onSale": true}', ""),
        ('{"brandName": "x", "onSale": "false", "price": null, "genres": ""}', ""),
        ('{"price": 1}', "BRAND_NAME is missing, and the schema has it without null"),
        ('{"brandName": null}', "BRAND_NAME has no value, and the schema has it without null"),
        ('{"brandName": "x", "onSale": "yes"}', "ON_SALE: expected true or false"),
        (None, "BRAND_NAME is missing"),
    ],
)
def test_declared_schema_says_which_columns_an_item_needs(
    service: Callable[..., Any], properties: str | None, expected: str
) -> None:
    local = service(
        {**FILES, "s.json": ITEMS_SCHEMA, "personalize.toml": SETTINGS + '[schemas]\nitems = "s.json"\n'}
    ).local
    item = {"itemId": "new", "properties": properties}
    status, _, message = Shop(local, None, None).post(
        "/items", {"datasetArn": local.dataset_arn("items"), "items": [item]}
    )
    assert status == (400 if expected else 200)
    assert expected in message


def test_declared_schema_says_which_columns_an_event_may_have(service: Callable[..., Any]) -> None:
    fields = [("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"), ("DEVICE", "string")]
    schema = json.dumps(
        {"type": "record", "name": "Interactions", "fields": [{"name": name, "type": type} for name, type in fields]}
    )
    interactions = "USER_ID,ITEM_ID,TIMESTAMP,DEVICE\nann,a,1000,tv\n"
    settings = "[event_trackers]\nshop = 'my-tracker'\n[schemas]\ninteractions = 's.json'\n"
    files = {"interactions.csv": interactions, "s.json": schema, "personalize.toml": settings}
    shop = Shop(service(files).local, None, None)
    assert shop.post("/events", {**GIVEN, "eventList": [{**EVENT, "properties": '{"DEVICE": "tv"}'}]})[0] == 200
    _, code, message = shop.post("/events", {**GIVEN, "eventList": [{**EVENT, "properties": '{"divice": "tv"}'}]})
    assert code == "InvalidInputException"
    assert "the Interactions dataset has no metadata column divice; did you mean DEVICE?" in message


@pytest.mark.parametrize(
    ("members", "code", "expected"),
    [
        (
            {"eventType": "Clicked"},
            "InvalidInputException",
            "actionInteractions[1].eventType is none of those of",
        ),
        ({"actionId": None}, "InvalidInputException", "actionInteractions[1].actionId is missing"),
        ({"timestamp": "x"}, "InvalidInputException", "actionInteractions[1].timestamp is a string of 1 character"),
        ({"properties": "{]"}, "InvalidInputException", "actionInteractions[1].properties: expected a string that"),
        ({"properties": '{"userId": "x"}'}, "InvalidInputException", "actionInteractions[1].properties: userId is a"),
        ({"eventValue": 4}, "InvalidInputException", "actionInteractions[1].eventValue is unknown"),
    ],
)
def test_action_interaction_that_is_not_allowed_is_refused_with_all_of_its_batch(
    shop: Shop, members: dict[str, Any], code: str, expected: str
) -> None:
    before = shop.state()
    events = [action_interaction(), action_interaction(**members)]
    status, given, message = shop.post(
        "/action-interactions", {"trackingId": "my-tracker", "actionInteractions": events}
    )
    assert (status, given) == (400, code)
    assert expected in message
    assert shop.state() == before


def test_other_methods_and_paths_are_refused_by_name(shop: Shop) -> None:
    response = shop.local.handle(HttpRequest("GET", "/events"))
    assert (response.status, response.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    assert b"PutEvents, PutItems" in response.body


# The record


def test_record_and_answers_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from personalize_rt.local import shown

    monkeypatch.setattr(shown, "_KEPT", 3)
    ids = [
        shop.runtime.get_recommendations(campaignArn=shop.local.campaign_arn("for-you"), userId="u")["recommendationId"]
        for _ in range(4)
    ]
    shop.put(*({**EVENT, "recommendationId": id} for id in ids))
    assert [event.answer is not None for event in shop.local.recorded_events] == [False, True, True, True]
    for first in range(0, 10_010, 10):
        shop.put(*({**EVENT, "sentAt": 1_600_000_000 + first + n} for n in range(10)))
    assert len(shop.local.recorded_events) == 10_000


def test_reload_drops_events_and_rows(shop: Shop) -> None:
    shop.put(EVENT)
    put_items(shop, new={"BRAND_NAME": "New"})
    shop.local.reload()
    assert shop.local.recorded_events == ()
    assert shop.local.try_filter("brand", values={"BRAND": "New"})[0] == ()
    assert "c" in shop.recommend("u", "unseen")


def test_tracking_id_and_trackers_are_named(shop: Shop, service: Callable[..., Any]) -> None:
    assert dict(shop.local.event_trackers) == {"shop": "my-tracker"}
    assert shop.local.tracking_id() == shop.local.tracking_id("shop") == "my-tracker"
    with pytest.raises(ValidationError, match="there is no event tracker 'other'; the event trackers are: shop"):
        shop.local.tracking_id("other")
    bare = service({"interactions.csv": INTERACTIONS, "personalize.toml": ""}).local
    with pytest.raises(ValidationError, match="the event trackers are: none"):
        bare.tracking_id()
