"""An Amazon Personalize in this process, which answers from a directory of CSV files."""

from __future__ import annotations

import os
import random
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, Unpack

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.filters import FilterExpression, FilterValue, encode_values
from personalize_rt.filters.selection import Explanation
from personalize_rt.filters.terms import Target
from personalize_rt.interactions import Interaction
from personalize_rt.local.apis import CONTROL, Router, asked_of
from personalize_rt.local.control import Account, ControlWire, DatasetGroup
from personalize_rt.local.control.keeping import Keeper, Moment
from personalize_rt.local.datasets import EventLog, Table, load
from personalize_rt.local.doors import named
from personalize_rt.local.engine import Engine, Resource
from personalize_rt.local.events import EventsWire, Intake, RecordedEvent
from personalize_rt.local.filtering import StoredFilter, parse, why_unfit
from personalize_rt.local.inside import SAMPLE
from personalize_rt.local.kept import Kept
from personalize_rt.local.life import Life
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.problems import LocalDataWarning, Problems
from personalize_rt.local.schemas import DATASETS
from personalize_rt.local.settings import Settings, add_filters, read_settings, resources
from personalize_rt.local.settings import aliases as aliases_of
from personalize_rt.local.trackers import Trackers
from personalize_rt.local.wire import Wire
from personalize_rt.tracking import TrackedEvent

if TYPE_CHECKING:
    from personalize_rt.aio import AsyncEventTracker
    from personalize_rt.options import TrackerOptions
    from personalize_rt.tracker import EventTracker

__all__ = ["LocalPersonalize", "named"]

_SEED = 0


