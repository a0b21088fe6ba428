"""The engine that answers checked requests, by resource, recipe and filters. It knows neither HTTP nor JSON.

The wire checks the members of a request one by one, and passes them by the service's names. Checks that depend on the
campaign or recommender are made here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from itertools import islice
from types import MappingProxyType
from typing import Any, NoReturn

import attrs

from personalize_rt.errors import DOES_NOT_EXIST, FilterValuesError
from personalize_rt.filters.diagnostics import near
from personalize_rt.filters.selection import Allowed
from personalize_rt.filters.terms import Target
from personalize_rt.limits import DEFAULT_NUM_ACTIONS, DEFAULT_NUM_RESULTS
from personalize_rt.local.additions import Additions, Row
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.filtering import Filters, why_unfit
from personalize_rt.local.metadata import metadata_of
from personalize_rt.local.models import Models
from personalize_rt.local.promotions import PROMOTED, promote
from personalize_rt.local.recipes import Ask, Recipe, ReplyRow, Rows
from personalize_rt.local.schemas import DATASETS
from personalize_rt.local.stream import Stream
from personalize_rt.local.universe import AllowedOf
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS, GET_RECOMMENDATIONS, Operation

__all__ = ["Engine", "RefusedError", "ReplyRow", "Resource"]

# API reference: the numbers of results when numResults is absent.
_DEFAULT_RESULTS = {"GetRecommendations": DEFAULT_NUM_RESULTS, "GetActionRecommendations": DEFAULT_NUM_ACTIONS}
# The members that an answer depends on. Another one would be accepted and ignored.
_MEMBERS = frozenset(
    (
        *("campaignArn", "recommenderArn", "userId", "itemId", "inputList", "numResults", "context"),
        *("filterArn", "filterValues", "promotions", "metadataColumns"),
    )
)


class RefusedError(Exception):
    """A request is refused with an error of the service.

    Args:
        code: The service's error code (``"InvalidInputException"``).
        message: The problem. It shows no values of the request except ARNs and names.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@attrs.frozen
class Resource:
    """A campaign or a recommender.

    Attributes:
        name: Its name.
        arn: Its ARN.
        recipe: Its recipe.
        with_metadata: Whether it returns metadata (``enableMetadataWithRecommendations``).
        models: The models of its solution version; ``None`` for those of the engine.
        before: The resource before its latest update, which answers until that is complete.
        since: Unix time at which that update is complete.
    """

    name: str
    arn: str
    recipe: Recipe
    with_metadata: bool = False
    models: Models | None = attrs.field(default=None, repr=False)
    before: Resource | None = None
    since: float = 0.0

    def at(self, now: float) -> Resource:
        """The resource that answers at a time (API reference, UpdateCampaign: the previous one during an update)."""
        return self if self.before is None or now >= self.since else self.before


