"""A scorer that combines many weak signals by weights learned from users' past choices."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import fsum, log, sqrt
from typing import Any, Literal, Self, cast

import attrs
from attrs.setters import frozen

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.redaction import describe
from personalize_rt.rerank import storage
from personalize_rt.rerank.content import Catalogue
from personalize_rt.rerank.mixing import Choice, learn, likelihoods
from personalize_rt.rerank.shown import ShownList, checked_lists
from personalize_rt.rerank.signals import SIGNALS, Signals
from personalize_rt.rerank.training import Event, events_in_order, whole

__all__ = ["EnsembleScorer"]

# Initial weights, and the ones that learning is regularised towards. Learned from the oldest 80 % of the
# MovieTweetings 100K snapshot, rounded.
_FIRST: Mapping[str, float] = {
    "trend": 0.4,
    "season": -0.2,
    "count": -0.2,
    "idle": -0.15,
    "age": -0.25,
    "trend:away": 0.07,
    "season:away": -0.02,
    "count:away": -0.01,
    "idle:away": -0.02,
    "trend:history": 0.1,
    "season:history": -0.05,
    "joined": 0.7,
    "alike": 0.1,
    "followed": 0.3,
    "joined:away": -0.08,
    "category": 0.9,
    "number": 0.7,
    "usual_count": 0.4,
    "usual_age": 0.2,
    "times": 0.2,
    "returning": 0.2,
    "early": -0.2,
    "late": -0.1,
    "alike_last": 0.05,
    "neighbours": 0.1,
}

# More take longer: 3,000 instead of 1,200 moved the NDCG@10 of three sets of lists by less than 0.007, up or down.
_CHOICES = 3_000
_OTHERS = 20  # candidates of a choice beside the chosen one
# Of the lists that pages showed: how many of the newest are learned from, how many candidates of each, and how many
# lists the weights that were learned without them count for.
_LISTS, _OF_A_LIST = 1_500, 25
_PRIOR = 100.0
_TRUSTED = (0.25, 0.5, 0.75, 1.0)
# Standard errors by which a correction has to help: the rule of Breiman, Friedman, Olshen, Stone (1984) for the choice
# among models by held-out data, the weights without lists being the simplest one. Fixed, not chosen by any data.
_ERRORS = 1.0
_LARGEST = 1e6
_COUNT = SIGNALS.index("count")


def _names(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, str | bytes) or not all(isinstance(name, str) for name in value):
        raise ValidationError(
            f"{attribute.name} is {describe(value)}; it takes a list of column names", parameter=attribute.name
        )


def _name(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise ValidationError(
            f"{attribute.name} is {describe(value)}; it takes the name of a column, or None", parameter=attribute.name
        )


def _lists(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    checks.one_of(value, attribute.name, "popular", "any")


def _whole(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, int):
        raise ValidationError(f"{attribute.name} is {describe(value)}, not an int", parameter=attribute.name)


def _items(value: Mapping[str, Mapping[str, Any]] | None) -> Mapping[str, Mapping[str, Any]] | None:
    if type(value).__module__ != "builtins":
        from personalize_rt.columns import is_frame, items_from_frame

        if is_frame(value):
            return items_from_frame(value)
    return value


def _columns(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise ValidationError(
            f"{attribute.name} is {describe(value)}; it takes a mapping of item ids to their columns, or a frame "
            "with a column ITEM_ID",
            parameter=attribute.name,
        )


@attrs.define(eq=False, kw_only=True)
class EnsembleScorer:
    """Scores an item by all that is known of it and of the user. The best choice for a fallback.

    The logit is a weighted sum of signals; :attr:`weights` has their names and weights.

    * *trend*, *season*, *count*: the logarithms of the item's number of events, with half-lives of 3 days, 30 days and
      without one, as of the item's newest event. *idle*, *age*: the logarithms of the time since its newest and its
      first event. The weights of these five depend on how long the user was away, and on the length of the user's
      history.
    * *joined*: whether users had the item near this user's latest items. *followed*: whether they had it right after
      them. Both are logarithms of a ratio to what popularity alone would give. *alike*: the cosine of the item with all
      of the user's items.
    * *category*, *number*: how much more common the item's categories, or numbers near the item's, are in the user's
      history than in everybody's. They matter most for an item of few events.
    * *usual_count*, *usual_age*: whether the item is as well-known, or as new, as the user's items usually are.
    * *again*, *again_lately*: whether the user had the item before, and how long ago. *times*: the logarithm of how
      often. *returning*: how much more often than others the item is had again by those who had it. *early*, *late*: by
      how much it is too early or too late for the usual gap between two events of the user with the item, as the
      logarithm of a ratio.
      *times:returning*, *times:early*, *times:late*, *returning:early*, *returning:late*: products of these, since it
      matters more whether an item is due when it was had often.
    * *alike_last*: like *alike*, with the user's latest item alone. *neighbours*: how much the users had the item who
      lately had the same items as this user.

    :meth:`fit` learns the weights from up to 3,000 of the newest events. Each of these, before the scorer learns it, is
    a choice between the user's item and 20 others drawn by popularity. With ``lists`` that pages really showed, it goes
    on to learn from these, and does better on such pages. So the weights never depend on an event that was learned
    before, and yet all events are learned. With few events the weights stay near the package's defaults.

    An item without events is unknown, unless it is in the catalogue: then it is scored like an item with a single
    event, at its ``CREATION_TIMESTAMP``, or as the oldest of all if it has none. A user without events is scored by the
    item's signals alone. Types and values of events are ignored, and so is context.

    Age is measured from the newest event of all, never from the wall clock. Every event counts, duplicates too; but an
    event with the user's latest item makes no new pairs with others. Nor does an event that is older than its user's
    newest one; it counts as of its own time, and takes its place in the history. Timestamps beyond ±1e15 seconds are
    taken as ±1e15.

    Memory grows with the number of users and items, not of events: 200 items are kept for a user, and ``neighbours``
    pairs of each kind (up to twice as many between two prunings) for an item. Several threads may rank with it at
    once, but not while another fits or updates it.

    Args:
        items: Item metadata: item id to columns, as in ``FilterData``, or a pandas, Polars or Arrow frame with a column
            ``ITEM_ID``. A mapping is not copied; it is read at construction and by :meth:`fit`.
        categories: The columns that hold categories: a str with ``|`` between them, or a list of str.
        number: The column that holds a number; other values count as missing.
        neighbours: The number of other items with which an item's pairs are kept, those with the most weight.
        lists: The kind of lists to be ranked, when :meth:`fit` is given none to learn from: ``"any"``, which was better
            on all lists that were measured; ``"popular"`` if their items were drawn by popularity, as the negatives of
            many offline tests are. For ``"any"``, ln of the item's number of events is added to its logit.
        seed: Seed of the random choice of events and items that the weights are learned from. The same events,
            parameters and seed give the same scorer.

    Raises:
        ValidationError: A parameter of the wrong kind.
    """

    items: Mapping[str, Mapping[str, Any]] | None = attrs.field(
        default=None, converter=_items, validator=_columns, repr=describe
    )
    categories: Sequence[str] = attrs.field(default=("GENRES",), validator=_names, on_setattr=frozen)
    number: str | None = attrs.field(default="YEAR", validator=_name, on_setattr=frozen)
    neighbours: int = attrs.field(default=200, validator=whole, on_setattr=frozen)
    lists: Literal["popular", "any"] = attrs.field(default="any", validator=_lists, on_setattr=frozen)
    seed: int = attrs.field(default=0, validator=_whole, on_setattr=frozen)
    _weights: list[float] = attrs.field(init=False, repr=False)
    # Whether the weights are those of lists that pages showed, which need no correction.
    _of_lists: bool = attrs.field(default=False, init=False, repr=False)
    _signals: Signals = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._weights = [_FIRST.get(name, 0.0) for name in SIGNALS]
        self._signals = Signals(Catalogue.of(self.items, self.categories, self.number), self.neighbours)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each signal.

        A weight ``x:away`` is multiplied by ln of the seconds that the user was away, minus 10 (from about -6 to 6),
        and a weight ``x:history`` by ln of 1 + the number of the user's items; both are added to the weight of ``x``.
        """
        return dict(zip(SIGNALS, self._weights, strict=True))

    def fit(self, interactions: Iterable[Interaction], *, lists: Iterable[ShownList] | None = None) -> Self:
        """Learn from these events alone, the weights included. Forgets what was learned before.

        Args:
            interactions: The events, in any order; none is allowed, and leaves every item unknown.
            lists: Lists that pages showed at earlier times, in any order, of which the newest 1,500 are used. The
                weights are those of ``lists="any"``, corrected by as much of what the lists teach as the newest fifth
                of them bears out, by more than one standard error; if it bears out nothing, exactly those of ``"any"``.
                How much the place in a list counts is learned as well, and left out of the weights: clicks that only
                follow the place teach nothing. What was taken of the lists should also be among the interactions.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: An event that is not an Interaction, has an id that is not a str, or a timestamp that
                is not a finite number; or a list that is no ShownList. What was learned before stays.
        """
        events = events_in_order(interactions, "interactions")
        shown = [] if lists is None else checked_lists(lists)[-_LISTS:]
        self._forget()
        choices, earlier, pages, taken, held_out = self._learned(events, shown)
        self._of_lists = bool(pages)
        first = self._weights
        if choices:
            # A copy where they are needed again, since learning scales them.
            self._weights = learn(list(choices) if pages else choices, first, seed=self.seed)
        if pages:
            self._weights[_COUNT] += 1.0
            then = learn(earlier, first, seed=self.seed) if earlier else list(first)
            then[_COUNT] += 1.0
            trust = _trust(then, pages, taken, held_out, self.seed)
            if trust:
                learned = learn(pages, [*self._weights, 0.0], seed=self.seed, chosen=taken, trust=_PRIOR)
                self._weights = [a + trust * (b - a) for a, b in zip(self._weights, learned[:-1], strict=True)]
        return self

    def update(self, events: Iterable[Interaction]) -> Self:
        """Learn from further events. They count from the next ranking on; the weights do not change.

        Events in order of time may come one by one or all at once, with the same outcome.

        Args:
            events: The events, in any order.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: As ``fit`` does.
        """
        for event in events_in_order(events, "events"):
            self._signals.add(event)
        return self

    def _learned(
        self, events: Sequence[Event], shown: Sequence[ShownList]
    ) -> tuple[list[Choice], list[Choice], list[Choice], list[int], int]:
        """Learn all events, and make some of the newest ones choices, each before it is learned; lists, too.

        Returns:
            The choices; those of the time before the lists that are to decide, as many; the choices of lists, with
            the number of items that were taken of each; and how many of these, the newest, are to decide.
        """
        chance = random.Random(self.seed)
        newest = max(len(events) // 5, min(len(events) // 2, _CHOICES // 2))
        start, number = len(events) - newest, min(newest, _CHOICES)
        asked = set(chance.sample(range(start, len(events)), number))
        # Choices of the time of the lists that decide would favour the weights without lists. Those before it count,
        # and as many again of the time before, by random numbers of their own: the others are those of no lists.
        deciding, held_out, end, before = len(shown) - len(shown) // 5, 0, 0, set[int]()
        other_chance = random.Random(self.seed)
        if deciding < len(shown):
            end = max(bisect_left(events, (shown[deciding].timestamp,)), len(events) // 2, newest)
            before = set(
                other_chance.sample(range(end - newest, start), (start + newest - end) * number // max(1, newest))
            )
        choices: list[Choice] = []
        earlier: list[Choice] = []
        pages: list[Choice] = []
        taken: list[int] = []
        signals = self._signals
        waiting, candidates_of = 0, random.Random(self.seed)
        for n, event in enumerate(events):
            timestamp, user_id, item_id = event
            while waiting < len(shown) and shown[waiting].timestamp <= timestamp:
                held_out += _add_page(signals, shown[waiting], candidates_of, pages, taken) and waiting >= deciding
                waiting += 1
            if (n in asked or n in before) and signals.has(item_id):
                drawing = chance if n in asked else other_chance
                candidates = {item_id: None}
                for _ in range(2 * _OTHERS):
                    candidates[events[int(n * drawing.random())][2]] = None
                    if len(candidates) > _OTHERS:
                        break
                if len(candidates) > 1:
                    choice = signals.rows(user_id, list(candidates))
                    if n in asked:
                        choices.append(choice)
                    if n < end:
                        earlier.append(choice)
            signals.add(event)
        for n, one in enumerate(shown[waiting:], waiting):
            held_out += _add_page(signals, one, candidates_of, pages, taken) and n >= deciding
        signals.settle()
        return choices, earlier, pages, taken, held_out

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The logit of each item for the user; ``None`` for an item that has no events and is not in the catalogue."""
        weights = self._weights
        if self.lists == "any" and not self._of_lists:
            # The other items of a choice were drawn by popularity, so the learned logits lack it
            # (Bengio, Senécal 2008: correction for sampled candidates).
            weights = list(weights)
            weights[_COUNT] += 1.0
        return self._signals.logits(user_id, item_ids, weights)

    def save(self, path: storage.Path) -> None:
        """Write what was learned, and the item columns in use, to a file.

        The file holds user ids. :meth:`load` gives a scorer with exactly the same logits.

        Args:
            path: Where to write; an existing file is replaced.

        Raises:
            OSError: The file cannot be written.
        """
        content, columns = self._signals.stored()
        parameters = {
            "categories": list(self.categories),
            "number": self.number,
            "neighbours": self.neighbours,
            "lists": self.lists,
            "seed": self.seed,
        }
        content = {
            "parameters": parameters,
            "weights": self.weights,
            "of_lists": self._of_lists,
            "learned": content,
        }
        storage.save(path, storage.Stored(type(self).__name__, content, columns))

    @classmethod
    def load(cls, path: storage.Path) -> Self:
        """Read a file that :meth:`save` wrote. ``items`` is ``None`` then, since the file holds the columns in use.

        Args:
            path: The file.

        Raises:
            ValidationError: The file is damaged, of a newer version, or of something else.
            OSError: The file cannot be read.
        """
        return storage.taken(storage.load(path, cls.__name__), cls._restored)

    @classmethod
    def _restored(cls, stored: storage.Stored) -> Self:
        scorer = cls(**stored.content["parameters"])
        weights = cast("Mapping[str, float]", stored.content["weights"])
        # Older files have no weights of newer signals.
        scorer._weights = [float(weights.get(name, 0.0)) for name in SIGNALS]
        scorer._of_lists = bool(stored.content.get("of_lists", False))
        if not all(abs(weight) <= _LARGEST for weight in scorer._weights):
            raise ValueError("a weight is out of bounds")
        scorer._signals = Signals.restored(scorer.neighbours, stored.content["learned"], stored.columns)
        return scorer


def _add_page(signals: Signals, shown: ShownList, chance: random.Random, pages: list[Choice], taken: list[int]) -> bool:
    """Make a choice of a list: all that was taken of it, and some of the rest. One more signal is the place.

    Returns:
        Whether the list teaches anything.
    """
    places = {id: place for place, id in reversed(list(enumerate(shown.item_ids))) if signals.knows(id)}
    chosen = [id for id in dict.fromkeys(shown.taken) if id in places]
    others = [id for id in places if id not in chosen]
    if not chosen or not others:
        return False
    ids = [*chosen, *chance.sample(others, min(len(others), _OF_A_LIST))]
    rows = signals.rows(shown.user_id, ids)
    pages.append([(*row, -log(1.0 + places[id])) for row, id in zip(rows, ids, strict=True)])
    taken.append(len(chosen))
    return True


def _trust(weights: Sequence[float], pages: Sequence[Choice], taken: Sequence[int], held_out: int, seed: int) -> float:
    """Measure on the newest lists how far to trust what the others teach. The place has a weight during that.

    Args:
        weights: The weights that were learned without lists.
        pages: The lists, oldest first.
        taken: The number of items that were taken of each.
        held_out: The number of lists, the newest, which decide.
        seed: Seed of the order of learning.

    Returns:
        The trust with the highest lower bound of what it gains in likelihood over the weights without lists: the mean
        of the paired differences, less their standard error. 0 if no bound is above 0.
    """
    known = len(pages) - held_out
    if not held_out or not known:
        return 0.0
    first = [*weights, 0.0]
    learned = learn(list(pages[:known]), first, seed=seed, chosen=taken[:known], trust=_PRIOR)
    # Without what the lists teach, the place still explains what it explains: people look at what stands on top.
    place = max(0.0, learned[-1])
    before = likelihoods(pages[known:], taken[known:], [*weights, place])
    best, trusted = 0.0, 0.0
    for trust in _TRUSTED:
        mixed = [a + trust * (b - a) for a, b in zip(first, learned, strict=True)]
        mixed[-1] = place
        gains = [a - b for a, b in zip(likelihoods(pages[known:], taken[known:], mixed), before, strict=True)]
        mean = fsum(gains) / held_out
        bound = mean - _ERRORS * sqrt(fsum([(gain - mean) ** 2 for gain in gains])) / held_out
        if bound > best:
            best, trusted = bound, trust
    return trusted
