"""Pages of one answer: one request, nothing twice, nothing lost, and tokens that tell nothing."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import string
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt import (
    Limits,
    MemoryStore,
    Pages,
    PageStore,
    PageTokenError,
    PersonalizeRuntime,
    PopularItemsFallback,
    PredictedItem,
    Promotion,
    Recommendations,
    RetryPolicy,
    ValidationError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.impressions import Impressions
from personalize_rt.local import LocalPersonalize
from personalize_rt.resilience.cache import Entry
from personalize_rt.seen import Seen, enough, seen_ids, without_seen
from tests.either import ACCOUNT, Either
from tests.either import either as either
from tests.servers import Received, ScriptedServer

ARN = f"{ACCOUNT}:campaign/movies"
OTHER = f"{ACCOUNT}:campaign/others"
SECRET = "Schindlers-Liste"
CATALOGUE = [f"i{number}" for number in range(1_000)]


def answer(request: Received) -> dict[str, Any]:
    """The first items of the catalogue, as many as are asked for; those of ten are promoted."""
    rows = [{"itemId": id, "score": 1 / (place + 2)} for place, id in enumerate(CATALOGUE)]
    for row in rows[::10]:
        row["promotionName"] = "new"
    return {"itemList": rows[: request.members.get("numResults", 25)], "recommendationId": f"RID-{request.path[1:]}"}


@pytest.fixture
def movies(either: Either, server: ScriptedServer) -> Any:
    server.always(answer)
    return either.runtime(endpoint_url=server.url).campaign(ARN)


def all_ids(pages: Pages) -> list[str]:
    return [id for page in pages for id in page.item_ids]


# One request, stable pages.


def test_all_pages_are_one_request_and_neither_repeat_nor_lose_an_item(
    either: Either, movies: Any, server: ScriptedServer
) -> None:
    pages = either.do(movies.pages("ada", size=20, total=90))
    assert type(pages) is Pages
    assert [len(page) for page in pages] == [20, 20, 20, 20, 10]
    assert all_ids(pages) == CATALOGUE[:90] == [*pages.answer.item_ids]
    assert [request.members["numResults"] for request in server.received] == [90]
    assert {type(page) for page in pages} == {Recommendations}
    assert {page.recommendation_id for page in pages} == {pages.answer.recommendation_id} == {"RID-recommendations"}


def test_a_recommender_has_pages_and_every_argument_is_sent(either: Either, server: ScriptedServer) -> None:
    server.always(answer)
    arn = f"{ACCOUNT}:recommender/top"
    top = either.runtime(endpoint_url=server.url).recommender(arn, num_results=7, context={"DEVICE": "tv"})
    filter_arn = f"{ACCOUNT}:filter/f"
    pages = either.do(top.pages("ada", total=50, filter_arn=filter_arn, filter_values={"G": "x"}, item_id="i"))
    assert server.received[0].members == {
        "recommenderArn": arn,
        "userId": "ada",
        "itemId": "i",
        "numResults": 50,
        "context": {"DEVICE": "tv"},
        "filterArn": filter_arn,
        "filterValues": {"G": '"x"'},
    }
    assert len(pages) == 3


def test_pages_are_a_sequence_whose_slices_are_pages(either: Either, movies: Any) -> None:
    pages = either.do(movies.pages("ada", size=20, total=90))
    assert pages[-1].item_ids == pages[4].item_ids == tuple(CATALOGUE[80:90])
    assert [page.item_ids[0] for page in pages[1:3]] == ["i20", "i40"]
    with pytest.raises(IndexError):
        pages[5]
    assert pages[1] in pages
    assert pickle.loads(pickle.dumps(pages)) == pages


def test_no_rows_are_no_pages_and_a_current_page_without_rows(
    either: Either, movies: Any, server: ScriptedServer
) -> None:
    server.script({"itemList": [], "recommendationId": "RID-1"})
    pages = either.do(movies.pages("ada", store=PageStore()))
    assert (len(pages), [*pages], len(pages.current), pages.next_token, pages.previous_token) == (0, [], 0, None, None)


def test_a_promoted_item_stays_labelled_on_its_page(either: Either, movies: Any) -> None:
    pages = either.do(movies.pages("ada", promotions=[Promotion("new", 10)], exclude=["i1"], total=60))
    promoted = [row.item_id for page in pages for row in page if row.promotion_name == "new"]
    assert promoted == ["i0", "i10", "i20", "i30", "i40", "i50", "i60"]


# Resuming.


class DirectoryStore:
    """A store that other processes read: a file for each entry."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def get(self, key: str) -> Entry | None:
        file = self.directory / key
        return pickle.loads(file.read_bytes()) if file.exists() else None

    def set(self, key: str, entry: Entry) -> None:
        (self.directory / key).write_bytes(pickle.dumps(entry))


