"""Records of what requests have changed: written to a directory of state, and told again after a restart.

A record is a request of the control plane that succeeded, events or rows that were put, or the outcome of a job. A
restart tells them again in their order, each at its own time, to the code that answered the requests; so there is one
way to create a resource, and no second description of it. A job has the outcome that it had: its data are read from the
directory, not imported again, and models are trained again from them, which gives the same models. A job that was in
progress begins anew.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.files import StrPath
from personalize_rt.local.control.state import LocalStateError, State
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.events.record import RecordedEvent
from personalize_rt.local.problems import LocalDataWarning, Problem

if TYPE_CHECKING:
    from personalize_rt.local.control.plane import ControlPlane
    from personalize_rt.local.events import Intake

__all__ = ["Keeper", "Moment", "Target"]

# Records that are kept in memory, for save(), without a directory of state.
_MOST = 100_000
_DEFAULTS = {field.name: field.default for field in attrs.fields(RecordedEvent)}


class Moment:
    """A clock that stands still while records are told again.

    Args:
        clock: Returns the Unix time in seconds.

    Attributes:
        stands_at: The time at which it stands; ``None`` while it goes.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.stands_at: float | None = None

    def __call__(self) -> float:
        """The Unix time in seconds."""
        return self._clock() if self.stands_at is None else self.stands_at


@attrs.frozen
class Target:
    """The parts of a service that records are told to.

    Attributes:
        plane: The resources.
        intakes: The intakes of events of the dataset groups of directories, by ARN.
        answer: Answers a request of the control plane, by its operation and members.
    """

    plane: ControlPlane
    intakes: Mapping[str, Intake]
    answer: Callable[[str, Mapping[str, Any]], object]


class Keeper:
    """Keeps the records of one address. Safe to share between threads.

    Without a directory, they are kept in memory, up to a number of them.

    Args:
        clock: Returns the Unix time in seconds.

    Attributes:
        order: To be held while a request changes something and is recorded, so that the outcome of a job follows the
            request that began it.
        is_telling: Whether records are told again at this moment.
    """

    order: forks.PerProcess[threading.RLock] = forks.PerProcess(lambda: threading.RLock())
    _lock = forks.lock()

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._state: State | None = None
        self._records: list[Mapping[str, Any]] | None = []
        self.is_telling: bool = False

    # Recording.

    def request(self, operation: str, members: Mapping[str, Any], reply: Mapping[str, Any], now: float) -> None:
        """Record a request of the control plane that succeeded; :attr:`order` is held."""
        made = next((value for name, value in reply.items() if name.endswith("Arn")), None)
        self._keep({"op": operation, "members": members, **({"made": made} if made else {}), "t": now})

    def put(self, group: str, record: Mapping[str, Any]) -> None:
        """Record the events (``"events"``) or rows (``"rows"``, by dataset) that were put into a dataset group."""
        self._keep({"group": group, **record, "t": self._clock()})

    def job(self, arn: str, record: Mapping[str, Any]) -> None:
        """Record that a job began, was done, or failed; with the data that it brought."""
        state = self._state
        if state is not None and "data" in record:
            record = {**record, "data": state.store(record["data"])}
        with self.order:
            self._keep({"job": arn, **record, "t": self._clock()})

    def reloaded(self) -> None:
        """Record that what was put into the dataset groups of directories is forgotten."""
        with self.order:
            self._keep({"reload": True, "t": self._clock()})

    def _keep(self, record: Mapping[str, Any]) -> None:
        if self.is_telling:
            return
        if self._state is not None:
            self._state.append(_as_json(record))
            return
        with self._lock:
            if self._records is not None:
                self._records.append(record)
                if len(self._records) > _MOST:
                    self._records = None

    # Saving.

    def save(self, directory: StrPath) -> None:
        """Write all records to a new directory.

        Raises:
            ValidationError: There is something in it; or there were too many records to keep in memory.
            LocalStateError: It cannot be written.
        """
        with self.order:
            state = State(directory)
            try:
                if state.records:
                    raise ValidationError(f"{directory} has a state already: name another one", parameter="directory")
                for record in _living(self._all()):
                    if "data" in record:
                        record = {**record, "data": state.store(self._dataset(record["data"]))}
                    state.append(_as_json(record))
            finally:
                state.close()

    def _all(self) -> Sequence[Mapping[str, Any]]:
        if self._state is not None:
            return self._state.reread()
        if self._records is None:
            raise ValidationError(
                f"the service was closed, or had more than {_MOST:,} changes, which are too many to keep in memory: "
                "begin with resume() of a new directory, which keeps them there",
                parameter="directory",
            )
        return tuple(self._records)

    def _dataset(self, data: Any) -> EventLog | Table:
        assert self._state is not None or not isinstance(data, str)
        return self._state.dataset(data) if self._state is not None else data

    # Telling again.

    def resume(self, directory: StrPath, into: Target) -> None:
        """Tell the records of a directory again, and keep further ones there.

        Args:
            directory: The directory, which is made if it is not there.
            into: The service, which requests have not changed yet.

        Raises:
            ValidationError: See :class:`State`; or requests have changed something before.
            LocalStateError: See :class:`State`; or the records do not fit.
        """
        if self._state is not None or self._records:
            raise ValidationError("resume() comes before the first change", parameter="directory")
        state = State(directory)
        try:
            living = list(_living(state.records))
            self._tell(living, into, state)
            if len(living) < len(state.records) or state.is_torn:
                state.rewrite(living)
        except BaseException:
            state.close()
            raise
        state.records = []
        self._state = state
        into.plane.account.worker.release()

    def close(self) -> None:
        """Close the directory, if there is one; nothing is recorded any more."""
        state, self._state, self._records = self._state, None, None
        if state is not None:
            state.close()

    def _tell(self, records: Iterable[Mapping[str, Any]], into: Target, state: State) -> None:
        clocks = {clock for group in into.plane.groups if isinstance(clock := group.engine.clock, Moment)}
        into.plane.account.worker.hold()
        self.is_telling = True
        try:
            for record in records:
                for clock in clocks:
                    clock.stands_at = record["t"]
                try:
                    _tell(record, into, state)
                except RefusedError as refused:
                    _warn(state, record, refused)
        except (KeyError, TypeError, ValueError) as error:
            raise LocalStateError(
                f"{state.directory}: a record does not fit this release ({type(error).__name__}): start the release "
                "that wrote it"
            ) from None
        finally:
            self.is_telling = False
            for clock in clocks:
                clock.stands_at = None


