"""The control plane (``personalize``) of the embedded service.

A request passes ``wire`` (HTTP, JSON 1.1), ``operations`` (the table: what each takes, by ``shapes``, and its answer),
``plane`` (one or several dataset groups) and ``group`` (the resources of one). ``kinds`` names the kinds of resources,
``pages`` makes pages of lists, ``measuring`` measures solution versions.
"""

from __future__ import annotations

from personalize_rt.local.control.group import DatasetGroup
from personalize_rt.local.control.wire import ControlWire

__all__ = ["ControlWire", "DatasetGroup"]