class LocalPersonalize(Kept):
    """An embedded Personalize, made by :meth:`sample` or :meth:`from_directory`.

    It answers the three APIs of Amazon Personalize (runtime, events, control plane) as the service would, for the
    campaigns, recommenders and filters that its directory declares (see :mod:`personalize_rt.local.settings`).
    ``docs/divergences.md`` lists its differences from the service. It never writes to the directory. Safe to share
    between threads.
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
        pace: float = 0.0,
        quotas: bool = False,
        minimums: bool = False,
        created: float | None = None,
        account: Account | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(region_name=settings.region)
        self._directory = directory
        self._strict = strict
        self._pace = pace
        self._quotas = quotas
        self._aliases = aliases
        self._rng = rng
        self._engine = engine
        self._settings = settings
        self._resources = tuple(resources)
        runtime = Wire(engine, rng, engine.clock)
        self._intake = Intake(engine, settings.schemas, runtime.answers)
        self._trackers = Trackers(
            settings.arn("event-tracker"),
            settings.arn("dataset-group", settings.dataset_group),
            settings.event_trackers,
            clock=engine.clock,
            created=created,
        )
        group = DatasetGroup(settings, engine, self._trackers, pace=pace, created=created)
        self._group = group
        if account is None:
            account = Account(settings, clock=engine.clock, rng=rng, pace=pace, quotas=quotas, minimums=minimums)
        self._account: Account = account
        # Not of self, whose group is another one after a reload.
        self._control = ControlWire(lambda: (group,), account, rng=rng, clock=engine.clock)
        self._router = Router(
            runtime=runtime,
            events=EventsWire(engine, settings, self._trackers, self._intake, rng=rng),
            control=self._control,
        )
        self._keep_with(account.keeper)
        self._prepared = False

    @classmethod
    def sample(
        cls,
        *,
        aliases: Mapping[str, str] | None = None,
        s3_root: str | PathLike[str] | None = None,
        s3_endpoint: str | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        pace: float = 0.0,
        quotas: bool = False,
        minimums: bool = False,
    ) -> Self:
        """Load the bundled sample: real ratings of real films, and made-up offers.

        Its campaigns are ``movies-for-you``, ``movies-ranking``, ``similar-movies``, ``popular-movies`` and ``offers``,
        its recommender is ``top-picks``, its filter ``unseen-by-genre``.

        Args:
            aliases: See :meth:`from_directory`.
            s3_root: See :meth:`from_directory`.
            s3_endpoint: See :meth:`from_directory`.
            clock: See :meth:`from_directory`.
            rng: See :meth:`from_directory`.
            pace: See :meth:`from_directory`.
            quotas: See :meth:`from_directory`.
            minimums: See :meth:`from_directory`.
        """
        return cls.from_directory(
            SAMPLE,
            aliases=aliases,
            s3_root=s3_root,
            s3_endpoint=s3_endpoint,
            clock=clock,
            rng=rng,
            pace=pace,
            quotas=quotas,
            minimums=minimums,
        )

    @classmethod
    def from_directory(
        cls,
        directory: str | PathLike[str],
        *,
        strict: bool = False,
        aliases: Mapping[str, str] | None = None,
        s3_root: str | PathLike[str] | None = None,
        s3_endpoint: str | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        pace: float = 0.0,
        quotas: bool = False,
        minimums: bool = False,
    ) -> Self:
        """Load a directory.

        Args:
            directory: The directory, with ``interactions.csv`` or ``actions.csv`` at least, and optionally
                ``items.csv``, ``users.csv``, ``action_interactions.csv`` and ``personalize.toml``. The CSV headers are
                those of the Personalize schemas; all files are UTF-8.
            strict: Whether to refuse what is otherwise left out, or put right, with a ``LocalDataWarning``: a column
                without a name or one that the schema does not have, and ids that come again, of which the last row
                counts.
            aliases: The name of the campaign, recommender or filter that answers for each other ARN, such as those in
                production; beside ``[aliases]`` of ``personalize.toml``, and instead of those for the same ARN.
            s3_root: A directory for the objects of S3 that jobs of the control plane read and write: a folder for each
                bucket, and a file for each key. Links below it are not followed.
            s3_endpoint: The URL of a server of S3 for these objects instead, such as moto's; it is called with the
                credentials that boto3 finds. With neither, the caller's own ``mock_aws()`` has them, if it is active;
                nothing is sent to AWS.
            clock: Unix time in seconds: for the ``date`` of answers, for actions that expire or repeat, and for events
                that come without a time.
            rng: Makes the ids of requests and recommendations, and chooses the places of promoted items; by default
                with a fixed seed, so that every run of a program is the same.
            pace: Seconds, by *clock*, that the control plane takes to create, update or delete a resource. With 0, a
                resource is ``ACTIVE`` in the first Describe after its creation, and gone in the first after its
                deletion.
            quotas: Whether the control plane refuses what is over the service's default quotas
                (``LimitExceededException``): 30 filters, and 5 that are being created; 5 dataset groups, 10 solutions
                and 5 campaigns in each, 5 imports in progress.
            minimums: Whether a training of the control plane fails with less than 1,000 item interactions, or less than
                25 users who have two of them, as the service's does.

        Raises:
            ValidationError: ``aliases`` is no mapping of ARNs to names of what is there, ``pace`` is not a number of at
                least 0, ``s3_root`` is no directory, ``s3_endpoint`` is not
                the URL of a server, or both are given.
            LocalDataError: The directory has problems. All are listed with file, line and column, up to 100 for each
                file and 10 rows for each column of a CSV. No content of the files raises any other error.
        """
        local = cls._load(
            directory,
            strict=strict,
            aliases=aliases,
            clock=clock,
            rng=rng,
            pace=pace,
            quotas=quotas,
            minimums=minimums,
        )
        if s3_root is not None or s3_endpoint is not None:
            # Imported when used: the embedded service starts without it.
            from personalize_rt.local.control.storage import storage_of

            local._account.storage = storage_of(s3_root=s3_root, s3_endpoint=s3_endpoint)
        return local

    @classmethod
    def _load(
        cls,
        directory: str | PathLike[str],
        *,
        strict: bool,
        aliases: Mapping[str, str] | None,
        clock: Callable[[], float],
        rng: random.Random | None,
        pace: float,
        quotas: bool,
        minimums: bool,
        created: float | None = None,
        account: Account | None = None,
    ) -> Self:
        checks.number(pace, "pace", "seconds, at least 0", lambda it: it >= 0)
        path = Path(directory)
        problems = Problems(strict)
        if not os.path.isdir(path):
            problems.add(path.name or str(path), "expected a directory")
            problems.raise_if_any(str(path))
        settings = read_settings(path, problems)
        datasets = load(path, settings.schemas, problems)
        found = resources(settings, datasets, problems)
        rng = rng or random.Random(_SEED)
        clock = clock if isinstance(clock, Moment) else Moment(clock)
        created = clock() if created is None else created
        engine = Engine(
            found,
            datasets,
            filter_prefix=settings.arn("filter"),
            clock=clock,
            rng=rng,
            omits_metadata=settings.metadata_not_enabled == "omit",
            aliases=aliases_of(settings, found, problems, aliases),
        )
        add_filters(settings, engine, problems, created)
        problems.raise_if_any(str(path))
        for warning in problems.warnings:
            warnings.warn(LocalDataWarning(str(warning)), stacklevel=3)
        return cls(
            engine,
            settings,
            found,
            directory=path,
            rng=rng,
            strict=strict,
            pace=pace,
            quotas=quotas,
            minimums=minimums,
            created=created,
            account=account,
            aliases=aliases,
        )

    def reload(self) -> None:
        """Reload the directory.

        Requests are answered from the old data until the new data are ready, which includes :meth:`prepare` if it was
        called before. Events that were put, filters and event trackers that were added, tags, updates of campaigns and
        recommenders, and answers that were given are dropped, also from a directory of state. Dataset groups and
        schemas that requests made stay.

        Raises:
            LocalDataError: The directory has problems; the old data stay.
        """
        self._take(self._anew())
        self._account.keeper.reloaded()

    def _anew(self) -> Self:
        """The directory, loaded again."""
        new = self._load(
            self._directory,
            strict=self._strict,
            aliases=self._aliases,
            clock=self._engine.clock,
            rng=self._rng,
            pace=self._pace,
            quotas=self._quotas,
            minimums=self._account.minimums,
            created=self._group.created,
            account=self._account,
        )
        return new.prepare() if self._prepared else new

    def _take(self, new: Self) -> None:
        """Answer with newly loaded data from now on."""
        # A request reads the router once, so the order of these assignments does not matter.
        self._settings, self._resources, self._group = new._settings, new._resources, new._group
        self._engine, self._router = new._engine, new._router
        new._intake.keep = self._intake.keep
        self._trackers, self._intake, self._control = new._trackers, new._intake, new._control

    def _keep_with(self, keeper: Keeper) -> None:
        self._intake.keep = partial(keeper.put, self._group.arn)

    def _kept(self) -> tuple[ControlWire, Mapping[str, Intake]]:
        return self._control, {self._group.arn: self._intake}

    def prepare(self) -> Self:
        """Train the models and build the indexes now, instead of in the first requests.

        That takes some seconds for a million events, so a server should call it before it starts. Small data do not
        need it.

        Returns:
            The service itself.
        """
        self._engine.prepare()
        for group in self._account.groups:
            group.engine.prepare()
        self._prepared = True
        return self

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request. Everything else calls this."""
        if self._account.created and asked_of(request)[0] is not CONTROL:
            return self._account.handle(request) or self._router.handle(request)
        return self._router.handle(request)

    def finish_jobs(self, timeout: float = 60.0) -> bool:
        """Wait until the imports, trainings and other jobs of the control plane are done.

        Those that are not done in time are stopped: they change nothing any more.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether all of them were done in time.
        """
        return self._account.finish(timeout)

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

    def _stands_for(self, arn: str) -> str:
        return self._engine.resolve(arn)

    def _arns(self, kind: str) -> Mapping[str, str]:
        made = (one for group in self._account.groups for one in group.engine.resources.values())
        every = (*self._resources, *made)
        return MappingProxyType({one.name: one.arn for one in every if one.recipe.resource == kind})

    def add_filter(self, name: str, expression: str | FilterExpression) -> str:
        """Create a filter, like CreateFilter. Requests may use it at once.

        Args:
            name: Its name: letters, digits, ``-`` and ``_``, at most 63.
            expression: The expression, as text or parsed.

        Returns:
            Its ARN.

        Raises:
            FilterSyntaxError: The expression does not parse, names an unknown field, or compares a field with a value
                that its type does not allow.
            ValidationError: The name is not valid, or taken; or the filters together use too many fields.
        """
        text = expression if isinstance(expression, str) else ""
        keeper, life = self._account.keeper, Life(self._engine.clock())
        with keeper.order:
            arn = self._engine.filters.add(name, parse(expression, self._engine.datasets), text, life)
            members = {"name": name, "datasetGroupArn": self._group.arn, "filterExpression": str(expression)}
            keeper.request("CreateFilter", members, {"filterArn": arn}, life.created)
        return arn

    def filter_expression(self, name: str) -> FilterExpression:
        """The expression of a filter, like DescribeFilter.

        Raises:
            ValidationError: There is no such filter; the message names the existing ones.
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
        """Apply a filter to all items or actions.

        Args:
            name: The filter.
            user_id: The requesting user; required if the filter looks at the user.
            item_id: The item of the request, for ``CurrentItem``.
            values: The values of the filter's parameters.

        Returns:
            The ids that the filter keeps and the ids that it drops, in the order of the data.

        Raises:
            FilterValuesError: A value is missing, unknown, or cannot be compared.
            ValidationError: There is no such filter, it selects users, or it needs a user.
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
        """Explain, clause by clause, why a filter keeps or drops an item or action.

        Args:
            name: The filter.
            candidate: The item or action. An unknown one has no metadata.
            user_id: See :meth:`try_filter`.
            item_id: See :meth:`try_filter`.
            values: See :meth:`try_filter`.

        Raises:
            ValidationError: See :meth:`try_filter`.
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

    def answer(self, campaign: str, ids: Iterable[str] | None) -> None:
        """Give the answer of one campaign or recommender, for a test that needs to know it.

        Requests are checked as always, and errors are as always. From the ids, a reply holds the first ``numResults``,
        with falling scores if the recipe gives scores, and with their metadata; filters and promotions do not change
        it. :meth:`reload` forgets it.

        Args:
            campaign: The name or the ARN of the campaign or recommender, or an ARN that stands for it.
            ids: The ids of the items or actions, best first; they need not be in the data. ``None`` takes the answer
                back.

        Raises:
            ValidationError: There is no such campaign or recommender, or *ids* is a text or holds what is no id.
        """
        arns = {**self.recommenders, **self.campaigns}
        arn = self._stands_for(campaign)
        arn = arn if arn in arns.values() else named(arns, campaign, "campaign or recommender")
        engine = next((group.engine for group in self._account.groups if group.has(arn)), self._engine)
        if ids is None:
            engine.canned.pop(arn, None)
            return
        given = checks.ids(ids, "ids")
        if not all(0 < len(id) <= 256 for id in given):
            raise ValidationError("ids has one that is empty or longer than 256 characters", parameter="ids", limit=256)
        engine.canned[arn] = given

    def reset(self) -> None:
        """Clear what a test leaves behind: faults, received requests, recorded events, and answers that were given.

        What events have changed stays: filters and recommendations count them until :meth:`reload`.
        """
        super().reset()
        self._engine.canned.clear()
        self._intake.forget()
        for group in self._account.groups:
            group.engine.canned.clear()
            group.intake.forget()

    # Events.

    def put_events(
        self, *, session_id: str, events: Iterable[TrackedEvent | Interaction], user_id: str | None = None
    ) -> None:
        """Take in what a user does, as PutEvents does. Filters and recommendations know of it at once.

        Events change the recommendations for their user. Popularity and the associations of items do not change: they
        were learned when the data were loaded.

        Args:
            session_id: The session, 1 to 256 characters. It may stand for the user in requests while nobody knows who
                it is.
            events: 1 to 10 events. An :class:`~personalize_rt.Interaction` brings its user itself. Of a
                :class:`~personalize_rt.TrackedEvent`, recommendation id, impression, value, source and properties are
                checked, and not used: the embedded service does not explore.
            user_id: The user, 1 to 256 characters; ``None`` for an anonymous session. The first event with a user
                assigns all events of its session to that user, earlier and later ones.

        Raises:
            ValidationError: The service would refuse an argument, or there is no Interactions dataset.
        """
        self._intake.put("PutEvents", session_id, user_id, events)

    def put_action_interactions(
        self, *, session_id: str, events: Iterable[TrackedEvent | Interaction], user_id: str | None = None
    ) -> None:
        """Record events of a user with actions, like PutActionInteractions.

        Args:
            session_id: See :meth:`put_events`.
            events: 1 to 10 events; in each, ``item_id`` is the action, and ``event_type`` is ``"TAKEN"``,
                ``"NOT_TAKEN"`` or ``"VIEWED"``, also as ``"Taken"``, ``"Not Taken"``, ``"Viewed"``.
            user_id: As in :meth:`put_events`.

        Raises:
            ValidationError: The service would refuse an argument, or there is no Actions dataset.
        """
        self._intake.put("PutActionInteractions", session_id, user_id, events)

    @property
    def recorded_events(self) -> tuple[RecordedEvent, ...]:
        """The latest events that were put, over the wire or by the methods above, for the assertions of tests.

        Each has the answer that it belongs to, by its recommendation id. At most 10,000, in order of arrival. An event
        that came twice is there once. :meth:`reset` and :meth:`reload` drop them.
        """
        made = (event for group in self._account.groups for event in group.intake.recorded)
        return (*self._intake.recorded, *made)

    def event_tracker(self, **options: Unpack[TrackerOptions]) -> EventTracker:
        """Make an :class:`~personalize_rt.EventTracker` that this service answers, without a socket.

        Like ``runtime()``, it retries without waiting. ``flush()`` before looking at :attr:`recorded_events`.

        Args:
            options: What the tracker takes beside its id and a client: ``retry``, ``on_full``, ``spool``, …

        Raises:
            ValidationError: The data have no event tracker.
        """
        from personalize_rt.resilience.retry import RetryPolicy
        from personalize_rt.tracker import EventTracker

        options.setdefault("retry", RetryPolicy(clock=self.time, sleep=self.skip))
        return EventTracker(self.tracking_id(), session=self._session(), **options)

    def async_event_tracker(self, **options: Unpack[TrackerOptions]) -> AsyncEventTracker:
        """Make an :class:`~personalize_rt.aio.AsyncEventTracker` that this service answers, without a socket.

        Args:
            options: As in :meth:`event_tracker`.

        Raises:
            ValidationError: The data have no event tracker.
        """
        from personalize_rt.aio import AsyncEventTracker
        from personalize_rt.resilience.retry import RetryPolicy

        options.setdefault("retry", RetryPolicy(clock=self.time, sleep=self.skip))
        return AsyncEventTracker(self.tracking_id(), session=self._session(), **options)

    @property
    def event_trackers(self) -> Mapping[str, str]:
        """The tracking id of each event tracker, by name."""
        return MappingProxyType({tracker.name: tracker.tracking_id for tracker in self._trackers})

    def tracking_id(self, name: str | None = None) -> str:
        """The tracking id that PutEvents takes.

        Args:
            name: The event tracker; may be left out, since a dataset group has one at most.

        Raises:
            ValidationError: There is no such event tracker; the message names the existing one.
        """
        trackers = self.event_trackers
        return named(trackers, next(iter(trackers), "") if name is None else name, "event tracker")

    def dataset_arn(self, dataset: str) -> str:
        """The ARN of a dataset, as PutItems, PutUsers and PutActions take it.

        Args:
            dataset: ``"interactions"``, ``"items"``, ``"users"``, ``"actions"`` or ``"action_interactions"``.

        Raises:
            ValidationError: The data have no such dataset; the message names the existing ones.
        """
        datasets = self._engine.datasets
        held = {name: self._settings.dataset_arn(name) for name in DATASETS if getattr(datasets, name) is not None}
        return named(held, dataset, "dataset")

    # The data as loaded.

    @property
    def interactions(self) -> EventLog:
        """The item interactions. Iteration gives :class:`~personalize_rt.Interaction` values, in the file's order."""
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

    @property
    def dataset_group_arn(self) -> str:
        """The ARN of the dataset group, which CreateFilter and List operations take."""
        return self._group.arn

    def __repr__(self) -> str:
        return f"LocalPersonalize(campaigns=[{', '.join(self.campaigns)}], {len(self.interactions):,} interactions)"
