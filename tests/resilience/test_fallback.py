"""Fallbacks: for which errors, with which answer, and never past a filter by accident."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable
from typing import Any

import attrs
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt import (
    ActionRecommendations,
    CircuitOpenError,
    DeadlineExceededError,
    Interaction,
    Limits,
    LocalReranker,
    PersonalizeError,
    PersonalizeRuntime,
    Promotion,
    Ranking,
    Recommendations,
    ResponseError,
    ServerError,
    ServiceError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.arguments import RankingArguments
from personalize_rt.filters import Filter
from personalize_rt.operations import request_for
from personalize_rt.rerank import ShadowScorer
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.fallback import (
    FallbackChain,
    FilterData,
    InputOrderFallback,
    PopularActionsFallback,
    PopularItemsFallback,
    RerankFallback,
    StaleFallback,
)

PREFIX = "arn:aws:personalize:eu-west-1:123456789012:"
ARN = f"{PREFIX}campaign/movies"
FILTER = f"{PREFIX}filter/f"
ITEMS = {"i1": {"GENRE": "Comedy", "AGE": 6}, "i2": {"GENRE": "Horror", "AGE": 18}, "i3": {"GENRE": "Drama", "AGE": 12}}
INPUT = ["i2", "i1", "i3"]


@attrs.define
class Double:
    """Answers as it is told, and keeps what it was asked."""

    answer: Any = None
    asked: list[Any] = attrs.field(factory=list)

    def _answer(self, request: Any) -> Any:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(request) if callable(self.answer) else self.answer

    ranking = recommendations = actions = _answer


@pytest.fixture
def down(runtime: Any, server: Any) -> Callable[..., Any]:
    """Makes runtimes whose service is down."""

    def make(fallback: Any = None, **options: Any) -> Any:
        server.always(503)
        return runtime(fallback=fallback, retry={"attempts": 1}, **options)

    return make


def rank(runtime: Any, **options: Any) -> Ranking:
    ranking: Ranking = runtime.get_personalized_ranking(
        **{"campaign_arn": ARN, "user_id": "u", "input_list": INPUT, **options}
    )
    return ranking


# When it is asked


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (429, ThrottlingError),
        (500, ServerError),
        (503, ServerError),
        (408, ServerError),
        ("close", TransportError),
        ({"personalizedRanking": 1}, ResponseError),
    ],
)
def test_trouble_of_the_service_is_answered_by_the_fallback(
    outcome: Any, error: Any, runtime: Any, server: Any
) -> None:
    server.always(outcome)
    answer = rank(runtime(fallback=InputOrderFallback(), retry={"attempts": 2}))
    assert (answer.item_ids, answer.scores) == (("i2", "i1", "i3"), (None, None, None))
    assert (answer.degraded, type(answer.cause), answer.info.source) == (True, error, "fallback")
    assert answer.info.attempts == server.count >= 1
    assert (answer.missing, answer.info.unfiltered) == ((), False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 418])
def test_an_error_of_the_caller_never_is(status: int, runtime: Any, server: Any) -> None:
    server.always(status)
    fallback = Double(Ranking((), scores=()))
    with pytest.raises(ServiceError) as caught:
        rank(runtime(fallback=fallback))
    assert (caught.value.status_code, fallback.asked) == (status, [])


def test_a_refused_argument_never_is(runtime: Any) -> None:
    fallback = Double(Ranking((), scores=()))
    with pytest.raises(ValidationError):
        rank(runtime(fallback=fallback), input_list=[])
    assert fallback.asked == []


def test_a_deadline_is_answered_by_the_fallback(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(1.96, 503))
    answer = rank(runtime(fallback=InputOrderFallback(), deadline=2.0))
    assert isinstance(answer.cause, DeadlineExceededError)
    assert answer.info.elapsed == pytest.approx(1.96)


def test_an_open_breaker_is_answered_by_the_fallback(down: Any, server: Any) -> None:
    made = down(InputOrderFallback(), breaker=CircuitBreaker(min_calls=1))
    assert isinstance(rank(made).cause, ServerError)
    answer = rank(made)
    assert (type(answer.cause), answer.info.attempts, server.count) == (CircuitOpenError, 0, 1)


def test_a_healthy_answer_asks_no_fallback(runtime: Any) -> None:
    fallback = Double()
    answer = runtime(fallback=fallback).get_recommendations(campaign_arn=ARN)
    assert (fallback.asked, answer.degraded, answer.cause) == ([], False, None)


# What it is given, and gives


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("get_recommendations", {"item_id": "i1", "num_results": 3}, Recommendations(["x"], scores=[None])),
        ("get_personalized_ranking", {"user_id": "u", "input_list": INPUT}, Ranking(["i1"], scores=[0.5])),
        ("get_action_recommendations", {"user_id": "u"}, ActionRecommendations(["x"], scores=[None])),
    ],
)
def test_it_sees_the_whole_request_and_its_answer_is_of_the_same_type(
    method: str, arguments: Any, answer: Any, down: Any, server: Any
) -> None:
    fallback = Double(answer)
    given = getattr(down(fallback), method)(campaign_arn=ARN, **arguments)
    assert given == answer
    assert type(given) is type(answer)
    assert given.degraded
    assert dict(fallback.asked[0].members) == server.received[0].members


def test_what_a_ranking_lacks_is_missing(down: Any) -> None:
    assert rank(down(Double(Ranking(["i1"], scores=[0.5])))).missing == ("i2", "i3")


def test_a_degraded_answer_pickles_with_its_cause(down: Any) -> None:
    answer = pickle.loads(pickle.dumps(rank(down(InputOrderFallback()))))
    assert (answer.degraded, answer.cause.status_code, answer.cause.__traceback__) == (True, 503, None)


# When it has none


def expect_the_original(made: Any) -> PersonalizeError:
    with pytest.raises(ServerError) as caught:
        rank(made)
    error = caught.value
    assert error.status_code == 503
    assert error.__cause__ is error.__context__ is None
    return error


def test_a_fallback_that_refuses_raises_the_original_error(down: Any) -> None:
    expect_the_original(down(Double(None)))


def test_a_fallback_that_fails_raises_the_original_error(down: Any, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG, logger="personalize_rt"):
        expect_the_original(down(Double(KeyError("ada@example.org"))))
    assert "a fallback, Double, failed with KeyError" in caplog.text
    assert "ada" not in caplog.text


@pytest.mark.parametrize(
    ("build", "advice"),
    [
        (lambda: PersonalizeRuntime(fallback=InputOrderFallback), "write InputOrderFallback()"),
        (lambda: AsyncPersonalizeRuntime(fallback=InputOrderFallback), "write InputOrderFallback()"),
        (lambda: PersonalizeRuntime().with_options(fallback=StaleFallback), "write StaleFallback()"),
        (lambda: PersonalizeRuntime(breaker=CircuitBreaker), "write CircuitBreaker()"),
        (lambda: RerankFallback(ShadowScorer), "write ShadowScorer()"),
        (lambda: LocalReranker(ShadowScorer), "write ShadowScorer()"),
        (lambda: StaleFallback() | InputOrderFallback, "write InputOrderFallback()"),
        (lambda: StaleFallback() | StaleFallback() | InputOrderFallback, "write InputOrderFallback()"),
        (lambda: FallbackChain([InputOrderFallback]), "write InputOrderFallback()"),
        (lambda: RerankFallback(ShadowScorer()) | ShadowScorer(), "write RerankFallback(ShadowScorer(…))"),
        (lambda: StaleFallback() | LocalReranker({}), "write RerankFallback(LocalReranker(…))"),
        (lambda: StaleFallback() | None, "not a Fallback"),
    ],
)
def test_what_could_not_answer_is_refused_before_the_outage(build: Any, advice: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(advice)):
        build()


@pytest.mark.parametrize("nonsense", [["i1"], "i1", {}, 7, Recommendations(["i1"], scores=[None]), object()])
def test_a_fallback_that_answers_nonsense_raises_the_original_error(nonsense: Any, down: Any) -> None:
    expect_the_original(down(Double(nonsense)))


def test_a_fallback_that_cannot_remember_breaks_nothing(runtime: Any, server: Any) -> None:
    class Forgetful(Double):
        def remember(self, request: Any, answer: Any) -> None:
            raise OSError("the disk is full")

    assert runtime(fallback=Forgetful()).get_recommendations(campaign_arn=ARN).info.source == "service"


# Chains


def test_the_first_that_does_not_refuse_answers(down: Any) -> None:
    asked: list[str] = []

    def named(name: str, answer: Any) -> Any:
        def give(_: Any) -> Any:
            asked.append(name)
            return answer

        return Double(give)

    chain = StaleFallback() | named("a", None) | named("b", Ranking(["i1"], scores=[None])) | named("c", None)
    assert rank(down(chain)).item_ids == ("i1",)
    assert asked == ["a", "b"]


def test_a_chain_of_refusals_raises_the_original_error(down: Any) -> None:
    expect_the_original(down(StaleFallback() | Double(None)))


def test_a_link_that_fails_is_passed_over(down: Any) -> None:
    assert rank(down(FallbackChain([Double(RuntimeError("broken")), InputOrderFallback()]))).item_ids == tuple(INPUT)


def test_a_link_that_answers_nonsense_is_passed_over(down: Any) -> None:
    assert rank(down(FallbackChain([Double(["i1"]), InputOrderFallback()]))).item_ids == tuple(INPUT)


def test_a_link_that_cannot_remember_does_not_keep_the_next_one_from_it(runtime: Any, server: Any) -> None:
    class Forgetful(Double):
        def remember(self, request: Any, answer: Any) -> None:
            raise OSError("the disk is full")

    made = runtime(fallback=FallbackChain([Forgetful(), StaleFallback()]), retry={"attempts": 1})
    made.get_recommendations(campaign_arn=ARN)
    server.always(503)
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


# The shipped ones


def ranking_request(input_list: list[str], filter: Filter | None = None) -> Any:
    arguments = RankingArguments(campaign_arn=ARN, user_id="u", input_list=input_list, filter=filter)
    return request_for(arguments, Limits())


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8))
def test_every_ranking_is_a_permutation_of_its_input(input_list: list[str]) -> None:
    for fallback in (
        InputOrderFallback(),
        RerankFallback(LocalReranker({"a": 1.0, "c": 2.0})),
        PopularItemsFallback(["c", "a", "z"]),
    ):
        answer = fallback.ranking(ranking_request(input_list))
        assert answer is not None
        assert sorted(answer.item_ids) == sorted(input_list)


def test_a_local_reranker_ranks_for_the_user(down: Any) -> None:
    def scorer(user_id: str, item_ids: Any, context: Any) -> list[float]:
        assert (user_id, context) == ("ada", {"DEVICE": "phone"})
        return [float(id[1]) for id in item_ids]

    answer = rank(down(RerankFallback(LocalReranker(scorer))), user_id="ada", context={"DEVICE": "phone"})
    assert answer.item_ids == ("i3", "i2", "i1")
    assert all(score is not None for score in answer.scores)


def test_popular_items_are_the_first_of_the_list_without_the_seed(down: Any) -> None:
    made = down(PopularItemsFallback([f"p{n}" for n in range(40)]))
    assert made.get_recommendations(campaign_arn=ARN, item_id="p1", num_results=3).item_ids == ("p0", "p2", "p3")
    assert len(made.get_recommendations(campaign_arn=ARN)) == 25
    assert rank(made, input_list=["x", "p3", "y", "p1"]).item_ids == ("p1", "p3", "x", "y")


@pytest.mark.parametrize(
    ("item_ids", "advice"),
    [
        ("tt0111161", r"write \[item_id\]"),
        (b"tt0111161", r"write \[item_id\]"),
        (5, "not a list of item ids"),
        (pandas.DataFrame({"ITEM_ID": ["a"]}), "give one of its columns"),
        (["a", 5], r"item_ids\[1\] is an int, not a str"),
        ([None], r"item_ids\[0\] is None, not a str"),
    ],
)
def test_popular_items_are_a_list_of_texts(item_ids: Any, advice: str) -> None:
    with pytest.raises(ValidationError, match=advice) as caught:
        PopularItemsFallback(item_ids)
    assert caught.value.parameter == "item_ids"


def test_popular_items_do_not_pretend_to_be_promoted(down: Any) -> None:
    with pytest.raises(ServerError):
        down(PopularItemsFallback(["p"])).get_recommendations(
            campaign_arn=ARN, promotions=[Promotion("sale", 50, filter_arn=FILTER)]
        )


def actions(runtime: Any, **options: Any) -> ActionRecommendations:
    answer: ActionRecommendations = runtime.get_action_recommendations(
        **{"campaign_arn": ARN, "user_id": "u", **options}
    )
    return answer


OFFERS = ["call", "mail", "gift", "visit", "coupon", "trial"]


@pytest.mark.parametrize("make", [PopularActionsFallback, lambda ids: InputOrderFallback(action_ids=ids)])
def test_actions_are_the_first_of_the_list_as_many_as_the_service_would_send(make: Any, down: Any) -> None:
    made = down(make(OFFERS))
    answer = actions(made)
    assert (list(answer.action_ids), answer.degraded, answer.info.source) == (OFFERS[:5], True, "fallback")
    assert set(answer.scores) == {None}
    assert actions(made, num_results=2).action_ids == ("call", "mail")
    assert actions(made, num_results=10).action_ids == tuple(OFFERS)


def test_a_local_reranker_orders_actions_for_the_user_and_unknown_ones_come_last(down: Any) -> None:
    def scorer(user_id: str, action_ids: Any, context: Any) -> list[float | None]:
        assert (user_id, list(action_ids), context) == ("ada", OFFERS, None)
        return [1.0, None, 3.0, 2.0, None, 0.0]

    answer = actions(down(RerankFallback(scorer, action_ids=OFFERS)), user_id="ada", num_results=6)
    assert answer.action_ids == ("gift", "visit", "call", "trial", "mail", "coupon")
    assert set(answer.scores) == {None}  # an order is no propensity


@pytest.mark.parametrize(
    "fallback", [InputOrderFallback(), RerankFallback({"call": 1.0}), PopularItemsFallback(["call"])]
)
def test_who_was_given_no_actions_offers_none(fallback: Any, down: Any) -> None:
    with pytest.raises(ServerError):
        actions(down(fallback))


@pytest.mark.parametrize(
    "make",
    [
        PopularActionsFallback,
        lambda ids: InputOrderFallback(action_ids=ids),
        lambda ids: RerankFallback({}, action_ids=ids),
    ],
)
@pytest.mark.parametrize(
    ("action_ids", "advice"), [("call", "a list of item ids"), (["a", 5], r"action_ids\[1\] is an int, not a str")]
)
def test_actions_are_a_list_of_texts(make: Any, action_ids: Any, advice: str) -> None:
    with pytest.raises(ValidationError, match=advice) as caught:
        make(action_ids)
    assert caught.value.parameter == "action_ids"


def test_a_stale_answer_is_the_last_one_to_the_very_same_request(runtime: Any, server: Any) -> None:
    made = runtime(fallback=StaleFallback(), retry={"attempts": 1})
    server.script({"itemList": [{"itemId": "old"}]}, {"itemList": [{"itemId": "new"}]})
    for _ in range(2):
        made.get_recommendations(campaign_arn=ARN, user_id="ada")
    server.always(503)
    answer = made.get_recommendations(campaign_arn=ARN, user_id="ada")
    assert (answer.item_ids, answer.degraded, answer.info.source) == (("new",), True, "fallback")
    for other in ({"user_id": "bob"}, {}, {"user_id": "ada", "num_results": 3}, {"user_id": "ada", "item_id": "i"}):
        with pytest.raises(ServerError):
            made.get_recommendations(campaign_arn=ARN, **other)


def test_a_stale_fallback_remembers_no_more_than_it_may(runtime: Any, server: Any) -> None:
    made = runtime(fallback=StaleFallback(max_entries=2), retry={"attempts": 1})
    for number in (1, 2, 3):
        made.get_recommendations(campaign_arn=ARN, num_results=number)
    server.always(503)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN, num_results=1)
    assert made.get_recommendations(campaign_arn=ARN, num_results=3).degraded


def test_a_degraded_answer_is_not_remembered_as_one_of_the_service(runtime: Any, server: Any) -> None:
    stale = StaleFallback()
    made = runtime(fallback=stale | InputOrderFallback(), retry={"attempts": 1})
    server.always(503)
    rank(made)
    with pytest.raises(ServerError):
        rank(made.with_options(fallback=stale))


def test_a_whole_local_personalize_answers(runtime: Any, server: Any) -> None:
    from personalize_rt.local import LocalPersonalize

    local = LocalPersonalize.sample()
    server.always(503)
    made = runtime(fallback=local, retry={"attempts": 1})
    films = ["tt0468569", "tt0111161", "not-a-film"]
    answer = made.get_personalized_ranking(
        campaign_arn=f"{PREFIX}campaign/movies-ranking", user_id="42", input_list=films
    )
    assert (sorted(answer.item_ids), answer.degraded, answer.info.source) == (sorted(films), True, "fallback")
    popular = made.get_recommendations(campaign_arn=f"{PREFIX}campaign/popular-movies", num_results=3)
    assert (len(popular), popular.degraded) == (3, True)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=f"{PREFIX}campaign/unheard-of", num_results=3)


# Filters

AGE = Filter(FILTER, 'EXCLUDE ItemID WHERE Items.GENRE IN ("Horror")')
WATCHED = Filter(FILTER, 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")')
BY_USER = Filter(FILTER, 'EXCLUDE ItemID WHERE Items.GENRE IN ("Horror") IF CurrentUser.KIND = "child"')
LIKE_THIS = Filter(FILTER, "INCLUDE ItemID WHERE Items.GENRE = CurrentItem.GENRE")
FALLBACKS = [
    lambda **options: InputOrderFallback(**options),
    lambda **options: RerankFallback(LocalReranker({"i1": 1.0}), **options),
    lambda **options: PopularItemsFallback(["i1", "i2", "i3", "i4"], **options),
]


def watched(user_id: str) -> list[Interaction]:
    return [
        Interaction(user_id, "i1" if user_id == "ada" else "i3", 1, "Watch"),
        Interaction(user_id, "i2", 2, "Click"),
    ]


@pytest.mark.parametrize("make", FALLBACKS)
@pytest.mark.parametrize(
    "data",
    [
        None,
        FilterData(),
        FilterData(users={}, interactions=watched),
        FilterData(items=ITEMS),  # nothing is known but the ARN of the filter
    ],
)
def test_a_filter_that_is_known_by_its_arn_alone_is_refused(make: Any, data: Any, down: Any) -> None:
    fallback = make(filter_data=data)
    with pytest.raises(ServerError):
        rank(down(fallback), filter_arn=FILTER)
    with pytest.raises(ServerError):
        down(fallback).get_recommendations(campaign_arn=ARN, filter_arn=FILTER)


@pytest.mark.parametrize("make", FALLBACKS)
@pytest.mark.parametrize(
    ("filter", "data"),
    [
        (AGE, None),
        (AGE, FilterData()),
        (WATCHED, FilterData(items=ITEMS)),
        (BY_USER, FilterData(items=ITEMS)),
        (BY_USER, FilterData(users={"u": {"KIND": "child"}})),
    ],
)
def test_a_filter_whose_data_are_not_here_is_refused(make: Any, filter: Any, data: Any, down: Any) -> None:
    with pytest.raises(ServerError):
        rank(down(make(filter_data=data)), filter=filter)


@pytest.mark.parametrize("make", FALLBACKS)
def test_a_filter_is_applied_where_expression_and_data_are_here(make: Any, down: Any) -> None:
    answer = rank(down(make(filter_data=FilterData(items=ITEMS))), filter=AGE)
    assert (sorted(answer.item_ids), answer.missing) == (["i1", "i3"], ("i2",))
    assert (answer.info.unfiltered, answer.degraded) == (False, True)


def test_recommendations_are_filtered_before_they_are_counted(down: Any) -> None:
    fallback = PopularItemsFallback(["i2", "i3", "i1"], filter_data=FilterData(items=ITEMS))
    answer = down(fallback).get_recommendations(campaign_arn=ARN, num_results=2, filter=AGE)
    assert answer.item_ids == ("i3", "i1")


def test_bound_values_are_applied(down: Any) -> None:
    chosen = Filter(FILTER, "INCLUDE ItemID WHERE Items.GENRE IN ($GENRE)").bind(GENRE=["Drama", "Comedy"])
    answer = rank(down(InputOrderFallback(filter_data=FilterData(items=ITEMS))), filter=chosen)
    assert answer.item_ids == ("i1", "i3")


def test_what_the_user_did_is_that_user_s_own(down: Any) -> None:
    made = down(InputOrderFallback(filter_data=FilterData(items=ITEMS, interactions=watched)))
    assert rank(made, user_id="ada", filter=WATCHED).item_ids == ("i2", "i3")
    assert rank(made, user_id="bob", filter=WATCHED).item_ids == ("i2", "i1")


def test_a_filter_by_the_user_reads_that_user(down: Any) -> None:
    data = FilterData(items=ITEMS, users={"ada": {"KIND": "child"}, "bob": {"KIND": "adult"}})
    made = down(InputOrderFallback(filter_data=data))
    assert rank(made, user_id="ada", filter=BY_USER).item_ids == ("i1", "i3")
    assert rank(made, user_id="bob", filter=BY_USER).item_ids == ("i2", "i1", "i3")


@pytest.mark.parametrize("users", [{}, {"other": {"KIND": "child"}}, {"u": {}}, {"u": {"KIND": None}}])
def test_a_user_without_data_makes_filters_by_user_refuse(users: Any, down: Any) -> None:
    with pytest.raises(ServerError):
        rank(down(InputOrderFallback(filter_data=FilterData(items=ITEMS, users=users))), filter=BY_USER)


def test_an_item_without_the_column_cannot_be_judged(down: Any) -> None:
    items = {"i1": {"GENRE": "Comedy"}, "i2": {}, "i3": {"GENRE": None}}
    answer = rank(down(InputOrderFallback(filter_data=FilterData(items=items))), filter=AGE)
    assert answer.item_ids == ("i1",)


def test_an_item_that_is_not_in_the_data_cannot_be_judged(down: Any) -> None:
    made = down(InputOrderFallback(filter_data=FilterData(items=ITEMS, interactions=watched)))
    assert rank(made, input_list=["i9", "i1"], filter=AGE).item_ids == ("i1",)


def test_a_filter_by_the_seed_item_needs_that_item(down: Any) -> None:
    made = down(PopularItemsFallback(["i1", "i2", "i3"], filter_data=FilterData(items={**ITEMS, "i4": ITEMS["i1"]})))
    assert made.get_recommendations(campaign_arn=ARN, item_id="i4", filter=LIKE_THIS).item_ids == ("i1",)
    for seed in ({"item_id": "i9"}, {}):
        with pytest.raises(ServerError):
            made.get_recommendations(campaign_arn=ARN, filter=LIKE_THIS, **seed)


def test_a_filter_that_cannot_be_evaluated_is_no_filter_that_lets_all_through(down: Any) -> None:
    def broken(user_id: str) -> list[Interaction]:
        raise ConnectionError("the history is down")

    with pytest.raises(ServerError):
        rank(down(InputOrderFallback(filter_data=FilterData(items=ITEMS, interactions=broken))), filter=WATCHED)


@pytest.mark.parametrize("make", FALLBACKS)
def test_unfiltered_answers_are_there_for_who_asks_for_them_and_say_so(make: Any, down: Any) -> None:
    answer = rank(down(make(unfiltered="allow")), filter=AGE)
    assert sorted(answer.item_ids) == ["i1", "i2", "i3"]
    assert answer.info.unfiltered
    assert not rank(down(make(unfiltered="allow"))).info.unfiltered  # nothing was to be filtered
    filtered = rank(down(make(unfiltered="allow", filter_data=FilterData(items=ITEMS))), filter=AGE)
    assert (sorted(filtered.item_ids), filtered.info.unfiltered) == (["i1", "i3"], False)


def test_in_a_chain_the_one_that_can_filter_answers(down: Any) -> None:
    chain = InputOrderFallback() | InputOrderFallback(filter_data=FilterData(items=ITEMS))
    answer = rank(down(chain), filter=AGE)
    assert (answer.item_ids, answer.info.unfiltered) == (("i1", "i3"), False)


WORTH = Filter(FILTER, "EXCLUDE ActionID WHERE Actions.VALUE < $LEAST").bind(LEAST=5)
NOT_REFUSED = Filter(FILTER, 'EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("NOT_TAKEN")')
VALUES: dict[str, Any] = {"call": {"VALUE": 5}, "mail": {"VALUE": 3}, "gift": {"VALUE": 9}, "visit": {"VALUE": None}}
OFFERING = [
    lambda **options: PopularActionsFallback(OFFERS, **options),
    lambda **options: InputOrderFallback(action_ids=OFFERS, **options),
    lambda **options: RerankFallback({}, action_ids=OFFERS, **options),
]


def refused(user_id: str) -> list[Interaction]:
    return [Interaction(user_id, "call", 1, "NOT_TAKEN"), Interaction(user_id, "gift", 2, "TAKEN")]


@pytest.mark.parametrize("make", OFFERING)
def test_a_filter_of_actions_is_applied_where_expression_and_data_are_here(make: Any, down: Any) -> None:
    made = down(make(filter_data=FilterData(actions=VALUES, action_interactions=refused)))
    assert actions(made, filter=WORTH).action_ids == ("call", "gift")
    # The ids alone are enough for a filter by events; without columns, an action cannot be judged by them.
    assert actions(made, filter=NOT_REFUSED).action_ids[:2] == ("mail", "gift")


@pytest.mark.parametrize("make", OFFERING)
@pytest.mark.parametrize(
    ("filter", "data"),
    [
        (WORTH, None),
        (WORTH, FilterData(items=VALUES, interactions=refused)),  # those of items say nothing of actions
        (NOT_REFUSED, FilterData(actions=VALUES, interactions=refused)),
    ],
)
def test_a_filter_of_actions_whose_data_are_not_here_is_refused(make: Any, filter: Any, data: Any, down: Any) -> None:
    with pytest.raises(ServerError):
        actions(down(make(filter_data=data)), filter=filter)
    with pytest.raises(ServerError):
        actions(down(make(filter_data=data)), filter_arn=FILTER)
    allowed = actions(down(make(filter_data=data, unfiltered="allow")), filter=filter)
    assert (list(allowed.action_ids), allowed.info.unfiltered) == (OFFERS[:5], True)


@pytest.mark.parametrize("unfiltered", ["maybe", True, None])
def test_what_to_do_about_filters_is_one_of_two_words(unfiltered: Any) -> None:
    with pytest.raises(ValidationError):
        InputOrderFallback(unfiltered=unfiltered)


GENRES = ["Comedy", "Horror", "Drama"]
HIDING = {genre: Filter(FILTER, f'EXCLUDE ItemID WHERE Items.GENRE IN ("{genre}")') for genre in GENRES}


@given(
    items=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([*GENRES, None])),
    input_list=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8),
    hidden=st.sampled_from(GENRES),
)
def test_nothing_comes_back_that_the_filter_hides(
    items: dict[str, str | None], input_list: list[str], hidden: str
) -> None:
    data = FilterData(items={id: {"GENRE": genre} for id, genre in items.items()})
    allowed = [id for id in input_list if items.get(id) not in (None, hidden)]
    for make in FALLBACKS:
        answer = make(filter_data=data).ranking(ranking_request(input_list, HIDING[hidden]))
        assert sorted(answer.item_ids) == sorted(allowed)
