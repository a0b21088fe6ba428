"""The demo: what it shows is true, and can be done again."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest

from personalize_rt.cli.demo import Demo, play
from personalize_rt.cli.demo_page import page
from personalize_rt.local import LocalPersonalize


@pytest.fixture(scope="module")
def demo() -> Demo:
    return play()


@pytest.fixture(scope="module")
def sample() -> LocalPersonalize:
    return LocalPersonalize.sample()


def part(text: str, title: str) -> list[str]:
    """The lines below a title, up to the next."""
    lines = text.splitlines()
    below = lines[next(n for n, line in enumerate(lines) if line.startswith(title)) + 1 :]
    return below


def printed_code(text: str) -> str:
    return text.partition("The ranking in Python\n")[2].partition("\n\nWhat next")[0]


# The story holds


def test_before_is_a_new_film_and_then_the_most_rated_first(demo: Demo, sample: LocalPersonalize) -> None:
    ratings = Counter(event.item_id for event in sample.interactions)
    counts = [ratings[id] for id in demo.input_list]
    assert counts[0] == 0
    assert counts[1:] == sorted(counts[1:], reverse=True)


def test_the_person_has_rated_none_of_the_films_to_rank(demo: Demo) -> None:
    assert {rated.film.item_id for rated in demo.rated}.isdisjoint(demo.input_list)


def test_the_ranking_is_a_personal_one(demo: Demo, sample: LocalPersonalize) -> None:
    movies = sample.runtime().campaign(sample.campaign_arn("movies-ranking"))
    for_nobody = movies.rank("nobody of the sample", demo.input_list)
    assert demo.ranking.item_ids != for_nobody.item_ids
    terminator, love_story = "tt0103064", "tt1343092"
    assert (demo.ranking.position(terminator) or 0) < (demo.ranking.position(love_story) or 0)
    assert sum(place > 0 for place in demo.moved()) >= 3


def test_the_unknown_film_is_last_and_has_no_score(demo: Demo) -> None:
    assert demo.ranking.unscored == (demo.input_list[0],)
    assert demo.ranking.item_ids[-1] == demo.input_list[0]
    assert round(sum(score or 0 for score in demo.ranking.scores), 5) == 1


def test_recommended_films_are_new_to_the_person(demo: Demo) -> None:
    unseen = [film.item_id for film in demo.unseen()]
    assert len(unseen) >= 5
    assert set(unseen) <= set(demo.recommendations.item_ids)
    assert {rated.film.item_id for rated in demo.rated}.isdisjoint(unseen)


def test_the_best_marks_come_first_and_the_favourite_is_among_them(demo: Demo) -> None:
    ratings = [rated.rating for rated in demo.rated]
    assert ratings == sorted(ratings, reverse=True)
    assert next(rated.rating for rated in demo.rated if rated.film == demo.favourite) == ratings[0]


# The page


def test_each_row_tells_film_year_genres_score_and_movement(demo: Demo) -> None:
    rows = part(page(demo), "was  now")[1:]
    for place, (item, row) in enumerate(zip(demo.ranking, rows, strict=False)):
        film = demo.films[item.item_id]
        was = demo.input_list.index(item.item_id)
        arrow = "=" if was == place else f"▲ {was - place}" if was > place else f"▼ {place - was}"
        assert " ".join(row.split()).startswith(f"{was + 1} {place + 1} {arrow} ")
        if item.score is None:
            assert film.item_id in row
            continue
        assert f"{item.score:.4f}  {film.title} " in row
        assert f"{film.year}  {film.genres[0]}" in row


def test_nothing_on_the_page_is_wider_than_80_columns(demo: Demo) -> None:
    assert max(map(len, page(demo).splitlines())) <= 80


def test_the_printed_python_gives_the_ranking_of_the_demo(demo: Demo) -> None:
    code = printed_code(page(demo))
    assert len(code.splitlines()) <= 10
    with redirect_stdout(StringIO()) as output:
        exec(code, {})
    assert output.getvalue().splitlines() == [
        f"{item.score} {item.item_id} {demo.films[item.item_id].title or '?'}" for item in demo.ranking
    ]


def test_the_printed_command_works(demo: Demo, cli: Callable[..., Any]) -> None:
    text = page(demo).partition("What next")[2]
    line = text[text.index("personalize-rt rank") :].replace("\\\n", "").splitlines()[0]
    outcome = cli(*shlex.split(line)[1:])
    assert (outcome.status, outcome.err) == (0, "")
    assert "tt0103064" in outcome.out


def test_json_has_what_the_page_shows(demo: Demo, cli: Callable[..., Any]) -> None:
    facts = json.loads(cli("demo", "--json").out)
    text = page(demo)
    assert facts["user"]["userId"] == demo.user_id
    assert facts["ranking"]["moved"] == demo.moved()
    assert [row["itemId"] for row in facts["ranking"]["personalizedRanking"]] == list(demo.ranking.item_ids)
    assert facts["ranking"]["inputList"] == list(demo.input_list)
    shown = [
        *(row["itemId"] for row in facts["user"]["rated"][:5]),
        *(row["itemId"] for row in facts["ranking"]["personalizedRanking"][:-1]),
        *(row["itemId"] for row in facts["similar"]["itemList"][:3]),
        *(row["itemId"] for row in facts["popular"]["itemList"][:3]),
    ]
    for id in shown:
        assert facts["films"][id]["title"][:20] in text
    assert facts["actionNames"][facts["actions"]["actionList"][0]["actionId"]] in text
    assert facts["code"] == printed_code(text) + "\n"
