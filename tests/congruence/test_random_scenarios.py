"""Random scenarios: a few requests, right and wrong, in any order, with events and faults in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalize_rt.local import LocalPersonalize
from personalize_rt.tracking import TrackedEvent

Agree = Callable[..., tuple[Any, list[Any]]]

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
CAMPAIGNS = ["for-you", "for-you-v2", "ranking", "ranking-v2", "similar", "sims", "alike", "popular", "trending"]
CAMPAIGNS += ["offers", "missing"]
RECOMMENDERS = ["because-you-watched", "more-like", "most-popular", "trending-now", "top-picks", "missing"]
FILTERS = ["unseen", "by-genre", "cheap-for-adults", "cheaper", "worthy", "missing"]


def arns(kind: str, names: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{PREFIX}{kind}/{name}" for name in names])


def members(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the members; a campaign more often than not, so that requests get somewhere."""
    campaign = strategies.pop("campaignArn")
    return st.fixed_dictionaries({"campaignArn": campaign}, optional=strategies) | st.fixed_dictionaries(
        {}, optional={"campaignArn": campaign, **strategies}
    )


odd = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
users = st.sampled_from(["u0", "u1", "u5", "nobody"]) | st.text(max_size=3) | st.just("u" * 257)
items = st.sampled_from([f"i{number}" for number in range(18)]) | st.text(max_size=3)
context = st.dictionaries(st.sampled_from(["DEVICE", "TIMESTAMP", "CITY"]), st.text(max_size=3), max_size=2)
values = st.dictionaries(
    st.sampled_from(["GENRE", "PRICE", "VALUE", "OTHER"]),
    st.sampled_from(['"Drama"', '"Drama","Action"', "7", '"7"', "Drama", ""]) | st.text(max_size=3),
    max_size=3,
)
columns = st.lists(st.sampled_from(["TITLE", "YEAR", "PRICE", "PLOT"]), max_size=3)
promotion = st.fixed_dictionaries(
    {"name": st.sampled_from(["ours", "-"]), "percentPromotedItems": st.integers(0, 101)},
    optional={"filterArn": arns("filter", FILTERS), "filterValues": values},
)
common = {
    "campaignArn": arns("campaign", CAMPAIGNS),
    "userId": users,
    "filterArn": arns("filter", FILTERS),
    "filterValues": values,
}
more = {"context": context, "metadataColumns": st.fixed_dictionaries({"ITEMS": columns})}
requests = (
    st.tuples(
        st.just("get_recommendations"),
        members(
            **common,
            **more,
            itemId=items,
            numResults=st.integers(0, 30) | st.sampled_from([500, 501, -1]),
            promotions=st.lists(promotion, max_size=2),
            recommenderArn=arns("recommender", RECOMMENDERS),
        ),
    )
    | st.tuples(
        st.just("get_recommendations"),
        st.fixed_dictionaries(
            {"recommenderArn": arns("recommender", RECOMMENDERS), "userId": users, "itemId": items},
            optional={"filterArn": common["filterArn"], "filterValues": values},
        ),
    )
    | st.tuples(st.just("get_personalized_ranking"), members(**common, **more, inputList=st.lists(items, max_size=9)))
    | st.tuples(st.just("get_action_recommendations"), members(**common, numResults=st.integers(0, 101)))
    | st.tuples(
        st.just("get_recommendations"),
        st.dictionaries(st.sampled_from([*common, "itemId", "numResults", "other"]), odd, max_size=3),
    )
)
# Requests that most recipes answer.
known = {
    "userId": st.sampled_from(["u0", "u1", "u5", "nobody"]),
    "itemId": st.sampled_from(["i1", "i9", "i15", "other"]),
}
several = {"numResults": st.integers(0, 30)}
good_requests = (
    st.tuples(
        st.just("get_recommendations"),
        st.fixed_dictionaries({"campaignArn": arns("campaign", CAMPAIGNS[:-2]), **known}, optional=several)
        | st.fixed_dictionaries({"recommenderArn": arns("recommender", RECOMMENDERS), **known}, optional=several),
    )
    | st.tuples(
        st.just("get_personalized_ranking"),
        st.fixed_dictionaries(
            {
                "campaignArn": arns("campaign", ["ranking", "ranking-v2"]),
                "userId": known["userId"],
                "inputList": st.lists(items.filter(bool), min_size=1),
            },
            optional={"filterArn": arns("filter", ["unseen"])},
        ),
    )
    | st.tuples(
        st.just("get_action_recommendations"),
        st.fixed_dictionaries(
            {"campaignArn": arns("campaign", ["offers"]), "userId": known["userId"]}, optional=several
        ),
    )
)
happenings = st.tuples(st.just("put_events"), st.tuples(st.sampled_from(["u0", "u1", "u9"]), items.filter(bool))) | (
    st.tuples(st.sampled_from(["throttle", "fail", "truncate", "clear"]), st.none())
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(good_requests | requests | happenings, min_size=1, max_size=5))
def test_any_requests_are_answered_alike(agree: Agree, steps: list[tuple[str, Any]]) -> None:
    def scenario(_: Any, unchecked: Any, local: LocalPersonalize) -> list[Any]:
        return [step(unchecked, local, name, what) for name, what in steps]

    try:
        agree(scenario, "unchecked", "local")
    finally:
        if any(name == "put_events" for name, _ in steps):
            agree(lambda _, local: local.reload(), "local")


def step(client: Any, local: LocalPersonalize, name: str, what: Any) -> Any:
    """One step, and what it gave."""
    if name == "put_events":
        user, item = what
        return local.put_events(session_id="s", user_id=user, events=[TrackedEvent(event_type="Watch", item_id=item)])
    if what is None:
        change = getattr(local.faults, name)
        return change() if name == "clear" else change(times=1).id
    try:
        reply = getattr(client, name)(**what)
    except ClientError as error:
        return str(error), error.response["Error"]
    except Exception as error:  # botocore's serialiser does not take everything
        return type(error).__name__
    return {name: value for name, value in reply.items() if name != "ResponseMetadata"}
