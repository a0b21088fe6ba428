"""An embedded Amazon Personalize, to develop and test against without an AWS account.

::

    from personalize_rt.local import LocalPersonalize

    local = LocalPersonalize.sample()                 # bundled real film ratings
    runtime = local.runtime()                         # a PersonalizeRuntime, wired in process
    runtime.campaign(local.campaign_arn("movies-ranking")).rank("16036", ["tt0468569", "tt0111161"])

Every door (this one, boto3, HTTP) goes through one ``handle(request) -> response`` on HTTP bytes. ``apis`` tells the
three APIs apart: ``events`` and ``control`` answer theirs, and a request to the runtime API passes ``wire`` (HTTP,
JSON), ``engine`` (resources, checks), ``recipes`` (the table), ``filtering``, ``promotions``, ``metadata``, and
``models`` (``taste``, ``likeness``, ``trends``, ``offers`` on a ``universe`` of items). The data come from
``settings``, ``schemas`` and ``datasets``, and at run time from the ``stream``.
"""

from __future__ import annotations

from personalize_rt.local.control.state import LocalStateError
from personalize_rt.local.embedded import LocalPersonalize
from personalize_rt.local.events import RecordedEvent
from personalize_rt.local.groups import LocalGroups
from personalize_rt.local.journal import Journal, ReceivedRequest
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.problems import LocalDataError, LocalDataWarning, Problem
from personalize_rt.local.shown import RecordedAnswer
from personalize_rt.local.stream import Event

__all__ = [
    "Event",
    "HttpRequest",
    "HttpResponse",
    "Journal",
    "LocalDataError",
    "LocalDataWarning",
    "LocalGroups",
    "LocalPersonalize",
    "LocalStateError",
    "Problem",
    "ReceivedRequest",
    "RecordedAnswer",
    "RecordedEvent",
]
