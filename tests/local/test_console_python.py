"""The Python that each view of the page shows: it runs as it stands, and does what the view did."""

from __future__ import annotations

import contextlib
import gc
import html
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest

from personalize_rt.local import LocalPersonalize
from tests.local.test_console import USER, Browser, number_of
from tests.optional import optional

optional("uvicorn")
optional("jinja2")


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(scope="module")
def browser(local: LocalPersonalize) -> Iterator[Browser]:
    with local.console() as console:
        yield Browser(console.url)


def shown(text: str) -> str:
    (code,) = re.findall(r'<pre tabindex="0" aria-label="Python"><code>(.*?)</code>', text, re.DOTALL)
    return html.unescape(code)


def run(code: str) -> tuple[str, dict[str, Any]]:
    """Run what is shown. Returns what it prints, and its names."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "<shown>", "exec"), names)
    gc.collect()
    return printed.getvalue(), names


@pytest.mark.parametrize(
    ("path", "printed"),
    [
        ("/", "movies-for-you arn:aws:personalize"),
        ("/console/local/users", "8321 "),
        ("/console/local/users/0", "Watch tt"),
        ("/console/local/items", "Gone with the Wind"),
        ("/console/local/items/0", "'TITLE': 'La vita"),
    ],
)
def test_a_view_shows_python_that_prints_the_same(browser: Browser, path: str, printed: str) -> None:
    code = shown(browser.get(path).text)
    assert len(code.splitlines()) <= 10
    assert printed in run(code)[0]


def test_the_python_of_two_answers_gives_these_answers(browser: Browser, local: LocalPersonalize) -> None:
    fields = [
        ("user", USER),
        ("campaign", local.campaign_arn("movies-ranking")),
        ("beside", local.recommender_arn("top-picks")),
        ("filter", local.filter_arn("unseen-by-genre")),
        ("value.GENRE", "Drama, Comedy"),
        ("column", "YEAR"),
        ("diversify", "GENRES"),
        ("pin", "tt1454468 = 0"),
    ]
    fields += [("items", " ".join([*list(local.items)[:300:10], "tt1454468"]))]
    text = browser.part("/console/local/rank", fields).text
    for side in ("movies-ranking", "top-picks"):
        assert f"<h2>{side}</h2>" in text
    printed, names = run(shown(text))
    first = text.split("<h2>top-picks")[0].split("taken out by")[0]
    assert re.findall(r"<code dir=\"auto\">(tt\d+)<", first) == list(names["ranking"].item_ids)
    assert printed.startswith("Comparison(")


def test_the_python_of_a_campaign_without_metadata_loads_the_data(tmp_path: Any) -> None:
    (tmp_path / "interactions.csv").write_text("USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\nu1,i1,Click,1\nu1,i2,Click,2\n")
    (tmp_path / "items.csv").write_text("ITEM_ID,KIND\ni1,one\ni2,one\n")
    (tmp_path / "personalize.toml").write_text('[campaigns]\nmine = "aws-popularity-count"\n')
    local = LocalPersonalize.from_directory(tmp_path)
    with local.console() as console:
        fields = [("campaign", local.campaign_arn("mine")), ("diversify", "KIND"), ("at_most", "1")]
        text = Browser(console.url).part("/console/local/rank", fields).text
        code = shown(text)
        assert f"LocalPersonalize.from_directory({str(tmp_path)!r})".replace("'", '"') in code.replace("'", '"')
        assert re.findall(r"<code dir=\"auto\">(i\d)<", text) == list(run(code)[1]["ranking"].item_ids)


def test_the_python_of_a_trial_counts_and_explains_the_same(browser: Browser, local: LocalPersonalize) -> None:
    expression = 'INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")'
    fields = [("expression", expression), ("value.GENRE", "War, Western"), ("user", USER)]
    text = browser.part("/console/local/filters/check", fields).text
    (kept,) = re.findall(r"<b>([\d,]+)</b> of", text)
    lines = run(shown(text))[0].splitlines()
    assert lines[0].split()[0] == kept
    assert lines[1] == re.findall(r'pill (in|out)"', text)[0]
    assert len(lines) == 4


def test_the_python_of_an_event_sends_it_here(browser: Browser, local: LocalPersonalize) -> None:
    code = shown(browser.get(f"/console/local/live?user={number_of(local, USER)}").text)
    before = len(local.recorded_events)
    assert "tracker.send(" in code  # which waits for the answer; a queue is given up when a machine is busy
    assert "sent=1" in run(code)[0]
    (event,) = local.recorded_events[before:]
    assert (event.user_id, event.event_type) == (USER, "Watch")


def test_the_python_of_a_fault_switches_it_on_here(browser: Browser, local: LocalPersonalize) -> None:
    link = browser.post("/console/local/faults", [("fault", "latency"), ("seconds", "0.5"), ("times", "1")])
    code = shown(browser.get(link.headers["location"]).text)
    local.faults.clear()
    run(code)
    (rule,) = local.faults.rules
    assert (rule.fault, rule.parameters["seconds"], rule.left) == ("latency", 0.5, 1)
    local.faults.clear()