def _warn(state: State, record: Mapping[str, Any], refused: RefusedError) -> None:
    about = record.get("op") or "a record"
    problem = Problem(str(state.directory), f"{about} does not fit the data any more: {refused.message}")
    warnings.warn(LocalDataWarning(f"{problem}; it is left out"), stacklevel=4)


def _tell(record: Mapping[str, Any], into: Target, state: State) -> None:
    """Tell one record again.

    Raises:
        RefusedError: What it changed is not there any more, since the directory of data is another one.
    """
    if "op" in record:
        try:
            into.answer(record["op"], record["members"])
        except RefusedError as refused:
            if refused.code != "ResourceAlreadyExistsException" or not _give_way(record, into.plane):
                raise
            into.answer(record["op"], record["members"])
    elif "job" in record:
        data = {"data": state.dataset(record["data"])} if "data" in record else {}
        into.plane.account.restore(record["job"], {**record, **data})
    elif "group" in record:
        created = next((one.intake for one in into.plane.account.groups if one.arn == record["group"]), None)
        intake = created or into.intakes.get(record["group"])
        if intake is None:
            raise RefusedError("ResourceNotFoundException", f"there is no dataset group {record['group']}")
        if "events" in record:
            intake.restore_events([_event_of(members) for members in record["events"]])
        for dataset, rows in record.get("rows", {}).items():
            intake.restore_rows(dataset, rows)


def _give_way(record: Mapping[str, Any], plane: ControlPlane) -> bool:
    """Remove the filter or event tracker that a directory declares and a request made before."""
    group = next((one for one in plane.groups if one.arn == record["members"].get("datasetGroupArn")), None)
    if group is None:
        return False
    if record["op"] == "CreateFilter" and group.engine.filters.find(record["made"]) is not None:
        group.engine.filters.delete(record["made"], 0.0)
        return True
    if record["op"] == "CreateEventTracker":
        trackers = tuple(group.trackers)
        for tracker in trackers:
            group.trackers.delete(tracker.arn)
        return bool(trackers)
    return False


def _living(records: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The records of what is still there: without dataset groups that were deleted, and what a reload has dropped."""
    owner: dict[str, str] = {}  # the created dataset group of each ARN
    owners: list[str | None] = []  # of each record; "" for a directory's, None for one of the account
    dropped: set[int] = set()

    def drop(of: str) -> None:
        dropped.update(place for place, one in enumerate(owners) if one == of)
        for arn in [arn for arn, one in owner.items() if one == of]:
            del owner[arn]

    for record in records:
        of: str | None = ""
        if "op" in record:
            named = (value.removesuffix("/$LATEST") for value in _texts(record["members"]))
            of = next((owner[arn] for arn in named if arn in owner), "")
            if record["op"] == "CreateDatasetGroup":
                of = record["made"]
            elif record["op"] in ("CreateSchema", "DeleteSchema"):
                of = None
            if of and "made" in record:
                owner[record["made"]] = of
        else:
            of = owner.get(record.get("group") or record.get("job") or "", "")
        owners.append(of)
        if "reload" in record:
            drop("")
        elif record.get("op") == "DeleteDatasetGroup" and of:
            drop(of)
    return (record for place, record in enumerate(records) if place not in dropped)


def _texts(members: Mapping[str, Any]) -> Iterator[str]:
    return (value for value in members.values() if isinstance(value, str))


# Records as JSON.


def _as_json(record: Mapping[str, Any]) -> Mapping[str, Any]:
    if "events" not in record:
        return record
    return {**record, "events": [one if isinstance(one, dict) else _members_of(one) for one in record["events"]]}


def _members_of(event: RecordedEvent) -> dict[str, Any]:
    """The members of an event, without its answer, and without those that have their default."""
    members = {name: getattr(event, name) for name in _DEFAULTS if name != "answer"}
    members["properties"] = dict(event.properties)
    return {name: value for name, value in members.items() if value != _DEFAULTS[name]}


def _event_of(members: Mapping[str, Any]) -> RecordedEvent:
    given: dict[str, Any] = {**members, "impression": tuple(members.get("impression", ()))}
    return RecordedEvent(**given)
