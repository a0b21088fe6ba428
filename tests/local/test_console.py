"""The page for browsers: who may see it, what its addresses and headers say, and what it does."""

from __future__ import annotations

import hashlib
import html
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs
import pytest

import personalize_rt
from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalGroups, LocalPersonalize
from personalize_rt.local.sigv4 import Credentials
from tests.optional import optional

optional("uvicorn")
optional("jinja2")

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
STATIC = Path(personalize_rt.__file__).parent / "local" / "console" / "static"
USER = "13974"


@attrs.frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str


@attrs.frozen
class Browser:
    """Sends what a browser would, one request on each connection."""

    url: str

    @property
    def origin(self) -> str:
        return self.url

    def send(self, method: str, path: str, headers: Mapping[str, str], body: str | None = None) -> Reply:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, BROWSER | headers)

    def post(self, path: str, fields: Any = (), **headers: str) -> Reply:
        given = {"Origin": self.url, "Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", path, BROWSER | given, urlencode(fields))

    def part(self, path: str, fields: Any = ()) -> Reply:
        """What the page's script asks for: a part of the page."""
        return self.post(path, fields, **{"HX-Request": "true"})


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(scope="module")
def browser(local: LocalPersonalize) -> Iterator[Browser]:
    with local.console() as console:
        yield Browser(console.url)


@pytest.fixture(autouse=True)
def nothing_left_behind(local: LocalPersonalize) -> Iterator[None]:
    yield
    local.reset()


def number_of(local: LocalPersonalize, user_id: str) -> int:
    return local.interactions.users[user_id]


# Who sees what on "/".