def test_a_token_is_resumed_where_it_points_to_without_a_request(
    either: Either, movies: Any, server: ScriptedServer
) -> None:
    store = PageStore()
    pages = either.do(movies.pages("ada", size=20, total=90, store=store))
    assert pages.resumable
    assert pages.previous_token is None
    shown = [pages.current.item_ids]
    while pages.next_token is not None:
        pages = either.do(movies.resume_pages("ada", pages.next_token, store=store))
        shown.append(pages.current.item_ids)
    assert [id for ids in shown for id in ids] == CATALOGUE[:90]
    before = either.do(movies.resume_pages("ada", pages.previous_token, store=store))
    assert before.current.item_ids == shown[3]
    assert before.current.recommendation_id == "RID-recommendations"
    assert server.count == 1


def test_another_process_resumes_and_the_store_knows_neither_user_nor_token(
    either: Either, movies: Any, tmp_path: Path, forked: Callable[..., str]
) -> None:
    store = PageStore(DirectoryStore(tmp_path))
    pages = either.do(movies.pages(SECRET, size=20, total=90, store=store, context={"DEVICE": SECRET}))
    token = pages.next_token
    (kept,) = tmp_path.iterdir()
    for text in (SECRET, token):
        assert text not in kept.name
        assert text.encode() not in kept.read_bytes()
    assert SECRET not in token + repr(pages) + repr(store)
    assert token not in repr(pages)

    def in_child() -> str:
        mine = PersonalizeRuntime(region_name="eu-west-1").campaign(ARN)
        return " ".join(mine.resume_pages(SECRET, token, store=PageStore(DirectoryStore(tmp_path))).current.item_ids)

    assert forked(in_child).split() == CATALOGUE[20:40]


def test_each_row_of_a_page_has_the_recommendation_id_of_the_answer_also_when_it_is_resumed(
    either: Either, movies: Any, tmp_path: Path
) -> None:
    store = PageStore(DirectoryStore(tmp_path))
    pages = either.do(movies.pages("ada", size=20, total=60, store=store, exclude=["i3"]))
    resumed = either.do(movies.resume_pages("ada", pages.next_token, store=store)).current
    for shown in (pages.current, resumed):
        assert [row.recommendation_id for row in shown] == ["RID-recommendations"] * 20
        assert Impressions().of(shown, shown[1].item_id) == ("RID-recommendations", shown.item_ids)


def test_a_token_opens_the_pages_of_its_user_on_its_handle_alone(
    either: Either, movies: Any, server: ScriptedServer
) -> None:
    store = PageStore()
    token = either.do(movies.pages("ada", store=store)).token(0)
    other = either.runtime(endpoint_url=server.url).campaign(OTHER)
    for handle, user_id in ((movies, "bob"), (movies, None), (other, "ada")):
        with pytest.raises(PageTokenError) as caught:
            either.do(handle.resume_pages(user_id, token, store=store))
        assert (caught.value.reason, caught.value.parameter) == ("unknown", "token")
        assert token not in str(caught.value)


def test_pages_of_nobody_are_resumed_by_anybody(either: Either, movies: Any) -> None:
    store = PageStore()
    token = either.do(movies.pages(store=store)).next_token
    assert either.do(movies.resume_pages(None, token, store=store)).current.item_ids == tuple(CATALOGUE[20:40])