@attrs.define(repr=False, init=False)
class Engine:
    """The campaigns, recommenders and filters of one embedded service. Safe to share between threads.

    Args:
        resources: The campaigns and recommenders.
        datasets: The data.
        filter_prefix: The beginning of filter ARNs (``"arn:aws:personalize:eu-west-1:000000000000:filter/"``).
        clock: Returns the Unix time in seconds.
        rng: Chooses the places of promoted items.
        omits_metadata: Whether a request for metadata that is not switched on is answered without it, not refused.
        aliases: Other ARNs of campaigns, recommenders and filters, such as those in production.

    Attributes:
        datasets: The data.
        models: The models trained on the data.
        filters: The filters.
        items: The events with items that were put.
        actions: The events with actions that were put.
        added: The items, users and actions that were put.
        clock: Returns the Unix time in seconds.
        aliases: Other ARNs of campaigns, recommenders and filters.
        canned: The answers that were given for tests, by the ARN of the campaign or recommender.
    """

    datasets: Datasets
    models: Models
    filters: Filters
    items: Stream
    actions: Stream
    added: Additions
    clock: Callable[[], float]
    aliases: Mapping[str, str]
    canned: dict[str, tuple[str, ...]]
    _resources: dict[str, Resource]
    _coming: dict[str, tuple[float, Resource]]
    _rng: random.Random
    _context: frozenset[str]
    _omits_metadata: bool

    def __init__(
        self,
        resources: Sequence[Resource],
        datasets: Datasets,
        *,
        filter_prefix: str = "",
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        omits_metadata: bool = False,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.datasets = datasets
        self.models = Models(datasets)
        self.items = Stream(lambda event: self.filters.tell("ItemID", event), _known_in(datasets))
        self.actions = Stream(lambda event: self.filters.tell("ActionID", event))
        self.added = Additions()
        self.filters = Filters(filter_prefix, datasets, self.items, self.actions, self.added, clock)
        self.clock = clock
        self.canned = {}
        self._resources = {resource.arn: resource for resource in resources}
        self._coming = {}
        self.aliases = aliases or {}
        self._rng = rng or random.Random(0)
        self._omits_metadata = omits_metadata
        self._context = _context_of(datasets)

    @property
    def resources(self) -> Mapping[str, Resource]:
        """The campaigns and recommenders, by ARN."""
        return MappingProxyType(self._resources)

    def resolve(self, arn: str) -> str:
        """The ARN that another one stands for; itself if it is no alias."""
        return self.aliases.get(arn, arn)

    def update(self, resource: Resource) -> None:
        """Put a changed campaign or recommender in the place of the one of its ARN."""
        self._resources[resource.arn] = resource

    def add(self, resource: Resource, since: float) -> None:
        """Add a campaign or recommender that answers from a Unix time on."""
        self._coming[resource.arn] = since, resource
        self.arrived(resource.arn)

    def remove(self, arn: str) -> None:
        """Remove a campaign or recommender. A request that it is answering is answered."""
        self._coming.pop(arn, None)
        self._resources.pop(arn, None)

    def alone(self, resource: Resource) -> Engine:
        """An engine with the same data and filters, and one campaign only."""
        new = copy(self)
        new._resources, new._coming, new.canned = {resource.arn: resource}, {}, {}
        return new

    def over(self, datasets: Datasets) -> Engine:
        """An engine over other datasets, with the same resources, filters, and what was put.

        From now on, events are told to that one.
        """
        new = copy(self)
        new.datasets, new.models, new._context = datasets, Models(datasets), _context_of(datasets)
        new.filters = filters = self.filters.over(datasets)
        self.items.turn(lambda event: filters.tell("ItemID", event), _known_in(datasets))
        self.actions.turn(lambda event: filters.tell("ActionID", event))
        return new

    def answer(self, operation: Operation[Any], members: Mapping[str, Any]) -> list[ReplyRow]:
        """The rows that answer a request, best first.

        Args:
            operation: The operation.
            members: The members of the request, without those that are ``None``.

        Raises:
            RefusedError: The service would refuse the request.
        """
        for member in members:
            if member not in _MEMBERS:
                _invalid(f"{member}: the embedded service does not have it yet")
        resource = self._resource(members)
        recipe = resource.recipe
        if recipe.operation is not operation:
            _invalid(f"a {recipe.resource} of {recipe.name} answers {recipe.operation.name}, not {operation.name}")
        for member in recipe.requires:
            if not members.get(member):
                _invalid(f"{member} is missing or empty: {recipe.name} needs it")
        self._check_context(recipe, members)
        columns = self._columns(resource, members)
        allowed = self._allowed(resource, members, members.get("filterArn"), members.get("filterValues"), "filterArn")
        rows = recipe.answer(self._ask(resource, members))
        # A ranking holds every item of its input. numResults 0 means the default.
        count = members.get("numResults") or _DEFAULT_RESULTS.get(operation.name)
        promotions = members.get("promotions")
        if resource.arn in self.canned:
            scored = any(row.score is not None for row in islice(rows(allowed), 1))
            answer = _canned(self.canned[resource.arn], scored=scored)[:count]
        elif promotions:
            answer = self._promoted(resource, members, rows, allowed)
        else:
            answer = list(islice(rows(allowed), count))
        if columns is not None:
            items, added = self.datasets.items or Table(), self.added.of("items")
            answer = [row._replace(metadata=metadata_of(items, row.id, columns, added)) for row in answer]
        return answer

    def put_rows(self, dataset: str, rows: Mapping[str, Row]) -> None:
        """Add items, users or actions, or replace them. Filters and metadata know of them at once; models do not learn.

        Args:
            dataset: ``"items"``, ``"users"`` or ``"actions"``.
            rows: Their columns, by id.
        """
        self.filters.put_rows(dataset, rows)

    def prepare(self) -> None:
        """Train the models and build the indexes now, instead of in the first requests."""
        nobody: Mapping[str, Any] = {"userId": "", "itemId": "", "inputList": ()}
        for resource in tuple(self._resources.values()):
            models = resource.models or self.models
            resource.recipe.answer(Ask(models, nobody))
            models.prepare()
        self.models.prepare()
        self.filters.prepare()

    def _resource(self, members: Mapping[str, Any]) -> Resource:
        kind = "campaign" if "campaignArn" in members else "recommender"
        arn = members[f"{kind}Arn"]
        resource = self._resources.get(self.aliases.get(arn, arn)) or self.arrived(arn)
        if resource is None or resource.recipe.resource != kind:
            # Code and text as recorded: service.md section 12, fact 1.
            _invalid(f"{arn} {DOES_NOT_EXIST}")
        return resource if resource.before is None else resource.at(self.clock())

    def arrived(self, arn: str) -> Resource | None:
        """The campaign or recommender that was added and whose time has come by now."""
        since, resource = self._coming.get(arn, (0.0, None))
        if resource is None or self.clock() < since:
            return None
        self._resources[arn] = resource
        self._coming.pop(arn, None)
        return resource

    def _ask(self, resource: Resource, members: Mapping[str, Any]) -> Ask:
        recipe = resource.recipe
        used = {name: value for name, value in members.items() if name not in recipe.ignores}
        stream = self.actions if recipe.operation is GET_ACTION_RECOMMENDATIONS else self.items
        user_id = used.get("userId", "")
        # Of events with items, the models need the latest only.
        recent = stream.of_user(user_id) if stream is self.actions else stream.history_of(user_id)
        return Ask(resource.models or self.models, used, self.clock(), recent, lambda: stream.all)

    def _check_context(self, recipe: Recipe, members: Mapping[str, Any]) -> None:
        if "context" in recipe.ignores:
            return
        for name in members.get("context", ()):
            # In any case, as metadataColumns are: service.md section 12, fact 3, by analogy.
            if name.upper() not in self._context:
                known = ", ".join(sorted(self._context)) or "none"
                hint = near(name, self._context) or f"its contextual metadata: {known}"
                _invalid(f"context: the Interactions dataset has no contextual metadata {name}; {hint}")

    def _columns(self, resource: Resource, members: Mapping[str, Any]) -> Sequence[str] | None:
        """The metadata columns of a request; ``None`` if it does not mention metadata."""
        if "metadataColumns" not in members:
            return None
        kind = resource.recipe.resource
        if not (resource.with_metadata or resource.recipe.with_metadata):
            if self._omits_metadata:
                return None
            _invalid(
                f"metadataColumns: the {kind} {resource.name} does not return metadata; in its {kind}Config, set "
                "enableMetadataWithRecommendations = true"
            )
        columns: Sequence[str] = members["metadataColumns"].get("ITEMS", ())
        items = self.datasets.items or Table()
        found: list[str] = []
        for column in columns:
            # In any case: service.md section 12, fact 3.
            field = items.fields.get(column) or items.column(column)
            if field is None or field.name not in items.columns:
                hint = near(column, items.columns) or f"it has {', '.join(items.columns) or 'none'}"
                _invalid(f"metadataColumns: the Items dataset has no metadata column {column}; {hint}")
            found.append(field.name)
        return found

    def _allowed(
        self,
        resource: Resource,
        members: Mapping[str, Any],
        arn: str | None,
        values: Mapping[str, str] | None,
        member: str,
    ) -> Allowed | None:
        """The candidates that pass a filter and the recipe's own filter."""
        recipe, stored = resource.recipe, None
        seeded = "itemId" in recipe.requires
        if arn is not None:
            stored = self.filters.find(self.aliases.get(arn, arn))
            # Guide: a filter must be active. Only with a pace is one anything else.
            if stored is None or (stored.life.pace and not stored.life.active(self.clock())):
                known = ", ".join(self.filters.arns) or "none"
                # No recording; an application in production catches this code for it (service.md section 12, fact 1).
                _invalid(f"{member}: there is no filter {arn}; the filters are: {known}")
            target: Target = "ActionID" if recipe.operation is GET_ACTION_RECOMMENDATIONS else "ItemID"
            user_id = members.get("userId")
            unfit = why_unfit(stored, target, user_id=user_id, seeded=seeded)
            if unfit:
                _invalid(f"{member}: {unfit}")
        try:
            allowed = self.filters.allowed(
                stored,
                recipe.automatic,
                user_id=members.get("userId"),
                item_id=members.get("itemId") if seeded else None,
                values=values or {},
            )
            # A ranking holds whatever its input does; recommendations are items that the models know.
            if allowed is None or recipe.operation is not GET_RECOMMENDATIONS:
                return allowed
            universe = self.models.universe
            if resource.models is not None and resource.models.universe.ids != universe.ids:
                return AllowedOf(allowed, resource.models.universe.ids)
            return allowed.first(len(universe))
        except FilterValuesError as error:
            message = error.message
        _invalid(f"{member.removesuffix('Arn')}Values: {message}")

    def _promoted(
        self, resource: Resource, members: Mapping[str, Any], rows: Rows, allowed: Allowed | None
    ) -> list[ReplyRow]:
        """Answer a request with a promotion."""
        recipe = resource.recipe
        promotion: Mapping[str, Any] = members["promotions"][0]
        if not recipe.promotes:
            _invalid(f"promotions: {recipe.name} has none")
        for member in ("name", "percentPromotedItems", "filterArn"):
            if promotion.get(member) is None:
                _invalid(f"promotions[0].{member} is missing: without it, nothing says what to promote")
        eligible = self._allowed(
            resource, members, promotion["filterArn"], promotion.get("filterValues"), "promotions[0].filterArn"
        )
        promoted: Iterator[ReplyRow] = rows(eligible)
        if recipe.gives_reasons:
            promoted = (row._replace(reason=(PROMOTED,)) for row in promoted)
        return promote(
            promoted,
            rows(allowed),
            name=promotion["name"],
            percent=promotion["percentPromotedItems"],
            results=members.get("numResults") or DEFAULT_NUM_RESULTS,
            rng=self._rng,
        )


def _known_in(datasets: Datasets) -> Callable[[str], bool]:
    """Tells whether the datasets have an item."""
    watched, listed = (datasets.interactions or EventLog()).targets, datasets.items or Table()
    return lambda item_id: item_id in watched or item_id in listed


def _context_of(datasets: Datasets) -> frozenset[str]:
    """The names of contextual metadata, in upper case."""
    columns = (datasets.interactions or EventLog()).fields
    return frozenset(map(str.upper, columns)) - frozenset(DATASETS["interactions"].reserved)


def _canned(ids: Sequence[str], *, scored: bool) -> list[ReplyRow]:
    """The rows of a given answer; if its recipe gives scores, with falling ones that sum to 1."""
    whole = len(ids) * (len(ids) + 1) / 2
    return [ReplyRow(id, round((len(ids) - place) / whole, 7) if scored else None) for place, id in enumerate(ids)]


def _invalid(message: str) -> NoReturn:
    raise RefusedError("InvalidInputException", message)
