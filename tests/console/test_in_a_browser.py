"""The page as people use it: in Chromium, on a phone and a desk, in both themes, by keyboard, and without scripts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from personalize_rt.local import LocalPersonalize
from tests.optional import optional

playwright = optional("playwright.sync_api")
optional("uvicorn")
optional("jinja2")

CHROMIUM = os.environ.get("PERSONALIZE_RT_CHROMIUM") or shutil.which("chromium")
AXE = os.environ.get("PERSONALIZE_RT_AXE")
SHOTS = os.environ.get("PERSONALIZE_RT_SCREENSHOTS")
PATIENCE = 60_000  # milliseconds, for a busy machine
USER = "13974"
VIEWS = {
    "overview": "/",
    "users": "/console/local/users",
    "user": "/console/local/users/3",
    "items": "/console/local/items",
    "item": "/console/local/items/3",
    "rank": "/console/local/rank",
    "filters": "/console/local/filters",
    "live": "/console/local/live",
    "faults": "/console/local/faults",
    "nothing": "/console/local/users/no-such-user",
}
# Cumulative layout shift, above which a page is said to need improvement (web.dev, "Core Web Vitals").
MOST_SHIFT = 0.1
COUNT_SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; PERSONALIZE_RT_CHROMIUM names one"),
]


@attrs.frozen
class Visit:
    """A page of a browser, with what went wrong on it."""

    page: Any
    url: str
    look: str
    wrong: list[str] = attrs.field(factory=list[str])

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}-{self.look}.png", full_page=True)

    def check(self, name: str) -> None:
        """Nothing is out of the window, nothing jumps, and axe finds nothing."""
        self.shot(name)
        width, wide = self.page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        assert wide <= width, name
        assert self.page.evaluate("window.shift ?? 0") < MOST_SHIFT, name
        if AXE:
            self.page.evaluate(Path(AXE).read_text("utf-8"))
            found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
            told = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found["violations"]]
            assert not told, f"{name}: {json.dumps(told, indent=1)}"
        assert not self.wrong, name


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample().prepare()


@pytest.fixture(scope="module")
def url(local: LocalPersonalize) -> Iterator[str]:
    with local.console() as console:
        yield console.url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # Without its sandbox, which containers do not allow: it sees this server only.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def nothing_left_behind(local: LocalPersonalize) -> Iterator[None]:
    yield
    local.reset()


@pytest.fixture
def visits(chromium: Any, url: str) -> Iterator[Callable[..., Visit]]:
    contexts: list[Any] = []

    def visit(width: int = 1280, height: int = 900, theme: Any = "light", **options: Any) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            permissions=["clipboard-read", "clipboard-write"],
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(COUNT_SHIFTS)
        visit = Visit(context.new_page(), url, f"{width}-{theme}")

        def answered(response: Any) -> None:
            if not response.url.startswith(url):
                visit.wrong.append(f"something from elsewhere: {response.url}")

        def said(message: Any) -> None:
            # A page that is not found is one on purpose, and so is a request that the next letter cancels.
            meant = any(words in message.text for words in ("404", "htmx:sendAbort", "htmx:afterRequest"))
            if message.type in ("error", "warning") and not meant:
                visit.wrong.append(message.text)

        visit.page.on("response", answered)
        visit.page.on("console", said)
        visit.page.on("pageerror", lambda error: visit.wrong.append(str(error)))
        return visit

    yield visit
    for context in contexts:
        context.close()


LOOKS = [(1280, 900, "light"), (1280, 900, "dark"), (390, 844, "light"), (390, 844, "dark")]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[2]}")
def test_every_view_fits_stands_still_and_is_accessible(visits: Callable[..., Visit], look: Any) -> None:
    visit = visits(*look)
    for name, path in VIEWS.items():
        visit.go(path)
        visit.check(name)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[2]}")
def test_a_newcomer_finds_a_user_ranks_filters_sends_an_event_and_copies(
    visits: Callable[..., Visit], local: LocalPersonalize, look: Any
) -> None:
    visit = visits(*look)
    page = visit.page
    visit.go("/")
    page.get_by_role("link", name="Users", exact=True).click()
    page.get_by_label("Search by id").fill(USER)
    page.locator("#rows li").filter(has_text=USER).first.wait_for()
    page.get_by_role("link", name=USER).first.click()
    page.get_by_role("heading", name="History").wait_for()
    page.get_by_role("link", name="movies-for-you").click()
    page.locator(".ranked li").first.wait_for()
    assert USER not in page.url

    page.get_by_label("Beside it").select_option("top-picks")
    page.get_by_text("Filter, promotion, context, metadata").click()
    page.get_by_label("Filter", exact=True).select_option("unseen-by-genre")
    page.get_by_label("$GENRE").fill("Drama, Comedy")
    page.get_by_text("Rules of your own: diversify, pin").click()
    page.get_by_label("Diversify by").select_option("GENRES")
    page.get_by_role("button", name="Rank", exact=True).click()
    page.locator(".missing").first.wait_for()
    assert page.locator(".moved").count() > 0
    visit.check("ranked")
    link = page.url
    assert USER not in link
    assert "Drama" not in link
    page.reload()
    page.locator(".missing").first.wait_for()
    assert page.url != link  # asked again, so it is another answer
    assert page.get_by_label("$GENRE").input_value() == "Drama, Comedy"

    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "PersonalizeRuntime" in copied
    assert f'user_id="{USER}"' in copied
    compile(copied, "<copied>", "exec")

    page.get_by_role("link", name="Live", exact=True).click()
    page.locator("#item").fill("tt0111161")
    page.locator("#user").fill(USER)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Sent:").wait_for()
    assert local.recorded_events[-1].user_id == USER
    visit.check("sent")
    # A program's request comes in while somebody looks.
    page.get_by_role("heading", name="Requests", exact=True).click()
    local.runtime().campaign(local.campaign_arn("offers")).actions("3610")
    page.locator("#feed").get_by_text("GetActionRecommendations").first.wait_for()


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[3]], ids=lambda look: f"{look[0]}-{look[2]}")
def test_an_expression_is_read_as_it_is_typed(visits: Callable[..., Visit], look: Any) -> None:
    visit = visits(*look)
    page = visit.page
    visit.go(VIEWS["filters"])
    box = page.get_by_label("Expression")
    box.fill("")
    box.press_sequentially("INCLUDE ItemID WHERE Items.GENRES INN")
    page.locator(".caret mark").get_by_text("INN", exact=True).wait_for()
    assert box.get_attribute("aria-invalid") == "true"
    visit.check("broken")
    box.fill("INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")
    value = page.get_by_label("$GENRE")
    value.press_sequentially("Western")
    page.get_by_text("of 1,000 are in").wait_for()
    assert value.input_value() == "Western"  # not replaced while it is typed into
    page.get_by_role("radio", name="out").check()
    page.locator(".pill.out").first.wait_for()
    page.locator(".pill.in").first.wait_for(state="detached")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Previous").and_(page.locator(":enabled")).wait_for()
    visit.check("tried")
    assert "Western" not in page.url


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[3]], ids=lambda look: f"{look[0]}-{look[2]}")
def test_a_fault_is_switched_on_and_seen_by_the_page_itself(
    visits: Callable[..., Visit], local: LocalPersonalize, look: Any
) -> None:
    visit = visits(*look)
    page = visit.page
    visit.go(VIEWS["faults"])
    page.get_by_role("button", name="Switch on deny").click()
    page.get_by_role("button", name="Switch all off").wait_for()
    visit.check("fault")
    visit.go("/console/local/rank?user=3&campaign=movies-for-you")
    page.locator("#answer [role=alert]").wait_for()
    visit.check("refused")
    visit.go(VIEWS["faults"])
    page.get_by_role("button", name="Switch all off").click()
    page.get_by_text("the service answers as it should").wait_for()
    assert not local.faults.rules


def test_everything_is_reached_by_keyboard(visits: Callable[..., Visit]) -> None:
    visit = visits()
    page = visit.page
    visit.go("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    visit.shot("skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    visit.go(VIEWS["users"])
    page.locator("#words").focus()
    page.keyboard.type(USER)
    page.keyboard.press("Enter")
    page.locator("#rows li").filter(has_text=USER).first.wait_for()
    assert page.url.endswith("/users")


def test_the_theme_is_chosen_and_kept(visits: Callable[..., Visit]) -> None:
    visit = visits(theme="light")
    page = visit.page
    visit.go("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Use the dark theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    visit.go(VIEWS["faults"])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.get_by_role("button", name="Use the light theme").wait_for()
    assert not visit.wrong


def test_the_page_works_without_scripts(visits: Callable[..., Visit], local: LocalPersonalize) -> None:
    visit = visits(java_script_enabled=False)
    page = visit.page
    visit.go("/console/local/rank?user=3&campaign=movies-for-you")
    page.get_by_role("button", name="Rank", exact=True).click()
    page.locator(".ranked li").first.wait_for()
    visit.go(VIEWS["items"])
    page.get_by_label("Search by id or title").fill("shawshank")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("The Shawshank Redemption").wait_for()
    visit.go(VIEWS["filters"])
    page.get_by_label("Expression").fill("EXCLUDE ItemID WHERE Items.YEAR < 1990")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_text("of 1,000 are in").wait_for()
    visit.go(VIEWS["live"])
    page.locator("#item").fill("tt0111161")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Sent:").wait_for()
    assert len(local.recorded_events) == 1