def test_a_browser_gets_the_page_and_a_program_what_it_always_got(browser: Browser) -> None:
    page = browser.get("/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "movies-for-you" in page.text
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        program = browser.send("GET", "/", accept)
        assert (program.status, program.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


def test_a_server_with_credentials_has_no_page(local: LocalPersonalize) -> None:
    with local.serve(credentials=[Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")]) as url:
        assert Browser(url).get("/").status == 403
        assert Browser(url).get("/console/local/users").status == 403


def test_the_page_opens_on_this_machine_only(local: LocalPersonalize) -> None:
    with pytest.raises(ValidationError, match="other machines"):
        local.console(host="0.0.0.0")


def test_a_console_closes_and_names_its_address(local: LocalPersonalize) -> None:
    console = local.console()
    assert console.url in repr(console)
    assert f'href="{console.url}"' in console._repr_html_()
    console.close()
    console.close()
    with pytest.raises(ConnectionRefusedError):
        Browser(console.url).get("/")


def test_nothing_of_the_page_is_imported_before_a_browser_asks() -> None:
    code = """
import sys, urllib.request
from personalize_rt.local import LocalPersonalize
with LocalPersonalize.sample().serve(credentials=()) as url:
    urllib.request.urlopen(url + "/healthz", timeout=30)
    print([name for name in sys.modules if "console" in name and "personalize" in name or name == "jinja2"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_without_jinja2_the_server_serves_and_says_what_to_install() -> None:
    code = """
import sys, urllib.request, urllib.error
sys.modules["jinja2"] = None
from personalize_rt.local import LocalPersonalize
with LocalPersonalize.sample().serve(credentials=()) as url:
    urllib.request.urlopen(url + "/healthz", timeout=30)
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "text/html"}), timeout=30)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == '501 jinja2 is not installed: pip install "personalize-rt[server]"'


# Foreign pages.


@pytest.mark.parametrize("path", ["/", "/console/local/users", "/console/-/console.css"])
def test_a_foreign_host_or_origin_is_refused(browser: Browser, path: str) -> None:
    assert browser.get(path, Host="evil.example").status == 403
    assert browser.get(path, Origin="https://evil.example").status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_a_foreign_page_changes_nothing(browser: Browser, local: LocalPersonalize, headers: dict[str, str]) -> None:
    assert browser.post("/console/local/faults", [("fault", "throttle")], **headers).status == 403
    assert not local.faults.rules


def test_a_change_without_an_origin_is_refused(browser: Browser, local: LocalPersonalize) -> None:
    assert browser.send("POST", "/console/local/faults", BROWSER, "fault=throttle").status == 403
    assert not local.faults.rules


@pytest.mark.parametrize("path", ["/recommendations", "/_local/faults", "/"])
def test_the_origin_of_the_page_opens_no_other_path(browser: Browser, path: str) -> None:
    assert browser.send("POST", path, {"Origin": browser.url}, "{}").status == 403


def test_a_foreign_page_may_link_to_the_page_and_load_nothing_of_it(browser: Browser) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert browser.get("/", **foreign, **{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}).status == 200
    assert browser.get("/", **foreign, **{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}).status == 403
    assert browser.get("/console/local/users", **foreign, **{"Sec-Fetch-Mode": "no-cors"}).status == 403


@pytest.mark.parametrize(
    "path", ["/", "/console/local/rank", "/console/local/filters", "/console/-/htmx.min.js", "/console/nowhere/users"]
)
def test_every_answer_has_the_headers_that_keep_others_out(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


VIEWS = ["/", "/console/local/users", "/console/local/items", "/console/local/rank?user=1", "/console/local/filters"]
VIEWS += ["/console/local/live", "/console/local/faults", "/console/local/users/1", "/console/local/items/1"]


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_has_no_inline_script_or_style_and_nothing_from_elsewhere(browser: Browser, path: str) -> None:
    text = re.sub(r"<pre.*?</pre>", "", browser.get(path).text, flags=re.DOTALL)
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text)
    loaded = re.findall(r'(?:src|href|action|hx-\w+)="([^"]*)"', text)
    assert loaded
    assert not [address for address in loaded if "//" in address]


# Addresses.


@pytest.mark.parametrize("path", VIEWS)
def test_a_get_changes_nothing(browser: Browser, local: LocalPersonalize, path: str) -> None:
    local.faults.throttle(times=1)
    assert browser.get(path).status == 200
    assert len(local.requests) == 0
    assert [rule.left for rule in local.faults.rules] == [1]


@pytest.mark.parametrize(
    "path",
    [
        "/console/local/suggest",
        "/console/local/rank/values",
        "/console/local/live/event",
        "/console/local/live/forget",
        "/console/local/faults/remove",
        "/console/local/filters/check",
        "/console/local/filters/new",
    ],
)
def test_what_changes_something_is_no_get(browser: Browser, path: str) -> None:
    assert browser.get(path).status in (404, 405)


def test_a_link_to_an_answer_has_nothing_personal_in_it(browser: Browser, local: LocalPersonalize) -> None:
    fields = [
        ("user", USER),
        ("campaign", local.campaign_arn("movies-for-you")),
        ("filter", local.filter_arn("unseen-by-genre")),
        ("value.GENRE", "Western"),
    ]
    answer = browser.part("/console/local/rank", fields)
    assert answer.status == 200
    link = answer.headers["hx-push-url"]
    assert re.fullmatch(r"/console/local/rank/[\w-]{16}", link)
    again = browser.get(link).text
    assert f'value="{USER}"' in again
    assert 'value="Western"' in again
    plain = browser.post("/console/local/rank", fields)  # without a script
    assert "<html" in plain.text
    assert "<ol" in plain.text
    assert re.search(r'href="/console/local/rank/[\w-]{16}"', plain.text)


def test_no_address_on_a_page_names_a_user(browser: Browser, local: LocalPersonalize) -> None:
    local.put_events(session_id="s", user_id="a-new-user", events=[watched("tt0111161")])
    ids = {*local.interactions.users, "a-new-user"}
    for path in [*VIEWS, f"/console/local/users/{number_of(local, USER)}"]:
        addresses = re.findall(r'(?:href|action|hx-\w+)="([^"]*)"', browser.get(path).text)
        for address in addresses:
            parts = re.split(r"[/?=&]", address)
            keys = {part for part in parts if not part.isdigit()}
            assert not keys & ids, address


def watched(item_id: str) -> Any:
    from personalize_rt.tracking import TrackedEvent

    return TrackedEvent(event_type="Watch", item_id=item_id, sent_at=1_700_000_000.0)


def test_a_user_has_the_number_of_the_data_and_a_newcomer_a_new_one(browser: Browser, local: LocalPersonalize) -> None:
    assert f'<code dir="auto">{USER}</code>' in browser.get(f"/console/local/users/{number_of(local, USER)}").text
    local.put_events(session_id="s", user_id="a-newcomer", events=[watched("tt0111161")])
    (link,) = re.findall(r'href="([^"]*)"><code dir="auto">a-newcomer<', browser.get("/console/local/live").text)
    assert re.fullmatch(r"/console/local/users/new-\d+", link)
    assert "The Shawshank Redemption" in browser.get(link).text
    for key in ("1800", "-1", "x", "new-99", "9" * 30):
        assert browser.get(f"/console/local/users/{key}").status == 404


def test_a_link_of_a_server_that_has_ended_says_so(browser: Browser) -> None:
    page = browser.get("/console/local/rank/AAAAAAAAAAAAAAAA")
    assert page.status == 404
    assert "server that has ended" in page.text


def test_the_log_of_the_server_names_no_user_and_no_form(local: LocalPersonalize) -> None:
    from personalize_rt.local.server import serving

    lines: list[str] = []
    with serving(local, credentials=(), log=lines.append) as url:
        Browser(url).get("/console/local/users/7?x=personal")
        Browser(url).part("/console/local/users", [("words", "personal")])
    assert [re.sub(r"^\S+ | [\d.]+ ms$", "", line) for line in lines] == [
        "GET /console/local - 200",
        "POST /console/local - 200",
    ]


# What it does.


def test_search_finds_by_id_and_title_page_by_page(browser: Browser, local: LocalPersonalize) -> None:
    found = browser.part("/console/local/items", [("words", "shawshank")])
    assert "The Shawshank Redemption" in found.text
    assert "1 item<" in found.text
    assert "<html" not in found.text
    assert "No item has these words" in browser.part("/console/local/items", [("words", "no such film")]).text
    first = browser.part("/console/local/users", [("words", "1")]).text
    second = browser.part("/console/local/users", [("words", "1"), ("page", "2")]).text
    ids = [re.findall(r'dir="auto">(\d+)</span>', text) for text in (first, second)]
    wanted = [id for id in local.interactions.users if "1" in id]
    assert ids == [wanted[:25], wanted[25:50]]
    assert "<html" in browser.post("/console/local/users", [("words", "1")]).text  # without a script


def test_a_ranking_stands_beside_another_campaign_with_scores_and_moves(
    browser: Browser, local: LocalPersonalize
) -> None:
    ids = list(local.items)[:30]
    fields = [
        ("user", USER),
        ("campaign", local.campaign_arn("movies-ranking")),
        ("beside", local.campaign_arn("popular-movies")),
        ("items", ", ".join(ids)),
        ("count", "30"),
    ]
    text = browser.part("/console/local/rank", fields).text
    ranking = local.runtime().campaign(local.campaign_arn("movies-ranking")).rank(USER, ids)
    first, second = text.split("<h2>popular-movies")
    assert re.findall(r"<code dir=\"auto\">(tt\d+)<", first) == list(ranking.item_ids)
    assert f"{ranking[0].score:.7f}" in first
    assert "places up" in second or "places down" in second or "not in the first list" in second
    assert "kendall tau" in text


def test_an_answer_shows_what_a_filter_took_out_and_why(browser: Browser, local: LocalPersonalize) -> None:
    fields = [
        ("user", USER),
        ("campaign", local.campaign_arn("movies-ranking")),
        ("filter", local.filter_arn("unseen-by-genre")),
        ("value.GENRE", "Drama, Comedy"),
    ]
    text = html.unescape(browser.part("/console/local/rank", fields).text)
    assert "taken out by the filter" in text
    assert "does not keep" in text
    assert 'filter_values={"GENRE": ["Drama", "Comedy"]}' in text


def test_rules_promotions_and_metadata_are_tried(browser: Browser, local: LocalPersonalize) -> None:
    local.add_filter("westerns", 'INCLUDE ItemID WHERE Items.GENRES IN ("Western")')
    fields = [
        ("user", USER),
        ("campaign", local.campaign_arn("movies-for-you")),
        ("promotion", local.filter_arn("westerns")),
        ("percent", "20"),
        ("column", "YEAR"),
        ("diversify", "GENRES"),
        ("at_most", "3"),
    ]
    text = browser.part("/console/local/rank", fields).text
    assert "promoted: promotion" in text
    assert "at most 3 with GENRES" in text
    assert "YEAR: " in text
    item = re.findall(r"<code dir=\"auto\">(tt\d+)<", text)[5]
    pinned = browser.part("/console/local/rank", [*fields, ("pin", f"{item} = 0")]).text
    assert re.findall(r"<code dir=\"auto\">(tt\d+)<", pinned)[0] == item
    assert "pin: each line" in browser.part("/console/local/rank", [*fields, ("pin", "tt1 = first")]).text


def test_what_goes_wrong_is_told_in_the_place_of_the_answer(browser: Browser, local: LocalPersonalize) -> None:
    ranking = [("campaign", local.campaign_arn("movies-ranking"))]
    assert "choose a user" in browser.part("/console/local/rank", ranking).text
    local.faults.fail(500)
    text = browser.part("/console/local/rank", [*ranking, ("user", USER)]).text
    assert 'role="alert"' in text
    assert "500" in text


def test_an_expression_breaks_where_the_caret_is(browser: Browser) -> None:
    text = html.unescape(
        browser.part(
            "/console/local/filters/check", [("expression", 'INCLUDE ItemID WHERE Items.GENRES INN ("Drama")')]
        ).text
    )
    assert "Line 1, column 35." in text
    assert "<mark>INN</mark>" in text
    assert f'\n<span aria-hidden="true">{" " * 34}^^^</span>' in text
    assert "Did you mean IN?" in text


def test_an_expression_tells_for_each_item_why_it_is_in_or_out(browser: Browser, local: LocalPersonalize) -> None:
    expression = "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Items.YEAR < 1990"
    fields = [("expression", expression), ("value.GENRE", "Western"), ("parameter", "GENRE")]
    local.add_filter("the-same", expression)
    kept, dropped = local.try_filter("the-same", values={"GENRE": "Western"})
    for show, wanted in (("in", kept), ("out", dropped)):
        text = browser.part("/console/local/filters/check", [*fields, ("show", show)]).text
        assert f"<b>{len(kept)}</b> of 1,000 are in" in text
        assert re.findall(r"<code dir=\"auto\">(tt\d+)<", text) == list(wanted[:25])
        assert f"pill {show}" in text
    assert 'id="parameters"' not in text  # the fields that are being typed into stay
    assert 'id="parameters"' in browser.part("/console/local/filters/check", fields[:1]).text
    assert "needs" in browser.part("/console/local/filters/check", fields[:1]).text


def test_items_of_a_trial_are_searched_by_id_and_title_with_those_put_since() -> None:
    local = LocalPersonalize.sample()
    new = {"itemId": "tt-new", "properties": json.dumps({"title": "Straße nach Shawshank", "genres": "Drama"})}
    local.boto3_client("personalize-events").put_items(datasetArn=local.dataset_arn("items"), items=[new])
    fields = [("expression", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')]
    found = {"SHAWSHANK": ["tt0111161", "tt-new"], "strasse": ["tt-new"], "0111161": ["tt0111161"]}
    with local.console() as console:
        for words, wanted in found.items():
            text = Browser(console.url).part("/console/local/filters/check", [*fields, ("words", words)]).text
            assert re.findall(r"<code dir=\"auto\">(tt[\d\w-]+)<", text) == wanted


def test_an_item_tells_in_how_many_events_it_is(browser: Browser, local: LocalPersonalize) -> None:
    log = local.interactions
    for number, id in list(enumerate(log.targets))[:3]:
        events = sum(1 for event in log if event.item_id == id)
        assert f"<dt>events in the data</dt><dd>{events:,}</dd>" in browser.get(f"/console/local/items/{number}").text


def test_a_filter_is_created_once(browser: Browser, local: LocalPersonalize) -> None:
    fields = [("expression", "EXCLUDE ItemID WHERE Items.YEAR < 1950"), ("name", "no-classics")]
    created = browser.post("/console/local/filters/new", fields)
    assert (created.status, "no-classics" in local.filters) == (303, True)
    page = browser.get(created.headers["location"]).text
    assert f"Created <b>no-classics</b> – <code>{local.filter_arn('no-classics')}</code>" in page
    (link,) = re.findall(r'href="([^"]*)">Rank with it<', page)
    assert f'<option value="{local.filter_arn("no-classics")}" selected>' in browser.get(link).text
    again = browser.post("/console/local/filters/new", fields)
    assert again.status == 422
    assert "already" in again.text
    assert "Created" not in again.text
    broken = browser.post(
        "/console/local/filters/new", [("expression", "INCLUDE Items WHERE Items.YEAR > 1"), ("name", "x")]
    )
    assert "found Items. Did you mean ItemID?" in broken.text.partition("<form")[0]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ('INCLUDE ItemID WHERE Items.GENRE IN ("x")', "Items.csv has no column GENRE. Did you mean GENRES?"),
        ("INCLUDE Items WHERE Items.YEAR > 1", "found Items. Did you mean ItemID?"),
        ('INCLUDE ItemID WHERE Items.YEAR > "1990"', "this is a string. Write the number without quotes."),
    ],
)
def test_the_problem_of_an_expression_and_the_advice_are_sentences(
    browser: Browser, expression: str, words: str
) -> None:
    text = browser.part("/console/local/filters/check", [("expression", expression)]).text
    assert words in re.sub(r"<[^>]*>", "", text)


def test_a_filter_value_that_no_item_has_is_named_with_the_nearest(browser: Browser, local: LocalPersonalize) -> None:
    arn = local.filter_arn("unseen-by-genre")
    rank = [("user", USER), ("campaign", local.campaign_arn("movies-for-you")), ("filter", arn)]
    trial = [("user", USER), ("expression", "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")]
    for path, fields in (("rank", rank), ("filters/check", trial)):
        for value, words in {
            "Komedy": 'No item has GENRES "Komedy". The nearest: Comedy',
            "Drama, comedy": 'No item has GENRES "comedy". The nearest: Comedy',
            "zzzzzz": 'No item has GENRES "zzzzzz".<',
        }.items():
            text = html.unescape(browser.part(f"/console/local/{path}", [*fields, ("value.GENRE", value)]).text)
            assert text.count("No item has") == 1
            assert words in text
        text = browser.part(f"/console/local/{path}", [*fields, ("value.GENRE", "Drama, Comedy")]).text
        assert "No item has" not in text


def test_an_event_of_an_item_that_the_data_lack_is_sent_and_remarked_on(
    browser: Browser, local: LocalPersonalize
) -> None:
    for item, remarked in (("no-such-item", True), ("tt0111161", False)):
        sent = browser.post("/console/local/live/event", [("type", "Watch"), ("item", item), ("user", USER)])
        assert local.recorded_events[-1].item_id == item
        page = browser.get(sent.headers["location"]).text
        assert "Sent:" in page
        assert ("No item of that id is in the data" in page) is remarked


def test_one_place_is_one_place_and_an_undefined_measure_says_why(browser: Browser, local: LocalPersonalize) -> None:
    two = list(local.items)[:2]
    rank = [("campaign", local.campaign_arn("movies-ranking")), ("user", USER), ("items", " ".join(two))]
    beside = [("beside", local.campaign_arn("popular-movies")), ("count", "1")]
    text = browser.part("/console/local/rank", [*rank, *beside]).text
    assert "Undefined, since the answers share" in text
    assert "kendall tau" in text
    assert not re.search(r"\b1 places", text)


@pytest.mark.parametrize(
    ("before", "after", "words"), [(2, 1, "1 place up"), (1, 2, "1 place down"), (3, 1, "2 places up")]
)
def test_moves_count_places(before: int, after: int, words: str) -> None:
    from personalize_rt.local.console.asking import moved

    assert moved(before, after)[1] == words


def test_an_event_is_sent_and_shown_with_its_request(browser: Browser, local: LocalPersonalize) -> None:
    sent = browser.post("/console/local/live/event", [("type", "Watch"), ("item", "tt0111161"), ("user", USER)])
    assert sent.status == 303
    assert USER not in sent.headers["location"]
    assert local.recorded_events[-1].item_id == "tt0111161"
    page = browser.get(sent.headers["location"]).text
    assert "PutEvents" in page
    assert "Sent:" in page
    assert browser.post("/console/local/live/event", [("type", "Watch")]).status == 422
    assert browser.post("/console/local/live/forget").status == 303
    assert len(local.requests) == 0


def test_the_feed_is_sent_only_when_something_came(browser: Browser, local: LocalPersonalize) -> None:
    state = re.findall(r'data-state="(\w*)"', browser.get("/console/local/live").text)[0]
    assert browser.get(f"/console/local/live/feed?seen={state}").status == 204
    local.runtime().campaign(local.campaign_arn("popular-movies")).recommend()
    feed, until = Reply(204, {}, ""), time.monotonic() + 20
    while feed.status == 204 and time.monotonic() < until:
        feed = browser.get(f"/console/local/live/feed?seen={state}")
    assert "GetRecommendations" in feed.text


def test_faults_are_switched_on_and_off(browser: Browser, local: LocalPersonalize) -> None:
    assert (
        browser.post("/console/local/faults", [("fault", "latency"), ("seconds", "0.2"), ("times", "3")]).status == 303
    )
    (rule,) = local.faults.rules
    assert (rule.fault, rule.parameters["seconds"], rule.left) == ("latency", 0.2, 3)
    assert "latency" in browser.get("/console/local/faults").text
    wrong = browser.post("/console/local/faults", [("fault", "fail"), ("status", "200")])
    assert wrong.status == 422
    assert 'role="alert"' in wrong.text
    assert browser.post("/console/local/faults/remove", [("id", str(rule.id))]).status == 303
    assert not local.faults.rules


def test_texts_of_the_data_and_of_forms_are_escaped(browser: Browser) -> None:
    bad = "<script>alert(1)</script>\"'&\x00"
    for path, name in (("users", "words"), ("rank", "user"), ("filters/check", "expression")):
        text = browser.part(f"/console/local/{path}", [(name, bad)]).text
        assert "<script>" not in text


def test_several_dataset_groups_have_a_page_each(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\nu1,i1,Click,1\n")
    (tmp_path / "personalize.toml").write_text('[options]\ndataset_group = "shop"\n[campaigns]\nmine = "aws-sims"\n')
    groups = LocalGroups(LocalPersonalize.sample(), LocalPersonalize.from_directory(tmp_path))
    with groups.console() as console:
        browser = Browser(console.url)
        assert 'href="/console/shop/"' in browser.get("/").text
        assert "mine" in browser.get("/console/shop/").text
        assert "movies-for-you" not in browser.get("/console/shop/").text
        assert "i1" in browser.get("/console/shop/items").text
        assert browser.get("/console/other/").status == 404


@pytest.fixture
def with_made(tmp_path: Path) -> LocalPersonalize:
    """A service in which requests made a dataset group with data, a campaign and an event tracker."""
    for name, rows in {"local": "l1,l2,Click,1\n", "shop": "u1,i1,Click,1\nu1,i2,Click,2\nu2,i2,Click,3\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "interactions.csv").write_text(f"USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n{rows}")
    (tmp_path / "local" / "personalize.toml").write_text('[campaigns]\nfirst = "aws-popularity-count"\n')
    local = LocalPersonalize.from_directory(tmp_path / "local", s3_root=tmp_path)
    client = local.boto3_client("personalize")
    group = client.create_dataset_group(name="made")["datasetGroupArn"]
    names = {"USER_ID": "string", "ITEM_ID": "string", "EVENT_TYPE": "string", "TIMESTAMP": "long"}
    fields = [{"name": name, "type": kind} for name, kind in names.items()]
    avro = {"type": "record", "name": "Interactions", "namespace": "x", "fields": fields, "version": "1.0"}
    schema = client.create_schema(name="s", schema=json.dumps(avro))["schemaArn"]
    dataset = client.create_dataset(name="d", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions")
    client.create_dataset_import_job(
        jobName="j",
        datasetArn=dataset["datasetArn"],
        dataSource={"dataLocation": "s3://shop/interactions.csv"},
        roleArn="arn:aws:iam::000000000000:role/personalize",
    )
    assert local.finish_jobs()
    recipe = "arn:aws:personalize:::recipe/aws-popularity-count"
    solution = client.create_solution(name="s", datasetGroupArn=group, recipeArn=recipe)["solutionArn"]
    version = client.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    assert local.finish_jobs()
    client.create_campaign(name="c", solutionVersionArn=version)
    client.create_event_tracker(name="t", datasetGroupArn=group)
    return local


def test_a_dataset_group_made_by_requests_has_a_page_of_its_own(with_made: LocalPersonalize) -> None:
    with with_made.console() as console:
        browser = Browser(console.url)
        overview = browser.get("/console/made/")
        assert overview.status == 200
        assert 'href="/console/made/rank?campaign=c"' in overview.text
        assert 'href="/console/made/"' in browser.get("/").text
        assert "rank?campaign=c" not in browser.get("/console/local/").text
        for view in ("users", "users/0", "items", "items/0", "rank", "filters", "live", "faults"):
            assert browser.get(f"/console/made/{view}").status == 200
        arn = with_made.boto3_client("personalize").list_campaigns()["campaigns"][-1]["campaignArn"]
        text = browser.part("/console/made/rank", [("user", "u1"), ("campaign", arn)]).text
        assert re.findall(r"<code dir=\"auto\">(i\d)<", text) == ["i2", "i1"]
        assert "Nobody of that id" not in text
        assert "Nobody of that id" in browser.part("/console/made/rank", [("user", "l1"), ("campaign", arn)]).text
        sent = browser.post("/console/made/live/event", [("type", "Click"), ("item", "i1"), ("user", "u9")])
        assert sent.status == 303
        fields = [("expression", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Click")'), ("name", "unseen")]
        assert browser.post("/console/made/filters/new", fields).status == 303
        assert browser.post("/console/made/filters/new", fields).status == 422
        assert "unseen" in browser.get("/console/made/").text
        assert "unseen" not in with_made.filters


def test_a_link_to_a_campaign_of_another_dataset_group_leads_to_its_page(with_made: LocalPersonalize) -> None:
    with with_made.console() as console:
        found = Browser(console.url).get("/console/local/rank?campaign=c&user=0")
        assert (found.status, found.headers["location"]) == (303, "/console/made/rank?campaign=c")


def test_a_dataset_group_with_nothing_in_it_has_a_page(with_made: LocalPersonalize) -> None:
    with_made.boto3_client("personalize").create_dataset_group(name="empty")
    with with_made.console() as console:
        for view in ("", "users", "items", "rank", "filters", "live", "faults"):
            assert Browser(console.url).get(f"/console/empty/{view}").status == 200
        assert "no campaign" in Browser(console.url).get("/console/empty/rank").text
        assert Browser(console.url).part("/console/empty/rank", [("user", "u")]).status == 200


def test_the_library_is_the_published_one() -> None:
    table = (STATIC / "THIRD-PARTY.md").read_text("utf-8")
    for name, digest in re.findall(r"^\| `([\w.]+)` .*`(\w{64})` \|$", table, re.MULTILINE):
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest
    assert "htmx.min.js" in table
    assert (STATIC / "LICENSE-htmx").read_text("utf-8").startswith("Zero-Clause BSD")
