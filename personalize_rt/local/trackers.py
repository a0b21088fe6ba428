"""The event trackers of embedded services: names, ARNs and the tracking ids that events come with.

Sources: the model of CreateEventTracker and DeleteEventTracker (``personalize`` 2018-05-22), and the Developer Guide,
"Creating an item interaction event tracker". A dataset group has at most one event tracker.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping

import attrs

from personalize_rt import forks
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.life import Life
from personalize_rt.names import is_resource_name

__all__ = ["Tracker", "Trackers"]

_ACTIVE = "ACTIVE"


@attrs.frozen
class Tracker:
    """One event tracker.

    Attributes:
        name: Its name.
        arn: Its ARN.
        tracking_id: The id that events come with.
        dataset_group_arn: The dataset group that its events go to.
        created: Unix time of its creation, in seconds.
        updated: Unix time of its last change, in seconds.
        status: ``"ACTIVE"``, or another status of the service. Events need an active tracker.
        life: When it was created, and whether it is being deleted; status and update follow from it if that takes time.
    """

    name: str
    arn: str
    tracking_id: str
    dataset_group_arn: str
    created: float
    updated: float
    status: str = _ACTIVE
    life: Life | None = None

    @property
    def active(self) -> bool:
        """``True`` if it takes events."""
        return self.status == _ACTIVE


class Trackers:
    """A registry of event trackers. Safe to share between threads.

    Args:
        prefix: Their ARNs without the name (``"arn:aws:personalize:eu-west-1:000000000000:event-tracker/"``).
        dataset_group_arn: The dataset group of the declared trackers.
        declared: The tracking id of each declared tracker, by name; an empty one is made from the ARN.
        clock: Returns the Unix time in seconds.
        created: Unix time of the creation of the declared trackers; by default now.
    """

    _lock = forks.lock()

    def __init__(
        self,
        prefix: str,
        dataset_group_arn: str,
        declared: Mapping[str, str],
        *,
        clock: Callable[[], float],
        created: float | None = None,
    ) -> None:
        self._prefix = prefix
        self._clock = clock if created is None else lambda: created
        # Both mappings are replaced, never changed, so readers need no lock.
        self._by_arn: Mapping[str, Tracker] = {}
        self._by_tracking_id: Mapping[str, Tracker] = {}
        self._made: dict[str, int] = {}
        for name, tracking_id in declared.items():
            self.create(name, dataset_group_arn, tracking_id=tracking_id)
        self._clock = clock

    def __iter__(self) -> Iterator[Tracker]:
        """The trackers, in the order of their creation."""
        return (one for one in map(self._today, tuple(self._by_arn.values())) if one is not None)

    def of_tracking_id(self, tracking_id: str) -> Tracker | None:
        """The tracker of a tracking id, or ``None``."""
        return self._today(self._by_tracking_id.get(tracking_id))

    def of_arn(self, arn: str) -> Tracker | None:
        """The tracker of an ARN, or ``None``."""
        return self._today(self._by_arn.get(arn))

    def of_name(self, name: str) -> Tracker | None:
        """The tracker of a name, or ``None``."""
        return self.of_arn(self._prefix + name)

    def _today(self, tracker: Tracker | None) -> Tracker | None:
        """A tracker with its status of this moment; ``None`` once it is deleted."""
        if tracker is None or tracker.life is None:
            return tracker
        now, life = self._clock(), tracker.life
        if not life.exists(now):
            return None
        return attrs.evolve(tracker, status=life.status(now), updated=life.updated(now))

    def create(
        self,
        name: str,
        dataset_group_arn: str,
        *,
        tracking_id: str = "",
        status: str = _ACTIVE,
        pace: float = 0.0,
    ) -> Tracker:
        """Create a tracker, as CreateEventTracker does.

        Args:
            name: Its name: letters, digits, ``-`` and ``_``, at most 63 characters; it begins with a letter or digit.
            dataset_group_arn: Its dataset group, which the caller has checked.
            tracking_id: Its tracking id. By default a UUID that depends on ARN and dataset group, so that it is the
                same in every run; a tracker that takes the place of a deleted one gets another.
            status: Its status.
            pace: Seconds that it takes to become active.

        Raises:
            RefusedError: ``InvalidInputException`` for a name that is none; ``ResourceAlreadyExistsException`` for a
                name or tracking id that is taken. So is a second tracker of one dataset group: the guide says that it
                is an error, and that code is inferred.
        """
        if not is_resource_name(name):
            raise RefusedError(
                "InvalidInputException", "name: expected letters, digits, - and _, at most 63 (model: Name)"
            )
        arn = self._prefix + name
        with self._lock:
            self._replace({one.arn: self._by_arn[one.arn] for one in self})  # without those that are deleted by now
            if arn in self._by_arn:
                raise RefusedError("ResourceAlreadyExistsException", f"{arn} exists already")
            other = next((one for one in self._by_arn.values() if one.dataset_group_arn == dataset_group_arn), None)
            if other is not None:
                raise RefusedError(
                    "ResourceAlreadyExistsException",
                    f"{dataset_group_arn} has the event tracker {other.arn}: a dataset group has one at most",
                )
            seed = f"{dataset_group_arn} {arn}"
            number = self._made.get(seed, 0)
            tracking_id = tracking_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{seed} {number}" if number else seed))
            if tracking_id in self._by_tracking_id:
                raise RefusedError("ResourceAlreadyExistsException", f"{arn}: another tracker has its tracking id")
            now = self._clock()
            life = Life(now, pace) if pace else None
            tracker = Tracker(name, arn, tracking_id, dataset_group_arn, now, now, status, life)
            self._made[seed] = number + 1
            self._replace({**self._by_arn, arn: tracker})
            return tracker if life is None else attrs.evolve(tracker, status=life.status(now))

    def mark(self, arn: str, status: str) -> Tracker:
        """Change the status of a tracker.

        Raises:
            RefusedError: ``ResourceNotFoundException``; there is no such tracker.
        """
        with self._lock:
            tracker = attrs.evolve(self._existing(arn), status=status, updated=self._clock())
            self._replace({**self._by_arn, arn: tracker})
            return tracker

    def delete(self, arn: str, *, pace: float = 0.0) -> None:
        """Delete a tracker, as DeleteEventTracker does. Its events stay, and its tracking id is unknown from now on.

        Args:
            arn: The tracker.
            pace: Seconds for which it is told to be in deletion.

        Raises:
            RefusedError: ``ResourceNotFoundException``; there is no such tracker.
        """
        with self._lock:
            tracker = self._existing(arn)
            if pace:
                life = Life(tracker.created, pace, self._clock())
                self._replace({**self._by_arn, arn: attrs.evolve(tracker, life=life)})
                return
            self._replace({other: tracker for other, tracker in self._by_arn.items() if other != arn})

    def _existing(self, arn: str) -> Tracker:
        tracker = self.of_arn(arn)
        if tracker is None:
            raise RefusedError("ResourceNotFoundException", f"there is no event tracker {arn}")
        return tracker

    def _replace(self, by_arn: Mapping[str, Tracker]) -> None:
        self._by_arn = by_arn
        self._by_tracking_id = {tracker.tracking_id: tracker for tracker in by_arn.values()}
