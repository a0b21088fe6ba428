"""The control plane (``personalize``) of the embedded service.

A request passes ``wire`` (HTTP, JSON 1.1), ``operations`` (the table: what each takes, by ``shapes``, and its answer),
``plane`` (all dataset groups) and ``group`` (the resources of one that a directory declares) or ``created`` (of one
that requests made, in an ``account``). ``kinds`` names the kinds of resources, ``made`` is their state machine,
``pages`` makes pages of lists, ``measuring`` measures solution versions.
"""

from __future__ import annotations

from personalize_rt.local.control.account import MEMBERS, Account
from personalize_rt.local.control.group import DatasetGroup
from personalize_rt.local.control.wire import ControlWire

__all__ = ["MEMBERS", "Account", "ControlWire", "DatasetGroup"]
