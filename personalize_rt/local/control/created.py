"""A dataset group that requests made, from CreateDatasetGroup on.

Its data change with imports. Each change makes a new engine over the new data, which takes the place of the one before
as a whole: a request is answered by one of the two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from personalize_rt.local.apis import EVENTS, asked_of
from personalize_rt.local.control.group import DatasetGroup, must_be_active
from personalize_rt.local.control.kinds import KINDS
from personalize_rt.local.control.made import Made, Register
from personalize_rt.local.control.shapes import invalid
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.engine import Engine, RefusedError
from personalize_rt.local.events import EventsWire, Intake
from personalize_rt.local.life import Life
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.schemas import DATASETS, Schema
from personalize_rt.local.settings import Settings
from personalize_rt.local.trackers import Trackers
from personalize_rt.local.wire import Wire

__all__ = ["CreatedGroup", "SchemaOf"]


@attrs.frozen
class SchemaOf:
    """A schema that a request made.

    Attributes:
        arn: Its ARN.
        dataset: The dataset that it is for (``"interactions"``, …).
        schema: Its columns.
        domain: Its domain, or ``None``.
    """

    arn: str
    dataset: str
    schema: Schema
    domain: str | None


@attrs.frozen
class _Serving:
    """The parts that answer requests over one state of the data."""

    engine: Engine
    intake: Intake
    runtime: Wire
    events: EventsWire


class CreatedGroup(DatasetGroup):
    """A dataset group that a request made. Safe to share between threads.

    Args:
        settings: The region and account, and its name.
        members: The members of its request that Describe tells.
        clock: Returns the Unix time in seconds.
        rng: Makes ids, and chooses the places of promoted items.
        pace: Seconds that a creation, an update or a deletion takes.
        quotas: Whether to refuse what is over the service's default quotas.

    Attributes:
        made: Its resources, except filters and event trackers.
        row: The dataset group itself.
    """

    def __init__(
        self,
        settings: Settings,
        members: Mapping[str, Any],
        *,
        clock: Callable[[], float],
        rng: random.Random,
        pace: float,
        quotas: bool,
    ) -> None:
        engine = Engine((), Datasets(), filter_prefix=settings.arn("filter"), clock=clock, rng=rng)
        arn = settings.arn("dataset-group", settings.dataset_group)
        trackers = Trackers(settings.arn("event-tracker"), arn, {}, clock=clock)
        super().__init__(settings, engine, trackers, pace=pace, quotas=quotas)
        self._rng = rng
        self.made = Register()
        told = {"name": self.name, "datasetGroupArn": arn, **members}
        self.row = Made(arn, "", told, Life(clock(), pace), clock)
        runtime = Wire(engine, rng, clock)
        intake = Intake(engine, {}, runtime.answers)
        self._serving = _Serving(engine, intake, runtime, self._events(engine, intake))

    # Answering.

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request of the runtime or of the events API."""
        serving = self._serving
        return (serving.events if asked_of(request)[0] is EVENTS else serving.runtime).handle(request)

    @property
    def intake(self) -> Intake:
        """The intake of events."""
        return self._serving.intake

    def _events(self, engine: Engine, intake: Intake) -> EventsWire:
        return EventsWire(engine, self._settings, self.trackers, intake, rng=self._rng)

    def _swap(self, dataset: str, held: EventLog | Table | None, schema: Schema | None) -> None:
        """Put a dataset in the place of the one of its type; the group's lock is held."""
        data: dict[str, Any] = {dataset: held}
        schemas = {name: one for name, one in self._settings.schemas.items() if name != dataset}
        if schema is not None:
            schemas[dataset] = schema
        self._settings = attrs.evolve(self._settings, schemas=schemas)
        engine = self.engine.over(attrs.evolve(self.engine.datasets, **data))
        intake = self._serving.intake.over(engine, schemas)
        runtime = attrs.evolve(self._serving.runtime, engine=engine)
        self.engine = engine
        self._serving = _Serving(engine, intake, runtime, self._events(engine, intake))

    # Reading.

    @property
    def _declared(self) -> Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]]:
        return {}

    @property
    def domain(self) -> str | None:
        """Its domain, or ``None``."""
        return self.row.members.get("domain")

    def arns(self, kind: str) -> Iterator[tuple[str, str]]:
        """The ARN of each resource of a kind, and the ARN of what List narrows it by."""
        if kind == "DatasetGroup":
            yield self.arn, ""
        elif kind in ("Filter", "EventTracker"):
            yield from super().arns(kind)
        else:
            yield from ((made.arn, made.parent) for made in self.made.all(kind))

    def has(self, named: str) -> bool:
        """Tell whether a campaign, a recommender or a dataset has this ARN, or a tracker this tracking id."""
        kinds = ("Campaign", "Recommender", "Dataset")
        return any(self.made.find(kind, named) for kind in kinds) or self.trackers.of_tracking_id(named) is not None

    def describe(self, kind: str, arn: str) -> dict[str, Any] | None:
        """The members of a resource, or ``None``."""
        if kind == "DatasetGroup":
            return self.row.told() if arn == self.arn else None
        if kind in ("Filter", "EventTracker"):
            return super().describe(kind, arn)
        made = self.made.find(kind, arn)
        return None if made is None else made.told()

    @property
    def exists(self) -> bool:
        """``False`` once it is deleted."""
        return self.row.life.exists(self.now)

    def must_be_active(self) -> None:
        """Refuse to add a resource.

        Raises:
            RefusedError: ``ResourceInUseException``; it is being created or deleted (guide: wait until it is active).
        """
        if self.row.status != "ACTIVE":
            raise RefusedError("ResourceInUseException", f"{self.arn} is {self.row.status}: wait until it is ACTIVE")

    # Datasets.

    def create_dataset(self, name: str, kind: str, schema: SchemaOf, tags: Mapping[str, str]) -> str:
        """Create a dataset.

        Args:
            name: Its name.
            kind: Its type, in any case.
            schema: Its schema.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: ``InvalidInputException`` for an unknown type, or a schema of another type or domain;
                ``ResourceAlreadyExistsException``.
        """
        option = next((option for option in DATASETS if option.upper() == kind.upper()), None)
        if option is None:
            raise invalid(f"datasetType: expected one of {', '.join(one.name for one in DATASETS.values())}")
        dataset = DATASETS[option]
        if self.domain is not None and dataset.name in ("Actions", "Action_Interactions"):
            raise invalid(f"datasetType: a domain dataset group has no {dataset.name} dataset")
        if schema.dataset != option:
            other = DATASETS[schema.dataset].name
            raise invalid(f"schemaArn: that schema is one of {other}, and the dataset is of {dataset.name}")
        if schema.domain != self.domain:
            raise invalid(
                f"schemaArn: expected a schema of the domain of the dataset group: {self.domain or 'none'}, "
                f"not {schema.domain or 'none'}"
            )
        with self._lock:
            self.must_be_active()
            arn = self._settings.dataset_arn(option)
            if self.made.find("Dataset", arn) is not None:
                raise RefusedError(
                    "ResourceAlreadyExistsException",
                    f"there is a dataset {arn} already: a dataset group has one of each type",
                )
            members = {
                "name": name,
                "datasetArn": arn,
                "datasetGroupArn": self.arn,
                "datasetType": dataset.name.upper(),
                "schemaArn": schema.arn,
            }
            self.made.add(
                "Dataset", Made(arn, self.arn, members, Life(self.now, self._pace), self.engine.clock, holds=option)
            )
            self._tags[arn] = dict(tags)
            self._swap(option, _empty(option, schema.schema), schema.schema)
            return arn

    def delete_dataset(self, arn: str) -> None:
        """Delete a dataset, and its data.

        Raises:
            RefusedError: ``ResourceInUseException`` while it or something that needs it is being created or deleted.
        """
        with self._lock:
            made = self.existing("Dataset", arn)
            must_be_active(arn, made.status)
            self._swap(made.holds, None, None)
            self._delete("Dataset", arn)

    def existing(self, kind: str, arn: str) -> Made:
        """The resource of an ARN that was there a moment ago.

        Raises:
            RefusedError: ``ResourceNotFoundException``.
        """
        made = self.made.find(kind, arn)
        if made is None:
            raise RefusedError("ResourceNotFoundException", f"there is no {KINDS[kind].label} {arn}")
        return made

    def _delete(self, kind: str, arn: str) -> None:
        self.made.delete(kind, arn)
        self._tags.pop(arn, None)

    # The dataset group.

    def delete(self) -> None:
        """Delete the dataset group.

        Raises:
            RefusedError: ``ResourceInUseException`` while it has datasets, solutions, recommenders or event trackers
                (API reference, DeleteDatasetGroup; recommenders by analogy), or is being created or deleted.
        """
        with self._lock:
            must_be_active(self.arn, self.row.status)
            for kind in ("EventTracker", "Recommender", "Solution", "Dataset"):
                arn = next((arn for arn, _ in self.arns(kind)), None)
                if arn is not None:
                    label = KINDS[kind].label
                    raise RefusedError("ResourceInUseException", f"{self.arn} has the {label} {arn}: delete that first")
            self.row.life = attrs.evolve(self.row.life, deleted=self.now)


def _empty(option: str, schema: Schema) -> EventLog | Table:
    """A dataset without rows."""
    fields = dict(schema.fields)
    if option.endswith("interactions"):
        return EventLog(fields=fields)
    return Table({}, {name: [] for name in fields if name not in DATASETS[option].key}, fields)
