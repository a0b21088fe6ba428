"""An Amazon Personalize inside this process, answering from a directory of CSV files."""

from __future__ import annotations

import os
import random
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Self

from personalize_rt.errors import ValidationError
from personalize_rt.filters import FilterExpression, FilterValue, encode_values
from personalize_rt.filters.selection import Explanation
from personalize_rt.filters.terms import Target
from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog, Table, load
from personalize_rt.local.doors import Doors
from personalize_rt.local.engine import Engine, Resource
from personalize_rt.local.filtering import StoredFilter, parse, why_unfit
from personalize_rt.local.problems import LocalDataWarning, Problems
from personalize_rt.local.settings import Settings, add_filters, read_settings, resources
from personalize_rt.local.stream import Stream, read_action_events, read_events
from personalize_rt.local.wire import HttpRequest, HttpResponse, Wire
from personalize_rt.tracking import TrackedEvent

__all__ = ["LocalPersonalize"]

_SAMPLE = Path(__file__).parent / "sample"
_SEED = 0


class LocalPersonalize(Doors):
    """An embedded Personalize; :meth:`sample` and :meth:`from_directory` make one.

    It answers the three operations of the runtime API as the service would, for the campaigns, recommenders and filters
    that its directory declares (see :mod:`personalize_rt.local.settings`). Where it differs from the service,
    ``docs/divergences.md`` says so. It never writes to the directory. Threads may share it.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        resources: Iterable[Resource],
        *,
        directory: Path,
        rng: random.Random,
        strict: bool = False,
    ) -> None:
        super().__init__(region_name=settings.region)
        self._directory = directory
        self._strict = strict
        self._rng = rng
        self._engine = engine
        self._settings = settings
        self._resources = tuple(resources)
        self._wire = Wire(engine, rng, engine.clock)
        self._prepared = False

    @classmethod
    def sample(cls, *, clock: Callable[[], float] = time.time, rng: random.Random | None = None) -> Self:
        """The bundled sample: real ratings of real films, and made-up offers.

        Its campaigns are ``movies-for-you``, ``movies-ranking``, ``similar-movies``, ``popular-movies`` and ``offers``,
        its recommender is ``top-picks``, its filter ``unseen-by-genre``.

        Args:
            clock: As in :meth:`from_directory`.
            rng: As in :meth:`from_directory`.
        """
        return cls.from_directory(_SAMPLE, clock=clock, rng=rng)

    @classmethod
    def from_directory(
        cls,
        directory: str | PathLike[str],
        *,
        strict: bool = False,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> Self:
        """Load a directory.

        Args:
            directory: Where the files are: ``interactions.csv`` or ``actions.csv`` at the least, ``items.csv``,
                ``users.csv``, ``action_interactions.csv`` and ``personalize.toml`` if wanted. The CSV headers are
                those of the Personalize schemas; all files are UTF-8.
            strict: Whether to refuse what is otherwise left out, or put right, with a ``LocalDataWarning``: a column
                without a name or one that the schema does not have, and ids that come again, of which the last row
                counts.
            clock: Unix time in seconds: for the ``date`` of answers, for actions that expire or repeat, and for events
                that come without a time.
            rng: Makes the ids of requests and recommendations, and chooses the places of promoted items; by default
                one with a fixed seed, so that a program sees the same in each run.

        Raises:
            LocalDataError: Everything that is wrong with the directory, each with file, line and column: of each file
                the first 100 problems, of each column of a CSV the first 10 rows. Nothing else is raised, whatever the
                files hold.
        """
        path = Path(directory)
        problems = Problems(strict)
        if not os.path.isdir(path):
            problems.add(path.name or str(path), "expected a directory")
            problems.raise_if_any(str(path))
        settings = read_settings(path, problems)
        datasets = load(path, settings.schemas, problems)
        found = resources(settings, datasets, problems)
        rng = rng or random.Random(_SEED)
        engine = Engine(
            found,
            datasets,
            filter_prefix=settings.arn("filter"),
            clock=clock,
            rng=rng,
            omits_metadata=settings.metadata_not_enabled == "omit",
        )
        add_filters(settings, engine, problems)
        problems.raise_if_any(str(path))
        for warning in problems.warnings:
            warnings.warn(LocalDataWarning(str(warning)), stacklevel=2)
        return cls(engine, settings, found, directory=path, rng=rng, strict=strict)

    def reload(self) -> None:
        """Read the directory again.

        Until that is done, requests are answered from the old data; events taken in, and filters added, are forgotten.
        Where :meth:`prepare` was called, the new data are made ready, too, before anybody is answered from them.

        Raises:
            LocalDataError: Everything that is wrong with the directory; the old data stay.
        """
        new = type(self).from_directory(self._directory, strict=self._strict, clock=self._engine.clock, rng=self._rng)
        if self._prepared:
            new.prepare()
        # One look at the wire answers a whole request, so the order of these does not matter to it.
        self._settings, self._resources = new._settings, new._resources
        self._engine, self._wire = new._engine, new._wire

    def prepare(self) -> Self:
        """Make ready what the first requests would have to wait for: what is learned from the data, and indexes.

        For small data, that is not worth a call. With a million events it takes some seconds; a server that must not
        keep its first users waiting calls it before it starts.

        Returns:
            The service itself.
        """
        self._engine.prepare()
        self._prepared = True
        return self

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request: what every door does in the end."""
        return self._wire.handle(request)

    # The resources.

    @property
    def campaigns(self) -> Mapping[str, str]:
        """The ARN of each campaign, by name."""
        return self._arns("campaign")

    @property
    def recommenders(self) -> Mapping[str, str]:
        """The ARN of each recommender, by name."""
        return self._arns("recommender")

    @property
    def filters(self) -> Mapping[str, str]:
        """The ARN of each filter, by name."""
        return MappingProxyType(self._engine.filters.arns)

    def _arns(self, kind: str) -> Mapping[str, str]:
        return MappingProxyType({one.name: one.arn for one in self._resources if one.recipe.resource == kind})

    def campaign_arn(self, name: str) -> str:
        """The ARN of a campaign.

        Raises:
            ValidationError: There is no such campaign; the message names those that there are.
        """
        return _named(self.campaigns, name, "campaign")

    def recommender_arn(self, name: str) -> str:
        """The ARN of a recommender.

        Raises:
            ValidationError: There is no such recommender; the message names those that there are.
        """
        return _named(self.recommenders, name, "recommender")

    def filter_arn(self, name: str) -> str:
        """The ARN of a filter.

        Raises:
            ValidationError: There is no such filter; the message names those that there are.
        """
        return _named(self.filters, name, "filter")

    def add_filter(self, name: str, expression: str | FilterExpression) -> str:
        """Make a filter, as CreateFilter does. Requests may use it at once.

        Args:
            name: Its name: letters, digits, ``-`` and ``_``, at most 63.
            expression: The expression, as text or parsed.

        Returns:
            Its ARN.

        Raises:
            FilterSyntaxError: The expression does not parse, names a field that the data do not have, or compares a
                field with what its type does not allow.
            ValidationError: The name is none, or taken; or the filters together use too many fields.
        """
        return self._engine.filters.add(name, parse(expression, self._engine.datasets))

    def filter_expression(self, name: str) -> FilterExpression:
        """The expression of a filter, as DescribeFilter tells it.

        Raises:
            ValidationError: There is no such filter; the message names those that there are.
        """
        stored = self._engine.filters.find(self.filter_arn(name))
        assert stored is not None
        return stored.expression

    def try_filter(
        self,
        name: str,
        *,
        user_id: str | None = None,
        item_id: str | None = None,
        values: Mapping[str, FilterValue] | None = None,
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What a filter keeps and what it drops, of all items or actions.

        Args:
            name: The filter.
            user_id: For whom; needed when the filter looks at the user.
            item_id: The item of the request, for ``CurrentItem``.
            values: The values of the filter's parameters.

        Returns:
            The ids that stay and the ids that go, in the order of the data.

        Raises:
            FilterValuesError: A value is missing, unknown, or cannot be compared.
            ValidationError: There is no such filter, it selects users, or it needs the user.
        """
        stored = self._tried(name, user_id)
        filters = self._engine.filters
        allowed = filters.allowed(stored, "", user_id=user_id, item_id=item_id, values=encode_values(values or {}))
        kept: tuple[str, ...] = tuple(allowed or ())
        return kept, tuple(id for id in filters.candidates(stored) if allowed is not None and id not in allowed)

    def explain_filter(
        self,
        name: str,
        candidate: str,
        *,
        user_id: str | None = None,
        item_id: str | None = None,
        values: Mapping[str, FilterValue] | None = None,
    ) -> Explanation:
        """Why a filter keeps or drops an item or action, clause by clause.

        Args:
            name: The filter.
            candidate: The item or action; one that is in no dataset has no metadata.
            user_id: As in :meth:`try_filter`.
            item_id: As in :meth:`try_filter`.
            values: As in :meth:`try_filter`.

        Raises:
            ValidationError: As :meth:`try_filter` does.
        """
        stored = self._tried(name, user_id)
        return self._engine.filters.explain(
            stored, candidate, user_id=user_id, item_id=item_id, values=encode_values(values or {})
        )

    def _tried(self, name: str, user_id: str | None) -> StoredFilter:
        stored = self._engine.filters.find(self.filter_arn(name))
        assert stored is not None
        target: Target = "ActionID" if stored.expression.target == "ActionID" else "ItemID"
        unfit = why_unfit(stored, target, user_id=user_id, seeded=True)
        if unfit:
            raise ValidationError(unfit, parameter="user_id" if stored.expression.target == target else "name")
        return stored

    # Events.

    def put_events(
        self, *, session_id: str, events: Iterable[TrackedEvent | Interaction], user_id: str | None = None
    ) -> None:
        """Take in what a user does, as PutEvents does. Filters and recommendations know of it at once.

        What users do changes what is recommended to them; what is popular, and what goes with what, was learned when
        the service was loaded, and stays.

        Args:
            session_id: The session, 1 to 256 characters. It may stand for the user in requests while nobody knows who
                it is.
            events: 1 to 10 events. An :class:`~personalize_rt.Interaction` brings its user itself. Of a
                :class:`~personalize_rt.TrackedEvent`, recommendation id, impression, value, source and properties are
                checked, and not used: the embedded service does not explore.
            user_id: The user, 1 to 256 characters; ``None`` for an anonymous session. The first event with a user
                gives the events of its session to that user, earlier and later ones.

        Raises:
            ValidationError: The service would refuse an argument, or there is no Interactions dataset.
        """
        self._put(self._engine.items, "interactions", session_id, user_id, events)

    def put_action_interactions(
        self, *, session_id: str, events: Iterable[TrackedEvent | Interaction], user_id: str | None = None
    ) -> None:
        """Take in what a user does with actions, as PutActionInteractions does.

        Args:
            session_id: As in :meth:`put_events`.
            events: 1 to 10 events; in each, ``item_id`` is the action, and ``event_type`` is ``"TAKEN"``,
                ``"NOT_TAKEN"`` or ``"VIEWED"``, also as ``"Taken"``, ``"Not Taken"``, ``"Viewed"``.
            user_id: As in :meth:`put_events`.

        Raises:
            ValidationError: The service would refuse an argument, or there is no Actions dataset.
        """
        self._put(self._engine.actions, "actions", session_id, user_id, events)

    def _put(
        self,
        stream: Stream,
        dataset: str,
        session_id: str,
        user_id: str | None,
        events: Iterable[TrackedEvent | Interaction],
    ) -> None:
        if getattr(self._engine.datasets, dataset) is None:
            raise ValidationError(f"there is no {dataset}.csv, so no dataset takes these events", parameter="events")
        user_id, checked = read_events(user_id, session_id, events)
        if dataset == "actions":
            checked = read_action_events(checked)
        stream.put(session_id, user_id, checked, self._engine.clock())

    # The data, as it was loaded.

    @property
    def interactions(self) -> EventLog:
        """The item interactions; iterating gives :class:`~personalize_rt.Interaction` values, in the file's order."""
        return self._engine.datasets.interactions or EventLog()

    @property
    def items(self) -> Table:
        """Item id to metadata row (column to value), in the file's order."""
        return self._engine.datasets.items or Table()

    @property
    def users(self) -> Table:
        """User id to metadata row, in the file's order."""
        return self._engine.datasets.users or Table()

    @property
    def action_rows(self) -> Table:
        """Action id to metadata row, in the file's order; ``actions()`` answers a request."""
        return self._engine.datasets.actions or Table()

    @property
    def action_interactions(self) -> EventLog:
        """The action interactions; in each :class:`~personalize_rt.Interaction`, ``item_id`` is the action."""
        return self._engine.datasets.action_interactions or EventLog()

    def __repr__(self) -> str:
        return f"LocalPersonalize(campaigns=[{', '.join(self.campaigns)}], {len(self.interactions):,} interactions)"


def _named(arns: Mapping[str, str], name: str, kind: str) -> str:
    arn = arns.get(name)
    if arn is None:
        known = ", ".join(arns) or "none"
        raise ValidationError(f"there is no {kind} {name!r}; the {kind}s are: {known}", parameter="name")
    return arn
