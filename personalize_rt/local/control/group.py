"""One dataset group as the control plane tells it: what its data declare, and what was created and changed since.

A campaign has a solution of its own name with one version, since ``personalize.toml`` names a recipe where the service
has these. Filters, event trackers, campaigns and recommenders are read from the engine that answers with them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import attrs

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.local.control.avro import avro_of
from personalize_rt.local.control.kinds import KINDS
from personalize_rt.local.control.recipes import recipe_arn
from personalize_rt.local.control.shapes import invalid
from personalize_rt.local.engine import Engine, RefusedError, Resource
from personalize_rt.local.filtering import StoredFilter, parse
from personalize_rt.local.life import Life, progress
from personalize_rt.local.models import Models
from personalize_rt.local.schemas import DATASETS
from personalize_rt.local.settings import Settings
from personalize_rt.local.trackers import Tracker, Trackers

__all__ = ["METADATA", "DatasetGroup", "Setup", "exceeded", "must_be_active"]

# Guide, "Amazon Personalize endpoints and quotas" (service.md sections 1.8 and 6): filters of a dataset group. And the
# text of a recorded LimitExceededException: "More than 5 resources with PENDING or IN_PROGRESS status."
_FILTERS = 30
_IN_PROGRESS = 5
# The members of a configuration that say the capacity, by the kind of resource; both are at least 1 and 1 by default.
_CAPACITY = {"campaign": "minProvisionedTPS", "recommender": "minRecommendationRequestsPerSecond"}
METADATA = "enableMetadataWithRecommendations"


@attrs.frozen
class Setup:
    """The configuration of a campaign or recommender.

    Attributes:
        config: Its configuration, as members.
        version: The solution version of a campaign; empty for a recommender.
        capacity: The capacity that was asked for, in requests per second.
        before: The configuration before the latest update, or ``None`` without any.
        begun: Unix time at which that update began.
        pace: Seconds that it takes.
    """

    config: Mapping[str, Any]
    version: str = ""
    capacity: int = 1
    before: Setup | None = None
    begun: float = 0.0
    pace: float = 0.0

    def in_progress(self, now: float) -> bool:
        """Tell whether the update is not complete."""
        return self.before is not None and now < self.begun + self.pace

    def at(self, now: float) -> Setup:
        """The configuration in force."""
        return self.before if self.before is not None and self.in_progress(now) else self


class DatasetGroup:
    """The resources of one dataset group. Safe to share between threads.

    Args:
        settings: The settings of the data.
        engine: The engine that answers with them.
        trackers: The event trackers.
        pace: Seconds that a creation, an update or a deletion takes.
        created: Unix time of the creation of what the data declare; by default now.

    Attributes:
        name: Its name.
        arn: Its ARN.
        created: Unix time of the creation of what the data declare.
        engine: The engine.
        trackers: The event trackers.
    """

    _lock = forks.PerProcess(lambda: threading.RLock())
    _measuring = forks.lock()  # another one, since it is held for seconds

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        trackers: Trackers,
        *,
        pace: float = 0.0,
        created: float | None = None,
    ) -> None:
        self.name: str = settings.dataset_group
        self.arn: str = settings.arn("dataset-group", self.name)
        self.created: float = engine.clock() if created is None else created
        self.engine = engine
        self.trackers = trackers
        self._settings = settings
        self._pace = pace
        self._setups = {
            arn: Setup(
                {METADATA: one.with_metadata}, self._version(one.name) if one.recipe.resource == "campaign" else ""
            )
            for arn, one in engine.resources.items()
        }
        self._tags: dict[str, dict[str, str]] = {}
        self._metrics: dict[str, Mapping[str, float]] = {}

    @property
    def now(self) -> float:
        """The Unix time."""
        return self.engine.clock()

    # Reading.

    def arns(self, kind: str) -> Iterator[tuple[str, str]]:
        """The ARN of each resource of a kind, and the ARN of what List narrows it by; empty if there is nothing."""
        if kind == "Filter":
            yield from ((one.arn, self.arn) for one in self.engine.filters)
        elif kind == "EventTracker":
            yield from ((one.arn, one.dataset_group_arn) for one in self.trackers)
        elif kind in ("Campaign", "Recommender"):
            for arn, one in self.engine.resources.items():
                if one.recipe.resource == kind.lower():
                    yield arn, self._setups[arn].version.rpartition("/")[0] if kind == "Campaign" else self.arn
        else:
            yield from ((arn, parent) for arn, (parent, _) in self._declared.get(kind, {}).items())

    def names(self) -> Iterator[tuple[str, str]]:
        """The kind and the ARN of each resource and alias, all of which must be unique in an account."""
        # Solutions have the names of campaigns, and datasets that of the dataset group.
        for kind in ("DatasetGroup", "Campaign", "Recommender", "Filter", "EventTracker", "Schema"):
            yield from ((KINDS[kind].label, arn) for arn, _ in self.arns(kind))
        yield from (("alias", alias) for alias in self.engine.aliases)

    def has(self, named: str) -> bool:
        """Tell whether a campaign, a recommender or a dataset has this ARN or alias, or a tracker this tracking id."""
        arn = self.engine.resolve(named)
        held = arn in self.engine.resources or arn in self._declared.get("Dataset", {})
        return held or self.trackers.of_tracking_id(named) is not None

    def describe(self, kind: str, arn: str) -> dict[str, Any] | None:
        """The members of a resource, or ``None``."""
        now = self.now
        if kind == "Filter":
            stored = self.engine.filters.find(arn)
            return None if stored is None else self._filter(stored, now)
        if kind == "EventTracker":
            tracker = self.trackers.of_arn(arn)
            return None if tracker is None else self._tracker(tracker)
        if kind in ("Campaign", "Recommender"):
            resource = self.engine.resources.get(arn)
            found = resource is not None and resource.recipe.resource == kind.lower()
            return self._resource(resource, now) if resource is not None and found else None
        _, members = self._declared.get(kind, {}).get(arn, ("", None))
        return None if members is None else {**members, **self._times}

    @property
    def _times(self) -> Mapping[str, float]:
        return {"creationDateTime": self.created, "lastUpdatedDateTime": self.created}

    @property
    def _domain(self) -> str | None:
        return next((one.recipe.domain for one in self._settings.recommenders.values()), None)

    @cached_property
    def _declared(self) -> Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]]:
        """The parent and the members without times, by kind and ARN; they never change."""
        domain = {"domain": self._domain} if self._domain else {}
        group = {"name": self.name, "datasetGroupArn": self.arn, "status": "ACTIVE", **domain}
        declared: dict[str, dict[str, tuple[str, Mapping[str, Any]]]] = {"DatasetGroup": {self.arn: ("", group)}}
        for name, dataset in DATASETS.items():
            held = getattr(self.engine.datasets, name)
            if held is None:
                continue
            schema_name = f"{self.name}-{name}"[-63:].lstrip("-_")
            schema_arn = self._settings.arn("schema", schema_name)
            schema = self._settings.schemas.get(name)
            avro = avro_of(dataset, (held if schema is None else schema).fields.values())
            members = {"name": schema_name, "schemaArn": schema_arn, "schema": avro, **domain}
            declared.setdefault("Schema", {})[schema_arn] = "", members
            arn = self._settings.dataset_arn(name)
            declared.setdefault("Dataset", {})[arn] = (
                self.arn,
                {
                    "name": name,
                    "datasetArn": arn,
                    "datasetGroupArn": self.arn,
                    "datasetType": dataset.name.upper(),
                    "schemaArn": schema_arn,
                    "status": "ACTIVE",
                },
            )
        for resource in self.engine.resources.values():
            if resource.recipe.resource == "campaign":
                solution, version = self._solution(resource.name), self._version(resource.name)
                common: dict[str, Any] = {
                    "solutionArn": solution,
                    "performHPO": False,
                    "performAutoML": False,
                    "performIncrementalUpdate": False,
                    "recipeArn": recipe_arn(resource.recipe.name),
                    "datasetGroupArn": self.arn,
                    "solutionConfig": {},
                    "status": "ACTIVE",
                }
                kind = {"trainingMode": "FULL", "trainingType": "MANUAL"}
                latest = {"solutionVersionArn": version, "status": "ACTIVE", **kind, **self._times}
                more = {"name": resource.name, "performAutoTraining": False, "latestSolutionVersion": latest}
                declared.setdefault("Solution", {})[solution] = self.arn, {**common, **more}
                # Models are trained when a request needs them.
                trained = {"solutionVersionArn": version, "trainingHours": 0.0, **kind}
                declared.setdefault("SolutionVersion", {})[version] = solution, {**common, **trained}
        return declared

    def _solution(self, name: str) -> str:
        return self._settings.arn("solution", name)

    def _version(self, name: str) -> str:
        """A solution version: its id in the service's form, the same in every run."""
        solution = self._solution(name)
        return f"{solution}/{sha256(solution.encode()).hexdigest()[:8]}"

    def _filter(self, stored: StoredFilter, now: float) -> dict[str, Any]:
        return {
            "name": stored.name,
            "filterArn": stored.arn,
            "creationDateTime": stored.life.created,
            "lastUpdatedDateTime": stored.life.updated(now),
            "datasetGroupArn": self.arn,
            "filterExpression": stored.text,
            "status": stored.life.status(now),
        }

    def _tracker(self, tracker: Tracker) -> dict[str, Any]:
        return {
            "name": tracker.name,
            "eventTrackerArn": tracker.arn,
            "accountId": self._settings.account,
            "trackingId": tracker.tracking_id,
            "datasetGroupArn": tracker.dataset_group_arn,
            "status": tracker.status,
            "creationDateTime": tracker.created,
            "lastUpdatedDateTime": tracker.updated,
        }

    def _resource(self, resource: Resource, now: float) -> dict[str, Any]:
        kind = resource.recipe.resource
        setup = self._setups[resource.arn]
        members: dict[str, Any] = {
            "name": resource.name,
            f"{kind}Arn": resource.arn,
            "status": "ACTIVE",
            "creationDateTime": self.created,
            "lastUpdatedDateTime": self.created if setup.before is None else setup.begun,
        }
        if kind == "recommender":
            members |= {"datasetGroupArn": self.arn, "recipeArn": recipe_arn(resource.recipe.name)}
        members |= self._configured(resource, setup.at(now))
        if setup.before is not None:
            status = progress(setup.begun, setup.pace, now, "CREATE")
            ended = setup.begun if setup.in_progress(now) else setup.begun + setup.pace
            times = {"creationDateTime": setup.begun, "lastUpdatedDateTime": ended}
            name = f"latest{kind.capitalize()}Update"
            members[name] = {**self._configured(resource, setup), "status": status, **times}
        return members

    def _configured(self, resource: Resource, setup: Setup) -> dict[str, Any]:
        kind = resource.recipe.resource
        capacity = {_CAPACITY[kind]: setup.capacity}
        if kind == "recommender":
            return {"recommenderConfig": {**setup.config, **capacity}}
        return {"solutionVersionArn": setup.version, **capacity, "campaignConfig": dict(setup.config)}

    def metrics(self, version: str) -> Mapping[str, float]:
        """The metrics of a solution version: measured when they are first asked for.

        Raises:
            RefusedError: ``InvalidInputException``; there is nothing to measure by.
        """
        # Imported when used: few programs ask, and the embedded service starts without it.
        from personalize_rt.local.control.apart import measured

        with self._measuring:
            if version not in self._metrics:
                name = self._declared["SolutionVersion"][version][0].rpartition("/")[2]
                resource = self.engine.resources[self._settings.arn("campaign", name)]
                self._metrics[version] = measured(resource.recipe, self.engine.datasets, self.now)
            return self._metrics[version]

    # Changing.

    def must_be_active(self) -> None:
        """Refuse to add a resource while the dataset group cannot have it; one that a directory declares always can."""

    def create_filter(self, name: str, text: str, tags: Mapping[str, str], *, quotas: bool = False) -> str:
        """Create a filter, all of it or nothing.

        Args:
            name: Its name.
            text: Its expression.
            tags: Its tags, and no others: one of the same name may have had some while it was being deleted.
            quotas: Whether to refuse what is over the service's default quotas.

        Returns:
            Its ARN.

        Raises:
            RefusedError: ``InvalidInputException`` for an expression that does not parse, or does not fit the data;
                ``ResourceAlreadyExistsException``; ``LimitExceededException``.
        """
        try:
            expression = parse(text, self.engine.datasets)
        except ValidationError as error:
            raise invalid(f"filterExpression: {error.message}") from None
        with self._lock:
            self.must_be_active()
            now, filters = self.now, self.engine.filters
            arn = self._settings.arn("filter", name)
            if filters.find(arn) is not None:
                raise RefusedError("ResourceAlreadyExistsException", f"there is a filter {arn} already")
            if quotas:
                if len(filters) >= _FILTERS:
                    raise exceeded(f"the dataset group has {len(filters)} filters; its quota is {_FILTERS}")
                if sum(not one.life.active(now) for one in filters) >= _IN_PROGRESS:
                    raise exceeded(f"more than {_IN_PROGRESS} resources with PENDING or IN_PROGRESS status")
            try:
                filters.add(name, expression, text, Life(now, self._pace))
            except ValidationError as error:
                # Without a limit, the name was taken in this moment by add_filter().
                code = "ResourceAlreadyExistsException" if error.limit is None else "LimitExceededException"
                raise RefusedError(code, error.message) from None
            self._tags[arn] = dict(tags)
            return arn

    def delete_filter(self, arn: str) -> None:
        """Delete a filter. A request that uses it at this moment is answered with it.

        Raises:
            RefusedError: ``ResourceInUseException`` while it is being created or deleted.
        """
        with self._lock:
            stored = self.engine.filters.find(arn)
            if stored is None:
                raise RefusedError("ResourceNotFoundException", f"there is no filter {arn}")
            must_be_active(arn, stored.life.status(self.now))
            self.engine.filters.delete(arn, self._pace)
            self._tags.pop(arn, None)

    def create_tracker(self, name: str, tags: Mapping[str, str]) -> Tracker:
        """Create an event tracker, which has these tags and no others.

        Raises:
            RefusedError: ``ResourceAlreadyExistsException`` for the name, or if the dataset group has one.
        """
        with self._lock:
            self.must_be_active()
            tracker = self.trackers.create(name, self.arn, pace=self._pace)
            self._tags[tracker.arn] = dict(tags)
            return tracker

    def delete_tracker(self, arn: str) -> None:
        """Delete an event tracker.

        Raises:
            RefusedError: ``ResourceInUseException`` while it is being created or deleted.
        """
        with self._lock:
            tracker = self.trackers.of_arn(arn)
            if tracker is None:
                raise RefusedError("ResourceNotFoundException", f"there is no event tracker {arn}")
            must_be_active(arn, tracker.status)
            self.trackers.delete(arn, pace=self._pace)
            self._tags.pop(arn, None)

    def update(
        self,
        arn: str,
        config: Mapping[str, Any],
        capacity: int | None,
        version: str | None = None,
        models: Models | None = None,
    ) -> None:
        """Change the configuration of a campaign or recommender. Until it is complete, the previous one answers.

        Args:
            arn: The campaign or recommender.
            config: The members of its configuration to change.
            capacity: The capacity to ask for, or ``None`` to leave it.
            version: The solution version to change a campaign to, or ``None`` to leave it.
            models: The models of that version.

        Raises:
            RefusedError: ``ResourceInUseException`` while another update is in progress.
        """
        with self._lock:
            now, resource, setup = self.now, self.engine.resources[arn], self._setups[arn]
            if setup.in_progress(now):
                raise RefusedError("ResourceInUseException", f"{arn}: an update is in progress")
            before = attrs.evolve(setup, before=None)
            changed = Setup(
                {**setup.config, **config},
                version or setup.version,
                capacity or setup.capacity,
                before,
                now,
                self._pace,
            )
            self._setups[arn] = changed
            with_metadata = changed.config[METADATA] or resource.recipe.with_metadata
            last = attrs.evolve(resource, before=None, since=0.0)
            new = attrs.evolve(last, with_metadata=with_metadata, models=models or resource.models)
            self.engine.update(attrs.evolve(new, before=last, since=now + self._pace) if self._pace else new)

    def version_for(self, campaign: Mapping[str, Any], wanted: str) -> tuple[str, Models | None]:
        """The solution version that UpdateCampaign asks for, and its models.

        Args:
            campaign: The members of the campaign.
            wanted: The ARN of the version, or one that ends in ``/$LATEST``.

        Raises:
            RefusedError: ``InvalidInputException``; it is another one than that of the campaign.
        """
        version: str = campaign["solutionVersionArn"]
        latest = f"{version.rpartition('/')[0]}/$LATEST"
        if wanted not in (version, latest):
            known = f"{version} or {latest}"
            raise invalid(f"solutionVersionArn: a directory's campaign has one version of its solution: {known}")
        return version, None

    # Tags.

    def tags(self, arn: str) -> list[dict[str, str]]:
        """The tags of a resource."""
        with self._lock:
            return [{"tagKey": key, "tagValue": value} for key, value in self._tags.get(arn, {}).items()]

    def tag(self, arn: str, tags: Mapping[str, str], most: int) -> None:
        """Add tags to a resource, or change their values.

        Raises:
            RefusedError: ``TooManyTagsException``; it would have more than *most*.
        """
        with self._lock:
            together = {**self._tags.get(arn, {}), **tags}
            if len(together) > most:
                raise RefusedError("TooManyTagsException", f"{arn} would have {len(together)} tags; it may have {most}")
            if together:
                self._tags[arn] = together

    def untag(self, arn: str, keys: Sequence[str]) -> None:
        """Remove tags from a resource. Those that it does not have make no difference."""
        with self._lock:
            self._tags[arn] = {key: value for key, value in self._tags.get(arn, {}).items() if key not in keys}


def exceeded(message: str) -> RefusedError:
    """A ``LimitExceededException``."""
    return RefusedError("LimitExceededException", message)


def must_be_active(arn: str, status: str) -> None:
    """Refuse a deletion.

    Raises:
        RefusedError: ``ResourceInUseException``; the resource is being created or deleted.
    """
    if status != "ACTIVE":
        raise RefusedError("ResourceInUseException", f"{arn} is {status}: it cannot be deleted now")
