"""Results as HTML: what is shown, and that nobody's text becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ServerError, ThrottlingError
from personalize_rt.notebook import compare, show
from personalize_rt.notebook.html import html_of
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations, ResponseInfo

ELEMENTS = {"caption", "code", "dd", "div", "dl", "dt", "p", "small", "span", "strong", "style", "table", "tbody", "td"}
ELEMENTS |= {"th", "thead", "tr", "wbr"}
ATTRIBUTES = {"aria-hidden", "aria-label", "class", "colspan", "dir", "role", "scope", "style"}
SHARP = st.text(st.sampled_from("<>&\"'|/a=` \x00\ud800\n"), max_size=12) | st.text(max_size=12)


def throttled(message: str = "Rate exceeded") -> ThrottlingError:
    return ThrottlingError(message, response={}, operation_name="GetPersonalizedRanking", code="ThrottlingException")


def parsed(html: str) -> ElementTree.Element:
    """The page as a tree; what is not well-formed does not parse."""
    return ElementTree.fromstring(html)


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def rows_of(page: ElementTree.Element) -> list[list[str]]:
    return [[text_of(cell) for cell in row] for row in page.iterfind(".//tbody/tr")]


def heads_of(page: ElementTree.Element) -> list[str]:
    return [text_of(cell) for cell in page.iterfind(".//thead/tr/th")]


def as_shown(text: str) -> str:
    """A text as a page can hold it, and as an XML parser reads it back."""
    replaced = "".join(c if c in "\t\n\r\x85" or (c >= " " and not "\x7f" <= c < "\xa0") else "\ufffd" for c in text)
    replaced = re.sub("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]", "\ufffd", replaced)
    return re.sub("\r\n?", "\n", replaced)


# What is shown.


def test_a_ranking_shows_place_item_score_and_bar() -> None:
    page = parsed(html_of(Ranking(["a", "b"], scores=[0.5, 0.125])))
    assert heads_of(page) == ["#", "item", "score"]
    assert rows_of(page) == [["1", "a", "0.5000000"], ["2", "b", "0.1250000"]]
    widths = [span.get("style") for span in page.iterfind(".//span[@class='bar']/span")]
    assert widths == ["width:100.0%", "width:25.0%"]


def test_a_propensity_is_a_part_of_one() -> None:
    page = parsed(html_of(ActionRecommendations(["a"], scores=[0.25])))
    assert heads_of(page) == ["#", "action", "score"]
    assert [span.get("style") for span in page.iterfind(".//span[@class='bar']/span")] == ["width:25.0%"]


def test_a_recipe_without_scores_shows_no_score_column() -> None:
    page = parsed(html_of(Recommendations(["a", "b"], scores=[None, None])))
    assert heads_of(page) == ["#", "item"]


def test_items_that_the_model_does_not_know_are_set_apart() -> None:
    page = parsed(html_of(Ranking(["a", "x", "y"], scores=[0.5, None, None])))
    known, apart = page.findall(".//tbody")
    assert len(known) == 1
    heading, *unknown = apart
    assert text_of(heading) == "2 items unknown to the model, in the order of the request"
    assert heading[0].get("scope") == "rowgroup"
    assert [[text_of(cell) for cell in row] for row in unknown] == [["2", "x", "–"], ["3", "y", "–"]]


def test_an_answer_of_a_fallback_without_scores_is_not_called_unknown() -> None:
    html = html_of(Ranking(["a", "b"], scores=[None, None], degraded=True))
    assert "unknown" not in html


def test_recommendations_without_a_score_at_the_end_are_not_called_unknown() -> None:
    assert "unknown" not in html_of(Recommendations(["a", "b"], scores=[0.5, None]))


def test_promotions_and_reasons_are_marked_in_words() -> None:
    answer = Recommendations(
        ["a", "b"],
        scores=[0.5, 0.4],
        promotion_names=["autumn", None],
        reasons=[["Promoted item"], ["Exploration", "Popular item"]],
    )
    page = parsed(html_of(answer))
    assert heads_of(page)[-1] == "why"
    assert [[text_of(mark) for mark in row[-1]] for row in page.iterfind(".//tbody/tr")] == [
        ["promoted: autumn", "Promoted item"],
        ["Exploration", "Popular item"],
    ]


def test_metadata_has_a_column_for_each_name_whatever_its_spelling() -> None:
    answer = Recommendations(
        ["a", "b", "c"],
        scores=[0.5, 0.4, 0.3],
        metadata=[{"brandName": "x", "YEAR": "1999"}, {"BRAND_NAME": "y"}, None],
    )
    page = parsed(html_of(answer))
    assert heads_of(page) == ["#", "item", "YEAR", "brandName", "score"]
    assert [row[2:4] for row in rows_of(page)] == [["1999", "x"], ["", "y"], ["", ""]]


def test_a_degraded_answer_says_why() -> None:
    page = parsed(html_of(Ranking(["a"], scores=[0.5], degraded=True, cause=throttled("Rate exceeded: 429"))))
    banner = page.find(".//p[@class='degraded']")
    assert banner is not None
    assert text_of(banner) == "Degraded answer. A fallback answered because of ThrottlingError: Rate exceeded: 429"


def test_a_degraded_answer_of_unknown_cause_says_so_too() -> None:
    assert "Degraded answer." in html_of(Ranking(["a"], scores=[0.5], degraded=True))


def test_a_healthy_answer_has_no_banner() -> None:
    assert "Degraded" not in html_of(Ranking(["a"], scores=[0.5]))


@pytest.mark.parametrize(("rows", "shown", "note"), [(50, 50, None), (51, 50, "1 more row not"), (500, 50, "450 more")])
def test_at_most_50_rows_are_shown(rows: int, shown: int, note: str | None) -> None:
    page = parsed(html_of(Recommendations(map(str, range(rows)), scores=[0.5] * rows)))
    assert len(rows_of(page)) == shown
    notes = [text_of(element) for element in page.iterfind(".//p[@class='note']")]
    assert len(notes) == (note is not None)
    assert note is None or notes[0].startswith(note)


def test_unknown_items_beyond_50_rows_are_counted() -> None:
    page = parsed(html_of(Ranking(map(str, range(60)), scores=[0.5] * 45 + [None] * 15)))
    assert "15 items unknown to the model" in text_of(page)
    assert len(rows_of(page)) == 51


def test_what_a_filter_took_out_is_named() -> None:
    page = parsed(html_of(Ranking(["a"], scores=[0.5], input_list=["a", "b", "c"])))
    assert "2 items of the request left out: b, c" in text_of(page)


def test_an_empty_answer_says_so() -> None:
    page = parsed(html_of(Recommendations([], scores=[])))
    assert "The answer holds no item." in text_of(page)
    assert page.find(".//thead") is None


def test_the_caption_tells_how_the_answer_came_about() -> None:
    info = ResponseInfo("request-1", attempts=2, elapsed=0.0432)
    page = parsed(html_of(Ranking(["a"], scores=[0.5], recommendation_id="RID-1", info=info)))
    caption = page.find(".//caption")
    assert caption is not None
    assert text_of(caption) == (
        "Ranking of 1 itemfrom the service · 2 attempts · 43 ms · recommendation id RID-1 · request id request-1"
    )


def test_the_table_is_told_to_screen_readers() -> None:
    page = parsed(html_of(Ranking(["a", "x"], scores=[0.5, None])))
    assert page.get("aria-label") == "Ranking of 2 items"
    assert {head.get("scope") for head in page.iterfind(".//thead/tr/th")} == {"col"}
    assert [row.find("th[@scope='row']") is not None for row in page.iterfind(".//tbody/tr")] == [True, False, True]
    assert all(bar.get("aria-hidden") == "true" for bar in page.iterfind(".//span[@class='bar']"))


# Titles.


def test_titles_of_a_mapping_stand_over_the_ids() -> None:
    page = parsed(show(Ranking(["a", "b"], scores=[0.5, 0.4]), items={"a": "The Matrix"})._repr_html_())
    assert heads_of(page) == ["#", "item", "score"]
    item = page.find(".//tbody/tr/th")
    assert item is not None
    assert [text_of(part) for part in item] == ["The Matrix", "a"]
    assert [row[1] for row in rows_of(page)] == ["The Matrixa", "b"]


def test_other_columns_of_a_catalogue_stand_beside_the_items() -> None:
    items = {"a": {"TITLE": "The Matrix", "YEAR": 1999, "GENRES": "Action|Sci-Fi"}}
    page = parsed(show(Ranking(["a", "b"], scores=[0.5, 0.4]), items=items)._repr_html_())
    assert heads_of(page) == ["#", "item", "YEAR", "GENRES", "score"]
    assert rows_of(page)[0] == ["1", "The Matrixa", "1999", "Action|Sci-Fi", "0.5000000"]
    assert page.find(".//wbr") is not None


def test_the_answers_own_value_counts_before_that_of_the_catalogue() -> None:
    answer = Recommendations(["a", "b"], scores=[0.5, 0.4], metadata=[{"title": "of the service"}, None])
    items = {"a": {"TITLE": "of the catalogue"}, "b": {"TITLE": "of the catalogue"}}
    page = parsed(show(answer, items=items)._repr_html_())
    assert [row[1] for row in rows_of(page)] == ["of the servicea", "of the catalogueb"]


def test_the_repr_of_what_is_shown_holds_no_title() -> None:
    shown = show(Ranking(["a"], scores=[0.5], metadata=[{"TITLE": "secret"}]), items={"a": "secret too"})
    told = "<Shown(Ranking): HTML in a notebook; on a terminal, rich.print(…) shows it>"
    assert repr(shown) == str(shown) == told


# A comparison.


def test_a_comparison_shows_its_measures_and_the_moves() -> None:
    before = Ranking(["a", "b", "c"], scores=[0.5, 0.3, 0.2])
    after = Ranking(["b", "a", "d"], scores=[0.5, 0.3, 0.2])
    comparison = compare(before, after, labels=("plain", "filtered"))
    page = parsed(show(comparison, items={"a": "Alien"})._repr_html_())
    assert heads_of(page) == ["item", "plain", "filtered", "moved"]
    assert rows_of(page) == [
        ["b", "2", "1", "▲ 1"],
        ["Aliena", "1", "2", "▼ 1"],
        ["d", "–", "3", "new"],
        ["c", "3", "–", "left out"],
    ]
    assert {text_of(pair[0]): text_of(pair[1]) for pair in page.iterfind(".//dl/div")} == {
        "Kendall τ-b": "-1.000",
        "Spearman ρ": "-1.000",
        "rank-biased overlap (p 0.9)": f"{comparison.rank_biased_overlap:.3f}",
        "top-10 overlap": "0.667",
    }


def test_measures_that_do_not_exist_are_called_undefined() -> None:
    page = parsed(compare(Ranking(["a"], scores=[1.0]), Ranking(["b"], scores=[1.0]))._repr_html_())
    assert [text_of(value) for value in page.iterfind(".//dd")] == ["undefined", "undefined", "0.000", "0.000"]


def test_a_long_comparison_shows_50_moves() -> None:
    answer = Recommendations(map(str, range(60)), scores=[0.5] * 60)
    page = parsed(compare(answer, answer)._repr_html_())
    assert len(rows_of(page)) == 50
    assert "10 more rows not shown" in text_of(page)


# Whatever the texts are.


@given(st.data())
def test_nobodys_text_becomes_markup(data: st.DataObject) -> None:
    some = data.draw(st.lists(SHARP, min_size=11, max_size=11))
    scores = data.draw(st.sampled_from([[0.5, None], [0.5, 0.25], [None, None]]))
    answer = Ranking(
        some[:2],
        scores=scores,
        promotion_names=[some[2], None],
        metadata=[{some[3] or "NAME": some[4], "TITLE": some[5]}, None],
        reasons=[[some[6]], []],
        recommendation_id=some[7],
        info=ResponseInfo(some[8]),
        input_list=[*some[:2], some[9]],
        degraded=True,
        cause=ServerError(some[10], response={}, operation_name="", code="") if data.draw(st.booleans()) else None,
    )
    for html in (html_of(answer), show(answer, items=dict.fromkeys(some, some[4]))._repr_html_()):
        page = parsed(html)
        assert {element.tag for element in page.iter()} <= ELEMENTS
        assert {name for element in page.iter() for name in element.attrib} <= ATTRIBUTES
        seen = text_of(page)
        for text in (*some[:3], *some[4:9]):
            assert as_shown(text) in seen


@given(SHARP, SHARP, SHARP, SHARP)
def test_nobodys_text_becomes_markup_in_a_comparison(first: str, second: str, label: str, title: str) -> None:
    before, after = Ranking([first], scores=[1.0]), Ranking([second], scores=[1.0])
    comparison = compare(before, after, labels=(label, "after"))
    page = parsed(show(comparison, items={first: title, second: title})._repr_html_())
    assert {element.tag for element in page.iter()} <= ELEMENTS
    assert as_shown(first) in text_of(page)
    assert as_shown(label) in text_of(page)


# What a page may hold.


def selectors(css: str) -> Iterator[str]:
    for rule in re.findall(r"([^{}]+)\{", css):
        yield from re.split(r",(?![^(]*\))", rule)


def test_the_style_is_scoped_and_needs_nothing_from_outside() -> None:
    html = html_of(Ranking(["a"], scores=[0.5]))
    css = re.search(r"<style>(.*)</style>", html, re.DOTALL)
    assert css is not None
    assert [selector for selector in selectors(css[1]) if ".personalize-rt" not in selector] == []
    assert not re.search(r"<script|javascript:|url\(|@import|https?:|\bon\w+=", html)


@pytest.mark.parametrize(
    "theme", ['[data-jp-theme-light="false"] .personalize-rt', ".vscode-dark .personalize-rt", "light-dark("]
)
def test_the_style_knows_the_dark_themes(theme: str) -> None:
    assert theme in html_of(Ranking(["a"], scores=[0.5]))


@pytest.mark.parametrize("items", [7, "titles", ["a"], {"a": 7}, object()])
def test_items_of_another_kind_are_refused(items: Any) -> None:
    with pytest.raises(ValueError, match="items") as caught:
        show(Ranking(["a"], scores=[0.5]), items=items)
    assert getattr(caught.value, "parameter", None) == "items"


# Rules.


def test_a_row_that_a_rule_moved_says_why_also_in_a_comparison() -> None:
    before = Ranking(["a", "b", "<c>"], scores=[0.5, 0.3, 0.2])
    after = before.pin({"<c>": 0})
    for html in (html_of(after), before.compare(after)._repr_html_()):
        assert "pinned: 3 → 1" in html
        assert "made room for pinned ones: 1 → 2" in html
        assert html.count('class="mark rule"') == 3
    assert "mark rule" not in html_of(before) + before.compare(before)._repr_html_()
