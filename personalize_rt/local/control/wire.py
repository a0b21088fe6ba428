"""The control plane at the level of HTTP bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from personalize_rt.local.apis import CONTROL, MALFORMED, WAITING, Replies, asked_of, read_object
from personalize_rt.local.control.account import Account
from personalize_rt.local.control.group import DatasetGroup
from personalize_rt.local.control.operations import OPERATIONS, REFUSED, ControlOperation
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.requests import Reply
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.messages import HttpRequest, HttpResponse

__all__ = ["ControlWire"]

# The beginnings of the names of operations that change nothing.
_READING = ("Describe", "Get", "List")


class ControlWire:
    """Parses requests of the control plane (JSON 1.1), and formats its replies. Safe to share between threads.

    Args:
        groups: Returns the dataset groups that directories declare, of which there is one at least.
        account: The dataset groups and schemas that requests made.
        rng: Makes the ids of requests.
        clock: Returns the Unix time in seconds.

    Attributes:
        plane: The resources.
    """

    def __init__(
        self,
        groups: Callable[[], Sequence[DatasetGroup]],
        account: Account,
        *,
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self.plane: ControlPlane = ControlPlane(groups, account)
        self._replies = Replies(CONTROL, rng, clock)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. No content of a request makes it raise."""
        name = asked_of(request)[1]
        operation = OPERATIONS.get(name or "") if request.method == "POST" else None
        if operation is None:
            return self._replies.refuse_operation(name, sorted(OPERATIONS), REFUSED.get(name or "", ""))
        members = read_object(request.body)
        if members is None:
            return self._replies.refuse("MalformedHttpRequestException", MALFORMED)
        try:
            reply = self._answer(name or "", operation, members)
        except RefusedError as refusal:
            return self._replies.refuse(refusal.code, refusal.message)
        return self._replies.reply("" if reply is None else json.dumps(reply, separators=(",", ":")))

    def answer_again(self, name: str, members: Mapping[str, Any]) -> None:
        """Do again what a request did before a restart.

        Raises:
            RefusedError: It does not fit any more.
        """
        operation = OPERATIONS[name]
        operation.answer(self.plane, operation.takes.read(members))

    def _answer(self, name: str, operation: ControlOperation, members: Mapping[str, Any]) -> Reply | None:
        taken = operation.takes.read(members)
        if name in WAITING:
            # Before anything is locked, since a training may take long.
            self.plane.settle(taken)
        if name.startswith(_READING):
            return operation.answer(self.plane, taken)
        keeper = self.plane.account.keeper
        with keeper.order:
            now = self._clock()
            reply = operation.answer(self.plane, taken)
            keeper.request(name, members, reply or {}, now)
        return reply
