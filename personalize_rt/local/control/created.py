"""A dataset group that requests made, from CreateDatasetGroup on.

Its data change with imports. Each change makes a new engine over the new data, which takes the place of the one before
as a whole: a request is answered by one of the two.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from hashlib import sha256
from itertools import repeat
from math import nan
from typing import Any

import attrs

from personalize_rt.local.apis import EVENTS, asked_of
from personalize_rt.local.control.group import METADATA, DatasetGroup, Setup, exceeded, must_be_active
from personalize_rt.local.control.keeping import Keeper
from personalize_rt.local.control.kinds import KINDS
from personalize_rt.local.control.made import MOST_WAITING, FailedError, Made, Register, Work, Worker
from personalize_rt.local.control.shapes import invalid
from personalize_rt.local.control.training import Trained
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.engine import Engine, RefusedError, Resource
from personalize_rt.local.events import EventsWire, Intake
from personalize_rt.local.life import Life
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.models import Models
from personalize_rt.local.recipes import Recipe
from personalize_rt.local.schemas import DATASETS, Schema
from personalize_rt.local.settings import Settings
from personalize_rt.local.trackers import Trackers
from personalize_rt.local.wire import Wire
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS

__all__ = ["CreatedGroup", "SchemaOf"]

# The most rows that incremental imports may make of a dataset. What one import reads has a bound of its own.
MOST_ROWS = 50_000_000


# The kinds whose resources wait for a work.
_WORKING = ("DatasetImportJob", "DatasetExportJob", "BatchInferenceJob", "SolutionVersion", "Recommender")


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
        minimums: Whether a training needs the least amount of data that the service needs.
        worker: Does imports, trainings and other jobs.
        keeper: Keeps what changes, for a restart.

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
        minimums: bool,
        worker: Worker,
        keeper: Keeper,
    ) -> None:
        engine = Engine((), Datasets(), filter_prefix=settings.arn("filter"), clock=clock, rng=rng)
        arn = settings.arn("dataset-group", settings.dataset_group)
        trackers = Trackers(settings.arn("event-tracker"), arn, {}, clock=clock)
        super().__init__(settings, engine, trackers, pace=pace)
        self._rng = rng
        self._minimums = minimums
        self._worker = worker
        self._keeper = keeper
        self._numbers: Counter[str] = Counter()  # of versions so far, by solution
        self.made: Register = Register()
        told = {"name": self.name, "datasetGroupArn": arn, **members}
        self.row: Made = Made(arn, "", told, Life(clock(), pace), clock)
        runtime = Wire(engine, rng, clock)
        intake = Intake(engine, {}, runtime.answers)
        intake.keep = partial(keeper.put, arn)
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

    @cached_property
    def _declared(self) -> Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]]:
        return {}

    @property
    def domain(self) -> str | None:
        """The domain of the dataset group, or ``None``."""
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
        if made is None:
            return None
        match kind:
            case "Campaign" | "Recommender":
                return self._deployed(made)
            case "Solution":
                return {**made.told(), **self._latest(arn)}
            case "SolutionVersion":
                return {**made.told(), "trainingHours": made.holds.hours}
            case _:
                return made.told()

    def settle(self, arn: str) -> None:
        """Wait for the work behind a resource, if its time has come."""
        for kind in _WORKING:
            made = self.made.find(kind, arn)
            if made is not None:
                made.settle()

    def _latest(self, solution: str) -> dict[str, Any]:
        """The latest version of a solution, as DescribeSolution tells it."""
        versions = [one for one in self.made.all("SolutionVersion") if one.parent == solution]
        if not versions:
            return {}
        members = versions[-1].told()
        told = {name: members[name] for name in KINDS["SolutionVersion"].summary if name in members}
        return {"latestSolutionVersion": told}

    def _deployed(self, made: Made) -> dict[str, Any]:
        """The members of a campaign or recommender."""
        told = made.told()
        if self._setups[made.arn].before is not None:
            told.pop("lastUpdatedDateTime")
        return {**self._resource(made.holds, self.now), **told}

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
            for kind, parent in (("DatasetImportJob", arn), ("DatasetExportJob", arn), ("SolutionVersion", None)):
                for job in self.made.all(kind):
                    if parent in (None, job.parent) and job.in_progress:
                        raise RefusedError("ResourceInUseException", f"{arn} is used by {job.arn}: {job.status}")
            self._swap(made.holds, None, None)
            self._delete("Dataset", arn)

    def update_dataset(self, arn: str, schema: SchemaOf) -> None:
        """Replace the schema of a dataset of items or users by one with more columns, which are empty at first.

        Raises:
            RefusedError: ``InvalidInputException`` for another dataset, a schema of another type or domain, or one that
                lacks or changes a field or adds one without null (guide, "Replacing a dataset's schema");
                ``ResourceInUseException`` while the dataset is being changed or imported.
        """
        with self._lock:
            made = self.existing("Dataset", arn)
            option, held = made.holds, getattr(self.engine.datasets, made.holds)
            if not isinstance(held, Table) or option == "actions":
                raise invalid("datasetArn: only the schema of a dataset of items or users can be replaced")
            if schema.dataset != option or schema.domain != self.domain:
                raise invalid("schemaArn: expected a schema of the type and the domain of the dataset")
            before = self._settings.schemas[option].fields
            for name, field in before.items():
                if schema.schema.fields.get(name) != field:
                    raise invalid(f"schemaArn: expected the field {name} as the dataset's schema has it")
            added = [field for name, field in schema.schema.fields.items() if name not in before]
            for field in added:
                if not field.nullable:
                    raise invalid(f"schemaArn: the new field {field.name} must support null")
            self._must_be_idle(made)
            columns: dict[str, list[Any]] = {**held.columns, **{field.name: [None] * len(held) for field in added}}
            self._swap(option, Table(held.index, columns, dict(schema.schema.fields)), schema.schema)
            made.begin_update("latestDatasetUpdate", {"schemaArn": schema.arn}, {"schemaArn": schema.arn})

    def _must_be_idle(self, made: Made) -> None:
        """Refuse to change a resource that is being created, updated or deleted, or a dataset that is imported."""
        if made.status != "ACTIVE" or made.updating:
            status = "being updated" if made.updating else made.status
            raise RefusedError("ResourceInUseException", f"{made.arn} is {status}: wait until it is ACTIVE")
        for job in self.made.all("DatasetImportJob"):
            if job.parent == made.arn and job.in_progress:
                raise RefusedError("ResourceInUseException", f"{made.arn} is used by {job.arn}: {job.status}")

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

    # Imports.

    def import_rows(
        self,
        job: str,
        members: Mapping[str, Any],
        dataset: str,
        read: Callable[[str, Schema], EventLog | Table],
        tags: Mapping[str, str],
    ) -> str:
        """Create a dataset import job.

        Args:
            job: Its name.
            members: The members of its request that Describe tells.
            dataset: The ARN of the dataset.
            read: Reads the rows, of a dataset (``"interactions"``, …) and its schema; raises :class:`FailedError`.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: ``ResourceInUseException`` while the dataset is being created or deleted.
        """
        with self._lock:
            held = self.existing("Dataset", dataset)
            if held.status != "ACTIVE" or held.updating:
                status = "being updated" if held.updating else held.status
                raise RefusedError("ResourceInUseException", f"{dataset} is {status}: wait until it is ACTIVE")
            option, schema = held.holds, self._settings.schemas[held.holds]
            arn = self._settings.arn("dataset-import-job", job)

            def run(work: Work) -> None:
                rows = read(option, schema)
                with self._lock:
                    if self.made.find("Dataset", dataset) is not held:
                        raise FailedError("The dataset was deleted")
                    if work.stopped:
                        return
                    if members["importMode"] == "INCREMENTAL":
                        before: EventLog | Table | None = getattr(self.engine.datasets, option)
                        if len(rows) + len(before or ()) > MOST_ROWS:
                            raise FailedError(f"The dataset would have more than {MOST_ROWS:,} rows, the most of one")
                        rows = _together(before, rows)
                    self._swap(option, rows, schema)
                work.outcome = {"data": rows}

            def restore(record: Mapping[str, Any]) -> None:
                with self._lock:
                    self._swap(option, record["data"], schema)

            told = {"jobName": job, "datasetImportJobArn": arn, "datasetArn": dataset, **members}
            self._add("DatasetImportJob", arn, dataset, told, tags, work=Work(run, restore))
            return arn

    def export_rows(
        self,
        job: str,
        members: Mapping[str, Any],
        dataset: str,
        write: Callable[[str, str, EventLog | Table], None],
        tags: Mapping[str, str],
    ) -> str:
        """Create a dataset export job.

        Args:
            job: Its name.
            members: The members of its request that Describe tells.
            dataset: The ARN of the dataset.
            write: Writes rows: takes the name of the file, the dataset (``"interactions"``, …) and the rows; raises
                :class:`FailedError`.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: ``ResourceInUseException`` while the dataset is being created or deleted.
        """
        with self._lock:
            held = self.existing("Dataset", dataset)
            if held.status != "ACTIVE":
                raise RefusedError("ResourceInUseException", f"{dataset} is {held.status}: wait until it is ACTIVE")
            option = held.holds
            arn = self._settings.arn("dataset-export-job", job)

            def run(work: Work) -> None:
                rows: EventLog | Table | None = getattr(self.engine.datasets, option)
                if rows is None:
                    raise FailedError("The dataset was deleted")
                write(f"{job}.csv", option, rows)

            told = {"jobName": job, "datasetExportJobArn": arn, "datasetArn": dataset, **members}
            self._add("DatasetExportJob", arn, dataset, told, tags, work=Work(run))
            return arn

    def infer(
        self,
        job: str,
        members: Mapping[str, Any],
        version: str,
        files: Callable[[], Iterable[str]],
        lines: Callable[[str], Iterable[str]],
        write: Callable[[str, Iterable[str]], None],
        tags: Mapping[str, str],
    ) -> str:
        """Create a batch inference job.

        Args:
            job: Its name.
            members: The members of its request that Describe tells.
            version: The solution version.
            files: Returns the URIs of the input files.
            lines: Returns the lines of one.
            write: Writes lines: takes the name of the file, and the lines. These three raise :class:`FailedError`.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: See :meth:`version`; ``InvalidInputException`` for a recipe of actions.
        """
        from personalize_rt.local.control.batch import answered

        trained = self.version(version)
        if trained.recipe.operation is GET_ACTION_RECOMMENDATIONS:
            raise invalid(f"solutionVersionArn: {trained.recipe.name} has no batch inference")
        with self._lock:
            arn = self._settings.arn("batch-inference-job", job)
            resource = Resource(job, arn, trained.recipe, False, trained.models)
            common = {name: members[name] for name in ("filterArn", "numResults") if name in members}

            def run(work: Work) -> None:
                for uri in files():
                    asked = _until_stopped(work, lines(uri))
                    write(f"{uri.rpartition('/')[2]}.out", answered(self.engine, resource, common, asked))

            told = {"jobName": job, "batchInferenceJobArn": arn, "solutionVersionArn": version, **members}
            self._add("BatchInferenceJob", arn, version, told, tags, work=Work(run))
            return arn

    def _must_have_time(self) -> None:
        """Refuse a job or a training while too many wait.

        Raises:
            RefusedError: ``LimitExceededException``, with the message of the service (recorded, of 5).
        """
        # A restart tells jobs again that were accepted, and does none of them meanwhile.
        if self._worker.is_full and not self._keeper.is_telling:
            raise exceeded(f"More than {MOST_WAITING} resources with PENDING or IN_PROGRESS status.")

    def _add(
        self,
        kind: str,
        arn: str,
        parent: str,
        members: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        holds: Any = None,
        work: Work | None = None,
    ) -> Made:
        """Add a resource whose creation begins now, and begin its work; the lock is held."""
        if work is not None:
            self._must_have_time()
        made = Made(arn, parent, members, Life(self.now, self._pace), self.engine.clock, work=work, holds=holds)
        self.made.add(kind, made)
        self._tags[arn] = dict(tags)
        if work is not None:
            self._begin(work, arn)
        return made

    def _begin(self, work: Work, arn: str) -> None:
        work.keep = partial(self._keeper.job, arn)
        self._worker.add(work)

    def restore(self, arn: str, record: Mapping[str, Any]) -> bool:
        """Give a job the outcome that it had before a restart. Returns whether it is one of this dataset group."""
        work = next((made.work for kind in _WORKING if (made := self.made.find(kind, arn)) is not None), None)
        if work is not None:
            work.restore(record)
        return work is not None

    # Solutions and their versions.

    def create_solution(self, name: str, recipe: Recipe, members: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Create a solution. With ``performAutoTraining``, its first version is created with it.

        Args:
            name: Its name.
            recipe: Its recipe.
            members: The members of its request that Describe tells.
            tags: Its tags.

        Returns:
            Its ARN.
        """
        with self._lock:
            self.must_be_active()
            if members["performAutoTraining"]:
                self._must_have_time()
            arn = self._solution(name)
            told = {"name": name, "solutionArn": arn, "datasetGroupArn": self.arn, **members}
            self._add("Solution", arn, self.arn, told, tags, holds=recipe)
            if members["performAutoTraining"]:
                self._train(arn, {"trainingMode": "FULL", "trainingType": "AUTOMATIC"}, {})
            return arn

    def update_solution(self, arn: str, changed: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Change the automatic training or the events of a solution. With automatic training, a version is created.

        Args:
            arn: The solution.
            changed: ``performAutoTraining`` and ``performIncrementalUpdate``, as far as the request has them.
            config: The members of its ``solutionUpdateConfig``.

        Raises:
            RefusedError: ``ResourceInUseException`` while the solution is being created, updated or deleted.
        """
        with self._lock:
            made = self.existing("Solution", arn)
            self._must_be_idle(made)
            told = {**changed, **({"solutionUpdateConfig": config} if config else {})}
            both = {**made.current["solutionConfig"], **config}
            before = made.current["performAutoTraining"]
            trains = changed.get("performAutoTraining", before) and (not before or "autoTrainingConfig" in config)
            if trains:
                self._must_have_time()
            made.begin_update("latestSolutionUpdate", told, {**changed, "solutionConfig": both})
            if trains:
                self._train(arn, {"trainingMode": "FULL", "trainingType": "AUTOMATIC"}, {})

    def delete_solution(self, arn: str) -> None:
        """Delete a solution and its versions.

        Raises:
            RefusedError: ``ResourceInUseException`` while it has campaigns, or it or a version is being created or
                updated.
        """
        with self._lock:
            made = self.existing("Solution", arn)
            must_be_active(arn, "being updated" if made.updating else made.status)
            for kind in ("Campaign", "BatchInferenceJob"):
                for user in self.made.all(kind):
                    of_it = user.parent == arn or user.parent.startswith(f"{arn}/")
                    if of_it and (kind == "Campaign" or user.in_progress):
                        raise RefusedError("ResourceInUseException", f"{arn} is used by {user.arn}")
            versions = [one for one in self.made.all("SolutionVersion") if one.parent == arn]
            for version in versions:
                if version.in_progress:
                    raise RefusedError("ResourceInUseException", f"{version.arn} is {version.status}")
            for version in versions:
                self._delete("SolutionVersion", version.arn)
            self._delete("Solution", arn)

    def create_version(self, solution: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Create a solution version: train the recipe's model on the data that are there when the training begins.

        Args:
            solution: The ARN of the solution.
            members: The members of its request that Describe tells.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: ``ResourceInUseException`` while the solution is being created or deleted;
                ``InvalidInputException`` if the dataset group lacks a dataset that the recipe learns from.
        """
        with self._lock:
            made = self.existing("Solution", solution)
            if made.status != "ACTIVE":
                raise RefusedError("ResourceInUseException", f"{solution} is {made.status}: wait until it is ACTIVE")
            self._must_have(made.holds)
            return self._train(solution, {"trainingMode": "FULL", "trainingType": "MANUAL", **members}, tags)

    def _train(self, solution: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        made = self.existing("Solution", solution)
        current = made.current
        self._numbers[solution] += 1
        arn = f"{solution}/{sha256(f'{solution} {self._numbers[solution]}'.encode()).hexdigest()[:8]}"
        threshold = current["solutionConfig"].get("eventValueThreshold")
        trained = Trained(
            made.holds,
            current.get("eventType"),
            None if threshold is None else float(threshold),
            minimums=self._minimums,
        )
        common = ("performHPO", "performAutoML", "performIncrementalUpdate", "recipeArn", "eventType", "solutionConfig")
        told = {name: current[name] for name in common if name in current}
        told |= {"solutionVersionArn": arn, "solutionArn": solution, "datasetGroupArn": self.arn, **members}

        def run(work: Work) -> None:
            trained.train(self.engine.models, work)
            work.outcome = {"hours": trained.hours}

        def restore(record: Mapping[str, Any]) -> None:
            self._restore_training(trained, record)

        work = Work(run, restore)
        self._add("SolutionVersion", arn, solution, told, tags, holds=trained, work=work)
        return arn

    def _restore_training(self, trained: Trained, record: Mapping[str, Any]) -> None:
        if "began" in record:
            trained.begin_again(self.engine.models)
        else:
            trained.restore(record["hours"])

    def _must_have(self, recipe: Recipe) -> None:
        for name in recipe.learns_from:
            if getattr(self.engine.datasets, name) is None:
                of = DATASETS[name].name
                raise invalid(f"{self.arn} has no {of} dataset, and {recipe.name} learns from it: create and import it")

    def stop_version(self, arn: str) -> None:
        """Stop the creation of a solution version.

        Raises:
            RefusedError: ``InvalidInputException``; it is not being created.
        """
        made = self.existing("SolutionVersion", arn)
        if made.work is None or made.status not in ("CREATE PENDING", "CREATE IN_PROGRESS"):
            raise invalid(f"solutionVersionArn: {arn} is {made.status}: only a creation in progress can be stopped")
        made.work.stop()

    def version(self, arn: str) -> Trained:
        """A version that is trained.

        Raises:
            RefusedError: ``ResourceInUseException`` while it is being created; ``InvalidInputException`` if that failed
                or was stopped.
        """
        status = (made := self.existing("SolutionVersion", arn)).status
        if status != "ACTIVE":
            code = (
                "InvalidInputException" if status in ("CREATE FAILED", "CREATE STOPPED") else "ResourceInUseException"
            )
            raise RefusedError(code, f"solutionVersionArn: {arn} is {status}, not ACTIVE")
        trained: Trained = made.holds
        return trained

    def latest_of(self, wanted: str) -> str:
        """The ARN of a version; of one that ends in ``/$LATEST``, the latest active one of its solution.

        Raises:
            RefusedError: ``ResourceNotFoundException``; the solution has none that is active.
        """
        solution, _, last = wanted.rpartition("/")
        if last != "$LATEST":
            return wanted
        active = [one.arn for one in self.made.all("SolutionVersion") if one.parent == solution]
        for arn in reversed(active):
            if self.existing("SolutionVersion", arn).status == "ACTIVE":
                return arn
        raise RefusedError("ResourceNotFoundException", f"{solution} has no solution version that is ACTIVE")

    def metrics(self, version: str) -> Mapping[str, float]:
        """The metrics of a solution version: measured when they are first asked for.

        Raises:
            RefusedError: See :meth:`version`; ``InvalidInputException`` if there is nothing to measure by.
        """
        from personalize_rt.local.control.apart import measured

        trained = self.version(version)
        with self._measuring:
            if version not in self._metrics:
                self._metrics[version] = measured(trained.recipe, trained.models.datasets, self.now)
            return self._metrics[version]

    # Campaigns and recommenders.

    def create_campaign(
        self, name: str, version: str, config: Mapping[str, Any], capacity: int, tags: Mapping[str, str]
    ) -> str:
        """Create a campaign, which answers when it is active.

        Args:
            name: Its name.
            version: Its solution version.
            config: The members of its configuration.
            capacity: The capacity that is asked for, in requests per second.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: See :meth:`version`.
        """
        trained = self.version(version)
        with self._lock:
            solution = self.existing("SolutionVersion", version).parent
            arn = self._settings.arn("campaign", name)
            resource = self._setup(name, arn, trained, config, capacity, version)
            self._add("Campaign", arn, solution, {"name": name, "campaignArn": arn}, tags, holds=resource)
            self.engine.add(resource, self.now + self._pace)
            return arn

    def _setup(
        self, name: str, arn: str, trained: Trained, config: Mapping[str, Any], capacity: int, version: str = ""
    ) -> Resource:
        recipe = trained.recipe
        told = {METADATA: recipe.with_metadata, **config}
        self._setups[arn] = Setup(told, version, capacity)
        models = trained.models if trained.done else None
        return Resource(name, arn, recipe, told[METADATA] or recipe.with_metadata, models)

    def create_recommender(
        self, name: str, recipe: Recipe, config: Mapping[str, Any], capacity: int, tags: Mapping[str, str]
    ) -> str:
        """Create a recommender: train its model; it answers when it is active.

        Args:
            name: Its name.
            recipe: Its use case.
            config: The members of its configuration.
            capacity: The capacity that is asked for, in requests per second.
            tags: Its tags.

        Returns:
            Its ARN.

        Raises:
            RefusedError: ``InvalidInputException`` if the use case is of another domain, or the dataset group lacks a
                dataset that it learns from.
        """
        with self._lock:
            self.must_be_active()
            if recipe.domain != self.domain:
                raise invalid(
                    f"recipeArn: {recipe.name} is a use case of {recipe.domain}; the domain of the dataset group is "
                    f"{self.domain or 'none'}"
                )
            self._must_have(recipe)
            self._must_have_time()
            arn = self._settings.arn("recommender", name)
            trained = Trained(recipe, minimums=self._minimums)
            resource = self._setup(name, arn, trained, config, capacity)

            def run(work: Work) -> None:
                trained.train(self.engine.models, work)
                deploy()
                work.outcome = {"hours": trained.hours}

            def deploy() -> None:
                with self._lock:
                    if self.made.find("Recommender", arn) is made:
                        made.holds = attrs.evolve(resource, models=trained.models)
                        self.engine.add(made.holds, made.life.created + self._pace)

            def restore(record: Mapping[str, Any]) -> None:
                self._restore_training(trained, record)
                if trained.done:
                    deploy()

            work = Work(run, restore)
            made = self._add("Recommender", arn, self.arn, {"name": name, "recommenderArn": arn}, tags, holds=resource)
            made.work = work
            self._begin(work, arn)
            return arn

    def turn_recommender(self, arn: str, verb: str) -> None:
        """Stop a recommender that is active (``"STOP"``), or start one that was stopped (``"START"``).

        Raises:
            RefusedError: ``ResourceInUseException`` while it is being changed; ``InvalidInputException`` if it is
                already as wanted.
        """
        with self._lock:
            made = self.existing("Recommender", arn)
            status, before = made.status, "ACTIVE" if verb == "STOP" else "INACTIVE"
            if status != before:
                code = "InvalidInputException" if status in ("ACTIVE", "INACTIVE") else "ResourceInUseException"
                raise RefusedError(code, f"{arn} is {status}, not {before}")
            made.turned = self.now, verb
            if verb == "STOP":
                made.holds = self.engine.resources.get(arn) or self.engine.arrived(arn) or made.holds
                self.engine.remove(arn)
            else:
                self.engine.add(made.holds, self.now + self._pace)

    def delete_deployed(self, kind: str, arn: str) -> None:
        """Delete a campaign or recommender (``"Campaign"``, ``"Recommender"``). It answers no more requests.

        Raises:
            RefusedError: ``ResourceInUseException`` while it is being created, changed or deleted.
        """
        with self._lock:
            made = self.existing(kind, arn)
            if made.status not in ("ACTIVE", "INACTIVE", "CREATE FAILED"):
                must_be_active(arn, made.status)
            if self._setups[arn].in_progress(self.now):
                raise RefusedError("ResourceInUseException", f"{arn}: an update is in progress")
            self.engine.remove(arn)
            self._delete(kind, arn)

    def update(
        self,
        arn: str,
        config: Mapping[str, Any],
        capacity: int | None,
        version: str | None = None,
        models: Models | None = None,
    ) -> None:
        """Change a campaign or recommender; see :meth:`DatasetGroup.update`."""
        kind = "Campaign" if self.made.find("Campaign", arn) is not None else "Recommender"
        with self._lock:
            made = self.existing(kind, arn)
            if made.status != "ACTIVE" or (arn not in self.engine.resources and self.engine.arrived(arn) is None):
                raise RefusedError("ResourceInUseException", f"{arn} is {made.status}: wait until it is ACTIVE")
            super().update(arn, config, capacity, version, models)
            if version is not None:
                made.parent = version.rpartition("/")[0]

    def version_for(self, campaign: Mapping[str, Any], wanted: str) -> tuple[str, Models | None]:
        """The solution version that UpdateCampaign asks for, and its models; see :meth:`DatasetGroup.version_for`."""
        version = self.latest_of(wanted)
        solution: str = campaign["solutionVersionArn"].rpartition("/")[0]
        if version.rpartition("/")[0] != solution:
            raise invalid(f"solutionVersionArn: expected a version of {solution}, the solution of the campaign")
        return version, self.version(version).models

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


def _until_stopped(work: Work, lines: Iterable[str]) -> Iterator[str]:
    """The lines, until the work is asked to stop; then nothing is written."""
    for line in lines:
        if work.stopped:
            raise FailedError("The job was stopped")
        yield line


def _together(before: EventLog | Table | None, rows: EventLog | Table) -> EventLog | Table:
    """The rows of an incremental import after those that were there; a row takes the place of the one of its id."""
    if isinstance(before, EventLog) and isinstance(rows, EventLog):
        log = EventLog(fields=rows.fields)
        names = {name for part in (before, rows) for name in part.columns}
        valued = bool(before.value or rows.value)
        for part in (before, rows):
            log.user.extend(log.users[part.users.names[number]] for number in part.user)
            log.target.extend(log.targets[part.targets.names[number]] for number in part.target)
            log.type.extend(log.types[part.types.names[number]] for number in part.type)
            log.timestamp.extend(part.timestamp)
            if valued:
                log.value.extend(part.value or repeat(nan, len(part)))
            for name in names:
                log.columns.setdefault(name, []).extend(part.columns.get(name) or repeat(None, len(part)))
        return log
    if isinstance(before, Table) and isinstance(rows, Table):
        merged = {**before, **rows}
        columns = {name: [row.get(name) for row in merged.values()] for name in rows.columns}
        return Table({id: number for number, id in enumerate(merged)}, columns, rows.fields)
    return rows


def _empty(option: str, schema: Schema) -> EventLog | Table:
    """A dataset without rows."""
    fields = dict(schema.fields)
    if option.endswith("interactions"):
        return EventLog(fields=fields)
    return Table({}, {name: [] for name in fields if name not in DATASETS[option].key}, fields)