def test_a_changed_token_is_malformed_whichever_character_was_changed() -> None:
    store = PageStore()
    pages = Pages(Recommendations(["a"], scores=[None]), 1, secret=b"s" * 16)
    token = pages.token(0)
    assert token is not None
    assert set(token) <= {*string.ascii_letters, *string.digits, "-", "_"}
    runtime = PersonalizeRuntime(region_name="eu-west-1")
    changed = [token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(len(token))]
    for bad in (*changed, "", token[:-1], token + "A", "ü" * 40, "+" * 40, None, 7, token.encode()):
        with pytest.raises(PageTokenError, match="ask for new pages") as caught:
            runtime.campaign(ARN).resume_pages("ada", bad, store=store)  # type: ignore[arg-type]
        assert caught.value.reason == "malformed"
        assert caught.value.__context__ is None


def test_a_token_expires_with_the_ttl_of_its_store(either: Either, movies: Any) -> None:
    now = [1000.0]
    store = PageStore(ttl=60, clock=lambda: now[0])
    token = either.do(movies.pages("ada", store=store)).next_token
    now[0] += 60
    assert either.do(movies.resume_pages("ada", token, store=store)).number == 1
    now[0] -= 120  # a machine whose clock is behind
    assert either.do(movies.resume_pages("ada", token, store=store)).number == 1
    now[0] += 121
    with pytest.raises(PageTokenError, match="older than 60 s") as caught:
        either.do(movies.resume_pages("ada", token, store=store))
    assert caught.value.reason == "expired"


def test_evicted_pages_are_unknown(either: Either, movies: Any) -> None:
    store = PageStore(MemoryStore(1))
    token = either.do(movies.pages("ada", store=store)).next_token
    either.do(movies.pages("bob", store=store))
    with pytest.raises(PageTokenError) as caught:
        either.do(movies.resume_pages("ada", token, store=store))
    assert caught.value.reason == "unknown"


def test_a_mapping_is_a_store(either: Either, movies: Any) -> None:
    entries: dict[str, Entry] = {}
    store = PageStore(entries)
    token = either.do(movies.pages("ada", store=store)).next_token
    assert len(entries) == 1
    assert either.do(movies.resume_pages("ada", token, store=store)).current.item_ids == tuple(CATALOGUE[20:40])


# Trouble.


class FailingStore:
    def get(self, key: str) -> Entry | None:
        raise OSError(SECRET)

    def set(self, key: str, entry: Entry) -> None:
        raise OSError(SECRET)


def test_a_failing_store_never_costs_the_page_and_its_tokens_are_none(
    either: Either, movies: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "personalize_rt"):
        pages = either.do(movies.pages("ada", store=PageStore(FailingStore())))
    assert pages.current.item_ids == tuple(CATALOGUE[:20])
    assert (pages.resumable, pages.next_token, pages.token(1)) == (False, None, None)
    assert "OSError" in caplog.text
    assert SECRET not in caplog.text


def test_a_store_that_fails_at_resuming_is_told_without_its_words(either: Either, movies: Any) -> None:
    token = either.do(movies.pages("ada", store=PageStore())).next_token
    with pytest.raises(PageTokenError) as caught:
        either.do(movies.resume_pages("ada", token, store=PageStore(FailingStore())))
    assert caught.value.reason == "unavailable"
    assert SECRET not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_store_that_hangs_holds_neither_pages_nor_a_resumed_page_beyond_the_deadline(
    either: Either, server: ScriptedServer
) -> None:
    server.always(answer)
    over = threading.Event()

    class Hanging:
        def get(self, key: str) -> Entry | None:
            over.wait(60)
            return None

        def set(self, key: str, entry: Entry) -> None:
            over.wait(60)

    runtime = either.runtime(endpoint_url=server.url)
    pages = either.do(runtime.campaign(ARN).pages("ada", store=PageStore(Hanging())))
    assert pages.current.item_ids == tuple(CATALOGUE[:20])
    assert pages.resumable  # the store may have it in a moment
    hasty = runtime.with_options(deadline=0.2).campaign(ARN)
    with pytest.raises(PageTokenError) as caught:
        either.do(hasty.resume_pages("ada", pages.next_token, store=PageStore(Hanging())))
    assert caught.value.reason == "unavailable"
    assert not over.is_set()
    over.set()


