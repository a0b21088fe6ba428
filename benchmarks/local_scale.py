"""The embedded service on a million interactions: ``python -m benchmarks.local_scale``.

Makes a data directory of 1,000,000 interactions, 100,000 items and 50,000 users (or as many as it is told), loads it in
a process of its own, and asks it for one user after the other. Times are those of ``LocalPersonalize.handle``, bytes
in, bytes out, JSON included, in processor time, since other work on the machine must not count. Loading includes
``prepare()``, unless ``--lazy`` leaves that to the first requests. Ends with status 1 when a figure is worse than what
the project promises.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from statistics import quantiles
from typing import Any

GENRES = (
    "Action",
    "Comedy",
    "Crime",
    "Drama",
    "Family",
    "Horror",
    "Music",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
NEWEST = 1_700_000_000
YEAR = 365 * 86_400

PROMISED = {
    "load, s": 30.0,
    "memory, GB": 1.5,
    "ranking of 500, p50 ms": 2.0,
    "recommendations with a filter, p50 ms": 10.0,
}

SETTINGS = """\
[campaigns]
for-you = "aws-user-personalization"
for-you-v2 = "aws-user-personalization-v2"
ranking = "aws-personalized-ranking"
similar = "aws-similar-items"
popular = "aws-popularity-count"

[recommenders]
top-picks = "aws-vod-top-picks"

[filters]
unseen-by-genre = '''
INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'''
new = "INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > $SINCE"
rare = "INCLUDE ItemID WHERE Items.YEAR = $YEAR"

