"""The content of the demo: one person of the bundled sample, and the answer of each operation for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from personalize_rt.cli.output import reply_json
from personalize_rt.local import LocalPersonalize
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["Demo", "Film", "Rated", "play"]

# A person who gave the best ratings to Alien, Blade Runner and The Empire Strikes Back.
USER = "13974"
FAVOURITE = "tt0078748"  # Alien
# The same for everybody before ranking: a new film, which is not in the data, then films that this person has not
# rated, by number of ratings.
FILMS = (
    "tt0000000",
    "tt1670345",  # Now You See Me
    "tt1343092",  # The Great Gatsby
    "tt1045658",  # Silver Linings Playbook
    "tt1457767",  # The Conjuring
    "tt2404463",  # The Heat
    "tt1119646",  # The Hangover
    "tt0120338",  # Titanic
    "tt0103064",  # Terminator 2: Judgment Day
    "tt0095016",  # Die Hard
    "tt0133093",  # The Matrix
)

# Shown in the demo. A test runs it: it must give the ranking of the demo.
CODE = f"""\
from personalize_rt.local import LocalPersonalize

local = LocalPersonalize.sample()
runtime = local.runtime()  # on AWS: PersonalizeRuntime(region_name="eu-west-1")
campaign = runtime.campaign(local.campaign_arn("movies-ranking"))
films = \"\"\"{" ".join(FILMS[:6])}
{" ".join(FILMS[6:])}\"\"\".split()
for item in campaign.rank("{USER}", films):
    film = local.items.get(item.item_id, {{"TITLE": "?"}})
    print(item.score, item.item_id, film["TITLE"])
"""


@attrs.frozen
class Film:
    """A film of the sample, or the id of one that is not in it."""

    item_id: str
    title: str | None = None
    year: str | None = None
    genres: Sequence[str] = ()

    def __str__(self) -> str:
        return self.title or self.item_id


@attrs.frozen
class Rated:
    """A film and the rating, from 0 to 10, that the person gave it."""

    film: Film
    rating: float


@attrs.frozen(repr=False)
class Demo:
    """Everything that the demo shows.

    Attributes:
        user_id: The person.
        rated: The films that the person rated, best ratings first.
        input_list: The films before they are ranked.
        ranking: The films after they are ranked.
        recommendations: Films for the person.
        favourite: A film that the person likes.
        similar: Films like it.
        popular: The films with the most ratings.
        actions: Actions to offer to the person.
        films: Every film of the demo, by id.
        action_names: The name of every action of the demo, by id.
    """

    user_id: str
    rated: Sequence[Rated]
    input_list: Sequence[str]
    ranking: Ranking
    recommendations: Recommendations
    favourite: Film
    similar: Recommendations
    popular: Recommendations
    actions: ActionRecommendations
    films: Mapping[str, Film]
    action_names: Mapping[str, str]

    def moved(self) -> list[int]:
        """The number of places by which each film of the ranking went up."""
        return [self.input_list.index(id) - place for place, id in enumerate(self.ranking.item_ids)]

    def genres(self) -> list[str]:
        """The three genres that most of the rated films have."""
        counts = Counter(genre for rated in self.rated for genre in rated.film.genres)
        return [genre for genre, _ in counts.most_common(3)]

    def unseen(self) -> list[Film]:
        """The recommended films that the person has not rated."""
        rated = {rated.film.item_id for rated in self.rated}
        return [self.films[id] for id in self.recommendations.item_ids if id not in rated]

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain data, for ``--json``."""
        return {
            "user": {
                "userId": self.user_id,
                "rated": [{"itemId": rated.film.item_id, "rating": rated.rating} for rated in self.rated],
            },
            "ranking": {"inputList": list(self.input_list), **reply_json(self.ranking), "moved": self.moved()},
            "recommendations": reply_json(self.recommendations),
            "similar": {"itemId": self.favourite.item_id, **reply_json(self.similar)},
            "popular": reply_json(self.popular),
            "actions": reply_json(self.actions),
            "films": {
                id: {"title": film.title, "year": film.year, "genres": list(film.genres)}
                for id, film in self.films.items()
            },
            "actionNames": dict(self.action_names),
            "code": CODE,
        }


def play() -> Demo:
    """Make the requests of the demo to the embedded Personalize, through the client for AWS."""
    local = LocalPersonalize.sample()
    runtime = local.runtime()
    ranking = runtime.get_personalized_ranking(
        campaign_arn=local.campaign_arn("movies-ranking"), user_id=USER, input_list=FILMS
    )
    recommendations = runtime.get_recommendations(campaign_arn=local.campaign_arn("movies-for-you"), user_id=USER)
    similar = runtime.get_recommendations(campaign_arn=local.campaign_arn("similar-movies"), item_id=FAVOURITE)
    popular = runtime.get_recommendations(campaign_arn=local.campaign_arn("popular-movies"))
    actions = runtime.get_action_recommendations(campaign_arn=local.campaign_arn("offers"), user_id=USER)
    rated = {
        event.item_id: event.event_value
        for event in local.interactions
        if event.user_id == USER and event.event_value is not None
    }
    answered = (id for answer in (ranking, recommendations, similar, popular) for id in answer.item_ids)
    films = {id: _film(id, local.items.get(id)) for id in (*rated, FAVOURITE, *answered)}
    return Demo(
        user_id=USER,
        rated=[Rated(films[id], rating) for id, rating in sorted(rated.items(), key=lambda pair: -pair[1])],
        input_list=FILMS,
        ranking=ranking,
        recommendations=recommendations,
        favourite=films[FAVOURITE],
        similar=similar,
        popular=popular,
        actions=actions,
        films=films,
        action_names={id: str(local.action_rows[id]["NAME"]) for id in actions.action_ids},
    )


def _film(id: str, row: Mapping[str, object] | None) -> Film:
    return Film(id) if row is None else Film(id, str(row["TITLE"]), str(row["YEAR"]), str(row["GENRES"]).split("|"))