def test_pages_of_a_fallback_are_stable_too(either: Either, server: ScriptedServer) -> None:
    server.always(503)
    fallback = PopularItemsFallback(["i3", "i3", *CATALOGUE])  # a list of the caller's may repeat an item
    runtime = either.runtime(endpoint_url=server.url, fallback=fallback, retry=RetryPolicy(attempts=1))
    store = PageStore()
    movies = runtime.campaign(ARN)
    pages = either.do(movies.pages("ada", size=20, total=60, store=store))
    assert pages.answer.degraded
    again = either.do(movies.resume_pages("ada", pages.next_token, store=store))
    assert again.current.degraded
    assert again.current == pages[1]
    assert len({*all_ids(pages)}) == len(all_ids(pages))


# Items that were seen.


def test_what_was_seen_is_on_no_page_and_enough_is_asked_for(
    either: Either, movies: Any, server: ScriptedServer
) -> None:
    seen = CATALOGUE[:130:2]
    pages = either.do(movies.pages("ada", size=20, total=100, exclude=seen))
    assert all_ids(pages) == [id for id in CATALOGUE if id not in seen][:100]
    (request,) = server.received
    assert request.members == {"campaignArn": ARN, "userId": "ada", "numResults": 200}
    assert "others were taken out" in pages[0][0].rules[0]


def test_a_request_asks_for_no_more_than_the_service_gives(either: Either, movies: Any, server: ScriptedServer) -> None:
    pages = either.do(movies.pages("ada", exclude=CATALOGUE[:100]))
    assert server.received[-1].members["numResults"] == 500
    assert len(pages.answer) == 400
    pages = either.do(movies.pages("ada", metadata_columns=["TITLE"], exclude=["i0"]))
    assert server.received[-1].members["numResults"] == 50
    assert len(pages.answer) == 49


def test_rows_results_and_pages_say_what_was_seen(either: Either, movies: Any) -> None:
    first = either.do(movies.pages("ada", size=20, total=40))
    page = first[0]
    for exclude in (page.item_ids, page, [page], [*page], iter(page), [*page[:10], page[10:]], first[:1]):
        pages = either.do(movies.pages("ada", size=20, total=40, exclude=exclude))
        assert all_ids(pages) == CATALOGUE[20:60]
    assert all_ids(either.do(movies.pages("ada", total=40, exclude=first))) == CATALOGUE[40:80]


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "parameter", "limit"),
    [
        ({"size": 0}, "size", 1),
        ({"size": "20"}, "size", 1),
        ({"size": 501}, "size", 500),
        ({"size": 51, "metadata_columns": ["TITLE"]}, "size", 50),
        ({"total": 501}, "total", 500),
        ({"total": True}, "total", 1),
        ({"exclude": SECRET}, "exclude", None),
        ({"exclude": ["i", 7]}, "exclude", None),
        ({"exclude": 7}, "exclude", None),
        ({"store": {}}, "store", None),
        ({"store": MemoryStore()}, "store", None),
        ({"user_id": 7}, "user_id", None),
    ],
)
def test_a_refused_argument_is_named_and_nothing_is_sent(
    either: Either, movies: Any, server: ScriptedServer, arguments: Any, parameter: str, limit: int | None
) -> None:
    with pytest.raises(ValidationError) as caught:
        either.do(movies.pages(**arguments))
    assert (caught.value.parameter, caught.value.limit) == (parameter, limit)
    assert SECRET not in str(caught.value)
    assert server.count == 0


def test_limits_that_the_service_relaxed_are_followed(either: Either, server: ScriptedServer) -> None:
    server.always(answer)
    runtime = either.runtime(endpoint_url=server.url, limits=Limits(num_results=800))
    assert len(either.do(runtime.campaign(ARN).pages("ada", total=800)).answer) == 800
    off = either.runtime(endpoint_url=server.url, limits=Limits.off())
    assert len(either.do(off.campaign(ARN).pages("ada", total=900)).answer) == 900


def test_resuming_without_a_store_is_refused_with_advice(either: Either, movies: Any) -> None:
    token = Pages(Recommendations(["a"], scores=[None]), 1, secret=b"s" * 16).token(0)
    stores: tuple[Any, ...] = (None, MemoryStore(), {})
    for store in stores:
        with pytest.raises(ValidationError, match="make one for the program") as caught:
            either.do(movies.resume_pages("ada", token, store=store))
        assert caught.value.parameter == "store"