[event_trackers]
shop = "benchmark"
"""


# Making the data.


def generate(directory: Path, *, events: int, items: int, users: int, seed: int = 1) -> None:
    """Write a data directory.

    Popularity falls with the rank of an item as 1 / rank^0.8, activity with that of a user as 1 / rank^0.5; four of
    five events of a user are with one of the two genres that the user likes.
    """
    chance = random.Random(seed)
    genres = [chance.sample(GENRES, chance.choice((1, 1, 2, 2, 3))) for _ in range(items)]
    ids = [f"item-{n:06d}" for n in range(items)]
    chance.shuffle(ids)
    with (directory / "items.csv").open("w") as file:
        file.write("ITEM_ID,TITLE,YEAR,GENRES,CREATION_TIMESTAMP\n")
        for id, own in zip(ids, genres, strict=True):
            created = NEWEST - chance.randrange(10 * YEAR)
            file.write(f"{id},The title of {id},{chance.randrange(1930, 2024)},{'|'.join(own)},{created}\n")
    with (directory / "users.csv").open("w") as file:
        file.write("USER_ID,AGE,LEVEL\n")
        for n in range(users):
            file.write(f"user-{n:05d},{chance.randrange(12, 90)},{chance.choice(('gold', 'silver'))}\n")
    weight = [(n + 1) ** -0.8 for n in range(items)]
    everything = range(items), list(accumulate(weight))
    of_genre = {genre: [n for n in range(items) if genre in genres[n]] for genre in GENRES}
    totals = {genre: list(accumulate(weight[n] for n in members)) for genre, members in of_genre.items()}
    liked = [chance.sample(GENRES, 2) for _ in range(users)]
    active = list(accumulate((n + 1) ** -0.5 for n in range(users)))
    who = [*range(users), *chance.choices(range(users), cum_weights=active, k=events - users)]
    with (directory / "interactions.csv").open("w") as file:
        file.write("USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n")
        for user in who:
            if chance.random() < 0.8:
                genre = liked[user][chance.random() < 0.3]
                item = chance.choices(of_genre[genre], cum_weights=totals[genre])[0]
            else:
                item = chance.choices(everything[0], cum_weights=everything[1])[0]
            kind = "Watch" if chance.random() < 0.85 else "Click"
            moment = NEWEST - chance.randrange(2 * YEAR)
            file.write(f"user-{user:05d},{ids[item]},{kind},{chance.randrange(1, 11)},{moment}\n")
    (directory / "personalize.toml").write_text(SETTINGS)


# Measuring, in a process of its own.


def measure(directory: Path, requests: int, *, prepare: bool) -> dict[str, float]:
    """Load a directory and ask it."""
    from personalize_rt.local import HttpRequest, LocalPersonalize

    begin = time.process_time()
    local = LocalPersonalize.from_directory(directory)
    figures = {"load, s": time.process_time() - begin, "memory after loading, GB": _memory()}
    if prepare:
        begin = time.process_time()
        local.prepare()
        figures["prepare, s"] = time.process_time() - begin
        figures["load, s"] += figures["prepare, s"]
    chance = random.Random(2)
    items = list(local.items)
    people = chance.sample(list(local.users), requests)

    def post(path: str, members: dict[str, Any]) -> HttpRequest:
        return HttpRequest("POST", path, {}, json.dumps(members).encode())

    def campaign(name: str, **members: Any) -> dict[str, Any]:
        return {"campaignArn": local.campaign_arn(name), **members}

    def filtered(name: str, **values: str) -> dict[str, Any]:
        return {"filterArn": local.filter_arn(name), "filterValues": values}

    def ranking(user: str) -> HttpRequest:
        wanted = campaign("ranking", userId=user, inputList=chance.sample(items, 500))
        return post("/personalize-ranking", wanted)

    def unseen(user: str) -> HttpRequest:
        genre = ",".join(f'"{one}"' for one in chance.sample(GENRES, 2))
        return post("/recommendations", campaign("for-you", userId=user, **filtered("unseen-by-genre", GENRE=genre)))

    def new(user: str) -> HttpRequest:
        since = str(NEWEST - chance.randrange(YEAR))
        return post("/recommendations", campaign("for-you", userId=user, **filtered("new", SINCE=since)))

    def rare(user: str) -> HttpRequest:
        year = str(chance.randrange(1930, 2024))
        return post("/recommendations", campaign("for-you", userId=user, **filtered("rare", YEAR=year)))

    kinds = {
        "ranking of 500": ranking,
        "recommendations with a filter": unseen,
        "the same, items of a year": rare,
        "the same, new items": new,
        "recommendations": lambda user: post("/recommendations", campaign("for-you", userId=user)),
        "recommendations, v2": lambda user: post("/recommendations", campaign("for-you-v2", userId=user)),
        "related items": lambda user: post("/recommendations", campaign("similar", itemId=chance.choice(items))),
        "top picks": lambda user: post(
            "/recommendations", {"recommenderArn": local.recommender_arn("top-picks"), "userId": user}
        ),
    }
    for name, make in kinds.items():
        taken: list[float] = []
        for user in people:
            request = make(user)
            begin = time.process_time()
            response = local.handle(request)
            taken.append((time.process_time() - begin) * 1000)
            assert response.status == 200, response.body
        cuts = quantiles(taken[1:], n=100)
        figures |= {f"{name}, first ms": taken[0], f"{name}, p50 ms": cuts[49], f"{name}, p99 ms": cuts[98]}
        chance.shuffle(people)
    figures["memory, GB"] = _memory()
    return figures


def _memory() -> float:
    """The most memory that this process had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=500, help="of each kind")
    parser.add_argument("--directory", type=Path, help="keep the data here, and use those that are there")
    parser.add_argument("--lazy", action="store_true", help="without prepare(): the first requests wait, and learn")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.directory, options.requests, prepare=not options.lazy)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        directory: Path = options.directory or Path(temporary)
        if not (directory / "personalize.toml").exists():
            directory.mkdir(parents=True, exist_ok=True)
            generate(directory, events=options.events, items=options.items, users=options.users)
        command = [sys.executable, "-m", "benchmarks.local_scale", "--measure", "--directory", str(directory)]
        command += ["--requests", str(options.requests), *(["--lazy"] if options.lazy else [])]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(run.stdout)
    for name, figure in figures.items():
        promised = f"   (promised: {PROMISED[name]:g})" if name in PROMISED else ""
        print(f"{name:45} {figure:9.2f}{promised}")
    return 0 if all(figures[name] < most for name, most in PROMISED.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
