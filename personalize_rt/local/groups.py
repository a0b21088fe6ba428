"""Several dataset groups behind one address, as an account has them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from personalize_rt.errors import ValidationError
from personalize_rt.local.apis import CONTROL, asked_of, read_object
from personalize_rt.local.control import MEMBERS, Account, ControlWire, DatasetGroup
from personalize_rt.local.embedded import LocalPersonalize
from personalize_rt.local.events import RecordedEvent
from personalize_rt.local.inside import Inside, inside
from personalize_rt.local.kept import Kept
from personalize_rt.local.messages import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from personalize_rt.local.events import Intake

__all__ = ["LocalGroups"]


class LocalGroups(Kept, Mapping[str, LocalPersonalize]):
    """Several embedded services behind one door, each of them a dataset group.

    ::

        groups = LocalGroups.from_directories("shop", "films")
        groups.boto3_client("personalize").list_dataset_groups()
        groups["films"].put_events(...)

    Clients, server and faults are those of this object; a request goes to the dataset group whose campaign,
    recommender, dataset or tracking id it names. It is a mapping of the services by the name of their dataset group.
    Safe to share between threads.

    Args:
        groups: The services, one at least.

    Raises:
        ValidationError: Two of them have the same name of a dataset group, campaign, recommender, filter or event
            tracker in one region and account; or there is none.
    """

    def __init__(self, *groups: LocalPersonalize) -> None:
        if not groups:
            raise ValidationError("groups: expected one LocalPersonalize at least", parameter="groups")
        parts = [inside(one) for one in groups]
        _check_names([part.group for part in parts])
        region = parts[0].group.arn.split(":")[3]
        super().__init__(region_name=region)
        self._services = {part.group.name: one for part, one in zip(parts, groups, strict=True)}
        first = parts[0]
        self._account: Account = first.account
        self._control = ControlWire(
            lambda: [part.group for part in self._parts()],
            first.account,
            rng=first.rng,
            clock=first.group.engine.clock,
        )
        for part in parts:
            part.keep_with(first.account.keeper)

    def _kept(self) -> tuple[ControlWire, Mapping[str, Intake]]:
        return self._control, {part.group.arn: part.intake for part in self._parts()}

    @classmethod
    def from_directories(
        cls,
        *directories: str | PathLike[str],
        strict: bool = False,
        s3_root: str | PathLike[str] | None = None,
        s3_endpoint: str | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        pace: float = 0.0,
        quotas: bool = False,
        minimums: bool = False,
    ) -> Self:
        """Load directories, each of which is a dataset group: ``[options] dataset_group`` of its settings names it.

        Args:
            directories: The directories; see :meth:`LocalPersonalize.from_directory`.
            strict: See there.
            s3_root: See there.
            s3_endpoint: See there.
            clock: See there.
            rng: See there.
            pace: See there.
            quotas: See there.
            minimums: See there.

        Raises:
            ValidationError: Names clash; or there is no directory.
            LocalDataError: A directory has problems.
        """
        load = partial(LocalPersonalize.from_directory, s3_root=s3_root, s3_endpoint=s3_endpoint)
        return cls(
            *(
                load(one, strict=strict, clock=clock, rng=rng, pace=pace, quotas=quotas, minimums=minimums)
                for one in directories
            )
        )

    def finish_jobs(self, timeout: float = 60.0) -> bool:
        """Wait for the jobs of the control plane; see :meth:`LocalPersonalize.finish_jobs`."""
        return self._account.finish(timeout)

    def _parts(self) -> list[Inside]:
        return [inside(one) for one in self._services.values()]

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request. Everything else calls this."""
        if asked_of(request)[0] is CONTROL:
            return self._control.handle(request)
        return self._account.handle(request) or self._service_of(request).handle(request)

    def _service_of(self, request: HttpRequest) -> LocalPersonalize:
        """The service that a request is for; without one, the first, whose error says what is wrong."""
        members = read_object(request.body) or {}
        services = tuple(self._services.values())
        for member in MEMBERS:
            named = members.get(member)
            if isinstance(named, str):
                for one in services:
                    if inside(one).group.has(named):
                        return one
        return services[0]

    def reload(self) -> None:
        """Reload all directories, or none if one of them has a problem.

        Raises:
            LocalDataError: A directory has problems; the old data stay.
            ValidationError: Names clash; the old data stay.
        """
        new = [part.load() for part in self._parts()]
        _check_names([inside(one).group for one in new])
        for part, one in zip(self._parts(), new, strict=True):
            part.take(one)
        self._services = {inside(one).group.name: one for one in self._services.values()}
        self._account.keeper.reloaded()

    def reset(self) -> None:
        """Clear what a test leaves behind, in all services; see :meth:`LocalPersonalize.reset`."""
        super().reset()
        for one in self._services.values():
            one.reset()

    @property
    def recorded_events(self) -> tuple[RecordedEvent, ...]:
        """The latest events that were put, service by service; see :attr:`LocalPersonalize.recorded_events`."""
        return tuple(event for one in self._services.values() for event in one.recorded_events)

    def prepare(self) -> Self:
        """Train all models now; see :meth:`LocalPersonalize.prepare`.

        Returns:
            The object itself.
        """
        for one in self._services.values():
            one.prepare()
        return self

    # The resources.

    @property
    def campaigns(self) -> Mapping[str, str]:
        """The ARN of each campaign, by name."""
        return _together(one.campaigns for one in self._services.values())

    @property
    def recommenders(self) -> Mapping[str, str]:
        """The ARN of each recommender, by name."""
        return _together(one.recommenders for one in self._services.values())

    @property
    def filters(self) -> Mapping[str, str]:
        """The ARN of each filter, by name."""
        return _together(one.filters for one in self._services.values())

    def _stands_for(self, arn: str) -> str:
        resolved = (part.group.engine.resolve(arn) for part in self._parts())
        return next((one for one in resolved if one != arn), arn)

    # The mapping.

    def __getitem__(self, name: str) -> LocalPersonalize:
        return self._services[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"LocalGroups({', '.join(self._services)})"


def _together(maps: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    return MappingProxyType({name: arn for arns in maps for name, arn in arns.items()})


def _check_names(groups: Sequence[DatasetGroup]) -> None:
    """Refuse names that two dataset groups have."""
    owners: dict[str, DatasetGroup] = {}
    for group in groups:
        for label, arn in group.names():
            owner = owners.setdefault(arn, group)
            if owner is not group:
                name = arn.rpartition("/")[2]
                hint = " (set dataset_group in [options] of personalize.toml)" if arn == group.arn else ""
                raise ValidationError(
                    f"groups: {'two dataset groups' if hint else f'{owner.name} and {group.name}'} have the {label} "
                    f"{name}{hint}; names are unique in an account and region",
                    parameter="groups",
                )
