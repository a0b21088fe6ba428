"""Makes the bundled sample from the MovieTweetings data set: a dense part of real ratings, and made-up offers.

    python benchmarks/make_sample.py DIRECTORY [OUTPUT]

``DIRECTORY`` holds the MovieTweetings 100K snapshot as ``interactions.csv`` (USER_ID, ITEM_ID, EVENT_VALUE, TIMESTAMP),
``items.csv`` (ITEM_ID, TITLE, YEAR, GENRES) and ``LICENSE``; ``OUTPUT`` is ``personalize_rt/local/sample`` by default.
The same input gives the same files, byte for byte.
"""

from __future__ import annotations

import csv
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

FILMS = 1_000
USERS = 1_800
MOST_BYTES = 1_500_000
EXPECTED_FILMS = ("tt0111161", "tt0468569")  # the films that the documentation names

DAY = 86_400
ACTION_USERS = 240
# ACTION_ID, NAME, TYPE, VALUE, how often it is taken; None: nobody was asked yet.
ACTIONS = (
    ("premium-trial", "A month of premium on trial (made up)", "Subscription", 9, 0.33),
    ("film-club", "Join the film club (made up)", "Subscription", 7, 0.30),
    ("cinema-voucher", "A cinema voucher at half price (made up)", "Voucher", 5, 0.45),
    ("popcorn-voucher", "Free popcorn with the next ticket (made up)", "Voucher", 2, 0.55),
    ("newsletter", "The weekly newsletter (made up)", "Newsletter", 3, 0.35),
    ("rate-ten-films", "Rate ten films (made up)", "Survey", 1, None),
    ("documentary-pass", "A pass for documentaries (made up)", "Subscription", 6, None),
)

SETTINGS = """\
# The campaigns of the bundled sample. See the README beside this file for where the data comes from.

[campaigns]
movies-for-you = "aws-user-personalization"
movies-ranking = "aws-personalized-ranking"
similar-movies = "aws-similar-items"
popular-movies = "aws-popularity-count"
offers = "aws-next-best-action"
"""

README = """\
# The bundled sample

`interactions.csv` and `items.csv` hold {ratings:,} real film ratings by {users:,} people of {films:,} films, from
28 February to 1 September 2013: the most rated films of the MovieTweetings 100K snapshot, and the people who rated
most of them. (Films that only others rated: {unrated}. A catalogue has such items, too.) Ratings are events of the type
`Watch`, with the rating, from 0 to 10, as `EVENT_VALUE`. Ids of films are the data set's own. MovieTweetings is by
Simon Dooms, under the MIT licence: see `LICENSE-MovieTweetings`.

S. Dooms, T. De Pessemier, L. Martens: *MovieTweetings: a movie rating dataset collected from Twitter*, Workshop on
Crowdsourcing and Human Computation for Recommender Systems, CrowdRec at RecSys 2013.

`actions.csv` and `action_interactions.csv` are **made up**, by a seeded random generator, so that there is something
to try next-best-action with. They say nothing about any real person.

`benchmarks/make_sample.py` of the repository makes all of these files.
"""

Row = dict[str, str]


def main(arguments: list[str]) -> None:
    """Read the data set, and write the sample."""
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    source = Path(arguments[0])
    sample = Path(*arguments[1:]) if arguments[1:] else Path(__file__).parents[1] / "personalize_rt/local/sample"
    sample.mkdir(parents=True, exist_ok=True)

    ratings, films = dense_part(read(source / "interactions.csv"), read(source / "items.csv"))
    users = sorted({rating["USER_ID"] for rating in ratings}, key=int)
    write(sample / "interactions.csv", ({**rating, "EVENT_TYPE": "Watch"} for rating in ratings))
    write(sample / "items.csv", films)
    latest = int(ratings[-1]["TIMESTAMP"])
    write(sample / "actions.csv", made_up_actions(latest))
    write(sample / "action_interactions.csv", made_up_action_interactions(ratings, latest))
    (sample / "personalize.toml").write_text(SETTINGS, encoding="utf-8")
    unrated = len({film["ITEM_ID"] for film in films} - {rating["ITEM_ID"] for rating in ratings})
    readme = README.format(ratings=len(ratings), users=len(users), films=len(films), unrated=unrated)
    (sample / "README.md").write_text(readme, encoding="utf-8")
    shutil.copyfile(source / "LICENSE", sample / "LICENSE-MovieTweetings")

    size = sum(file.stat().st_size for file in sample.iterdir() if file.is_file())
    print(f"{len(ratings):,} ratings by {len(users):,} people of {len(films):,} films: {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"the sample has more than {MOST_BYTES:,} bytes")


def dense_part(ratings: list[Row], films: list[Row]) -> tuple[list[Row], list[Row]]:
    """The most rated films, and the ratings of them by the people who rated most of them."""
    kept_films = most_frequent((rating["ITEM_ID"] for rating in ratings), FILMS)
    ratings = [rating for rating in ratings if rating["ITEM_ID"] in kept_films]
    kept_users = most_frequent((rating["USER_ID"] for rating in ratings), USERS)
    ratings = [rating for rating in ratings if rating["USER_ID"] in kept_users]
    films = [film for film in films if film["ITEM_ID"] in kept_films]
    missing = set(EXPECTED_FILMS) - {rating["ITEM_ID"] for rating in ratings}
    if missing:
        sys.exit(f"the dense part lacks {', '.join(sorted(missing))}")
    return ratings, films


def most_frequent(ids: Iterable[str], count: int) -> set[str]:
    """The ids that occur most; of those that occur as often, the ones that sort first."""
    frequency = Counter(ids)
    return set(sorted(frequency, key=lambda id: (-frequency[id], id))[:count])


def made_up_actions(latest: int) -> list[Row]:
    """The offers."""
    return [
        {"ACTION_ID": id, "NAME": name, "TYPE": type, "VALUE": str(value), "CREATION_TIMESTAMP": str(latest - 60 * DAY)}
        for id, name, type, value, _ in ACTIONS
    ]


def made_up_action_interactions(ratings: list[Row], latest: int) -> list[Row]:
    """What people did with the offers in the last five weeks. Each person has a liking of their own for each type."""
    rng = random.Random(2013)
    frequency = Counter(rating["USER_ID"] for rating in ratings)
    users = sorted(frequency, key=lambda user: (-frequency[user], int(user)))[:ACTION_USERS]
    events: list[Row] = []
    for user in users:
        liking = {type: rng.choice((0.3, 1.0, 1.7)) for type in sorted({type for _, _, type, _, _ in ACTIONS})}
        for id, _, type, _, rate in ACTIONS:
            if rate is None or rng.random() < 0.25:
                continue
            untaken = "NOT_TAKEN" if rng.random() < 0.6 else "VIEWED"
            event = "TAKEN" if rng.random() < rate * liking[type] else untaken
            time = latest - rng.randrange(35 * DAY)
            events.append({"USER_ID": user, "ACTION_ID": id, "EVENT_TYPE": event, "TIMESTAMP": str(time)})
    return sorted(events, key=lambda event: int(event["TIMESTAMP"]))


def read(path: Path) -> list[Row]:
    """The rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
