"""The demo as text for people, 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from personalize_rt.cli.demo import CODE, USER, Demo
from personalize_rt.cli.output import can_show, rendered
from personalize_rt.cli.render import moved, new_table, shown

__all__ = ["page"]

_OFFERS = 3
_ROWS = 5

COMMAND = f"""\
personalize-rt rank --local sample --campaign-arn movies-ranking \\
    --user-id {USER} tt0120338 tt0133093 tt0103064
"""


def page(demo: Demo) -> str:
    """Render the output of ``personalize-rt demo``."""
    sections = (
        _section(
            "Real films, ranked for a real person",
            "A small Amazon Personalize inside this process answers: no account, no network.",
        ),
        _section(
            f"Person {demo.user_id}",
            f"Rated {len(demo.rated)} of the sample's films on Twitter in 2013, mostly {', '.join(demo.genres())}. "
            "The best marks out of 10:",
            _marks(demo),
        ),
        _section(
            "The same films for everybody, and for this person (GetPersonalizedRanking)",
            "Was: a new film, then the most rated ones. Now: in this person's order.",
            _ranking(demo),
            f"The scores add up to 1. {demo.input_list[0]} is not in the data: an item that the model does not "
            "know goes to the end, without a score.",
        ),
        _section(
            "More films (GetRecommendations)",
            _lists(demo),
        ),
        _section("What to offer this person (GetActionRecommendations)", _offers(demo)),
        _section("The ranking in Python", Text(CODE.rstrip())),
        _section(
            "What next",
            "Rank other films, for other people (--help tells the rest):",
            Text(COMMAND.rstrip()),
            "With a directory of your own in place of sample, it ranks your items. Without --local, and with the "
            "ARN of a campaign, it asks AWS.",
        ),
    )
    return rendered(*(part for section in sections for part in (section, "")), width=80)


def _section(title: str, *parts: str | RenderableType) -> Group:
    return Group(Text(title, style="bold"), *(Text(part) if isinstance(part, str) else part for part in parts))


def _table(*columns: str, widths: Sequence[int | None] = (), headed: bool = True) -> Table:
    """A table whose cells are cut, not wrapped, with two spaces between them."""
    table = new_table()
    table.padding, table.show_header = (0, 1, 0, 0), headed
    for name, width in zip_longest(columns, widths):
        table.add_column(
            name,
            justify="right" if name in ("mark", "was", "now", "move", "score") else "left",
            no_wrap=True,
            overflow="ellipsis" if can_show("…") else "crop",
            width=width,
        )
    return table


def _marks(demo: Demo) -> Table:
    table = _table("mark", "year", "film", headed=False)
    for rated in demo.rated[:_ROWS]:
        table.add_row(f"{rated.rating:g}", rated.film.year, shown(str(rated.film)))
    return table


def _ranking(demo: Demo) -> Table:
    table = _table("was", "now", "move", "score", "film", "year", "genres", widths=(4, 4, 5, 7, 27, 5))
    for place, (item, places) in enumerate(zip(demo.ranking, demo.moved(), strict=True), start=1):
        film = demo.films[item.item_id]
        genres = Text("/".join(film.genres) or "not in the data", style="dim")
        table.add_row(
            str(place + places), str(place), moved(places), _score(item.score), shown(str(film)), film.year, genres
        )
    return table


def _lists(demo: Demo) -> Table:
    lists = {
        "not yet rated, best first": demo.unseen(),
        f"like {demo.favourite}": [demo.films[id] for id in demo.similar.item_ids],
        "most rated": [demo.films[id] for id in demo.popular.item_ids],
    }
    table = _table(*lists, widths=[25, 25, 25])
    for films in islice(zip(*lists.values(), strict=False), _ROWS):
        table.add_row(*(shown(str(film)) for film in films))
    return table


def _offers(demo: Demo) -> Table:
    table = _table("score", "action", headed=False)
    for action in demo.actions[:_OFFERS]:
        table.add_row(_score(action.score), shown(demo.action_names[action.action_id]))
    return table


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"
