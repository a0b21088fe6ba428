"""A scorer that combines many weak signals by weights learned from users' past choices."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, cast

import attrs
from attrs.setters import frozen

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.redaction import describe
from personalize_rt.rerank import storage
from personalize_rt.rerank.content import Catalogue
from personalize_rt.rerank.mixing import Choice, learn
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
}

_CHOICES = 5_000  # more take longer, and hardly change a weight
_OTHERS = 20  # candidates of a choice beside the chosen one
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
    * *again*, *again_lately*: whether the user had the item before, and how long ago.

    :meth:`fit` learns the weights from up to 5,000 of the newest events. Each of these, before the scorer learns it, is
    a choice between the user's item and 20 others drawn by popularity. So the weights never depend on an event that
    was learned before, and yet all events are learned. With few events the weights stay near the package's defaults.

    An item without events is unknown, unless it is in the catalogue: then it is scored like an item with a single
    event, the oldest of all. A user without events is scored by the item's signals alone. Types and values of events
    are ignored, and so is context.

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
        lists: The kind of lists to be ranked: ``"popular"`` if popular items are in them more often (the results of a
            search, a page of offers); ``"any"`` if they do not depend on popularity, such as a part of the catalogue.
            For ``"any"``, ln of the item's number of events is added to its logit.
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
    lists: Literal["popular", "any"] = attrs.field(default="popular", validator=_lists, on_setattr=frozen)
    seed: int = attrs.field(default=0, validator=_whole, on_setattr=frozen)
    _weights: list[float] = attrs.field(init=False, repr=False)
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

    def fit(self, interactions: Iterable[Interaction]) -> Self:
        """Learn from these events alone, the weights included. Forgets what was learned before.

        Args:
            interactions: The events, in any order; none is allowed, and leaves every item unknown.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: An event that is not an Interaction, has an id that is not a str, or a timestamp that
                is not a finite number. What was learned before stays.
        """
        events = events_in_order(interactions, "interactions")
        self._forget()
        choices = self._learned(events)
        if choices:
            self._weights = learn(choices, self._weights, seed=self.seed)
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

    def _learned(self, events: Sequence[Event]) -> list[Choice]:
        """Learn all events, and make some of the newest ones choices, each before it is learned."""
        chance = random.Random(self.seed)
        newest = max(len(events) // 5, min(len(events) // 2, _CHOICES // 2))
        asked = set(chance.sample(range(len(events) - newest, len(events)), min(newest, _CHOICES)))
        choices: list[Choice] = []
        signals = self._signals
        for n, event in enumerate(events):
            _, user_id, item_id = event
            if n in asked and signals.has(item_id):
                candidates = {item_id: None}
                for _ in range(2 * _OTHERS):
                    candidates[events[int(n * chance.random())][2]] = None
                    if len(candidates) > _OTHERS:
                        break
                if len(candidates) > 1:
                    choices.append(signals.rows(user_id, list(candidates)))
            signals.add(event)
        return choices

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The logit of each item for the user; ``None`` for an item that has no events and is not in the catalogue."""
        weights = self._weights
        if self.lists == "any":
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
        content = {"parameters": parameters, "weights": self.weights, "learned": content}
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
        scorer._weights = [float(weights[name]) for name in SIGNALS]
        if not all(abs(weight) <= _LARGEST for weight in scorer._weights):
            raise ValueError("a weight is out of bounds")
        scorer._signals = Signals.restored(scorer.neighbours, stored.content["learned"], stored.columns)
        return scorer
