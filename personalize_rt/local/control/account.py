"""The dataset groups and schemas that requests made, behind one address."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from personalize_rt import forks
from personalize_rt.local.apis import read_object
from personalize_rt.local.control.created import CreatedGroup, SchemaOf
from personalize_rt.local.control.keeping import Keeper
from personalize_rt.local.control.made import Made, Register, Worker
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.life import Life
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.settings import Settings

if TYPE_CHECKING:
    from personalize_rt.local.control.objects import Objects
    from personalize_rt.local.control.storage import Storage

__all__ = ["MEMBERS", "Account"]

MEMBERS = ("campaignArn", "recommenderArn", "trackingId", "datasetArn")
"""The members of a request that tell its dataset group, first the runtime's, then those of events."""


class Account:
    """The dataset groups and schemas that requests made. Safe to share between threads.

    Args:
        settings: The region and account of their ARNs.
        clock: Returns the Unix time in seconds.
        rng: Makes ids, and chooses the places of promoted items.
        pace: Seconds that a creation, an update or a deletion takes.
        quotas: Whether to refuse what is over the service's default quotas.
        minimums: Whether a training needs the least amount of data that the service needs.

    Attributes:
        lock: To be held while something is created, since names are unique in an account.
        schemas: The schemas.
        minimums: Whether a training needs the least amount of data that the service needs.
        worker: Does imports, trainings and other jobs.
        keeper: Keeps what requests change, for a restart.
        storage: Where the objects of jobs are; ``None`` for those of ``mock_aws()`` while that is active.
        created: The dataset groups, and some that are deleted by now.
    """

    lock: forks.PerProcess[threading.RLock] = forks.PerProcess(lambda: threading.RLock())

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        pace: float = 0.0,
        quotas: bool = False,
        minimums: bool = False,
    ) -> None:
        self._settings = Settings(region=settings.region, account=settings.account)
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._quotas = quotas
        self.minimums: bool = minimums
        self.worker: Worker = Worker()
        self.keeper: Keeper = Keeper(clock)
        self.storage: Storage | None = None
        self._objects: Objects | None = None
        self.schemas: Register = Register()
        # Replaced, never changed, so that readers need no lock.
        self.created: tuple[CreatedGroup, ...] = ()
        self._leaving: Mapping[str, Any] | None = None

    @property
    def quotas(self) -> bool:
        """``True`` to refuse what is over the service's default quotas. A restart refuses nothing that was accepted."""
        return self._quotas and not self.keeper.is_telling

    @property
    def objects(self) -> Objects:
        """The objects of jobs."""
        if self._objects is None:
            # Imported when used: few programs import data by requests.
            from personalize_rt.local.control.objects import JobObjects
            from personalize_rt.local.control.storage import storage_of

            self._objects = JobObjects(self.storage or storage_of())
        return self._objects

    @objects.setter
    def objects(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def groups(self) -> Sequence[CreatedGroup]:
        """The dataset groups, in the order of their creation."""
        groups = self.created
        return groups if all(group.exists for group in groups) else tuple(group for group in groups if group.exists)

    def finish(self, timeout: float) -> bool:
        """Wait for all jobs, and stop those that are not done in time. Returns whether all were."""
        done = self.worker.finish(timeout)
        if not done:
            self.worker.drop()
        return done

    def restore(self, job: str, record: Mapping[str, Any]) -> None:
        """Give a job the outcome that it had before a restart.

        Raises:
            RefusedError: ``ResourceNotFoundException``; there is no such job.
        """
        if not any(group.restore(job, record) for group in self.groups):
            raise RefusedError("ResourceNotFoundException", f"there is no {job}")

    def handle(self, request: HttpRequest) -> HttpResponse | None:
        """Answer a request of the runtime or the events API; ``None`` if it names no resource of these."""
        group = self.group_of(request) if self.created else None
        return None if group is None else group.handle(request)

    def group_of(self, request: HttpRequest) -> CreatedGroup | None:
        """The dataset group that a request is for."""
        members = read_object(request.body) or {}
        named = [one for member in MEMBERS if isinstance(one := members.get(member), str)]
        return next((group for one in named for group in self.groups if group.has(one)), None)

    def create_group(self, name: str, members: Mapping[str, Any]) -> CreatedGroup:
        """Create a dataset group of a name that is free; the lock is held."""
        settings = attrs.evolve(self._settings, dataset_group=name)
        made = CreatedGroup(
            settings,
            members,
            clock=self._clock,
            rng=self._rng,
            pace=self._pace,
            minimums=self.minimums,
            worker=self.worker,
            keeper=self.keeper,
        )
        self.created = (*self.groups, made)
        return made

    def delete_group(self, group: CreatedGroup) -> None:
        """Delete a dataset group.

        Raises:
            RefusedError: See :meth:`CreatedGroup.delete`.
        """
        group.delete()
        if not group.exists:
            self._leaving = {**group.row.told(), "status": "DELETE PENDING"}

    def leaving(self, arn: str) -> Mapping[str, Any] | None:
        """The members of the dataset group that was deleted last and in no time, once.

        The notebooks of AWS that clean up end with a loop that only a DescribeDatasetGroup with a reply can leave; at
        AWS a deletion takes seconds.
        """
        told = self._leaving
        if told is None or told["datasetGroupArn"] != arn:
            return None
        self._leaving = None
        return None if any(group.arn == arn for group in self.groups) else told

    def create_schema(self, name: str, text: str, parsed: SchemaOf) -> str:
        """Create a schema of a name that is free; the lock is held."""
        domain = {"domain": parsed.domain} if parsed.domain else {}
        members = {"name": name, "schemaArn": parsed.arn, "schema": text, **domain}
        self.schemas.add("Schema", Made(parsed.arn, "", members, Life(self._clock()), self._clock, holds=parsed))
        return parsed.arn

    def schema_arn(self, name: str) -> str:
        """The ARN of a schema."""
        return self._settings.arn("schema", name)

    def group_arn(self, name: str) -> str:
        """The ARN of a dataset group."""
        return self._settings.arn("dataset-group", name)

    def arns(self, kind: str) -> Iterator[tuple[str, str]]:
        """The ARNs of the schemas, of which List narrows none."""
        return ((made.arn, "") for made in self.schemas.all(kind))

    def describe(self, kind: str, arn: str) -> dict[str, Any] | None:
        """The members of a schema, which has no status; or ``None``."""
        made = self.schemas.find(kind, arn)
        return None if made is None else {name: value for name, value in made.told().items() if name != "status"}
