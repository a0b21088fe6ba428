"""Measures beyond accuracy: the variety of a list, how little known its items are, how much it favours popular ones."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from math import fsum, log2

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.metrics.table import LONGEST, Metrics

__all__ = ["beyond_accuracy", "intra_list_diversity", "novelty", "popularity_bias"]


def beyond_accuracy(
    answers: Mapping[str, Iterable[str]],
    past: Iterable[Interaction],
    *,
    categories: Mapping[str, str | Collection[str]] | None = None,
    created: Mapping[str, float] | None = None,
    seeds: Mapping[str, str] | None = None,
    k: int = LONGEST,
) -> Metrics:
    """Measure what a model recommends, regardless of what users took. Means over the answers.

    The service reports popularity, freshness and similarity for Semantic-Similarity, without a published formula; the
    definitions here are this package's.

    Args:
        answers: The items that each user was given, best first; empty lists are left out.
        past: The events that the model learned from.
        categories: The categories of items, such as genres: a collection, or one text with ``|`` between them.
        created: The creation time of items, as Unix time.
        seeds: For related items, the item that each user was given items for.
        k: The number of places to look at, at least 1.

    Returns:
        ``novelty`` and ``popularity_bias``, see the functions of these names, and ``item_popularity``, the mean share
        of users who had an item. With ``categories``: ``intra_list_diversity``, and with ``seeds`` too
        ``item_similarity``, the mean similarity to the seed. With ``created``: ``item_freshness``, the mean share of
        the items in ``created`` that are older, over those recommended that are in it.

    Raises:
        ValidationError: No answer has an item, there are no past events, or ``k`` is not an int of at least 1.
    """
    k = checks.whole(k, "k")
    lists = {user: list(ranked)[:k] for user, ranked in answers.items()}
    lists = {user: ranked for user, ranked in lists.items() if ranked}
    if not lists:
        raise ValidationError("answers holds no items, so there is nothing to measure", parameter="answers")
    had: dict[str, set[str]] = {}
    for event in past:
        had.setdefault(event.user_id, set()).add(event.item_id)
    if not had:
        raise ValidationError("past holds no events, so nothing is popular", parameter="past")
    users_of = Counter(item for items in had.values() for item in items)
    popularity = {item: count / len(had) for item, count in users_of.items()}

    def mean(values: Iterable[float]) -> float:
        found = list(values)
        return fsum(found) / len(found) if found else 0.0

    values = {
        "novelty": mean(novelty(ranked, popularity, users=len(had)) for ranked in lists.values()),
        "popularity_bias": mean(
            popularity_bias(ranked, had[user], popularity) for user, ranked in lists.items() if user in had
        ),
        "item_popularity": mean(mean(popularity.get(item, 0.0) for item in ranked) for ranked in lists.values()),
    }
    if categories is not None:
        features = {item: _parts(given) for item, given in categories.items()}
        values["intra_list_diversity"] = mean(intra_list_diversity(ranked, features) for ranked in lists.values())
        if seeds is not None:
            values["item_similarity"] = mean(
                mean(_jaccard(features.get(seeds[user]), features.get(item)) for item in ranked)
                for user, ranked in lists.items()
                if user in seeds
            )
    if created is not None:
        times = sorted(created.values())
        values["item_freshness"] = mean(
            mean(bisect_left(times, created[item]) / len(times) for item in ranked if item in created)
            for ranked in lists.values()
            if any(item in created for item in ranked)
        )
    return Metrics(values, len(lists))


def intra_list_diversity(ranked: Sequence[str], categories: Mapping[str, str | Collection[str]]) -> float:
    """The mean distance of two items of a list (Ziegler et al. 2005): 1 minus the Jaccard index of their categories.

    From 0 (all have the same categories) to 1 (no two share one); 0 for fewer than two items. Items without categories
    share none.

    Args:
        ranked: The items.
        categories: The categories of items: a collection, or one text with ``|`` between them.
    """
    distinct = list(dict.fromkeys(ranked))
    features = {item: _parts(categories[item]) for item in distinct if item in categories}
    pairs = list(combinations(distinct, 2))
    return fsum(1 - _jaccard(features.get(a), features.get(b)) for a, b in pairs) / len(pairs) if pairs else 0.0


def novelty(ranked: Sequence[str], popularity: Mapping[str, float], *, users: int) -> float:
    """The mean self-information of the items, in bits (Zhou et al. 2010): ``-log2`` of the share of users who had one.

    0 for items that all users had, and higher for less known ones. Items that nobody had count as had by one user.

    Args:
        ranked: The items, at least one.
        popularity: Item id to the share of users who had it, above 0 and up to 1.
        users: The number of users.

    Raises:
        ValidationError: ``users`` is not an int of at least 1.
    """
    least = 1 / checks.whole(users, "users")
    return fsum(-log2(popularity.get(item, least)) for item in ranked) / len(ranked) if ranked else 0.0


def popularity_bias(ranked: Sequence[str], profile: Collection[str], popularity: Mapping[str, float]) -> float:
    """The popularity lift (Abdollahpouri et al. 2020): how much more popular the items are than those of the user.

    0.5 means that they are half as popular again; negative if they are less popular; 0 if the user has no items.

    Args:
        ranked: The items.
        profile: The items that the user had.
        popularity: Item id to the share of users who had it.
    """

    def mean(items: Collection[str]) -> float:
        return fsum(popularity.get(item, 0.0) for item in items) / len(items) if items else 0.0

    own = mean(profile)
    return (mean(ranked) - own) / own if own else 0.0


def _parts(given: str | Collection[str]) -> frozenset[str]:
    return frozenset(filter(None, given.split("|") if isinstance(given, str) else given))


def _jaccard(first: frozenset[str] | None, second: frozenset[str] | None) -> float:
    if not first or not second:
        return 0.0
    return len(first & second) / len(first | second)
