"""The events API at the level of HTTP bytes."""

from __future__ import annotations

import random

from personalize_rt.errors import ValidationError
from personalize_rt.local.apis import EVENTS, MALFORMED, Replies, asked_of, read_object
from personalize_rt.local.engine import Engine, RefusedError
from personalize_rt.local.events.intake import Intake
from personalize_rt.local.events.model import OPERATIONS, Operation
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.schemas import DATASETS
from personalize_rt.local.settings import Settings
from personalize_rt.local.trackers import Trackers

__all__ = ["EventsWire"]

_STATUS = {"ResourceNotFoundException": 404}
# The dataset of each operation that names one.
_DATASET = {"PutItems": "items", "PutUsers": "users", "PutActions": "actions"}


class EventsWire:
    """Parses requests of the events API, and puts what they bring into the engine. Safe to share between threads.

    Args:
        engine: The engine.
        settings: The settings of the data.
        trackers: The event trackers.
        intake: Takes in what requests bring.
        rng: Makes the ids of requests.
    """

    def __init__(
        self, engine: Engine, settings: Settings, trackers: Trackers, intake: Intake, *, rng: random.Random
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._trackers = trackers
        self._intake = intake
        self._replies = Replies(EVENTS, rng, engine.clock)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. No content of a request makes it raise."""
        name = asked_of(request)[1]
        operation = None if name is None else OPERATIONS.get(name)
        if operation is None:
            return self._replies.refuse_operation(name, OPERATIONS)
        try:
            self._take(operation, request.body)
        except RefusedError as refused:
            return self._replies.refuse(refused.code, refused.message, _STATUS.get(refused.code, 400))
        except ValidationError as error:
            return self._replies.refuse("InvalidInputException", error.message)
        return self._replies.reply("")

    def _take(self, operation: Operation, body: bytes) -> None:
        members = read_object(body)
        if members is None:
            raise RefusedError("MalformedHttpRequestException", MALFORMED)
        operation.check(members)
        dataset = _DATASET.get(operation.name)
        if dataset is not None:
            self._check_dataset(operation, dataset, members["datasetArn"])
            self._intake.put_records(operation.name, members[operation.records], operation.records)
            return
        self._check_tracker(operation, members["trackingId"])
        if operation.name == "PutEvents":
            self._intake.put_events(members)
        else:
            self._intake.put_action_interactions(members)

    def _check_tracker(self, operation: Operation, tracking_id: str) -> None:
        """Refuse a tracking id that no active tracker of this dataset group has.

        The guide requires an active tracker. No error is recorded: the code is inferred from those that the model has
        for the operation.
        """
        tracker = self._trackers.of_tracking_id(tracking_id)
        group = self._settings.arn("dataset-group", self._settings.dataset_group)
        if tracker is None or not tracker.active or tracker.dataset_group_arn != group:
            known = ", ".join(one.name for one in self._trackers) or "none"
            message = (
                "trackingId is that of no active event tracker: create one with CreateEventTracker, or declare it in "
                f"personalize.toml under [event_trackers] (the event trackers are: {known})"
            )
            raise RefusedError(operation.not_found, message)

    def _check_dataset(self, operation: Operation, dataset: str, arn: str) -> None:
        """Refuse the ARN of another dataset. The codes are inferred from the model, as for trackers."""
        expected = self._settings.dataset_arn(dataset)
        if arn != expected:
            others = {self._settings.dataset_arn(other): DATASETS[other].name for other in DATASETS}
            if arn in others:
                message = f"datasetArn is that of the {others[arn]} dataset; {operation.name} takes {expected}"
                raise RefusedError("InvalidInputException", message)
        missing = getattr(self._engine.datasets, dataset) is None
        if missing or arn != expected:
            why = f", since there is no {DATASETS[dataset].file}" if missing else f"; this one is {expected}"
            raise RefusedError(operation.not_found, f"datasetArn: there is no dataset {arn}{why}")
