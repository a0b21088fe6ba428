"""The local re-ranker and its scorers; any function of the right form is a scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_type

from personalize_rt import (
    CoVisitationScorer,
    EmbeddingScorer,
    EnsembleScorer,
    Fallback,
    FilterData,
    Interaction,
    LocalReranker,
    PersonalizeError,
    PersonalizeRuntime,
    PopularityScorer,
    Ranking,
    RerankFallback,
    Scorer,
    ShadowScorer,
    TrackedEvent,
)
from personalize_rt.bulk import RankRequest
from personalize_rt.local import LocalPersonalize
from personalize_rt.rerank import LongRanking, Rules, ShownList, TrainableScorer, shown_lists
from personalize_rt.resilience.fallback import FallbackChain


def by_length(user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None) -> Sequence[float | None]:
    return [len(id) or None for id in item_ids]


events = [Interaction("u", "i", 1_700_000_000, event_type="Watch", event_value=4.5)]


def recorded(local: LocalPersonalize) -> None:
    assert_type(shown_lists(local.recorded_events), list[ShownList])


popularity = PopularityScorer(half_life_days=30).fit(events)
assert_type(popularity, PopularityScorer)
assert_type(popularity.update(iter(events)), PopularityScorer)
together = CoVisitationScorer(neighbours=100).fit(events)
assert_type(together, CoVisitationScorer)
assert_type(together.similar("i", ["a", "b"]), Sequence[float | None])
vectors = EmbeddingScorer({"u": [1.0, 0.0]}, {"i": (0.5, 0.5)}, default_user=[0.0, 0.0])

everything = EnsembleScorer(items={"i": {"GENRES": "Drama", "YEAR": 1990}}, lists="any").fit(events)
assert_type(everything.update(iter(events)), EnsembleScorer)
shown = ShownList("u", 2.0, ["i", "j"], ["i"])
assert_type(shown.item_ids, tuple[str, ...])
tracked = TrackedEvent(event_type="click", item_id="i", sent_at=2.0, impression=["i", "j"])
assert_type(shown_lists([("u", tracked)], event_types={"click"}), list[ShownList])
assert_type(everything.fit(events, lists=[shown]), EnsembleScorer)
assert_type(popularity.used_half_life_days, float | None)
assert_type(EnsembleScorer.load("scorer"), EnsembleScorer)
assert_type(everything.weights, dict[str, float])
trained: list[TrainableScorer] = [popularity, together, everything]
scorers: list[Scorer] = [by_length, popularity, together, vectors, *trained]
for scorer in scorers:
    ranking = LocalReranker(scorer).rank(user_id="u", input_list=["a", "b"], context={"DEVICE": "tv"})
    assert_type(ranking, Ranking)
logits: dict[str, float] = {"a": 1.5}
assert_type(LocalReranker(logits).rank(user_id="u", input_list=("a", "b")), Ranking)
assert_type(LocalReranker({"a": 1.5, "b": None}).rank(user_id="u", input_list={"a"}), Ranking)
assert_type(LocalReranker({"a": 1}).rank(user_id="u", input_list=iter("ab")), Ranking)

catalogue = FilterData(items={"i": {"YEAR": 1999}}, users={}, interactions=lambda user_id: events)
fallback: Fallback = RerankFallback(LocalReranker(popularity), filter_data=catalogue, unfiltered="allow")
PersonalizeRuntime(fallback=fallback)

# What learns from the service, and answers in its place.

shadow = ShadowScorer(factors=8, max_users=100, max_items=1_000)
scorers.append(shadow)
shadow.observe("u", Ranking(["a", "b"], scores=[0.7, 0.3]))
assert_type(shadow.answers, int)
assert_type(shadow.factors, int)
assert_type(shadow.quality, float | None)
shadow.save("shadow")
assert_type(ShadowScorer.load("shadow"), ShadowScorer)
assert_type(RerankFallback(shadow), RerankFallback)
assert_type(RerankFallback(shadow, min_quality=0.6), RerankFallback)
assert_type(RerankFallback(logits), RerankFallback)
assert_type(RerankFallback(by_length) | RerankFallback(LocalReranker(shadow)), FallbackChain)

# A ranking of a long list is a ranking.


def long(ranking: LongRanking) -> None:
    short: Ranking = ranking
    assert_type(short.item_ids, tuple[str, ...])
    assert_type(ranking.requests, int)
    assert_type(ranking.error_bound, float)
    assert_type(ranking.unscaled, tuple[str, ...])
    assert_type(ranking.recommendation_ids, tuple[str | None, ...])
    assert_type(ranking.stopped_by, PersonalizeError | None)
    assert_type(ranking.missing_mass, float)
    # Rules give the same type.
    assert_type(ranking.pin({"a": 0}).boost({"b": 2}).without(["c"]), LongRanking)
    assert_type(ranking.blend(["a"], 0.5), LongRanking)


some = Ranking(["a", "b"], scores=[0.7, 0.3])
assert_type(some.diversify(by="GENRES", at_most=2, within=10, items=catalogue).mmr(lambda a, b: 0.5, k=3), Ranking)
rules = Rules(pin={"a": 0}, boost={"b": 2.0}, without=["c"], diversify=("GENRES", 2, 10))
assert_type(rules.apply(some), Ranking)
RankRequest(campaign_arn="arn", user_id="u", input_list=["a"], rules=rules)