@pytest.mark.parametrize("arguments", [{"ttl": 0}, {"ttl": "60"}, {"store": MemoryStore}, {"store": 7}])
def test_a_store_of_pages_refuses_what_makes_no_sense(arguments: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        PageStore(**arguments)
    assert caught.value.parameter == next(iter(arguments))


def test_both_clients_and_both_handles_have_the_same_methods() -> None:
    for method in ("pages", "resume_pages"):
        signatures = {
            str(inspect.signature(getattr(getattr(module, name), method)))
            for module, name in [
                (inspect.getmodule(PersonalizeRuntime), "Campaign"),
                (inspect.getmodule(PersonalizeRuntime), "Recommender"),
                (inspect.getmodule(AsyncPersonalizeRuntime), "AsyncCampaign"),
                (inspect.getmodule(AsyncPersonalizeRuntime), "AsyncRecommender"),
            ]
        }
        assert len(signatures) == 1


# The embedded service, in process and over HTTP.


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


def check_embedded(either: Any, runtime: Any, arn: str) -> None:
    movies, store = runtime.campaign(arn), PageStore()
    first = either.do(movies.pages("13974", size=25, total=80, store=store))
    last = either.do(movies.resume_pages("13974", first.token(3), store=store))
    whole = either.do(movies.recommend("13974", num_results=80))
    assert all_ids(first) == [*whole.item_ids]
    assert last.current == first[3]
    assert last.current.recommendation_id == first.answer.recommendation_id is not None


def test_pages_of_the_embedded_service_are_slices_of_one_answer_over_http(either: Either, local: Any) -> None:
    with local.serve(port=0) as url:
        check_embedded(either, either.runtime(endpoint_url=url), local.campaign_arn("movies-for-you"))


def test_pages_of_the_embedded_service_are_slices_of_one_answer_in_process(local: Any) -> None:
    with asyncio.Runner() as runner:
        check_embedded(Either(PersonalizeRuntime, runner), local.runtime(), local.campaign_arn("movies-for-you"))


# Properties.

IDS = st.lists(st.sampled_from(CATALOGUE[:60]), max_size=80)


@given(ids=IDS, seen=IDS, total=st.integers(1, 60), size=st.integers(1, 60))
def test_pages_hold_each_item_once_in_order_and_nothing_that_was_seen(
    ids: list[str], seen: list[str], total: int, size: int
) -> None:
    scores = [1 / (n + 1) for n in range(len(ids))]
    whole = Recommendations(ids, scores=scores, promotion_names=[id + "!" for id in ids], recommendation_id="RID-1")
    rows = without_seen(whole, seen_ids(seen), total)
    pages = Pages(rows, size)
    shown = all_ids(pages)
    assert shown == [id for id in dict.fromkeys(ids) if id not in seen][:total]
    assert [len(page) for page in pages[:-1]] == [size] * max(0, len(pages) - 1)
    assert all(page for page in pages)
    for row in rows:  # what a row says of its item stays with it
        assert row.promotion_name == f"{row.item_id}!"
        assert row.score == scores[ids.index(row.item_id)]


@given(wanted=st.integers(1, 500), seen=st.sets(st.sampled_from(CATALOGUE)), metadata=st.booleans())
def test_enough_is_asked_for_whatever_was_seen_as_far_as_a_request_goes(
    wanted: int, seen: set[str], metadata: bool
) -> None:
    asked = enough(wanted, seen, Limits(), with_metadata=metadata)
    most = 50 if metadata else 500
    assert asked == most or (asked >= wanted + len(seen) and asked <= most)
    assert asked <= wanted + len(seen) + 50
    assert enough(wanted, seen, Limits.off(), with_metadata=metadata) >= wanted + len(seen)


@given(values=st.lists(st.sampled_from(CATALOGUE)), cut=st.integers(0, 20))
def test_ids_rows_and_results_say_the_same_of_what_was_seen(values: list[str], cut: int) -> None:
    rows = [PredictedItem(id) for id in values]
    result = Recommendations(values, scores=[None] * len(values))
    mixed: Seen = [*values[:cut], *rows[cut:], result]
    assert seen_ids(values) == seen_ids(rows) == seen_ids(result) == seen_ids(mixed) == frozenset(values)
